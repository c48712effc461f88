"""The made-up market's volatility surface: a put-skewed smile in standardised distance, with a term structure.

The shape was fitted to a measured chain (four days to expiry): volatility relative to the money against
``x = ln(K/F) / (sigma * sqrt(T))``. Longer expiries are flatter in the wings and more tilted.
"""

from __future__ import annotations

import numpy as np

from engine.practice.noise import FloatArray

_WING, _TILT, _CENTRE, _ROUNDING = 3.07, -0.008, 0.494, 10.73
_LONG_YEARS = 0.10
_LONG_TILT, _LONG_WING = -0.04, -0.35
_TERM_RISE, _TERM_YEARS = 0.25, 0.12
SHORTEST_YEARS = 900.0 / (365.0 * 86_400.0)
"""Distances from the money are not measured in shorter times than this: they would explode at expiry."""
_WIDEST = 25.0
_RATIO_FLOOR = 0.4


def term_factor(years: FloatArray) -> FloatArray:
    """Return at-the-money volatility by time to expiry, relative to the shortest (years)."""
    factor: FloatArray = 1.0 + _TERM_RISE * (1.0 - np.exp(-np.maximum(years, 0.0) / _TERM_YEARS))
    return factor


def smile_volatility(
    forward: FloatArray, strike: FloatArray, years: FloatArray, base: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return (volatility, standardised distance) per option; ``base`` is the shortest at-the-money volatility."""
    at_the_money = base * term_factor(years)
    x = np.log(strike / forward) / (at_the_money * np.sqrt(np.maximum(years, SHORTEST_YEARS)))
    np.clip(x, -_WIDEST, _WIDEST, out=x)
    length = np.minimum(years / _LONG_YEARS, 1.0)
    curve = np.sqrt((x - _CENTRE) ** 2 + _ROUNDING**2) - np.hypot(_CENTRE, _ROUNDING)
    squared = 1.0 + _WING * (1.0 + _LONG_WING * length) * ((_TILT + _LONG_TILT * length) * x + curve)
    return at_the_money * np.sqrt(np.maximum(squared, _RATIO_FLOOR)), x
