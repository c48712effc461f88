"""A halt of derivatives: quotes stand still, orders are taken and nothing trades, until it is over."""

from __future__ import annotations

import numpy as np

from tests.unit.practice.conftest import Venue

CROSSING_RUPEES = 20


def test_in_a_halt_nothing_of_a_contract_changes_and_indices_go_on(venue: Venue) -> None:
    """Prices, sizes, volume and interest stay; the index and market time move; afterwards the day is as without it."""
    exchange = venue.exchange
    exchange.halt(True)
    before = exchange.floor.quotes
    venue.advance(60.0)
    during = exchange.floor.quotes
    for name in ("last", "volume", "open_interest", "bid_price", "bid_quantity", "ask_price", "ask_quantity"):
        assert np.array_equal(getattr(before, name), getattr(during, name)), name
    assert not np.array_equal(before.index_last, during.index_last)
    assert during.moment == before.moment + 60.0
    exchange.halt(False)
    after, never_halted = exchange.floor.quotes, exchange.floor.day.market.at(exchange.floor.now())
    assert np.array_equal(after.last, never_halted.last)
    assert not np.array_equal(after.last, during.last)


def test_orders_are_taken_and_cancelled_and_trade_only_when_it_is_over(venue: Venue) -> None:
    """One that crosses rests; another is cancelled; with the halt over the first one fills."""
    exchange, call = venue.exchange, venue.contract()
    exchange.halt(True)
    price = venue.depth(call, "BUY")[0][0] / 100 + CROSSING_RUPEES
    order, other = venue.place(call, "BUY", 65, price), venue.place(call, "BUY", 65, price)
    exchange.desk.cancel("regular", other.order_id)
    exchange.desk.finish_cancel(other.order_id)
    venue.advance(30.0)
    assert (order.status, order.filled, other.status) == ("OPEN", 0, "CANCELLED")
    exchange.halt(False)
    venue.advance(1.0)
    assert (order.status, order.filled) == ("COMPLETE", 65)


def test_the_next_session_is_not_halted(venue: Venue) -> None:
    """A halt ends with its day."""
    exchange = venue.exchange
    exchange.halt(True)
    exchange.close_session()
    exchange.open_next_session()
    call = venue.contract()
    order = venue.place(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100)
    assert not exchange.floor.is_halted
    assert order.filled == 65
