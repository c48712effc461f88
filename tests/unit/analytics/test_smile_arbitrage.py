"""The arbitrage checks against published examples and against money made with prices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.smile_arbitrage import UNCHECKED, Expiry, check_butterfly, check_calendar
from engine.analytics.svi import SviParameters, total_variance
from tests.unit.analytics.plain_kernels import from_raw

VOGT = from_raw(SviParameters(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153))
REPAIRED = from_raw(SviParameters(a=-0.030509, b=0.102717, rho=0.100718, m=0.272344, sigma=0.412398))
"""Gatheral and Jacquier's arbitrage-free neighbour of Vogt's curve."""

GENTLE = SviParameters(0.01, 0.05, -0.3, 0.0, 0.2)


def butterflies(row: FloatArray, strikes: FloatArray) -> FloatArray:
    """The prices of unit butterflies at the inner strikes, forward 1, no rate, one year."""
    volatility = np.sqrt(total_variance(row, np.log(strikes)))
    calls = price(1.0, strikes, 1.0, 0.0, volatility, is_call=True)
    slopes = np.diff(calls) / np.diff(strikes)
    return np.diff(slopes)


def test_the_standard_example_is_caught_where_its_butterflies_are_negative() -> None:
    """Vogt's curve is refused, and at the place named a butterfly really costs less than nothing."""
    check = check_butterfly(VOGT, -1.0, 1.2)
    assert not check.free_in_quotes
    assert not check.free_everywhere
    assert check.least_density < -0.01
    around = np.exp(check.worst_log_moneyness + np.array([-0.01, 0.0, 0.01]))
    assert butterflies(VOGT, around)[0] < 0.0


def test_its_repaired_neighbour_passes() -> None:
    """The published repair has no negative butterfly and passes."""
    check = check_butterfly(REPAIRED, -1.0, 1.2)
    assert check.free_everywhere
    assert check.least_density > 0.0
    assert (butterflies(REPAIRED, np.exp(np.linspace(-1.0, 1.2, 400))) > 0.0).all()


def test_arbitrage_beyond_the_quotes_is_told_apart() -> None:
    """Where only the continuation is bad, the quotes themselves are called free."""
    check = check_butterfly(VOGT, -0.5, 0.3)
    assert check.free_in_quotes
    assert not check.free_everywhere
    assert check.worst_log_moneyness > 0.3


def test_a_wing_beyond_lees_bound_is_arbitrage() -> None:
    """A wing steeper than 2 is none that a price can have, and the steeper wing is told."""
    check = check_butterfly(np.array([0.5, 0.1, 2.1, 0.0, 0.5]), -0.1, 0.1)
    assert check.steepest_wing == 2.1
    assert not check.free_everywhere


@pytest.mark.parametrize(
    ("row", "low", "high"),
    [(np.full(5, math.nan), -1.0, 1.0), (VOGT, 1.0, 1.0), (VOGT, 1.0, -1.0), (VOGT, math.nan, 1.0)],
)
def test_what_cannot_be_checked_does_not_pass(row: FloatArray, low: float, high: float) -> None:
    """Without a curve or a range the answer is "unchecked", which is not free."""
    assert check_butterfly(row, low, high) == UNCHECKED
    assert not UNCHECKED.free_everywhere


def expiry(years: float, scale: float, *, low: float = -0.5, high: float = 0.5, tilt: float = -0.3) -> Expiry:
    """A gentle curve whose total variance is scaled."""
    return Expiry(from_raw(GENTLE._replace(a=GENTLE.a * scale, b=GENTLE.b * scale, rho=tilt)), years, low, high)


def test_variance_that_grows_with_time_passes() -> None:
    """Three expiries in any order, each with more total variance than the one before."""
    assert check_calendar([expiry(0.5, 2.0), expiry(0.1, 1.0), expiry(1.0, 2.5)]) == ()


def test_a_fall_is_found_and_costs_money() -> None:
    """A later expiry with less total variance is named, and its call at that strike is cheaper than the nearer one."""
    expiries = [expiry(0.25, 1.0), expiry(0.1, 1.5), expiry(0.5, 3.0)]
    (breach,) = check_calendar(expiries)
    assert (breach.near, breach.far) == (1, 0)
    assert breach.fall > 0.0
    strike = math.exp(breach.log_moneyness)
    deviations = [math.sqrt(float(total_variance(expiries[i].row, breach.log_moneyness)[0])) for i in (1, 0)]
    near, far = price(1.0, strike, 1.0, 0.0, deviations, is_call=True)
    assert near > far
    expected = (deviations[0] - deviations[1]) / math.sqrt(0.25)
    assert breach.volatility_gap == pytest.approx(expected)


def test_crossing_wings_are_found() -> None:
    """Curves that agree at the money but cross in one wing are a breach in that wing."""
    (breach,) = check_calendar([expiry(0.2, 1.0, tilt=-0.3), expiry(0.3, 1.02, tilt=0.5)])
    assert breach.log_moneyness == pytest.approx(-0.5)


def test_only_where_both_are_quoted() -> None:
    """A crossing where one of them has no quotes is no statement about prices."""
    near, far = expiry(0.2, 1.0, tilt=-0.3, low=-0.1, high=0.5), expiry(0.3, 1.3, tilt=0.5, low=-0.5)
    assert check_calendar([near._replace(lowest=-0.5), far]) != ()
    assert check_calendar([near, far]) == ()
    assert check_calendar([near._replace(lowest=0.6, highest=0.9), far]) == ()


def test_unknown_expiries_take_no_part() -> None:
    """One without a curve or without time is skipped, and its neighbours are compared."""
    unknown = Expiry(np.full(5, math.nan), 0.15, -0.5, 0.5)
    breaches = check_calendar([expiry(0.1, 1.5), unknown, expiry(0.25, 1.0), expiry(0.0, 9.0)])
    assert [(breach.near, breach.far) for breach in breaches] == [(0, 2)]
    assert check_calendar([]) == ()
