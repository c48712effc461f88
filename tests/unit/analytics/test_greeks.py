"""Greeks: worked values, finite differences of the price, parity relations, limits and gaps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.black import price
from engine.analytics.greeks import Greeks, greeks, spot_greeks
from tests.unit.analytics.plain_kernels import price_on_spot

FORWARD, RATE = 24_200.0, 0.065
STRIKES = np.array([22_000.0, 23_800.0, 24_200.0, 24_250.0, 25_000.0, 27_000.0])
YEARS = 9 / 365
VOLATILITY = np.array([0.25, 0.15, 0.12, 0.12, 0.11, 0.16])
SIDES = np.array([[True], [False]])


def desk() -> Greeks:
    """A small chain, calls in the first row."""
    return greeks(FORWARD, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES)


def test_worked_black_scholes_greeks() -> None:
    """Every worked figure at the money is reproduced to its last printed digit."""
    result = spot_greeks(100, 100, 1, 0.05, 0.2, is_call=True)
    assert result.price == pytest.approx(10.4506, abs=5e-5)
    assert result.delta == pytest.approx(0.6368, abs=5e-5)
    assert result.gamma == pytest.approx(0.018762, abs=5e-7)
    assert result.vega == pytest.approx(0.37524, abs=5e-6)
    assert result.theta == pytest.approx(-0.017573, abs=5e-7)
    assert result.rho == pytest.approx(0.53232, abs=5e-6)


@pytest.mark.parametrize(
    ("spot", "premium", "delta", "gamma"), [(120, 26.1690, 0.8965, 0.0075), (80, 1.8594, 0.2219, 0.0186)]
)
def test_worked_black_scholes_greeks_away_from_the_money(
    spot: float, premium: float, delta: float, gamma: float
) -> None:
    """The worked figures in and out of the money are reproduced."""
    result = spot_greeks(spot, 100, 1, 0.05, 0.2, is_call=True)
    assert result.price == pytest.approx(premium, abs=5e-5)
    assert result.delta == pytest.approx(delta, abs=5e-5)
    assert result.gamma == pytest.approx(gamma, abs=5e-5)


def test_price_is_the_pricing_function() -> None:
    """The price that comes with the Greeks is bit for bit that of the pricing function."""
    np.testing.assert_array_equal(desk().price, price(FORWARD, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES))


def test_delta_is_the_slope_in_the_forward() -> None:
    """Delta agrees with a central difference of the price in the forward, per index point."""
    step = 0.5
    up = price(FORWARD + step, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES)
    down = price(FORWARD - step, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES)
    np.testing.assert_allclose(desk().delta, (up - down) / (2 * step), atol=2e-7)


def test_gamma_is_the_curvature_in_the_forward() -> None:
    """Gamma agrees with the change of delta per index point of the forward."""
    step = 0.5
    up = greeks(FORWARD + step, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES).delta
    down = greeks(FORWARD - step, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES).delta
    np.testing.assert_allclose(desk().gamma, (up - down) / (2 * step), rtol=1e-5, atol=1e-12)


def test_theta_is_the_change_per_calendar_day() -> None:
    """Theta agrees with the price's change over a small part of a day, forward and volatility held, times 365."""
    step = YEARS * 1e-4
    later = price(FORWARD, STRIKES, YEARS - step, RATE, VOLATILITY, is_call=SIDES)
    earlier = price(FORWARD, STRIKES, YEARS + step, RATE, VOLATILITY, is_call=SIDES)
    np.testing.assert_allclose(desk().theta, (later - earlier) / (2 * step) / 365, rtol=1e-6, atol=1e-9)


def test_vega_is_per_percentage_point() -> None:
    """Vega agrees with the price's change for one hundredth of volatility."""
    step = 1e-6
    up = price(FORWARD, STRIKES, YEARS, RATE, VOLATILITY + step, is_call=SIDES)
    down = price(FORWARD, STRIKES, YEARS, RATE, VOLATILITY - step, is_call=SIDES)
    np.testing.assert_allclose(desk().vega, (up - down) / (2 * step) * 0.01, rtol=1e-5, atol=1e-7)


def test_rho_is_per_percentage_point_with_the_forward_held() -> None:
    """Rho agrees with the price's change for one hundredth of rate while the forward stays."""
    step = 1e-6
    up = price(FORWARD, STRIKES, YEARS, RATE + step, VOLATILITY, is_call=SIDES)
    down = price(FORWARD, STRIKES, YEARS, RATE - step, VOLATILITY, is_call=SIDES)
    np.testing.assert_allclose(desk().rho, (up - down) / (2 * step) * 0.01, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [80.0, 100.0, 125.0])
def test_spot_greeks_are_slopes_in_spot_time_and_rate(strike: float, is_call: bool) -> None:
    """With a dividend yield too, each spot Greek agrees with a central difference of the spot price."""

    def value(spot: float = 100.0, years: float = 0.7, rate: float = 0.06, volatility: float = 0.3) -> float:
        return float(price_on_spot(spot, strike, years, rate, volatility, is_call=is_call, dividend_yield=0.02))

    h = 1e-4
    result = spot_greeks(100, strike, 0.7, 0.06, 0.3, is_call=is_call, dividend_yield=0.02)
    assert result.delta == pytest.approx((value(spot=100 + h) - value(spot=100 - h)) / (2 * h), rel=1e-6)
    bump = 0.01
    curvature = (value(spot=100 + bump) - 2 * value() + value(spot=100 - bump)) / bump**2
    assert result.gamma == pytest.approx(curvature, rel=1e-5)
    assert result.theta == pytest.approx((value(years=0.7 - h) - value(years=0.7 + h)) / (2 * h) / 365, rel=1e-6)
    up, down = value(volatility=0.3 + h), value(volatility=0.3 - h)
    assert result.vega == pytest.approx((up - down) / (2 * h) * 0.01, rel=1e-6)
    assert result.rho == pytest.approx((value(rate=0.06 + h) - value(rate=0.06 - h)) / (2 * h) * 0.01, rel=1e-6)


@settings(deadline=None)
@given(st.floats(100.0, 1e5), st.floats(-0.6, 0.6), st.floats(1e-5, 5.0), st.floats(-0.02, 0.12), st.floats(0.02, 2.0))
def test_call_and_put_share_what_parity_says(
    forward: float, moneyness: float, years: float, rate: float, volatility: float
) -> None:
    """The deltas differ by the discount factor; gamma and vega are the same for call and put."""
    both = greeks(forward, forward * math.exp(moneyness), years, rate, volatility, is_call=[True, False])
    assert both.delta[0] - both.delta[1] == pytest.approx(math.exp(-rate * years), rel=1e-14)
    assert both.gamma[0] == both.gamma[1] >= 0.0
    assert both.vega[0] == both.vega[1] >= 0.0
    assert 0.0 <= both.delta[0] <= math.exp(-rate * years)
    assert -math.exp(-rate * years) <= both.delta[1] <= 0.0


def test_expired_options_have_step_deltas_and_no_gamma() -> None:
    """At expiry, away from the money, delta is 0 or 1 and gamma, vega and rho vanish, without a warning."""
    result = greeks(100, [90, 110], 0, 0.05, 0.2, is_call=[[True], [False]])
    np.testing.assert_array_equal(result.delta, [[1, 0], [0, -1]])
    np.testing.assert_array_equal(result.gamma, 0.0)
    np.testing.assert_array_equal(result.vega, 0.0)
    np.testing.assert_array_equal(result.rho, 0.0)
    np.testing.assert_array_equal(result.price, [[10, 0], [0, 10]])


def test_at_the_money_at_expiry_the_unbounded_greeks_are_unknown() -> None:
    """Where gamma and theta have no limit they are NaN, not infinite; delta is its symmetric limit."""
    result = greeks(100, 100, 0, 0.05, 0.2, is_call=[True, False])
    np.testing.assert_array_equal(result.delta, [0.5, -0.5])
    assert np.isnan(result.gamma).all()
    assert np.isnan(result.theta).all()


def test_one_minute_to_expiry_is_finite() -> None:
    """With a minute left every Greek of every strike is a finite number."""
    result = greeks(24_200, np.arange(22_000.0, 26_000.0, 50.0), 1 / 525_600, 0.065, 0.15, is_call=SIDES)
    assert all(np.isfinite(field).all() for field in result)


def test_unknown_volatility_gives_unknown_greeks() -> None:
    """A NaN volatility blanks exactly its own element, in every field and on both sides."""
    result = greeks(100, [90, 100, 110], 1, 0.05, [0.2, math.nan, 0.2], is_call=SIDES)
    for field in result:
        assert np.isnan(field).tolist() == [[False, True, False]] * 2


@pytest.mark.parametrize("forward", [0.0, -1.0, math.nan, math.inf])
def test_greeks_of_an_impossible_forward_are_unknown(forward: float) -> None:
    """No Greek is invented for a forward that cannot be."""
    assert all(np.isnan(field).all() for field in greeks(forward, [90, 100], 1, 0.05, 0.2, is_call=True))
    assert all(np.isnan(field).all() for field in spot_greeks(forward, [90, 100], 1, 0.05, 0.2, is_call=True))


def test_every_field_has_the_full_shape() -> None:
    """Fields that do not depend on the side are still given for both, and can be written to."""
    result = greeks(100, [90, 100, 110], 1, 0.05, 0.2, is_call=SIDES)
    assert {field.shape for field in result} == {(2, 3)}
    result.gamma[0, 0] = 5.0
    assert result.gamma[1, 0] != 5.0
    assert {field.shape for field in greeks(100, 100, 1, 0.05, 0.2, is_call=True)} == {()}
    assert {field.shape for field in greeks(100, [], 1, 0.05, 0.2, is_call=SIDES)} == {(2, 0)}


def test_results_go_to_the_given_arrays() -> None:
    """With ``out`` the very arrays given are filled and returned, on the forward and on the spot."""
    for function in (greeks, spot_greeks):
        out = Greeks(*np.empty((6, 2, 6)))
        returned = function(FORWARD, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES, out=out)
        expected = function(FORWARD, STRIKES, YEARS, RATE, VOLATILITY, is_call=SIDES)
        for mine, given_array, value in zip(returned, out, expected, strict=True):
            assert mine is given_array
            np.testing.assert_array_equal(mine, value)
