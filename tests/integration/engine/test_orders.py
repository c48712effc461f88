"""Orders from words to the exchange and back: in strategies, modified, cancelled, stopped, protected, partly filled."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.commands import MoveQuantity, SetMode
from engine.core.orders import OrderState, average_fill
from engine.core.vocabulary import Mode, OrderType
from tests.kit.desk_host import (
    TICK,
    Exchange,
    Option,
    booked,
    comes_to,
    eventually,
    filled,
    live_chain,
    record_of,
    say,
    stand_still,
)
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_into_a_strategy_and_over_to_another(shared_host: Host) -> None:
    """Fills land where the order says; a moved quantity changes hands at its average, and the broker's net stays."""
    client = shared_host.client
    option = Option(await live_chain(client), "pe", 2)
    made = [await say(client, f"new {name}") for name in ("wing-one", "wing-two")]
    assert all(receipt.accepted for receipt in made), made
    first, second = (receipt.strategy for receipt in made)
    assert first is not None
    assert second is not None
    record = await filled(client, f"buy 3L {option.words} @ ask+2 into wing-one")
    assert record.request.strategy == first
    fills = await booked(client, record)
    assert {fill.strategy for fill in fills} == {first}
    net = {item.instrument: item.signed_quantity for item in await client.positions()}
    receipt = await client.submit(MoveQuantity(strategy=first, leg=1, to_strategy=second, quantity=option.lot))
    assert receipt.accepted, receipt.message
    values = {value.strategy.number: value for value in await client.strategies()}
    (left,), (moved,) = values[first].legs, values[second].legs
    assert left.leg.holding.signed_quantity == 2 * option.lot
    assert moved.leg.holding.signed_quantity == option.lot
    # Our own average of the fills, of which the broker's figure is rounded.
    # Dividing and multiplying back may differ in the last of 28 digits.
    assert abs(moved.leg.holding.average_price - left.leg.holding.average_price) < Decimal("1e-20")
    average = average_fill(fills)
    assert average is not None
    assert abs(moved.leg.holding.average_price - average) < Decimal("1e-20")
    assert {item.instrument: item.signed_quantity for item in await client.positions()} == net


async def test_a_resting_order_is_modified_and_cancelled(shared_host: Host) -> None:
    """A buy below the market rests, takes a new price and quantity at the exchange, and is cancelled there."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option = Option(await live_chain(client), "ce", 3)
    receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
    number = receipt.orders[0].number
    record = await comes_to(client, number, OrderState.OPEN)
    price = option.low + TICK
    receipt = await say(client, f"modify o{number} 2L @ {price}")
    assert receipt.accepted, receipt.message

    async def changed() -> bool:
        now = await record_of(client, number)
        return (now.state, now.request.price, now.request.quantity) == (OrderState.OPEN, price, 2 * option.lot)

    await eventually(changed, "the modification")
    (theirs,) = [row for row in await exchange.orders() if row["order_id"] == record.broker_order_id]
    assert (theirs["status"], Decimal(str(theirs["price"])), theirs["quantity"]) == ("OPEN", price, 2 * option.lot)
    await say(client, f"cancel o{number}")
    gone = await comes_to(client, number, OrderState.CANCELLED)
    assert gone.filled_quantity == 0
    (theirs,) = [row for row in await exchange.orders() if row["order_id"] == record.broker_order_id]
    assert theirs["status"] == "CANCELLED"


async def test_read_mode_refuses_entries_and_lets_exits_pass(shared_host: Host) -> None:
    """In READ nothing that adds risk is sent, and what is held can still be sold and orders cancelled."""
    client = shared_host.client
    option = Option(await live_chain(client), "ce", 4)
    await filled(client, f"buy 1L {option.words} @ ask+2")
    receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
    resting = receipt.orders[0].number
    await comes_to(client, resting, OrderState.OPEN)
    await client.submit(SetMode(mode=Mode.READ))
    try:
        refused = await say(client, f"buy 1L {option.words} @ ask")
        assert not refused.accepted
        assert [violation.check for violation in refused.violations] == ["mode"]
        assert "READ" in refused.message
        over = await say(client, f"sell 2L {option.words} @ bid")
        assert not over.accepted, "two lots sold against one held would open a short"
        await say(client, f"cancel o{resting}")
        await comes_to(client, resting, OrderState.CANCELLED)
        sold = await filled(client, f"sell 1L {option.words} @ bid-2")
        assert sold.filled_quantity == option.lot
    finally:
        await client.submit(SetMode(mode=Mode.CONFIRM))


async def test_a_stop_waits_for_its_trigger_and_fires(shared_host: Host) -> None:
    """A buy stop just above the last price is TRIGGER PENDING, and complete once the market has been there."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option = Option(await live_chain(client), "ce", 1)
    await stand_still(client, exchange)
    try:
        quote = client.quote(option.token)
        assert quote is not None
        assert quote.last is not None
        trigger = quote.last + TICK
        limit = (quote.last * Decimal("1.2")) // TICK * TICK
        receipt = await say(client, f"buy 1L {option.words} @ {limit} stop {trigger}")
        assert receipt.accepted, receipt.message
        record = await comes_to(client, receipt.orders[0].number, OrderState.TRIGGER_PENDING)
        assert record.request.order_type is OrderType.SL
        assert record.filled_quantity == 0
        await exchange.speed(60)
        done = await comes_to(client, record.number, OrderState.COMPLETE)
        assert done.average_price is not None
        assert done.average_price <= limit
    finally:
        await exchange.speed(1)


async def test_a_market_order_is_protected(shared_host: Host) -> None:
    """``@ mkt 1%`` goes out as MARKET with its protection and fills no worse than the band."""
    client = shared_host.client
    option = Option(await live_chain(client), "pe", 1)
    receipt = await say(client, f"buy 1L {option.words} @ mkt 5%")
    (sent,) = receipt.orders
    assert sent.request.order_type is OrderType.MARKET
    assert sent.request.market_protection == 5
    record = await comes_to(client, sent.number, OrderState.COMPLETE)
    # The exchange turns it into a limit at the edge of the band, and its book says so.
    assert record.request.price is not None
    assert record.average_price is not None
    assert record.average_price <= record.request.price <= option.ask * Decimal("1.2")


async def test_a_partial_fill_is_a_quantity(shared_host: Host) -> None:
    """In a market that stands still an order for more than is offered takes what is there and rests with the rest."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    option = Option(await live_chain(client), "pe", 5)
    await stand_still(client, exchange)
    try:
        quote = client.quote(option.token)
        assert quote is not None
        assert quote.ask is not None
        offered = quote.asks[0].quantity
        lots = offered // option.lot + 3
        receipt = await say(client, f"buy {lots}L {option.words} @ {quote.ask}")
        number = receipt.orders[0].number

        async def partly() -> bool:
            return (await record_of(client, number)).filled_quantity > 0

        await eventually(partly, "a partial fill")
        record = await record_of(client, number)
        assert record.state is OrderState.OPEN
        assert record.filled_quantity == offered
        assert record.remaining_quantity == lots * option.lot - offered
        await say(client, f"cancel o{number}")
        record = await comes_to(client, number, OrderState.CANCELLED)
        assert record.filled_quantity == offered
        fills = await booked(client, record)
        assert {fill.price for fill in fills} == {quote.ask}
    finally:
        await exchange.speed(1)
