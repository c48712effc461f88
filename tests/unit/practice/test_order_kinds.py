"""Kinds of orders beyond the plain limit: slices, icebergs, stops, times to live, after hours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engine.practice.orders import Order
from engine.practice.settings import DEFAULT_PROFILES, MarketSettings, ServiceSettings
from engine.practice.wire import ErrorType, KiteError
from tests.unit.practice.conftest import Venue

FREEZE = 1755
"""The largest whole number of lots of 65 within NIFTY's freeze quantity of 1,800."""


def children(venue: Venue, parent: str) -> list[Order]:
    """Return the slices of a sliced order."""
    return [order for order in venue.exchange.ledger.orders.values() if f"autoslice:{parent}" in order.tags]


def test_autoslice_splits_above_the_freeze_quantity(venue: Venue) -> None:
    """Slices of at most the freeze quantity in whole lots, with the broker's tags and the owner's; the parent is no
    order.
    """
    call = venue.contract()
    bid = venue.depth(call, "SELL")[0][0] / 100
    form = venue.form(call, "BUY", 3900, bid - 10, autoslice="true", tag="mine")
    placement = venue.exchange.desk.submit(form)
    slices = children(venue, placement.order_id)
    assert [order.quantity for order in slices] == [FREEZE, FREEZE, 390]
    assert placement.accepted == tuple(order.order_id for order in slices)
    assert slices[0].tags == ["mine", "autoslice", f"autoslice:{placement.order_id}"]
    assert {order.tag for order in slices} == {"mine"}
    assert placement.order_id not in venue.exchange.ledger.orders
    for order in slices:
        venue.exchange.desk.process(order.order_id)
        assert order.status == "OPEN"


def test_autoslice_within_the_freeze_quantity_is_one_order(venue: Venue) -> None:
    """Nothing is split that need not be."""
    call = venue.contract()
    placement = venue.exchange.desk.submit(venue.form(call, "BUY", 65, 100.0, autoslice="true"))
    assert placement.children == ()
    assert placement.order_id in venue.exchange.ledger.orders


def test_more_than_ten_slices_are_refused(venue: Venue) -> None:
    """Eleven slices are too many, and nothing of them is in the book."""
    form = venue.form(venue.contract(), "BUY", 10 * FREEZE + 65, 100.0, autoslice="true")
    with pytest.raises(KiteError, match="at most 10"):
        venue.exchange.desk.submit(form)
    assert not venue.exchange.ledger.orders


def test_a_slice_that_cannot_be_paid_for_is_refused_alone(make_venue: Callable[..., Venue]) -> None:
    """Funds for one slice: the second is refused with the margin's words, the first is an order."""
    poor = make_venue(service=replace(ServiceSettings(), opening_cash=1_000_000.0))
    call = poor.contract()
    price = poor.depth(call, "SELL")[0][0] / 100
    affordable = 1_000_000.0 / (price * FREEZE)
    assert affordable > 1.0, "the venue's prices fit this test"
    count = int(affordable) + 1
    placement = poor.exchange.desk.submit(poor.form(call, "BUY", count * FREEZE, price, autoslice="true"))
    refused = placement.children[-1]
    assert isinstance(refused, KiteError)
    assert refused.kind == ErrorType.MARGIN
    assert "Insufficient funds" in refused.message
    assert len(placement.accepted) == count - 1


def test_an_iceberg_shows_one_leg_after_the_other(venue: Venue) -> None:
    """The next leg comes when one is complete, with the broker's meta; together they are the whole quantity."""
    call = venue.contract()
    ask = venue.depth(call, "BUY")[-1][0] / 100
    form = venue.form(call, "BUY", 195, ask, iceberg_legs="3", iceberg_quantity="65", tag="ice")
    first = venue.exchange.desk.submit(form, variety="iceberg").order_id
    venue.exchange.desk.process(first)
    assert len(venue.exchange.ledger.orders) == 2, "the first leg is filled, the second waits for the next step"
    for _ in range(60):
        venue.advance(5.0)
        legs = list(venue.exchange.ledger.orders.values())
        if len(legs) == 3 and legs[-1].is_terminal:
            break
    assert [leg.quantity for leg in legs] == [65, 65, 65]
    assert [leg.to_wire()["meta"]["iceberg"]["remaining_quantity"] for leg in legs] == [130, 65, 0]
    assert {leg.tag for leg in legs} == {"ice"}
    assert sum(leg.filled for leg in legs) == 195
    assert {leg.variety for leg in legs} == {"iceberg"}


def test_a_cancelled_leg_ends_its_iceberg(venue: Venue) -> None:
    """No leg follows one that was cancelled."""
    call = venue.contract()
    form = venue.form(call, "BUY", 195, 100.0, iceberg_legs="3", iceberg_quantity="65")
    desk = venue.exchange.desk
    first = desk.submit(form, variety="iceberg").order_id
    desk.process(first)
    desk.cancel("iceberg", first)
    desk.finish_cancel(first)
    venue.advance(1.0)
    assert len(venue.exchange.ledger.orders) == 1


@pytest.mark.parametrize(
    ("legs", "each", "words"),
    [("1", "195", "between 2 and 50"), ("51", "65", "between 2 and 50"), ("3", "64", "lot size"), ("2", "65", "legs")],
)
def test_icebergs_that_do_not_add_up_are_refused(venue: Venue, legs: str, each: str, words: str) -> None:
    """Legs, their quantity and the whole must fit."""
    form = venue.form(venue.contract(), "BUY", 195, 100.0, iceberg_legs=legs, iceberg_quantity=each)
    with pytest.raises(KiteError, match=words):
        venue.exchange.desk.submit(form, variety="iceberg")


def test_a_time_to_live_ends(venue: Venue) -> None:
    """A TTL order rests for its minutes of market time and is then cancelled."""
    call = venue.contract()
    bid = venue.depth(call, "SELL")[-1][0] / 100
    order = venue.place(call, "BUY", 65, bid - 15, validity="TTL", validity_ttl="2")
    assert order.to_wire()["validity_ttl"] == 2
    venue.advance(118.0)
    assert order.status == "OPEN"
    venue.restart()
    venue.advance(3.0)
    order = venue.exchange.ledger.orders[order.order_id]
    assert (order.status, order.cancelled) == ("CANCELLED", 65)
    assert "TTL" in (order.status_message or "")


def test_a_stop_market_order_of_a_future_becomes_a_protected_stop(venue: Venue) -> None:
    """Futures take SL-M with protection: it shows as SL with a limit from the trigger, and the broker's tags."""
    future = venue.contract("FUT")
    last = int(venue.exchange.floor.quotes.last[venue.row(future)]) // 10 * 10
    trigger = last + 100_00
    order = venue.place(
        future, "BUY", 65, order_type="SL-M", trigger_price=f"{trigger / 100:.2f}", market_protection="1"
    )
    assert (order.order_type, order.status, order.market_protection) == ("SL", "TRIGGER PENDING", 0.0)
    assert trigger < order.price <= trigger * 1.01
    assert order.tags == ["mktp", "mktp:1.00"]
    with pytest.raises(KiteError, match="market protection"):
        venue.place(future, "BUY", 65, order_type="SL-M", trigger_price=f"{trigger / 100:.2f}")


def test_stop_market_orders_are_refused_for_options_and_on_bse(make_venue: Callable[..., Venue]) -> None:
    """In words that name the rule, whatever protection comes along."""
    both = make_venue(market=MarketSettings(profiles=DEFAULT_PROFILES))
    universe = both.exchange.floor.day.universe
    sensex = next(row for row in universe.priced if row.name == "SENSEX" and row.kind == "FUT")
    option = next(row for row in universe.priced if row.exchange == "NFO" and row.kind == "CE")
    for contract, words in ((sensex, "not allowed on BSE"), (option, "not allowed for options")):
        form = both.form(contract, "BUY", contract.lot, order_type="SL-M", trigger_price="100.00")
        with pytest.raises(KiteError, match=words):
            both.exchange.desk.submit(form | {"market_protection": "-1"})


def test_an_algorithms_id_is_accepted(venue: Venue) -> None:
    """The registered algorithm's id changes nothing here."""
    order = venue.place(venue.contract(), "BUY", 65, 100.0, algo_id="1234567890")
    assert order.status != "REJECTED"


def test_exchange_ids_have_nineteen_digits(venue: Venue) -> None:
    """Ids are text of 19 digits, as the exchange's are; too long for a float."""
    order = venue.place(venue.contract(), "BUY", 65, 100.0)
    shown = order.to_wire()
    assert isinstance(shown["exchange_order_id"], str)
    assert len(shown["exchange_order_id"]) == 19
    assert shown["exchange_order_id"].isdigit()
    assert shown["exchange_timestamp"] == shown["order_timestamp"]


def test_some_cancelled_orders_repeat_their_quantity_as_pending(venue: Venue) -> None:
    """Whether a cancelled order says it is pending is a matter of chance, as at the broker; the truth is in its
    status.
    """
    call = venue.contract()
    desk = venue.exchange.desk
    seen: set[int] = set()
    for _ in range(12):
        order = venue.place(call, "BUY", 65, 100.0)
        desk.cancel("regular", order.order_id)
        desk.finish_cancel(order.order_id)
        row = order.to_wire()
        assert row["cancelled_quantity"] == 65
        seen.add(row["pending_quantity"])
    assert seen == {0, 65}


def roll(venue: Venue, then: Callable[[], Any]) -> Any:
    """Go to the close, do something, and open the next session."""
    floor = venue.exchange.floor
    venue.advance(floor.day.session.closes - floor.now() + 1.0)
    venue.exchange.close_session()
    result = then()
    venue.exchange.open_next_session()
    return result


def after_hours(venue: Venue, price: float, **more: str) -> str:
    """Place an after-market order while the market is closed."""
    future = venue.contract("FUT")
    return venue.exchange.desk.submit(venue.form(future, "BUY", 65, price, **more), variety="amo").order_id


def test_an_after_market_order_is_released_at_the_open(venue: Venue) -> None:
    """It waits as AMO REQ RECEIVED over the night, and over a restart, and then runs through the usual states."""
    last = int(venue.exchange.floor.quotes.last[venue.row(venue.contract("FUT"))]) // 10 * 10 / 100
    order_id = roll(venue, lambda: after_hours(venue, last - 200.0, tag="night"))
    order = venue.exchange.ledger.orders[order_id]
    assert order.status == "AMO REQ RECEIVED"
    venue.restart()
    order = venue.exchange.ledger.orders[order_id]
    venue.advance(1.0)
    assert order.status == "OPEN"
    assert (order.variety, order.tag) == ("amo", "night")
    assert "AMO REQ RECEIVED" in venue.statuses(order)


def test_an_after_market_order_can_be_changed_and_cancelled_before_the_open(venue: Venue) -> None:
    """Changed at once, cancelled at once: nothing of it reaches the market."""
    last = int(venue.exchange.floor.quotes.last[venue.row(venue.contract("FUT"))]) // 10 * 10 / 100

    def night() -> str:
        order_id = after_hours(venue, last - 200.0)
        desk = venue.exchange.desk
        desk.modify("amo", order_id, {"quantity": "130"})
        assert venue.exchange.ledger.orders[order_id].status == "MODIFY AMO REQ RECEIVED"
        desk.finish_change(order_id)
        order = venue.exchange.ledger.orders[order_id]
        assert (order.status, order.quantity) == ("AMO REQ RECEIVED", 130)
        desk.cancel("amo", order_id)
        desk.finish_cancel(order_id)
        assert order.status == "CANCELLED"
        return order_id

    roll(venue, night)
    venue.advance(1.0)
    assert not venue.exchange.ledger.orders


def test_a_closed_market_takes_no_regular_order(venue: Venue) -> None:
    """Only after-market orders are taken while it is closed."""

    def night() -> None:
        with pytest.raises(KiteError, match="Markets are closed"):
            venue.exchange.desk.submit(venue.form(venue.contract("FUT"), "BUY", 65, 24_000.0))

    roll(venue, night)


def test_an_order_with_an_origin_is_acted_on_by_itself(venue: Venue) -> None:
    """What the exchange makes itself (a trigger's order) needs nobody to process it."""
    call = venue.contract()
    placement = venue.exchange.desk.submit(venue.form(call, "BUY", 65, 100.0), origin="gtt")
    assert venue.exchange.ledger.orders[placement.order_id].status == "PUT ORDER REQ RECEIVED"
    venue.advance(0.5)
    assert venue.exchange.ledger.orders[placement.order_id].status == "OPEN"
