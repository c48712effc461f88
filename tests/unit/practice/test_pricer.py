"""The exchange's own option arithmetic against published values and mpmath."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from engine.practice.noise import FloatArray
from engine.practice.pricer import black_price, implied_volatility, normal_cdf


def one(value: float) -> FloatArray:
    """Return an array of one number."""
    return np.array([value], dtype=np.float64)


def spot_call(spot: float, *, is_call: bool = True) -> float:
    """Return a one-year price at strike 100, rate 5 %, volatility 20 %, for a spot."""
    price = black_price(
        one(spot * math.exp(0.05)), one(100.0), one(1.0), one(0.2), is_call=np.array([is_call]), rate=0.05
    )
    return float(price[0])


@pytest.mark.parametrize(("spot", "call"), [(100.0, 10.4506), (120.0, 26.1690), (80.0, 1.8594)])
def test_known_call_values(spot: float, call: float) -> None:
    """Textbook Black-Scholes calls come out to four decimals."""
    assert spot_call(spot) == pytest.approx(call, abs=5e-5)


def test_put_call_parity() -> None:
    """Call minus put is the discounted distance of forward and strike."""
    difference = spot_call(120.0) - spot_call(120.0, is_call=False)
    assert difference == pytest.approx(120.0 - 100.0 * math.exp(-0.05), abs=1e-12)


def test_normal_distribution_against_mpmath() -> None:
    """The distribution function agrees with arbitrary precision over its whole range, tails included."""
    points = np.concatenate([np.linspace(-12.0, 12.0, 97), [-7.0710678, 7.0710679, 0.0]])
    ours = normal_cdf(points)
    for point, value in zip(points, ours, strict=True):
        assert value == pytest.approx(float(mpmath.ncdf(point)), rel=2e-7, abs=1e-15)


def test_expired_option_is_worth_its_intrinsic_value() -> None:
    """At expiry a call is worth forward minus strike and a put nothing."""
    price = black_price(
        np.full(2, 110.0), np.full(2, 100.0), np.zeros(2), np.full(2, 0.2), is_call=np.array([True, False]), rate=0.06
    )
    assert price.tolist() == pytest.approx([10.0, 0.0], abs=1e-9)


def test_implied_volatility_round_trip() -> None:
    """Prices made from volatilities give those volatilities back, for calls and puts on both sides of the money."""
    strikes = np.array([90.0, 95.0, 100.0, 105.0, 110.0] * 2)
    is_call = np.array([True] * 5 + [False] * 5)
    vols = np.linspace(0.08, 0.45, 10)
    forward, years = np.full(10, 100.0), np.full(10, 0.1)
    price = black_price(forward, strikes, years, vols, is_call=is_call, rate=0.065)
    found = implied_volatility(price, forward, strikes, years, is_call=is_call, rate=0.065)
    assert found.tolist() == pytest.approx(vols.tolist(), rel=1e-6)


def test_price_below_intrinsic_has_no_volatility() -> None:
    """A price that no volatility explains gives NaN, never a number."""
    found = implied_volatility(one(9.0), one(110.0), one(100.0), one(0.1), is_call=np.array([True]), rate=0.0)
    assert math.isnan(found[0])
