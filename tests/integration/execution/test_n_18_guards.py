"""N18 on the practice exchange: an exit and its guard both fill, and what is too much is taken off at once, once; a
guard that nobody may modify any more is replaced, never cancelled first; the phone's stop of nothing is asked about.
"""

from __future__ import annotations

import msgspec

from engine.core.commands import ModifyOrder, OrderChange, Reconcile
from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import Side
from engine.execution.housekeeping import HOUSEKEEPING, STAND_IN_PREFIX
from engine.execution.overshoot import REVERSAL_PREFIX
from tests.integration.execution.phone import Phone
from tests.kit.desk_host import (
    BROKER_POLL_S,
    TICK,
    Desk,
    Exchange,
    Option,
    comes_to,
    eventually,
    filled,
    live_chain,
    say,
)
from workstation.assembly import Host

NEVER_S = 600.0
"""Housekeeping looks when the test says so."""


async def reversals(host: Host) -> list[OrderRecord]:
    """Orders that took an overshoot off, as far as they have traded."""
    return [
        order
        for order in await host.client.orders()
        if (order.idempotency_key or "").startswith(REVERSAL_PREFIX) and order.state is OrderState.COMPLETE
    ]


async def test_n_18_both_fill_and_the_overshoot_is_taken_off_once(desk: Desk) -> None:
    """The guard trades a second after the exit, before anybody looks: one reversal, flat at the broker, explained, and
    none after it.
    """
    keeping = msgspec.structs.replace(desk.configuration.orders.housekeeping, settle_s=NEVER_S, look_s=NEVER_S)
    desk.changed(orders={"housekeeping": keeping})
    async with desk.opened() as host:
        client, phone, exchange = host.client, Phone(host), Exchange(host.exchange.root)
        option = Option(await live_chain(client), "ce", 1)
        key = (await filled(client, f"sell 1L {option.words} @ bid-2")).request.instrument
        both = []
        for _ in range(2):
            receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
            assert receipt.accepted, receipt.message
            both.append(await comes_to(client, receipt.orders[0].number, OrderState.OPEN))
        guard, leaving = both
        await phone.reprice(leaving.broker_order_id, option.high)
        began = (await exchange.ask("GET", "/practice/status"))["market_epoch"]

        async def has_passed() -> bool:
            return bool((await exchange.ask("GET", "/practice/status"))["market_epoch"] >= began + 1.1)

        await eventually(has_passed, "another second of the exchange")
        await phone.reprice(guard.broker_order_id, option.high)
        for record in both:
            await comes_to(client, record.number, OrderState.COMPLETE)
        house = host.engine.desks.default.upkeep

        async def taken_off() -> list[OrderRecord]:
            await house.look()
            return await reversals(host)

        (reversal,) = await eventually(taken_off, "the reversal", poll_s=BROKER_POLL_S)
        assert (reversal.request.side, reversal.request.quantity) == (Side.SELL, option.lot)

        async def is_flat() -> bool:
            return await phone.net(key) == 0

        await eventually(is_flat, "flat at the broker", poll_s=BROKER_POLL_S)
        explained = await client.why(reversal.number)
        assert explained.decision is not None
        assert explained.decision.by == HOUSEKEEPING
        assert f"o{guard.number} went too far" in explained.decision.words
        texts = [event.text for event in await client.events()]
        assert sum(text.startswith("Overshoot taken off") for text in texts) == 1
        await house.look()
        made = [order for order in await client.orders() if (order.idempotency_key or "").startswith(REVERSAL_PREFIX)]
        assert [order.number for order in made] == [reversal.number]


async def test_n_18_a_used_up_guard_is_replaced_and_a_stop_of_nothing_is_asked_about(desk: Desk) -> None:
    """Half of a short is bought back: the smaller stop stands at the exchange before the larger one is cancelled. With
    nothing held, the phone's stop is named once, with what to say, and stays.
    """
    checks = msgspec.structs.replace(desk.configuration.orders.checks, modifications_max=1)
    desk.changed(orders={"checks": checks})
    async with desk.opened() as host:
        client, phone = host.client, Phone(host)
        option = Option(await live_chain(client), "ce", 1)
        trigger = option.ask * 5 // 4 // TICK * TICK
        key = (await filled(client, f"sell 2L {option.words} @ bid-2")).request.instrument
        receipt = await say(client, f"buy 2L {option.words} @ {trigger + 2} stop {trigger}")
        assert receipt.accepted, receipt.message
        old = await comes_to(client, receipt.orders[0].number, OrderState.TRIGGER_PENDING)
        changed = await client.submit(ModifyOrder(number=old.number, change=OrderChange(price=trigger + 3)))
        assert changed.accepted, changed.message

        async def is_used_up() -> OrderRecord | None:
            rows = await client.orders()
            found = next(row for row in rows if row.number == old.number)
            return found if found.modifications == 1 and found.state is OrderState.TRIGGER_PENDING else None

        await eventually(is_used_up, "the modification")
        await filled(client, f"buy 1L {option.words} @ ask+2")
        gone = await comes_to(client, old.number, OrderState.CANCELLED)
        (new,) = [row for row in await client.orders() if (row.idempotency_key or "").startswith(STAND_IN_PREFIX)]
        assert (new.state, new.request.quantity, new.request.price) == (
            OrderState.TRIGGER_PENDING,
            option.lot,
            trigger + 3,
        )
        placed = next(line for line in await client.order_history(new.number) if line.to_state is new.state)
        cancelled = next(
            line for line in await client.order_history(old.number) if line.to_state is OrderState.CANCELLING
        )
        assert placed.at < cancelled.at
        assert cancelled.facts.decision is not None
        assert f"o{new.number} rests in its place" in cancelled.facts.decision.words
        assert gone.filled_quantity == 0
        await filled(client, f"buy 1L {option.words} @ ask+2")
        await comes_to(client, new.number, OrderState.CANCELLED)
        order_id = await phone.place(
            key.tradingsymbol,
            Side.BUY,
            option.lot,
            price=trigger + 2,
            trigger=trigger,
        )
        await client.submit(Reconcile())

        async def asked() -> list[str]:
            return [event.text for event in await client.events() if "is a stop of nothing" in event.text]

        (words,) = await eventually(asked, "the question about the phone's stop")
        stop = next(row for row in await client.orders() if row.broker_order_id == order_id)
        assert f"Say: cancel o{stop.number}" in words
        await host.engine.desks.default.upkeep.look()
        assert len(await asked()) == 1
        assert (await say(client, f"cancel o{stop.number}")).accepted
        await comes_to(client, stop.number, OrderState.CANCELLED)
