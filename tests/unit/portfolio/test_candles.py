"""Minute candles of strategy money: true extremes on a grid of market time, saved without loss or double counting."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from engine.core.errors import StorageUnavailable
from engine.core.identifiers import StrategyNumber
from engine.core.strategies import M2mCandle
from engine.portfolio.candles import M2mCandleMaker, floor_to
from engine.portfolio.settings import PortfolioSettings
from tests.unit.portfolio.fakes import OPENING, UNAVAILABLE, Desk, FakeCandles, FakeDatabase, fill, settle

ONE, TWO = StrategyNumber(1), StrategyNumber(2)
GRID = timedelta(milliseconds=100)


def maker(database: FakeDatabase, *, waiting_max: int = 1000, batch_max: int = 100) -> M2mCandleMaker:
    """A maker over the fake database."""
    return M2mCandleMaker(FakeCandles(database), grid=GRID, batch_max=batch_max, waiting_max=waiting_max)


def at(seconds: float) -> datetime:
    """A moment of the session."""
    return OPENING + timedelta(seconds=seconds)


def candle(minute: datetime, *values: str) -> M2mCandle:
    """The candle that these samples make."""
    money = [Decimal(value) for value in values]
    return M2mCandle(
        strategy=ONE,
        minute=minute,
        open=money[0],
        high=max(money),
        low=min(money),
        close=money[-1],
        samples=len(money),
    )


async def test_a_minute_has_true_open_high_low_close() -> None:
    """First, highest, lowest and last valuation of the minute, not one value four times."""
    database = FakeDatabase()
    candles = maker(database)
    for step, value in enumerate(["10", "-5", "40", "7"]):
        assert candles.sample(at(step * 0.1), [(ONE, Decimal(value))])
    await candles.save()
    assert list(database.candles.values()) == [candle(OPENING, "10", "-5", "40", "7")]


async def test_a_grid_point_is_sampled_once() -> None:
    """Two looks within 100 ms are one sample; a late look leaves points out and fills nothing in."""
    database = FakeDatabase()
    candles = maker(database)
    assert candles.sample(at(0.01), [(ONE, Decimal(1))])
    assert not candles.sample(at(0.09), [(ONE, Decimal(99))])
    assert candles.sample(at(0.75), [(ONE, Decimal(2))])
    await candles.save()
    assert list(database.candles.values()) == [candle(OPENING, "1", "2")]


async def test_market_time_that_jumps_back_records_nothing() -> None:
    """History is never written twice."""
    database = FakeDatabase()
    candles = maker(database)
    candles.sample(at(60), [(ONE, Decimal(1))])
    assert not candles.sample(at(30), [(ONE, Decimal(99))])
    await candles.save()
    assert list(database.candles.values()) == [candle(at(60), "1")]


async def test_minutes_without_samples_are_gaps() -> None:
    """Nothing is invented between 09:15 and 09:18."""
    database = FakeDatabase()
    candles = maker(database)
    candles.sample(at(59.95), [(ONE, Decimal(1))])
    candles.sample(at(180), [(ONE, Decimal(2))])
    await candles.save()
    assert [minute for _, minute in database.candles] == [OPENING, at(180)]


async def test_the_minute_turns_exactly() -> None:
    """59.9 s belongs to the old minute, 60.0 s to the new one."""
    database = FakeDatabase()
    candles = maker(database)
    candles.sample(at(59.9), [(ONE, Decimal(1))])
    candles.sample(at(60.0), [(ONE, Decimal(2))])
    await candles.save()
    assert list(database.candles.values()) == [candle(OPENING, "1"), candle(at(60), "2")]


async def test_saving_a_running_minute_often_counts_no_sample_twice() -> None:
    """However the saves fall, the stored candle is the one that all samples make together."""
    database = FakeDatabase()
    candles = maker(database)
    values = ["5", "9", "1", "3", "8", "2"]
    for step, value in enumerate(values):
        candles.sample(at(step), [(ONE, Decimal(value))])
        if step % 2:
            await candles.save()
        await candles.save()
    assert list(database.candles.values()) == [candle(OPENING, *values)]
    assert candles.waiting == 0
    assert candles.running(ONE) == candle(OPENING, *values)


async def test_a_restart_within_the_minute_continues_the_candle() -> None:
    """The stored open is kept; high and low widen; samples add up."""
    database = FakeDatabase()
    first = maker(database)
    first.sample(at(1), [(ONE, Decimal(5))])
    await first.save()
    second = maker(database)
    second.sample(at(20), [(ONE, Decimal(9))])
    await second.save()
    assert list(database.candles.values()) == [candle(OPENING, "5", "9")]


async def test_a_failed_save_keeps_everything_in_order() -> None:
    """What could not be saved is merged with what came meanwhile: open from before, close from after."""
    database = FakeDatabase()
    candles = maker(database)
    candles.sample(at(1), [(ONE, Decimal(5))])
    database.fail_with = UNAVAILABLE
    with pytest.raises(StorageUnavailable):
        await candles.save()
    candles.sample(at(2), [(ONE, Decimal(9))])
    candles.sample(at(61), [(ONE, Decimal(1))])
    database.fail_with = None
    await candles.save()
    assert list(database.candles.values()) == [candle(OPENING, "5", "9"), candle(at(60), "1")]


async def test_samples_taken_during_a_failing_save_come_after_it() -> None:
    """The part that was on its way is the earlier one: its open is kept, the new close wins."""
    database = FakeDatabase()
    candles = maker(database)
    candles.sample(at(1), [(ONE, Decimal(5))])
    database.fail_with = UNAVAILABLE
    saving = asyncio.create_task(candles.save())
    await asyncio.sleep(0)
    candles.sample(at(2), [(ONE, Decimal(9))])
    with pytest.raises(StorageUnavailable):
        await saving
    database.fail_with = None
    await candles.save()
    assert list(database.candles.values()) == [candle(OPENING, "5", "9")]


async def test_a_cancelled_save_loses_nothing() -> None:
    """The part that was on its way is kept for the next save."""
    database = FakeDatabase()
    candles = maker(database)
    candles.sample(at(1), [(ONE, Decimal(5))])
    saving = asyncio.create_task(candles.save())
    await asyncio.sleep(0)
    assert candles.waiting == 0
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    assert candles.waiting == 1
    await candles.save()
    assert list(database.candles.values()) == [candle(OPENING, "5")]


async def test_the_queue_is_bounded_and_drops_the_oldest_with_a_count() -> None:
    """Three minutes into a queue of two: the first is lost and counted."""
    database = FakeDatabase()
    candles = maker(database, waiting_max=2)
    for minute in range(3):
        candles.sample(at(60 * minute), [(ONE, Decimal(minute))])
    assert (candles.waiting, candles.dropped) == (2, 1)
    await candles.save()
    assert [minute for _, minute in database.candles] == [at(60), at(120)]


async def test_saves_are_batched() -> None:
    """250 candles go in batches of at most 100."""
    database = FakeDatabase()
    store = FakeCandles(database)
    candles = M2mCandleMaker(store, grid=GRID, batch_max=100, waiting_max=1000)
    candles.sample(at(0), [(StrategyNumber(number), Decimal(number)) for number in range(250)])
    assert await candles.save() == 250
    assert store.batches == [100, 100, 50]


async def test_what_is_not_saved_yet_is_seen() -> None:
    """Asking for candles shows stored and running parts as one, without saving."""
    database = FakeDatabase()
    candles = maker(database)
    candles.sample(at(1), [(ONE, Decimal(5))])
    await candles.save()
    candles.sample(at(2), [(ONE, Decimal(9)), (TWO, Decimal(1))])
    candles.sample(at(60), [(ONE, Decimal(7))])
    assert await candles.between(ONE, OPENING, at(60)) == (candle(OPENING, "5", "9"),)
    assert len(await candles.between(ONE, OPENING, at(120))) == 2
    assert database.candles[ONE, OPENING] == candle(OPENING, "5")


def test_the_grid_is_exact() -> None:
    """Grid points are whole multiples of 100 ms from the epoch, whatever the microseconds."""
    assert floor_to(OPENING + timedelta(microseconds=99_999), GRID) == OPENING
    assert floor_to(OPENING + timedelta(microseconds=100_000), GRID) == OPENING + GRID
    assert floor_to(OPENING + timedelta(seconds=59, microseconds=999_999), timedelta(minutes=1)) == OPENING


# The service's own sampling


async def trading() -> Desk:
    """65 @100 in strategy 1 at a last of 106."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106")
    return desk


async def stored(desk: Desk, strategy: StrategyNumber = ONE) -> tuple[M2mCandle, ...]:
    """Candles of an hour."""
    return await desk.service.candles(strategy, OPENING - timedelta(minutes=1), OPENING + timedelta(hours=1))


async def test_the_service_samples_exact_money() -> None:
    """390, then 393.25 after a tick of 0.05."""
    desk = await trading()
    assert desk.service.sample()
    desk.marks.put(1, "106.05")
    await desk.clock.advance(0.1)
    assert desk.service.sample()
    assert await stored(desk) == (candle(OPENING, "390", "393.25"),)
    assert desk.service.running_candle(ONE) == candle(OPENING, "390", "393.25")


async def test_no_candle_while_the_session_is_closed() -> None:
    """The last price stands still at night; its money is not recorded."""
    desk = await trading()
    desk.is_open = False
    assert not desk.service.sample()
    assert await stored(desk) == ()


async def test_no_candle_while_a_mark_is_missing_or_suspect() -> None:
    """A strategy with an unknown leg is left out whole; others go on."""
    desk = await trading()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(2, 65, "50", token=2, strategy=2)])
    desk.marks.put(2, None)
    desk.service.sample()
    assert await stored(desk, TWO) == ()
    assert len(await stored(desk)) == 1
    desk.marks.put(2, "51")
    desk.marks.suspect = {2}
    await desk.clock.advance(0.1)
    desk.service.sample()
    assert await stored(desk, TWO) == ()
    desk.marks.suspect = set()
    await desk.clock.advance(0.1)
    desk.service.sample()
    assert [one.open for one in await stored(desk, TWO)] == [Decimal(65)]


async def test_a_strategy_that_went_flat_today_keeps_its_curve() -> None:
    """Its realised money is recorded for the rest of the day, and no more on the next."""
    desk = await trading()
    await desk.service.on_trades([fill(2, -65, "110")])
    desk.service.sample()
    assert [one.close for one in await stored(desk)] == [Decimal(650)]
    tomorrow = OPENING + timedelta(days=1)
    desk.clock.set(tomorrow)
    desk.service.sample()
    assert await desk.service.candles(ONE, tomorrow, tomorrow + timedelta(hours=1)) == ()


async def test_a_strategy_that_never_traded_makes_no_candles() -> None:
    """Zero is a value, a flat line of it is not history."""
    desk = await Desk().started()
    desk.service.sample()
    assert await stored(desk) == ()


async def test_running_samples_saves_and_stops_with_the_running_minute() -> None:
    """The loop samples each grid point, saves every five seconds, and stopping saves the rest."""
    desk = await trading()
    running = asyncio.create_task(desk.service.run())
    try:
        await settle()
        for _ in range(55):
            await desk.clock.advance(0.1)
        (saved,) = desk.database.candles.values()
        assert 49 <= saved.samples <= 51
        assert desk.clock.sleepers == 2
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    await desk.service.stop()
    (saved,) = desk.database.candles.values()
    assert saved.samples == 56
    assert (saved.open, saved.close) == (Decimal(390), Decimal(390))


async def test_a_database_that_is_gone_delays_candles_and_is_said() -> None:
    """The loop goes on; what waits is in the words of the degraded service."""
    desk = await trading()
    desk.service.sample()
    desk.database.fail_with = UNAVAILABLE
    await desk.service.save_candles()
    assert "candles that wait for the database: 1" in desk.service.degraded
    desk.database.fail_with = None
    await desk.service.save_candles()
    assert desk.service.degraded == ""


async def test_lost_candles_are_said() -> None:
    """A dropped candle never goes unnoticed."""
    desk = await Desk(settings=PortfolioSettings(waiting_candles_max=1)).started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106")
    desk.service.sample()
    await desk.clock.advance(60)
    desk.service.sample()
    assert "strategy candles lost: 1" in desk.service.degraded
