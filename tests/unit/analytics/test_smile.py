"""Reading a smile: at its own market, and in one that has moved under either rule."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.analytics.smile import Smile, SmileGrade, StickyMode, no_smile
from engine.analytics.smile_fit import fit_smile
from tests.unit.analytics.smile_kit import FORWARD, RATE, STRIKES, YEARS, exact_quotes, noisy_quotes, true_volatility


@pytest.fixture(scope="module")
def smile() -> Smile:
    """A smile of the made-up expiry."""
    return fit_smile(STRIKES, exact_quotes(), forward=FORWARD, years=YEARS)


def test_sticky_strike_ignores_the_forward(smile: Smile) -> None:
    """Every strike keeps its volatility, wherever the market goes."""
    at_home = smile.volatility(STRIKES)
    assert (smile.volatility(STRIKES, forward=1.05 * FORWARD, mode=StickyMode.STRIKE) == at_home).all()


def test_sticky_delta_moves_the_smile_with_the_forward(smile: Smile) -> None:
    """After a 2 % rise a strike 2 % higher has the volatility the strike had."""
    moved = smile.volatility(1.02 * STRIKES, forward=1.02 * FORWARD, mode=StickyMode.DELTA)
    np.testing.assert_allclose(moved, smile.volatility(STRIKES), rtol=1e-12)


def test_sticky_delta_keeps_the_volatility_of_a_delta(smile: Smile) -> None:
    """The option of the same delta in the moved market has the same volatility: what the mode is named after."""
    moved_forward = 0.97 * FORWARD
    before = smile.volatility(STRIKES)
    deltas = greeks(FORWARD, STRIKES, YEARS, RATE, before, is_call=True).delta
    strikes = 0.97 * STRIKES
    after = smile.volatility(strikes, forward=moved_forward, mode=StickyMode.DELTA)
    moved_deltas = greeks(moved_forward, strikes, YEARS, RATE, after, is_call=True).delta
    np.testing.assert_allclose(moved_deltas, deltas, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(after, before, rtol=1e-12)


def test_the_modes_agree_in_an_unmoved_market(smile: Smile) -> None:
    """Without a move there is nothing to be sticky about."""
    strike = smile.volatility(STRIKES, forward=FORWARD, mode=StickyMode.STRIKE)
    delta = smile.volatility(STRIKES, forward=FORWARD, mode=StickyMode.DELTA)
    np.testing.assert_allclose(strike, delta, rtol=1e-12)


def test_forwards_and_strikes_make_a_grid(smile: Smile) -> None:
    """A column of forwards and a row of strikes give the scenario's table, each cell as if asked alone."""
    forwards = FORWARD * np.array([[0.98], [1.0], [1.03]])
    grid = smile.volatility(STRIKES, forward=forwards, mode=StickyMode.DELTA)
    assert grid.shape == (3, STRIKES.size)
    for row, forward in enumerate(forwards[:, 0]):
        alone = smile.volatility(STRIKES, forward=forward, mode=StickyMode.DELTA)
        np.testing.assert_allclose(grid[row], alone, rtol=1e-14)
    assert smile.volatility(STRIKES, forward=forwards).shape == (3, STRIKES.size)
    assert smile.volatility(24_000.0).shape == ()


def test_impossible_strikes_and_forwards_are_nan(smile: Smile) -> None:
    """No volatility for what is no strike or no market, and no warning."""
    found = smile.volatility([-1.0, 0.0, math.nan, 24_200.0])
    assert np.isnan(found).tolist() == [True, True, True, False]
    moved = smile.volatility(24_200.0, forward=[0.0, math.nan, FORWARD], mode=StickyMode.DELTA)
    assert np.isnan(moved).tolist() == [True, True, False]


def test_raw_parameters_are_of_the_same_curve(smile: Smile) -> None:
    """The published parameters reproduce the volatilities by the textbook formula."""
    a, b, rho, m, sigma = smile.parameters
    moved = np.log(STRIKES / FORWARD) - m
    total = a + b * (rho * moved + np.sqrt(moved**2 + sigma**2))
    np.testing.assert_allclose(np.sqrt(total / YEARS), smile.volatility(STRIKES), rtol=1e-12)


def test_theoretical_volatility_of_a_new_strike_is_of_the_whole_curve(smile: Smile) -> None:
    """A strike listed after the fit was not fitted to; known ones keep their own curve, in any order."""
    noisy = fit_smile(STRIKES, noisy_quotes(1), forward=FORWARD, years=YEARS)
    strikes = np.array([STRIKES[5], 24_225.0, STRIKES[2]])
    found = noisy.theoretical_volatility(strikes, FORWARD)
    own = noisy.theoretical_volatility(STRIKES, FORWARD)
    assert found[0] == own[5]
    assert found[2] == own[2]
    assert found[1] == pytest.approx(float(noisy.volatility(24_225.0)), abs=1e-15)
    assert found[0] != pytest.approx(float(noisy.volatility(STRIKES[5])), abs=1e-12)


def test_theoretical_volatility_follows_the_forward(smile: Smile) -> None:
    """Between fits the curves move with the market."""
    moved = smile.theoretical_volatility(STRIKES, 1.001 * FORWARD)
    np.testing.assert_allclose(moved, true_volatility(STRIKES / 1.001), atol=1e-6)
    assert np.isnan(smile.theoretical_volatility(STRIKES, math.nan)).all()
    assert np.isnan(smile.theoretical_volatility(STRIKES, 0.0)).all()


def test_a_scenario_needs_one_call(smile: Smile) -> None:
    """A table of forwards prices with its own volatilities: puts gain when the market falls under either rule."""
    forwards = FORWARD * np.array([[0.97], [1.0]])
    for mode in StickyMode:
        volatility = smile.volatility(STRIKES, forward=forwards, mode=mode)
        table = price(forwards, STRIKES, YEARS, RATE, volatility, is_call=False)
        assert (table[0] > table[1]).all()


def test_no_smile_knows_nothing() -> None:
    """It says why, and gives NaN for everything it is asked."""
    nothing = no_smile(STRIKES, FORWARD, YEARS, "no quotes")
    assert nothing.grade is SmileGrade.NONE
    assert nothing.reason == "no quotes"
    assert np.isnan(nothing.volatility(STRIKES)).all()
    assert np.isnan(nothing.volatility(STRIKES, forward=25_000.0, mode=StickyMode.DELTA)).all()
    assert math.isnan(nothing.parameters.a)
    assert math.isnan(nothing.expiry.lowest)
