"""The market side of an engine on a made-up NIFTY market: board, day, chains, repositories; the test moves time."""

from __future__ import annotations

import asyncio
from datetime import date, datetime

from engine.calendar.rules import read_rules
from engine.chain_desk import ChainDesk
from engine.core.views import ChainKey
from engine.instrument_service import LoadedInstruments
from engine.market.chain_inputs import ChainSettings
from engine.market.subscriptions import Subscriptions
from engine.market_day import MarketDay
from engine.venue import VenueReading
from storage.memory import MemoryRepositories, MemoryStore
from tests.unit.market.chain_kit import MORNING, RATE, RECENT_S, Market
from tests.unit.market.feed_kit import Feed
from tests.unit.market.market_kit import W0

SETTLE_ROUNDS = 20


class FeedClock:
    """Implements the clock port over a feed's two clocks; ``advance`` wakes whoever has slept long enough."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def market_now(self) -> datetime:
        """Aware UTC."""
        return self._feed.market

    def wall_now(self) -> datetime:
        """Aware UTC."""
        return self._feed.market

    def monotonic(self) -> float:
        """Seconds."""
        return self._feed.monotonic

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has moved time that far."""
        awake = asyncio.Event()
        sleeper = (self._feed.monotonic + seconds, awake)
        self._sleepers.append(sleeper)
        try:
            await awake.wait()
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, seconds: float, *, heartbeat: bool = True) -> None:
        """Move time on and let everybody who is due run."""
        self._feed.pass_time(seconds, heartbeat=heartbeat)
        for due, awake in list(self._sleepers):
            if due <= self._feed.monotonic:
                awake.set()
        await settle()


async def settle() -> None:
    """Let every task go as far as it can."""
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)


class MarketDesk:
    """Everything a market service of the engine is made of."""

    def __init__(self, expiry: date = W0, now: datetime = MORNING) -> None:
        self.market = Market(expiry, now)
        self.feed = self.market.feed
        self.clock = FeedClock(self.feed)
        instruments = self.market.instruments
        self.day = MarketDay(
            LoadedInstruments(index=instruments, rows=len(instruments), day=now.date(), from_broker=True),
            board=self.feed.board,
            states=self.feed.states,
            calendar=self.market.calendar,
            rules=read_rules(),
            clock=self.clock,
            reading=VenueReading(market_time=now, is_open=True),
        )
        self.subscriptions = Subscriptions()
        self.chains = ChainDesk(
            self.day, self.subscriptions, ChainSettings(rate=RATE, last_recent_s=RECENT_S), on_wishes=self._subscribe
        )
        self.store = MemoryStore()
        self.repositories = MemoryRepositories(self.store)

    @property
    def key(self) -> ChainKey:
        """The chain that can be quoted."""
        return self.market.key

    def _subscribe(self) -> None:
        self.feed.board.add(self.subscriptions.desired)
