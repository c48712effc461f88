"""Finished candles on their way to the database.

Overload policy: at most so many candles wait; beyond it whole batches are dropped, the oldest first, and counted. What
is being written is still here until it is written, so a reader that looks at both misses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from datetime import datetime

from engine.core.bars import MinuteBars
from engine.core.identifiers import InstrumentKey
from engine.core.repositories import BarRepository
from engine.market.bar_batches import merged, of_instruments

logger = logging.getLogger(__name__)


class BarBacklog:
    """Candles that are not in the database.

    Args:
        repository: where they go.
        batch_max: most candles in one write, whole batches only: one that is larger goes alone.
        waiting_max: most candles that wait.
    """

    def __init__(self, repository: BarRepository, *, batch_max: int, waiting_max: int) -> None:
        self._repository = repository
        self._batch_max = batch_max
        self._waiting_max = waiting_max
        self._batches: deque[MinuteBars] = deque()
        self._delete_from: datetime | None = None
        self._saving = asyncio.Lock()
        self.waiting = 0
        """Candles that are not in the database."""
        self.dropped = 0
        """Candles lost because the database did not take them in time."""

    @property
    def limit(self) -> int:
        """Most candles that wait."""
        return self._waiting_max

    def add(self, bars: MinuteBars) -> None:
        """Let candles wait for the next ``save``; the newest batch is always kept."""
        if not len(bars.place):
            return
        self._batches.append(bars)
        self.waiting += len(bars.place)
        dropped = 0
        while self.waiting > self._waiting_max and len(self._batches) > 1:
            oldest = self._batches.popleft()
            self.waiting -= len(oldest.place)
            dropped += len(oldest.place)
        if dropped:
            self.dropped += dropped
            logger.warning("%d unsaved candles dropped, the oldest first", dropped)

    def of(self, keys: Iterable[InstrumentKey]) -> MinuteBars:
        """The waiting candles of some instruments, one per minute."""
        wanted = frozenset(keys)
        return merged([of_instruments(batch, wanted) for batch in self._batches])

    async def save(self) -> int:
        """Write what waits, oldest first; returns how many candles were sent to the database.

        Raises:
            StorageError: the database did not take a batch; it waits on. Writing it again does no harm.
        """
        saved = 0
        async with self._saving:
            while (self._batches or self._delete_from is not None) and saved < self._waiting_max:
                await self._delete()
                batches = self._next()
                if not batches:
                    break
                bars = merged(batches)
                await self._repository.save(bars)
                for batch in batches:
                    self._written(batch)
                saved += len(bars.place)
        return saved

    def clear(self, delete_from: datetime | None) -> None:
        """Forget everything at once. What is stored of ``delete_from`` (aware) and later is deleted by the next save,
        before anything is written.
        """
        self._batches.clear()
        self.waiting = 0
        if delete_from is not None:
            self._delete_from = delete_from if self._delete_from is None else min(self._delete_from, delete_from)

    async def _delete(self) -> None:
        moment = self._delete_from
        if moment is None:
            return
        deleted = await self._repository.delete_from(moment)
        if self._delete_from == moment:
            self._delete_from = None
        logger.info("%d candles from %s on deleted", deleted, moment)

    def _next(self) -> list[MinuteBars]:
        chosen: list[MinuteBars] = []
        size = 0
        for batch in self._batches:
            size += len(batch.place)
            if chosen and size > self._batch_max:
                break
            chosen.append(batch)
        return chosen

    def _written(self, batch: MinuteBars) -> None:
        """Forget a batch, unless it was dropped while it was being written."""
        if self._batches and self._batches[0] is batch:
            self._batches.popleft()
            self.waiting -= len(batch.place)
