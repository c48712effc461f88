"""What tests of the kernels need and the desk does not: closed forms to compare with, and empty inputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.analytics.arrays import FloatArray
from engine.analytics.black import forward_from_spot, price
from engine.analytics.chain_extras import SideActivity
from engine.analytics.legs import Legs, make_legs
from engine.analytics.svi import SviParameters


def price_on_spot(
    spot: Any,
    strike: Any,
    years: float,
    rate: float,
    volatility: float,
    *,
    is_call: Any,
    dividend_yield: float = 0.0,
) -> FloatArray:
    """Black-Scholes-Merton: Black-76 on the forward that spot, rate and dividend yield imply."""
    return price(forward_from_spot(spot, years, rate, dividend_yield), strike, years, rate, volatility, is_call=is_call)


def no_activity(strikes: int) -> SideActivity:
    """Nothing is known beyond the quotes."""
    unknown = np.full(strikes, math.nan)
    return SideActivity(unknown, unknown, unknown, unknown)


def no_legs() -> Legs:
    """A strategy without legs: worth zero, not unknown."""
    return make_legs(np.empty(0, np.uint8), np.empty(0))


def from_raw(parameters: SviParameters) -> FloatArray:
    """Raw parameters of a curve as a row of the package's coordinates, shape ``(5,)``."""
    a, b, rho, m, sigma = parameters
    return np.array([a + b * sigma, b * (1.0 - rho), b * (1.0 + rho), m, sigma])


def least_variance(rows: FloatArray) -> FloatArray:
    """The smallest total variance each curve takes anywhere, shape ``rows.shape[:-1]``."""
    level, left, right, width = rows[..., 0], rows[..., 1], rows[..., 2], rows[..., 4]
    gap = np.sqrt(left) - np.sqrt(right)
    value: FloatArray = level - 0.5 * width * gap * gap
    return value
