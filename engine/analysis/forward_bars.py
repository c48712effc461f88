"""Realised volatility of stored minutes: bars of five minutes out of prices at the minutes' ends.

A bar knows the price at its start (the minute before it) and at each of its ends; with all six its open, high, low and
close are known, else only its close, if that is. Minutes nobody saw are never stepped over: the move across a gap, and
across a night, is left out, and only bars that follow each other count.

Prices are looked at once a minute, and a range of six looks is much narrower than the true one (Garman and Klass, 1980,
give the bias by the number of looks). What the estimators of ranges say is divided by the part that five steps of a
random walk show of its variance, ``SHOWN``; closes need no such correction.

Invariant: too few bars give no volatility but the reason.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from engine.analytics.arrays import BoolArray
from engine.analytics.realised_volatility import (
    Candles,
    Estimator,
    candles_per_year,
    realised_volatility,
    volatility_cone,
)
from engine.core.analysis import ConeBand, RealisedVolatility
from engine.core.views import Floats, Integers

BAR_MINUTES: Final = 5
BARS_MIN: Final = 12
"""An hour: fewer say nothing."""
_MINUTE_S: Final = 60
_BAR_S: Final = BAR_MINUTES * _MINUTE_S
SHOWN: Final = {
    Estimator.CLOSE: 1.0,
    Estimator.PARKINSON: 0.5714,
    Estimator.GARMAN_KLASS: 0.4058,
    Estimator.ROGERS_SATCHELL: 0.3747,
}
"""Expected estimate over true variance for a Gaussian walk of five steps; by simulation, to about three digits."""

_YANG_ZHANG: Final = 0.34
"""Weight of closes against ranges in that estimator; see ``engine.analytics.realised_volatility``."""

CONE_MINUTES: Final = (("1 hour", 60), ("2 hours", 120))
CONE_SESSIONS: Final = (("1 session", 1), ("2 sessions", 2))
CONE_SPANS_MIN: Final = 4
"""Windows side by side that a spread needs; overlapping ones alone say one thing many times."""
_QUARTILES: Final = (25.0, 50.0, 75.0)

_NEEDS_BEFORE: Final = frozenset({Estimator.CLOSE, Estimator.YANG_ZHANG})
"""Estimators of moves between bars: a window of n needs n + 1."""


class Bars(NamedTuple):
    """Bars of one session, oldest first, none left out between the first and the last; NaN where unknown."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats


def bars_of(minute: Integers, price: Floats) -> Bars:
    """Bars of one session's minutes.

    Args:
        minute: starts, epoch seconds, growing, shape (n,).
        price: at each minute's end, shape (n,); NaN where unknown.
    """
    seen = np.isfinite(price) & (price > 0.0)
    minute, price = minute[seen], price[seen]
    if not minute.size:
        nothing = np.empty(0)
        return Bars(nothing, nothing, nothing, nothing)
    first, last = int(minute[0]) // _BAR_S, int(minute[-1]) // _BAR_S
    grid = np.full((last - first + 1) * BAR_MINUTES, np.nan)
    grid[(minute - first * _BAR_S) // _MINUTE_S] = price
    ends = grid.reshape(-1, BAR_MINUTES)
    starts = np.concatenate(([np.nan], ends[:-1, -1]))
    every = np.column_stack((starts, ends))
    # NaN in any of the six makes all four unknown but the close.
    return Bars(
        np.where(np.isnan(every).any(axis=1), np.nan, starts), every.max(axis=1), every.min(axis=1), ends[:, -1]
    )


def realised(
    sessions: Sequence[Bars], window: str, *, session_minutes: float, bars_min: int = BARS_MIN
) -> tuple[RealisedVolatility, ...]:
    """Volatility by every estimator over all bars of some sessions.

    Args:
        sessions: oldest first.
        window: what they are, in words.
        session_minutes: length of a trading session, which annualises.
        bars_min: fewer bars give none.
    """
    per_year = candles_per_year(BAR_MINUTES, session_minutes)
    return tuple(_estimated(estimator, sessions, window, per_year, bars_min) for estimator in Estimator)


def cone(sessions: Sequence[Bars], until: date, *, session_minutes: float) -> tuple[ConeBand, ...]:
    """How volatility (close to close, moves across nights and gaps left out) was spread, by length of the window.

    Args:
        sessions: oldest first.
        until: day of the last one.
        session_minutes: length of a trading session, which annualises.
    """
    lengths = (*CONE_MINUTES, *((words, count * session_minutes) for words, count in CONE_SESSIONS))
    windows = [int(minutes // BAR_MINUTES) for _, minutes in lengths]
    columns, starts = _joined(Estimator.CLOSE, sessions)
    found = volatility_cone(
        Estimator.CLOSE,
        columns,
        windows=windows,
        percentiles=_QUARTILES,
        periods_per_year=candles_per_year(BAR_MINUTES, session_minutes),
        session_start=starts,
    )
    moves = int(np.count_nonzero(~starts))
    bands = []
    for row, ((words, _), window) in enumerate(zip(lengths, windows, strict=True)):
        needed = CONE_SPANS_MIN * window
        is_spread = moves >= needed and bool(found.samples[row])
        levels = found.levels[row].tolist()
        low, middle, high = levels if is_spread else (None, None, None)
        latest = float(found.latest[row])
        bands.append(
            ConeBand(
                window=words,
                lowest=float(found.lowest[row]) if is_spread else None,
                lower_quartile=low,
                median=middle,
                upper_quartile=high,
                highest=float(found.highest[row]) if is_spread else None,
                current=None if math.isnan(latest) else latest,
                until=until,
                reason="" if is_spread else _too_few(moves, needed),
            )
        )
    return tuple(bands)


def _too_few(moves: int, needed: int) -> str:
    if moves < needed:
        return f"{moves} moves of {BAR_MINUTES} minutes are stored, {needed} are needed"
    return "too few bars follow each other"


def _joined(estimator: Estimator, sessions: Sequence[Bars]) -> tuple[Candles, BoolArray]:
    """The bars an estimator can use of all sessions, and which of them do not follow the one before."""
    pieces = [_known(estimator, bars) for bars in sessions]
    columns = [np.concatenate([piece[place] for piece, _ in pieces] or [np.empty(0)]) for place in range(4)]
    return Candles(*columns), np.concatenate([flags for _, flags in pieces] or [np.empty(0, np.bool_)])


def _estimated(
    estimator: Estimator, sessions: Sequence[Bars], window: str, per_year: float, bars_min: int
) -> RealisedVolatility:
    columns, starts = _joined(estimator, sessions)
    count = starts.size
    words = f"{window}, {count} bars of {BAR_MINUTES} minutes"

    def none(reason: str) -> RealisedVolatility:
        return RealisedVolatility(estimator=estimator.value, window=words, volatility=None, reason=reason)

    if count < bars_min:
        return none(f"{count} bars, {bars_min} are needed")
    length = count - 1 if estimator in _NEEDS_BEFORE else count
    found = realised_volatility(
        estimator,
        columns,
        window=length,
        periods_per_year=per_year,
        session_start=starts,
    )
    volatility = float(found.volatility[-1])
    if math.isnan(volatility):
        return none("too few bars follow each other")
    return RealisedVolatility(
        estimator=estimator.value, window=words, volatility=volatility / math.sqrt(_shown(estimator, length))
    )


def _shown(estimator: Estimator, length: int) -> float:
    if estimator is not Estimator.YANG_ZHANG:
        return SHOWN[estimator]
    # Here bars begin where the one before ended: what is left is variance of the bodies and Rogers-Satchell.
    closes = _YANG_ZHANG / (1.0 + _YANG_ZHANG + (length + 1) / (length - 1))
    return closes + (1.0 - closes) * SHOWN[Estimator.ROGERS_SATCHELL]


def _known(estimator: Estimator, bars: Bars) -> tuple[Bars, BoolArray]:
    """The bars an estimator can use, and which of them do not follow the one before."""
    known = np.isfinite(bars.close if estimator is Estimator.CLOSE else bars.open)
    starts = np.concatenate(([True], ~known))[:-1][known] if known.size else np.empty(0, np.bool_)
    return Bars(*(column[known] for column in bars)), starts
