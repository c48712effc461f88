"""Minute candles of strategy money, merged as they come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from engine.core.identifiers import StrategyNumber
from engine.core.strategies import M2mCandle
from storage.boundary import aware
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.session import Row

# The open that was written first stays; rows come sorted, so that two writers take their locks in the same order.
SAVE = """
INSERT INTO strategy_candles AS kept (strategy, minute, open, high, low, close, samples)
SELECT strategy, minute, open, high, low, close, samples
FROM unnest(
    $1::bigint[], $2::timestamptz[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::bigint[]
) AS given (strategy, minute, open, high, low, close, samples)
ON CONFLICT (strategy, minute) DO UPDATE SET
    high = greatest(kept.high, excluded.high),
    low = least(kept.low, excluded.low),
    close = excluded.close,
    samples = kept.samples + excluded.samples
"""
READ_BETWEEN = """
SELECT strategy, minute, open, high, low, close, samples
FROM strategy_candles
WHERE strategy = $1 AND minute >= $2 AND minute < $3
ORDER BY minute
"""
DELETE_FROM = "DELETE FROM strategy_candles WHERE minute >= $1"


class PostgresCandles:
    """Implements ``CandleRepository``.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, candles: Sequence[M2mCandle]) -> None:
        """Insert or merge, all or none: open is kept, high and low widen, close is the newest, samples add up.

        Raises:
            UnknownStrategy: a strategy is not known.
            RowRefused: a candle contradicts itself, or does not start at a whole minute.
        """
        rows = [_row(candle) for candle in merged_candles(candles)]
        if not rows:
            return
        with refusals_in_words():
            async with self._database.acquire() as session:
                await session.execute(SAVE, *([*column] for column in zip(*rows, strict=True)))

    async def between(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """Candles whose minute lies in [start, end), oldest first; missing minutes are missing."""
        async with self._database.acquire() as session:
            rows = await session.fetch(READ_BETWEEN, strategy, aware(start), aware(end))
        return tuple(_candle(row) for row in rows)

    async def delete_from(self, moment: datetime) -> int:
        """Delete minutes that begin at or after ``moment``, of every strategy."""
        async with self._database.acquire() as session:
            tag = await session.execute(DELETE_FROM, aware(moment))
        return int(tag.rpartition(" ")[2])


def merge(earlier: M2mCandle, later: M2mCandle) -> M2mCandle:
    """One candle of two of the same minute."""
    return msgspec.structs.replace(
        earlier,
        high=max(earlier.high, later.high),
        low=min(earlier.low, later.low),
        close=later.close,
        samples=earlier.samples + later.samples,
    )


def merged_candles(candles: Iterable[M2mCandle]) -> tuple[M2mCandle, ...]:
    """At most one candle per strategy and minute, sorted by both."""
    found: dict[tuple[StrategyNumber, datetime], M2mCandle] = {}
    for candle in candles:
        key = (candle.strategy, aware(candle.minute))
        earlier = found.get(key)
        found[key] = candle if earlier is None else merge(earlier, candle)
    return tuple(found[key] for key in sorted(found))


def _row(candle: M2mCandle) -> tuple[object, ...]:
    return (
        candle.strategy,
        candle.minute,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.samples,
    )


def _candle(row: Row) -> M2mCandle:
    return M2mCandle(
        strategy=StrategyNumber(row["strategy"]),
        minute=row["minute"],
        open=row["open"],
        high=row["high"],
        low=row["low"],
        close=row["close"],
        samples=row["samples"],
    )
