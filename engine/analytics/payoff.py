"""The payoff of a strategy: profit now, at expiry and at any date and volatility; break-evens, best and worst.

"At expiry" is the instant of the nearest option expiry; legs of later expiries are valued by the model then. When all
options expire together the payoff is piecewise linear: its corners are known, and break-evens and extrema are computed
from them without sampling. Otherwise they are searched over a stated range to a stated accuracy.

The position is *unlimited* upwards when its calls and futures do not balance, downwards when its puts and futures do
not. Upwards the value is then infinite; downwards the underlying can only fall to zero, so the value there is given
as well, with the flag. It is counted in units and not as a slope: discounting and carry make the tail of a calendar
spread rise or fall by a few parts in a thousand, which nobody calls unlimited.

Invariant: profit is ``sum(quantity * multiplier * (price - entry_price)) - charges``, NaN where a leg has none of it.
Interest on premiums between now and then is not counted.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import CodeArray, FloatArray, as_floats
from engine.analytics.black import price
from engine.analytics.landmarks import SEARCH_POINTS, UNKNOWN, Extremum, Landmarks, Tails, of_corners, of_curve
from engine.analytics.legs import (
    ONE_SECOND,
    LegKind,
    LegReason,
    Legs,
    PositionGreeks,
    active,
    leg_reasons,
    nearest_expiry,
    net_greeks,
    reference_forward,
    take,
)

SEARCH_WIDTH: Final = 0.25
"""Searched beyond the outermost strikes on either side, as a part of the reference forward."""

ROOT_ACCURACY: Final = 1e-9
"""Of searched break-evens, as a part of the reference forward: 0.000025 points at 25,000."""

_AXIS_MARGIN: Final = 0.01
"""Least room beyond the outermost strike of a picture, as a part of the reference forward."""

_ROUNDING: Final = 16.0 * float(np.finfo(np.float64).eps)
"""Sums closer than this part of the amounts summed are equal: the rest is rounding."""


class Payoff(NamedTuple):
    """The picture of a strategy; money net of charges."""

    forwards: FloatArray
    """Reference forwards, shape ``(m,)``: the horizontal axis."""
    now: FloatArray
    """Profit at the model's prices now, shape ``(m,)``."""
    at_expiry: FloatArray
    """Profit at the nearest expiry, shape ``(m,)``."""
    break_evens: FloatArray
    """At expiry, ascending reference forwards; both ends where the profit is zero over a range."""
    best: Extremum
    worst: Extremum
    reward_to_risk: float
    """Best over worst, positive; NaN when either is unlimited or unknown, or when nothing can be lost or gained."""
    greeks: PositionGreeks
    """Now, at the present forwards."""
    reference: float
    """The present reference forward; NaN when there is none."""
    horizon: float
    """Years from now to "expiry"."""
    exact: bool
    """Whether break-evens and extrema are computed (True) or searched within ``searched``."""
    accuracy: float
    """Of the break-evens, in points: 0 when exact."""
    searched: tuple[float, float]
    """Range of reference forwards the answers hold for; ``(0, inf)`` when nothing is left out."""
    reasons_now: CodeArray
    """Why a leg has no profit now, members of :class:`~engine.analytics.legs.LegReason`, shape ``(legs,)``."""
    reasons_at_expiry: CodeArray
    """Why a leg has none at expiry (where it may need no volatility), shape ``(legs,)``."""


def profit(
    legs: Legs,
    forwards: ArrayLike,
    *,
    rate: float,
    elapsed: ArrayLike = 0.0,
    volatility_shift: ArrayLike = 0.0,
    charges: float = 0.0,
    reference: float | None = None,
) -> FloatArray:
    """Return the strategy's profit at any forward, date and volatility.

    Args:
        legs: shape ``(n,)``; none: zero less charges.
        forwards: reference forwards, index points, >= 0; broadcast with the two following.
        rate: continuously compounded, 0.065 = 6.5 %.
        elapsed: years from now; a leg whose expiry has come or passed counts its intrinsic value.
        volatility_shift: absolute, 0.01 = one percentage point on every leg; NaN where the sum is negative.
        charges: money, a constant cost.
        reference: the present reference forward; by default that of :func:`~engine.analytics.legs.reference_forward`.

    Returns:
        Money, broadcast shape with at least one dimension; NaN where a leg has no value.
    """
    x, time, shift = np.broadcast_arrays(as_floats(forwards), as_floats(elapsed), as_floats(volatility_shift))
    legs = active(legs)
    with np.errstate(all="ignore"):
        # The ratio first: it is exactly one where the forward is the reference, and the axis then its forward.
        ratio = np.where(legs.forward > 0.0, legs.forward, np.nan) / _anchor(legs, reference)
        forward = ratio[:, None] * x.ravel()
        option, future = legs.is_option, legs.kind == LegKind.FUTURE
        options, futures = take(legs, option), take(legs, future)
        total = options.weight @ _option_gains(options, forward[option], time.ravel(), shift.ravel(), rate)
        total += futures.weight @ (forward[future] - futures.entry_price[:, None])
        others = take(legs, legs.kind >= LegKind.CASH)
        worth = np.where(others.kind == LegKind.CASH, 1.0, np.nan)
        total += float(others.weight @ (worth - others.entry_price)) - charges
    return total.reshape(x.shape)


def _anchor(legs: Legs, reference: float | None) -> float:
    """Return what the axis is divided by; without any market leg every axis shows the same profit."""
    if reference is not None and not math.isnan(reference):
        return reference
    return reference_forward(legs) if (legs.kind <= LegKind.FUTURE).any() else 1.0


def _option_gains(legs: Legs, forward: FloatArray, elapsed: FloatArray, shift: FloatArray, rate: float) -> FloatArray:
    """Return price less entry price of every option, shape ``(legs, points)``; the caller silences warnings."""
    strike = np.where(legs.strike > 0.0, legs.strike, np.nan)[:, None]
    call = (legs.kind == LegKind.CALL)[:, None]
    expiry = np.where(np.isfinite(legs.years), legs.years, np.nan)[:, None]
    years = expiry - elapsed
    over = years < ONE_SECOND
    if over.all():
        gain = forward - strike
        value = np.maximum(np.where(call, gain, -gain), 0.0)
        value = np.where((forward >= 0.0) & np.isfinite(value), value, np.nan)
    else:
        # At zero the formula has no logarithm; its limit is reached at the smallest number there is.
        forward = np.where(forward == 0.0, np.finfo(np.float64).tiny, forward)
        volatility = np.where(over, 0.0, legs.volatility[:, None] + shift)
        value = price(forward, strike, np.where(over, 0.0, years), rate, volatility, is_call=call)
    return value - legs.entry_price[:, None]


@np.errstate(all="ignore")
def payoff(
    legs: Legs,
    forwards: ArrayLike,
    *,
    rate: float,
    charges: float = 0.0,
    search: tuple[float, float] | None = None,
) -> Payoff:
    """Return the picture of a strategy.

    Args:
        legs: shape ``(n,)``.
        forwards: reference forwards to draw, shape ``(m,)``, index points; see :func:`picture_axis`.
        rate: continuously compounded, 0.065 = 6.5 %.
        charges: money, subtracted from every profit.
        search: reference forwards between which a payoff that is not piecewise linear is searched; by default from
            ``SEARCH_WIDTH`` below to ``SEARCH_WIDTH`` above the strikes and the present forward.
    """
    x = as_floats(forwards)
    held, horizon = active(legs), nearest_expiry(legs)
    anchor = _anchor(held, None)
    reasons = leg_reasons(legs, elapsed=horizon)

    def at_expiry(points: FloatArray) -> FloatArray:
        return profit(held, points, rate=rate, elapsed=horizon, charges=charges, reference=anchor)

    exact = not (held.is_option & (held.years - horizon >= ONE_SECOND)).any()
    if (reasons != LegReason.OK).any() or not (math.isfinite(charges) and anchor > 0.0):
        found = UNKNOWN
    elif exact:
        found = _computed(held, anchor, charges, rate, horizon)
    else:
        low, high = search if search is not None else _default_search(held, anchor)
        points = np.union1d(np.linspace(low, high, SEARCH_POINTS), corners(held, anchor))
        found = of_curve(
            at_expiry,
            points[(points >= low) & (points <= high)],
            tails=_tails(held),
            dust=float(profit_rounding(held, np.array([high / anchor]), charges)[0]),
            accuracy=ROOT_ACCURACY * anchor,
        )
    return Payoff(
        forwards=x,
        now=profit(held, x, rate=rate, charges=charges, reference=anchor),
        at_expiry=at_expiry(x),
        break_evens=found.break_evens,
        best=found.best,
        worst=found.worst,
        reward_to_risk=_reward_to_risk(found.best, found.worst),
        greeks=net_greeks(legs, rate=rate),
        reference=reference_forward(legs),
        horizon=horizon,
        exact=exact,
        accuracy=0.0 if exact else ROOT_ACCURACY * anchor,
        searched=found.searched,
        reasons_now=leg_reasons(legs),
        reasons_at_expiry=reasons,
    )


@np.errstate(all="ignore")
def picture_axis(legs: Legs, *, points: int, deviations: float = 3.0) -> FloatArray:
    """Return evenly spaced reference forwards that show a strategy: all strikes, and what may well happen by expiry.

    Args:
        legs: shape ``(n,)``.
        points: how many, >= 2.
        deviations: standard deviations to expiry shown on either side, from the legs' highest volatility.

    Returns:
        Shape ``(points,)``, ascending, > 0; NaN when there is no reference forward.
    """
    held = active(legs)
    reference, horizon = reference_forward(held), nearest_expiry(held)
    volatility = held.volatility[held.is_option & np.isfinite(held.volatility)]
    spread = deviations * float(volatility.max(initial=0.0)) * math.sqrt(horizon)
    places = corners(held, reference)
    places = np.append(places[np.isfinite(places)], reference)
    margin = _AXIS_MARGIN * reference
    low = min(reference * float(np.exp(-spread)), float(places.min()) - margin)
    high = max(reference * float(np.exp(spread)), float(places.max()) + margin)
    return np.linspace(max(low, margin), high, points)


def corners(legs: Legs, reference: float) -> FloatArray:
    """Return the reference forwards at which each option's own forward is its strike, one per option."""
    option = legs.is_option
    with np.errstate(all="ignore"):
        # Where the forward is the reference itself the divisor is exactly one, and the corner exactly the strike.
        places: FloatArray = legs.strike[option] / (legs.forward[option] / reference)
    return places


def _default_search(legs: Legs, reference: float) -> tuple[float, float]:
    """Return the range to search when none is given."""
    places = np.append(corners(legs, reference), reference)
    room = SEARCH_WIDTH * reference
    return max(0.0, float(places.min()) - room), float(places.max()) + room


def _tails(legs: Legs) -> Tails:
    """Return the uncovered units."""
    weight = legs.weight
    calls, puts, futures = (legs.kind == kind for kind in (LegKind.CALL, LegKind.PUT, LegKind.FUTURE))
    up = float(weight[calls | futures].sum())
    down = float(weight[puts].sum() - weight[futures].sum())
    rounding = _ROUNDING * float(np.abs(weight).sum())
    return Tails(up if abs(up) > rounding else 0.0, down if abs(down) > rounding else 0.0)


def profit_rounding(legs: Legs, scale: FloatArray, charges: float) -> FloatArray:
    """Return below what amount a profit is nothing but rounding, where forwards are multiplied by ``scale``."""
    forward, strike = (np.nan_to_num(column) for column in (legs.forward, legs.strike))
    amounts = np.abs(legs.weight) @ (np.outer(forward, scale) + (strike + np.abs(legs.entry_price))[:, None])
    return np.asarray(_ROUNDING * (amounts + abs(charges)))


def _computed(legs: Legs, reference: float, charges: float, rate: float, horizon: float) -> Landmarks:
    """Compute the landmarks of a payoff whose options all expire together."""
    nodes = np.unique(np.append(corners(legs, reference), 0.0))
    tails = _tails(legs)
    rising = (legs.kind == LegKind.CALL) | (legs.kind == LegKind.FUTURE)
    scale = legs.forward[rising] / reference
    end = math.inf
    if tails.up == 0.0 and not (scale == 1.0).all():
        # Forwards of different expiries drift apart: the covered tail has a slight slope, and no natural end.
        end = _default_search(legs, reference)[1]
        nodes = np.append(nodes, end)
    return of_corners(
        nodes,
        profit(legs, nodes, rate=rate, elapsed=horizon, charges=charges, reference=reference),
        tails=tails,
        slope=float(legs.weight[rising] @ scale),
        dust=profit_rounding(legs, nodes / reference, charges),
        end=end,
    )


def _reward_to_risk(best: Extremum, worst: Extremum) -> float:
    """Return best over worst where both are bounded and of their own sign."""
    unlimited = best.unlimited_up or best.unlimited_down or worst.unlimited_up or worst.unlimited_down
    if unlimited or not (best.value > 0.0 > worst.value):
        return math.nan
    return best.value / -worst.value
