"""A candle service on a real board, calendar and store in memory, with a broker's history that keeps state."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from engine.bar_days import BarDays
from engine.bars_service import BarsService
from engine.bars_settings import BarsSettings
from engine.calendar.session_table import read_sessions
from engine.calendar.sessions import SessionCalendar
from engine.core.bars import BarInterval, BarSource, HistoricalBars, PriceBar
from engine.core.errors import BrokerError, BrokerRejected
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.venue import VenueReading
from storage.memory import MemoryRepositories, MemoryStore
from tests.unit.engine.market_desk import FeedClock, settle
from tests.unit.market.feed_kit import NS, Feed

DAY = date(2026, 11, 19)
"""A Thursday; derivatives trade from 09:15 to 15:40, indices move until 15:15."""
FUTURE = Instrument(
    token=(201 << 8) + 2,
    exchange_token=201,
    tradingsymbol="NIFTY26NOVFUT",
    exchange=Exchange.NFO,
    name="NIFTY",
    kind=InstrumentKind.FUTURE,
    segment="NFO-FUT",
    expiry=date(2026, 11, 26),
)
OPTION = Instrument(
    token=(202 << 8) + 2,
    exchange_token=202,
    tradingsymbol="NIFTY26NOV24000CE",
    exchange=Exchange.NFO,
    name="NIFTY",
    kind=InstrumentKind.CALL,
    segment="NFO-OPT",
    expiry=date(2026, 11, 26),
    strike=Decimal(24_000),
)
INDEX = Instrument(
    token=(1_001 << 8) + 9,
    exchange_token=1_001,
    tradingsymbol="NIFTY 50",
    exchange=Exchange.NSE,
    name="NIFTY 50",
    kind=InstrumentKind.INDEX,
    segment="INDICES",
)
LISTED = (FUTURE, OPTION, INDEX)
EXPIRED = InstrumentKey(Exchange.NFO, "NIFTY26OCT24000CE")


def ist(hour: int, minute: int = 0, second: float = 0.0, day: date = DAY) -> datetime:
    """A moment of India's clock, aware UTC."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=5, minutes=30)
    return midnight + timedelta(hours=hour, minutes=minute, seconds=second)


class History:
    """The broker's history: minutes it has, faults that are armed one by one, and what it was asked."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.minutes: dict[int, dict[datetime, PriceBar]] = {}
        self.faults: deque[BrokerError] = deque()
        self.unknown: set[int] = set()
        self.asked: list[tuple[int, datetime, datetime]] = []
        self.gate: asyncio.Event | None = None

    def trade(self, token: int, moment: datetime, price: float, volume: int = 10) -> None:
        """Let a minute have a candle."""
        value = Decimal(str(price)).quantize(Decimal("0.01"))
        self.minutes.setdefault(token, {})[moment] = PriceBar(
            start=moment,
            open=value,
            high=value,
            low=value,
            close=value,
            volume=volume,
            open_interest=0,
            source=BarSource.HISTORY,
        )

    def trade_all(self, token: int, first: datetime, last: datetime, price: float = 100.0) -> None:
        """Let every minute of [first, last) have a candle."""
        while first < last:
            self.trade(token, first, price)
            first += timedelta(minutes=1)

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        """Finished candles in [start, end]."""
        self.asked.append((token, start, end))
        if self.gate is not None:
            await self.gate.wait()
        if self.faults:
            raise self.faults.popleft()
        if token in self.unknown:
            raise BrokerRejected("invalid token", code=400, kind="InputException")
        found = sorted(self.minutes.get(token, {}).items())
        ended = self._now() - timedelta(minutes=1)
        return HistoricalBars(
            interval=interval, bars=tuple(bar for moment, bar in found if start <= moment <= min(end, ended))
        )


class BarsDesk:
    """A service and everything around it; the test moves time."""

    def __init__(
        self,
        now: datetime,
        *,
        settings: BarsSettings | None = None,
        store: MemoryStore | None = None,
        history: History | None = None,
        asks: bool = True,
    ) -> None:
        self.feed = Feed([item.token for item in LISTED], now)
        self.clock = FeedClock(self.feed)
        self.store = store or MemoryStore()
        self.repository = MemoryRepositories(self.store).bars
        self.history = history or History(self.clock.market_now)
        self.calendar = SessionCalendar(read_sessions())
        self.reading = VenueReading(market_time=now)
        self.days = BarDays(self.calendar, lambda: self.reading)
        self.wanted: dict[int, int] = {}
        self.listed = {item.token: item for item in LISTED}
        self.is_writer = True
        self.declared: dict[str, str] = {}
        self.settings = settings or BarsSettings(history_days=0)
        self.service = BarsService(
            self.feed.board,
            self.repository,
            reads=self.history if asks else None,
            clock=self.clock,
            days=self.days,
            instrument_of=self.listed.get,
            find=self._find,
            wanted=lambda: self.wanted,
            may_write=lambda: self.is_writer,
            declare=self._declare,
            suspect=lambda paths: self.feed.health.suspect(paths, self.feed.now_ns, 5 * NS),
            settings=self.settings,
        )
        self._running: asyncio.Task[None] | None = None

    def _find(self, key: InstrumentKey) -> Instrument | None:
        return next((item for item in self.listed.values() if item.key == key), None)

    def _declare(self, name: str, sentence: str) -> None:
        self.declared[name] = sentence

    def start(self) -> None:
        """Let the service run."""
        self._running = asyncio.create_task(self.service.run())

    async def stop(self) -> None:
        """End it."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    def at(self, moment: datetime) -> None:
        """Let market time (and the monotonic clock) go on to a moment; the connection lives."""
        seconds = (moment - self.feed.market).total_seconds()
        assert seconds >= 0, "time goes on"
        self.feed.pass_time(seconds)
        self.service.on_time(round(self.feed.market.timestamp() * NS))

    def trade(self, moment: datetime, price: float, volume: int, instrument: Instrument = OPTION) -> None:
        """One trade of an option or future, seen at ``moment``."""
        self.at(moment)
        self.feed.full(instrument.token, last=price, volume=volume, open_interest=1_000)

    async def advance(self, seconds: float, *, steps: int = 1) -> None:
        """Let time go on while the service runs."""
        for _ in range(steps):
            await self.clock.advance(seconds / steps)

    async def until(self, is_done: Callable[[], bool] | Callable[[], Awaitable[bool]], *, step_s: float = 1.0) -> None:
        """Let time go on until something is so."""
        for _ in range(600):
            answer = is_done()
            if await answer if isinstance(answer, Awaitable) else answer:
                return
            await self.clock.advance(step_s)
        raise AssertionError("it never came to be")


async def rest() -> None:
    """Let every task go as far as it can."""
    await settle()
