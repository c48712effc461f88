"""Keeps the history of option chains: looks at every watched and held chain, and writes each minute when it has ended.

Only the writer of the account stores: a second engine on the same database looks and leaves it alone. The minute that
runs when the engine stops is not written; what was seen of it is no minute. While the database takes nothing the
minutes wait (see ``engine.market.chain_series`` for the bound), and the screen says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Final

from engine.core.errors import StorageError
from engine.core.ports import Clock
from engine.core.repositories import ChainSeriesRepository
from engine.core.views import ChainView
from engine.market.chain_series import ChainBacklog, ChainSampler
from engine.settings import SeriesSettings

logger = logging.getLogger(__name__)

NAME: Final = "chain history"
SAMPLES_PER_MINUTE: Final = 2.0
"""At least so often a minute of market time is looked at, however fast it runs."""
_SECONDS_PER_MINUTE: Final = 60.0
_PAUSE_MIN_S: Final = 0.05


class SeriesService:
    """The history of one engine's chains.

    Args:
        pictures: every watched and held chain, now.
        repository: where minutes go.
        clock: market time names the minutes.
        day_of: the exchange's date at an aware moment.
        speed: market seconds per second, now.
        may_write: whether this engine is the writer, now.
        declare: says in words what does not run as it should; an empty sentence takes it back.
        settings: paces and bounds.
    """

    def __init__(
        self,
        pictures: Callable[[], Iterable[ChainView]],
        repository: ChainSeriesRepository,
        *,
        clock: Clock,
        day_of: Callable[[datetime], date],
        speed: Callable[[], float],
        may_write: Callable[[], bool],
        declare: Callable[[str, str], None],
        settings: SeriesSettings,
    ) -> None:
        self._pictures = pictures
        self._repository = repository
        self._clock = clock
        self._day_of = day_of
        self._speed = speed
        self._may_write = may_write
        self._declare = declare
        self._settings = settings
        self._sampler = ChainSampler(day_of, chains_max=settings.chains_max)
        self._backlog = ChainBacklog(repository, batch_max=settings.batch_max, waiting_max=settings.waiting_max)
        self._cleaned: date | None = None

    @property
    def waiting(self) -> int:
        """Finished minutes that are not in the database."""
        return self._backlog.waiting

    @property
    def dropped(self) -> int:
        """Minutes lost because the database did not take them in time."""
        return self._backlog.dropped

    async def run(self) -> None:
        """Sample, write and clean up until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sample_always(), name=f"{NAME}: sampling")
            group.create_task(self._save_always(), name=f"{NAME}: writing")
            group.create_task(self._clean_daily(), name=f"{NAME}: cleaning")

    async def stop(self) -> None:
        """Write what has ended; called once ``run`` does not sample any more, or just before.

        Raises:
            StorageError: it could not be written and is lost.
        """
        if self._may_write():
            self._backlog.add(self._sampler.ended(self._clock.market_now()))
            await self._backlog.save()

    def restart(self, moment: datetime) -> None:
        """Forget what was kept of ``moment`` (aware, market time) and later: a replay begins again there."""
        self._sampler = ChainSampler(self._day_of, chains_max=self._settings.chains_max)
        self._backlog.restart(moment)

    def sample(self) -> None:
        """Look at every chain once."""
        now = self._clock.market_now()
        for view in self._pictures():
            self._backlog.add(self._sampler.take(view, now))
        self._backlog.add(self._sampler.ended(now))

    async def _sample_always(self) -> None:
        while True:
            if self._may_write():
                self.sample()
            await self._clock.sleep(self._pause())

    def _pause(self) -> float:
        speed = self._speed()
        often = _SECONDS_PER_MINUTE / SAMPLES_PER_MINUTE / speed if speed > 0 else self._settings.sample_s
        return max(min(self._settings.sample_s, often), _PAUSE_MIN_S)

    async def _save_always(self) -> None:
        while True:
            await self._clock.sleep(self._settings.save_s)
            if not (self._backlog.waiting and self._may_write()):
                continue
            try:
                await self._backlog.save()
            except StorageError as error:
                logger.warning("chain minutes could not be written, %d wait: %s", self._backlog.waiting, error)
                lost = ", and the oldest are lost" if self._backlog.dropped else ""
                self._declare(NAME, f"Chain minutes wait for the database{lost}: {error}")
            else:
                self._declare(NAME, "")

    async def _clean_daily(self) -> None:
        while True:
            now = self._clock.market_now()
            today = self._day_of(now)
            if today != self._cleaned and self._may_write():
                try:
                    deleted = await self._repository.delete_before(
                        minutes=now - timedelta(days=self._settings.keep_expiry_days),
                        strikes=now - timedelta(days=self._settings.keep_strike_days),
                    )
                except StorageError as error:
                    logger.warning("old chain minutes could not be deleted, tried again: %s", error)
                else:
                    self._cleaned = today
                    logger.info("%d old rows of chain minutes deleted", deleted)
            await self._clock.sleep(self._settings.retention_check_s)
