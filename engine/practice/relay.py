"""A market relayed from a live feed, with orders that never leave this process: paper trading.

What the clients and the open orders and positions need is subscribed upstream; frames go on to the clients as they
come. Invariant: nothing old is passed off as new. While the upstream is silent nothing is sent, nothing is filled, and
no snapshot answers a new subscription.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web

from engine.practice.book import Book
from engine.practice.calendar_facts import Session, TradingCalendar
from engine.practice.exchange import Exchange
from engine.practice.frame_exchange import FrameExchange, FrameFloor
from engine.practice.frame_market import FrameMarket
from engine.practice.frame_packets import read_runs
from engine.practice.frame_stream import FrameHub
from engine.practice.http_base import form
from engine.practice.ledger import Ledger
from engine.practice.relay_day import Rollover, dump_path, fetch_dump, session_of
from engine.practice.relay_feed import Credentials, UpstreamFeed
from engine.practice.relay_reads import UpstreamError, UpstreamReads
from engine.practice.session_clock import RealClock
from engine.practice.settings import RELAY_KEY, RELAY_TOKEN, ExchangeSettings
from engine.practice.tape_venue import ledger_of
from engine.practice.ticker_hub import TickerHub
from engine.practice.venue import BOOK_NAME, StartError

_log = logging.getLogger(__name__)
SOURCE = "relay"
_FIXED_CLOCK = "Market time is the real time here; it cannot be set."
_REST_SECONDS = 10.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_FOLLOW_SECONDS = 1.0
_RETRY_SECONDS = 30.0
_POLL_SECONDS = 0.01

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RelayDrive:
    """The market that an upstream feed brings.

    Args:
        settings: What the process was started with.
        http: The session to the upstream; closed with the drive.
        reads: REST of the upstream.
        credentials: What opens its ticker.
        exchange: The exchange that fills orders against it.
        book: Its book.
        clock: Market time.
        rollover: Takes it from day to day.
        generator: Jitter of the waits.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        *,
        http: aiohttp.ClientSession,
        reads: UpstreamReads,
        credentials: Credentials,
        exchange: FrameExchange,
        book: Book,
        clock: RealClock,
        rollover: Rollover,
        generator: random.Random,
    ) -> None:
        self._settings = settings
        self._http = http
        self._reads = reads
        self._relay = exchange
        self._book = book
        self._clock = clock
        self._rollover = rollover
        self._asked: dict[int, None] = {}
        self._trouble = ""
        self._follows = urlsplit(settings.relay_root).hostname in _LOOPBACK
        self.hub: TickerHub
        self._hub = self.hub = FrameHub(
            settings.service,
            exchange.market.board,
            conflates=True,
            tokens_limit=settings.service.max_tokens_per_connection,
        )
        self._feed = UpstreamFeed(http, credentials, settings.service, self._heard, generator)
        self._hub.beats = lambda _: self._feed.is_live
        self._hub.tells_newest = lambda: self._feed.is_live
        self._hub.changed = self._want
        exchange.market.is_fed = False

    @property
    def exchange(self) -> Exchange:
        """The exchange that fills orders against the feed."""
        return self._relay

    def install(self, app: web.Application) -> None:
        """Answer from the upstream what the newest packets do not."""
        app.middlewares.append(self._reaching)

    def status(self) -> dict[str, Any]:
        """How the upstream is."""
        feed = self._feed
        words = self._trouble
        if feed.is_refused:
            words = f"The upstream does not take the key and token: log in anew, set {RELAY_TOKEN}, and start again."
        return {
            "upstream": {
                "root": self._settings.relay_root,
                "stream": self._settings.relay_stream,
                "is_live": feed.is_live,
                "connections": [
                    {"number": own.number, "state": own.state, "instruments": len(own.tokens)}
                    for own in feed.connections
                ],
                "left_out": feed.left_out,
                "words": words,
            },
            "cut_sockets": list(self._hub.cut_sockets),
            "unreadable": self._relay.market.board.unreadable,
        }

    async def run(self) -> None:
        """Listen, step, and go from day to day, until cancelled."""
        self._relay.resume()
        self._want()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed.run(), name="relay-feed")
            group.create_task(self._step(), name="relay-steps")
            group.create_task(self._days(), name="relay-days")
            if self._follows:
                group.create_task(self._follow(), name="relay-clock")

    async def close(self) -> None:
        """Write the clock, close the book and the session."""
        self._relay.write_clock()
        self._book.close()
        await self._http.close()

    def _heard(self, frame: bytes) -> None:
        board = self._relay.market.board
        runs, is_whole = read_runs(frame)
        slots = board.apply(runs)
        board.unreadable += not is_whole
        self._hub.frame(frame, runs, slots)

    def _want(self) -> None:
        """Tell the feed what is needed: what money depends on first."""
        facts = self._relay.market.names
        indices = self._relay.market.frames.frame_quotes.all_index_tokens[: len(facts)]
        needed: Iterable[int] = self._relay.needed_tokens()
        self._feed.want([*indices, *needed, *self._asked, *sorted(self._hub.wanted())])

    async def _step(self) -> None:
        while True:
            self._relay.market.is_fed = self._feed.is_live
            self._relay.step()
            await asyncio.sleep(self._settings.service.step_seconds)

    async def _days(self) -> None:
        while True:
            try:
                if await self._rollover.advance(self._relay):
                    self._asked.clear()
                    self._want()
                self._trouble = ""
            except (UpstreamError, OSError, ValueError) as error:
                self._trouble = f"The next day cannot begin: {error}"
                _log.warning("%s", self._trouble)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _follow(self) -> None:
        """Take market time from an upstream on this machine that is a practice exchange itself."""
        while True:
            told = await self._reads.practice_time()
            if told is not None:
                self._clock.follow(*told)
            await asyncio.sleep(_FOLLOW_SECONDS)

    @web.middleware
    async def _reaching(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path.startswith("/instruments/historical/") or self._is_strange(request):
            query = [(name, value) for name, value in request.query.items()]
            told = await self._reads.pass_on(path, query)
            return web.Response(body=told.body, status=told.status, content_type=told.content_type)
        if request.method == "POST" and path.startswith(("/orders", "/margins", "/charges", "/gtt", "/alerts")):
            await self._first_packets(await _symbols(request))
        return await handler(request)

    def _is_strange(self, request: web.Request) -> bool:
        """Tell whether quotes are asked for of something that the feed does not carry."""
        if request.method != "GET" or request.path not in {"/quote", "/quote/ohlc", "/quote/ltp"}:
            return False
        universe = self._relay.floor.day.universe
        contracts = [universe.by_key.get(name) for name in request.query.getall("i", [])]
        known = {*universe.row_of, *self._relay.index_tokens} & self._feed.subscribed
        return not self._feed.is_live or any(row is None or row.token not in known for row in contracts)

    async def _first_packets(self, names: Iterable[str]) -> None:
        """Have instruments carried, and wait a moment for their first packets."""
        universe = self._relay.floor.day.universe
        tokens = [row.token for name in names if (row := universe.by_key.get(name)) is not None]
        for token in tokens:
            self._asked.pop(token, None)
            self._asked[token] = None
        while len(self._asked) > self._settings.service.max_tokens_per_connection:
            self._asked.pop(next(iter(self._asked)))
        if all(self._relay.floor.row(token) is not None for token in tokens):
            return
        self._want()
        deadline = time.monotonic() + self._settings.service.first_packet_seconds
        while time.monotonic() < deadline:
            self._relay.market.is_fed = self._feed.is_live
            self._relay.market.frames.refresh(self._relay.floor.now())
            self._relay.floor.quotes = self._relay.market.frames.at(self._relay.floor.now())
            if all(self._relay.floor.row(token) is not None for token in tokens):
                return
            await asyncio.sleep(_POLL_SECONDS)


async def open_relay(settings: ExchangeSettings) -> RelayDrive:
    """Open a relay with the book of a state folder.

    Raises:
        StartError: Credentials, instruments or addresses are missing.
        BookError: The folder's book is of another venue, or unreadable.
    """
    api_key, token = os.environ.get(RELAY_KEY, ""), os.environ.get(RELAY_TOKEN, "")
    if not api_key or not token:
        raise StartError(f"--relay needs the upstream's API key in {RELAY_KEY} and its access token in {RELAY_TOKEN}")
    http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=_REST_SECONDS))
    try:
        return await _open(settings, http, api_key, token)
    except BaseException:
        # Cancelled or failed: nobody else knows of these connections.
        await http.close()
        raise


async def _open(settings: ExchangeSettings, http: aiohttp.ClientSession, api_key: str, token: str) -> RelayDrive:
    calendar = TradingCalendar.load()
    reads = UpstreamReads(http, settings.relay_root, api_key, token)
    clock = RealClock(time.time)
    if urlsplit(settings.relay_root).hostname in _LOOPBACK and (told := await reads.practice_time()) is not None:
        clock.restart(*told)
    book = Book(settings.state / BOOK_NAME)
    try:
        ledger = ledger_of(book, settings, SOURCE, clock.now())
        session = _session_to_begin_with(settings, calendar, ledger, clock.now())
        try:
            dump = await fetch_dump(settings.state, session, reads)
        except UpstreamError as error:
            raise StartError(f"The list of instruments cannot be had: {error}") from error
        market = FrameMarket(calendar, settings.market, source=SOURCE, session=session, dump=dump)
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
        drive = RelayDrive(
            settings,
            http=http,
            reads=reads,
            credentials=Credentials(settings.relay_stream, api_key, token),
            exchange=exchange,
            book=book,
            clock=clock,
            rollover=Rollover(settings.state, calendar, reads),
            generator=random.Random(secrets.token_bytes(16)),  # noqa: S311 - jitter of waits, not a secret
        )
    except BaseException:
        # The book's lock would keep the next start out.
        book.close()
        raise
    return drive


def _session_to_begin_with(
    settings: ExchangeSettings, calendar: TradingCalendar, ledger: Ledger, now: float
) -> Session:
    """Return the session that the book stands in, else the present one.

    Raises:
        StartError: The list of instruments of the book's session is gone.
    """
    if not ledger.day:
        return session_of(calendar, now)
    day = date.fromisoformat(ledger.day)
    session = calendar.session(day)
    if session is None or not dump_path(settings.state, day).exists():
        raise StartError(
            f"{settings.state} holds a book of {day}, but not the list of instruments of that day; use another --state "
            "folder, or bring the file back"
        )
    return session


async def _symbols(request: web.Request) -> list[str]:
    """Return the instruments that a request names, as ``EXCHANGE:SYMBOL``: in a form, in its condition, or in JSON."""
    rows: list[object] = [await form(request)]
    try:
        if request.content_type == "application/json":
            body = msgspec.json.decode(await request.read())
            rows = body if isinstance(body, list) else [body]
        elif isinstance(rows[0], Mapping) and "condition" in rows[0]:
            rows.append(msgspec.json.decode(rows[0]["condition"]))
    except msgspec.DecodeError:
        _log.debug("a body that is no JSON is the route's to refuse")
    found = [row for row in rows if isinstance(row, Mapping)]
    return [f"{row.get('exchange', '')}:{row.get('tradingsymbol', '')}" for row in found]
