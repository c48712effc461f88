"""Realised volatility of candles: five estimators over rolling windows, the cone, and implied minus realised.

Estimators (``o, h, l, c`` are natural logarithms of open, high, low, close; ``n`` candles in the window; annualised by
the square root of ``periods_per_year``):

* **close**: sample standard deviation (``n - 1``) of the ``n`` returns ``c_i - c_{i-1}``; needs ``n + 1`` candles.
* **parkinson**: ``mean((h - l)^2) / (4 ln 2)``. Assumes no drift; 5.2 times as efficient as *close*.
* **garman-klass**: ``mean((h - l)^2 / 2 - (2 ln 2 - 1)(c - o)^2)``. Assumes no drift; 7.4 times as efficient.
* **rogers-satchell**: ``mean((h - c)(h - o) + (l - c)(l - o))``. Right for any drift.
* **yang-zhang**: ``var(o_i - c_{i-1}) + k var(c - o) + (1 - k) rogers-satchell``, variances with ``n - 1``,
  ``k = 0.34 / (1.34 + (n + 1) / (n - 1))``; needs ``n + 1`` candles. Right for any drift and for gaps at the open.

Parkinson, Garman-Klass and Rogers-Satchell see only what happens between a candle's open and close: on daily candles
they leave out the night, on which *close* and *yang-zhang* count.

Convention of time: a year has as many candles as the caller says. Daily candles: 252 (trading days). Candles of a few
minutes: :func:`candles_per_year`, trading minutes only; then mark each session's first candle, so that a night's
move is not taken for a minute's.

Invariant: one answer per candle, the window ending there. Either a volatility (>= 0) and ``OK``, or NaN and the reason;
a missing candle is never stepped over and never filled in.

References: Parkinson (1980); Garman and Klass (1980); Rogers and Satchell (1991); Yang and Zhang (2000).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from engine.analytics.arrays import BoolArray, CodeArray, FloatArray, as_flags, as_floats

TRADING_DAYS_PER_YEAR: Final = 252.0
"""The usual count of sessions in a year; a convention, not a fact of any one year."""

_PARKINSON: Final = 1.0 / (4.0 * math.log(2.0))
_GARMAN_KLASS: Final = 2.0 * math.log(2.0) - 1.0
_YANG_ZHANG: Final = 0.34
"""Yang and Zhang's recommended ``alpha - 1``."""

_VARIANCE_MIN: Final = 2
"""A sample variance needs two observations."""

_BLOCK: Final = 1 << 20
"""Elements of window copies made at a time, so that a long history needs little memory."""


class Estimator(StrEnum):
    """How volatility is estimated; formulas in the module's description."""

    CLOSE = "close"
    PARKINSON = "parkinson"
    GARMAN_KLASS = "garman-klass"
    ROGERS_SATCHELL = "rogers-satchell"
    YANG_ZHANG = "yang-zhang"


class VolatilityReason(IntEnum):
    """Why there is a volatility or none; stored as one byte per candle."""

    OK = 0
    TOO_FEW = 1
    """There are not yet enough candles (or, within sessions, returns) for the window."""
    GAP = 2
    """A candle of the window is missing (NaN) or impossible (not positive, high below low)."""


class Candles(NamedTuple):
    """Prices of consecutive candles, oldest first, each of shape ``(n,)``; NaN where a candle is missing."""

    open: ArrayLike
    high: ArrayLike
    low: ArrayLike
    close: ArrayLike


class RealisedVolatility(NamedTuple):
    """Volatility of the window that ends at each candle, and why one is missing."""

    volatility: FloatArray
    """Annual, 0.14 = 14 %; NaN where ``reason`` is not ``OK``."""
    reason: CodeArray
    """Members of :class:`VolatilityReason`."""


class VolatilityCone(NamedTuple):
    """How realised volatility was spread for each window length; ``w`` windows, ``p`` percentiles.

    Windows overlap, so ``samples`` counts far fewer independent observations than it says; NaN where it is 0.
    """

    windows: NDArray[np.int64]
    """Candles, shape ``(w,)``."""
    percentiles: FloatArray
    """0 to 100, shape ``(p,)``."""
    levels: FloatArray
    """Annual volatility, shape ``(w, p)``."""
    lowest: FloatArray
    """Shape ``(w,)``."""
    highest: FloatArray
    """Shape ``(w,)``."""
    latest: FloatArray
    """Of the window that ends at the last candle, shape ``(w,)``; NaN when that one is unknown."""
    latest_rank: FloatArray
    """Percent of the samples at or below ``latest``, shape ``(w,)``."""
    samples: NDArray[np.int64]
    """Windows that have a volatility, shape ``(w,)``."""


class VolatilitySpread(NamedTuple):
    """Implied against realised volatility."""

    difference: FloatArray
    """Implied minus realised, annual: 0.02 = options are 2 volatility points dearer than what happened."""
    ratio: FloatArray
    """Implied over realised; NaN where realised is 0."""


def candles_per_year(
    candle_minutes: float, session_minutes: float, *, trading_days: float = TRADING_DAYS_PER_YEAR
) -> float:
    """Return how many candles of ``candle_minutes`` the trading sessions of a year hold.

    Raises:
        ValueError: one of them is not positive.
    """
    if not (candle_minutes > 0.0 and session_minutes > 0.0 and trading_days > 0.0):
        raise ValueError(
            f"candle_minutes {candle_minutes:g}, session_minutes {session_minutes:g} and trading_days "
            f"{trading_days:g} must all be above 0"
        )
    return trading_days * session_minutes / candle_minutes


def realised_volatility(
    estimator: Estimator,
    candles: Candles,
    *,
    window: int,
    periods_per_year: float,
    session_start: ArrayLike | None = None,
) -> RealisedVolatility:
    """Return the volatility of the ``window`` candles that end at each candle.

    Args:
        estimator: which formula; *close* reads the closes alone, *parkinson* highs and lows alone.
        candles: oldest first.
        window: candles, at least 2.
        periods_per_year: candles in a year, which annualises: 252 for days; see :func:`candles_per_year`.
        session_start: for candles within the day, true at each session's first candle: the move from the close before
            is then left out (and the window has one return less). ``None``: all candles are of one kind, as days are.

    Returns:
        Volatility and reason, shape ``(n,)``.

    Raises:
        ValueError: the arrays differ in shape, or ``window`` or ``periods_per_year`` cannot be used.
    """
    prices = _prices(candles)
    count = prices[0].size
    starts = as_flags(False if session_start is None else session_start)
    if session_start is not None and starts.shape != (count,):
        raise ValueError(f"session_start has shape {starts.shape}, but there are {count} candles: give one flag each")
    if window < _VARIANCE_MIN:
        raise ValueError(f"a window of {window} candles is too short: give at least {_VARIANCE_MIN}")
    if not (math.isfinite(periods_per_year) and periods_per_year > 0.0):
        raise ValueError(f"periods_per_year is {periods_per_year:g}: give a number above 0, 252 for daily candles")
    with np.errstate(all="ignore"):
        variance, reason = _variance(Estimator(estimator), prices, np.broadcast_to(starts, count), window)
        volatility = np.sqrt(np.maximum(variance, 0.0) * periods_per_year)
    volatility[reason != VolatilityReason.OK] = np.nan
    return RealisedVolatility(volatility, reason)


def volatility_cone(
    estimator: Estimator,
    candles: Candles,
    *,
    windows: Sequence[int],
    percentiles: Sequence[float],
    periods_per_year: float,
    session_start: ArrayLike | None = None,
) -> VolatilityCone:
    """Return the distribution of realised volatility for each window length.

    Args:
        estimator: which formula.
        candles: oldest first.
        windows: lengths in candles, each at least 2.
        percentiles: 0 to 100.
        periods_per_year: as in :func:`realised_volatility`.
        session_start: as in :func:`realised_volatility`.

    Raises:
        ValueError: as :func:`realised_volatility`; a percentile is outside 0 to 100.
    """
    asked = np.asarray(percentiles, np.float64)
    if not ((asked >= 0.0) & (asked <= 100.0)).all():
        raise ValueError(f"percentiles {list(percentiles)} must lie between 0 and 100")
    rows = len(windows)
    levels = np.full((rows, asked.size), np.nan)
    lowest, highest, latest, rank = (np.full(rows, np.nan) for _ in range(4))
    samples = np.zeros(rows, np.int64)
    for row, window in enumerate(windows):
        volatility = realised_volatility(
            estimator, candles, window=window, periods_per_year=periods_per_year, session_start=session_start
        ).volatility
        found = volatility[np.isfinite(volatility)]
        samples[row] = found.size
        if not found.size:
            continue
        levels[row] = np.percentile(found, asked)
        lowest[row], highest[row] = found.min(), found.max()
        latest[row] = volatility[-1]
        if math.isfinite(latest[row]):
            rank[row] = 100.0 * np.count_nonzero(found <= latest[row]) / found.size
    return VolatilityCone(np.array(windows, np.int64), asked, levels, lowest, highest, latest, rank, samples)


def volatility_spread(implied: ArrayLike, realised: ArrayLike) -> VolatilitySpread:
    """Return implied minus realised volatility, and their ratio; NaN where either is unknown.

    Args:
        implied: annual, for example the at-the-money volatility of each day.
        realised: annual, of the same instants.
    """
    left, right = as_floats(implied), as_floats(realised)
    with np.errstate(all="ignore"):
        ratio = np.where(right > 0.0, left / right, np.nan)
    return VolatilitySpread(left - right, ratio)


class _Terms(NamedTuple):
    """Something measured once per candle, whose mean or variance over a window is wanted."""

    values: FloatArray
    left_out: BoolArray
    """Not measured by intent: the move over the night before a session."""
    first: int
    """Candles at the start that cannot have it."""


_Prices = tuple[FloatArray, FloatArray, FloatArray, FloatArray]


def _prices(candles: Candles) -> _Prices:
    """Read four columns of one shape."""
    opens, highs, lows, closes = (as_floats(column) for column in candles)
    shapes = {column.shape for column in (opens, highs, lows, closes)}
    if len(shapes) != 1 or opens.ndim != 1:
        raise ValueError(f"open, high, low and close must have one shape (n,); they have {sorted(shapes)}")
    return opens, highs, lows, closes


def _variance(estimator: Estimator, prices: _Prices, starts: BoolArray, window: int) -> tuple[FloatArray, CodeArray]:
    """Return the variance per candle of each window, and the reasons. The caller silences warnings."""
    o, h, low, c = (np.log(np.where(column > 0.0, column, np.nan)) for column in prices)
    if estimator is Estimator.CLOSE:
        moves = _moves(c, c, starts)
        return _rolling(_sample_variance, moves, window)
    ordered = h >= low
    if estimator is Estimator.PARKINSON:
        return _rolling(_mean, _whole(np.where(ordered, _PARKINSON * (h - low) ** 2, np.nan)), window)
    ordered &= (h >= np.maximum(o, c)) & (low <= np.minimum(o, c))
    body = np.where(ordered, c - o, np.nan)
    if estimator is Estimator.GARMAN_KLASS:
        return _rolling(_mean, _whole(0.5 * (h - low) ** 2 - _GARMAN_KLASS * body**2), window)
    inside = np.where(ordered, (h - c) * (h - o) + (low - c) * (low - o), np.nan)
    within, reason = _rolling(_mean, _whole(inside), window)
    if estimator is Estimator.ROGERS_SATCHELL:
        return within, reason
    jumps, jump_reason = _rolling(_sample_variance, _moves(o, c, starts), window)
    bodies, _ = _rolling(_sample_variance, _whole(body), window)
    share = _YANG_ZHANG / (1.0 + _YANG_ZHANG + (window + 1) / (window - 1))
    # The jumps look one candle further back, so their lack of candles is the more fundamental reason.
    both = np.where(jump_reason == VolatilityReason.TOO_FEW, jump_reason, np.maximum(reason, jump_reason))
    return jumps + share * bodies + (1.0 - share) * within, both


def _whole(values: FloatArray) -> _Terms:
    return _Terms(values, np.zeros(values.shape, np.bool_), 0)


def _moves(to: FloatArray, since: FloatArray, starts: BoolArray) -> _Terms:
    """Moves from the candle before; the first candle has none, a session's first one has none that counts."""
    values = np.full(to.shape, np.nan)
    values[1:] = to[1:] - since[:-1]
    # A session that starts with a missing candle is a gap all the same.
    return _Terms(values, starts & np.isfinite(to), 1)


_Reduce = Callable[[FloatArray, BoolArray], FloatArray]


def _mean(values: FloatArray, _: BoolArray) -> FloatArray:
    mean: FloatArray = values.mean(axis=1)
    return mean


def _sample_variance(values: FloatArray, counted: BoolArray) -> FloatArray:
    """Two passes: a drift much larger than the noise loses no digits."""
    count = counted.sum(axis=1)
    mean = np.where(counted, values, 0.0).sum(axis=1) / count
    away = np.where(counted, values - mean[:, None], 0.0)
    variance: FloatArray = (away * away).sum(axis=1) / (count - 1)
    return variance


def _rolling(reduce: _Reduce, terms: _Terms, window: int) -> tuple[FloatArray, CodeArray]:
    """Reduce every full window of terms; the reasons say where there is none."""
    values, left_out, first = terms
    result = np.full(values.shape, np.nan)
    reason = np.full(values.shape, VolatilityReason.TOO_FEW, np.uint8)
    if values.size - first < window:
        return result, reason
    windows = sliding_window_view(values[first:], window)
    measured = sliding_window_view(~left_out[first:], window)
    place = first + window - 1
    step = max(1, _BLOCK // window)
    for start in range(0, windows.shape[0], step):
        block, counted = windows[start : start + step], measured[start : start + step]
        gap = (~np.isfinite(block) & counted).any(axis=1)
        few = counted.sum(axis=1) < _VARIANCE_MIN
        rows = slice(place + start, place + start + block.shape[0])
        result[rows] = reduce(block, counted)
        reason[rows] = np.where(gap, VolatilityReason.GAP, np.where(few, VolatilityReason.TOO_FEW, VolatilityReason.OK))
    return result, reason
