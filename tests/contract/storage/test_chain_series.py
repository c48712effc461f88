"""What every store of chain minutes must do."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.core.errors import StorageUnavailable
from engine.core.repositories import ChainSeriesRepository
from engine.core.series import ChainMinute, ChainSeries, StrikeColumns, StrikeSeries, epoch_seconds
from engine.core.views import ChainKey
from storage.chain_rows import ChainRows
from storage.chain_series import PostgresChainSeries
from storage.embedded import EmbeddedPostgres
from storage.errors import RowRefused
from storage.memory.chain_series import MemoryChainSeries
from storage.memory.store import MemoryStore
from storage.pool import Database
from tests.contract.storage.samples import MINUTE
from tests.kit.database import new_database

KEY = ChainKey("NIFTY", date(2026, 11, 24))
NEXT = ChainKey("NIFTY", date(2026, 12, 1))
OTHER = ChainKey("BANKNIFTY", KEY.expiry)
DAY = MINUTE.date()
WHOLE_DAY = (MINUTE - timedelta(hours=1), MINUTE + timedelta(hours=8))
FIGURES = (
    "spot",
    "forward",
    "atm_strike",
    "atm_volatility",
    "straddle",
    "pcr_open_interest",
    "pcr_volume",
    "max_pain",
    "call_open_interest",
    "put_open_interest",
)


@pytest.fixture(params=["postgres", "memory"])
async def series(request: pytest.FixtureRequest) -> AsyncIterator[ChainSeriesRepository]:
    """An empty store of chain minutes; the database deletes three rows at a time."""
    if request.param == "memory":
        yield MemoryChainSeries(MemoryStore(), ChainRows({}, {}, {}))
        return
    server: EmbeddedPostgres = request.getfixturevalue("postgres_server")
    async with new_database(server) as dsn, Database(dsn, max_size=2) as database:
        yield PostgresChainSeries(database, delete_rows=3)


def strikes(*places: float, shift: float = 0.0) -> StrikeColumns:
    """Rows whose every figure is another one; the last column of the first row is unknown."""
    strike = np.array(places)
    count = strike.size
    numbers = shift + np.arange(8.0 * count).reshape(8, count) + 0.125
    if count:
        numbers[7, 0] = math.nan
    return StrikeColumns(
        strike=strike,
        call_price=numbers[0],
        put_price=numbers[1],
        call_input=(np.arange(count) % 3).astype(np.uint8),
        put_input=((np.arange(count) + 1) % 3).astype(np.uint8),
        call_volatility=numbers[2] / 1_000,
        put_volatility=numbers[3] / 1_000,
        call_open_interest=numbers[4],
        put_open_interest=numbers[5],
        call_volume=numbers[6],
        put_volume=numbers[7],
    )


def minute(number: int = 0, **changes: Any) -> ChainMinute:
    """The sample chain at minute ``number`` of the morning."""
    values: dict[str, Any] = {
        "key": KEY,
        "minute": MINUTE + timedelta(minutes=number),
        "day": DAY,
        "spot": 23_990.35 + number,
        "forward": 24_012.4375 + number,
        "atm_strike": 24_000.0,
        "atm_volatility": 0.1234 + number / 1_000,
        "straddle": 222.05,
        "pcr_open_interest": 0.91,
        "pcr_volume": 1.07,
        "max_pain": 23_950.0,
        "call_open_interest": 12_345_678_915.0,
        "put_open_interest": 9_876_545.0,
        "contracts": 196,
        "strikes": strikes(23_950.0, 24_000.0, 24_050.0, shift=100.0 * number),
    }
    return ChainMinute(**(values | changes))


def expect(found: ChainSeries, wanted: Sequence[ChainMinute]) -> None:
    """The columns are these minutes', to the last bit."""
    assert found.minute.tolist() == [epoch_seconds(item.minute) for item in wanted]
    assert found.contracts.tolist() == [item.contracts for item in wanted]
    for name in FIGURES:
        column = [getattr(item, name) for item in wanted]
        np.testing.assert_array_equal(getattr(found, name), np.array(column, np.float64), err_msg=name)


def expect_strikes(found: StrikeSeries, wanted: Sequence[ChainMinute]) -> None:
    """The rows are these minutes' strikes, to the last bit and in their types."""
    assert found.minute.tolist() == [epoch_seconds(item.minute) for item in wanted for _ in item.strikes.strike]
    for name in StrikeColumns.__struct_fields__:
        column = np.concatenate([getattr(item.strikes, name) for item in wanted])
        read = getattr(found.columns, name)
        assert read.dtype == column.dtype
        np.testing.assert_array_equal(read, column, err_msg=name)


async def test_minutes_are_read_back_as_saved(series: ChainSeriesRepository) -> None:
    """Every figure of the expiry and of its strikes, in order of time and strike, to the last bit."""
    late, early = minute(7), minute(2)
    await series.save([late, early])
    expect(await series.between(KEY, *WHOLE_DAY), [early, late])
    expect_strikes(await series.strikes_between(KEY, *WHOLE_DAY), [early, late])


async def test_what_is_unknown_stays_unknown(series: ChainSeriesRepository) -> None:
    """``None`` and NaN come back as NaN, never as 0."""
    nothing: dict[str, Any] = dict.fromkeys(FIGURES)
    unknown = np.full(2, math.nan)
    columns = {name: unknown for name in StrikeColumns.__struct_fields__ if not name.endswith("_input")}
    none = np.zeros(2, np.uint8)
    empty = StrikeColumns(**(columns | {"strike": np.array([1.0, 2.0]), "call_input": none, "put_input": none}))
    await series.save([minute(**nothing, contracts=0, strikes=empty), minute(1, spot=math.nan)])
    found = await series.between(KEY, *WHOLE_DAY)
    for name in FIGURES:
        assert math.isnan(getattr(found, name)[0])
    assert math.isnan(found.spot[1])
    rows = (await series.strikes_between(KEY, *WHOLE_DAY)).columns
    assert np.isnan(rows.call_volatility[:2]).all()
    assert np.isnan(rows.put_volume[:2]).all()


async def test_saving_again_changes_nothing(series: ChainSeriesRepository) -> None:
    """A batch that was retried is there once."""
    batch = [minute(0), minute(1)]
    await series.save(batch)
    await series.save(batch)
    expect(await series.between(KEY, *WHOLE_DAY), batch)
    expect_strikes(await series.strikes_between(KEY, *WHOLE_DAY), batch)


async def test_the_last_writing_of_a_minute_stands(series: ChainSeriesRepository) -> None:
    """A minute saved anew replaces the figures and the strikes it names, across batches and within one."""
    newer = minute(0, spot=1.0, straddle=None, strikes=strikes(24_000.0, shift=7.0))
    await series.save([minute(0)])
    await series.save([minute(0, spot=2.0), newer])
    expect(await series.between(KEY, *WHOLE_DAY), [newer])
    found = await series.strikes_between(KEY, *WHOLE_DAY)
    assert found.columns.strike.tolist() == [23_950.0, 24_000.0, 24_050.0]
    expect_strikes(await series.strikes_between(KEY, *WHOLE_DAY, strike=24_000.0), [newer])
    np.testing.assert_array_equal(found.columns.call_price[[0, 2]], minute(0).strikes.call_price[[0, 2]])


async def test_between_takes_the_start_and_leaves_the_end(series: ChainSeriesRepository) -> None:
    """A range that ends where the next one starts loses and doubles nothing."""
    batch = [minute(number) for number in range(4)]
    await series.save(batch)
    bounds = (batch[1].minute, batch[3].minute)
    expect(await series.between(KEY, *bounds), batch[1:3])
    expect_strikes(await series.strikes_between(KEY, *bounds), batch[1:3])


async def test_one_strike_is_read_alone(series: ChainSeriesRepository) -> None:
    """The series of one strike; a strike that is not there has no rows."""
    await series.save([minute(0), minute(1)])
    found = await series.strikes_between(KEY, *WHOLE_DAY, strike=24_050.0)
    assert found.columns.strike.tolist() == [24_050.0, 24_050.0]
    assert found.columns.put_price.tolist() == [minute(number).strikes.put_price[2] for number in (0, 1)]
    assert (await series.strikes_between(KEY, *WHOLE_DAY, strike=24_025.0)).minute.shape == (0,)


async def test_expiries_and_underlyings_stay_apart(series: ChainSeriesRepository) -> None:
    """The same minute of three chains is three rows."""
    batch = [minute(0), minute(0, key=NEXT, spot=5.0), minute(0, key=OTHER, spot=6.0)]
    await series.save(batch)
    for item in batch:
        found = await series.between(item.key, *WHOLE_DAY)
        assert found.key == item.key
        expect(found, [item])
        expect_strikes(await series.strikes_between(item.key, *WHOLE_DAY), [item])


async def test_nothing_is_no_work_and_an_empty_range_has_no_rows(series: ChainSeriesRepository) -> None:
    """An empty flush, a chain without strikes, a range without minutes."""
    await series.save([])
    assert (await series.between(KEY, *WHOLE_DAY)).spot.shape == (0,)
    await series.save([minute(0, strikes=strikes())])
    expect(await series.between(KEY, *WHOLE_DAY), [minute(0, strikes=strikes())])
    assert (await series.strikes_between(KEY, *WHOLE_DAY)).columns.call_input.shape == (0,)
    assert (await series.daily_atm_volatility("SENSEX", 10)).day.shape == (0,)


async def test_columns_cannot_be_changed(series: ChainSeriesRepository) -> None:
    """What is handed out may be shared."""
    await series.save([minute(0)])
    found = await series.between(KEY, *WHOLE_DAY)
    rows = await series.strikes_between(KEY, *WHOLE_DAY)
    daily = await series.daily_atm_volatility("NIFTY", 1)
    for column in (found.minute, found.spot, rows.minute, rows.columns.strike, rows.columns.call_input, daily.day):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 1


async def test_the_days_volatility_is_the_last_known(series: ChainSeriesRepository) -> None:
    """Later minutes replace it, earlier and unknown ones do not, in whichever order they are saved."""
    await series.save([minute(5), minute(3)])
    await series.save([minute(9, atm_volatility=None), minute(4, atm_volatility=0.5)])
    found = await series.daily_atm_volatility("NIFTY", 5)
    assert found.atm_volatility.tolist() == [minute(5).atm_volatility]
    assert found.day.tolist() == [DAY]
    assert found.expiry.tolist() == [KEY.expiry]
    await series.save([minute(5, atm_volatility=0.2)])
    assert (await series.daily_atm_volatility("NIFTY", 5)).atm_volatility.tolist() == [0.2]


async def test_the_days_volatility_is_the_nearest_expirys(series: ChainSeriesRepository) -> None:
    """Of the expiries far enough away the nearest one; the newest days, oldest first; a day without any is missing."""
    days = [KEY.expiry - timedelta(days=ahead) for ahead in (5, 1, 0)]
    batch = [
        minute(0, key=key, day=day, minute=MINUTE + timedelta(days=number), atm_volatility=0.1 + number / 100 + extra)
        for number, day in enumerate(days)
        for key, extra in ((KEY, 0.0), (NEXT, 0.005))
    ]
    await series.save(batch)
    every = await series.daily_atm_volatility("NIFTY", 10)
    assert every.day.tolist() == days
    assert every.expiry.tolist() == [KEY.expiry] * 3
    np.testing.assert_allclose(every.atm_volatility, [0.1, 0.11, 0.12])
    far = await series.daily_atm_volatility("NIFTY", 10, days_to_expiry_min=2)
    assert far.expiry.tolist() == [KEY.expiry, NEXT.expiry, NEXT.expiry]
    np.testing.assert_allclose(far.atm_volatility, [0.1, 0.115, 0.125])
    newest = await series.daily_atm_volatility("NIFTY", 2, days_to_expiry_min=2)
    assert newest.day.tolist() == days[1:]
    farther = await series.daily_atm_volatility("NIFTY", 10, days_to_expiry_min=8)
    assert farther.day.tolist() == days[:2]
    assert (await series.daily_atm_volatility("NIFTY", 0)).day.shape == (0,)


async def test_old_minutes_go_and_days_stay(series: ChainSeriesRepository) -> None:
    """Strikes and expiries have their own limits, which stay themselves; the count is of all rows deleted."""
    batch = [minute(number) for number in range(5)]
    await series.save(batch)
    deleted = await series.delete_before(minutes=batch[1].minute, strikes=batch[4].minute)
    assert deleted == 1 + 4 * 3
    expect(await series.between(KEY, *WHOLE_DAY), batch[1:])
    expect_strikes(await series.strikes_between(KEY, *WHOLE_DAY), batch[4:])
    assert await series.delete_before(minutes=batch[1].minute, strikes=batch[4].minute) == 0
    assert await series.delete_before(minutes=WHOLE_DAY[1], strikes=WHOLE_DAY[1]) == 4 + 3
    assert (await series.daily_atm_volatility("NIFTY", 5)).atm_volatility.tolist() == [batch[4].atm_volatility]


BROKEN = {
    "negative": {"spot": -1.0},
    "infinite": {"pcr_volume": math.inf},
    "not a whole minute": {"minute": MINUTE + timedelta(seconds=1)},
    "no underlying": {"key": ChainKey("", KEY.expiry)},
    "less than no contracts": {"contracts": -1},
    "a strike of 0": {"strikes": strikes(0.0)},
    "an unknown strike": {"strikes": strikes(math.nan)},
    "an infinite strike": {"strikes": strikes(math.inf)},
    "a strike's negative price": {"strikes": strikes(24_000.0, shift=-10.0)},
    "an unknown input": {
        "strikes": msgspec.structs.replace(strikes(24_000.0), put_input=np.array([3], np.uint8)),
    },
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
async def test_what_cannot_be_is_refused_with_its_batch(series: ChainSeriesRepository, changes: dict[str, Any]) -> None:
    """All or none: the sound minute beside it is not written either, nor the day's volatility."""
    with pytest.raises(RowRefused):
        await series.save([minute(3), minute(**changes)])
    assert (await series.between(KEY, *WHOLE_DAY)).minute.shape == (0,)
    assert (await series.strikes_between(KEY, *WHOLE_DAY)).minute.shape == (0,)
    assert (await series.daily_atm_volatility("NIFTY", 5)).day.shape == (0,)


async def test_a_time_without_a_zone_is_refused(series: ChainSeriesRepository) -> None:
    """Neither written nor asked for: it would be another moment on another machine."""
    naive = datetime(2026, 11, 20, 3, 45)  # noqa: DTZ001 - the mistake under test
    with pytest.raises(ValueError, match="no time zone"):
        await series.save([minute(minute=naive)])
    for reading in (series.between(KEY, naive, MINUTE), series.strikes_between(KEY, MINUTE, naive)):
        with pytest.raises(ValueError, match="no time zone"):
            await reading
    with pytest.raises(ValueError, match="no time zone"):
        await series.delete_before(minutes=naive, strikes=MINUTE)


async def test_columns_of_different_lengths_are_refused(series: ChainSeriesRepository) -> None:
    """Strikes and their figures belong together."""
    uneven = msgspec.structs.replace(strikes(1.0, 2.0), call_price=np.array([1.0]))
    with pytest.raises(ValueError, match="zip"):
        await series.save([minute(strikes=uneven)])
    assert (await series.between(KEY, *WHOLE_DAY)).minute.shape == (0,)


async def test_other_zones_name_the_same_minute(series: ChainSeriesRepository) -> None:
    """A minute in India's time is the same row."""
    from zoneinfo import ZoneInfo

    local = minute(0, minute=MINUTE.astimezone(ZoneInfo("Asia/Kolkata")), spot=3.0)
    await series.save([minute(0)])
    await series.save([local])
    found = await series.between(KEY, *WHOLE_DAY)
    assert found.spot.tolist() == [3.0]
    assert datetime.fromtimestamp(int(found.minute[0]), UTC) == MINUTE


async def test_a_stopped_database_is_said_to_be() -> None:
    """The twin answers as a database that is gone, whatever is asked."""
    store = MemoryStore()
    series = MemoryChainSeries(store, ChainRows({}, {}, {}))
    store.stop()
    for call in (
        series.save([minute(0)]),
        series.between(KEY, *WHOLE_DAY),
        series.strikes_between(KEY, *WHOLE_DAY),
        series.daily_atm_volatility("NIFTY", 1),
        series.delete_before(minutes=MINUTE, strikes=MINUTE),
    ):
        with pytest.raises(StorageUnavailable):
            await call


async def test_a_batch_is_one_statement_and_so_is_a_range(postgres_server: EmbeddedPostgres) -> None:
    """However many minutes and strikes: one round trip to write, one to read, and every row arrives."""
    statements: list[str] = []
    places = tuple(20_000.0 + 50.0 * number for number in range(100))
    batch = [minute(number, key=key, strikes=strikes(*places)) for number in range(10) for key in (KEY, NEXT, OTHER)]
    async with (
        new_database(postgres_server) as dsn,
        Database(dsn, max_size=2, on_statement=statements.append) as database,
    ):
        stored = PostgresChainSeries(database)
        await stored.save(batch)
        assert len(statements) == 1
        found = await stored.strikes_between(KEY, *WHOLE_DAY)
        assert len(statements) == 2
        assert found.minute.shape == (1_000,)
        assert len(await _ids(database)) == 3_000


async def test_a_write_that_cannot_reach_the_database_says_so(postgres_server: EmbeddedPostgres) -> None:
    """A closed pool is a storage error, for which a writer keeps its batch."""
    with pytest.raises(StorageUnavailable):
        await PostgresChainSeries(Database(postgres_server.dsn("postgres"))).save([minute(0)])


async def _ids(database: Database) -> list[float]:
    async with database.acquire() as session:
        return [row["strike"] for row in await session.fetch("SELECT strike FROM chain_strikes")]


async def test_a_replay_that_goes_back_deletes_what_came_after(series: ChainSeriesRepository) -> None:
    """Minutes, strikes and the day's volatility at and after the moment go; the earlier ones stay."""
    batch = [minute(number) for number in range(4)]
    await series.save(batch)
    assert await series.delete_from(batch[2].minute) == 2 + 2 * 3 + 1
    expect(await series.between(KEY, *WHOLE_DAY), batch[:2])
    expect_strikes(await series.strikes_between(KEY, *WHOLE_DAY), batch[:2])
    assert (await series.daily_atm_volatility("NIFTY", 5)).atm_volatility.tolist() == []
