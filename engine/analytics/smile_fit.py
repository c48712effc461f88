"""Fits the volatility smile of one expiry to its out-of-the-money quotes, without each strike in turn, and grades it.

What goes in: per strike the volatility of the option that is out of the money and how uncertain its quote makes it
(half the spread over vega). A strike weighs one over its error, which is that uncertainty and ``MODEL_ERROR`` of the
volatility together: no curve of five parameters is truer than that, and without it a few tight quotes at the
money would be the whole fit. Residuals beyond two errors pull no harder than a constant.

The curve without a strike is a fit of its own, from a start that has not seen the strike either; so the strike's
theoretical value is the same to the last bit whatever is quoted at it.

Grades (``within`` is the share of strikes the curve meets within two errors):

* ``A``: at least 10 strikes, 3 on either side of the forward, ``within`` at least 90 %, no butterfly arbitrage
  anywhere, at least half of the strikes with a two-sided quote;
* ``B``: at least 7 strikes, 2 on either side, ``within`` at least 70 %, no butterfly arbitrage between the quotes;
* ``C``: anything less that could be fitted;
* ``none``: nothing was fitted; every volatility is NaN and the reason says why.

Invariant: deterministic; never raises because of a value.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from engine.analytics.arrays import PER_PERCENTAGE_POINT, BoolArray, FloatArray
from engine.analytics.smile import Smile, SmileGrade, no_smile
from engine.analytics.smile_arbitrage import ButterflyCheck, check_butterfly
from engine.analytics.svi import COORDINATES, RIGHT, total_variance
from engine.analytics.svi_fit import Points, cold_rows, fit_rows

MODEL_ERROR: Final = 0.01
"""Part of a volatility by which the curve may miss it even if the quote were exact."""

UNQUOTED_ERROR: Final = 0.05
"""Part of a volatility that is uncertain where there is a price but no two-sided quote."""

LARGEST_ERROR: Final = 0.5
"""A volatility more uncertain than this part of itself says nothing and takes no part."""

MINIMUM_STRIKES: Final = 7
"""Fewer cannot judge five parameters."""

FOLDS: Final = 4
"""A cold search is made so many times, each without its part of the strikes: a strike's own search starts from the
one that has not seen it."""

LARGEST_VOLATILITY: Final = 20.0
"""Above 2,000 % a year it is a broken price."""

WITHIN_ERRORS: Final = 2.0

GRADE_A_STRIKES: Final = 10
GRADE_A_SIDE: Final = 3
GRADE_A_WITHIN: Final = 0.9
GRADE_A_QUOTED: Final = 0.5
GRADE_B_STRIKES: Final = MINIMUM_STRIKES
GRADE_B_SIDE: Final = 2
GRADE_B_WITHIN: Final = 0.7


class SmileQuotes(NamedTuple):
    """What a smile is fitted to, one element per strike, shape ``(n,)``."""

    volatility: FloatArray
    """Annual, of the out-of-the-money option; NaN where there is none."""
    uncertainty: FloatArray
    """Half the bid-ask spread in volatility; NaN where the price is not that of a two-sided quote."""


def smile_quotes(
    strikes: FloatArray,
    forward: float,
    *,
    call_volatility: FloatArray,
    put_volatility: FloatArray,
    call_vega: FloatArray,
    put_vega: FloatArray,
    call_spread: FloatArray,
    put_spread: FloatArray,
) -> SmileQuotes:
    """Choose the out-of-the-money side of every strike and say how uncertain its volatility is.

    Args:
        strikes: index points, shape ``(n,)``, as all arrays here.
        forward: index points; at the forward itself the call is taken.
        call_volatility: annual, NaN where unknown.
        put_volatility: annual, NaN where unknown.
        call_vega: index points per percentage point.
        put_vega: index points per percentage point.
        call_spread: ask less bid, index points; NaN where the call's price is not the mid of such a quote.
        put_spread: the same for puts.
    """
    above = strikes >= forward
    volatility = np.where(above, call_volatility, put_volatility)
    vega = np.where(above, call_vega, put_vega)
    with np.errstate(all="ignore"):
        uncertainty = 0.5 * PER_PERCENTAGE_POINT * np.where(above, call_spread, put_spread) / vega
    return SmileQuotes(volatility, np.where(uncertainty >= 0.0, uncertainty, np.nan))


def fit_smile(
    strikes: FloatArray, quotes: SmileQuotes, *, forward: float, years: float, previous: Smile | None = None
) -> Smile:
    """Fit the smile of one expiry, and for each strike the curve of all others.

    Args:
        strikes: index points, shape ``(n,)``, any order; rows of one strike are left out together.
        quotes: volatilities and their uncertainty, shape ``(n,)`` each.
        forward: index points.
        years: ACT/365 to the expiry instant.
        previous: an earlier smile of the same expiry to start from, several times faster. Used only if its grade
            is A: a poor fit is a poor place to start.

    Returns:
        The smile; of grade ``none`` with a reason when it cannot be fitted.

    Raises:
        ValueError: the arrays differ in shape.
    """
    if not strikes.shape == quotes.volatility.shape == quotes.uncertainty.shape or strikes.ndim != 1:
        raise ValueError(
            f"strikes {strikes.shape}, volatility {quotes.volatility.shape} and uncertainty "
            f"{quotes.uncertainty.shape} must be of one shape (n,), an element per strike"
        )
    if not (math.isfinite(years) and years > 0.0):
        return no_smile(strikes, forward, years, "no time left to the expiry")
    if not (math.isfinite(forward) and forward > 0.0):
        return no_smile(strikes, forward, years, "no forward")
    with np.errstate(all="ignore"):
        error = _errors(quotes)
        k = np.log(strikes / forward)
        variance = quotes.volatility * quotes.volatility * years
        weights = 1.0 / (2.0 * quotes.volatility * years * error)
        usable = (strikes > 0.0) & (error > 0.0) & (error <= LARGEST_ERROR * quotes.volatility)
        usable &= (quotes.volatility <= LARGEST_VOLATILITY) & (variance > 0.0)
        # Numbers so absurd that their quotients leave the floating-point range are no quotes either.
        usable &= np.isfinite(k + variance + weights)
    points = Points(np.where(usable, k, 0.0), np.where(usable, variance, 1.0))
    weights = np.where(usable, weights, 0.0)
    distinct = np.unique(points.log_moneyness[usable]).size
    if distinct < MINIMUM_STRIKES:
        return no_smile(
            strikes, forward, years, f"{distinct} strikes have a usable volatility; {MINIMUM_STRIKES} are needed"
        )
    curves = _fitted(strikes, points, weights, years, previous)
    return _judged(strikes, quotes, error, usable, curves, forward=forward, years=years)


def _errors(quotes: SmileQuotes) -> FloatArray:
    """What each volatility may be off by; NaN where there is none."""
    volatility = np.where(np.isfinite(quotes.volatility), quotes.volatility, np.nan)
    uncertainty = np.where(np.isnan(quotes.uncertainty), UNQUOTED_ERROR * volatility, quotes.uncertainty)
    error: FloatArray = np.hypot(uncertainty, MODEL_ERROR * volatility)
    return error


def _fitted(
    strikes: FloatArray, points: Points, weights: FloatArray, years: float, previous: Smile | None
) -> FloatArray:
    """Curves without each strike and, last, through all; shape ``(n + 1, 5)``."""
    without = np.where(strikes[:, None] == strikes[None, :], 0.0, weights[None, :])
    every = np.concatenate((without, weights[None, :]))
    if previous is not None and previous.grade is SmileGrade.A:
        start = np.concatenate((previous.rows_without(strikes), previous.row[None, :]))
        start[:, : RIGHT + 1] *= years / previous.years
    else:
        start = _cold_start(strikes, points, without, weights)
    # Seven distinct strikes leave six without one of them, which is still more than a curve has parameters.
    return fit_rows(points, every, start)[0]


def _cold_start(strikes: FloatArray, points: Points, without: FloatArray, weights: FloatArray) -> FloatArray:
    """Where to start without an earlier smile: per strike a curve that has not seen it. Shape ``(n + 1, 5)``."""
    rank = np.unique(strikes, return_inverse=True)[1]
    # Not simply every fourth: where only round strikes are quoted, one fold would hold them all.
    fold_of = (rank + rank // FOLDS + rank // FOLDS**2) % FOLDS
    folds = np.where(fold_of[None, :] == np.arange(FOLDS)[:, None], 0.0, weights[None, :])
    thick = np.array([np.unique(points.log_moneyness[row > 0.0]).size >= MINIMUM_STRIKES - 1 for row in folds])
    alone = ~thick[fold_of]
    found = cold_rows(points, np.concatenate((folds[thick], without[alone], weights[None, :])))
    start = np.empty((strikes.size + 1, COORDINATES))
    place = np.cumsum(thick) - 1
    start[:-1][~alone] = found[place[fold_of[~alone]]]
    start[:-1][alone] = found[np.count_nonzero(thick) : -1]
    start[-1] = found[-1]
    return start


def _judged(
    strikes: FloatArray,
    quotes: SmileQuotes,
    error: FloatArray,
    usable: BoolArray,
    curves: FloatArray,
    *,
    forward: float,
    years: float,
) -> Smile:
    """Put the verdict on a fit."""
    row = curves[-1]
    with np.errstate(all="ignore"):
        k = np.log(strikes / forward)
        residual = np.where(usable, quotes.volatility - np.sqrt(total_variance(row, k) / years), np.nan)
    used = strikes[usable]
    low, high = float(used.min()), float(used.max())
    butterfly = check_butterfly(row, math.log(low / forward), math.log(high / forward))
    missed = residual[usable]
    within = float(np.mean(np.abs(missed) <= WITHIN_ERRORS * error[usable]))
    quoted = float(np.mean(~np.isnan(quotes.uncertainty[usable])))
    sides = min(np.unique(used[used < forward]).size, np.unique(used[used > forward]).size)
    grade, reason = _grade(np.unique(used).size, sides, within, quoted, butterfly)
    return Smile(
        row=row,
        forward=forward,
        years=years,
        grade=grade,
        reason=reason,
        strikes_used=int(used.size),
        lowest_strike=low,
        highest_strike=high,
        rms_residual=math.sqrt(float(np.mean(missed * missed))),
        within=within,
        butterfly=butterfly,
        strikes=strikes,
        residual=residual,
        left_out=curves[:-1],
    )


def _grade(count: int, sides: int, within: float, quoted: float, butterfly: ButterflyCheck) -> tuple[SmileGrade, str]:
    """Apply the thresholds of the module's description; the reason names what keeps it from A."""
    lacks = []
    if count < GRADE_A_STRIKES:
        lacks.append(f"{count} strikes, {GRADE_A_STRIKES} make an A")
    if sides < GRADE_A_SIDE:
        lacks.append(f"{sides} strikes on one side of the forward, {GRADE_A_SIDE} make an A")
    if not within >= GRADE_A_WITHIN:
        lacks.append(f"{within:.0%} of the strikes are met within their error, {GRADE_A_WITHIN:.0%} make an A")
    if not quoted >= GRADE_A_QUOTED:
        lacks.append(f"{quoted:.0%} of the strikes have a two-sided quote, {GRADE_A_QUOTED:.0%} make an A")
    if not butterfly.free_everywhere:
        place = "between the quotes" if not butterfly.free_in_quotes else "beyond the quotes"
        lacks.append(f"butterfly arbitrage {place}")
    if not lacks:
        return SmileGrade.A, ""
    good = count >= GRADE_B_STRIKES and sides >= GRADE_B_SIDE and within >= GRADE_B_WITHIN and butterfly.free_in_quotes
    return (SmileGrade.B if good else SmileGrade.C), "; ".join(lacks)
