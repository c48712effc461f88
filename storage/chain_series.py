"""Option chains by the minute: many rows in one statement, ranges read back as columns.

A batch is one statement over three tables, so all of it is kept or nothing. Writing the same minutes again changes
nothing. Reading lets the server put each column into one binary value, which numpy takes as it is: no object per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np

from engine.core.series import ChainMinute, ChainSeries, DailyVolatility, StrikeColumns, StrikeSeries
from engine.core.views import ChainKey, Floats, Integers
from storage.boundary import aware
from storage.chain_rows import (
    DayKey,
    DayRow,
    MinuteKey,
    MinuteRow,
    StrikeKey,
    StrikeRow,
    chain_rows,
    daily_volatility,
    read_only,
)
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.session import Row

# Rows come sorted, so that two writers take their locks in the same order. A day keeps the later minute.
SAVE = """
WITH minutes AS (
    INSERT INTO chain_minutes (
        underlying, expiry, minute, spot, forward, atm_strike, atm_volatility, straddle, pcr_open_interest, pcr_volume,
        max_pain, call_open_interest, put_open_interest, contracts
    )
    SELECT * FROM unnest(
        $1::text[], $2::date[], $3::timestamptz[], $4::double precision[], $5::double precision[],
        $6::double precision[], $7::double precision[], $8::double precision[], $9::double precision[],
        $10::double precision[], $11::double precision[], $12::double precision[], $13::double precision[],
        $14::integer[]
    )
    ON CONFLICT (underlying, expiry, minute) DO UPDATE SET
        spot = excluded.spot,
        forward = excluded.forward,
        atm_strike = excluded.atm_strike,
        atm_volatility = excluded.atm_volatility,
        straddle = excluded.straddle,
        pcr_open_interest = excluded.pcr_open_interest,
        pcr_volume = excluded.pcr_volume,
        max_pain = excluded.max_pain,
        call_open_interest = excluded.call_open_interest,
        put_open_interest = excluded.put_open_interest,
        contracts = excluded.contracts
), days AS (
    INSERT INTO chain_days AS kept (underlying, day, expiry, minute, atm_volatility)
    SELECT * FROM unnest($15::text[], $16::date[], $17::date[], $18::timestamptz[], $19::double precision[])
    ON CONFLICT (underlying, day, expiry) DO UPDATE SET
        minute = excluded.minute,
        atm_volatility = excluded.atm_volatility
    WHERE kept.minute <= excluded.minute
)
INSERT INTO chain_strikes (
    underlying, expiry, minute, strike, call_price, put_price, call_input, put_input, call_volatility, put_volatility,
    call_open_interest, put_open_interest, call_volume, put_volume
)
SELECT * FROM unnest(
    $20::text[], $21::date[], $22::timestamptz[], $23::double precision[], $24::double precision[],
    $25::double precision[], $26::smallint[], $27::smallint[], $28::double precision[], $29::double precision[],
    $30::double precision[], $31::double precision[], $32::double precision[], $33::double precision[]
)
ON CONFLICT (underlying, expiry, minute, strike) DO UPDATE SET
    call_price = excluded.call_price,
    put_price = excluded.put_price,
    call_input = excluded.call_input,
    put_input = excluded.put_input,
    call_volatility = excluded.call_volatility,
    put_volatility = excluded.put_volatility,
    call_open_interest = excluded.call_open_interest,
    put_open_interest = excluded.put_open_interest,
    call_volume = excluded.call_volume,
    put_volume = excluded.put_volume
"""
READ_MINUTES = """
SELECT
    string_agg(int8send(extract(epoch FROM minute)::bigint), '' ORDER BY minute) AS minute,
    string_agg(float8send(coalesce(spot, 'NaN'::double precision)), '' ORDER BY minute) AS spot,
    string_agg(float8send(coalesce(forward, 'NaN'::double precision)), '' ORDER BY minute) AS forward,
    string_agg(float8send(coalesce(atm_strike, 'NaN'::double precision)), '' ORDER BY minute) AS atm_strike,
    string_agg(float8send(coalesce(atm_volatility, 'NaN'::double precision)), '' ORDER BY minute) AS atm_volatility,
    string_agg(float8send(coalesce(straddle, 'NaN'::double precision)), '' ORDER BY minute) AS straddle,
    string_agg(float8send(coalesce(pcr_open_interest, 'NaN'::double precision)), '' ORDER BY minute)
        AS pcr_open_interest,
    string_agg(float8send(coalesce(pcr_volume, 'NaN'::double precision)), '' ORDER BY minute) AS pcr_volume,
    string_agg(float8send(coalesce(max_pain, 'NaN'::double precision)), '' ORDER BY minute) AS max_pain,
    string_agg(float8send(coalesce(call_open_interest, 'NaN'::double precision)), '' ORDER BY minute)
        AS call_open_interest,
    string_agg(float8send(coalesce(put_open_interest, 'NaN'::double precision)), '' ORDER BY minute)
        AS put_open_interest,
    string_agg(int8send(contracts::bigint), '' ORDER BY minute) AS contracts
FROM chain_minutes
WHERE underlying = $1 AND expiry = $2 AND minute >= $3 AND minute < $4
"""
READ_STRIKES = """
SELECT
    string_agg(int8send(extract(epoch FROM minute)::bigint), '' ORDER BY minute, strike) AS minute,
    string_agg(float8send(strike), '' ORDER BY minute, strike) AS strike,
    string_agg(float8send(coalesce(call_price, 'NaN'::double precision)), '' ORDER BY minute, strike) AS call_price,
    string_agg(float8send(coalesce(put_price, 'NaN'::double precision)), '' ORDER BY minute, strike) AS put_price,
    string_agg(int8send(call_input::bigint), '' ORDER BY minute, strike) AS call_input,
    string_agg(int8send(put_input::bigint), '' ORDER BY minute, strike) AS put_input,
    string_agg(float8send(coalesce(call_volatility, 'NaN'::double precision)), '' ORDER BY minute, strike)
        AS call_volatility,
    string_agg(float8send(coalesce(put_volatility, 'NaN'::double precision)), '' ORDER BY minute, strike)
        AS put_volatility,
    string_agg(float8send(coalesce(call_open_interest, 'NaN'::double precision)), '' ORDER BY minute, strike)
        AS call_open_interest,
    string_agg(float8send(coalesce(put_open_interest, 'NaN'::double precision)), '' ORDER BY minute, strike)
        AS put_open_interest,
    string_agg(float8send(coalesce(call_volume, 'NaN'::double precision)), '' ORDER BY minute, strike) AS call_volume,
    string_agg(float8send(coalesce(put_volume, 'NaN'::double precision)), '' ORDER BY minute, strike) AS put_volume
FROM chain_strikes
WHERE underlying = $1 AND expiry = $2 AND minute >= $3 AND minute < $4
    AND ($5::double precision IS NULL OR strike = $5)
"""
READ_DAYS = """
SELECT day, expiry, atm_volatility FROM (
    SELECT DISTINCT ON (day) day, expiry, atm_volatility
    FROM chain_days
    WHERE underlying = $1 AND expiry - day >= $3
    ORDER BY day DESC, expiry
    LIMIT $2
) AS newest
ORDER BY day
"""
# A bounded number of rows at a time: no statement runs long, and other writers get their turn.
DELETE_MINUTES = """
DELETE FROM chain_minutes WHERE ctid = ANY (ARRAY(SELECT ctid FROM chain_minutes WHERE minute < $1 LIMIT $2))
"""
DELETE_STRIKES = """
DELETE FROM chain_strikes WHERE ctid = ANY (ARRAY(SELECT ctid FROM chain_strikes WHERE minute < $1 LIMIT $2))
"""
DELETE_FROM = """
WITH minutes AS (DELETE FROM chain_minutes WHERE minute >= $1 RETURNING 1),
    strikes AS (DELETE FROM chain_strikes WHERE minute >= $1 RETURNING 1),
    days AS (DELETE FROM chain_days WHERE minute >= $1 RETURNING 1)
SELECT (SELECT count(*) FROM minutes) + (SELECT count(*) FROM strikes) + (SELECT count(*) FROM days) AS deleted
"""
DELETE_ROWS = 20_000
"""Rows that one statement deletes."""


class PostgresChainSeries:
    """Implements ``ChainSeriesRepository``.

    Args:
        database: Where they are kept.
        delete_rows: Most rows that one statement deletes.
    """

    def __init__(self, database: Database, *, delete_rows: int = DELETE_ROWS) -> None:
        self._database = database
        self._delete_rows = delete_rows

    async def save(self, minutes: Sequence[ChainMinute]) -> None:
        """Insert, or replace what is there of the same minutes, all or none, in one statement.

        Raises:
            RowRefused: a minute that is not whole, a figure that is negative or infinite; nothing was written.
        """
        rows = chain_rows(minutes)
        if not rows.minutes:
            return
        parameters = (
            *_columns(
                [(*key, *row) for key, row in sorted(rows.minutes.items())], MinuteKey._fields + MinuteRow._fields
            ),
            *_columns([(*key, *row) for key, row in sorted(rows.days.items())], DayKey._fields + DayRow._fields),
            *_columns(
                [(*key, *row) for key, row in sorted(rows.strikes.items())], StrikeKey._fields + StrikeRow._fields
            ),
        )
        with refusals_in_words():
            async with self._database.acquire() as session:
                await session.execute(SAVE, *parameters)

    async def between(self, key: ChainKey, start: datetime, end: datetime) -> ChainSeries:
        """An expiry's minutes that begin in [start, end)."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_MINUTES, key.underlying, key.expiry, aware(start), aware(end))
        return ChainSeries(
            key=key,
            minute=_integers(row, "minute"),
            spot=_floats(row, "spot"),
            forward=_floats(row, "forward"),
            atm_strike=_floats(row, "atm_strike"),
            atm_volatility=_floats(row, "atm_volatility"),
            straddle=_floats(row, "straddle"),
            pcr_open_interest=_floats(row, "pcr_open_interest"),
            pcr_volume=_floats(row, "pcr_volume"),
            max_pain=_floats(row, "max_pain"),
            call_open_interest=_floats(row, "call_open_interest"),
            put_open_interest=_floats(row, "put_open_interest"),
            contracts=_integers(row, "contracts"),
        )

    async def strikes_between(
        self, key: ChainKey, start: datetime, end: datetime, *, strike: float | None = None
    ) -> StrikeSeries:
        """Minutes in [start, end) of one strike, or of all."""
        parameters = (key.underlying, key.expiry, aware(start), aware(end), strike)
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_STRIKES, *parameters)
        return StrikeSeries(
            key=key,
            minute=_integers(row, "minute"),
            columns=StrikeColumns(
                strike=_floats(row, "strike"),
                call_price=_floats(row, "call_price"),
                put_price=_floats(row, "put_price"),
                call_input=read_only(_integers(row, "call_input").astype(np.uint8)),
                put_input=read_only(_integers(row, "put_input").astype(np.uint8)),
                call_volatility=_floats(row, "call_volatility"),
                put_volatility=_floats(row, "put_volatility"),
                call_open_interest=_floats(row, "call_open_interest"),
                put_open_interest=_floats(row, "put_open_interest"),
                call_volume=_floats(row, "call_volume"),
                put_volume=_floats(row, "put_volume"),
            ),
        )

    async def daily_atm_volatility(self, underlying: str, days: int, *, days_to_expiry_min: int = 0) -> DailyVolatility:
        """The newest ``days`` days' last ATM volatility, of the nearest expiry that was far enough away."""
        async with self._database.acquire() as session:
            rows = await session.fetch(READ_DAYS, underlying, days, days_to_expiry_min)
        return daily_volatility(underlying, [(row["day"], row["expiry"], row["atm_volatility"]) for row in rows])

    async def delete_before(self, *, minutes: datetime, strikes: datetime) -> int:
        """Delete minutes of expiries before ``minutes`` and of strikes before ``strikes``; days are kept."""
        deleted = 0
        for statement, limit in ((DELETE_MINUTES, aware(minutes)), (DELETE_STRIKES, aware(strikes))):
            while True:
                async with self._database.acquire() as session:
                    tag = await session.execute(statement, limit, self._delete_rows)
                count = int(tag.rpartition(" ")[2])
                deleted += count
                if count < self._delete_rows:
                    break
        return deleted

    async def delete_from(self, moment: datetime) -> int:
        """Delete all that was kept of minutes at or after ``moment``, days' volatilities of them too."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(DELETE_FROM, aware(moment))
        return int(row["deleted"]) if row is not None else 0


def _columns(rows: Sequence[tuple[object, ...]], names: Sequence[str]) -> Iterable[list[object]]:
    """The rows of a table as one list per column."""
    return map(list, zip(*rows, strict=True)) if rows else ([] for _ in names)


def _integers(row: Row | None, name: str) -> Integers:
    return read_only(np.frombuffer(_bytes(row, name), ">i8").astype(np.int64))


def _floats(row: Row | None, name: str) -> Floats:
    return read_only(np.frombuffer(_bytes(row, name), ">f8").astype(np.float64))


def _bytes(row: Row | None, name: str) -> bytes:
    """A column's numbers in network order; none when the range holds no row."""
    return (row[name] if row is not None else None) or b""
