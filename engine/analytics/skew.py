"""Skew and term structure: how volatility differs between the wings, and between expiries.

Definitions, with volatilities of one expiry at given deltas of the desk (with respect to the forward, discounted):

* **risk reversal**: volatility of the 25-delta call less that of the 25-delta put; negative where puts are dearer;
* **butterfly**: mean of the two less the at-the-money volatility (at the forward); what the wings cost extra;
* **forward volatility** between two expiries: ``sqrt((w2 - w1) / (T2 - T1))`` of their total variances ``w``: what the
  market says of the time between them.

Invariant: nothing is extrapolated. Where the delta lies beyond the quoted strikes the figure is NaN, with a reason.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from engine.analytics.arrays import BoolArray, FloatArray, as_floats
from engine.analytics.smile import Smile, SmileGrade
from engine.analytics.svi import CENTRE, LEFT, LEVEL, RIGHT, WIDTH

QUARTER_DELTA: Final = 0.25

_BISECTIONS: Final = 44
"""Halvings of the quoted range: beyond them the place no longer moves by a thousandth of a tick."""


class Skew(NamedTuple):
    """The skew of one expiry; volatilities annual, 0.14 = 14 %."""

    delta: float
    """Absolute delta of both wings."""
    call_strike: float
    """Index points; NaN where there is none."""
    put_strike: float
    call_volatility: float
    put_volatility: float
    atm_volatility: float
    """At the forward."""
    risk_reversal: float
    """0.01 = one vol point."""
    butterfly: float
    reason: str
    """Why a figure is missing; empty when none is."""


class TermStructure(NamedTuple):
    """Volatility by expiry, nearest first."""

    years: FloatArray
    """ACT/365, increasing, shape ``(n,)``."""
    volatility: FloatArray
    """At the money, annual, shape ``(n,)``."""
    forward_volatility: FloatArray
    """Of the time since the expiry before (since now for the first), shape ``(n,)``; NaN where total variance falls
    from one expiry to the next: no volatility of the time between explains that."""


def skew_on_smile(smile: Smile, *, rate: float, forward: float | None = None, delta: float = QUARTER_DELTA) -> Skew:
    """Return the skew read off a fitted smile.

    Args:
        smile: of the expiry.
        rate: continuously compounded; discounts the deltas.
        forward: the present one, with which the smile moves; default: the one it was fitted at.
        delta: absolute delta of the wings, between 0 and 0.5.
    """
    if smile.grade is SmileGrade.NONE:
        return _no_skew(delta, f"no smile: {smile.reason}")
    at = smile.forward if forward is None else forward
    if not (math.isfinite(at) and at > 0.0):
        return _no_skew(delta, "no forward")
    undiscounted = delta * math.exp(rate * smile.years)
    if not 0.0 < undiscounted < 0.5:
        return _no_skew(delta, f"a delta of {delta} is not out of the money")
    distance = -float(ndtri(undiscounted))
    low, high = smile.expiry.lowest, smile.expiry.highest
    places = np.array([_place_of(smile.row, -distance, 0.0, high), _place_of(smile.row, distance, low, 0.0), 0.0])
    volatilities = smile.volatility(smile.forward * np.exp(places)).tolist()
    strikes = (at * np.exp(places)).tolist()
    return _skew(delta, call=(strikes[0], volatilities[0]), put=(strikes[1], volatilities[1]), atm=volatilities[2])


def skew_on_quotes(
    strikes: ArrayLike,
    forward: float,
    *,
    call_delta: ArrayLike,
    call_volatility: ArrayLike,
    put_delta: ArrayLike,
    put_volatility: ArrayLike,
    atm_volatility: float,
    delta: float = QUARTER_DELTA,
) -> Skew:
    """Return the skew interpolated linearly in delta between out-of-the-money quotes.

    Args:
        strikes: index points, shape ``(n,)``, as all arrays here, any order.
        forward: index points.
        call_delta: of the desk, 0 to 1; NaN where unknown.
        call_volatility: annual; NaN where unknown.
        put_delta: -1 to 0; NaN where unknown.
        put_volatility: annual; NaN where unknown.
        atm_volatility: at the forward, as in the chain's statistics.
        delta: absolute delta of the wings.
    """
    if not math.isfinite(forward):
        return _no_skew(delta, "no forward")
    k = as_floats(strikes)
    with np.errstate(all="ignore"):
        above, below = k >= forward, k <= forward
    return _skew(
        delta,
        call=_between(k, as_floats(call_delta), as_floats(call_volatility), above, delta),
        put=_between(k, -as_floats(put_delta), as_floats(put_volatility), below, delta),
        atm=atm_volatility,
    )


def term_structure(years: ArrayLike, atm_volatility: ArrayLike) -> TermStructure:
    """Return volatility by expiry and between expiries.

    Args:
        years: ACT/365 to each expiry, shape ``(n,)``, any order; an expiry without a positive time or volatility
            is left out.
        atm_volatility: annual, shape ``(n,)``.

    Raises:
        ValueError: the arrays differ in shape.
    """
    t, v = as_floats(years), as_floats(atm_volatility)
    if t.shape != v.shape:
        raise ValueError(f"years {t.shape} and atm_volatility {v.shape} must have one shape: an element per expiry")
    with np.errstate(all="ignore"):
        known = np.isfinite(t) & np.isfinite(v) & (t > 0.0) & (v > 0.0)
    t, v = t[known], v[known]
    order = np.argsort(t, kind="stable")
    t, v = t[order], v[order]
    with np.errstate(all="ignore"):
        gained = np.diff(v * v * t, prepend=0.0)
        elapsed = np.diff(t, prepend=0.0)
        between = np.where(elapsed > 0.0, np.sqrt(np.where(gained >= 0.0, gained, np.nan) / elapsed), np.nan)
    return TermStructure(t, v, between)


def _place_of(row: FloatArray, target: float, low: float, high: float) -> float:
    """Return the log-moneyness in ``[low, high]`` at which ``d1`` is ``target``, NaN when it is not in there.

    ``d1`` falls with the strike on any smile without arbitrage, so bisection finds the one place. Plain floats: an
    array of one element costs ten times as much.
    """
    level, left, right, centre, width = (float(row[place]) for place in (LEVEL, LEFT, RIGHT, CENTRE, WIDTH))

    def excess(k: float) -> float:
        x = k - centre
        variance = level + 0.5 * ((right - left) * x + (right + left) * (math.hypot(x, width) - width))
        deviation = math.sqrt(variance) if variance > 0.0 else math.nan
        return -k / deviation + 0.5 * deviation - target if deviation > 0.0 else math.nan

    if not (high > low and excess(low) >= 0.0 and excess(high) <= 0.0):
        return math.nan
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if excess(middle) >= 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _between(
    strikes: FloatArray,
    delta: FloatArray,
    volatility: FloatArray,
    side: BoolArray,
    wanted: float,
) -> tuple[float, float]:
    """Return strike and volatility at a delta, between the two nearest ones of a side; NaN beyond them."""
    usable = side & np.isfinite(delta) & np.isfinite(volatility) & np.isfinite(strikes)
    order = np.argsort(delta[usable], kind="stable")
    deltas, volatilities, places = (column[usable][order] for column in (delta, volatility, strikes))
    if not deltas.size or not deltas[0] <= wanted <= deltas[-1]:
        return math.nan, math.nan
    return float(np.interp(wanted, deltas, places)), float(np.interp(wanted, deltas, volatilities))


def _skew(delta: float, *, call: tuple[float, float], put: tuple[float, float], atm: float) -> Skew:
    missing = [
        f"{round(delta * 100)}-delta {side} lies beyond the quoted strikes"
        for side, (_, volatility) in (("call", call), ("put", put))
        if math.isnan(volatility)
    ]
    if math.isnan(atm):
        missing.append("no at-the-money volatility")
    return Skew(
        delta=delta,
        call_strike=call[0],
        put_strike=put[0],
        call_volatility=call[1],
        put_volatility=put[1],
        atm_volatility=atm,
        risk_reversal=call[1] - put[1],
        butterfly=0.5 * (call[1] + put[1]) - atm,
        reason="; ".join(missing),
    )


def _no_skew(delta: float, reason: str) -> Skew:
    nothing = (math.nan, math.nan)
    return _skew(delta, call=nothing, put=nothing, atm=math.nan)._replace(reason=reason)
