"""Minute candles of prices, in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np

from engine.core.bars import MinuteBars
from engine.core.identifiers import InstrumentKey
from storage.bar_rows import FIGURES, checked, minute_bars
from storage.boundary import aware
from storage.errors import RowRefused
from storage.memory.bar_table import BarTable
from storage.memory.store import MemoryStore

SOURCE = FIGURES.index("source")
START = FIGURES.index("start")


class MemoryBars:
    """Implements ``BarRepository``.

    Args:
        store: Says whether the database is there.
        table: Where they are kept.
    """

    def __init__(self, store: MemoryStore, table: BarTable) -> None:
        self._store = store
        self._table = table

    async def save(self, bars: MinuteBars) -> int:
        """Insert, or replace what is not of a greater source; returns the rows written."""
        self._store.require_running()
        rows = checked(bars)
        table = self._table
        if not len(rows.place):
            return 0
        for key, decimals in zip(rows.instruments, rows.decimals.tolist(), strict=True):
            if table.decimals.setdefault(key, decimals) != decimals:
                raise RowRefused(
                    f"Prices of {key} are kept with {table.decimals[key]} decimal places, these have {decimals}.",
                    "price_bars_decimals_check",
                )
        written = 0
        figures = zip(*(getattr(rows, name).tolist() for name in FIGURES), strict=True)
        for place, row in zip(rows.place.tolist(), figures, strict=True):
            where = (rows.instruments[place], row[START])
            kept = table.rows.get(where)
            if kept is None or kept[SOURCE] <= row[SOURCE]:
                table.rows[where] = row
                written += 1
        return written

    async def between(self, instruments: Sequence[InstrumentKey], start: datetime, end: datetime) -> MinuteBars:
        """Minutes that begin in [start, end), in the order of ``instruments`` and then of time."""
        self._store.require_running()
        first, last = aware(start).timestamp(), aware(end).timestamp()
        keys = [key for key in dict.fromkeys(instruments) if key in self._table.decimals]
        number = {key: place for place, key in enumerate(keys)}
        found = sorted(
            (number[key], row)
            for (key, second), row in self._table.rows.items()
            if key in number and first <= second < last
        )
        figures = np.array([row for _, row in found], np.int64).reshape(-1, len(FIGURES)).T
        return minute_bars(
            keys,
            np.array([self._table.decimals[key] for key in keys], np.uint8),
            np.array([place for place, _ in found], np.int64),
            list(figures),
        )

    async def last(self, instruments: Sequence[InstrumentKey]) -> dict[InstrumentKey, datetime]:
        """The start of the newest minute of each instrument that has one."""
        self._store.require_running()
        asked = set(instruments)
        newest: dict[InstrumentKey, int] = {}
        for key, second in self._table.rows:
            if key in asked:
                newest[key] = max(newest.get(key, second), second)
        return {key: datetime.fromtimestamp(second, UTC) for key, second in newest.items()}

    async def delete_before(self, moment: datetime) -> int:
        """Delete minutes before ``moment``."""
        limit = aware(moment).timestamp()
        return self._delete(lambda second: second < limit)

    async def delete_from(self, moment: datetime) -> int:
        """Delete minutes that begin at or after ``moment``."""
        limit = aware(moment).timestamp()
        return self._delete(lambda second: second >= limit)

    def _delete(self, is_gone: Callable[[int], bool]) -> int:
        self._store.require_running()
        gone = [where for where in self._table.rows if is_gone(where[1])]
        for where in gone:
            del self._table.rows[where]
        return len(gone)
