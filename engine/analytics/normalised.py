"""The out-of-the-money Black price to full relative precision: the root of prices, Greeks and implied volatility.

With ``m = min(F, K)``, ``M = max(F, K)``, ``k = ln(M / m)``, total deviation ``s = volatility * sqrt(years)``,
``h = k / s`` and ``t = s / 2``, the undiscounted price of whichever option is out of the money is

    m * exp(-(h - t)**2 / 2) / 2 * (erfcx((h - t) / sqrt 2) - erfcx((h + t) / sqrt 2))

In this form nothing is lost far from the money; where the price nears its maximum ``m`` (very high total deviation)
what is missing to it is computed instead. Near the money and close to expiry the two scaled error
functions almost cancel, so there their difference is summed as a Taylor series in ``t``. Adding the intrinsic value
afterwards makes call and put obey put-call parity to the last bit but one.

References: Black (1976); Jäckel, "Let's be rational" (2015).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from scipy.special import erfcx

from engine.analytics.arrays import BoolArray, FloatArray

SQRT_HALF: Final = math.sqrt(0.5)
SQRT_HALF_PI: Final = math.sqrt(0.5 * math.pi)
SQRT_TWO_PI: Final = math.sqrt(2.0 * math.pi)
INVERSE_SQRT_TWO_PI: Final = 1.0 / SQRT_TWO_PI
_TWO_OVER_SQRT_PI: Final = 2.0 / math.sqrt(math.pi)

SERIES_DEVIATION: Final = 0.02
"""Half deviation over sqrt 2 below which the series is used: its first omitted term is then under 1e-15."""

SERIES_LOG_RATIO: Final = 1.0
"""Log-moneyness below which the series beats the difference (their rounding errors cross at k = 1)."""

MAXIMUM_DISTANCE: Final = 1000.0
"""Standard deviations beyond which a strike is "infinitely" far: the density underflows to zero long before (at 39)."""

LARGEST_NEGATIVE_ARGUMENT: Final = -37.0
"""Clipping ``h - t`` here keeps erfcx from overflowing for absurd volatilities, where the complement is used anyway."""

COMPLEMENT_ARGUMENT: Final = -1.0
"""Below this ``h - t`` the price is computed from what is missing to its maximum, which is small and exact there."""

SMALLEST_DEVIATION: Final = 1e-150
"""Stands in for zero deviation, so that 0/0 never arises; every limit is reached exactly at this size."""


class OutOfMoney(NamedTuple):
    """The out-of-the-money side of Black's formula; all fields broadcast to one shape."""

    price: FloatArray
    """Undiscounted price of the out-of-the-money option."""
    distance: FloatArray
    """``h = k / s`` >= 0, clipped at ``MAXIMUM_DISTANCE``."""
    deviation: FloatArray
    """``s = volatility * sqrt(years)``, at least ``SMALLEST_DEVIATION``."""
    weighted_density: FloatArray
    """``F * phi(d1) = K * phi(d2)``, the common factor of gamma, vega and theta."""


def log_ratio(smaller: FloatArray, larger: FloatArray) -> FloatArray:
    """Return ``ln(larger / smaller)`` >= 0 without losing digits when the two are close."""
    distance: FloatArray = np.log1p((larger - smaller) / smaller)
    return distance


def scaled_difference(distance: FloatArray, half_deviation: FloatArray, ratio: FloatArray) -> FloatArray:
    """Return ``erfcx((h - t) / sqrt 2) - erfcx((h + t) / sqrt 2)`` without cancellation.

    Args:
        distance: ``h`` in ``[0, MAXIMUM_DISTANCE]``, shape ``(...)``.
        half_deviation: ``t > 0``, broadcastable to it.
        ratio: ``k = 2 h t``, broadcastable to it.

    Returns:
        Positive values; relative error below 1e-13 within 10 standard deviations.
    """
    centre = distance * SQRT_HALF
    half = np.broadcast_to(half_deviation * SQRT_HALF, centre.shape)
    small = (half < SERIES_DEVIATION) & (ratio < SERIES_LOG_RATIO)
    if small.all():
        return _series(centre, half)
    if not small.any():
        return _plain(centre, half)
    difference = np.empty_like(centre)
    difference[small] = _series(centre[small], half[small])
    large = ~small
    difference[large] = _plain(centre[large], half[large])
    return difference


def scaled_complement(distance: FloatArray, half_deviation: FloatArray) -> FloatArray:
    """Return ``erfcx((t - h) / sqrt 2) + erfcx((t + h) / sqrt 2)``: what is missing to the maximum, for ``t > h``."""
    near = (half_deviation - distance) * SQRT_HALF
    complement: FloatArray = erfcx(near) + erfcx((half_deviation + distance) * SQRT_HALF)
    return complement


def _plain(centre: FloatArray, half: FloatArray) -> FloatArray:
    """The difference as it stands."""
    near = np.maximum(centre - half, LARGEST_NEGATIVE_ARGUMENT * SQRT_HALF)
    difference: FloatArray = erfcx(near) - erfcx(centre + half)
    return difference


def _series(centre: FloatArray, half: FloatArray) -> FloatArray:
    """The difference as an odd Taylor series; derivatives by ``E[n+1] = 2 a E[n] + 2 n E[n-1]``."""
    twice = 2.0 * centre
    value: FloatArray = erfcx(centre)
    first = twice * value - _TWO_OVER_SQRT_PI
    second = twice * first + 2.0 * value
    third = twice * second + 4.0 * first
    fourth = twice * third + 6.0 * second
    fifth = twice * fourth + 8.0 * third
    sixth = twice * fifth + 10.0 * fourth
    seventh = twice * sixth + 12.0 * fifth
    square = half * half
    tail = third * (1.0 / 6.0) + square * (fifth * (1.0 / 120.0) + square * seventh * (1.0 / 5040.0))
    difference: FloatArray = -2.0 * half * (first + square * tail)
    return difference


def out_of_money(forward: FloatArray, strike: FloatArray, deviation: FloatArray) -> OutOfMoney:
    """Evaluate the out-of-the-money side.

    Args:
        forward: index points, > 0.
        strike: index points, > 0, broadcastable with it.
        deviation: ``volatility * sqrt(years)`` >= 0, broadcastable with it.

    Returns:
        The terms; meaningless (not NaN) where an input is outside its domain, which the caller masks.
    """
    smaller = np.minimum(forward, strike)
    ratio = log_ratio(smaller, np.maximum(forward, strike))
    positive = np.maximum(deviation, SMALLEST_DEVIATION)
    half = 0.5 * positive
    distance = np.minimum(ratio / positive, MAXIMUM_DISTANCE)
    difference = scaled_difference(distance, half, ratio)
    nearest = distance - half
    weighted = smaller * np.exp(-0.5 * nearest * nearest)
    price = 0.5 * weighted * difference
    near_maximum = nearest < COMPLEMENT_ARGUMENT
    if near_maximum.any():
        price = np.where(near_maximum, smaller - 0.5 * weighted * scaled_complement(distance, half), price)
    return OutOfMoney(
        price=np.where(deviation > 0.0, price, 0.0),
        distance=distance,
        deviation=positive,
        weighted_density=weighted * INVERSE_SQRT_TWO_PI,
    )


def in_domain(
    forward: FloatArray, strike: FloatArray, years: FloatArray, rate: FloatArray, volatility: FloatArray
) -> BoolArray:
    """Return where Black's formula is defined: positive forward and strike, years and volatility >= 0, all finite."""
    # One sum finds every NaN and infinity: neither can be cancelled by adding.
    finite = np.isfinite((forward + strike) + (years + rate + volatility))
    valid: BoolArray = finite & (forward > 0.0) & (strike > 0.0) & (years >= 0.0) & (volatility >= 0.0)
    return valid
