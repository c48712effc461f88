"""Indicators that traders expect on a chart, computed by TA-Lib, with one rule for gaps; the pivot range is ours.

Conventions: exponential averages start from the simple average of the first ``period`` values (the average true range
from the second candle on, which is the first with a close before it); RSI and average true range are smoothed as
Wilder's; Bollinger bands use the standard deviation of the whole window (divided by ``n``). The first candles of
everything that remembers depend on where the history starts: give some hundred candles more than are shown.
Supertrend begins as an up-trend, because a trend before the first candle is not known; from its first turn on it is
the same wherever the history starts.

A candle with anything unknown in it (NaN) is no candle: its own figures are NaN, and the next candle continues from the
one before it, as on every chart.

Invariant: an undefined figure is NaN, never 0: a volume-weighted price without volume, a relative strength of a price
that never moved. TA-Lib is loaded with the first call.
"""

from __future__ import annotations

import importlib
import itertools
from typing import Final, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analytics.arrays import BoolArray, FloatArray, as_floats

PERIOD_MIN: Final = 2
PERIOD_MAX: Final = 100_000
"""What the library takes."""

Directions = NDArray[np.int8]


class Bollinger(NamedTuple):
    """Bollinger bands, each of shape ``(n,)``."""

    upper: FloatArray
    middle: FloatArray
    """The simple moving average."""
    lower: FloatArray


class Supertrend(NamedTuple):
    """Supertrend, shape ``(n,)``."""

    line: FloatArray
    """Below the price in an up-trend, above it in a down-trend."""
    direction: Directions
    """1 up, -1 down, 0 unknown."""


class CentralPivotRange(NamedTuple):
    """Pivot and the range around it, from an earlier session's high, low and close; ``bottom <= pivot <= top``."""

    pivot: FloatArray
    """``(high + low + close) / 3``."""
    bottom: FloatArray
    top: FloatArray
    """One of the two is ``(high + low) / 2``, the other one lies as far from the pivot on its other side."""


class _Library(Protocol):
    """The functions of TA-Lib that are used, as its own type stubs have them."""

    def EMA(self, real: FloatArray, timeperiod: int) -> FloatArray: ...  # noqa: N802

    def RSI(self, real: FloatArray, timeperiod: int) -> FloatArray: ...  # noqa: N802

    def BBANDS(  # noqa: N802
        self, real: FloatArray, timeperiod: int, nbdevup: float, nbdevdn: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]: ...

    def ATR(self, high: FloatArray, low: FloatArray, close: FloatArray, timeperiod: int) -> FloatArray: ...  # noqa: N802

    def SUPERTREND(  # noqa: N802
        self, high: FloatArray, low: FloatArray, close: FloatArray, timeperiod: int, multiplier: float
    ) -> tuple[FloatArray, NDArray[np.int32]]: ...

    def VWAP(  # noqa: N802
        self, high: FloatArray, low: FloatArray, close: FloatArray, volume: FloatArray
    ) -> FloatArray: ...


def exponential_average(close: ArrayLike, *, period: int) -> FloatArray:
    """Return the exponential moving average (EMA) with weight ``2 / (period + 1)``.

    Args:
        close: shape ``(n,)``, oldest first; NaN where a candle is missing.
        period: candles, 2 to 100,000; the first ``period - 1`` values are NaN.

    Raises:
        ValueError: a period out of range, or a shape that is not ``(n,)``; so for every function here.
    """
    (values,), bars = _bars(close=close)
    _check_period(period)
    return _spread(bars, _library().EMA(values, period)) if values.size else _unknown(bars)


def relative_strength(close: ArrayLike, *, period: int = 14) -> FloatArray:
    """Return Wilder's relative strength index (RSI), 0 to 100; NaN while the price has never moved."""
    (values,), bars = _bars(close=close)
    _check_period(period)
    if not values.size:
        return _unknown(bars)
    index = _library().RSI(values, period)
    moved = np.abs(np.diff(values, prepend=values[:1])).cumsum() > 0.0
    return _spread(bars, np.where(moved, index, np.nan))


def bollinger(close: ArrayLike, *, period: int = 20, deviations: float = 2.0) -> Bollinger:
    """Return the simple average of ``period`` candles, and bands so many standard deviations (> 0) around it."""
    (values,), bars = _bars(close=close)
    _check_period(period)
    _check_positive("deviations", deviations)
    if not values.size:
        return Bollinger(_unknown(bars), _unknown(bars), _unknown(bars))
    return Bollinger(*(_spread(bars, band) for band in _library().BBANDS(values, period, deviations, deviations)))


def average_true_range(high: ArrayLike, low: ArrayLike, close: ArrayLike, *, period: int = 14) -> FloatArray:
    """Return Wilder's average true range (ATR), in points; the first ``period`` values are NaN."""
    (h, lo, c), bars = _bars(high=high, low=low, close=close)
    _check_period(period)
    return _spread(bars, _library().ATR(h, lo, c, period)) if c.size else _unknown(bars)


def supertrend(
    high: ArrayLike, low: ArrayLike, close: ArrayLike, *, period: int = 10, multiplier: float = 3.0
) -> Supertrend:
    """Return Supertrend: a line ``multiplier`` (> 0) average true ranges from the middle, moving only with the trend.

    The trend turns when a candle closes beyond the line.
    """
    (h, lo, c), bars = _bars(high=high, low=low, close=close)
    _check_period(period)
    _check_positive("multiplier", multiplier)
    direction = np.zeros(bars.shape, np.int8)
    if not c.size:
        return Supertrend(_unknown(bars), direction)
    line, trend = _library().SUPERTREND(h, lo, c, period, multiplier)
    direction[bars] = trend
    return Supertrend(_spread(bars, line), direction)


def volume_weighted_price(
    high: ArrayLike, low: ArrayLike, close: ArrayLike, volume: ArrayLike, *, session: ArrayLike
) -> FloatArray:
    """Return the volume-weighted average price (VWAP) since each session's start, of the typical price (h + l + c) / 3.

    Args:
        high: shape ``(n,)``; so for all.
        low: index points or rupees.
        close: index points or rupees.
        volume: units traded in each candle, >= 0. An index has none, and therefore no VWAP.
        session: a whole number per candle that stays the same within a session and grows from one to the next, for
            example the day's ordinal.
    """
    (h, lo, c, v), bars = _bars(high=high, low=low, close=close, volume=volume)
    if (v < 0.0).any():
        raise ValueError("volume must not be negative: give the units traded in each candle, not their change")
    sessions = _sessions(session, bars)[bars]
    average = np.full(c.shape, np.nan)
    for start, end in _runs(sessions):
        part = slice(start, end)
        average[part] = _library().VWAP(h[part], lo[part], c[part], v[part])
        # The library says 0 where nothing has been traded yet.
        average[part][v[part].cumsum() == 0.0] = np.nan
    return _spread(bars, average)


def central_pivot_range(high: ArrayLike, low: ArrayLike, close: ArrayLike) -> CentralPivotRange:
    """Return the central pivot range (CPR) that follows from a finished session's high, low and close.

    TA-Lib has no pivots; the formula is ours. Shapes broadcast; NaN gives NaN.
    """
    h, lo, c = as_floats(high), as_floats(low), as_floats(close)
    pivot = (h + lo + c) / 3.0
    middle = np.broadcast_to(0.5 * (h + lo), pivot.shape)
    opposite = 2.0 * pivot - middle
    return CentralPivotRange(pivot, np.minimum(middle, opposite), np.maximum(middle, opposite))


def session_pivots(high: ArrayLike, low: ArrayLike, close: ArrayLike, *, session: ArrayLike) -> CentralPivotRange:
    """Return for each candle the pivot range of the session before its own; NaN in the first session.

    Arguments as in :func:`volume_weighted_price`. A session counts with the candles it has.
    """
    (h, lo, c), bars = _bars(high=high, low=low, close=close)
    sessions = _sessions(session, bars)
    result = CentralPivotRange(*(np.full(bars.shape, np.nan) for _ in range(3)))
    of_bars = sessions[bars]
    for (start, end), (following, _) in itertools.pairwise(_runs(of_bars)):
        levels = central_pivot_range(h[start:end].max(), lo[start:end].min(), c[end - 1])
        for column, level in zip(result, levels, strict=True):
            column[sessions == of_bars[following]] = level[0]
    return result


def _library() -> _Library:
    return cast("_Library", importlib.import_module("talib"))


def _bars(**columns: ArrayLike) -> tuple[tuple[FloatArray, ...], BoolArray]:
    """Read columns of one shape; returns the candles that are whole, and which these are.

    Raises:
        ValueError: the columns do not fit together.
    """
    read = {name: as_floats(values) for name, values in columns.items()}
    shapes = {values.shape for values in read.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"{', '.join(read)} must have one shape (n,); they have {sorted(shapes)}")
    bars: BoolArray = np.logical_and.reduce([np.isfinite(values) for values in read.values()])
    return tuple(np.ascontiguousarray(values[bars]) for values in read.values()), bars


def _sessions(session: ArrayLike, bars: BoolArray) -> NDArray[np.int64]:
    """Read the candles' sessions.

    Raises:
        ValueError: there is not one per candle, or they do not stay or grow.
    """
    sessions = np.atleast_1d(np.asarray(session))
    if sessions.shape != bars.shape or (sessions.size and sessions.dtype.kind not in "iu"):
        raise ValueError(
            f"session must be a whole number for each of the {bars.size} candles; it is {sessions.dtype} "
            f"{sessions.shape}"
        )
    whole = sessions.astype(np.int64)
    if (np.diff(whole) < 0).any():
        raise ValueError("session must stay or grow from candle to candle: sort the candles by time")
    return whole


def _runs(sessions: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and past-the-last place of each session."""
    if not sessions.size:
        return []
    edges = [0, *(np.flatnonzero(np.diff(sessions)) + 1).tolist(), sessions.size]
    return list(itertools.pairwise(edges))


def _spread(bars: BoolArray, values: FloatArray) -> FloatArray:
    """Put the figures of whole candles back in their places."""
    column = _unknown(bars)
    column[bars] = values
    return column


def _unknown(bars: BoolArray) -> FloatArray:
    return np.full(bars.shape, np.nan)


def _check_period(period: int) -> None:
    if not PERIOD_MIN <= period <= PERIOD_MAX:
        raise ValueError(f"a period of {period} candles cannot be used: give {PERIOD_MIN} to {PERIOD_MAX:,}")


def _check_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} is {value:g}: give a number above 0")
