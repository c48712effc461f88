"""The history of chains: each market minute is written once, failures wait within a bound, old minutes go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from engine.analysis.series_service import NAME, SeriesService
from engine.core.series import ChainSeries
from engine.core.views import ChainKey
from engine.settings import SeriesSettings
from tests.unit.engine.market_desk import MarketDesk, settle
from tests.unit.market.chain_kit import MORNING
from tests.unit.market.market_kit import W1

QUICK = SeriesSettings(sample_s=1.0, save_s=5.0, retention_check_s=60.0)
LATER = timedelta(days=900)


class Recorder:
    """A service on a market desk, whose speed, role and complaints the test sees."""

    def __init__(self, settings: SeriesSettings = QUICK) -> None:
        self.desk = MarketDesk()
        self.speed = 1.0
        self.is_writer = True
        self.declared: list[tuple[str, str]] = []
        self.service = SeriesService(
            self.desk.chains.pictures,
            self.desk.repositories.chain_series,
            clock=self.desk.clock,
            day_of=self.desk.day.calendar.day_of,
            speed=lambda: self.speed,
            may_write=lambda: self.is_writer,
            declare=lambda name, sentence: self.declared.append((name, sentence)),
            settings=settings,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service under way."""
        task = asyncio.create_task(self.service.run())
        await settle()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def pass_minute(self, seconds: int = 60) -> None:
        """Let time pass in seconds, the index ticking."""
        for _ in range(seconds):
            self.desk.market.quote(24_000, "CE")
            await self.desk.clock.advance(1.0)

    async def stored(self, key: ChainKey | None = None) -> ChainSeries:
        """Everything that is in the database of a chain."""
        series = self.desk.repositories.chain_series
        return await series.between(key or self.desk.key, MORNING - LATER, MORNING + LATER)


@pytest.fixture
async def recorder() -> Recorder:
    """A recorder with a live, watched chain."""
    made = Recorder()
    made.desk.chains.watch(made.desk.key)
    made.desk.market.quote_all()
    return made


async def test_every_minute_of_a_watched_chain_is_written(recorder: Recorder) -> None:
    """Three minutes pass: three rows, at whole minutes, with the forward; nothing waits."""
    async with recorder.running():
        for _ in range(3):
            await recorder.pass_minute()
        await recorder.pass_minute(6)
        found = await recorder.stored()
    start = int(MORNING.timestamp())
    assert found.minute.tolist() == [start, start + 60, start + 120]
    assert (found.forward > 24_000).all()
    assert recorder.service.waiting == 0


async def test_held_chains_are_written_and_unwatched_ones_not(recorder: Recorder) -> None:
    """What is held counts as watched; once neither, its minutes end."""
    chains = recorder.desk.chains
    chains.hold(frozenset({recorder.desk.key}))
    chains.unwatch(recorder.desk.key)
    async with recorder.running():
        await recorder.pass_minute()
        await recorder.pass_minute(6)
        assert (await recorder.stored()).minute.size == 1
        chains.hold(frozenset())
        await recorder.pass_minute()
        await recorder.pass_minute()
        # The minute that ran when it was let go was seen in part, by its last picture.
        assert (await recorder.stored()).minute.size == 2
        assert (await recorder.stored(ChainKey("NIFTY", W1))).minute.size == 0


async def test_a_silent_market_leaves_a_gap(recorder: Recorder) -> None:
    """While the path is silent nothing is written; the minutes after it are there, the ones within are not."""
    async with recorder.running():
        await recorder.pass_minute()
        for _ in range(60):
            await recorder.desk.clock.advance(1.0, heartbeat=False)
        for _ in range(60):
            await recorder.desk.clock.advance(1.0, heartbeat=False)
        recorder.desk.market.quote_all()
        await recorder.pass_minute()
        await recorder.pass_minute(6)
        minutes = (await recorder.stored()).minute.tolist()
    start = int(MORNING.timestamp())
    # The first seconds of the second minute were still within the limit of silence.
    assert minutes == [start, start + 60, start + 180]


async def test_a_database_that_is_gone_keeps_the_minutes_waiting(recorder: Recorder) -> None:
    """A failure is said, the minutes wait, and all of them are written when it is back."""
    async with recorder.running():
        recorder.desk.store.stop("no database")
        await recorder.pass_minute()
        await recorder.pass_minute()
        await recorder.pass_minute(6)
        assert recorder.service.waiting == 2
        assert any(name == NAME and "no database" in sentence for name, sentence in recorder.declared)
        recorder.desk.store.start()
        await recorder.pass_minute(6)
        assert recorder.service.waiting == 0
        assert recorder.declared[-1] == (NAME, "")
        assert (await recorder.stored()).minute.size == 2


async def test_what_waits_is_bounded_and_the_loss_is_said() -> None:
    """Beyond the bound the oldest minutes are lost; the sentence says that some are."""
    recorder = Recorder(SeriesSettings(sample_s=1.0, save_s=5.0, waiting_max=2))
    recorder.desk.chains.watch(recorder.desk.key)
    recorder.desk.market.quote_all()
    async with recorder.running():
        recorder.desk.store.stop()
        for _ in range(4):
            await recorder.pass_minute()
        await recorder.pass_minute(6)
        assert recorder.service.waiting == 2
        assert recorder.service.dropped == 2
        assert "the oldest are lost" in recorder.declared[-1][1]
        recorder.desk.store.start()
        await recorder.pass_minute(6)
        start = int(MORNING.timestamp())
        assert (await recorder.stored()).minute.tolist() == [start + 120, start + 180]


async def test_who_is_not_the_writer_stores_nothing(recorder: Recorder) -> None:
    """A second engine on the database looks; once it is the writer it begins."""
    recorder.is_writer = False
    async with recorder.running():
        await recorder.pass_minute()
        await recorder.pass_minute(6)
        assert (await recorder.stored()).minute.size == 0
        recorder.is_writer = True
        await recorder.pass_minute(60)
        await recorder.pass_minute(6)
        assert (await recorder.stored()).minute.size == 1


async def test_stopping_writes_the_minutes_that_have_ended(recorder: Recorder) -> None:
    """The last whole minute is not lost between two writes; the running one is no minute."""
    async with recorder.running():
        await recorder.pass_minute(58)
        recorder.desk.feed.pass_time(4.0)
        await recorder.service.stop()
    assert (await recorder.stored()).minute.tolist() == [int(MORNING.timestamp())]


async def test_old_minutes_go_once_a_day_and_the_days_stay(recorder: Recorder) -> None:
    """After the kept days have passed minutes are deleted, of strikes sooner; the day's volatility is for good."""
    settings = QUICK
    series = recorder.desk.repositories.chain_series
    async with recorder.running():
        await recorder.pass_minute()
        await recorder.pass_minute(6)
    before, after = MORNING - LATER, MORNING + LATER
    assert (await series.strikes_between(recorder.desk.key, before, after)).minute.size > 0
    recorder.desk.feed.market += timedelta(days=settings.keep_strike_days + 1)
    async with recorder.running():
        await settle()
        assert (await series.strikes_between(recorder.desk.key, before, after)).minute.size == 0
        assert (await recorder.stored()).minute.size == 1
        recorder.desk.feed.market += timedelta(days=settings.keep_expiry_days)
        await recorder.desk.clock.advance(61.0)
        assert (await recorder.stored()).minute.size == 0
        assert (await series.daily_atm_volatility("NIFTY", 10)).day.size == 1


async def test_cleaning_that_fails_is_tried_again_the_same_day(recorder: Recorder) -> None:
    """A database that is gone at the start of a day is cleaned when it is back."""
    async with recorder.running():
        await recorder.pass_minute()
        await recorder.pass_minute(6)
    recorder.desk.feed.market += timedelta(days=QUICK.keep_expiry_days + 1)
    recorder.desk.store.stop()
    async with recorder.running():
        recorder.desk.store.start()
        assert (await recorder.stored()).minute.size == 1
        await recorder.desk.clock.advance(61.0)
        assert (await recorder.stored()).minute.size == 0


async def test_fast_market_time_is_looked_at_more_often(recorder: Recorder) -> None:
    """At a market minute a second every minute is still seen."""
    recorder.speed = 60.0
    desk = recorder.desk
    async with recorder.running():
        for _ in range(40):
            desk.market.quote(24_000, "CE")
            desk.feed.market += timedelta(seconds=14.75)  # a quarter of a second is fifteen in all
            await desk.clock.advance(0.25)
        found = await recorder.stored()
    assert found.minute.size >= 7
    assert (found.minute[1:] - found.minute[:-1] == 60).all()
