"""What a strategy is likely to bring: probability of profit and expected value at its nearest expiry.

Risk-neutral: the distribution is the one that prices the options, with the forward as its mean, not a forecast. Before
charges a strategy bought at the model's prices is therefore expected to bring the interest on its premium, no more.

With a smile the distribution comes from its call prices: the slope between two strikes is minus the probability above
them (a call spread). Where the smile contains butterfly arbitrage the slopes would go backwards; the greatest convex
function below the prices is taken instead, so that every probability is between 0 and 1 and the mean stays the
forward, and the size of the repair is told. Without a smile the distribution is lognormal at the volatility at the
money. Which one was used is part of the answer.

Invariant: probabilities sum to one and the mean is the forward, to rounding; an unknown answer is NaN with a reason.

Reference: Breeden and Litzenberger, "Prices of state-contingent claims implicit in option prices" (1978).
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

import numpy as np

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.landmarks import Curve
from engine.analytics.legs import LegReason, Legs, active
from engine.analytics.payoff import Payoff, corners, profit, profit_rounding

GRID_POINTS: Final = 1_001
"""Prices of the distribution besides those asked for."""

CENTRE_DEVIATIONS: Final = 10.0
"""Log-moneyness covered at least, in standard deviations at the money."""

WIDENINGS: Final = 6
"""How often the range may be doubled because the options at its ends are not negligible."""

WIDEST_LOG_MONEYNESS: Final = 6.0
"""End of all widening: four hundred times the forward, and a four-hundredth of it."""

NEGLIGIBLE: Final = 1e-12
"""Out-of-the-money price at the ends of the range, as a part of the forward."""

SPREAD_DEVIATIONS: Final = 1e-4
"""Half width of the call spread that stands for a digital, in standard deviations: its error is quadratic in this."""

SMALLEST_SPREAD_OF_PRICES: Final = 1e-6
"""Standard deviation to expiry, in log-price, below which neighbouring strikes' prices cannot be told apart."""

_CENTRE_DENSITY: Final = 3.0
"""Argument of the sinh spacing: strikes are this much denser at the money (3: about threefold the average)."""

_NEIGHBOURHOOD: Final = 0.01
"""How far beyond the outermost break-even the profit's sign is read, as a part of the reference forward."""

_SIGNIFICANT: Final = 1e-9
"""A smile's probabilities that go backwards by more than this are arbitrage, by less rounding."""


class Distribution(IntEnum):
    """Which distribution the answers were computed from."""

    NONE = 0
    SMILE = 1
    LOGNORMAL = 2


class OutlookReason(IntEnum):
    """Why there is no answer, or not the one asked for."""

    OK = 0
    NO_SMILE = 1
    """None was given: lognormal at the volatility at the money."""
    SMILE_INCOMPLETE = 2
    """The smile has no volatility somewhere in the range needed: lognormal."""
    NO_VOLATILITY = 3
    """Neither a smile nor a volatility at the money, or one so small that the price is as good as certain."""
    NO_TIME = 4
    """The expiry is reached: nothing is left to be probable."""
    NO_FORWARD = 5
    NO_PAYOFF = 6
    """A leg has no profit at expiry; the payoff says why."""


class SmileCurve(Protocol):
    """The smile of one expiry."""

    def volatility(self, strikes: FloatArray, /, *, forward: float) -> FloatArray:
        """Return annual volatilities at strikes, shape ``(n,)``, when the forward is ``forward``."""
        ...


class PriceDistribution(NamedTuple):
    """The price at expiry as masses on strikes: exact for every payoff that is linear between them."""

    prices: FloatArray
    """Ascending, the first one 0; shape ``(n,)``."""
    masses: FloatArray
    """Probability of each, >= 0, summing to one; shape ``(n,)``."""
    above: FloatArray
    """Probability of ending above the middle of ``(prices[i], prices[i + 1])``, not increasing; shape ``(n - 1,)``."""
    kind: Distribution
    reason: OutlookReason
    repair: float
    """Largest change of a probability that removed arbitrage from the smile; about 1e-9 is rounding."""


class Outlook(NamedTuple):
    """What a strategy is likely to bring at its nearest expiry."""

    probability_of_profit: float
    """Of a profit above zero, net of charges; NaN when unknown."""
    expected_value: float
    """Money, net of charges, at expiry (not discounted); NaN when unknown."""
    distribution: Distribution
    reason: OutlookReason
    repair: float
    """See :class:`PriceDistribution`."""


@np.errstate(all="ignore")
def outlook(
    legs: Legs,
    picture: Payoff,
    *,
    rate: float,
    charges: float = 0.0,
    smile: SmileCurve | None = None,
    volatility: float = math.nan,
) -> Outlook:
    """Return probability of profit and expected value at the picture's expiry.

    Args:
        legs: the legs the picture is of.
        picture: from :func:`~engine.analytics.payoff.payoff`, same rate and charges.
        rate: continuously compounded; values legs of later expiries.
        charges: money.
        smile: of the picture's expiry.
        volatility: at the money, annual, for the lognormal; used when there is no smile.
    """
    held = active(legs)
    if (picture.reasons_at_expiry != LegReason.OK).any() or not math.isfinite(charges):
        return _unknown(OutlookReason.NO_PAYOFF)

    def at_expiry(prices: FloatArray) -> FloatArray:
        return profit(held, prices, rate=rate, elapsed=picture.horizon, charges=charges, reference=picture.reference)

    if not held.is_option.any() and math.isnan(picture.reference):
        certain = float(at_expiry(np.ones(1))[0])
        return Outlook(float(certain > 0.0), certain, Distribution.NONE, OutlookReason.OK, 0.0)
    spread = price_distribution(
        picture.reference,
        picture.horizon,
        smile=smile,
        volatility=volatility,
        strikes=corners(held, picture.reference),
        levels=picture.break_evens,
    )
    if spread.kind == Distribution.NONE:
        return _unknown(spread.reason)
    rounding = profit_rounding(held, spread.prices[-1:] / picture.reference, charges)
    beyond = probability_above(spread, picture.break_evens)
    shares = -np.diff(np.concatenate(([1.0], beyond, [0.0])))
    gains = at_expiry(_between(picture.break_evens, picture.reference)) > rounding
    return Outlook(
        probability_of_profit=min(1.0, float(shares[gains].sum())),
        expected_value=float(spread.masses @ at_expiry(spread.prices)),
        distribution=spread.kind,
        reason=spread.reason,
        repair=spread.repair,
    )


@np.errstate(all="ignore")
def price_distribution(
    forward: float,
    years: float,
    *,
    smile: SmileCurve | None = None,
    volatility: float = math.nan,
    strikes: FloatArray | None = None,
    levels: FloatArray | None = None,
) -> PriceDistribution:
    """Return the risk-neutral distribution of the price at an expiry.

    Args:
        forward: index points; the mean.
        years: ACT/365 to the expiry instant.
        smile: of that expiry; None: lognormal.
        volatility: at the money, annual, for the lognormal.
        strikes: prices that shall be among the answer's, so that payoffs with corners there are integrated exactly.
        levels: prices at which :func:`probability_above` shall be accurate to 1e-7.

    Returns:
        The distribution; without prices, kind ``NONE`` and a reason when there is none.
    """
    if not (math.isfinite(forward) and forward > 0.0):
        return _nowhere(OutlookReason.NO_FORWARD)
    if not (math.isfinite(years) and years > 0.0):
        return _nowhere(OutlookReason.NO_TIME)
    wanted = np.empty(0) if strikes is None else strikes
    asked = np.empty(0) if levels is None else levels
    reason = OutlookReason.NO_SMILE
    if smile is not None:
        found = _from_curve(smile, forward, years, strikes=wanted, levels=asked)
        if found is not None:
            return found._replace(kind=Distribution.SMILE, reason=OutlookReason.OK)
        reason = OutlookReason.SMILE_INCOMPLETE
    found = _from_curve(_Flat(volatility), forward, years, strikes=wanted, levels=asked)
    return _nowhere(OutlookReason.NO_VOLATILITY) if found is None else found._replace(reason=reason)


def probability_above(spread: PriceDistribution, levels: FloatArray) -> FloatArray:
    """Return the probability of ending above each level, shape of ``levels``; NaN without a distribution.

    Accurate to 1e-7 at the levels the distribution was asked for, elsewhere to the square of its spacing.
    """
    if not spread.above.size:
        return np.full(levels.shape, np.nan)
    middles = 0.5 * (spread.prices[1:] + spread.prices[:-1])
    return np.interp(levels, middles, spread.above, left=1.0, right=0.0)


class _Flat(NamedTuple):
    """A smile that is none: the lognormal."""

    level: float

    def volatility(self, strikes: FloatArray, /, *, forward: float) -> FloatArray:
        del forward
        return np.full(strikes.shape, self.level)


def _from_curve(
    smile: SmileCurve, forward: float, years: float, *, strikes: FloatArray, levels: FloatArray
) -> PriceDistribution | None:
    """Return the distribution of a smile (named lognormal), or None where it lacks a volatility."""

    def calls(prices: FloatArray) -> FloatArray:
        """Undiscounted call prices, from the option out of the money: the other side is exact then."""
        volatility = smile.volatility(prices, forward=forward)
        is_call = prices >= forward
        value = price(forward, prices, years, 0.0, volatility, is_call=is_call)
        return np.where(is_call, value, value + (forward - prices))

    at_the_money = float(smile.volatility(np.array([forward]), forward=forward)[0])
    deviation = at_the_money * math.sqrt(years)
    if not (math.isfinite(deviation) and deviation >= SMALLEST_SPREAD_OF_PRICES):
        return None
    nodes = _nodes(calls, forward, deviation, strikes, levels)
    if nodes is None:
        return None
    value = calls(nodes)
    if not np.isfinite(value).all():
        return None
    slope = (value[-1] - value[-2]) / (nodes[-1] - nodes[-2])
    if value[-1] > 0.0 > slope:
        # What the last call is still worth is put where its price, going on as it does, becomes zero.
        nodes, value = np.append(nodes, nodes[-1] - value[-1] / slope), np.append(value, 0.0)
    nodes, value = np.append(0.0, nodes), np.append(forward, value)
    above, repair = _probabilities(nodes, value)
    masses = -np.diff(np.concatenate(([1.0], above, [0.0])))
    return PriceDistribution(nodes, masses, above, Distribution.LOGNORMAL, OutlookReason.OK, repair)


def _nodes(
    calls: Curve, forward: float, deviation: float, strikes: FloatArray, levels: FloatArray
) -> FloatArray | None:
    """Return the strikes to price, ascending, > 0; None where the smile has no volatility at the ends."""
    widths = np.minimum(CENTRE_DEVIATIONS * deviation * 2.0 ** np.arange(WIDENINGS + 1), WIDEST_LOG_MONEYNESS)
    ends = np.concatenate((forward * np.exp(-widths), forward * np.exp(widths)))
    value = calls(ends) - np.maximum(forward - ends, 0.0)
    small = np.abs(value.reshape(2, -1)) <= NEGLIGIBLE * forward
    chosen = [int(np.argmax(row)) if row.any() else widths.size - 1 for row in small]
    if not np.isfinite(value.reshape(2, -1)[[0, 1], chosen]).all():
        return None
    stretch = np.sinh(_CENTRE_DENSITY * np.linspace(-1.0, 1.0, GRID_POINTS)) / math.sinh(_CENTRE_DENSITY)
    grid = forward * np.exp(np.where(stretch < 0.0, widths[chosen[0]], widths[chosen[1]]) * stretch)
    half = SPREAD_DEVIATIONS * deviation * forward
    wanted = np.concatenate((strikes, levels - half, levels + half))
    return np.union1d(grid, wanted[(wanted > grid[0]) & (wanted < grid[-1])])


def _probabilities(strikes: FloatArray, calls: FloatArray) -> tuple[FloatArray, float]:
    """Return the probability above each gap between strikes, not increasing, and how much had to be repaired."""
    above = -np.diff(calls) / np.diff(strikes)
    backwards = max(float(np.diff(above).max(initial=0.0)), float(above[0]) - 1.0, -float(above[-1]))
    if backwards > _SIGNIFICANT:
        hull = _lower_hull(strikes, calls)
        repaired = -np.diff(np.interp(strikes, strikes[hull], calls[hull])) / np.diff(strikes)
    else:
        repaired = above
    proper = np.minimum.accumulate(np.clip(repaired, 0.0, 1.0))
    return proper, float(np.abs(proper - above).max())


def _lower_hull(x: FloatArray, y: FloatArray) -> list[int]:
    """Return the indices of the greatest convex function below some points, first and last included."""
    hull: list[int] = []
    for index, (px, py) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (px - x[a]) < (py - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(index)
    return hull


def _between(break_evens: FloatArray, reference: float) -> FloatArray:
    """Return one price from each interval the break-evens cut the axis into."""
    if not break_evens.size:
        return np.array([reference])
    room = _NEIGHBOURHOOD * reference
    first, last = break_evens[0], break_evens[-1]
    middles = 0.5 * (break_evens[1:] + break_evens[:-1])
    return np.concatenate(([first - min(room, 0.5 * first)], middles, [last + room]))


def _nowhere(reason: OutlookReason) -> PriceDistribution:
    """No distribution, and why."""
    nothing = np.empty(0)
    return PriceDistribution(nothing, nothing, nothing, Distribution.NONE, reason, math.nan)


def _unknown(reason: OutlookReason) -> Outlook:
    """No answer, and why."""
    return Outlook(math.nan, math.nan, Distribution.NONE, reason, math.nan)
