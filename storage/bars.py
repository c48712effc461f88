"""Minute candles of prices: written and read by binary COPY, built from columns and read into columns.

A batch goes to a temporary table by COPY and from there into ``price_bars`` by one statement, in one transaction: all
of it is kept or nothing. Instruments have short numbers, which are read once and remembered (they never change).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import numpy as np

from engine.core.bars import MinuteBars
from engine.core.identifiers import InstrumentKey
from engine.core.views import Integers
from storage.bar_rows import COLUMNS, FIGURES, checked, copy_stream, minute_bars, read_stream
from storage.boundary import aware
from storage.errors import RowRefused
from storage.pool import Database
from storage.refusals import refusals_in_words

ADD_INSTRUMENTS: Final = """
INSERT INTO price_instruments (exchange, tradingsymbol, decimals)
SELECT exchange, tradingsymbol, decimals
FROM unnest($1::text[], $2::text[], $3::smallint[]) AS given (exchange, tradingsymbol, decimals)
ORDER BY exchange, tradingsymbol
ON CONFLICT (exchange, tradingsymbol) DO NOTHING
"""
READ_INSTRUMENTS: Final = """
SELECT kept.instrument_id, kept.exchange, kept.tradingsymbol, kept.decimals
FROM price_instruments AS kept
JOIN unnest($1::text[], $2::text[]) AS given (exchange, tradingsymbol)
    ON kept.exchange = given.exchange AND kept.tradingsymbol = given.tradingsymbol
"""
GIVEN: Final = "price_bars_given"
MAKE_GIVEN: Final = f"CREATE TEMPORARY TABLE {GIVEN} (LIKE price_bars) ON COMMIT DROP"
# Rows come sorted, so that two writers take their locks in the same order.
KEEP_GIVEN: Final = f"""
INSERT INTO price_bars AS kept (
    instrument_id, start, open, high, low, close, volume, open_interest, source
)
SELECT
    instrument_id, start, open, high, low, close, nullif(volume, -1), nullif(open_interest, -1), source
FROM {GIVEN}
ORDER BY instrument_id, start
ON CONFLICT (instrument_id, start) DO UPDATE SET
    open = excluded.open,
    high = excluded.high,
    low = excluded.low,
    close = excluded.close,
    volume = excluded.volume,
    open_interest = excluded.open_interest,
    source = excluded.source
WHERE kept.source <= excluded.source
"""  # noqa: S608 - the only name put in is the constant above
READ_BETWEEN: Final = """
SELECT
    instrument_id, start, open, high, low, close, coalesce(volume, -1), coalesce(open_interest, -1), source
FROM price_bars
WHERE instrument_id = ANY ($1::integer[]) AND start >= $2::timestamptz AND start < $3::timestamptz
"""
READ_LAST: Final = """
SELECT asked.instrument_id, newest.start
FROM unnest($1::integer[]) AS asked (instrument_id)
CROSS JOIN LATERAL (
    SELECT start FROM price_bars AS kept WHERE kept.instrument_id = asked.instrument_id ORDER BY start DESC LIMIT 1
) AS newest
"""
DELETE_BEFORE: Final = """
DELETE FROM price_bars WHERE ctid = ANY (ARRAY(SELECT ctid FROM price_bars WHERE start < $1 LIMIT $2))
"""
DELETE_FROM: Final = """
DELETE FROM price_bars WHERE ctid = ANY (ARRAY(SELECT ctid FROM price_bars WHERE start >= $1 LIMIT $2))
"""
DELETE_ROWS: Final = 50_000
"""Rows that one statement deletes."""
REMEMBERED_MAX: Final = 100_000
"""Numbers of instruments in memory: more than two days' dumps; beyond it all are read again."""


class PostgresBars:
    """Implements ``BarRepository``.

    Args:
        database: Where they are kept.
        delete_rows: Most rows that one statement deletes.
    """

    def __init__(self, database: Database, *, delete_rows: int = DELETE_ROWS) -> None:
        self._database = database
        self._delete_rows = delete_rows
        self._known: dict[InstrumentKey, tuple[int, int]] = {}
        """Number and decimal places."""

    async def save(self, bars: MinuteBars) -> int:
        """Insert, or replace what is not of a greater source; returns the rows written.

        Raises:
            RowRefused: a candle that cannot be, or other decimal places than the instrument has here.
        """
        rows = checked(bars)
        if not len(rows.place):
            return 0
        with refusals_in_words():
            ids = await self._numbers_for(rows)
            stream = copy_stream(ids, rows)
            async with self._database.transaction() as session:
                await session.execute(MAKE_GIVEN)
                await session.copy_in(GIVEN, COLUMNS, stream)
                tag = await session.execute(KEEP_GIVEN)
        return int(tag.rpartition(" ")[2])

    async def between(self, instruments: Sequence[InstrumentKey], start: datetime, end: datetime) -> MinuteBars:
        """Minutes that begin in [start, end), in the order of ``instruments`` and then of time."""
        first, last = aware(start), aware(end)
        known = await self._numbers(instruments)
        keys = [key for key in dict.fromkeys(instruments) if key in known]
        ids = np.array([known[key][0] for key in keys], np.int64)
        decimals = np.array([known[key][1] for key in keys], np.uint8)
        if not keys:
            return minute_bars((), decimals, ids, [ids] * len(FIGURES))
        async with self._database.acquire() as session:
            stream = await session.copy_out(READ_BETWEEN, ids.tolist(), first, last)
        columns = read_stream(stream)
        by_id = np.argsort(ids)
        place = by_id[np.searchsorted(ids[by_id], columns.instrument_id)]
        figures = [getattr(columns, name) for name in FIGURES]
        earlier = (np.diff(place) < 0) | ((np.diff(place) == 0) & (np.diff(columns.start) < 0))
        if earlier.any():
            order = np.lexsort((columns.start, place))
            place, figures = place[order], [column[order] for column in figures]
        return minute_bars(keys, decimals, place, figures)

    async def last(self, instruments: Sequence[InstrumentKey]) -> dict[InstrumentKey, datetime]:
        """The start of the newest minute of each instrument that has one."""
        by_id = {number: key for key, (number, _) in (await self._numbers(instruments)).items()}
        if not by_id:
            return {}
        async with self._database.acquire() as session:
            rows = await session.fetch(READ_LAST, list(by_id))
        return {by_id[row["instrument_id"]]: row["start"] for row in rows}

    async def delete_before(self, moment: datetime) -> int:
        """Delete minutes before ``moment``, some at a time."""
        return await self._delete(DELETE_BEFORE, aware(moment))

    async def delete_from(self, moment: datetime) -> int:
        """Delete minutes that begin at or after ``moment``, some at a time."""
        return await self._delete(DELETE_FROM, aware(moment))

    async def _delete(self, statement: str, moment: datetime) -> int:
        deleted = 0
        while True:
            async with self._database.acquire() as session:
                tag = await session.execute(statement, moment, self._delete_rows)
            count = int(tag.rpartition(" ")[2])
            deleted += count
            if count < self._delete_rows:
                return deleted

    async def _numbers_for(self, bars: MinuteBars) -> Integers:
        """The number of each of a batch's instruments; those that are new get one."""
        places = dict(zip(bars.instruments, bars.decimals.tolist(), strict=True))
        known = await self._numbers(bars.instruments)
        new = [key for key in places if key not in known]
        if new:
            async with self._database.acquire() as session:
                await session.execute(
                    ADD_INSTRUMENTS,
                    [str(key.exchange) for key in new],
                    [key.tradingsymbol for key in new],
                    [places[key] for key in new],
                )
            known |= await self._numbers(new)
        for key, decimals in places.items():
            if known[key][1] != decimals:
                raise RowRefused(
                    f"Prices of {key} are kept with {known[key][1]} decimal places, these have {decimals}.",
                    "price_bars_decimals_check",
                )
        return np.array([known[key][0] for key in bars.instruments], np.int64)

    async def _numbers(self, instruments: Sequence[InstrumentKey]) -> dict[InstrumentKey, tuple[int, int]]:
        """Number and decimal places of those of ``instruments`` that have one."""
        unknown = [key for key in instruments if key not in self._known]
        found = {key: self._known[key] for key in instruments if key in self._known}
        if unknown:
            async with self._database.acquire() as session:
                rows = await session.fetch(
                    READ_INSTRUMENTS, [str(key.exchange) for key in unknown], [key.tradingsymbol for key in unknown]
                )
            by_name = {(str(key.exchange), key.tradingsymbol): key for key in unknown}
            read = {
                by_name[row["exchange"], row["tradingsymbol"]]: (row["instrument_id"], row["decimals"]) for row in rows
            }
            if len(self._known) + len(read) > REMEMBERED_MAX:
                self._known.clear()
            self._known |= read
            found |= read
        return found
