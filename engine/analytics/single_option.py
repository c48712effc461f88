"""One ordinary option on plain floats: the same method as for arrays, without the fixed cost of array operations.

A strategy's ticket asks for one or two options, where the cost of a numpy call is all there is. What is not
ordinary here (no price, no time, below intrinsic value, above half of its maximum, no quick convergence) is left to the
arrays, which know the reasons.

Invariant: the answer is that of the array kernels up to rounding, or ``None``; never an exception because of a value.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from scipy.special import erfcx, ndtr

from engine.analytics.arrays import DAYS_PER_YEAR, PER_PERCENTAGE_POINT
from engine.analytics.normalised import INVERSE_SQRT_TWO_PI, SERIES_DEVIATION, SQRT_HALF, SQRT_TWO_PI
from engine.analytics.volatility_step import TRUSTED_STEP

_MOST_STEPS: Final = 6
_LARGEST_EXPONENT: Final = 700.0
_LOWEST: Final = 1e-100
_HIGHEST: Final = 1e100
_LARGEST_RATIO: Final = 20.0
_LARGEST_PART: Final = 0.5
_SMALLEST_PART: Final = 1e-250
_FARTHEST_CENTRE: Final = 30.0
"""``h / sqrt 2`` beyond which a price is under any that can be held."""

_HALF_ROOT_HALF: Final = 0.5 * SQRT_HALF
_ROOT_TWO_OVER_PI: Final = math.sqrt(2.0 / math.pi)
_TWO_OVER_SQRT_PI: Final = 2.0 / math.sqrt(math.pi)
_FOUR_OVER_SQRT_PI: Final = 4.0 / math.sqrt(math.pi)
_TWO_OVER_PI: Final = 2.0 / math.pi
_HALF_PI: Final = 0.5 * math.pi
_SMALLEST_GUESS: Final = 1e-9
_AT_THE_MONEY: Final = 0.01


class SingleMark(NamedTuple):
    """Volatility and Greeks of one option, in the units and the order of the array kernels."""

    volatility: float
    price: float
    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


def mark_single(
    price: float, forward: float, strike: float, years: float, rate: float, *, sign: float, last: float = math.nan
) -> SingleMark | None:
    """Return volatility and Greeks of an ordinary option, ``None`` for any other.

    Args:
        price: premium, index points.
        forward: index points.
        strike: index points.
        years: ACT/365.
        rate: continuously compounded.
        sign: +1 for a call, -1 for a put.
        last: volatility to start from; NaN for none.
    """
    volatility = volatility_of_single(price, forward, strike, years, rate, sign=sign, last=last)
    if volatility is None:
        return None
    root = math.sqrt(years)
    discount = math.exp(-rate * years)
    deviation = volatility * root
    gain = forward - strike
    d1 = math.copysign(math.log1p(abs(gain) / min(forward, strike)) / deviation, gain) + 0.5 * deviation
    density = forward * discount * INVERSE_SQRT_TWO_PI * math.exp(-0.5 * d1 * d1)
    return SingleMark(
        volatility,
        price,
        float(ndtr(sign * d1)) * (sign * discount),
        density / deviation / (forward * forward),
        (rate * price - 0.5 * density * volatility / root) / DAYS_PER_YEAR,
        density * (root * PER_PERCENTAGE_POINT),
        -years * PER_PERCENTAGE_POINT * price,
    )


def volatility_of_single(
    price: float, forward: float, strike: float, years: float, rate: float, *, sign: float, last: float = math.nan
) -> float | None:
    """Return the volatility of an ordinary option, ``None`` for any other; arguments as in :func:`mark_single`."""
    # Written so that a NaN fails: NaN compares false.
    if not (
        _LOWEST < forward < _HIGHEST
        and _LOWEST < strike < _HIGHEST
        and _LOWEST < years < _HIGHEST
        and 0.0 < price < _HIGHEST
        and abs(rate) * years < _LARGEST_EXPONENT
    ):
        return None
    gain = forward - strike
    time_value = price * math.exp(rate * years) - max(sign * gain, 0.0)
    smaller = min(forward, strike)
    part = time_value / smaller
    if not _SMALLEST_PART < part < _LARGEST_PART:
        return None
    root = math.sqrt(years)
    ratio = math.log1p(abs(gain) / smaller)
    if ratio > _LARGEST_RATIO:
        return None
    deviation = _settled(ratio, part, last * root) if last > 0.0 else None
    if deviation is None:
        deviation = _settled(ratio, part, _guess(ratio, smaller / max(forward, strike), part))
    return None if deviation is None else deviation / root


def _settled(ratio: float, part: float, deviation: float) -> float | None:
    """Step from a deviation until settled, as :mod:`engine.analytics.volatility_step` does; ``None`` if it does not."""
    half_inverse_part = 0.5 / part
    for _ in range(_MOST_STEPS):
        if not _SMALLEST_GUESS < deviation < _HIGHEST:
            return None
        centre, half = ratio * SQRT_HALF / deviation, deviation * _HALF_ROOT_HALF
        near, far = centre - half, centre + half
        if not -_FARTHEST_CENTRE * SQRT_HALF < near < _FARTHEST_CENTRE:
            return None
        difference = _series(centre, half) if half < SERIES_DEVIATION else float(erfcx(near)) - float(erfcx(far))
        value = difference * half_inverse_part
        if not value > 0.0:
            return None
        square = near * near
        slope = deviation * _ROOT_TWO_OVER_PI / difference
        newton = (square - math.log(value)) / slope
        alpha = 2.0 * near * far
        second = alpha + 1.0 - slope
        change = slope * second + 4.0 * square + 2.0 * ratio
        third = second * second - change
        fourth = second * third + (4.0 * alpha - slope * third) - 2.0 * second * change
        first_part = second * newton
        squared = newton * newton
        second_part = third * squared
        top = 24.0 + 24.0 * first_part + 4.0 * second_part
        bottom = (
            24.0 + 36.0 * first_part + 6.0 * first_part * first_part + 8.0 * second_part + fourth * squared * newton
        )
        if bottom == 0.0:
            return None
        change = newton * top / bottom
        if not abs(change) < _FARTHEST_CENTRE:
            return None
        deviation *= math.exp(change)
        if abs(newton) <= TRUSTED_STEP:
            return deviation
    return None


def _series(centre: float, half: float) -> float:
    """The odd series of :func:`engine.analytics.normalised.erfcx_difference_series`."""
    doubled = centre + centre
    first = float(erfcx(centre)) * doubled - _TWO_OVER_SQRT_PI
    squared = doubled * doubled
    third = (squared + 6.0) * first + _FOUR_OVER_SQRT_PI
    fifth = (squared + 14.0) * third - 24.0 * first
    seventh = (squared + 22.0) * fifth - 80.0 * third
    step = half * half
    return -2.0 * half * (first + step * (third + step * (fifth + step * seventh / 42.0) / 20.0) / 6.0)


def _guess(ratio: float, rho: float, part: float) -> float:
    """The guess of :func:`engine.analytics.volatility_guess.guess_deviation`; 0 where it has none."""
    bound = SQRT_TWO_PI * part * math.sqrt(rho)
    if ratio < _AT_THE_MONEY * bound:
        return bound
    gap = 1.0 - rho
    alpha = part * rho
    inner = math.exp(-_TWO_OVER_PI * ratio)
    a, b = rho / inner, inner / rho
    total = 2.0 * alpha + gap
    square = (a - b) ** 2
    linear = 4.0 * (inner + 1.0 / inner) - 2.0 / rho * (a + b) * (rho * rho + 1.0 - total * total)
    level = 16.0 * part * (alpha + gap) * (1.0 - part) * (1.0 + alpha)
    denominator = linear + math.sqrt(max(linear * linear + 4.0 * square * level, 0.0))
    if not (denominator > 0.0 and level > 0.0):
        return bound
    gamma = -_HALF_PI * math.log(2.0 * level / denominator)
    turning = 0.5 * (math.sqrt(max(1.0 - inner * inner, 0.0)) - gap)
    minus = math.sqrt(max(gamma - ratio, 0.0))
    return max(math.sqrt(max(gamma + ratio, 0.0)) + math.copysign(minus, alpha - turning), bound, _SMALLEST_GUESS)
