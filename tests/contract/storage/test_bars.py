"""What every store of minute candles of prices must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.core.bars import BarSource, MinuteBars
from engine.core.errors import StorageUnavailable
from engine.core.identifiers import InstrumentKey
from engine.core.repositories import BarRepository
from engine.core.vocabulary import Exchange
from storage.bar_rows import FIGURES, minute_bars, read_stream
from storage.bars import PostgresBars
from storage.embedded import EmbeddedPostgres
from storage.errors import RowRefused
from storage.memory.bar_table import BarTable
from storage.memory.bars import MemoryBars
from storage.memory.store import MemoryStore
from storage.pool import Database
from tests.contract.storage.samples import CALL, MINUTE, PUT
from tests.kit.database import new_database

INDEX = InstrumentKey(Exchange.NSE, "NIFTY 50")
CURRENCY = InstrumentKey(Exchange.CDS, "USDINR26NOVFUT")
UNHEARD = InstrumentKey(Exchange.BFO, "SENSEX26NOV80000CE")
START_S = int(MINUTE.timestamp())
WHOLE_DAY = (MINUTE - timedelta(hours=1), MINUTE + timedelta(hours=8))
Row = tuple[InstrumentKey, int, int, int, int, int, int, int, int]


@pytest.fixture(params=["postgres", "memory"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[BarRepository]:
    """An empty store of candles; the database deletes three rows at a time."""
    if request.param == "memory":
        yield MemoryBars(MemoryStore(), BarTable())
        return
    server: EmbeddedPostgres = request.getfixturevalue("postgres_server")
    async with new_database(server) as dsn, Database(dsn, max_size=2) as database:
        yield PostgresBars(database, delete_rows=3)


def row(
    key: InstrumentKey = CALL,
    number: int = 0,
    price: int = 10_050,
    *,
    volume: int = 650,
    interest: int = 1_000_000,
    source: int = BarSource.TICKS,
) -> Row:
    """A candle in the given minute."""
    return (key, START_S + 60 * number, price, price + 25, price - 30, price + 5, volume, interest, source)


def batch(rows: Sequence[Row]) -> MinuteBars:
    """A batch of rows, as they come."""
    keys = tuple(dict.fromkeys(item[0] for item in rows))
    figures = np.array([item[1:] for item in rows], np.int64).reshape(-1, len(FIGURES)).T
    decimals = np.array([7 if key.exchange is Exchange.CDS else 2 for key in keys], np.uint8)
    return minute_bars(keys, decimals, np.array([keys.index(item[0]) for item in rows], np.int64), list(figures))


def rows_of(found: MinuteBars) -> list[Row]:
    """The candles of a batch, in its order."""
    figures = zip(*(getattr(found, name).tolist() for name in FIGURES), strict=True)
    return [(found.instruments[place], *line) for place, line in zip(found.place.tolist(), figures, strict=True)]


async def test_candles_are_read_back_as_saved(store: BarRepository) -> None:
    """By instrument, in the order asked for, and then by time, to the last bit; unknown stays unknown."""
    rows = [
        row(PUT, 3, volume=-1),
        row(CALL, 2, interest=-1),
        row(INDEX, 0, 2_400_000, volume=-1, interest=-1, source=BarSource.HISTORY),
        row(CALL, 1, 2_147_000_000, volume=4_294_967_295, interest=4_294_967_295),
        row(CURRENCY, 0, 830_000_000, source=BarSource.PARTIAL),
    ]
    assert await store.save(batch(rows)) == len(rows)
    found = await store.between([PUT, CURRENCY, CALL, INDEX], *WHOLE_DAY)
    assert rows_of(found) == [rows[0], rows[4], rows[3], rows[1], rows[2]]
    assert found.decimals.tolist() == [2, 7, 2, 2]
    wanted = dict.fromkeys(FIGURES, np.int64) | {"source": np.uint8, "place": np.int64, "decimals": np.uint8}
    assert {name: getattr(found, name).dtype.type for name in wanted} == wanted


async def test_the_greater_source_is_kept_and_the_newer_of_equals(store: BarRepository) -> None:
    """Across batches; the count is of the rows written."""
    for source in BarSource:
        first = row(CALL, source, 100, source=BarSource.TICKS)
        await store.save(batch([first]))
        second = row(CALL, source, 200, source=source)
        written = await store.save(batch([second]))
        kept = first if source is BarSource.PARTIAL else second
        assert written == (kept is second)
        assert kept in rows_of(await store.between([CALL], *WHOLE_DAY))
    found = {line[1]: line for line in rows_of(await store.between([CALL], *WHOLE_DAY))}
    assert [found[START_S + 60 * number][2] for number in (0, 1, 2)] == [100, 200, 200]


async def test_the_same_minute_twice_in_a_batch_is_one_row(store: BarRepository) -> None:
    """The greater source, wherever it stands; of equals the last."""
    rows = [
        row(CALL, 0, 300, source=BarSource.HISTORY),
        row(CALL, 0, 100),
        row(PUT, 0, 400),
        row(PUT, 0, 500),
    ]
    assert await store.save(batch(rows)) == 2
    assert rows_of(await store.between([CALL, PUT], *WHOLE_DAY)) == [rows[0], rows[3]]


async def test_saving_again_changes_nothing(store: BarRepository) -> None:
    """A batch that was retried is there once."""
    rows = [row(CALL, number) for number in range(5)]
    await store.save(batch(rows))
    await store.save(batch(rows))
    assert rows_of(await store.between([CALL], *WHOLE_DAY)) == rows


async def test_between_takes_the_start_and_leaves_the_end(store: BarRepository) -> None:
    """A range that ends where the next one starts loses and doubles nothing; an instrument asked twice comes once."""
    rows = [row(CALL, number) for number in range(4)]
    await store.save(batch(rows))
    bounds = (MINUTE + timedelta(minutes=1), MINUTE + timedelta(minutes=3))
    assert rows_of(await store.between([CALL, CALL], *bounds)) == rows[1:3]
    local = timezone(timedelta(hours=5, minutes=30))
    assert rows_of(await store.between([CALL], *(moment.astimezone(local) for moment in bounds))) == rows[1:3]


async def test_nothing_is_no_work(store: BarRepository) -> None:
    """An empty batch, an instrument never heard of, none at all."""
    assert await store.save(batch([])) == 0
    assert rows_of(await store.between([UNHEARD], *WHOLE_DAY)) == []
    assert (await store.between([], *WHOLE_DAY)).instruments == ()
    assert await store.last([UNHEARD]) == {}


async def test_the_newest_minute_of_each_instrument(store: BarRepository) -> None:
    """Those without candles are missing."""
    await store.save(batch([row(CALL, 7), row(CALL, 2), row(PUT, 3)]))
    newest = await store.last([PUT, CALL, UNHEARD])
    assert newest == {CALL: MINUTE + timedelta(minutes=7), PUT: MINUTE + timedelta(minutes=3)}


async def test_old_minutes_go(store: BarRepository) -> None:
    """Before a moment, which stays; the count is of the rows deleted, more than one statement's."""
    rows = [row(key, number) for key in (CALL, PUT) for number in range(6)]
    await store.save(batch(rows))
    assert await store.delete_before(MINUTE + timedelta(minutes=4)) == 8
    assert rows_of(await store.between([CALL, PUT], *WHOLE_DAY)) == [*rows[4:6], *rows[10:]]
    assert await store.delete_before(MINUTE + timedelta(minutes=4)) == 0


async def test_a_tape_that_goes_back_takes_its_minutes_with_it(store: BarRepository) -> None:
    """From a moment on, it included."""
    rows = [row(key, number) for key in (CALL, PUT) for number in range(6)]
    await store.save(batch(rows))
    assert await store.delete_from(MINUTE + timedelta(minutes=2)) == 8
    assert rows_of(await store.between([CALL, PUT], *WHOLE_DAY)) == [*rows[:2], *rows[6:8]]


async def test_columns_cannot_be_changed(store: BarRepository) -> None:
    """What is handed out may be shared."""
    await store.save(batch([row()]))
    found = await store.between([CALL], *WHOLE_DAY)
    for name in (*FIGURES, "place", "decimals"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[0] = 1


BROKEN: dict[str, dict[str, Any]] = {
    "no whole minute": {"start": [START_S, START_S + 1]},
    "a price of 0": {"low": [1, 0]},
    "a high below the close": {"high": [10_075, 10_000]},
    "a low above the open": {"low": [10_020, 10_060]},
    "a price beyond the column": {"high": [10_075, 2**31]},
    "a negative volume": {"volume": [1, -2]},
    "a negative open interest": {"open_interest": [1, -2]},
    "an unknown source": {"source": [1, 3]},
    "a place without instrument": {"place": [0, 1]},
    "too many decimal places": {"decimals": [10]},
    "no symbol": {"instruments": (InstrumentKey(Exchange.NFO, ""),)},
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
async def test_what_cannot_be_is_refused_with_its_batch(store: BarRepository, changes: dict[str, Any]) -> None:
    """All or none: the sound candle beside it is not written either."""
    sound = batch([row(CALL, 0), row(CALL, 1)])
    columns = {name: value if name == "instruments" else np.array(value) for name, value in changes.items()}
    with pytest.raises(RowRefused):
        await store.save(msgspec.structs.replace(sound, **columns))
    assert rows_of(await store.between([CALL], *WHOLE_DAY)) == []


async def test_other_decimal_places_are_refused(store: BarRepository) -> None:
    """The same integers would be other prices."""
    await store.save(batch([row(CALL, 0)]))
    with pytest.raises(RowRefused, match="2 decimal places, these have 4"):
        await store.save(msgspec.structs.replace(batch([row(CALL, 1)]), decimals=np.array([4], np.uint8)))
    assert rows_of(await store.between([CALL], *WHOLE_DAY)) == [row(CALL, 0)]


async def test_columns_of_different_lengths_are_refused(store: BarRepository) -> None:
    """A candle's figures belong together."""
    with pytest.raises(ValueError, match="differ in length"):
        await store.save(msgspec.structs.replace(batch([row()]), open=np.array([1, 2])))


async def test_a_time_without_a_zone_is_refused(store: BarRepository) -> None:
    """It would be another moment on another machine."""
    naive = datetime(2026, 11, 20, 3, 45)  # noqa: DTZ001 - the mistake under test
    for call in (
        store.between([CALL], naive, MINUTE),
        store.between([CALL], MINUTE, naive),
        store.delete_before(naive),
        store.delete_from(naive),
    ):
        with pytest.raises(ValueError, match="no time zone"):
            await call


async def test_many_candles_come_back_as_they_went(store: BarRepository) -> None:
    """Thousands of rows, more than one piece of a copy, in random order."""
    random = np.random.default_rng(7)
    keys = [InstrumentKey(Exchange.NFO, f"NIFTY26NOV{20_000 + 50 * number}PE") for number in range(40)]
    rows = [
        row(key, number, int(random.integers(100, 90_000)), volume=int(random.integers(-1, 10**9)))
        for key in keys
        for number in range(150)
    ]
    shuffled = [rows[place] for place in random.permutation(len(rows))]
    assert await store.save(batch(shuffled)) == len(rows)
    assert rows_of(await store.between(keys, *WHOLE_DAY)) == rows


async def test_a_stopped_database_is_said_to_be() -> None:
    """The twin answers as a database that is gone, whatever is asked."""
    kept = MemoryStore()
    bars = MemoryBars(kept, BarTable())
    kept.stop()
    for call in (
        bars.save(batch([row()])),
        bars.between([CALL], *WHOLE_DAY),
        bars.last([CALL]),
        bars.delete_before(MINUTE),
        bars.delete_from(MINUTE),
    ):
        with pytest.raises(StorageUnavailable):
            await call


async def test_two_engines_share_the_numbers_of_instruments(postgres_server: EmbeddedPostgres) -> None:
    """Each remembers what the other one made: one row per instrument, and both read the same."""
    async with new_database(postgres_server) as dsn, Database(dsn, max_size=3) as database:
        one, other = PostgresBars(database), PostgresBars(database)
        assert await other.last([CALL]) == {}
        await one.save(batch([row(CALL, 0)]))
        await other.save(batch([row(CALL, 1), row(PUT, 1)]))
        assert rows_of(await one.between([CALL, PUT], *WHOLE_DAY)) == [row(CALL, 0), row(CALL, 1), row(PUT, 1)]
        async with database.acquire() as session:
            assert await session.fetchval("SELECT count(*) FROM price_instruments") == 2


async def test_a_second_reading_asks_once(postgres_server: EmbeddedPostgres) -> None:
    """Numbers are remembered: a range is one statement, however many instruments."""
    statements: list[str] = []
    keys = [InstrumentKey(Exchange.NFO, f"T{number}") for number in range(500)]
    async with (
        new_database(postgres_server) as dsn,
        Database(dsn, max_size=2, on_statement=statements.append) as database,
    ):
        bars = PostgresBars(database)
        await bars.save(batch([row(key) for key in keys]))
        statements.clear()
        assert len((await bars.between(keys, *WHOLE_DAY)).place) == 500
        assert len(statements) == 1


async def test_a_write_that_cannot_reach_the_database_says_so(postgres_server: EmbeddedPostgres) -> None:
    """A closed pool is a storage error, for which a writer keeps its batch."""
    with pytest.raises(StorageUnavailable):
        await PostgresBars(Database(postgres_server.dsn("postgres"))).save(batch([row()]))


def test_bytes_that_are_no_candles_are_refused() -> None:
    """A stream that was cut or is of another query is never read as prices."""
    for stream in (b"", b"PGCOPY\n\xff\r\n\0" + bytes(8), b"PGCOPY\n\xff\r\n\0" + bytes(8 + 82) + b"\xff\xff"):
        with pytest.raises(ValueError, match="binary COPY"):
            read_stream(stream)
    assert datetime.fromtimestamp(START_S, UTC) == MINUTE
