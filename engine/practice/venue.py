"""Putting a venue together: which source, where market time begins, and whether a book on disk belongs to it."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.practice.book import Book, BookError, VenueRecord
from engine.practice.calendar_facts import IST, TradingCalendar
from engine.practice.contracts import Contract, read_dump
from engine.practice.exchange import Exchange
from engine.practice.floor import Floor
from engine.practice.ledger import Ledger
from engine.practice.market import Market
from engine.practice.nse_snapshot import Snapshot, read_snapshot
from engine.practice.session_clock import MarketClock
from engine.practice.settings import ExchangeSettings

BOOK_NAME = "book.journal"
AUTOMATIC_START = "auto"


class StartError(ValueError):
    """The exchange cannot start with what it was given; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Source:
    """What the market is made from."""

    dump: list[Contract] | None
    snapshot: Snapshot | None
    identity: str


def read_source(settings: ExchangeSettings) -> Source:
    """Read the input files that were named.

    Raises:
        InstrumentsFileError: The dump or snapshot cannot be read.
        SnapshotError: The snapshot is not an option chain.
    """
    parts = []
    dump = snapshot = None
    if settings.instruments is not None:
        dump = read_dump(settings.instruments)
        parts.append(f"instruments:{zlib.crc32(settings.instruments.read_bytes()):08x}")
    if settings.snapshot is not None:
        snapshot = read_snapshot(settings.snapshot)
        parts.append(f"snapshot:{zlib.crc32(settings.snapshot.read_bytes()):08x}")
    return Source(dump, snapshot, "+".join(parts) or "generated")


def start_moment(settings: ExchangeSettings, source: Source, calendar: TradingCalendar, now: float) -> float:
    """Return where a new venue's market time begins (epoch seconds).

    Args:
        settings: The start that was asked for.
        source: A snapshot fixes the start; a dump limits it to days on which its contracts live.
        calendar: Trading sessions.
        now: The real time.

    Raises:
        StartError: The start cannot be read or contradicts the snapshot.
    """
    if source.snapshot is not None:
        if settings.start != AUTOMATIC_START:
            raise StartError("--start cannot be combined with --snapshot: a session opens at the snapshot's moment")
        return source.snapshot.moment
    if settings.start == AUTOMATIC_START:
        moment = now
        expiries = [row.expiry for row in source.dump or () if row.expiry is not None]
        if expiries:
            session = calendar.session(calendar.on_or_before(min(expiries)))
            if session is not None and moment > session.closes:
                moment = session.opens
    else:
        try:
            asked = datetime.fromisoformat(settings.start)
        except ValueError as error:
            raise StartError(
                f"--start {settings.start!r} is not a time; give ISO text such as 2026-11-19T09:15:00+05:30, or auto"
            ) from error
        moment = (asked if asked.tzinfo else asked.replace(tzinfo=IST)).timestamp()
    return max(moment, calendar.session_at_or_after(moment).opens)


def open_exchange(
    settings: ExchangeSettings,
    notify: Callable[[dict[str, Any]], None],
    wall: Callable[[], float] = time.monotonic,
    real_time: Callable[[], float] = time.time,
) -> tuple[Exchange, Book]:
    """Open the book of a state folder and bring its exchange to where it was, or create both.

    Args:
        settings: What the process was started with.
        notify: Receives order updates.
        wall: Monotonic clock.
        real_time: Wall clock in epoch seconds; only where a new venue's time begins depends on it.

    Raises:
        StartError: See ``start_moment``.
        BookError: The folder's book is of another venue, or unreadable.
        ValueError: An input file cannot be used.
    """
    calendar = TradingCalendar.load()
    source = read_source(settings)
    book = Book(settings.state / BOOK_NAME)
    records = book.replay()
    ledger = Ledger(settings.service.opening_cash)
    ledger.replay(records)
    if ledger.venue is None:
        moment = start_moment(settings, source, calendar, real_time())
        venue = VenueRecord(settings.seed, source.identity, moment)
        book.append([venue], durable=True)
        ledger.apply(venue)
    else:
        venue = ledger.venue
        _check_same_venue(settings, source, venue)
    first = (
        calendar.snapshot_session(venue.start, settings.market.extended_session_seconds)
        if source.snapshot is not None
        else calendar.session_at_or_after(venue.start)
    )
    market = Market(
        calendar,
        settings.market,
        seed=settings.seed,
        first=first,
        dump=source.dump,
        snapshot=source.snapshot,
    )
    clock = MarketClock(ledger.moment, settings.speed, wall)
    exchange = Exchange(
        settings=settings.service,
        calendar=calendar,
        market=market,
        floor=Floor(market.day(market.session_at(ledger.moment)), clock),
        book=book,
        ledger=ledger,
        notify=notify,
        wall=wall,
    )
    exchange.resume()
    return exchange, book


def _check_same_venue(settings: ExchangeSettings, source: Source, venue: VenueRecord) -> None:
    if (settings.seed, source.identity) != (venue.seed, venue.source):
        raise BookError(
            f"{settings.state} holds the book of another venue (seed {venue.seed}, source {venue.source}); "
            f"this start asks for seed {settings.seed}, source {source.identity}. Use another --state folder for it."
        )
