"""A day's minute candles of 500 instruments: our binary COPY both ways against the driver's own ways, in one run.

Writing is compared with asyncpg's ``copy_records_to_table`` of tuples (an empty table of the same columns, without and
with our primary key), reading with ``fetch`` and ``numpy.array``; each side gets and gives numpy columns. Rounds
alternate; medians and ratios are printed, with the targets; nothing passes or fails. The server is a private one in a
temporary folder. Run ``python -m benchmarks.bar_storage``.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import numpy as np

from engine.core.bars import BarSource, MinuteBars
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange
from storage.bar_rows import COLUMNS, FIGURES, copy_stream, minute_bars
from storage.bars import PostgresBars
from storage.databases import ensure_database
from storage.embedded import EmbeddedPostgres
from storage.migrate import upgrade
from storage.pool import Database

INSTRUMENTS = 500
MINUTES = 385
ROUNDS = 7
OPEN = datetime(2026, 11, 19, 3, 45, tzinfo=UTC)
DATABASE = "bar_storage"
PEER_TABLES = {"without an index": "peer_plain", "with the primary key": "peer_indexed"}
MAKE_PEERS = """
CREATE TABLE peer_plain (LIKE price_bars);
CREATE TABLE peer_indexed (LIKE price_bars, PRIMARY KEY (instrument_id, start));
"""
PEER_READ = """
SELECT instrument_id, extract(epoch FROM start)::bigint, open, high, low, close, coalesce(volume, -1),
    coalesce(open_interest, -1), source
FROM price_bars WHERE instrument_id = ANY ($1::integer[]) AND start >= $2 AND start < $3
"""
Side = Callable[[], Awaitable[object]]


class Cost(NamedTuple):
    """Medians over the rounds."""

    wall_s: float
    client_s: float
    """Processor time of this process."""


def made_day() -> MinuteBars:
    """Random candles on the tick."""
    random = np.random.default_rng(20261119)
    count = INSTRUMENTS * MINUTES
    price = random.integers(1_000, 90_000, count) * 5
    columns = {
        "start": np.tile(int(OPEN.timestamp()) + 60 * np.arange(MINUTES), INSTRUMENTS),
        "open": price,
        "high": price + 500,
        "low": price - 500,
        "close": price + 5,
        "volume": random.integers(0, 1_000_000, count),
        "open_interest": random.integers(0, 3_000_000_000, count),
        "source": np.full(count, BarSource.TICKS),
    }
    keys = [InstrumentKey(Exchange.NFO, f"NIFTY26DEC{20_000 + 50 * number}CE") for number in range(INSTRUMENTS)]
    place = np.repeat(np.arange(INSTRUMENTS), MINUTES)
    return minute_bars(keys, np.full(INSTRUMENTS, 2, np.uint8), place, [columns[name] for name in FIGURES])


async def measured(
    sides: dict[str, Callable[[], Awaitable[object]]], between: Callable[[], Awaitable[object]]
) -> dict[str, Cost]:
    """Every side in alternating rounds; ``between`` is not counted."""
    walls: dict[str, list[float]] = {name: [] for name in sides}
    clients: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            await between()
            gc.collect()
            wall, client = time.perf_counter(), time.process_time()
            await side()
            walls[name].append(time.perf_counter() - wall)
            clients[name].append(time.process_time() - client)
    return {name: Cost(statistics.median(walls[name]), statistics.median(clients[name])) for name in sides}


async def write_sides(connection: asyncpg.Connection[asyncpg.Record], day: MinuteBars, table: str) -> dict[str, Cost]:
    """Columns to rows of a table, by tuples and by our stream."""
    ids = np.arange(1, INSTRUMENTS + 1)

    async def records() -> None:
        moments = [OPEN + timedelta(minutes=number) for number in range(MINUTES)] * INSTRUMENTS
        columns = [getattr(day, name).tolist() for name in FIGURES[1:]]
        rows = zip(ids[day.place].tolist(), moments, *columns, strict=True)
        await connection.copy_records_to_table(table, columns=COLUMNS, records=rows)

    async def pieces(stream: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(stream), 1 << 18):
            yield stream[start : start + (1 << 18)]

    async def ours() -> None:
        source = pieces(copy_stream(ids, day))
        await connection.copy_to_table(table, columns=COLUMNS, source=source, format="binary")

    return await measured(
        {"copy_records_to_table": records, "binary COPY": ours}, lambda: connection.execute(f"TRUNCATE {table}")
    )


def show(title: str, costs: dict[str, Cost], target: str) -> None:
    """One comparison: the peer comes first."""
    peer, ours = costs.values()
    rows = INSTRUMENTS * MINUTES
    print(f"\n{title}; target: {target}")
    for name, cost in costs.items():
        rate = rows / cost.wall_s / 1_000
        print(f"  {name:24} {cost.wall_s * 1e3:8.0f} ms  {rate:7.0f} k rows/s  client {cost.client_s * 1e3:6.0f} ms")
    print(
        f"  client processor {ours.client_s / peer.client_s:.2f} of the peer's, "
        f"{peer.wall_s / ours.wall_s:.2f} times its speed"
    )


async def compare(server: EmbeddedPostgres) -> None:
    """All comparisons on a fresh database."""
    await ensure_database(server.dsn(), DATABASE)
    await upgrade(server.dsn(DATABASE))
    day = made_day()
    print(f"{len(day.place):,} candles: {INSTRUMENTS} instruments, {MINUTES} minutes; medians of {ROUNDS} rounds")
    connection = await asyncpg.connect(server.dsn(DATABASE))
    try:
        await connection.execute(MAKE_PEERS)
        for title, table in PEER_TABLES.items():
            wanted = "client <= 0.5, speed >= " + ("1.4" if table == "peer_plain" else "1.0")
            show(f"writing {title}", await write_sides(connection, day, table), wanted)
        async with Database(server.dsn(DATABASE), statement_timeout_s=60.0) as database:
            bars = PostgresBars(database)
            began = time.perf_counter()
            await bars.save(day)
            print(f"\nthe repository's save of the whole day (merging, rules): {time.perf_counter() - began:.2f} s")
            began = time.perf_counter()
            await bars.save(day)
            print(f"the same again (every row replaced):                      {time.perf_counter() - began:.2f} s")
            await connection.execute("ANALYZE price_bars")
            end = OPEN + timedelta(days=1)
            ids = [row[0] for row in await connection.fetch("SELECT instrument_id FROM price_instruments")]

            async def fetched() -> None:
                found = np.array(await connection.fetch(PEER_READ, ids, OPEN, end))
                assert found.shape == (INSTRUMENTS * MINUTES, len(COLUMNS))

            async def ours() -> None:
                found = await bars.between(day.instruments, OPEN, end)
                assert len(found.place) == INSTRUMENTS * MINUTES

            async def nothing() -> None:
                """Nothing to prepare."""

            show("reading", await measured({"fetch + np.array": fetched, "between": ours}, nothing), "speed >= 3")
    finally:
        await connection.close()


def main() -> int:
    """Start a server, measure, and leave nothing."""
    with tempfile.TemporaryDirectory(prefix="workstation-benchmark-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "postgres", max_connections=20)
        server.start()
        try:
            asyncio.run(compare(server))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
