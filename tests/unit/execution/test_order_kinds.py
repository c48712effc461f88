"""Icebergs, times to live and changes of type in the executor: what counts, what is sent, what is told."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.brokers.kite.messages import parse_orders
from engine.core.commands import OrderChange
from engine.core.orders import OrderState
from engine.core.vocabulary import OrderType, Side, Validity, Variety
from engine.execution.book_merge import describe_change, shows_change
from engine.execution.checks import changed_request, check_change
from engine.execution.standings import Standing
from tests.kit.fake_broker import option
from tests.unit.execution.desk import OPENING, Desk, buy, sell
from tests.unit.execution.rows import record, row
from tests.unit.execution.test_checks import context

ICEBERG = buy(195, variety=Variety.ICEBERG, iceberg_legs=3, iceberg_quantity=65)


async def test_every_leg_of_an_iceberg_counts_for_the_day_and_one_for_the_second() -> None:
    """As the broker counts them."""
    async with Desk() as desk:
        before = desk.executor.snapshot().budget.day_used
        await desk.place(ICEBERG)
        await desk.place()
        assert desk.executor.snapshot().budget.day_used == before + 4


def test_the_legs_to_come_count_as_part_of_the_order() -> None:
    """Of three legs of 65 the first rests: 195 units may still trade, though its row says 65."""
    standing = Standing(record(request=msgspec.structs.replace(ICEBERG, quantity=65)))
    assert standing.at_worst().remaining_quantity == 65
    standing.merged_row = row(to_come=130)
    assert standing.at_worst().remaining_quantity == 195
    assert standing.record.request.quantity == 65


def test_the_wire_says_how_much_of_an_iceberg_is_to_come() -> None:
    """``remaining_quantity`` of its leg; other orders have nothing to come."""
    wire = {
        "order_id": "1",
        "status": "OPEN",
        "exchange": "NFO",
        "tradingsymbol": option().tradingsymbol,
        "transaction_type": "BUY",
        "order_type": "LIMIT",
        "product": "NRML",
        "quantity": 65,
        "meta": {
            "iceberg": {"leg": 1, "legs": 3, "leg_quantity": 65, "total_quantity": 195, "remaining_quantity": 130}
        },
    }
    body = msgspec.json.encode({"status": "success", "data": [wire, wire | {"meta": {}}, wire | {"meta": None}]})
    assert [parsed.to_come for parsed in parse_orders(body, OPENING).rows] == [130, 0, 0]


async def test_an_exit_that_is_an_iceberg_is_spoken_for_whole() -> None:
    """Its later legs are no orders yet: a second exit of the same lots would open a short."""
    async with Desk() as desk:
        desk.facts.held = {option().key: 195}
        request = sell(195, variety=Variety.ICEBERG, iceberg_legs=3, iceberg_quantity=65)
        number = await desk.resting(request)
        resting = desk.broker.of_tag(desk.order(number).tag)
        resting.quantity = 65
        desk.broker.books.extend([(msgspec.structs.replace(resting.row(), to_come=130),)] * 20)
        await desk.clock.advance(4)
        assert desk.order(number).request.quantity == 65
        assert desk.executor.check(sell())[2] is True


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (OrderChange(order_type=OrderType.MARKET), ["protection"]),
        (OrderChange(order_type=OrderType.MARKET, market_protection=Decimal(-1)), []),
        (OrderChange(order_type=OrderType.SL, trigger_price=Decimal(104)), ["trigger"]),
        (OrderChange(order_type=OrderType.SL, price=Decimal(112), trigger_price=Decimal(110)), []),
        (OrderChange(validity=Validity.TTL), ["validity"]),
        (OrderChange(validity=Validity.TTL, validity_ttl=3), []),
        (OrderChange(disclosed_quantity=65), ["disclosed"]),
    ],
)
def test_a_change_of_type_or_validity_is_checked_like_the_order_it_makes(change: OrderChange, names: list[str]) -> None:
    """What belongs to the old type goes, what the new one needs must be there."""
    subject = record(request=buy(130))
    assert [found.check for found in check_change(subject, change, context())] == names


def test_an_iceberg_keeps_its_quantity() -> None:
    """The broker divides it by its first word."""
    subject = record(request=ICEBERG)
    (found,) = check_change(subject, OrderChange(quantity=130), context())
    assert found.message == "An iceberg keeps its quantity: cancel it and place a new one."


def test_what_a_change_makes_of_an_order() -> None:
    """From limit to market the price goes, from a stop to a limit the trigger; the rest stays."""
    stop = buy(price="112", order_type=OrderType.SL, trigger_price=Decimal(110))
    limit = changed_request(stop, OrderChange(order_type=OrderType.LIMIT))
    assert (limit.price, limit.trigger_price) == (Decimal(112), None)
    market = changed_request(limit, OrderChange(order_type=OrderType.MARKET, market_protection=Decimal(-1)))
    assert (market.price, market.market_protection, market.side) == (None, Decimal(-1), Side.BUY)
    ttl = buy(validity=Validity.TTL, validity_ttl=3)
    assert changed_request(ttl, OrderChange(validity=Validity.DAY)).validity_ttl is None
    assert changed_request(ttl, OrderChange(price=Decimal(1))).validity_ttl == 3


def test_a_change_to_market_shows_as_the_limit_it_makes() -> None:
    """The book never says MARKET; another validity shows as itself."""
    change = OrderChange(order_type=OrderType.MARKET, market_protection=Decimal(-1))
    assert shows_change(row(), change)
    assert not shows_change(row(order_type=OrderType.SL), change)
    assert not shows_change(row(), OrderChange(validity=Validity.IOC))
    assert describe_change(change) == "type MARKET, protection -1"


async def test_a_limit_is_made_a_market_order_by_the_executor() -> None:
    """The change goes as it was asked, and the order rests on with what the book says."""
    async with Desk() as desk:
        number = await desk.resting()
        refusal = await desk.modify(number, order_type="MARKET")
        assert [violation.check for violation in refusal.violations] == ["protection"]
        receipt = await desk.modify(number, order_type="MARKET", market_protection="-1")
        assert receipt.accepted, receipt.message
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.OPEN
