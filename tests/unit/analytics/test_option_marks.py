"""Volatility and Greeks in one call: the same as apart, for arrays and for one option on plain floats."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.analytics.implied_volatility import IvReason, implied_volatility
from engine.analytics.option_marks import mark_option, mark_options
from engine.analytics.single_option import SingleMark, mark_single
from engine.analytics.workspace import BLOCK

FORWARD, RATE = 24_200.0, 0.065
STRIKES = np.arange(22_500.0, 26_000.0, 50.0)
MINUTE = 1 / 525_600
ODD_VALUES = (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-320, 1e-300, 1e-9, 0.05, 3.0, 99.0, 100.0, 1e9, 1e300)


@pytest.mark.parametrize("years", [MINUTE, 1 / 365, 4.25 / 365, 0.5, 10.0])
@pytest.mark.parametrize("volatility", [0.02, 0.12, 0.8, 4.0])
@pytest.mark.parametrize("size", [1, 2, 70])
def test_marks_are_volatility_and_greeks(years: float, volatility: float, size: int) -> None:
    """Everything in one call equals the two calls, from a minute to ten years, for one option and for many."""
    strikes = FORWARD * np.exp(np.linspace(-2, 2, size) * min(volatility * math.sqrt(years), 1.0))
    is_call = strikes >= FORWARD
    premium = price(FORWARD, strikes, years, RATE, volatility, is_call=is_call)
    marks = mark_options(premium, FORWARD, strikes, years, RATE, is_call=is_call)
    found, reason = implied_volatility(premium, FORWARD, strikes, years, RATE, is_call=is_call)
    np.testing.assert_array_equal(marks.reason, reason)
    assert (reason == IvReason.OK).all()
    np.testing.assert_allclose(marks.volatility, found, rtol=1e-14)
    expected = greeks(FORWARD, strikes, years, RATE, found, is_call=is_call)
    for name, mine, theirs in zip(expected._fields, marks.greeks, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-11, err_msg=name)


def test_several_expiries_in_one_call() -> None:
    """Forward, time and rate may differ from option to option."""
    forward = np.array([24_200.0, 24_300.0, 24_400.0, 100.0])
    strike = np.array([24_000.0, 24_300.0, 26_000.0, 120.0])
    years = np.array([1 / 365, 9 / 365, 1.0, 10.0])
    rate = np.array([0.065, 0.05, -0.01, 0.0])
    volatility = np.array([0.1, 0.2, 0.3, 3.0])
    premium = price(forward, strike, years, rate, volatility, is_call=False)
    marks = mark_options(premium, forward, strike, years, rate, is_call=False)
    expected = greeks(forward, strike, years, rate, volatility, is_call=False)
    np.testing.assert_allclose(marks.volatility, volatility, rtol=1e-9)
    np.testing.assert_allclose(marks.volatility[:3], volatility[:3], rtol=1e-12)
    for mine, theirs in zip(marks.greeks, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-8)


@pytest.mark.parametrize("size", [1, 2, 5, BLOCK + 3])
def test_an_option_without_volatility_has_a_reason_and_nothing_else(size: int) -> None:
    """NaN in every Greek exactly where the reason is not OK, however many options there are."""
    premium = np.full(size, 150.0)
    premium[0] = math.nan
    marks = mark_options(premium, FORWARD, FORWARD, 4 / 365, RATE, is_call=True)
    assert marks.reason[0] == IvReason.NO_PRICE
    assert (marks.reason[1:] == IvReason.OK).all()
    for field in (marks.volatility, *marks.greeks):
        assert np.isnan(field[0])
        assert np.isfinite(field[1:]).all()


def test_shapes_follow_broadcasting() -> None:
    """Scalars give arrays without dimensions, rows and columns a grid, nothing nothing."""
    scalar = mark_options(100.0, FORWARD, FORWARD, 4 / 365, RATE, is_call=True)
    fields = (scalar.volatility, scalar.reason, *scalar.greeks)
    assert all(type(field) is np.ndarray for field in fields)
    assert {field.shape for field in fields} == {()}
    missing = mark_options(math.nan, FORWARD, FORWARD, 4 / 365, RATE, is_call=True)
    assert missing.volatility.shape == ()
    grid = mark_options([[100.0], [120.0]], FORWARD, [24_000.0, 24_200.0, 24_400.0], 9 / 365, RATE, is_call=True)
    assert {field.shape for field in (grid.volatility, grid.reason, *grid.greeks)} == {(2, 3)}
    assert mark_options([], FORWARD, [], 4 / 365, RATE, is_call=True).greeks.vega.shape == (0,)
    with pytest.raises(ValueError, match="shape"):
        mark_options([1.0, 2.0], FORWARD, [1.0, 2.0, 3.0], 4 / 365, RATE, is_call=True)


@settings(deadline=None, max_examples=300)
@given(
    forward=st.floats(1.0, 1e5),
    moneyness=st.floats(-1.5, 1.5),
    years=st.floats(MINUTE, 10.0),
    volatility=st.floats(0.005, 5.0),
    call=st.booleans(),
    last=st.one_of(st.just(math.nan), st.floats(1e-3, 10.0)),
)
def test_one_option_on_plain_floats_is_what_arrays_say(
    forward: float, moneyness: float, years: float, volatility: float, *, call: bool, last: float
) -> None:
    """The scalar call gives the arrays' volatility and Greeks, or their reason."""
    strike = forward * math.exp(moneyness)
    premium = float(price(forward, strike, years, RATE, volatility, is_call=call))
    intrinsic = math.exp(-RATE * years) * max(forward - strike if call else strike - forward, 0.0)
    # Where the price holds nothing but the rounding of its intrinsic value even the reason is a matter of rounding.
    assume(premium == 0.0 or premium - intrinsic > 1e-12 * premium)
    mark = mark_option(premium, forward, strike, years, RATE, is_call=call, last=last)
    arrays = mark_options(np.full(3, premium), forward, strike, years, RATE, is_call=call)
    if not isinstance(mark, SingleMark):
        assert mark == arrays.reason[0] != IvReason.OK
        return
    assert arrays.reason[0] == IvReason.OK
    if premium > 1e-290:
        back = price(forward, strike, years, RATE, mark.volatility, is_call=call)
        assert back == pytest.approx(premium, rel=2e-12)
        expected = greeks(forward, strike, years, RATE, mark.volatility, is_call=call)
        for name, theirs in zip(expected._fields, expected, strict=True):
            # Theta is a difference of two terms of this size.
            size = RATE * premium / 365 + float(expected.vega) * mark.volatility * 100 / (730 * years)
            slack = 1e-12 * size if name == "theta" else 1e-300
            assert getattr(mark, name) == pytest.approx(float(theirs), rel=2e-11, abs=slack), name


def test_one_option_with_garbage_is_a_reason() -> None:
    """Every combination of odd values: no exception, a volatility above zero or the reason of the arrays."""
    for premium, forward, strike, years in itertools.product(ODD_VALUES, repeat=4):
        mark = mark_option(premium, forward, strike, years, 0.065, is_call=True)
        if isinstance(mark, SingleMark):
            assert 0.0 < mark.volatility < math.inf
        else:
            assert mark != IvReason.OK


@pytest.mark.parametrize("rate", [math.nan, math.inf, -math.inf, 1e6, -1e6])
def test_one_option_with_an_absurd_rate_is_a_reason(rate: float) -> None:
    """A rate that is no rate has no answer."""
    assert isinstance(mark_option(100.0, FORWARD, FORWARD, 1.0, rate, is_call=True), IvReason)


def test_the_plain_way_leaves_the_unusual_to_the_arrays() -> None:
    """Above half of the maximum there is no plain answer, but there is one."""
    premium = float(price(100, 100, 4.0, 0.0, 2.0, is_call=True))
    assert mark_single(premium, 100.0, 100.0, 4.0, 0.0, sign=1.0) is None
    mark = mark_option(premium, 100.0, 100.0, 4.0, 0.0, is_call=True)
    assert isinstance(mark, SingleMark)
    assert mark.volatility == pytest.approx(2.0, rel=1e-12)


@pytest.mark.parametrize("last", [math.nan, 0.0, -1.0, 1e-8, 50.0, 1e80, math.inf])
def test_one_option_forgets_a_start_that_leads_nowhere(last: float) -> None:
    """A wrong last volatility costs time and nothing else."""
    premium = float(price(FORWARD, 24_500, 4 / 365, RATE, 0.12, is_call=True))
    mark = mark_single(premium, FORWARD, 24_500.0, 4 / 365, RATE, sign=1.0, last=last)
    assert mark is not None
    assert mark.volatility == pytest.approx(0.12, rel=1e-13)
