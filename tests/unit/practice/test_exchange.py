"""Orders from acceptance to their end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.practice.settings import ServiceSettings
from engine.practice.wire import ErrorType, KiteError
from tests.unit.practice.conftest import Venue

PATH_TO_OPEN = ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING", "OPEN"]


def test_a_crossing_limit_order_fills_level_by_level(venue: Venue) -> None:
    """Two levels deep means two trades at two prices, COMPLETE, and the average of them."""
    call = venue.contract()
    levels = venue.depth(call, "BUY")[:2]
    quantity = sum(size for _, size in levels)
    order = venue.place(call, "BUY", quantity, levels[1][0] / 100)
    assert venue.statuses(order) == [*PATH_TO_OPEN, "COMPLETE"]
    trades = venue.exchange.ledger.trades
    assert [(trade.price, trade.quantity) for trade in trades] == levels
    value = sum(price * size for price, size in levels)
    assert order.average == pytest.approx(value / quantity / 100, abs=1e-4)
    assert [update["status"] for update in venue.updates] == ["COMPLETE"]
    assert len(order.order_id) == 19


def test_a_resting_order_can_be_changed_and_cancelled(venue: Venue) -> None:
    """The history of a modified and cancelled order runs through the documented statuses."""
    call = venue.contract()
    bid = venue.depth(call, "SELL")[-1][0] / 100
    order = venue.place(call, "BUY", 65, bid - 5)
    desk = venue.exchange.desk
    desk.modify("regular", order.order_id, {"price": f"{bid - 6:.2f}", "quantity": "130"})
    desk.finish_change(order.order_id)
    assert (order.quantity, order.price, order.modified) == (130, round((bid - 6) * 100), True)
    desk.cancel("regular", order.order_id)
    desk.finish_cancel(order.order_id)
    assert venue.statuses(order) == [
        *PATH_TO_OPEN,
        "MODIFY VALIDATION PENDING",
        "MODIFY PENDING",
        "MODIFIED",
        "OPEN",
        "CANCEL PENDING",
        "CANCELLED",
    ]
    assert (order.cancelled, order.open_quantity) == (130, 0)
    with pytest.raises(KiteError) as refused:
        desk.cancel("regular", order.order_id)
    assert refused.value.kind == ErrorType.ORDER


def test_modified_quantity_is_the_total(venue: Venue) -> None:
    """After a partial fill a modification to the filled quantity completes the order; to less, it is refused."""
    call = venue.contract()
    price, size = venue.depth(call, "BUY")[0]
    order = venue.place(call, "BUY", size + 130, price / 100)
    assert (order.status, order.filled) == ("OPEN", size)
    assert venue.updates[-1]["status"] == "UPDATE"
    assert venue.updates[-1]["unfilled_quantity"] == 130
    desk = venue.exchange.desk
    if size > 65:
        desk.modify("regular", order.order_id, {"quantity": str(size - 65)})
        desk.finish_change(order.order_id)
        assert order.quantity == size + 130
        assert order.status_message is not None
    desk.modify("regular", order.order_id, {"quantity": str(size)})
    desk.finish_change(order.order_id)
    assert (order.status, order.filled, order.quantity) == ("COMPLETE", size, size)


def test_twenty_five_modifications_at_most(venue: Venue) -> None:
    """The twenty-sixth modification is refused in the broker's words."""
    call = venue.contract()
    order = venue.place(call, "BUY", 65, venue.depth(call, "SELL")[0][0] / 100 - 10)
    desk = venue.exchange.desk
    for number in range(25):
        desk.modify("regular", order.order_id, {"price": f"{order.price / 100 - 0.05 * (1 if number % 2 else -1):.2f}"})
        desk.finish_change(order.order_id)
    with pytest.raises(KiteError, match="Maximum allowed order modifications exceeded"):
        desk.modify("regular", order.order_id, {"quantity": "130"})


def test_immediate_or_cancel_keeps_what_it_got(venue: Venue) -> None:
    """An IOC order larger than the market ends CANCELLED with a filled quantity."""
    call = venue.contract()
    price, size = venue.depth(call, "BUY")[0]
    order = venue.place(call, "BUY", size + 65, price / 100, validity="IOC")
    assert (order.status, order.filled, order.cancelled) == ("CANCELLED", size, 65)


def test_a_market_order_becomes_a_protected_limit(venue: Venue) -> None:
    """It shows as LIMIT with protection 0, the protected price, and the broker's tags."""
    call = venue.contract()
    last = int(venue.exchange.floor.quotes.last[venue.row(call)])
    order = venue.place(call, "BUY", 65, order_type="MARKET", market_protection="-1", tag="mine")
    assert (order.order_type, order.market_protection) == ("LIMIT", 0.0)
    assert order.tags == ["mine", "mktp", "mktp:2.00"]
    assert last < order.price <= last * 1.02
    assert order.price % 5 == 0
    assert order.status == "COMPLETE"


def test_the_rest_of_a_market_order_rests_at_its_protection(venue: Venue) -> None:
    """A market order beyond the displayed depth stays OPEN at the protected price."""
    call = venue.contract()
    shown = sum(size for _, size in venue.depth(call, "BUY"))
    quantity = min(shown + 650, 1755)
    order = venue.place(call, "BUY", quantity, order_type="MARKET", market_protection="0.05")
    assert 0 <= order.filled < quantity
    assert order.status == "OPEN"
    assert order.order_type == "LIMIT"


@pytest.mark.parametrize("protection", ["", "0", "101", "-2", "x"])
def test_a_market_order_without_protection_is_refused(venue: Venue, protection: str) -> None:
    """Absent, zero or senseless protection is refused before an id is given."""
    form = venue.form(venue.contract(), "BUY", 65, order_type="MARKET", market_protection=protection)
    with pytest.raises(KiteError) as refused:
        venue.exchange.desk.place("regular", form)
    assert (refused.value.status, refused.value.kind) == (400, ErrorType.INPUT)


def test_a_stop_waits_for_its_trigger(venue: Venue) -> None:
    """A stop rests as TRIGGER PENDING, and opens and fills when the last price reaches the trigger."""
    call = venue.contract()
    last = int(venue.exchange.floor.quotes.last[venue.row(call)])
    stop = venue.place(call, "BUY", 65, last / 100 + 40, order_type="SL", trigger_price=f"{last / 100 + 30:.2f}")
    assert venue.statuses(stop)[-1] == "TRIGGER PENDING"
    near = venue.place(call, "BUY", 65, last / 100 + 10, order_type="SL", trigger_price=f"{last / 100 - 1:.2f}")
    assert venue.statuses(near) == [
        "PUT ORDER REQ RECEIVED",
        "VALIDATION PENDING",
        "TRIGGER PENDING",
        "OPEN",
        "COMPLETE",
    ]


def test_a_limit_order_turned_into_a_stop_leaves_the_market(venue: Venue) -> None:
    """After the modification it waits for its trigger and is not filled at its old price."""
    call = venue.contract()
    bid = venue.depth(call, "SELL")[0][0] / 100
    order = venue.place(call, "BUY", 65, bid)
    form = {"order_type": "SL", "price": f"{bid + 60:.2f}", "trigger_price": f"{bid + 50:.2f}"}
    venue.exchange.desk.modify("regular", order.order_id, form)
    venue.exchange.desk.finish_change(order.order_id)
    assert order.status == "TRIGGER PENDING"
    venue.advance(30.0)
    assert (order.status, order.filled) == ("TRIGGER PENDING", 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"order_type": "SL", "trigger_price": "130.00", "price": "120.00"}, "Trigger price"),
        ({"order_type": "SL", "price": "120.00"}, "trigger_price"),
        ({"order_type": "SL-M", "trigger_price": "130.00"}, "SL-M"),
        ({"quantity": "66"}, "lot size 65"),
        ({"quantity": "0"}, "greater than 0"),
        ({"quantity": "x"}, "whole number"),
        ({"price": "100.03"}, "Tick size"),
        ({"price": "nan"}, "greater than 0"),
        ({"price": "-1"}, "greater than 0"),
        ({"price": ""}, "Missing or empty field `price`"),
        ({"tag": "x" * 21}, "maximum 20"),
        ({"tradingsymbol": "NIFTY26NOV1CE"}, "expired or does not exist"),
        ({"exchange": "NSE", "tradingsymbol": "NIFTY 50"}, "exchange"),
        ({"transaction_type": "HOLD"}, "transaction_type"),
        ({"product": "CNC"}, "product"),
        ({"validity": "GTC"}, "validity"),
        ({"validity": "TTL"}, "validity_ttl"),
        ({"validity": "TTL", "validity_ttl": "0"}, "validity_ttl"),
        ({"disclosed_quantity": "65"}, "disclosed_quantity"),
        ({"autoslice": "maybe"}, "autoslice"),
        ({"order_type": "STOP"}, "order_type"),
        ({"exchange": ""}, "Missing or empty field `exchange`"),
    ],
)
def test_ill_formed_orders_are_refused_at_the_door(venue: Venue, changes: dict[str, str], words: str) -> None:
    """Form and contract rules give HTTP 400 InputException in words, and no order in the book."""
    form = venue.form(venue.contract(), "BUY", 65, 100.0) | changes
    with pytest.raises(KiteError) as refused:
        venue.exchange.desk.place("regular", form)
    assert (refused.value.status, refused.value.kind) == (400, ErrorType.INPUT)
    assert words in refused.value.message
    assert not venue.exchange.ledger.orders


@pytest.mark.parametrize(
    ("variety", "words"),
    [
        ("co", "not allowed for F&O"),
        ("auction", "not allowed for F&O"),
        ("amo", "After Market Order"),
        ("nonsense", "Invalid `variety`"),
    ],
)
def test_varieties_that_do_not_fit_are_refused(venue: Venue, variety: str, words: str) -> None:
    """Cover and auction orders are not for derivatives, an after-market order not for an open market."""
    with pytest.raises(KiteError, match=words):
        venue.exchange.desk.place(variety, venue.form(venue.contract(), "BUY", 65, 100.0))


@pytest.mark.parametrize(
    ("quantity", "price", "words"),
    [(1820, 100.0, "freeze quantity of 1800"), (65, 9_000.0, "LPP range"), (65, 0.05, "LPP range")],
)
def test_the_exchange_rejects_in_the_book(venue: Venue, quantity: int, price: float, words: str) -> None:
    """Freeze and price bands give an order id and REJECTED with words and the exchange's own text."""
    order = venue.place(venue.contract(), "BUY", quantity, price)
    assert venue.statuses(order) == ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "REJECTED"]
    assert words in (order.status_message or "")
    assert order.status_message_raw
    assert venue.updates[-1]["status"] == "REJECTED"


def test_orders_beyond_the_funds_are_rejected(make_venue: Callable[..., Venue]) -> None:
    """A short option needs margin; without it the order is REJECTED with both numbers."""
    poor = make_venue(service=replace(ServiceSettings(), opening_cash=50_000.0))
    call = poor.contract()
    order = poor.place(call, "SELL", 65, poor.depth(call, "SELL")[0][0] / 100)
    assert order.status == "REJECTED"
    assert "Insufficient funds. Required margin is" in (order.status_message or "")


def test_funds_follow_fills(venue: Venue) -> None:
    """Buying debits the premium; selling the same units gives it back less the spread."""
    call, exchange = venue.contract(), venue.exchange
    before = exchange.funds.view(exchange.floor.day, exchange.floor.quotes).net
    bought = venue.place(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100)
    held = exchange.funds.view(exchange.floor.day, exchange.floor.quotes).net
    assert before - held == pytest.approx(bought.filled_value / 100)
    sold = venue.place(call, "SELL", 65, venue.depth(call, "SELL")[0][0] / 100)
    after = exchange.funds.view(exchange.floor.day, exchange.floor.quotes).net
    assert before - after == pytest.approx((bought.filled_value - sold.filled_value) / 100)


def test_orders_wait_in_the_queue_and_fill_with_the_market(venue: Venue) -> None:
    """A bid at the best price is filled by the market's own trades as time passes, never above its limit."""
    call = venue.contract()
    price = venue.depth(call, "SELL")[0][0]
    order = venue.place(call, "BUY", 65, price / 100)
    assert order.status == "OPEN"
    for _ in range(600):
        venue.advance(1.0)
        if order.is_terminal:
            break
    assert order.status == "COMPLETE"
    assert all(trade.price <= price for trade in venue.exchange.ledger.trades)
