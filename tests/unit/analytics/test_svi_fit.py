"""The batched least squares against scipy's general one, its bounds, and the independence of its rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import least_squares

from engine.analytics.arrays import FloatArray
from engine.analytics.smile_fit import MODEL_ERROR, SmileQuotes
from engine.analytics.svi import LEFT, RIGHT, STEEPEST_WING, WIDTH, total_variance
from engine.analytics.svi_fit import HUBER_ERRORS, Points, cold_rows, fit_rows
from tests.unit.analytics.plain_kernels import from_raw, least_variance
from tests.unit.analytics.smile_kit import FORWARD, STRIKES, TRUTH, YEARS, exact_quotes, noisy_quotes

K = np.log(STRIKES / FORWARD)


def problem(quotes: SmileQuotes) -> tuple[Points, FloatArray]:
    """Points and weights as the smile makes them."""
    error = np.hypot(quotes.uncertainty, MODEL_ERROR * quotes.volatility)
    return Points(K, quotes.volatility**2 * YEARS), 1.0 / (2.0 * quotes.volatility * YEARS * error)


def peer_loss(points: Points, weights: FloatArray) -> float:
    """The least loss scipy finds from several starts, with the same robust loss and the raw formula."""

    def residual(x: FloatArray) -> FloatArray:
        a, b, tilt, m, log_sigma = x
        rho = math.tanh(tilt)
        moved = points.log_moneyness - m
        curve = a + b * (rho * moved + np.sqrt(moved**2 + math.exp(2 * log_sigma)))
        return np.asarray((curve - points.variance) * weights)

    level = float(np.median(points.variance))
    losses = [
        least_squares(
            residual,
            [0.5 * level, 0.02, 0.0, 0.0, math.log(sigma)],
            loss="soft_l1",
            f_scale=HUBER_ERRORS,
            x_scale=[level, 0.01, 0.5, 0.01, 1.0],
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            max_nfev=5_000,
        ).cost
        for sigma in (0.01, 0.03, 0.08)
    ]
    return float(min(losses))


def test_exact_quotes_give_their_curve_back() -> None:
    """On points of one curve nothing is left over, to a millionth of a vol point."""
    points, weights = problem(exact_quotes())
    row = cold_rows(points, weights[None, :])[0]
    found = np.sqrt(total_variance(row, K) / YEARS)
    np.testing.assert_allclose(found, exact_quotes().volatility, atol=1e-8)
    np.testing.assert_allclose(row, from_raw(TRUTH), rtol=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_loss_is_as_low_as_a_general_solver_finds(seed: int) -> None:
    """On noisy quotes with one broken one, the loss is within a thousandth of the best of scipy's searches."""
    quotes = noisy_quotes(seed)
    quotes.volatility[7 * seed] *= 1.5
    points, weights = problem(quotes)
    row = cold_rows(points, weights[None, :])
    loss = float(fit_rows(points, weights[None, :], row)[1][0])
    assert loss <= 1.001 * peer_loss(points, weights)


def test_rows_do_not_touch_each_other() -> None:
    """A row fitted among sixty others is the row fitted alone, to the last bit."""
    points, weights = problem(noisy_quotes(3))
    rows = np.tile(weights, (weights.size, 1)) * (1.0 - np.eye(weights.size))
    start = np.tile(from_raw(TRUTH), (weights.size, 1))
    together, losses = fit_rows(points, rows, start)
    for place in (0, 17, weights.size - 1):
        alone, loss = fit_rows(points, rows[place : place + 1], start[:1])
        assert (alone[0] == together[place]).all()
        assert loss[0] == losses[place]


def test_a_point_without_weight_may_hold_anything() -> None:
    """What a left-out point holds does not change a bit of its row, cold start included."""
    points, weights = problem(noisy_quotes(4))
    weights = weights.copy()
    weights[[0, 20, 60]] = 0.0
    reference = cold_rows(points, weights[None, :])
    for value in (1e-9, 1.0, 1e6):
        variance = points.variance.copy()
        variance[[0, 20, 60]] = value
        assert (cold_rows(Points(K, variance), weights[None, :]) == reference).all()


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_bounds_hold(side: float) -> None:
    """Quotes steeper than any smile may be, all on one side, still give a curve within its bounds and positive."""
    variance = 0.001 + 6.0 * np.maximum(side * K, 0.0)
    weights = 1.0 / (0.01 + 0.02 * variance)
    row = cold_rows(Points(K, variance), weights[None, :])[0]
    span = float(np.ptp(K))
    assert 0.0 <= row[LEFT] <= STEEPEST_WING
    assert 0.0 <= row[RIGHT] <= STEEPEST_WING
    assert max(row[LEFT], row[RIGHT]) == STEEPEST_WING
    assert 0.0 < row[WIDTH] <= 4.0 * span
    assert float(least_variance(row)) > 0.0


def test_a_monotone_skew_stays_positive_beyond_its_quotes() -> None:
    """Where variance falls towards one end of the quotes, its continuation does not go through zero."""
    variance = 0.0004 * np.exp(-40.0 * K)
    row = cold_rows(Points(K, variance), (1.0 / (0.02 * variance))[None, :])[0]
    np.testing.assert_allclose(total_variance(row, K), variance, rtol=0.1)
    assert float(least_variance(row)) >= 0.0199 * variance.min()


def test_impossible_start_is_an_answer_not_an_error() -> None:
    """A start without numbers gives no numbers."""
    points, weights = problem(exact_quotes())
    row, loss = fit_rows(points, weights[None, :], np.full((1, 5), math.nan))
    assert np.isnan(row).any()
    assert np.isnan(loss).all()
