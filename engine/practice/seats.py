"""The accounts of a venue beside the first: each with its own book, funds and limits, on the same floor.

Invariant: one market, one queue at every price; what one account takes is not there for another. Each account's book
is a file of its own, and belongs to the same venue as the first one's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.practice.accounts import AccountRow, account_rows
from engine.practice.book import Book, BookError
from engine.practice.calendar_facts import TradingCalendar
from engine.practice.exchange import Exchange
from engine.practice.http_base import Services
from engine.practice.ledger import Ledger
from engine.practice.limits import Limits
from engine.practice.settings import ExchangeSettings


class Seats:
    """The further accounts of a running venue.

    Args:
        settings: What the process was started with.
        leader: The first account.
        wall: A monotonic clock.

    Raises:
        BookError: An account's book is unreadable, or of another venue.
    """

    def __init__(self, settings: ExchangeSettings, leader: Exchange, wall: Callable[[], float]) -> None:
        self._settings = settings
        self._leader = leader
        self._wall = wall
        self._calendar = TradingCalendar.load()
        self._books: list[Book] = []
        self.exchanges: dict[str, Exchange] = {}
        """By key."""
        for row in account_rows(settings.accounts)[1:]:
            self.exchanges[row.api_key] = self._open(row)

    def services(self, first: Services, clock: Callable[[], float] = time.time) -> Services:
        """Return the first account's services with those of the others in them."""
        seats = {
            key: replace(first, exchange=exchange, limits=Limits(self._settings.service, clock))
            for key, exchange in self.exchanges.items()
        }
        return replace(first, seats=seats)

    def close(self) -> None:
        """Close the books."""
        for book in self._books:
            book.close()

    def _open(self, row: AccountRow) -> Exchange:
        leader, service = self._leader, self._settings.service
        book = Book(self._settings.state / f"book-{row.user_id}.journal")
        self._books.append(book)
        ledger = Ledger(service.opening_cash)
        ledger.replay(book.replay())
        venue = leader.ledger.venue
        if venue is not None and ledger.venue is None:
            book.append([venue], durable=True)
            ledger.apply(venue)
        elif ledger.venue != venue:
            raise BookError(
                f"{self._settings.state} holds a book of account {row.user_id} that belongs to another venue than "
                "the first account's. Use another --state folder."
            )
        day = ledger.day
        exchange = Exchange(
            settings=service,
            calendar=self._calendar,
            market=leader.market,
            floor=leader.floor,
            book=book,
            ledger=ledger,
            notify=_nobody,
            wall=self._wall,
            leader=leader,
            account=row.user_id,
            seat=row.seat,
        )
        if day:
            self._catch_up(exchange)
        exchange.resume()
        return exchange

    def _catch_up(self, exchange: Exchange) -> None:
        """Carry an account over the sessions that the venue held without it."""
        market, today = exchange.market, exchange.floor.day.session.day
        ended = market.session_at(exchange.ledger.moment)
        while ended.day < today:
            following = market.session_after(ended)
            exchange.begin_day(market.day(ended), market.day(following))
            ended = following


def _nobody(update: dict[str, Any]) -> None:
    """Order updates of a start go nowhere: no socket is open yet."""
    del update
