"""An explicit first guess of the total deviation of an option, good to a few per cent nearly everywhere.

Invariant: elementwise; what is no option gives NaN or nonsense, never an exception, and the caller sorts it out.

Reference: Stefanica and Radoičić, "An explicit implied volatility formula" (2017).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from engine.analytics.arrays import FloatArray, constant
from engine.analytics.normalised import SQRT_TWO_PI

_SMALLEST: Final = constant(1e-9)
_AT_THE_MONEY: Final = constant(0.01)
"""Log-moneyness as a part of the bound below which an option counts as at the money."""

_ZERO: Final = constant(0.0)
_HALF: Final = constant(0.5)
_ONE: Final = constant(1.0)
_TWO: Final = constant(2.0)
_FOUR: Final = constant(4.0)
_SIXTEEN: Final = constant(16.0)
_MINUS_TWO_OVER_PI: Final = constant(-2.0 / math.pi)
_MINUS_HALF_PI: Final = constant(-0.5 * math.pi)
_SQRT_TWO_PI: Final = constant(SQRT_TWO_PI)


def guess_deviation(ratio: FloatArray, rho: FloatArray, part: FloatArray, missing: FloatArray) -> FloatArray:
    """Return the guess, and never less than the at-the-money lower bound ``sqrt(2 pi)`` times the normalised price.

    Args:
        ratio: ``k = ln(max(F, K) / min(F, K))``, shape ``(n,)``.
        rho: ``min(F, K) / max(F, K)``.
        part: out-of-the-money price as a part of its maximum ``min(F, K)``.
        missing: ``1 - part``, exact.

    With ``alpha`` the price as a part of ``max(F, K)`` the formula inverts Pólya's approximation of the normal
    distribution; very near the money the bound is better.
    """
    gap = _ONE - rho
    alpha = part * rho
    inner = np.exp(ratio * _MINUS_TWO_OVER_PI)
    a = rho / inner
    b = inner / rho
    total = _TWO * alpha + gap
    square = a - b
    square *= square
    linear = _FOUR * (inner + _ONE / inner) - (_TWO / rho) * (a + b) * (rho * rho + _ONE - total * total)
    level = _SIXTEEN * part * (alpha + gap) * missing * (_ONE + alpha)
    root = np.sqrt(linear * linear + _FOUR * square * level)
    gamma = np.log(_TWO * level / (linear + root)) * _MINUS_HALF_PI
    turning = _HALF * (np.sqrt(np.maximum(_ONE - inner * inner, _ZERO)) - gap)
    plus = np.sqrt(np.maximum(gamma + ratio, _ZERO))
    minus = np.sqrt(np.maximum(gamma - ratio, _ZERO))
    np.copysign(minus, alpha - turning, out=minus)
    start = np.maximum(plus + minus, _SMALLEST)
    bound = _SQRT_TWO_PI * part * np.sqrt(rho)
    guess: FloatArray = np.fmax(start, bound)
    near = ratio < _AT_THE_MONEY * bound
    if np.count_nonzero(near):
        np.copyto(guess, bound, where=near)
    return guess
