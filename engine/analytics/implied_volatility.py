"""Implied volatility of arrays of Black-76 prices: robust from one minute to ten years, from 0.5 % to 500 %.

Method: undiscount, subtract the intrinsic value (before any division, so that in-the-money options keep every digit
their price carries), start from an explicit guess, then take fourth-order Householder steps on the logarithm of the
out-of-the-money price. Where the price is above half of its maximum the logarithm of what is *missing* to the
maximum is solved instead, because the price itself is flat there. Two or three steps are enough nearly everywhere;
elements that still move take more, on their own.

Invariant: one answer per element. Either a volatility and ``OK``, or NaN and the reason; never zero for "failed", never
an exception because of a value, never a bound returned as if it were a solution.

References: Stefanica and Radoičić (2017) for the guess; Jäckel, "Let's be rational" (2015) for the idea of normalised
out-of-the-money prices.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import BoolArray, CodeArray, FloatArray, as_column, as_flags, common_shape
from engine.analytics.normalised import (
    MAXIMUM_DISTANCE,
    SQRT_HALF_PI,
    SQRT_TWO_PI,
    log_ratio,
    scaled_complement,
    scaled_difference,
)

_LOG_SQRT_TWO_PI: Final = math.log(SQRT_TWO_PI)
_USUAL_STEPS: Final = 3
_MORE_STEPS: Final = 12
"""Bound on the further steps of elements that have not settled after the usual ones."""

_SETTLED: Final = 1e-5
"""Relative size of the last step below which the next one, of fourth order, would be under float64 resolution."""

_SMALLEST_START: Final = 1e-9


class IvReason(IntEnum):
    """Why there is a volatility or none; stored as one byte per option."""

    OK = 0
    NO_PRICE = 1
    """No price was given (NaN or zero)."""
    BELOW_INTRINSIC = 2
    """The price is at or below the discounted intrinsic value: it holds no time value."""
    ABOVE_MAXIMUM = 3
    """The price is at or above the most an option can cost (discounted forward for calls, strike for puts)."""
    NO_TIME = 4
    """The expiry instant has been reached or passed."""
    BAD_INPUT = 5
    """Strike, forward, time, rate or price is impossible (negative, infinite or not a number)."""
    STALE = 6
    """There is a price, but too old to be used. Set by callers, who know ages; never by the solver."""
    NO_FORWARD = 7
    """No forward could be found for the expiry. Set by callers, who look for it; never by the solver."""
    NOT_SOLVED = 8
    """The solver did not settle. Known to happen only for prices below 1e-300; reported rather than guessed."""


class ImpliedVolatility(NamedTuple):
    """Volatilities and, element by element, why one is missing."""

    volatility: FloatArray
    """Annual, 0.14 = 14 %; NaN where ``reason`` is not ``OK``."""
    reason: CodeArray
    """Members of :class:`IvReason`."""


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    *,
    is_call: ArrayLike,
) -> ImpliedVolatility:
    """Return the volatility at which Black-76 gives each price.

    Args:
        price: option premium, index points; NaN or 0 means "no price".
        forward: forward of the expiry, index points.
        strike: index points.
        years: ACT/365 to the expiry instant.
        rate: continuously compounded, 0.065 = 6.5 %.
        is_call: true for calls.

    Returns:
        Volatility and reason, in the shape the inputs broadcast to. Relative error at most 1e-12 wherever the price
        carries the information, that is where ``price / (volatility * vega)`` is below 1e4; beyond that, what
        the rounding of the price itself leaves.
    """
    shape = common_shape(price, forward, strike, years, rate, is_call)
    flat = math.prod(shape)
    p, f, k, t, r = (as_column(values, shape) for values in (price, forward, strike, years, rate))
    call = np.broadcast_to(as_flags(is_call), shape or (1,)).reshape(flat)
    volatility = np.full(flat, np.nan)
    with np.errstate(all="ignore"):
        undiscounted = p * np.exp(r * t)
        gain = f - k
        time_value = undiscounted - np.maximum(np.where(call, gain, -gain), 0.0)
        missing = np.minimum(f, k) - time_value
        terms_known = np.isfinite(f + k + t + r) & (f > 0.0) & (k > 0.0)
        reason = _reasons(p, t, time_value, missing, terms_known=terms_known)
        solvable = np.flatnonzero(reason == IvReason.OK)
        if solvable.size:
            if solvable.size == flat:
                deviation, settled = _solve(f, k, time_value, missing)
                volatility = deviation / np.sqrt(t)
            else:
                deviation, settled = _solve(f[solvable], k[solvable], time_value[solvable], missing[solvable])
                volatility[solvable] = deviation / np.sqrt(t[solvable])
            if not settled.all():
                unsolved = solvable[~settled]
                volatility[unsolved] = np.nan
                reason[unsolved] = IvReason.NOT_SOLVED
    return ImpliedVolatility(volatility.reshape(shape), reason.reshape(shape))


def _reasons(
    p: FloatArray, t: FloatArray, time_value: FloatArray, missing: FloatArray, *, terms_known: BoolArray
) -> CodeArray:
    """Sort the elements; the later assignment is the more fundamental reason."""
    reason = np.full(p.shape, IvReason.OK, dtype=np.uint8)
    # Written so that a NaN fails: NaN compares false.
    solvable = terms_known & (t > 0.0) & (p > 0.0) & (time_value > 0.0) & (missing > 0.0) & np.isfinite(p)
    if solvable.all():
        return reason
    reason[~(missing > 0.0)] = IvReason.ABOVE_MAXIMUM
    reason[~(time_value > 0.0)] = IvReason.BELOW_INTRINSIC
    reason[np.isnan(p) | (p == 0.0)] = IvReason.NO_PRICE
    reason[t <= 0.0] = IvReason.NO_TIME
    reason[~terms_known | (p < 0.0) | np.isinf(p)] = IvReason.BAD_INPUT
    return reason


def _solve(f: FloatArray, k: FloatArray, time_value: FloatArray, missing: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return total deviations ``volatility * sqrt(years)`` and which of them settled. One dimension, valid inputs."""
    smaller = np.minimum(f, k)
    larger = np.maximum(f, k)
    ratio = log_ratio(smaller, larger)
    scale = 1.0 / np.sqrt(smaller * larger)
    upper = missing < time_value
    target = np.log(np.where(upper, missing, time_value) * scale)
    deviation = _guess(ratio, smaller, larger, time_value, missing)
    settled: BoolArray = np.zeros(ratio.shape, dtype=np.bool_)
    for _ in range(_USUAL_STEPS):
        step = _step(ratio, deviation, target, upper)
        deviation = deviation + step
        settled = np.abs(step) <= _SETTLED * deviation
        if settled.all():
            return deviation, settled
    left = np.flatnonzero(~settled)
    for _ in range(_MORE_STEPS):
        step = _step(ratio[left], deviation[left], target[left], upper[left])
        deviation[left] += step
        done = np.abs(step) <= _SETTLED * deviation[left]
        settled[left[done]] = True
        left = left[~done]
        if not left.size:
            break
    return deviation, settled


def _guess(
    ratio: FloatArray,
    smaller: FloatArray,
    larger: FloatArray,
    time_value: FloatArray,
    missing: FloatArray,
) -> FloatArray:
    """Return the explicit approximation of Stefanica and Radoičić, and never less than the at-the-money lower bound.

    With ``rho = m / M`` and ``alpha`` the price as a part of ``M`` it inverts Pólya's approximation of the normal
    distribution; good to a few per cent except very near the money, where ``sqrt(2 pi) * price`` is better.
    """
    rho = smaller / larger
    gap = (larger - smaller) / larger
    alpha = time_value / larger
    room = missing / larger
    inner = np.exp((-2.0 / math.pi) * ratio)
    a = rho / inner
    b = inner / rho
    sum_part = 2.0 * alpha + gap
    square = (a - b) ** 2
    linear = 4.0 * (inner + 1.0 / inner) - 2.0 / rho * (a + b) * (rho * rho + 1.0 - sum_part * sum_part)
    constant = 16.0 * alpha * (alpha + gap) * room * (1.0 + alpha) / (rho * rho)
    gamma = (-0.5 * math.pi) * np.log(2.0 * constant / (linear + np.sqrt(linear * linear + 4.0 * square * constant)))
    turning = 0.5 * (rho - 1.0 + np.sqrt(np.maximum(1.0 - inner * inner, 0.0)))
    plus = np.sqrt(np.maximum(gamma + ratio, 0.0))
    minus = np.sqrt(np.maximum(gamma - ratio, 0.0))
    start = np.maximum(plus + np.where(alpha <= turning, -minus, minus), _SMALLEST_START)
    bound = SQRT_TWO_PI * time_value / np.sqrt(smaller * larger)
    guess: FloatArray = np.where(ratio < 0.01 * bound, bound, np.fmax(start, bound))
    return guess


def _step(ratio: FloatArray, deviation: FloatArray, target: FloatArray, upper: BoolArray) -> FloatArray:
    """Return one Householder step of fourth order towards ``log(normalised value) = target``.

    ``quotient`` is the value divided by its derivative (negative for the part missing to the maximum, which falls
    with volatility); every higher derivative follows from it in closed form.
    """
    distance = ratio / deviation
    half = 0.5 * deviation
    near = np.minimum(distance, MAXIMUM_DISTANCE)
    size = scaled_difference(near, half, ratio)
    if upper.any():
        size = np.where(upper, -scaled_complement(near, half), size)
    quotient = SQRT_HALF_PI * size
    square = distance * distance
    error = np.log(np.abs(quotient)) - 0.5 * (square + half * half) - _LOG_SQRT_TWO_PI - target
    inverse = 1.0 / quotient
    second = square / deviation - 0.5 * half
    third = second * second - 3.0 * square / (deviation * deviation) - 0.25
    newton = -error * quotient
    h2 = second - inverse
    h3 = third - 3.0 * second * inverse + 2.0 * inverse * inverse
    step = newton * (1.0 + 0.5 * h2 * newton) / (1.0 + newton * (h2 + h3 * newton * (1.0 / 6.0)))
    bounded: FloatArray = np.minimum(np.maximum(step, -0.5 * deviation), deviation)
    return bounded
