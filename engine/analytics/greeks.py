"""Price and first-order Greeks in one pass, in the units the desk shows.

Units (index points of premium throughout):

* ``delta``, ``gamma``: per index point of the *expiry's forward*; the deltas of call and put differ by ``exp(-r T)``.
* ``theta``: per calendar day, forward and volatility held.
* ``vega``, ``rho``: per one percentage point (0.01) of volatility and of rate; rho holds the forward, so it is the
  discounting effect alone.

:func:`spot_greeks` gives the Black-Scholes-Merton set instead: delta and gamma per point of *spot*, theta and rho with
the *spot* held. The two sets answer different questions and are never mixed.

Invariant: every field is NaN outside the domain of :mod:`engine.analytics.black`. In the limit of no time or no
volatility the values are the limits; where none exists (gamma and theta exactly at the money) they are NaN, never
infinite.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from engine.analytics.arrays import (
    DAYS_PER_YEAR,
    PER_PERCENTAGE_POINT,
    BoolArray,
    FloatArray,
    as_flags,
    as_floats,
    common_shape,
)
from engine.analytics.black import forward_from_spot
from engine.analytics.normalised import OutOfMoney, in_domain, out_of_money


class Greeks(NamedTuple):
    """Price and Greeks, arrays of one shape; units in the module's description."""

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray
    rho: FloatArray


class _Terms(NamedTuple):
    """What both sets of Greeks are made of; one evaluation of Black's formula."""

    side: OutOfMoney
    discount: FloatArray
    price: FloatArray
    delta: FloatArray
    """With respect to the forward."""
    decay: FloatArray
    """``dP/dT`` at constant forward and discount factor: the pure loss of time value per year, >= 0."""
    vega: FloatArray
    valid: BoolArray
    no_gamma: BoolArray
    """Exactly at the money without deviation: gamma is unbounded."""
    no_theta: BoolArray
    """Exactly at the money without time: theta is unbounded."""


def greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    *,
    is_call: ArrayLike,
) -> Greeks:
    """Return Black-76 price, delta, gamma, theta, vega and rho with respect to the forward.

    Args:
        forward: forward of the expiry, index points, > 0.
        strike: index points, > 0.
        years: ACT/365 to the expiry instant, >= 0.
        rate: continuously compounded, 0.065 = 6.5 %.
        volatility: annual, 0.14 = 14 %, >= 0; NaN gives NaN in every field.
        is_call: true for calls.

    Returns:
        Arrays of the shape the inputs broadcast to.
    """
    shape = common_shape(forward, strike, years, rate, volatility, is_call)
    f, k, t, r, v = (as_floats(values) for values in (forward, strike, years, rate, volatility))
    with np.errstate(all="ignore"):
        terms = _terms(f, k, t, r, v, call=as_flags(is_call))
        theta = (r * terms.price - terms.decay) * (1.0 / DAYS_PER_YEAR)
        rho = 0.0 - PER_PERCENTAGE_POINT * t * terms.price
        gamma = terms.discount * terms.side.weighted_density / (f * f * terms.side.deviation)
    return _finished(shape, terms, Greeks(terms.price, terms.delta, gamma, theta, terms.vega, rho))


def spot_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    *,
    is_call: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
) -> Greeks:
    """Return Black-Scholes-Merton price and Greeks with respect to spot.

    Delta and gamma are per point of spot, theta per calendar day with the spot held, rho per percentage point of rate
    with the spot held (so the forward moves). Arguments as in :func:`greeks`, with ``spot`` and a continuously
    compounded ``dividend_yield``.
    """
    shape = common_shape(spot, strike, years, rate, volatility, is_call, dividend_yield)
    s, k, t, r, v, q = (as_floats(values) for values in (spot, strike, years, rate, volatility, dividend_yield))
    f = as_floats(forward_from_spot(s, t, r, q))
    with np.errstate(all="ignore"):
        terms = _terms(f, k, t, r, v, call=as_flags(is_call))
        growth = np.exp((r - q) * t)
        # The forward moves with time and rate when the spot is held: dF/dT = (r - q) F, dF/dr = T F.
        forward_delta_value = terms.delta * f
        theta = (r * terms.price - terms.decay - (r - q) * forward_delta_value) * (1.0 / DAYS_PER_YEAR)
        rho = PER_PERCENTAGE_POINT * t * (forward_delta_value - terms.price)
        delta = terms.delta * growth
        gamma = terms.discount * terms.side.weighted_density / (s * s * terms.side.deviation)
    return _finished(shape, terms, Greeks(terms.price, delta, gamma, theta, terms.vega, rho))


def _terms(f: FloatArray, k: FloatArray, t: FloatArray, r: FloatArray, v: FloatArray, *, call: BoolArray) -> _Terms:
    """Evaluate the formula once; the caller silences floating-point warnings."""
    root = np.sqrt(t)
    deviation = v * root
    side = out_of_money(f, k, deviation)
    discount = np.exp(-r * t)
    gain = f - k
    sign = np.where(call, 1.0, -1.0)
    price = discount * (side.price + np.maximum(sign * gain, 0.0))
    d1 = np.copysign(side.distance, gain) + 0.5 * side.deviation
    at_the_money = gain == 0.0
    no_theta = at_the_money & (t == 0.0)
    return _Terms(
        side=side,
        discount=discount,
        price=price,
        delta=discount * sign * ndtr(sign * d1),
        decay=discount * side.weighted_density * v * 0.5 / np.maximum(root, np.finfo(np.float64).tiny),
        vega=PER_PERCENTAGE_POINT * discount * side.weighted_density * root,
        valid=in_domain(f, k, t, r, v),
        no_gamma=at_the_money & (deviation == 0.0),
        no_theta=no_theta,
    )


def _finished(shape: tuple[int, ...], terms: _Terms, values: Greeks) -> Greeks:
    """Put NaN where there is no value, and give every field its final shape."""
    missing = ~terms.valid
    any_missing = bool(missing.any())
    if terms.no_gamma.any():
        values = values._replace(gamma=np.where(terms.no_gamma, np.nan, values.gamma))
    if terms.no_theta.any():
        values = values._replace(theta=np.where(terms.no_theta, np.nan, values.theta))

    def finished(field: FloatArray) -> FloatArray:
        known = np.where(missing, np.nan, field) if any_missing else field
        # Gamma and vega do not depend on the side, so they may still lack that dimension.
        return known.reshape(shape) if known.size == math.prod(shape) else np.broadcast_to(known, shape).copy()

    return Greeks(*map(finished, values))
