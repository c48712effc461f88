"""Batches of candles: merged, and on their way to a database that may not take them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np
import pytest

from engine.core.bars import BarSource, MinuteBars
from engine.core.errors import StorageUnavailable
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange
from engine.market.bar_backlog import BarBacklog
from engine.market.bar_batches import chosen, joined, merged, no_bars, of_instrument, of_instruments
from storage.bar_rows import FIGURES, minute_bars
from storage.memory.bar_table import BarTable
from storage.memory.bars import MemoryBars
from storage.memory.store import MemoryStore

ONE, OTHER = InstrumentKey(Exchange.NFO, "ONE"), InstrumentKey(Exchange.NFO, "OTHER")
START_S = 1_795_059_900
DAY = (datetime.fromtimestamp(START_S, UTC), datetime.fromtimestamp(START_S + 86_400, UTC))
Row = tuple[InstrumentKey, int, int, BarSource]


def batch(*rows: Row) -> MinuteBars:
    """Candles (instrument, minute, price, source)."""
    keys = tuple(dict.fromkeys(key for key, *_ in rows))
    figures = np.array(
        [(START_S + 60 * number, price, price, price, price, 1, 2, source) for _, number, price, source in rows],
        np.int64,
    )
    place = np.array([keys.index(key) for key, *_ in rows], np.int64)
    return minute_bars(keys, np.full(len(keys), 2, np.uint8), place, list(figures.reshape(-1, len(FIGURES)).T))


def rows_of(bars: MinuteBars) -> list[Row]:
    """The candles of a batch, in its order."""
    columns = zip(bars.place.tolist(), bars.start.tolist(), bars.open.tolist(), bars.source.tolist(), strict=True)
    return [
        (bars.instruments[place], (start - START_S) // 60, price, BarSource(source))
        for place, start, price, source in columns
    ]


T, H, P = BarSource.TICKS, BarSource.HISTORY, BarSource.PARTIAL


class Bench:
    """A backlog over a store in memory that can be stopped."""

    def __init__(self, *, batch_max: int = 100, waiting_max: int = 100) -> None:
        self.store = MemoryStore()
        self.repository = MemoryBars(self.store, BarTable())
        self.backlog = BarBacklog(self.repository, batch_max=batch_max, waiting_max=waiting_max)

    async def stored(self, *keys: InstrumentKey) -> list[Row]:
        """What the database has."""
        return rows_of(await self.repository.between(keys or (ONE, OTHER), *DAY))


def test_batches_are_joined_over_one_list_of_instruments() -> None:
    """Each candle stays its instrument's."""
    first, second = batch((ONE, 0, 1, T), (OTHER, 0, 2, T)), batch((OTHER, 1, 3, T))
    whole = joined([first, second])
    assert whole.instruments == (ONE, OTHER)
    assert rows_of(whole) == [*rows_of(first), *rows_of(second)]
    assert joined([first]) is first
    assert len(joined([]).place) == 0


def test_prices_of_other_decimal_places_are_not_joined() -> None:
    """The same integer would be another price."""
    other = msgspec.structs.replace(batch((ONE, 1, 3, T)), decimals=np.array([4], np.uint8))
    with pytest.raises(ValueError, match="2 and 4 decimal places"):
        joined([batch((ONE, 0, 1, T)), other])


def test_of_two_candles_the_surer_is_kept_and_the_newer_of_equals() -> None:
    """By instrument and time, whatever order they come in."""
    found = merged(
        [
            batch((OTHER, 3, 9, T), (ONE, 2, 1, H), (ONE, 1, 2, T)),
            batch((ONE, 2, 3, T), (ONE, 1, 4, T), (ONE, 0, 5, P)),
        ]
    )
    assert rows_of(found) == [(OTHER, 3, 9, T), (ONE, 0, 5, P), (ONE, 1, 4, T), (ONE, 2, 1, H)]
    assert len(merged([no_bars(), no_bars()]).place) == 0


def test_one_instrument_and_some_rows_can_be_taken_out() -> None:
    """Over the same columns."""
    whole = batch((ONE, 0, 1, T), (OTHER, 0, 2, T), (ONE, 1, 3, T))
    assert rows_of(of_instrument(whole, ONE)) == [(ONE, 0, 1, T), (ONE, 1, 3, T)]
    assert len(of_instrument(whole, InstrumentKey(Exchange.BFO, "ONE")).place) == 0
    mine = of_instruments(whole, {OTHER})
    assert (mine.instruments, rows_of(mine)) == ((OTHER,), [(OTHER, 0, 2, T)])
    assert rows_of(of_instruments(whole, {ONE, OTHER})) == rows_of(whole)
    assert of_instruments(whole, set()).instruments == ()
    assert rows_of(chosen(whole, whole.start > START_S)) == [(ONE, 1, 3, T)]


async def test_what_waits_is_written_once() -> None:
    """And is gone from the list when it is in the database."""
    bench = Bench()
    bench.backlog.add(batch((ONE, 0, 1, T)))
    bench.backlog.add(no_bars())
    bench.backlog.add(batch((OTHER, 0, 2, T)))
    assert bench.backlog.waiting == 2
    assert await bench.backlog.save() == 2
    assert await bench.backlog.save() == 0
    assert bench.backlog.waiting == 0
    assert await bench.stored() == [(ONE, 0, 1, T), (OTHER, 0, 2, T)]


async def test_a_database_that_is_gone_loses_nothing() -> None:
    """It waits, can be read, and is written when the database is back."""
    bench = Bench()
    bench.backlog.add(batch((ONE, 0, 1, T)))
    bench.store.stop()
    with pytest.raises(StorageUnavailable):
        await bench.backlog.save()
    assert bench.backlog.waiting == 1
    assert rows_of(bench.backlog.of([ONE])) == [(ONE, 0, 1, T)]
    bench.store.start()
    assert await bench.backlog.save() == 1
    assert await bench.stored() == [(ONE, 0, 1, T)]


def test_beyond_the_bound_the_oldest_are_dropped_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Whole batches; the newest stays even when it alone is too large."""
    bench = Bench(waiting_max=3)
    for number in range(4):
        bench.backlog.add(batch((ONE, number, 1, T)))
    assert [row[1] for row in rows_of(bench.backlog.of([ONE]))] == [1, 2, 3]
    assert (bench.backlog.waiting, bench.backlog.dropped) == (3, 1)
    bench.backlog.add(batch(*((ONE, 10 + number, 1, T) for number in range(5))))
    assert (bench.backlog.waiting, bench.backlog.dropped) == (5, 4)
    assert "dropped" in caplog.text


class SlowBars(MemoryBars):
    """A store whose save waits at a gate, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), BarTable())
        self.gate = asyncio.Event()
        self.reached = asyncio.Event()
        self.sizes: list[int] = []

    async def save(self, bars: MinuteBars) -> int:
        self.sizes.append(len(bars.place))
        self.reached.set()
        await self.gate.wait()
        return await super().save(bars)


async def test_what_is_being_written_can_still_be_read() -> None:
    """And what is dropped meanwhile is not counted twice."""
    repository = SlowBars()
    backlog = BarBacklog(repository, batch_max=1, waiting_max=2)
    backlog.add(batch((ONE, 0, 1, T)))
    saving = asyncio.create_task(backlog.save())
    await repository.reached.wait()
    assert len(backlog.of([ONE]).place) == 1
    backlog.add(batch((ONE, 1, 1, T)))
    backlog.add(batch((ONE, 2, 1, T)))
    assert (backlog.waiting, backlog.dropped) == (2, 1)
    repository.gate.set()
    await saving
    await backlog.save()
    assert backlog.waiting == 0
    assert [row[1] for row in rows_of(await repository.between([ONE], *DAY))] == [0, 1, 2]


async def test_a_write_holds_whole_batches_up_to_its_bound() -> None:
    """A batch that is larger goes alone."""
    repository = SlowBars()
    repository.gate.set()
    backlog = BarBacklog(repository, batch_max=3, waiting_max=100)
    sizes: Sequence[int] = (2, 1, 1, 5, 1)
    number = 0
    for size in sizes:
        backlog.add(batch(*((ONE, number + row, 1, T) for row in range(size))))
        number += size
    await backlog.save()
    assert repository.sizes == [3, 1, 5, 1]


async def test_a_restart_forgets_here_and_there() -> None:
    """A tape that goes back: what waits is gone at once, what is stored from that moment on before the next write."""
    bench = Bench()
    bench.backlog.add(batch((ONE, 0, 1, T), (ONE, 5, 1, T)))
    await bench.backlog.save()
    bench.backlog.add(batch((ONE, 6, 1, T)))
    bench.backlog.clear(datetime.fromtimestamp(START_S + 300, UTC))
    assert bench.backlog.waiting == 0
    bench.backlog.add(batch((ONE, 7, 9, T)))
    bench.store.stop()
    with pytest.raises(StorageUnavailable):
        await bench.backlog.save()
    bench.store.start()
    await bench.backlog.save()
    assert await bench.stored() == [(ONE, 0, 1, T), (ONE, 7, 9, T)]
    bench.backlog.clear(None)
    await bench.backlog.save()
    assert await bench.stored() == [(ONE, 0, 1, T), (ONE, 7, 9, T)]


async def test_a_write_under_way_at_a_restart_is_deleted_and_the_new_run_is_not() -> None:
    """Whatever was being written belongs to the run that is over."""
    repository = SlowBars()
    backlog = BarBacklog(repository, batch_max=1, waiting_max=10)
    backlog.add(batch((ONE, 4, 1, T)))
    saving = asyncio.create_task(backlog.save())
    await repository.reached.wait()
    backlog.clear(datetime.fromtimestamp(START_S, UTC))
    backlog.add(batch((ONE, 0, 2, T)))
    repository.gate.set()
    await saving
    assert rows_of(await repository.between([ONE], *DAY)) == [(ONE, 0, 2, T)]
    assert backlog.waiting == 0
