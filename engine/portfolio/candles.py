"""Minute candles of each strategy's money on the last mark, sampled on a grid of market time.

A minute's open, high, low and close are real valuations, one per grid point at most. Nothing is sampled while the
session is closed, a leg has no last price, or its path is suspect: a minute without a sample is missing, a gap. What
has not been saved yet is kept as the difference to what has (``samples`` counts only the new ones), because saving
merges: a running minute can be saved again and again without counting twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.errors import StorageError
from engine.core.identifiers import StrategyNumber
from engine.core.repositories import CandleRepository
from engine.core.strategies import M2mCandle

logger = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_to(moment: datetime, step: timedelta) -> datetime:
    """The grid point at or before ``moment`` (aware); the grid of ``step`` starts at the Unix epoch."""
    return EPOCH + (moment - EPOCH) // step * step


def merge(earlier: M2mCandle, later: M2mCandle) -> M2mCandle:
    """Two parts of one minute as one: the rule by which candles are saved."""
    return msgspec.structs.replace(
        earlier,
        high=max(earlier.high, later.high),
        low=min(earlier.low, later.low),
        close=later.close,
        samples=earlier.samples + later.samples,
    )


class M2mCandleMaker:
    """Turns samples into candles and hands them to the database in batches."""

    def __init__(self, candles: CandleRepository, *, grid: timedelta, batch_max: int, waiting_max: int) -> None:
        """Sample at multiples of ``grid``; keep at most ``waiting_max`` unsaved candles, dropping the oldest."""
        self._candles = candles
        self._grid = grid
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._newest: datetime | None = None
        self._running: dict[StrategyNumber, M2mCandle] = {}
        self._waiting: dict[tuple[datetime, StrategyNumber], M2mCandle] = {}
        self._saving = asyncio.Lock()
        self._dropped = 0
        self._delete_from: datetime | None = None
        self._restarts = 0
        self._kept: tuple[datetime, dict[StrategyNumber, M2mCandle]] | None = None

    @property
    def dropped(self) -> int:
        """Candles lost because the database did not take them in time."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Candles, or parts of running ones, that are not in the database."""
        return len(self._waiting)

    def is_due(self, moment: datetime) -> bool:
        """Whether ``moment`` has reached a grid point that has not been sampled. Time never runs backwards here."""
        return self._newest is None or floor_to(moment, self._grid) > self._newest

    def due(self, moment: datetime, most: int) -> tuple[datetime, ...]:
        """Grid points up to ``moment`` that have no sample, oldest first; the newest alone when there are more."""
        newest = floor_to(moment, self._grid)
        if self._newest is None:
            return (newest,)
        count = (newest - self._newest) // self._grid
        if count > most:
            return (newest,)
        return tuple(self._newest + step * self._grid for step in range(1, count + 1))

    def keep(self) -> None:
        """Remember what has been sampled: a restart does not forget it. Called when what is held has changed."""
        if self._newest is not None:
            minute = floor_to(self._newest, MINUTE)
            self._kept = (self._newest, {one: bar for one, bar in self._running.items() if bar.minute == minute})

    def restart(self, moment: datetime, *, changed_at: datetime | None = None) -> None:
        """Forget everything of ``moment`` and later: at once here, in the database before anything is saved or read.

        What was sampled before the newest change of what is held stays: it cannot be sampled again, because what was
        held then is held no more. ``changed_at`` is that change's market time when another process has seen it; the
        rest of its minute is left as it is.
        """
        self._newest = None
        self._running.clear()
        first = floor_to(moment, MINUTE)
        kept: dict[StrategyNumber, M2mCandle] = {}
        if self._kept is not None and self._kept[0] >= moment:
            self._newest, kept = self._kept
            first = floor_to(self._newest, MINUTE)
        elif changed_at is not None and changed_at >= moment:
            first = floor_to(changed_at, MINUTE) + MINUTE
            self._newest = first - self._grid
        self._running.update(kept)
        self._waiting = {key: part for key, part in self._waiting.items() if key[0] < first}
        self._waiting |= {(bar.minute, number): bar for number, bar in kept.items()}
        self._delete_from = first if self._delete_from is None else min(first, self._delete_from)
        self._restarts += 1

    async def _delete(self) -> None:
        """Delete what a restart has forgotten."""
        while (first := self._delete_from) is not None:
            await self._candles.delete_from(first)
            if self._delete_from == first:
                self._delete_from = None

    def sample(self, moment: datetime, values: Iterable[tuple[StrategyNumber, Decimal]]) -> bool:
        """Take one valuation of each strategy at the grid point of ``moment`` (aware, market time).

        A grid point is sampled once; a late caller leaves points out, it never fills them in.

        Returns:
            Whether the sample was taken.
        """
        if not self.is_due(moment):
            return False
        self._newest = floor_to(moment, self._grid)
        minute = floor_to(moment, MINUTE)
        for number, value in values:
            running = self._running.get(number)
            if running is None or running.minute != minute:
                self._running[number] = _first(number, minute, value)
            else:
                self._running[number] = running.with_sample(value)
            key = (minute, number)
            unsaved = self._waiting.get(key)
            self._waiting[key] = _first(number, minute, value) if unsaved is None else unsaved.with_sample(value)
        self._keep_bound()
        return True

    def running(self, strategy: StrategyNumber) -> M2mCandle | None:
        """The strategy's newest candle, still running or the last one closed."""
        return self._running.get(strategy)

    async def save(self) -> int:
        """Hand everything unsaved to the database, running minutes included; returns how many parts were saved.

        Raises:
            StorageError: the database did not take a batch; it is kept and merged with what comes.
        """
        saved = 0
        async with self._saving:
            await self._delete()
            restarts = self._restarts
            while self._waiting and saved < self._waiting_max:
                batch = dict(list(self._waiting.items())[: self._batch_max])
                for key in batch:
                    del self._waiting[key]
                try:
                    await self._candles.save(tuple(batch.values()))
                except (StorageError, asyncio.CancelledError):
                    if self._restarts != restarts:
                        batch = {key: part for key, part in batch.items() if self._is_kept(key[0])}
                    self._put_back(batch)
                    raise
                saved += len(batch)
                if self._restarts != restarts:
                    break  # what was just saved is forgotten; the next save deletes it first
        return saved

    def _is_kept(self, minute: datetime) -> bool:
        """Whether a restart has not forgotten a minute."""
        return self._delete_from is None or minute < self._delete_from

    def _put_back(self, batch: dict[tuple[datetime, StrategyNumber], M2mCandle]) -> None:
        newer = self._waiting
        self._waiting = {
            key: merge(part, newer.pop(key)) if key in newer else part for key, part in batch.items()
        } | newer
        self._keep_bound()

    def _keep_bound(self) -> None:
        excess = len(self._waiting) - self._waiting_max
        if excess <= 0:
            return
        for key in sorted(self._waiting)[:excess]:
            del self._waiting[key]
        self._dropped += excess
        logger.error("%d unsaved strategy candles dropped, the oldest first", excess)

    async def between(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """Stored candles with minute in [start, end), together with what is not saved yet, oldest first."""
        async with self._saving:
            await self._delete()
            stored = {candle.minute: candle for candle in await self._candles.between(strategy, start, end)}
            for (minute, number), part in self._waiting.items():
                if number == strategy and start <= minute < end:
                    stored[minute] = merge(stored[minute], part) if minute in stored else part
        return tuple(stored[minute] for minute in sorted(stored))


def _first(strategy: StrategyNumber, minute: datetime, value: Decimal) -> M2mCandle:
    return M2mCandle(strategy=strategy, minute=minute, open=value, high=value, low=value, close=value, samples=1)
