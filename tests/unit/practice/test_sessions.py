"""Sessions from open to settlement, and restarts in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.practice.book import BookError
from engine.practice.contracts import Contract
from engine.practice.settings import ServiceSettings
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import Venue


def test_a_restart_loses_nothing(venue: Venue) -> None:
    """Orders, histories, trades, positions, counters and market time are the same after the memory is gone."""
    call = venue.contract()
    filled = venue.place(call, "BUY", 130, venue.depth(call, "BUY")[1][0] / 100, tag="abc")
    resting = venue.place(call, "SELL", 65, venue.depth(call, "BUY")[0][0] / 100 + 20)
    venue.advance(5.0)
    ledger, moment = venue.exchange.ledger, venue.exchange.floor.now()
    before = (
        [order.to_wire() for order in ledger.orders.values()],
        ledger.histories,
        ledger.trades,
        {key: position.to_wire(1.0, day_only=False) for key, position in ledger.positions.items()},
    )
    venue.restart()
    ledger = venue.exchange.ledger
    after = (
        [order.to_wire() for order in ledger.orders.values()],
        ledger.histories,
        ledger.trades,
        {key: position.to_wire(1.0, day_only=False) for key, position in ledger.positions.items()},
    )
    assert after == before
    assert moment <= venue.exchange.floor.now() <= moment + 3.0
    next_order = venue.place(call, "SELL", 65, venue.depth(call, "BUY")[0][0] / 100 + 20)
    assert next_order.order_id not in {filled.order_id, resting.order_id}


def test_an_accepted_order_is_acted_on_after_a_restart(venue: Venue) -> None:
    """A kill between the answer and the action: the order is processed by the next process."""
    call = venue.contract()
    order_id = venue.exchange.desk.place("regular", venue.form(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100))
    assert venue.exchange.ledger.orders[order_id].status == "PUT ORDER REQ RECEIVED"
    venue.restart()
    assert venue.exchange.ledger.orders[order_id].status != "PUT ORDER REQ RECEIVED"
    assert venue.exchange.ledger.histories[order_id][1]["status"] == "VALIDATION PENDING"


def test_an_accepted_cancellation_is_finished_after_a_restart(venue: Venue) -> None:
    """A kill after a cancel was accepted: the order is cancelled by the next process."""
    call = venue.contract()
    order = venue.place(call, "BUY", 65, venue.depth(call, "SELL")[0][0] / 100 - 10)
    venue.exchange.desk.cancel("regular", order.order_id)
    venue.restart()
    assert venue.exchange.ledger.orders[order.order_id].status == "CANCELLED"


def test_another_venue_is_refused(venue: Venue) -> None:
    """A folder's book cannot be continued with another seed."""
    venue.settings = replace(venue.settings, seed=99)
    with pytest.raises(BookError, match="another venue"):
        venue.restart()


def roll(venue: Venue) -> None:
    """Go to the close and into the next session."""
    floor = venue.exchange.floor
    venue.advance(floor.day.session.closes - floor.now() + 1.0)
    assert venue.exchange.session_is_over
    venue.exchange.close_session()
    venue.exchange.open_next_session()


def test_the_close_cancels_day_orders_and_squares_intraday(venue: Venue) -> None:
    """At the close resting orders lapse and MIS positions are closed at the last price, visible as an order."""
    call = venue.contract()
    venue.place(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100, product="MIS")
    resting = venue.place(call, "BUY", 65, venue.depth(call, "SELL")[0][0] / 100 - 15)
    floor = venue.exchange.floor
    venue.advance(floor.day.session.closes - floor.now() + 1.0)
    venue.exchange.close_session()
    assert resting.is_terminal
    square = list(venue.exchange.ledger.orders.values())[-1]
    assert (square.placed_by, square.side, square.status) == ("ADMINSQF", "SELL", "COMPLETE")
    position = venue.exchange.ledger.positions["NFO", call.symbol, "MIS"]
    assert position.quantity == 0
    with pytest.raises(KiteError, match="Markets are closed"):
        venue.exchange.desk.place("regular", venue.form(call, "BUY", 65, 100.0))


def test_positions_are_carried_with_the_close(venue: Venue) -> None:
    """Overnight units keep their average, take the previous close, and the day's order book starts empty."""
    call, exchange = venue.contract(), venue.exchange
    order = venue.place(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100)
    cash = exchange.ledger.opening_cash
    roll(venue)
    position = exchange.ledger.positions["NFO", call.symbol, "NRML"]
    assert (position.overnight, position.quantity) == (65, 65)
    assert position.average == order.average
    assert position.close_paise == exchange.floor.quotes.close[venue.row(call)]
    assert not exchange.ledger.orders
    assert not exchange.ledger.trades
    assert exchange.ledger.opening_cash == pytest.approx(cash - order.filled_value / 100)
    assert exchange.floor.day.session.day.isoformat() == "2026-11-20"
    venue.restart()
    assert venue.exchange.ledger.positions["NFO", call.symbol, "NRML"].overnight == 65
    assert venue.exchange.floor.day.session.day.isoformat() == "2026-11-20"


def test_expired_options_settle_in_cash(make_venue: Callable[..., Venue]) -> None:
    """On the expiry day a long call in the money becomes its intrinsic value at the index, and the position ends."""
    venue = make_venue(start="2026-11-23T15:00:00+05:30")
    exchange, call = venue.exchange, venue.contract("CE", -10)
    order = venue.place(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100)
    assert order.status == "COMPLETE"
    cash = exchange.ledger.opening_cash
    roll(venue)
    first = exchange.market.first_session
    level = exchange.market.day(first).market.at(first.closes).index_last[0]
    settled = max(int(level) - call.strike, 0) / 100 * 65
    assert settled > 0
    assert exchange.ledger.opening_cash == pytest.approx(cash - order.filled_value / 100 + settled)
    assert not exchange.ledger.positions


def test_contracts_that_expire_stop_before_the_session(make_venue: Callable[..., Venue]) -> None:
    """From December 2026 an expiring index contract lapses at 15:30 while the session runs to 15:45."""
    venue = make_venue(start="2026-12-08T15:29:30+05:30")
    call = venue.contract()
    assert call.expiry is not None
    assert call.expiry.isoformat() == "2026-12-08"
    order = venue.place(call, "SELL", 65, venue.depth(call, "BUY")[0][0] / 100 + 15)
    assert order.status == "OPEN"
    venue.advance(40.0)
    assert not venue.exchange.session_is_over
    assert order.status == "CANCELLED"
    with pytest.raises(KiteError):
        venue.exchange.desk.place("regular", venue.form(call, "BUY", 65, 100.0))


def test_a_contract_without_a_price_is_rejected_honestly(venue: Venue) -> None:
    """An instrument that is listed but not simulated cannot be traded, and the rejection says why."""
    universe = venue.exchange.floor.day.universe
    ghost = Contract(
        777 * 256 + 2, 777, "GHOST26NOV100CE", "GHOST", venue.contract().expiry, 100_00, 5, 65, "CE", "NFO-OPT", "NFO"
    )
    universe.by_key[ghost.key] = ghost
    universe.by_token[ghost.token] = ghost
    order = venue.place(ghost, "BUY", 65, 10.0)
    assert order.status == "REJECTED"
    assert "no prices" in (order.status_message or "")


def test_every_request_is_counted(venue: Venue) -> None:
    """Placements that reached the exchange are counted by tag over a restart, refused ones included."""
    venue.exchange.count_post("t1")
    venue.exchange.count_post(None)
    venue.exchange.step()
    venue.restart()
    assert venue.exchange.ledger.posts == 2
    assert venue.exchange.ledger.tags["t1"] == 1


def test_an_intraday_short_is_bought_back(venue: Venue) -> None:
    """An MIS short is squared by a buy; its margin is free again on the next day."""
    call = venue.contract()
    venue.place(call, "SELL", 65, venue.depth(call, "SELL")[0][0] / 100, product="MIS")
    exchange = venue.exchange
    assert exchange.funds.view(exchange.floor.day, exchange.floor.quotes).blocked.span > 100_000
    roll(venue)
    assert not exchange.ledger.positions
    assert exchange.funds.view(exchange.floor.day, exchange.floor.quotes).blocked.total == 0.0


def test_futures_are_marked_to_market_in_cash(venue: Venue) -> None:
    """A carried future's gain of the day becomes cash at its close, and the next day starts from that close."""
    future, exchange = venue.contract("FUT"), venue.exchange
    order = venue.place(future, "BUY", 65, venue.depth(future, "BUY")[0][0] / 100)
    assert order.status == "COMPLETE"
    view = exchange.funds.view(exchange.floor.day, exchange.floor.quotes)
    assert view.blocked.exposure == pytest.approx(0.02 * 65 * exchange.floor.quotes.index_last[0] / 100)
    cash = exchange.ledger.opening_cash
    roll(venue)
    position = exchange.ledger.positions["NFO", future.symbol, "NRML"]
    gain = (position.close_paise - order.filled_value / order.filled) / 100 * 65
    assert exchange.ledger.opening_cash == pytest.approx(cash + gain)


def test_buying_back_a_short_needs_no_free_funds(make_venue: Callable[..., Venue]) -> None:
    """An account whose funds are bound in a short can still close it."""
    venue = make_venue(service=replace(ServiceSettings(), opening_cash=215_000.0))
    call = venue.contract()
    assert venue.place(call, "SELL", 65, venue.depth(call, "SELL")[0][0] / 100).status == "COMPLETE"
    assert venue.place(call, "SELL", 65, venue.depth(call, "SELL")[0][0] / 100).status == "REJECTED"
    assert venue.place(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100).status == "COMPLETE"
    assert venue.exchange.ledger.positions["NFO", call.symbol, "NRML"].quantity == 0


def test_the_market_is_closed_for_a_process_that_comes_back_between_sessions(venue: Venue) -> None:
    """A restart after the close does not take orders for the ended day, and opens the next one as before."""
    call = venue.contract()
    floor = venue.exchange.floor
    venue.advance(floor.day.session.closes - floor.now() + 1.0)
    venue.exchange.close_session()
    venue.restart()
    with pytest.raises(KiteError, match="Markets are closed"):
        venue.exchange.desk.place("regular", venue.form(call, "BUY", 65, 100.0))
    venue.exchange.close_session()
    venue.exchange.open_next_session()
    assert venue.exchange.floor.day.session.day.isoformat() == "2026-11-20"
    assert not venue.exchange.floor.closed


@pytest.mark.parametrize(
    ("start", "words"), [("yesterday", "is not a time"), ("2026-11-21T11:00:00", None), ("auto", None)]
)
def test_where_market_time_begins(make_venue: Callable[..., Venue], start: str, words: str | None) -> None:
    """A start in words is refused; a Saturday begins at the next open; auto begins in a session."""
    if words is not None:
        with pytest.raises(ValueError, match=words):
            make_venue(start=start)
        return
    floor = make_venue(start=start).exchange.floor
    assert floor.day.session.opens <= floor.now() < floor.day.session.closes
    if start != "auto":
        assert floor.day.session.day.isoformat() == "2026-11-23"
