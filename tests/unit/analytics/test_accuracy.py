"""A part of the accuracy table: price, volatility and Greeks against a 50-digit reference on hard points."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from benchmarks.accuracy import (
    FORWARD,
    RATE,
    UNIT_ROUNDOFF,
    WELL_CONDITIONED,
    Reference,
    condition_bands,
    exact_greeks,
    exact_price,
    greek_errors,
    hard_points,
    make_reference,
    scalar_volatilities,
    volatility_errors,
)
from engine.analytics.black import price
from engine.analytics.second_order import AllGreeks

SAMPLE = 900


@pytest.fixture(scope="module")
def points() -> Reference:
    """A seeded sample of the grid, evaluated."""
    grid = hard_points()
    chosen = np.random.default_rng(5).choice(len(grid), SAMPLE, replace=False)
    return make_reference(grid[i] for i in chosen)


def test_the_reference_is_itself_a_derivative() -> None:
    """The textbook Greeks that ours are held to equal numerical derivatives of the reference price."""
    strike, years, volatility = 26_000.0, 0.1, 0.15
    with mpmath.workdps(50):
        exact, sizes = exact_greeks(strike, years, volatility, is_call=True)
        at = tuple(map(mpmath.mpf, (years, volatility)))

        def value(t: object, v: object) -> object:
            return mpmath.exp(-mpmath.mpf(RATE) * t) * exact_price(strike, t, v, is_call=True)

        assert float(exact.vega) == pytest.approx(float(mpmath.diff(value, at, (0, 1))) / 100, rel=1e-14)
        assert float(exact.vomma) == pytest.approx(float(mpmath.diff(value, at, (0, 2))) / 1e4, rel=1e-14)
        assert float(exact.theta) == pytest.approx(-float(mpmath.diff(value, at, (1, 0))) / 365, rel=1e-14)
        for value_of, size in zip(exact, sizes, strict=True):
            assert abs(value_of) <= size * (1 + mpmath.mpf(10) ** -40)


def test_prices(points: Reference) -> None:
    """Every price, down to 1e-290 points, agrees to 1e-12 relative."""
    ours = price(FORWARD, points.strike, points.years, 0.0, points.volatility, is_call=points.is_call)
    assert np.abs(ours / points.premium - 1).max() < 1e-12


def test_volatilities_of_every_band(points: Reference) -> None:
    """Wherever the price carries the information, volatilities are exact to 1e-12, and out of the money to 1e-13."""
    errors = volatility_errors(points)
    for name, band in condition_bands(points):
        assert np.count_nonzero(band) > 10, name
        assert errors[band].max() < (1e-13 if "out of" in name else 1e-12), name


def test_volatilities_where_rounding_limits_them(points: Reference) -> None:
    """Where the price holds less, no more is lost than rounding the price costs by itself, and nothing is unsolved."""
    poor = points.condition >= WELL_CONDITIONED
    assert poor.any()
    errors = volatility_errors(points)
    assert (errors[poor] <= 2 * UNIT_ROUNDOFF * points.condition[poor] + 1e-12).all()


@pytest.mark.parametrize("move", [0.0005, 0.003, 0.01, 0.1, 1.0])
def test_warm_volatilities_are_as_exact(points: Reference, move: float) -> None:
    """From a last volatility, near or far, the accuracy is that of the cold start."""
    good = points.condition < WELL_CONDITIONED
    errors = volatility_errors(points, last=points.implied * (1 + move))
    assert errors[good].max() < 1e-12


def test_one_option_at_a_time_is_as_exact(points: Reference) -> None:
    """The call for one option has the accuracy of the arrays."""
    good = points.condition < WELL_CONDITIONED
    assert volatility_errors(points, scalar_volatilities)[good].max() < 1e-12


def test_greeks(points: Reference) -> None:
    """Every Greek of both orders agrees to 1e-12 of the size of its terms, and its median to a few roundings."""
    for name, errors in zip(AllGreeks._fields, greek_errors(points), strict=True):
        assert errors.max() < 1e-12, name
        assert np.median(errors) < 4 * UNIT_ROUNDOFF, name
