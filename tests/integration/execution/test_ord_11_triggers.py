"""ORD-11 for triggers on the practice exchange: the phone's are adopted; ours, gone or changed, are items."""

from __future__ import annotations

import asyncio
import contextlib
from decimal import Decimal
from typing import Any

from engine.client import EngineClient
from engine.core.commands import DeleteGtt, ExplainMismatch, PlaceGtt, Reconcile
from engine.core.errors import RateLimited
from engine.core.instruments import Instrument
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.standing_triggers import Gtt, GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Side
from tests.integration.execution.official_book import official, within_limits
from tests.kit.desk_host import BROKER_POLL_S, TICK, Desk, Option, eventually, filled, live_chain
from workstation.assembly import Host

SETTLE_S = 0.3
FORM = {"exchange": "NFO", "transaction_type": "SELL", "order_type": "LIMIT", "product": "NRML"}


async def compared(host: Host) -> tuple[Mismatch, ...]:
    """What is listed of triggers after a comparison on demand."""
    receipt = await host.client.submit(Reconcile())
    assert receipt.accepted, receipt.message
    return tuple(item for item in await host.client.mismatches() if item.kind is MismatchKind.TRIGGER)


async def active(client: EngineClient) -> dict[int, bool]:
    """Triggers that stand, and whether they are from outside; the limit on reads is shared with the official client."""

    async def listed() -> tuple[Gtt, ...]:
        with contextlib.suppress(RateLimited):
            return await client.gtts()
        return ()

    found = await eventually(listed, "the broker's triggers", poll_s=BROKER_POLL_S)
    return {gtt.trigger_id: gtt.is_outside for gtt in found if gtt.status is GttStatus.ACTIVE}


def stop(row: Instrument, option: Option, trigger: Decimal) -> GttRequest:
    """A stop of one lot."""
    order = GttOrder(trigger_price=trigger, side=Side.SELL, quantity=option.lot, price=trigger - TICK)
    return GttRequest(instrument=row.key, kind=GttKind.SINGLE, orders=(order,))


def theirs(kite: Any, row: Instrument, option: Option, trigger: Decimal) -> int:
    """The same from the broker's own client."""
    order = {**FORM, "tradingsymbol": row.tradingsymbol, "quantity": option.lot, "price": float(trigger - TICK)}
    made = within_limits(
        lambda: kite.place_gtt(
            kite.GTT_TYPE_SINGLE, row.tradingsymbol, "NFO", [float(trigger)], float(option.last), [order]
        )
    )
    return int(made["trigger_id"])


async def test_ord_11_triggers_of_the_phone_are_adopted_and_ours_are_missed(desk: Desk) -> None:
    """One made by the official client stands as one from outside, and may be taken back here; one of ours that it
    deletes is an item, over a restart too, until a person has said why, and is then no item any more.
    """
    desk.changed(orders={"mismatch_settle_s": SETTLE_S})
    async with desk.opened() as host:
        client = host.client
        option = Option(await live_chain(client), "ce", 1)
        row = host.engine.day.index.get(option.token)
        assert row is not None
        await filled(client, f"buy 1L {option.words} @ ask+2")
        kite = official(host.exchange.root)
        low = option.bid // 2 // TICK * TICK
        left = await client.submit(PlaceGtt(request=stop(row, option, low)))
        assert left.trigger_id is not None, left.message
        other = await asyncio.to_thread(theirs, kite, row, option, low - 1)
        assert await compared(host) == ()
        assert await active(client) == {left.trigger_id: False, other: True}
        texts = [event.text for event in await client.events()]
        assert sum(text.startswith(f"Trigger {other} was left outside this desk") for text in texts) == 1
        taken = await client.submit(DeleteGtt(trigger_id=other))
        assert taken.accepted, taken.message
        await asyncio.to_thread(within_limits, lambda: kite.delete_gtt(left.trigger_id))
        (item,) = await compared(host)
        assert (item.state, item.subject) == (MismatchState.OPEN, f"trigger {left.trigger_id}")
        assert any(item.words in sentence for sentence in host.engine.degraded)
    async with desk.opened() as host:
        (again,) = await compared(host)
        assert (again.mismatch_id, again.state) == (item.mismatch_id, MismatchState.OPEN)
        told = await host.client.submit(ExplainMismatch(mismatch=item.mismatch_id, words="on the phone"), seat="seat-7")
        assert told.accepted, told.message
        assert {found.state for found in await compared(host)} == {MismatchState.GONE}
        assert not any("Mismatch" in sentence for sentence in host.engine.degraded)
