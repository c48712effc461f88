"""Price and Greeks of first and second order in one pass.

Units, beside those of :mod:`engine.analytics.greeks` (index points of premium throughout):

* ``vanna``: change of delta per percentage point of volatility (and of vega, per point of the forward);
* ``vomma`` (volga): change of vega per percentage point of volatility;
* ``charm``: change of delta per calendar day that passes, forward and volatility held;
* ``speed``: change of gamma per index point of the forward, that is per point squared of delta;
* ``zomma``: change of gamma per percentage point of volatility;
* ``color``: change of gamma per calendar day that passes, forward and volatility held.

:func:`all_spot_greeks` gives them with respect to spot; then charm and color hold the *spot*.

Invariant: as for the first order. In the limit of no time or no volatility the values are the limits; where none exists
(exactly at the money, what derives from gamma or by time) they are NaN, never infinite.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import ArrayLike

from engine.analytics.arrays import PER_PERCENTAGE_POINT, FloatArray
from engine.analytics.black_evaluation import BlackInputs, Evaluation, evaluate, in_blocks
from engine.analytics.greeks import Greeks, first_order, first_order_on_spot


class AllGreeks(NamedTuple):
    """Price, first-order and second-order Greeks, arrays of one shape; units in the module's description."""

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    theta: FloatArray
    vega: FloatArray
    rho: FloatArray
    vanna: FloatArray
    charm: FloatArray
    vomma: FloatArray
    speed: FloatArray
    zomma: FloatArray
    color: FloatArray

    @property
    def first_order(self) -> Greeks:
        """The first six fields."""
        return Greeks(*self[: len(Greeks._fields)])


class _SecondOrder(NamedTuple):
    """Derivatives with respect to the forward, in natural units, time derivatives by the time that is left."""

    vanna: FloatArray
    delta_by_years: FloatArray
    vomma: FloatArray
    speed: FloatArray
    zomma: FloatArray
    gamma_by_years: FloatArray


def all_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    *,
    is_call: ArrayLike,
    out: AllGreeks | None = None,
) -> AllGreeks:
    """Return Black-76 price and Greeks of both orders with respect to the forward.

    Arguments, shapes and errors are those of :func:`engine.analytics.greeks.greeks`; the first six fields are its.
    """
    inputs = (forward, strike, years, rate, volatility)
    return AllGreeks(*in_blocks(_on_forward, inputs, is_call, AllGreeks._fields, out))


def all_spot_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    volatility: ArrayLike,
    *,
    is_call: ArrayLike,
    dividend_yield: ArrayLike = 0.0,
    out: AllGreeks | None = None,
) -> AllGreeks:
    """Return Black-Scholes-Merton price and Greeks of both orders with respect to spot.

    Arguments, shapes and errors are those of :func:`engine.analytics.greeks.spot_greeks`; the first six fields are its.
    """
    inputs = (spot, strike, years, rate, volatility, dividend_yield)
    return AllGreeks(*in_blocks(_on_spot, inputs, is_call, AllGreeks._fields, out))


def _on_forward(terms: BlackInputs) -> tuple[FloatArray, ...]:
    at = evaluate(terms)
    second = _second_order(at)
    return AllGreeks(
        *first_order(at),
        vanna=at.per_point(second.vanna),
        charm=at.per_day(-second.delta_by_years),
        vomma=second.vomma * (PER_PERCENTAGE_POINT * PER_PERCENTAGE_POINT),
        speed=second.speed,
        zomma=at.per_point(second.zomma),
        color=at.per_day(-second.gamma_by_years),
    )


def _on_spot(terms: BlackInputs) -> tuple[FloatArray, ...]:
    """When the spot is held, ``dF/dS`` is the growth ``g``, and ``g`` and the forward themselves grow by ``r - q``."""
    at = evaluate(terms)
    second = _second_order(at)
    growth, squared = at.growth, at.growth * at.growth
    return AllGreeks(
        *first_order_on_spot(at),
        vanna=at.per_point(second.vanna * growth),
        charm=at.per_day(-growth * (second.delta_by_years + at.carry * (at.delta + at.forward * at.gamma))),
        vomma=second.vomma * (PER_PERCENTAGE_POINT * PER_PERCENTAGE_POINT),
        speed=second.speed * (squared * growth),
        zomma=at.per_point(second.zomma * squared),
        color=at.per_day(-squared * (second.gamma_by_years + at.carry * (2.0 * at.gamma + at.forward * second.speed))),
    )


def _second_order(at: Evaluation) -> _SecondOrder:
    """Derive the terms once more. Where a denominator vanishes the factor before it vanishes faster."""
    product = at.d1 * at.d2
    density_over_deviation = at.weighted_density / at.deviation
    decline = at.over_years(0.5 * at.weighted_density * at.d2) / at.forward
    fading = at.over_years(0.5 * at.gamma * (1.0 - product))
    return _SecondOrder(
        vanna=-density_over_deviation * at.d2 * at.root / at.forward,
        delta_by_years=-at.rate * at.delta - decline + at.timeless,
        vomma=density_over_deviation * product * at.years,
        speed=-at.gamma * (1.0 + at.d1 / at.deviation) / at.forward,
        zomma=at.gamma * (product - 1.0) / at.deviation * at.root,
        gamma_by_years=-at.rate * at.gamma - fading,
    )
