"""The raw SVI curve: total implied variance of one expiry as a hyperbola in log-moneyness.

    w(k) = a + b * (rho * (k - m) + sqrt((k - m)**2 + sigma**2)),   k = ln(K / F),   w = volatility**2 * years

Inside this package the same curve is written with coordinates whose bounds are plain intervals and which do not cancel
when ``sigma`` is large:

    w(k) = level + left * (root - sigma - x) / 2 + right * (root - sigma + x) / 2,
    x = k - m,   root = sqrt(x**2 + sigma**2)

``level`` is the total variance at ``k = m``; ``left`` and ``right`` are the (positive) slopes of the two wings.
A row of such coordinates is an array ``(level, left, right, centre, width)`` with ``centre = m`` and ``width = sigma``.

Invariant: nothing here raises because of a value; a curve without numbers gives NaN.

References: Gatheral, "A parsimonious arbitrage-free implied volatility parameterization" (2004); Gatheral and Jacquier,
"Arbitrage-free SVI volatility surfaces" (2014); Lee, "The moment formula for implied volatility at extreme strikes"
(2004).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import FloatArray, as_floats

LEVEL, LEFT, RIGHT, CENTRE, WIDTH = range(5)
"""Places in a row of coordinates."""

COORDINATES: Final = 5

STEEPEST_WING: Final = 2.0
"""Lee's bound: total variance may not grow faster than twice the log-moneyness."""


class SviParameters(NamedTuple):
    """The five raw parameters; NaN when there is no curve."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float


NO_PARAMETERS: Final = SviParameters(math.nan, math.nan, math.nan, math.nan, math.nan)


def to_raw(row: FloatArray) -> SviParameters:
    """Write one row of coordinates, shape ``(5,)``, as raw parameters."""
    level, left, right, centre, width = (float(value) for value in row)
    slope = 0.5 * (left + right)
    tilt = 0.5 * (right - left)
    return SviParameters(level - slope * width, slope, 0.0 if slope == 0.0 else tilt / slope, centre, width)


def total_variance(rows: FloatArray, log_moneyness: ArrayLike) -> FloatArray:
    """Evaluate curves.

    Args:
        rows: coordinates, shape ``(..., 5)``.
        log_moneyness: ``ln(K / F)``, broadcastable with ``rows[..., 0]``.

    Returns:
        ``volatility**2 * years``, broadcast shape; NaN where a curve or a strike is none.
    """
    level, left, right, centre, width = (rows[..., place] for place in range(COORDINATES))
    x = as_floats(log_moneyness) - centre
    with np.errstate(all="ignore"):
        lift = np.sqrt(x * x + width * width) - width
        value: FloatArray = level + 0.5 * ((right - left) * x + (right + left) * lift)
    return value


def slope_and_curvature(row: FloatArray, log_moneyness: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the first and second derivative of total variance by log-moneyness, for one row, shape ``(n,)``."""
    _, left, right, centre, width = (float(value) for value in row)
    x = as_floats(log_moneyness) - centre
    with np.errstate(all="ignore"):
        root = np.sqrt(x * x + width * width)
        slope = 0.5 * ((right - left) + (right + left) * x / root)
        curvature = 0.5 * (right + left) * (width * width) / (root * root * root)
    return slope, curvature


def durrleman(row: FloatArray, log_moneyness: ArrayLike) -> FloatArray:
    """Return Durrleman's ``g(k)``: the risk-neutral density is ``g`` times something positive.

    A negative value is a butterfly that pays and costs less than nothing.

    Args:
        row: coordinates, shape ``(5,)``.
        log_moneyness: shape ``(n,)``.

    Returns:
        ``(1 - k w' / 2 w)**2 - w'**2 / 4 * (1 / w + 1 / 4) + w'' / 2``, shape ``(n,)``; minus infinity where the
        curve is not positive, NaN without a curve.
    """
    k = as_floats(log_moneyness)
    w = total_variance(row, k)
    slope, curvature = slope_and_curvature(row, k)
    with np.errstate(all="ignore"):
        bracket = 1.0 - 0.5 * k * slope / w
        value = bracket * bracket - 0.25 * slope * slope * (1.0 / w + 0.25) + 0.5 * curvature
    return np.where(w <= 0.0, -np.inf, value)
