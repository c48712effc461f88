"""Black-76 prices on the expiry's forward, and Black-Scholes-Merton prices through that forward.

Invariant: inside the domain (finite inputs, forward > 0, strike > 0, years >= 0, volatility >= 0) the price lies
between its discounted intrinsic value and its discounted maximum, also in the limits of no time and no volatility;
outside the domain it is NaN. Nothing is clamped silently and no warning leaves this module.

Reference: Black, "The pricing of commodity contracts" (1976).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import FloatArray, as_floats, common_shape
from engine.analytics.black_evaluation import BlackInputs, in_blocks
from engine.analytics.normalised import in_domain, out_of_money


def price(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    *,
    is_call: ArrayLike,
    out: FloatArray | None = None,
) -> FloatArray:
    """Return Black-76 prices ``exp(-r T) * (F N(d1) - K N(d2))`` of calls and the mirror image for puts.

    Args:
        forward: forward of the expiry, index points.
        strike: index points.
        years: time to the expiry instant, ACT/365.
        rate: continuously compounded, 0.065 = 6.5 %; may be negative.
        volatility: annual, 0.14 = 14 %.
        is_call: true for calls.
        out: array of the result's shape to write to and return.

    Returns:
        Index points, in the shape the inputs broadcast to (``()`` for scalars). Relative error of the time value
        below 1e-12 within 10 standard deviations. NaN outside the domain. At zero years or volatility: the
        discounted intrinsic value.
    """
    (value,) = in_blocks(_price, (forward, strike, years, rate, volatility), is_call, ("price",), _single(out))
    return value


def _price(terms: BlackInputs) -> tuple[FloatArray]:
    f, k, t, r, v = terms.forward, terms.strike, terms.years, terms.rate, terms.volatility
    side = out_of_money(f, k, v * np.sqrt(t))
    value = side.price + np.maximum(terms.sign * side.gain, 0.0)
    value *= np.exp(-r * t)
    valid = in_domain(f, k, t, r, v)
    if np.count_nonzero(valid) != valid.size:
        value = np.where(valid, value, np.nan)
    return (value,)


def _single(out: FloatArray | None) -> tuple[FloatArray] | None:
    return None if out is None else (out,)


def forward_from_spot(
    spot: ArrayLike, years: ArrayLike, rate: ArrayLike, dividend_yield: ArrayLike = 0.0
) -> FloatArray:
    """Return the forward ``S * exp((r - q) T)`` that carry alone implies.

    Args:
        spot: index points, > 0.
        years: ACT/365, >= 0.
        rate: continuously compounded.
        dividend_yield: continuously compounded.

    Returns:
        Index points, broadcast shape; NaN outside the domain.
    """
    shape = common_shape(spot, years, rate, dividend_yield)
    s, t, r, q = (as_floats(values) for values in (spot, years, rate, dividend_yield))
    with np.errstate(all="ignore"):
        forward = s * np.exp((r - q) * t)
        valid = (s > 0.0) & (t >= 0.0) & np.isfinite(forward)
    return np.where(valid, forward, np.nan).reshape(shape)
