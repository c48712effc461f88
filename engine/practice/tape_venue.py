"""A venue that plays a tape: its identity, its session, its exchange and its player, put together.

The tape and the session it holds make the venue; its book and its place on the tape lie in the state folder.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

from engine.core.errors import InvalidInput
from engine.core.replay import SPEED_MAX, SPEED_MIN
from engine.practice.book import Book, BookError, VenueRecord
from engine.practice.calendar_facts import Session, TradingCalendar, indian
from engine.practice.frame_exchange import FrameExchange, FrameFloor
from engine.practice.frame_market import FrameMarket, write_dump
from engine.practice.frame_stream import FrameHub
from engine.practice.ledger import Ledger
from engine.practice.playback import Player
from engine.practice.session_clock import FeedClock
from engine.practice.settings import ExchangeSettings
from engine.practice.tape_position import PositionFile
from engine.practice.tape_timeline import SECOND_NS
from engine.practice.venue import BOOK_NAME, StartError
from engine.tape.reader import TapeReader

POSITION_NAME, DUMP_NAME, HEADER_NAME = "tape.position", "instruments.csv", "header.json"
SOURCE = "tape"
_DIGEST_CHARACTERS = 16
_FIXED_CLOCK = "Market time is the tape's here; use /practice/playback to pause, to seek, or to change the speed."


@dataclass(frozen=True, slots=True)
class TapeVenue:
    """Everything that plays one tape."""

    reader: TapeReader
    exchange: FrameExchange
    book: Book
    hub: FrameHub
    player: Player
    position: PositionFile

    def close(self) -> None:
        """Let go of the files."""
        self.position.close()
        self.book.close()
        self.reader.close()


def open_tape(settings: ExchangeSettings, tape: Path) -> TapeVenue:
    """Open a tape with the book of a state folder.

    Raises:
        StartError: There is no tape at this place, it holds nothing, or the speed is out of range.
        BookError: The folder's book is of another tape, or unreadable.
        ValueError: The tape's instruments cannot be used.
    """
    if not SPEED_MIN <= settings.speed <= SPEED_MAX:
        raise StartError(f"--speed must lie between {SPEED_MIN:g} and {SPEED_MAX:g} for a tape, not {settings.speed:g}")
    try:
        reader = TapeReader(tape)
    except InvalidInput as error:
        raise StartError(str(error)) from error
    try:
        return _open(settings, reader)
    except BaseException:
        # The venue that was to own the reader does not come about.
        reader.close()
        raise


def _open(settings: ExchangeSettings, reader: TapeReader) -> TapeVenue:
    if not reader.records_total:
        raise StartError(f"The tape {reader.path} holds no records. {reader.damage}".rstrip())
    calendar = TradingCalendar.load()
    session = tape_session(calendar, reader.start_ns / SECOND_NS, reader.end_ns / SECOND_NS)
    dump = write_dump(settings.state / DUMP_NAME, reader.instruments_csv())
    market = FrameMarket(calendar, settings.market, source=SOURCE, session=session, dump=dump)
    book, ledger = _open_book(settings, identity(reader.path), reader.start_ns / SECOND_NS)
    try:
        clock = FeedClock(reader.start_ns / SECOND_NS)
        exchange = FrameExchange(
            fixed_clock=_FIXED_CLOCK,
            settings=settings.service,
            calendar=calendar,
            market=market,
            floor=FrameFloor(market, clock),
            book=book,
            ledger=ledger,
            notify=lambda _: None,
            wall=time.monotonic,
        )
        position = PositionFile(settings.state / POSITION_NAME)
        hub = FrameHub(settings.service, market.board, conflates=False, tokens_limit=0)
        exchange.changes.redirect(hub.order_update)
        player = Player(
            reader,
            reader.header.note or reader.path.name,
            exchange=exchange,
            clock=clock,
            hub=hub,
            position=position,
            speed=settings.speed,
            play=settings.play,
        )
        hub.greeting = player.greeting
        hub.tells_newest = lambda: not player.is_lost
        # While it plays the tape's own clock is heard at least once a second; slower or paused somebody must speak.
        hub.beats = lambda _: player.is_standing or player.view().speed < 1.0
    except BaseException:
        # The book's lock would keep the next start out.
        book.close()
        raise
    return TapeVenue(reader, exchange, book, hub, player, position)


def tape_session(calendar: TradingCalendar, start: float, end: float) -> Session:
    """Return the session in which a tape's orders are taken: its part of the day's session, else all of it.

    Args:
        calendar: Trading sessions.
        start: First instant of the tape, epoch seconds.
        end: Last instant.
    """
    day = indian(start).date()
    regular = calendar.session(day)
    if regular is None or regular.closes <= start or regular.opens >= end:
        # Recorded of a practice market outside the real hours.
        return Session(day, start, end, end, end, extended=True)
    return replace(regular, opens=max(regular.opens, start), closes=min(regular.closes, end))


def identity(folder: Path) -> str:
    """Return what tells a tape from others: a digest of its header, or its name when the header is lost."""
    try:
        content = (folder / HEADER_NAME).read_bytes()
    except OSError:
        content = folder.name.encode()
    return f"{SOURCE}:{hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]}"


def _open_book(settings: ExchangeSettings, source: str, start: float) -> tuple[Book, Ledger]:
    book = Book(settings.state / BOOK_NAME)
    try:
        return book, ledger_of(book, settings, source, start)
    except BaseException:
        # As above: a book that cannot be read is let go of.
        book.close()
        raise


def ledger_of(book: Book, settings: ExchangeSettings, source: str, start: float) -> Ledger:
    """Replay a venue's book; a new one is given its venue.

    Raises:
        BookError: The book is of another venue, or unreadable.
    """
    ledger = Ledger(settings.service.opening_cash)
    ledger.replay(book.replay())
    if ledger.venue is None:
        venue = VenueRecord(settings.seed, source, start)
        book.append([venue], durable=True)
        ledger.apply(venue)
    elif ledger.venue.source != source:
        raise BookError(
            f"{settings.state} holds the book of another venue ({ledger.venue.source}); this start asks for {source}. "
            "Use another --state folder for it."
        )
    return ledger
