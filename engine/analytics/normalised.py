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

from engine.analytics.arrays import BoolArray, FloatArray, constant

SQRT_HALF: Final = math.sqrt(0.5)
SQRT_HALF_PI: Final = math.sqrt(0.5 * math.pi)
SQRT_TWO_PI: Final = math.sqrt(2.0 * math.pi)
INVERSE_SQRT_TWO_PI: Final = 1.0 / SQRT_TWO_PI
_TWO_OVER_SQRT_PI: Final = constant(2.0 / math.sqrt(math.pi))
_FOUR_OVER_SQRT_PI: Final = constant(4.0 / math.sqrt(math.pi))
_MINUS_TWO: Final = constant(-2.0)
_SIX: Final = constant(6.0)
_FOURTEEN: Final = constant(14.0)
_TWENTY_TWO: Final = constant(22.0)
_TWENTY_FOUR: Final = constant(24.0)
_EIGHTY: Final = constant(80.0)
_OVER_6: Final = constant(1.0 / 6.0)
_OVER_20: Final = constant(1.0 / 20.0)
_OVER_42: Final = constant(1.0 / 42.0)

SERIES_SCRATCH: Final = 5
"""Rows of scratch memory that :func:`erfcx_difference_series` needs."""

SERIES_DEVIATION: Final = 0.02
"""Half deviation over sqrt 2 below which the series is used: its first omitted term is then under 1e-15."""

MAXIMUM_DISTANCE: Final = 1000.0
"""Standard deviations beyond which a strike is "infinitely" far: the density underflows to zero long before (at 39)."""

LARGEST_NEGATIVE_ARGUMENT: Final = -37.0
"""Clipping ``h - t`` here keeps erfcx from overflowing for absurd volatilities, where the complement is used anyway."""

COMPLEMENT_ARGUMENT: Final = -1.0
"""Below this ``h - t`` the price is computed from what is missing to its maximum, which is small and exact there."""

SMALLEST_DEVIATION: Final = 1e-150
"""Stands in for zero deviation, so that 0/0 never arises; every limit is reached exactly at this size."""

_ZERO: Final = constant(0.0)
_HALF: Final = constant(0.5)
_MINUS_HALF: Final = constant(-0.5)
_SQRT_HALF: Final = constant(SQRT_HALF)
_INVERSE_SQRT_TWO_PI: Final = constant(INVERSE_SQRT_TWO_PI)
_MAXIMUM_DISTANCE: Final = constant(MAXIMUM_DISTANCE)
_SMALLEST_DEVIATION: Final = constant(SMALLEST_DEVIATION)
_COMPLEMENT_ARGUMENT: Final = constant(COMPLEMENT_ARGUMENT)
_LARGEST_NEGATIVE_ARGUMENT: Final = constant(LARGEST_NEGATIVE_ARGUMENT * SQRT_HALF)


class OutOfMoney(NamedTuple):
    """The out-of-the-money side of Black's formula; columns of one length."""

    price: FloatArray
    """Undiscounted price of the out-of-the-money option."""
    gain: FloatArray
    """``F - K``; without dimensions when both are."""
    distance: FloatArray
    """``h = k / s`` >= 0, clipped at ``MAXIMUM_DISTANCE``."""
    deviation: FloatArray
    """``s = volatility * sqrt(years)``, at least ``SMALLEST_DEVIATION``."""
    weighted_density: FloatArray
    """``F * phi(d1) = K * phi(d2)``, the common factor of gamma, vega and theta."""


def log_ratio(gain: FloatArray, smaller: FloatArray) -> FloatArray:
    """Return ``ln(M / m)`` >= 0 from ``F - K`` and ``min(F, K)`` without losing digits when the two are close."""
    ratio = np.abs(gain)
    ratio /= smaller
    distance: FloatArray = np.log1p(ratio)
    return distance


def erfcx_difference(centre: FloatArray, half: FloatArray) -> FloatArray:
    """Return ``erfcx(centre - half) - erfcx(centre + half)`` without cancellation.

    Args:
        centre: ``h / sqrt 2`` in ``[0, MAXIMUM_DISTANCE]``, shape ``(n,)``.
        half: ``t / sqrt 2 > 0``, shape ``(n,)``.

    Returns:
        Positive values; relative error below 1e-13 within 10 standard deviations.
    """
    if np.fmin.reduce(half) >= SERIES_DEVIATION:
        return _plain(centre, half)
    small = half < SERIES_DEVIATION
    if np.count_nonzero(small) == small.size:
        return _series(centre, half)
    difference = _plain(centre, half)
    difference[small] = _series(centre[small], half[small])
    return difference


def _plain(centre: FloatArray, half: FloatArray) -> FloatArray:
    """The difference as it stands."""
    near = np.maximum(centre - half, _LARGEST_NEGATIVE_ARGUMENT)
    difference: FloatArray = erfcx(near)
    difference -= erfcx(centre + half)
    return difference


def _series(centre: FloatArray, half: FloatArray) -> FloatArray:
    """The difference summed as a series."""
    difference = np.empty_like(centre)
    erfcx_difference_series(centre, half, difference, np.empty((SERIES_SCRATCH, centre.size)))
    return difference


def _complement(distance: FloatArray, half_deviation: FloatArray) -> FloatArray:
    """Return ``erfcx((t - h) / sqrt 2) + erfcx((t + h) / sqrt 2)``: what is missing to the maximum, for ``t > h``."""
    complement: FloatArray = erfcx((half_deviation - distance) * SQRT_HALF)
    complement += erfcx((half_deviation + distance) * SQRT_HALF)
    return complement


def erfcx_difference_series(centre: FloatArray, half: FloatArray, out: FloatArray, scratch: FloatArray) -> None:
    """Write ``erfcx(centre - half) - erfcx(centre + half)`` as an odd Taylor series in ``half``.

    The odd derivatives follow from the first by ``E[n+2] = (4 a^2 + 4 n + 2) E[n] - 4 n (n - 1) E[n-2]``. What their
    cancellation far from the money costs is small: of the order of ``(2 centre half)^2`` rounding errors.

    Args:
        centre: >= 0, shape ``(n,)``.
        half: > 0 and below ``SERIES_DEVIATION``, shape ``(n,)``.
        out: shape ``(n,)``, apart from every other argument.
        scratch: shape ``(SERIES_SCRATCH, n)``.
    """
    first, squared, third, fifth, work = scratch
    erfcx(centre, first)
    np.add(centre, centre, out=squared)
    np.multiply(first, squared, out=first)
    np.subtract(first, _TWO_OVER_SQRT_PI, out=first)
    np.multiply(squared, squared, out=squared)
    np.add(squared, _SIX, out=third)
    np.multiply(third, first, out=third)
    np.add(third, _FOUR_OVER_SQRT_PI, out=third)
    np.add(squared, _FOURTEEN, out=fifth)
    np.multiply(fifth, third, out=fifth)
    np.multiply(first, _TWENTY_FOUR, out=work)
    np.subtract(fifth, work, out=fifth)
    np.add(squared, _TWENTY_TWO, out=squared)
    np.multiply(squared, fifth, out=squared)
    np.multiply(third, _EIGHTY, out=work)
    seventh = np.subtract(squared, work, out=squared)

    np.multiply(half, half, out=work)
    np.multiply(seventh, _OVER_42, out=out)
    np.multiply(out, work, out=out)
    np.add(out, fifth, out=out)
    np.multiply(out, _OVER_20, out=out)
    np.multiply(out, work, out=out)
    np.add(out, third, out=out)
    np.multiply(out, _OVER_6, out=out)
    np.multiply(out, work, out=out)
    np.add(out, first, out=out)
    np.multiply(out, half, out=out)
    np.multiply(out, _MINUS_TWO, out=out)


def out_of_money(forward: FloatArray, strike: FloatArray, deviation: FloatArray) -> OutOfMoney:
    """Evaluate the out-of-the-money side. The caller silences floating-point warnings.

    Args:
        forward: index points, > 0; a column or without dimensions.
        strike: index points, > 0; a column or without dimensions.
        deviation: ``volatility * sqrt(years)`` >= 0, a column of shape ``(n,)``.

    Returns:
        The terms; meaningless (not NaN) where an input is outside its domain, which the caller masks.
    """
    gain = np.asarray(forward - strike)
    smaller = np.minimum(forward, strike)
    ratio = log_ratio(gain, smaller)
    positive = np.maximum(deviation, _SMALLEST_DEVIATION)
    half = positive * _HALF
    distance = np.minimum(ratio / positive, _MAXIMUM_DISTANCE)
    price = erfcx_difference(distance * _SQRT_HALF, half * _SQRT_HALF)
    nearest = distance - half
    weighted = np.multiply(nearest, nearest)
    weighted *= _MINUS_HALF
    np.exp(weighted, out=weighted)
    weighted *= smaller
    price *= weighted
    price *= _HALF
    near_maximum = nearest < _COMPLEMENT_ARGUMENT
    if np.count_nonzero(near_maximum):
        missing = 0.5 * weighted * _complement(distance, half)
        price = np.where(near_maximum, smaller - missing, price)
    # Without deviation, at the money, the stand-in for zero leaves a trace.
    price *= deviation > _ZERO
    weighted *= _INVERSE_SQRT_TWO_PI
    return OutOfMoney(price, gain, distance, positive, weighted)


def in_domain(
    forward: FloatArray, strike: FloatArray, years: FloatArray, rate: FloatArray, volatility: FloatArray
) -> BoolArray:
    """Return where Black's formula is defined: positive forward and strike, years and volatility >= 0, all finite."""
    # One sum finds every NaN and infinity: neither can be cancelled by adding.
    finite = np.isfinite((forward + strike) + (years + rate + volatility))
    valid: BoolArray = finite & (forward > 0.0) & (strike > 0.0) & (years >= 0.0) & (volatility >= 0.0)
    return valid
