"""Prices and implied volatilities against an arbitrary-precision reference made here, on a grid of hard points."""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import mpmath
import numpy as np
import pytest

from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.analytics.implied_volatility import IvReason, implied_volatility

FORWARD = 24_500.0
DIGITS = 50
MINUTE = 1 / 525_600
LOG_MONEYNESS = (-1.6, -0.4, -0.1, -0.02, -0.004, -1e-3, -1e-5, 0.0, 1e-4, 0.004, 0.02, 0.1, 0.4, 1.6)
YEARS = (MINUTE, 30 * MINUTE, 1 / 365, 7 / 365, 0.25, 2.0, 10.0)
VOLATILITIES = (0.005, 0.05, 0.15, 0.5, 1.5, 5.0)
SAMPLE = 400


class Point(NamedTuple):
    """One option with its exact price and, of the price's rounding to float64, the exact implied volatility."""

    strike: float
    years: float
    volatility: float
    is_call: bool
    exact_price: float
    rounded_implied: float
    condition: float


def exact(strike: float, years: float, volatility: Any, is_call: bool) -> tuple[Any, Any]:
    """Return the undiscounted Black price and vega as mpmath numbers."""
    forward, k, t, v = (mpmath.mpf(x) for x in (FORWARD, strike, years, volatility))
    deviation = v * mpmath.sqrt(t)
    d1 = mpmath.log(forward / k) / deviation + deviation / 2
    sign = 1 if is_call else -1
    premium = sign * (forward * mpmath.ncdf(sign * d1) - k * mpmath.ncdf(sign * (d1 - deviation)))
    return premium, forward * mpmath.npdf(d1) * mpmath.sqrt(t)


def implied(strike: float, years: float, start: float, is_call: bool, premium: float) -> Any | None:
    """Solve for the volatility of exactly ``premium`` by Newton's method; ``None`` when the price does not hold it."""
    volatility = mpmath.mpf(start)
    for _ in range(40):
        value, vega = exact(strike, years, volatility, is_call)
        if vega == 0:
            return None
        step = (premium - value) / vega
        step = max(-volatility / 4, min(volatility / 4, step))
        volatility += step
        if abs(step) < volatility * mpmath.mpf(10) ** -25:
            return volatility
    return None


def make_points() -> list[Point]:
    """Return a seeded sample of the grid, without prices that underflow or hold no time value in float64."""
    combinations = list(itertools.product(LOG_MONEYNESS, YEARS, VOLATILITIES, (True, False)))
    chosen = np.random.default_rng(11).choice(len(combinations), SAMPLE, replace=False)
    points = []
    with mpmath.workdps(DIGITS):
        for moneyness, years, volatility, is_call in (combinations[i] for i in chosen):
            strike = round(FORWARD * math.exp(moneyness) * 20) / 20
            premium, _ = exact(strike, years, volatility, is_call)
            rounded = float(premium)
            intrinsic = max(FORWARD - strike if is_call else strike - FORWARD, 0.0)
            if rounded < 1e-290 or rounded <= intrinsic or rounded >= (FORWARD if is_call else strike):
                continue
            solution = implied(strike, years, volatility, is_call, rounded)
            if solution is None:
                continue
            _, vega = exact(strike, years, solution, is_call)
            magnified = float(rounded / (solution * vega))
            points.append(Point(strike, years, volatility, is_call, rounded, float(solution), magnified))
    return points


@pytest.fixture(scope="module")
def points() -> list[Point]:
    """The reference points."""
    return make_points()


def test_prices_agree_with_the_reference(points: list[Point]) -> None:
    """Every price of the grid, down to 1e-290 points, agrees to 2e-12 relative, near-the-money ones to 1e-14."""
    strike, years, volatility, is_call, expected, *_ = (np.array(column) for column in zip(*points, strict=True))
    ours = price(FORWARD, strike, years, 0.0, volatility, is_call=is_call)
    error = np.abs(ours / expected - 1)
    assert error.max() < 2e-12
    assert error[expected > 0.05].max() < 5e-14


def test_volatilities_agree_with_the_reference(points: list[Point]) -> None:
    """Wherever the price carries the information the volatility is exact to 1e-12, and nothing is left unsolved."""
    strike, years, _, is_call, premium, expected, magnified = (np.array(c) for c in zip(*points, strict=True))
    found, reason = implied_volatility(premium, FORWARD, strike, years, 0.0, is_call=is_call)
    assert (reason == IvReason.OK).all()
    error = np.abs(found / expected - 1)
    carried = magnified < 1e4
    assert carried.sum() > 150
    assert error[carried].max() < 1e-12
    out_of_money = np.where(is_call, strike >= FORWARD, strike <= FORWARD)
    assert error[out_of_money & carried].max() < 1e-13 + 2.0**-52 * magnified[out_of_money & carried].max()


def test_ill_conditioned_volatilities_lose_no_more_than_the_price_did(points: list[Point]) -> None:
    """Deep in the money the error stays within a small multiple of what rounding the price costs by itself."""
    strike, years, _, is_call, premium, expected, magnified = (np.array(c) for c in zip(*points, strict=True))
    found, _ = implied_volatility(premium, FORWARD, strike, years, 0.0, is_call=is_call)
    poor = (magnified >= 1e4) & (magnified < 1e10)
    assert poor.any()
    assert (np.abs(found / expected - 1)[poor] < 1e-12 + 2.0**-52 * magnified[poor]).all()


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(
    ("strike", "years", "volatility"), [(24_500.0, 1 / 365, 0.1), (26_000.0, 0.1, 0.15), (20_000.0, 2.0, 0.3)]
)
def test_greeks_agree_with_the_reference(strike: float, years: float, volatility: float, is_call: bool) -> None:
    """Delta, gamma, vega and theta equal high-precision derivatives of the reference price."""
    ours = greeks(FORWARD, strike, years, 0.0, volatility, is_call=is_call)
    sign = 1 if is_call else -1

    with mpmath.workdps(DIGITS):

        def value(forward: Any, t: Any, v: Any) -> Any:
            deviation = v * mpmath.sqrt(t)
            d1 = mpmath.log(forward / strike) / deviation + deviation / 2
            return sign * (forward * mpmath.ncdf(sign * d1) - strike * mpmath.ncdf(sign * (d1 - deviation)))

        at = (mpmath.mpf(FORWARD), mpmath.mpf(years), mpmath.mpf(volatility))
        delta = float(mpmath.diff(value, at, (1, 0, 0)))
        gamma = float(mpmath.diff(value, at, (2, 0, 0)))
        theta = -float(mpmath.diff(value, at, (0, 1, 0))) / 365
        vega = float(mpmath.diff(value, at, (0, 0, 1))) / 100
    assert ours.delta == pytest.approx(delta, rel=1e-12)
    assert ours.gamma == pytest.approx(gamma, rel=1e-12)
    assert ours.theta == pytest.approx(theta, rel=1e-12)
    assert ours.vega == pytest.approx(vega, rel=1e-12)
