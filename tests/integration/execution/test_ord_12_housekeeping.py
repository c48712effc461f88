"""ORD-12 on the practice exchange: stops and targets follow their position, and every action says why."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, time
from decimal import Decimal

import asyncpg
import pytest

from engine.core.commands import SetHousekeeping
from engine.core.execution import OrderWhy
from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import Side
from engine.execution.housekeeping import HOUSEKEEPING
from engine.execution.settings import HousekeepingSettings
from storage.databases import with_database
from tests.integration.execution.phone import Phone
from tests.kit.desk_host import (
    BROKER_POLL_S,
    START,
    TICK,
    Desk,
    Option,
    comes_to,
    eventually,
    filled,
    live_chain,
    record_of,
    say,
)
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLOSE = time(15, 40)
"""Of derivatives."""
WARNED_S = 540.0
"""The broker begins so long after the start: within the second warning."""


async def resting(host: Host, sentence: str) -> OrderRecord:
    """An order that rests or waits for its trigger."""
    receipt = await say(host.client, sentence)
    assert receipt.accepted, receipt.message
    return await comes_to(host.client, receipt.orders[0].number, OrderState.OPEN, OrderState.TRIGGER_PENDING)


async def at_exchange(host: Host, record: OrderRecord, **fields: object) -> None:
    """Wait until the exchange has an order with these fields."""
    phone = Phone(host)

    async def looks_so() -> bool:
        row = await phone.order(record.broker_order_id)
        return all(row[name] == value for name, value in fields.items())

    await eventually(looks_so, f"o{record.number} with {fields}", poll_s=BROKER_POLL_S)


@contextlib.asynccontextmanager
async def nothing_booked(desk: Desk) -> AsyncIterator[None]:
    """Orders are journalled, and the ledger waits."""
    connection = await asyncpg.connect(with_database(desk.server_dsn, desk.database))
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE ledger_entries IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def why(host: Host, record: OrderRecord) -> OrderWhy:
    """Why things happened to an order."""
    return await host.client.why(record.number)


def decided_by(explained: OrderWhy) -> list[tuple[str, str, bool]]:
    """Who changed or cancelled it, with the words, and whether a quote was kept."""
    return [
        (event.facts.decision.by, event.facts.decision.words, bool(event.facts.decision.quotes))
        for event in explained.history
        if event.facts.decision is not None
    ]


def stop_words(option: Option) -> tuple[Decimal, Decimal]:
    """Trigger and limit of a buy stop above the market."""
    trigger = option.ask * 5 // 4 // TICK * TICK
    return trigger, trigger + 2


async def test_ord_12_a_stop_and_a_target_of_a_short_shrink_and_go(shared_host: Host) -> None:
    """Half is bought back: both are modified down at the exchange; the rest from the phone: both are cancelled."""
    client, phone = shared_host.client, Phone(shared_host)
    option = Option(await live_chain(client), "ce", 1)
    short = await filled(client, f"sell 2L {option.words} @ bid-2")
    trigger, limit = stop_words(option)
    stop = await resting(shared_host, f"buy 2L {option.words} @ {limit} stop {trigger}")
    target = await resting(shared_host, f"buy 2L {option.words} @ {option.low}")
    await filled(client, f"buy 1L {option.words} @ ask+2")
    for record in (stop, target):
        await at_exchange(shared_host, record, quantity=option.lot)
    await phone.place(short.request.instrument.tradingsymbol, Side.BUY, option.lot)
    for record in (stop, target):
        await comes_to(client, record.number, OrderState.CANCELLED)
        explained = decided_by(await why(shared_host, record))
        assert [by for by, _, _ in explained] == [HOUSEKEEPING, HOUSEKEEPING]
        assert all("left to protect" in words and has_quote for _, words, has_quote in explained)
    assert await phone.net(short.request.instrument) == 0
    texts = [event.text for event in await client.events()]
    assert any(text.startswith(f"Housekeeping: o{stop.number} shrinks to") for text in texts)
    assert any(text.startswith(f"Housekeeping: o{target.number} is cancelled") for text in texts)


async def test_ord_12_a_long_is_cleaned_up_and_an_entry_stays(shared_host: Host) -> None:
    """The target of a sold long goes; a resting buy of the same contract, which opens, is left where it is."""
    client = shared_host.client
    option = Option(await live_chain(client), "pe", 2)
    await filled(client, f"buy 1L {option.words} @ ask+2")
    target = await resting(shared_host, f"sell 1L {option.words} @ {option.high}")
    entry = await resting(shared_host, f"buy 1L {option.words} @ {option.low}")
    await say(client, f"cancel o{entry.number}")
    await comes_to(client, entry.number, OrderState.CANCELLED)
    other = Option(await live_chain(client), "pe", 4)
    lone = await resting(shared_host, f"buy 1L {other.words} @ {other.low}")
    await filled(client, f"sell 1L {option.words} @ bid-2")
    await comes_to(client, target.number, OrderState.CANCELLED)
    assert (await record_of(client, lone.number)).state is OrderState.OPEN


async def test_ord_12_a_strategy_that_is_left_alone_keeps_its_orders(shared_host: Host) -> None:
    """Switched off its target stays although nothing is held; switched on again it goes."""
    client = shared_host.client
    option = Option(await live_chain(client), "ce", 4)
    made = await say(client, "new left-alone")
    assert made.strategy is not None
    await filled(client, f"sell 1L {option.words} @ bid-2 into left-alone")
    target = await resting(shared_host, f"buy 1L {option.words} @ {option.low} into left-alone")
    off = await client.submit(SetHousekeeping(strategy=made.strategy, on=False))
    assert off.accepted
    assert f"left alone are: #{made.strategy}" in off.message
    await filled(client, f"buy 1L {option.words} @ ask+2 into left-alone")
    watched = Option(await live_chain(client), "ce", 6)
    await filled(client, f"sell 1L {watched.words} @ bid-2")
    sign = await resting(shared_host, f"buy 1L {watched.words} @ {watched.low}")
    await filled(client, f"buy 1L {watched.words} @ ask+2")
    await comes_to(client, sign.number, OrderState.CANCELLED)
    assert (await record_of(client, target.number)).state is OrderState.OPEN
    await client.submit(SetHousekeeping(strategy=made.strategy, on=True))
    await comes_to(client, target.number, OrderState.CANCELLED)


async def test_ord_12_a_target_made_before_its_fill_is_booked_goes_with_its_position(desk: Desk) -> None:
    """The ledger is a moment behind: what the order protects is known from the book, and it is cleaned up later."""
    async with desk.opened() as host:
        client = host.client
        option = Option(await live_chain(client), "ce", 4)
        async with nothing_booked(desk):
            receipt = await say(client, f"sell 1L {option.words} @ bid-2")
            assert receipt.accepted, receipt.message
            await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
            target = await resting(host, f"buy 1L {option.words} @ {option.low}")
            assert not await client.trades()
        decision = (await why(host, target)).decision
        assert decision is not None
        assert decision.held_before == -option.lot
        await filled(client, f"buy 1L {option.words} @ ask+2")
        await comes_to(client, target.number, OrderState.CANCELLED)


async def test_ord_12_stale_orders_and_the_square_off_are_told_with_their_reasons(desk: Desk) -> None:
    """An old order far from the market is cancelled, where that is switched on, and says why; what is held as MIS is
    named once before the broker takes it off, with what leaving costs.
    """
    now = datetime.fromisoformat(START)
    close = datetime.combine(now.date(), CLOSE, now.tzinfo)
    keeping = HousekeepingSettings(
        look_s=0.5,
        cancel_stale=True,
        stale_after_s=1.0,
        stale_distance_percent=Decimal(10),
        square_off_before_close_s=(close - now).total_seconds() - WARNED_S,
    )
    desk.changed(orders={"housekeeping": keeping})
    async with desk.opened() as host:
        client = host.client
        option = Option(await live_chain(client), "ce", 1)
        await filled(client, f"sell 1L {option.words} @ bid-2 mis")
        receipt = await say(client, f"buy 1L {option.words} @ {option.low} mis")
        assert receipt.accepted, receipt.message
        target = receipt.orders[0]
        other = Option(await live_chain(client), "pe", 4)
        receipt = await say(client, f"buy 1L {other.words} @ {other.low}")
        assert receipt.accepted, receipt.message
        old = await comes_to(client, receipt.orders[0].number, OrderState.CANCELLED)
        ((by, words, _),) = decided_by(await why(host, old))
        assert by == HOUSEKEEPING
        assert "has rested for" in words
        assert "percent from the market at" in words
        assert (await record_of(client, target.number)).state is OrderState.OPEN, "it protects"
        texts = [event.text for event in await client.events()]
        assert any(text.startswith("Housekeeping: ") and f"o{old.number} has rested" in text for text in texts)
        (warning,) = [text for text in texts if text.startswith("The broker squares MIS positions off in about")]
        assert f"-{option.lot} " in warning
        assert "Leaving now costs" in warning
