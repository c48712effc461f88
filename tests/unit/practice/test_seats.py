"""Further accounts of a venue through its sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest

from engine.practice.book import BookError
from engine.practice.exchange import Exchange
from engine.practice.orders import Order
from engine.practice.seats import Seats
from tests.unit.practice.conftest import Venue


@pytest.fixture
def seat(venue: Venue) -> Iterator[Callable[[], Exchange]]:
    """Open the second account of the venue, as each start does."""
    opened: list[Seats] = []

    def open_second() -> Exchange:
        for seats in opened:
            seats.close()
        opened[:] = [Seats(replace(venue.settings, accounts=2), venue.exchange, venue.wall)]
        return opened[0].exchanges["practice2"]

    yield open_second
    for seats in opened:
        seats.close()


def buy(venue: Venue, exchange: Exchange, lots: int = 1) -> Order:
    """Buy at the ask in the future, for the account of an exchange."""
    future = venue.contract("FUT")
    form = venue.form(future, "BUY", 65 * lots, venue.depth(future, "BUY")[-1][0] / 100)
    order_id = exchange.desk.place("regular", form)
    exchange.desk.process(order_id)
    return exchange.ledger.orders[order_id]


def close(venue: Venue) -> None:
    """Let the session end."""
    floor = venue.exchange.floor
    venue.advance(floor.day.session.closes - floor.now() + 1.0)
    venue.exchange.close_session()


def held(exchange: Exchange) -> list[tuple[int, int]]:
    """Return (quantity, carried) of every position."""
    return [(row.quantity, row.overnight) for row in exchange.ledger.positions.values()]


def test_what_one_account_took_is_not_there_for_another(venue: Venue, seat: Callable[[], Exchange]) -> None:
    """Both want all that is shown at the best price: the second gets nothing of it."""
    second, call = seat(), venue.contract()
    price, size = venue.depth(call, "BUY")[0]
    first = venue.place(call, "BUY", size, price / 100)
    order_id = second.desk.place("regular", venue.form(call, "BUY", size, price / 100))
    second.desk.process(order_id)
    late = second.ledger.orders[order_id]
    assert (first.filled, late.filled) == (size, 0)
    assert first.order_id != late.order_id
    assert late.exchange_order_id not in {None, first.exchange_order_id}


def test_positions_of_all_accounts_are_carried(venue: Venue, seat: Callable[[], Exchange]) -> None:
    """Each account goes into the next session with its own position, over restarts too."""
    second = seat()
    buy(venue, venue.exchange)
    buy(venue, second, lots=2)
    close(venue)
    venue.exchange.open_next_session()
    assert (held(venue.exchange), held(second)) == ([(65, 65)], [(130, 130)])
    venue.restart()
    assert held(seat()) == [(130, 130)]


def test_a_death_between_two_accounts_days_is_made_good(venue: Venue, seat: Callable[[], Exchange]) -> None:
    """The process dies when the second account has entered the new day and the first has not: nothing is settled
    twice.
    """
    second = seat()
    buy(venue, venue.exchange)
    buy(venue, second, lots=2)
    close(venue)
    with patch.object(venue.book, "compact", side_effect=OSError(5, "died here")), pytest.raises(OSError, match="died"):
        venue.exchange.open_next_session()
    cash = second.ledger.opening_cash
    venue.restart()
    second = seat()
    venue.exchange.close_session()
    venue.exchange.open_next_session()
    assert (held(venue.exchange), held(second)) == ([(65, 65)], [(130, 130)])
    assert second.ledger.opening_cash == cash


def test_an_account_that_was_away_catches_up(venue: Venue, seat: Callable[[], Exchange]) -> None:
    """Two sessions later its position is carried and its orders are gone."""
    second = seat()
    buy(venue, second, lots=2)
    close(venue)
    venue.restart()  # the venue goes on without the second account
    venue.exchange.open_next_session()
    close(venue)
    venue.exchange.open_next_session()
    second = seat()
    assert held(second) == [(130, 130)]
    assert not second.ledger.orders
    assert second.ledger.day == venue.exchange.ledger.day


def test_a_book_of_another_venue_is_refused(
    venue: Venue, make_venue: Callable[..., Venue], seat: Callable[[], Exchange]
) -> None:
    """An account's book does not go with another seed."""
    seat()
    other = make_venue(seed=99)
    name = "book-PR0002.journal"
    (other.settings.state / name).write_bytes((venue.settings.state / name).read_bytes())
    with pytest.raises(BookError, match="PR0002 that belongs to another venue"):
        Seats(replace(other.settings, accounts=2), other.exchange, other.wall)
