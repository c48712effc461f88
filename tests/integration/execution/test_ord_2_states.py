"""ORD-2: orders walk the table of states at the practice exchange; what is said of a fill twice is booked once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from engine.client import EngineClient
from engine.core.commands import CancelOrders, ModifyOrder, OrderChange
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState
from storage.embedded import EmbeddedPostgres
from tests.kit.desk_host import TICK, Exchange, Option, booked, comes_to, live_chain, new_desk, say
from tests.properties.test_order_state_machine import TABLE
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")
MANY_LOTS = 24
"""More than the first price of the book has, so that it trades in parts."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(postgres_server: EmbeddedPostgres) -> AsyncIterator[Host]:
    """One engine for both tests."""
    with new_desk(postgres_server, "states of orders") as made:
        async with made.opened() as opened:
            yield opened


async def history_of(client: EngineClient, number: OrderNumber) -> list[str]:
    """The states an order was in, after its history was found to be one chain that the table allows."""
    states, sequence = ["QUEUED"], 0
    for line in await client.order_history(number):
        assert line.sequence > sequence, line
        assert line.from_state == states[-1], line
        sequence = line.sequence
        if line.applied:
            assert TABLE[line.from_state, line.trigger] == line.to_state, line
            states.append(line.to_state.value)
    return [state for place, state in enumerate(states) if place == 0 or state != states[place - 1]]


async def given(client: EngineClient, sentence: str) -> OrderNumber:
    """The number of an order that was taken."""
    receipt = await say(client, sentence)
    assert receipt.accepted, receipt.message
    return receipt.orders[0].number


async def test_ord_2_orders_walk_the_table_to_where_the_exchange_has_them(host: Host) -> None:
    """Traded, changed and cancelled, triggered, rejected, unknown and found, unknown and absent: each a legal chain."""
    client, exchange = host.client, Exchange(host.exchange.root)
    option = Option(await live_chain(client), "ce")
    rest = f"buy 1L {option.words} @ {option.low}"
    await exchange.fault("reset_before", method="POST", path="/orders")
    absent = await given(client, rest)
    await comes_to(client, absent, OrderState.UNKNOWN)
    await exchange.fault("drop_answer", method="POST", path="/orders")
    lost = await given(client, f"{rest[: rest.rindex('@')]}@ {option.low - TICK}")
    await comes_to(client, lost, OrderState.OPEN)
    traded = await given(client, f"buy 1L {option.words} @ ask+2")
    await comes_to(client, traded, OrderState.COMPLETE)
    await exchange.fault("reject")
    rejected = await given(client, f"buy 2L {option.words} @ {option.low}")
    await comes_to(client, rejected, OrderState.REJECTED)
    changed = await given(client, f"buy 3L {option.words} @ {option.low}")
    await comes_to(client, changed, OrderState.OPEN)
    receipt = await client.submit(ModifyOrder(number=changed, change=OrderChange(price=option.low - 2 * TICK)))
    assert receipt.accepted, receipt.message
    await comes_to(client, changed, OrderState.OPEN)
    await client.submit(CancelOrders(numbers=(changed, lost)))
    for number in (changed, lost):
        await comes_to(client, number, OrderState.CANCELLED)
    await comes_to(client, absent, OrderState.PRESUMED_ABSENT)
    chains = {number: await history_of(client, number) for number in (absent, lost, traded, rejected, changed)}
    assert chains[absent] == ["QUEUED", "SENDING", "UNKNOWN", "PRESUMED_ABSENT"]
    assert chains[lost][:3] == ["QUEUED", "SENDING", "UNKNOWN"]
    assert chains[lost][-2:] == ["CANCELLING", "CANCELLED"]
    assert chains[traded][-1] == "COMPLETE"
    assert chains[rejected][-1] == "REJECTED"
    assert "MODIFYING" in chains[changed]
    assert chains[changed][-2:] == ["CANCELLING", "CANCELLED"]
    theirs = {row["tag"]: row["status"] for row in await exchange.orders()}
    for record in await client.orders():
        if record.number in chains:
            assert theirs.get(record.tag) == (None if record.number == absent else record.state)


async def test_ord_2_a_fill_that_is_told_twice_late_or_never_is_booked_once(host: Host) -> None:
    """Updates doubled, out of order and dropped, an order that trades in parts: its fills are those of the exchange."""
    client, exchange = host.client, Exchange(host.exchange.root)
    option = Option(await live_chain(client), "pe")
    for kind in ("duplicate_update", "reorder_update", "drop_update", "duplicate_update"):
        await exchange.fault(kind, seconds=0.2)
    number = await given(client, f"buy {MANY_LOTS}L {option.words} @ {option.ask + 40 * TICK}")
    record = await comes_to(client, number, OrderState.COMPLETE)
    fills = await booked(client, record)
    theirs = [row for row in await exchange.ask("GET", "/trades") if row["order_id"] == record.broker_order_id]
    assert len(theirs) > 1, "it was to trade in parts"
    assert sorted((fill.trade_id, fill.quantity) for fill in fills) == sorted(
        (row["trade_id"], int(row["quantity"])) for row in theirs
    )
    assert record.filled_quantity == sum(int(row["quantity"]) for row in theirs) == MANY_LOTS * option.lot
