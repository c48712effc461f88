"""Black-76 prices: known values, parity, bounds, limits, shapes, and inputs outside the domain."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.black import forward_from_spot, price
from tests.unit.analytics.plain_kernels import price_on_spot

FORWARDS = st.floats(1.0, 1e5)
LOG_MONEYNESS = st.floats(-1.5, 1.5)
YEARS = st.floats(1 / 525_600, 10.0)
RATES = st.floats(-0.05, 0.15)
VOLATILITIES = st.floats(0.005, 5.0)


@pytest.mark.parametrize(("spot", "expected"), [(100.0, 10.4506), (120.0, 26.1690), (80.0, 1.8594)])
def test_worked_call_prices(spot: float, expected: float) -> None:
    """The product's worked Black-Scholes prices are reproduced to the last printed digit."""
    assert price_on_spot(spot, 100, 1, 0.05, 0.2, is_call=True) == pytest.approx(expected, abs=5e-5)


def test_black_76_is_black_scholes_on_the_implied_forward() -> None:
    """Pricing on spot equals pricing on the forward that spot, rate and dividend yield imply."""
    forward = 100.0 * math.exp((0.05 - 0.02) * 0.5)
    on_spot = price_on_spot(100, 105, 0.5, 0.05, 0.3, is_call=False, dividend_yield=0.02)
    assert on_spot == pytest.approx(float(price(forward, 105, 0.5, 0.05, 0.3, is_call=False)), rel=1e-14)


@settings(deadline=None)
@given(FORWARDS, LOG_MONEYNESS, YEARS, RATES, VOLATILITIES)
def test_put_call_parity(forward: float, moneyness: float, years: float, rate: float, volatility: float) -> None:
    """Call minus put is the discounted forward minus strike, whatever the volatility."""
    strike = forward * math.exp(moneyness)
    call, put = price(forward, strike, years, rate, volatility, is_call=[True, False])
    scale = max(forward, strike) * math.exp(-rate * years)
    assert call - put == pytest.approx((forward - strike) * math.exp(-rate * years), abs=4e-16 * scale)


@settings(deadline=None)
@given(FORWARDS, LOG_MONEYNESS, YEARS, RATES, VOLATILITIES)
def test_price_lies_between_intrinsic_and_maximum(
    forward: float, moneyness: float, years: float, rate: float, volatility: float
) -> None:
    """No price is below its discounted intrinsic value or above the discounted forward (strike for puts)."""
    strike = forward * math.exp(moneyness)
    call, put = price(forward, strike, years, rate, volatility, is_call=[True, False])
    discount = math.exp(-rate * years)
    slack = 1e-15 * max(forward, strike)
    assert discount * max(forward - strike, 0.0) - slack <= call <= discount * forward + slack
    assert discount * max(strike - forward, 0.0) - slack <= put <= discount * strike + slack


@settings(deadline=None)
@given(FORWARDS, LOG_MONEYNESS, YEARS, st.booleans())
def test_price_never_falls_when_volatility_rises(forward: float, moneyness: float, years: float, call: bool) -> None:
    """Along a ladder of volatilities the price is non-decreasing, also across the change of evaluation method."""
    ladder = np.geomspace(0.005, 5.0, 200)
    prices = price(forward, forward * math.exp(moneyness), years, 0.065, ladder, is_call=call)
    assert np.all(np.diff(prices) >= -1e-15 * forward)


def test_price_is_monotone_and_convex_in_strike() -> None:
    """Calls fall and puts rise with the strike, and both are convex: no butterfly costs less than nothing."""
    strikes = np.linspace(20_000, 28_000, 400)
    calls = price(24_000, strikes, 7 / 365, 0.065, 0.14, is_call=True)
    puts = price(24_000, strikes, 7 / 365, 0.065, 0.14, is_call=False)
    assert np.all(np.diff(calls) <= 0)
    assert np.all(np.diff(puts) >= 0)
    assert np.all(np.diff(calls, 2) >= -1e-9)
    assert np.all(np.diff(puts, 2) >= -1e-9)


@pytest.mark.parametrize(("years", "volatility"), [(0.0, 0.2), (0.5, 0.0), (0.0, 0.0)])
@pytest.mark.parametrize("strike", [90.0, 100.0, 110.0])
def test_no_time_or_no_volatility_is_discounted_intrinsic(years: float, volatility: float, strike: float) -> None:
    """In both limits, and at the money too, the price is exactly the discounted intrinsic value."""
    discount = math.exp(-0.05 * years)
    call, put = price(100, strike, years, 0.05, volatility, is_call=[True, False])
    assert call == pytest.approx(discount * max(100 - strike, 0.0), rel=1e-15, abs=0.0)
    assert put == pytest.approx(discount * max(strike - 100, 0.0), rel=1e-15, abs=0.0)


def test_limits_are_approached_continuously() -> None:
    """As volatility shrinks the price tends to the limit and does not jump."""
    prices = price(100, 99, 1, 0.0, [1e-3, 1e-6, 1e-12, 0.0], is_call=True)
    np.testing.assert_allclose(prices, 1.0, rtol=1e-12)


def test_absurd_volatility_gives_the_maximum() -> None:
    """A volatility beyond any market gives the discounted forward and strike instead of an overflow."""
    call, put = price(100, 120, 4, 0.05, 1e4, is_call=[True, False])
    assert call == pytest.approx(100 * math.exp(-0.2), rel=1e-14)
    assert put == pytest.approx(120 * math.exp(-0.2), rel=1e-14)


def test_far_out_of_the_money_price_is_not_lost() -> None:
    """Twenty standard deviations away the price is tiny but positive, and far below float64's cancellation noise."""
    far = float(price(24_000, 24_000 * math.exp(2.0), 0.25, 0.0, 0.2, is_call=True))
    assert 0.0 < far < 1e-80


@pytest.mark.parametrize(
    "bad",
    [
        {"volatility": -0.1},
        {"years": -0.01},
        {"forward": 0.0},
        {"forward": -5.0},
        {"strike": 0.0},
        {"strike": -5.0},
        *(
            {name: value}
            for name in ("forward", "strike", "years", "rate", "volatility")
            for value in (math.nan, math.inf)
        ),
        {"rate": -math.inf},
    ],
)
def test_outside_the_domain_is_nan(bad: dict[str, float]) -> None:
    """Each impossible input gives NaN for its own element and leaves its neighbours alone."""
    good = {"forward": 100.0, "strike": 100.0, "years": 1.0, "rate": 0.05, "volatility": 0.2}
    columns = {name: [good[name], bad.get(name, good[name]), good[name]] for name in good}
    values = price(
        columns["forward"], columns["strike"], columns["years"], columns["rate"], columns["volatility"], is_call=True
    )
    assert np.isnan(values).tolist() == [False, True, False]


def test_shapes_follow_broadcasting() -> None:
    """Scalars give a scalar shape; rows and columns give a grid; nothing gives nothing."""
    assert price(100, 100, 1, 0.05, 0.2, is_call=True).shape == ()
    assert price(np.array([[100.0], [101.0]]), [90, 100, 110], 1, 0.05, 0.2, is_call=True).shape == (2, 3)
    assert price(100, 100, 1, 0.05, 0.2, is_call=[[True], [False]]).shape == (2, 1)
    assert price(100, [], 1, 0.05, 0.2, is_call=True).shape == (0,)
    assert price(100, [90, 110], 1, 0.05, 0.2, is_call=True).dtype == np.float64


def test_inputs_that_do_not_fit_are_refused() -> None:
    """Shapes that cannot be combined are the caller's mistake and raise."""
    with pytest.raises(ValueError, match="shape mismatch"):
        price([1.0, 2.0], [1.0, 2.0, 3.0], 1, 0.05, 0.2, is_call=True)


def test_result_goes_to_the_given_array() -> None:
    """With ``out`` the very array given is filled and returned."""
    out = np.empty(3)
    returned = price(100, [90, 100, 110], 1, 0.05, 0.2, is_call=True, out=out)
    assert returned is out
    np.testing.assert_array_equal(out, price(100, [90, 100, 110], 1, 0.05, 0.2, is_call=True))


def test_inputs_are_not_changed() -> None:
    """Read-only columns can be priced: the kernel writes to nothing it was given."""
    strikes = np.array([90.0, 100.0, 110.0])
    strikes.flags.writeable = False
    price(100, strikes, 1, 0.05, 0.2, is_call=True)
    np.testing.assert_array_equal(strikes, [90.0, 100.0, 110.0])


def test_forward_from_spot_outside_its_domain() -> None:
    """A spot of zero, a negative time or a NaN has no forward."""
    forwards = forward_from_spot([100, 0, -1, math.nan, 100], [1, 1, 1, 1, -1], 0.05)
    assert forwards[0] == pytest.approx(100 * math.exp(0.05))
    assert np.isnan(forwards[1:]).all()


def test_importing_the_package_loads_no_numbers() -> None:
    """The bare package costs nothing: numpy and scipy come only with the kernel that is named."""
    code = "import sys, engine.analytics; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
