"""Option chains by the minute, in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime

import numpy as np

from engine.core.series import (
    ChainMinute,
    ChainSeries,
    DailyVolatility,
    StrikeColumns,
    StrikeSeries,
    epoch_seconds,
    minute_of,
)
from engine.core.views import ChainKey, Floats, Integers
from storage.boundary import aware
from storage.chain_rows import (
    ChainRows,
    chain_rows,
    daily_volatility,
    keep_newer_day,
    read_only,
)
from storage.memory.store import MemoryStore, require

PRICE_INPUTS = frozenset({0, 1, 2})


class MemoryChainSeries:
    """Implements ``ChainSeriesRepository``.

    Args:
        store: Says whether the database is there.
        rows: Where they are kept.
    """

    def __init__(self, store: MemoryStore, rows: ChainRows) -> None:
        self._store = store
        self._rows = rows

    async def save(self, minutes: Sequence[ChainMinute]) -> None:
        """Insert, or replace what is there of the same minutes, all or none."""
        self._store.require_running()
        given = chain_rows(minutes)
        _require_valid(given)
        self._rows.minutes.update(given.minutes)
        self._rows.strikes.update(given.strikes)
        for key, row in given.days.items():
            keep_newer_day(self._rows.days, key, row)

    async def between(self, key: ChainKey, start: datetime, end: datetime) -> ChainSeries:
        """An expiry's minutes that begin in [start, end)."""
        self._store.require_running()
        first, last = aware(start), aware(end)
        found = sorted(
            (place.minute, row)
            for place, row in self._rows.minutes.items()
            if (place.underlying, place.expiry) == (key.underlying, key.expiry) and first <= place.minute < last
        )
        rows = [row for _, row in found]
        return ChainSeries(
            key=key,
            minute=_integers([epoch_seconds(minute) for minute, _ in found]),
            spot=_floats([row.spot for row in rows]),
            forward=_floats([row.forward for row in rows]),
            atm_strike=_floats([row.atm_strike for row in rows]),
            atm_volatility=_floats([row.atm_volatility for row in rows]),
            straddle=_floats([row.straddle for row in rows]),
            pcr_open_interest=_floats([row.pcr_open_interest for row in rows]),
            pcr_volume=_floats([row.pcr_volume for row in rows]),
            max_pain=_floats([row.max_pain for row in rows]),
            call_open_interest=_floats([row.call_open_interest for row in rows]),
            put_open_interest=_floats([row.put_open_interest for row in rows]),
            contracts=_integers([row.contracts for row in rows]),
        )

    async def strikes_between(
        self, key: ChainKey, start: datetime, end: datetime, *, strike: float | None = None
    ) -> StrikeSeries:
        """Minutes in [start, end) of one strike, or of all."""
        self._store.require_running()
        first, last = aware(start), aware(end)
        found = sorted(
            (place.minute, place.strike, row)
            for place, row in self._rows.strikes.items()
            if (place.underlying, place.expiry) == (key.underlying, key.expiry)
            and first <= place.minute < last
            and (strike is None or place.strike == strike)
        )
        rows = [row for _, _, row in found]
        return StrikeSeries(
            key=key,
            minute=_integers([epoch_seconds(minute) for minute, _, _ in found]),
            columns=StrikeColumns(
                strike=_floats([place for _, place, _ in found]),
                call_price=_floats([row.call_price for row in rows]),
                put_price=_floats([row.put_price for row in rows]),
                call_input=read_only(np.array([row.call_input for row in rows], np.uint8)),
                put_input=read_only(np.array([row.put_input for row in rows], np.uint8)),
                call_volatility=_floats([row.call_volatility for row in rows]),
                put_volatility=_floats([row.put_volatility for row in rows]),
                call_open_interest=_floats([row.call_open_interest for row in rows]),
                put_open_interest=_floats([row.put_open_interest for row in rows]),
                call_volume=_floats([row.call_volume for row in rows]),
                put_volume=_floats([row.put_volume for row in rows]),
            ),
        )

    async def daily_atm_volatility(self, underlying: str, days: int, *, days_to_expiry_min: int = 0) -> DailyVolatility:
        """The newest ``days`` days' last ATM volatility, of the nearest expiry that was far enough away."""
        self._store.require_running()
        nearest: dict[date, tuple[date, date, float]] = {}
        for key in sorted(self._rows.days):
            if key.underlying == underlying and (key.expiry - key.day).days >= days_to_expiry_min:
                nearest.setdefault(key.day, (key.day, key.expiry, self._rows.days[key].atm_volatility))
        newest = sorted(nearest.values())
        return daily_volatility(underlying, newest[max(len(newest) - days, 0) :])

    async def delete_before(self, *, minutes: datetime, strikes: datetime) -> int:
        """Delete minutes of expiries before ``minutes`` and of strikes before ``strikes``; days are kept."""
        self._store.require_running()
        minutes_limit, strikes_limit = aware(minutes), aware(strikes)
        old_minutes = [key for key in self._rows.minutes if key.minute < minutes_limit]
        old_strikes = [key for key in self._rows.strikes if key.minute < strikes_limit]
        for minute_key in old_minutes:
            del self._rows.minutes[minute_key]
        for strike_key in old_strikes:
            del self._rows.strikes[strike_key]
        return len(old_minutes) + len(old_strikes)

    async def delete_from(self, moment: datetime) -> int:
        """Delete all that was kept of minutes at or after ``moment``, days' volatilities of them too."""
        self._store.require_running()
        first, rows = aware(moment), self._rows
        minutes = [key for key in rows.minutes if key.minute >= first]
        strikes = [key for key in rows.strikes if key.minute >= first]
        days = [key for key, row in rows.days.items() if row.minute >= first]
        for minute_key in minutes:
            del rows.minutes[minute_key]
        for strike_key in strikes:
            del rows.strikes[strike_key]
        for day_key in days:
            del rows.days[day_key]
        return len(minutes) + len(strikes) + len(days)


def _require_valid(rows: ChainRows) -> None:
    """Refuse rows that the schema would refuse.

    Raises:
        RowRefused: one breaks a rule.
    """
    for key, row in rows.minutes.items():
        require(key.underlying != "", "chain_minutes_underlying_check")
        require(key.minute == minute_of(key.minute), "chain_minutes_minute_check")
        require(row.contracts >= 0, "chain_minutes_contracts_check")
        for value in row[:-1]:
            require(_is_magnitude(value), "magnitude_check")
    for strike_key, strike_row in rows.strikes.items():
        require(strike_key.strike > 0 and math.isfinite(strike_key.strike), "chain_strikes_strike_check")
        require({strike_row.call_input, strike_row.put_input} <= PRICE_INPUTS, "chain_strikes_input_check")
        for value in strike_row:
            require(_is_magnitude(value), "magnitude_check")


def _is_magnitude(value: float | None) -> bool:
    return value is None or 0 <= value < math.inf


def _floats(values: Sequence[float | None]) -> Floats:
    return read_only(np.array([math.nan if value is None else value for value in values], np.float64))


def _integers(values: Sequence[int]) -> Integers:
    return read_only(np.array(values, np.int64))
