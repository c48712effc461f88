"""Chain minutes as rows: the same rows for the database and for its twin in memory.

What is written twice, in one batch or in two, is the last one's. Unknown figures (NaN, ``None``) are ``None`` in a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from engine.core.series import ChainMinute, DailyVolatility, StrikeColumns
from storage.boundary import aware

Kind = TypeVar("Kind", bound=np.generic)


class MinuteKey(NamedTuple):
    """Which row of an expiry."""

    underlying: str
    expiry: date
    minute: datetime


class StrikeKey(NamedTuple):
    """Which row of a strike."""

    underlying: str
    expiry: date
    minute: datetime
    strike: float


class DayKey(NamedTuple):
    """Which day of an expiry."""

    underlying: str
    day: date
    expiry: date


class MinuteRow(NamedTuple):
    """The figures of an expiry, in the table's order."""

    spot: float | None
    forward: float | None
    atm_strike: float | None
    atm_volatility: float | None
    straddle: float | None
    pcr_open_interest: float | None
    pcr_volume: float | None
    max_pain: float | None
    call_open_interest: float | None
    put_open_interest: float | None
    contracts: int


class StrikeRow(NamedTuple):
    """The figures of a strike, in the table's order."""

    call_price: float | None
    put_price: float | None
    call_input: int
    put_input: int
    call_volatility: float | None
    put_volatility: float | None
    call_open_interest: float | None
    put_open_interest: float | None
    call_volume: float | None
    put_volume: float | None


class DayRow(NamedTuple):
    """The last volatility of a day, and when it was known."""

    minute: datetime
    atm_volatility: float


class ChainRows(NamedTuple):
    """Rows of all three tables, each once."""

    minutes: dict[MinuteKey, MinuteRow]
    strikes: dict[StrikeKey, StrikeRow]
    days: dict[DayKey, DayRow]


def chain_rows(minutes: Iterable[ChainMinute]) -> ChainRows:
    """Take chain minutes apart.

    Raises:
        ValueError: a minute does not know its time zone, or the columns of its strikes differ in length.
    """
    rows = ChainRows({}, {}, {})
    for item in minutes:
        underlying, expiry, minute = item.key.underlying, item.key.expiry, aware(item.minute)
        figures = MinuteRow(
            spot=_known(item.spot),
            forward=_known(item.forward),
            atm_strike=_known(item.atm_strike),
            atm_volatility=_known(item.atm_volatility),
            straddle=_known(item.straddle),
            pcr_open_interest=_known(item.pcr_open_interest),
            pcr_volume=_known(item.pcr_volume),
            max_pain=_known(item.max_pain),
            call_open_interest=_known(item.call_open_interest),
            put_open_interest=_known(item.put_open_interest),
            contracts=item.contracts,
        )
        rows.minutes[MinuteKey(underlying, expiry, minute)] = figures
        if figures.atm_volatility is not None:
            keep_newer_day(rows.days, DayKey(underlying, item.day, expiry), DayRow(minute, figures.atm_volatility))
        for strike, row in _strike_rows(item.strikes):
            rows.strikes[StrikeKey(underlying, expiry, minute, strike)] = row
    return rows


def keep_newer_day(days: dict[DayKey, DayRow], key: DayKey, row: DayRow) -> None:
    """Put ``row`` in its place unless a later minute of that day is there."""
    kept = days.get(key)
    if kept is None or row.minute >= kept.minute:
        days[key] = row


def daily_volatility(underlying: str, rows: Sequence[tuple[date, date, float]]) -> DailyVolatility:
    """Columns of rows (day, expiry, volatility) in the order they shall have."""
    return DailyVolatility(
        underlying=underlying,
        day=read_only(np.array([day for day, _, _ in rows], "datetime64[D]")),
        expiry=read_only(np.array([expiry for _, expiry, _ in rows], "datetime64[D]")),
        atm_volatility=read_only(np.array([volatility for _, _, volatility in rows], np.float64)),
    )


def read_only(array: npt.NDArray[Kind]) -> npt.NDArray[Kind]:
    """The same array, which nobody can change any more."""
    array.flags.writeable = False
    return array


def _strike_rows(columns: StrikeColumns) -> list[tuple[float, StrikeRow]]:
    read = []
    for name in StrikeRow._fields:
        values = getattr(columns, name)
        unknown = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
        read.append([None if missing else value for value, missing in zip(values.tolist(), unknown, strict=True)])
    strikes = columns.strike.tolist()
    return [(strike, StrikeRow(*figures)) for strike, *figures in zip(strikes, *read, strict=True)]


def _known(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
