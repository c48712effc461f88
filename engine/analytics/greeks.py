"""Price and first-order Greeks in one pass, in the units the desk shows.

Units (index points of premium throughout):

* ``delta``, ``gamma``: per index point of the *expiry's forward*; the deltas of call and put differ by ``exp(-r T)``.
* ``theta``: per calendar day, forward and volatility held.
* ``vega``, ``rho``: per one percentage point (0.01) of volatility and of rate; rho holds the forward, so it is the
  discounting effect alone.

:func:`spot_greeks` gives the Black-Scholes-Merton set instead: delta and gamma per point of *spot*, theta and rho with
the *spot* held. The two sets answer different questions and are never mixed. Second-order Greeks come with these in
:mod:`engine.analytics.second_order`.

Invariant: every field is NaN outside the domain of :mod:`engine.analytics.black`. In the limit of no time or no
volatility the values are the limits; where none exists (gamma and theta exactly at the money) they are NaN, never
infinite.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import ArrayLike

from engine.analytics.arrays import FloatArray
from engine.analytics.black_evaluation import BlackInputs, Evaluation, evaluate, in_blocks


class Greeks(NamedTuple):
    """Price and Greeks, arrays of one shape; units in the module's description."""

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray
    rho: FloatArray


def greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    *,
    is_call: ArrayLike,
    out: Greeks | None = None,
) -> Greeks:
    """Return Black-76 price, delta, gamma, theta, vega and rho with respect to the forward.

    Args:
        forward: forward of the expiry, index points, > 0.
        strike: index points, > 0.
        years: ACT/365 to the expiry instant, >= 0.
        rate: continuously compounded, 0.065 = 6.5 %.
        volatility: annual, 0.14 = 14 %, >= 0; NaN gives NaN in every field.
        is_call: true for calls.
        out: float64 arrays of the result's shape to write to and return.

    Returns:
        Arrays of the shape the inputs broadcast to.

    Raises:
        ValueError: the inputs do not broadcast together, or an array of ``out`` has another shape.
    """
    inputs = (forward, strike, years, rate, volatility)
    return Greeks(*in_blocks(_on_forward, inputs, is_call, Greeks._fields, out))


def spot_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    *,
    is_call: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    out: Greeks | None = None,
) -> Greeks:
    """Return Black-Scholes-Merton price and Greeks with respect to spot.

    Delta and gamma are per point of spot, theta per calendar day with the spot held, rho per percentage point of rate
    with the spot held (so the forward moves). Arguments as in :func:`greeks`, with ``spot`` and a continuously
    compounded ``dividend_yield``.
    """
    inputs = (spot, strike, years, rate, volatility, dividend_yield)
    return Greeks(*in_blocks(_on_spot, inputs, is_call, Greeks._fields, out))


def _on_forward(terms: BlackInputs) -> tuple[FloatArray, ...]:
    return first_order(evaluate(terms))


def _on_spot(terms: BlackInputs) -> tuple[FloatArray, ...]:
    return first_order_on_spot(evaluate(terms))


def first_order(at: Evaluation) -> Greeks:
    """Return the Greeks on the forward of an evaluation. The caller silences floating-point warnings."""
    return Greeks(
        price=at.price,
        delta=at.delta,
        gamma=at.gamma,
        theta=at.per_day(at.interest - at.decay),
        vega=at.per_point(at.vega),
        rho=at.per_point(-at.years * at.price),
    )


def first_order_on_spot(at: Evaluation) -> Greeks:
    """Return the Greeks on spot. When it is held the forward moves: ``dF/dT = (r - q) F``, ``dF/dr = T F``."""
    held = at.delta * at.forward
    return Greeks(
        price=at.price,
        delta=at.delta * at.growth,
        gamma=at.gamma * (at.growth * at.growth),
        theta=at.per_day(at.interest - at.decay - at.carry * held),
        vega=at.per_point(at.vega),
        rho=at.per_point(at.years * (held - at.price)),
    )
