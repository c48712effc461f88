"""Greeks of second order: high-precision differences of the price, relations, limits, gaps and output arrays."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.greeks import greeks, spot_greeks
from engine.analytics.second_order import AllGreeks, all_greeks, all_spot_greeks
from engine.analytics.workspace import BLOCK

SIDES = np.array([[True], [False]])
SECOND = ("vanna", "charm", "vomma", "speed", "zomma", "color")
DIGITS = 60
POINTS = [
    (24_500.0, 24_500.0, 1 / 365, 0.065, 0.10),
    (24_500.0, 24_650.0, 4.25 / 365, 0.065, 0.12),
    (24_500.0, 22_000.0, 30 / 365, 0.065, 0.22),
    (24_500.0, 33_000.0, 2.0, 0.05, 0.35),
    (100.0, 120.0, 10.0, -0.01, 1.5),
    (100.0, 100.0, 1 / 525_600, 0.065, 0.15),
]


def black(forward: Any, strike: float, years: Any, *, rate: Any, volatility: Any, sign: int) -> Any:
    """The textbook price in high precision."""
    deviation = volatility * mpmath.sqrt(years)
    d1 = mpmath.log(forward / strike) / deviation + deviation / 2
    premium = sign * (forward * mpmath.ncdf(sign * d1) - strike * mpmath.ncdf(sign * (d1 - deviation)))
    return mpmath.exp(-rate * years) * premium


def derivatives(value: Any, at: tuple[Any, Any, Any, Any]) -> AllGreeks:
    """Differentiate ``value(underlying, years, rate, volatility)`` numerically, in the desk's units."""

    def derivative(*orders: int) -> Any:
        return np.float64(mpmath.diff(value, at, orders))

    return AllGreeks(
        price=derivative(0, 0, 0, 0),
        delta=derivative(1, 0, 0, 0),
        gamma=derivative(2, 0, 0, 0),
        theta=-derivative(0, 1, 0, 0) / 365,
        vega=derivative(0, 0, 0, 1) / 100,
        rho=derivative(0, 0, 1, 0) / 100,
        vanna=derivative(1, 0, 0, 1) / 100,
        charm=-derivative(1, 1, 0, 0) / 365,
        vomma=derivative(0, 0, 0, 2) / 10_000,
        speed=derivative(3, 0, 0, 0),
        zomma=derivative(2, 0, 0, 1) / 100,
        color=-derivative(2, 1, 0, 0) / 365,
    )


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("point", POINTS)
def test_every_greek_is_a_derivative_of_the_price(
    point: tuple[float, float, float, float, float], is_call: bool
) -> None:
    """On the forward, all eleven Greeks equal numerical derivatives of a 60-digit price, with their units."""
    forward, strike, years, rate, volatility = point
    with mpmath.workdps(DIGITS):
        sign = 1 if is_call else -1
        expected = derivatives(
            lambda f, t, r, v: black(f, strike, t, rate=r, volatility=v, sign=sign),
            tuple(map(mpmath.mpf, (forward, years, rate, volatility))),
        )
    ours = all_greeks(forward, strike, years, rate, volatility, is_call=is_call)
    for name, mine, exact in zip(AllGreeks._fields, ours, expected, strict=True):
        assert mine == pytest.approx(exact, rel=2e-12), name


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("point", POINTS)
def test_every_spot_greek_is_a_derivative_of_the_spot_price(
    point: tuple[float, float, float, float, float], is_call: bool
) -> None:
    """On the spot, with a dividend yield, the same: the forward moves with time and rate while the spot is held."""
    spot, strike, years, rate, volatility = point
    dividend = 0.02
    with mpmath.workdps(DIGITS):
        sign = 1 if is_call else -1
        expected = derivatives(
            lambda s, t, r, v: black(s * mpmath.exp((r - dividend) * t), strike, t, rate=r, volatility=v, sign=sign),
            tuple(map(mpmath.mpf, (spot, years, rate, volatility))),
        )
    ours = all_spot_greeks(spot, strike, years, rate, volatility, is_call=is_call, dividend_yield=dividend)
    for name, mine, exact in zip(AllGreeks._fields, ours, expected, strict=True):
        # With a minute left the rounding of the forward itself is a billionth of a deviation.
        assert mine == pytest.approx(exact, rel=5e-12 if years > 1e-4 else 2e-9), name


@pytest.mark.parametrize(
    ("spot", "expected"),
    [
        (100, {"price": 10.4506, "delta": 0.6368, "gamma": 0.018762, "vega": 0.37524, "rho": 0.53232}),
        (120, {"price": 26.1690, "delta": 0.8965, "gamma": 0.0075}),
        (80, {"price": 1.8594, "delta": 0.2219, "gamma": 0.0186}),
    ],
)
def test_worked_figures(spot: float, expected: dict[str, float]) -> None:
    """The product's worked Black-Scholes figures come out of the full set as well."""
    ours = all_spot_greeks(spot, 100, 1, 0.05, 0.2, is_call=True)._asdict()
    for name, value in expected.items():
        digits = 5 if name in {"vega", "rho"} else 6 if value == 0.018762 else 4
        assert round(float(ours[name]), digits) == value, name


def test_first_order_is_the_same_as_alone() -> None:
    """The first six fields are bit for bit those of the first-order functions."""
    strikes = np.linspace(20_000.0, 28_000.0, 41)
    terms = (24_200.0, strikes, 9 / 365, 0.065, 0.14)
    for together, alone in (
        (all_greeks(*terms, is_call=SIDES), greeks(*terms, is_call=SIDES)),
        (all_spot_greeks(*terms, is_call=SIDES), spot_greeks(*terms, is_call=SIDES)),
    ):
        for mine, theirs in zip(together.first_order, alone, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@settings(deadline=None)
@given(st.floats(100.0, 1e5), st.floats(-0.6, 0.6), st.floats(1e-5, 5.0), st.floats(-0.02, 0.12), st.floats(0.02, 2.0))
def test_call_and_put_share_what_parity_says(
    forward: float, moneyness: float, years: float, rate: float, volatility: float
) -> None:
    """Only charm depends on the side, and by what the discount factor gains in a day."""
    both = all_greeks(forward, forward * math.exp(moneyness), years, rate, volatility, is_call=[True, False])
    for name in ("vanna", "vomma", "speed", "zomma", "color"):
        field = getattr(both, name)
        assert field[0] == field[1], name
    gained = rate * math.exp(-rate * years) / 365
    assert both.charm[0] - both.charm[1] == pytest.approx(
        gained, rel=1e-12, abs=1e-14 * float(np.abs(both.charm).max())
    )


def test_signs_a_trader_knows() -> None:
    """Out of the money a call's vanna and vomma are positive and its delta decays; at the money gamma is all of it."""
    call = all_greeks(24_200.0, [24_200.0, 25_000.0], 9 / 365, 0.0, 0.12, is_call=True)
    assert call.vanna[1] > 0
    assert call.vomma[1] > 0
    assert call.charm[1] < 0
    assert call.zomma[0] < 0
    assert call.color[0] > 0
    assert call.speed[0] < 0


@pytest.mark.parametrize(("years", "volatility"), [(0.0, 0.2), (0.5, 0.0), (0.0, 0.0)])
def test_limits_away_from_the_money_are_zero(years: float, volatility: float) -> None:
    """With no time or no volatility left nothing of second order remains but the discounting of delta."""
    result = all_greeks(100, [90, 110], years, 0.05, volatility, is_call=SIDES)
    for name in set(SECOND) - {"charm"}:
        np.testing.assert_array_equal(getattr(result, name), 0.0, name)
    np.testing.assert_allclose(result.charm, 0.05 * result.delta / 365, rtol=1e-15)


def test_limits_at_the_money() -> None:
    """Exactly at the money what has a limit has it, what grows without bound is NaN, and nothing is infinite."""
    expired = all_greeks(100, 100, 0, 0.05, 0.2, is_call=[True, False])
    for name in ("gamma", "theta", "charm", "speed", "zomma", "color"):
        assert np.isnan(getattr(expired, name)).all(), name
    np.testing.assert_array_equal(expired.vanna, 0.0)
    np.testing.assert_array_equal(expired.vomma, 0.0)
    still = all_greeks(100, 100, 0.25, 0.0, 0.0, is_call=True)
    assert still.vanna == pytest.approx(0.5 * 0.3989422804014327 * 0.5 / 100, rel=1e-12)
    assert still.vomma == pytest.approx(0.0, abs=1e-100)
    for name in ("gamma", "speed", "zomma", "color"):
        assert np.isnan(getattr(still, name)), name


def test_limits_are_approached() -> None:
    """A step before expiry, out of the money, every Greek has all but vanished and is finite."""
    result = all_greeks(24_200, [23_000, 25_000], 1e-9, 0.065, 0.12, is_call=SIDES)
    for name in SECOND:
        field = getattr(result, name)
        assert np.isfinite(field).all(), name
        assert np.abs(field).max() < 1e-3, name


def test_deep_wings_underflow_silently() -> None:
    """Hundreds of deviations away every second-order Greek is zero, without a warning."""
    result = all_greeks(100, [1e-3, 1e6], 1 / 365, 0.0, 0.05, is_call=SIDES)
    for name in SECOND:
        np.testing.assert_array_equal(getattr(result, name), 0.0, name)


@pytest.mark.parametrize("name", ["forward", "strike", "years", "rate", "volatility"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_outside_the_domain_is_nan(name: str, value: float) -> None:
    """An impossible input blanks exactly its own element, in every field, on forward and on spot."""
    possible = {"years": {0.0}, "rate": {0.0, -1.0}, "volatility": {0.0}}
    good = {"forward": 110.0, "strike": 100.0, "years": 1.0, "rate": 0.05, "volatility": 0.2}
    columns = [[item, value if key == name else item, item] for key, item in good.items()]
    expected = [False, value not in possible.get(name, set()), False]
    for result in (
        all_greeks(columns[0], columns[1], columns[2], columns[3], columns[4], is_call=True),
        all_spot_greeks(columns[0], columns[1], columns[2], columns[3], columns[4], is_call=True),
    ):
        for label, field in zip(AllGreeks._fields, result, strict=True):
            assert np.isnan(field).tolist() == expected, label


def test_results_go_to_the_given_arrays() -> None:
    """With ``out`` the very arrays given are filled and returned, also where they are not contiguous."""
    strikes = np.linspace(90.0, 110.0, 5)
    table = np.full((5, 12), np.nan)
    out = AllGreeks(*table.T)
    returned = all_greeks(100, strikes, 1, 0.05, 0.2, is_call=True, out=out)
    assert all(mine is given for mine, given in zip(returned, out, strict=True))
    expected = all_greeks(100, strikes, 1, 0.05, 0.2, is_call=True)
    np.testing.assert_array_equal(table.T, np.array(expected))
    spot = all_spot_greeks(100, strikes, 1, 0.05, 0.2, is_call=True, out=out)
    assert spot.delta is out.delta
    assert not np.array_equal(table.T, np.array(expected))


def test_arrays_that_do_not_fit_are_refused() -> None:
    """An output array of another shape or type is named, with what it must be."""
    out = AllGreeks(*np.empty((12, 3)))
    with pytest.raises(ValueError, match=r"out\.price is float64 of shape \(3,\), .* shape \(2,\)"):
        all_greeks(100, [90, 110], 1, 0.05, 0.2, is_call=True, out=out)
    coarse = out._replace(vanna=np.empty(3, np.float32))
    with pytest.raises(ValueError, match=r"out\.vanna is float32"):
        all_greeks(100, [90, 100, 110], 1, 0.05, 0.2, is_call=True, out=coarse)
    with pytest.raises(ValueError, match="shape"):
        all_greeks([1.0, 2.0], [1.0, 2.0, 3.0], 1, 0.05, 0.2, is_call=True)


def test_many_options_are_cut_into_blocks_unnoticed() -> None:
    """More options than a block give bit for bit what the same options give in small parts."""
    count = 2 * BLOCK + 37
    rng = np.random.default_rng(3)
    strikes = rng.uniform(20_000.0, 28_000.0, count)
    forwards = rng.uniform(23_000.0, 25_000.0, count)
    volatility = rng.uniform(0.05, 0.6, count)
    volatility[::97] = math.nan
    calls = rng.random(count) < 0.5
    whole = all_greeks(forwards, strikes, 9 / 365, 0.065, volatility, is_call=calls)
    for part in (slice(0, 50), slice(BLOCK - 20, BLOCK + 20), slice(count - 30, count)):
        alone = all_greeks(forwards[part], strikes[part], 9 / 365, 0.065, volatility[part], is_call=calls[part])
        for mine, theirs in zip(whole, alone, strict=True):
            np.testing.assert_allclose(mine[part], theirs, rtol=1e-13)


def test_grids_and_scalars_keep_their_shapes() -> None:
    """Rows and columns give a grid, scalars a scalar, nothing nothing; fields do not share memory."""
    grid = all_greeks(np.array([[100.0], [101.0]]), [90, 100, 110], 1, 0.05, 0.2, is_call=True)
    assert {field.shape for field in grid} == {(2, 3)}
    assert {field.shape for field in all_greeks(100, 100, 1, 0.05, 0.2, is_call=True)} == {()}
    assert {field.shape for field in all_greeks(100, [], 1, 0.05, 0.2, is_call=SIDES)} == {(2, 0)}
    grid.vanna[:] = 7.0
    assert not (grid.vomma == 7.0).any()
