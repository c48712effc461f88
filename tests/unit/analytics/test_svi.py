"""The SVI curve against its textbook form, mpmath's derivatives, and the density it implies."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from engine.analytics.svi import (
    NO_PARAMETERS,
    SviParameters,
    durrleman,
    slope_and_curvature,
    to_raw,
    total_variance,
)
from tests.unit.analytics.plain_kernels import from_raw, least_variance
from tests.unit.analytics.smile_kit import TRUTH

VOGT = SviParameters(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)
"""Axel Vogt's example, the standard one of a curve that looks harmless and has a negative density."""

CURVES = (TRUTH, VOGT, SviParameters(0.01, 0.1, -0.9, 0.1, 0.2), SviParameters(0.02, 0.05, 0.0, 0.0, 1.0))
PLACES = np.linspace(-1.5, 1.5, 13)


def textbook(curve: SviParameters, k: mpmath.mpf | float) -> mpmath.mpf:
    """Gatheral's formula in high precision."""
    a, b, rho, m, sigma = (mpmath.mpf(value) for value in curve)
    return a + b * (rho * (k - m) + mpmath.sqrt((k - m) ** 2 + sigma**2))


@pytest.mark.parametrize("curve", CURVES)
def test_total_variance_is_the_raw_formula(curve: SviParameters) -> None:
    """The coordinates of this package give the textbook's curve to rounding."""
    expected = [float(textbook(curve, k)) for k in PLACES]
    np.testing.assert_allclose(total_variance(from_raw(curve), PLACES), expected, rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize("curve", CURVES)
def test_coordinates_and_raw_parameters_are_one_curve(curve: SviParameters) -> None:
    """There and back is the same."""
    assert to_raw(from_raw(curve)) == pytest.approx(curve, rel=1e-12, abs=1e-15)


def test_a_flat_curve_has_raw_parameters() -> None:
    """Without slope there is no tilt to divide by it."""
    assert to_raw(np.array([0.01, 0.0, 0.0, 0.1, 0.2])) == (0.01, 0.0, 0.0, 0.1, 0.2)


@pytest.mark.parametrize("curve", CURVES)
def test_derivatives_agree_with_high_precision(curve: SviParameters) -> None:
    """Slope and curvature are those mpmath finds by differences of 50 digits."""
    with mpmath.workdps(50):
        slopes = [float(mpmath.diff(lambda k: textbook(curve, k), k)) for k in PLACES]
        curvatures = [float(mpmath.diff(lambda k: textbook(curve, k), k, 2)) for k in PLACES]
    slope, curvature = slope_and_curvature(from_raw(curve), PLACES)
    np.testing.assert_allclose(slope, slopes, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(curvature, curvatures, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("curve", CURVES)
def test_least_variance_is_the_minimum(curve: SviParameters) -> None:
    """The closed form is what a fine grid finds."""
    grid = total_variance(from_raw(curve), np.linspace(-4.0, 4.0, 200_001)).min()
    assert float(least_variance(from_raw(curve))) == pytest.approx(grid, abs=1e-9)


@pytest.mark.parametrize("curve", CURVES)
def test_durrleman_is_the_density(curve: SviParameters) -> None:
    """``g`` is the second derivative of Black prices by strike, times what turns it into a density of moneyness."""

    def call(strike: mpmath.mpf) -> mpmath.mpf:
        k = mpmath.log(strike)
        deviation = mpmath.sqrt(textbook(curve, k))
        d1 = -k / deviation + deviation / 2
        return mpmath.ncdf(d1) - strike * mpmath.ncdf(d1 - deviation)

    expected = []
    with mpmath.workdps(40):
        for k in (float(place) for place in PLACES):
            strike = mpmath.exp(mpmath.mpf(k))
            w = textbook(curve, k)
            d2 = -k / mpmath.sqrt(w) - mpmath.sqrt(w) / 2
            density = mpmath.diff(call, strike, 2)
            expected.append(float(density * strike * mpmath.sqrt(2 * mpmath.pi * w) * mpmath.exp(d2 * d2 / 2)))
    np.testing.assert_allclose(durrleman(from_raw(curve), PLACES), expected, rtol=1e-8, atol=1e-9)


def test_the_standard_example_has_a_negative_density() -> None:
    """Vogt's curve goes negative near k = 0.8, as published."""
    density = durrleman(from_raw(VOGT), np.linspace(-1.5, 1.5, 301))
    assert density.min() < -0.01
    assert 0.7 < float(np.linspace(-1.5, 1.5, 301)[density.argmin()]) < 1.0


def test_a_curve_without_variance_has_no_density() -> None:
    """Where total variance is not positive the check must fail, not pass by NaN."""
    assert durrleman(np.array([-0.01, 0.1, 0.1, 0.0, 0.1]), [0.0])[0] == -math.inf


def test_no_curve_gives_nan() -> None:
    """Unknown parameters are unknown everywhere."""
    row = from_raw(NO_PARAMETERS)
    assert np.isnan(total_variance(row, PLACES)).all()
    assert np.isnan(durrleman(row, PLACES)).all()
    assert np.isnan(least_variance(row))
    assert all(math.isnan(value) for value in to_raw(row))
