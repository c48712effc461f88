"""Implied volatility: round trips over the whole domain, and a reason for every price that has none."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.analytics.implied_volatility import IvReason, implied_volatility

MINUTE = 1 / 525_600
UNIT_ROUNDOFF = 2.0**-53


def condition(premium: float, forward: float, strike: float, years: float, volatility: float) -> float:
    """How many times a relative error of the price is magnified in the volatility."""
    per_unit = float(greeks(forward, strike, years, 0.0, volatility, is_call=True).vega) * 100
    return premium / (volatility * per_unit) if per_unit > 0 else math.inf


@settings(deadline=None, max_examples=300)
@given(st.floats(1.0, 1e5), st.floats(-1.5, 1.5), st.floats(MINUTE, 10.0), st.floats(0.005, 5.0), st.booleans())
def test_round_trip(forward: float, moneyness: float, years: float, volatility: float, call: bool) -> None:
    """Price, solve, and get the volatility back, as exactly as the rounding of the price allows."""
    strike = forward * math.exp(moneyness)
    premium = float(price(forward, strike, years, 0.0, volatility, is_call=call))
    magnified = condition(premium, forward, strike, years, volatility)
    found, reason = implied_volatility(premium, forward, strike, years, 0.0, is_call=call)
    if premium < 1e-290 or magnified > 1e10:
        assert np.isnan(found) == (reason != IvReason.OK)
        return
    assert reason == IvReason.OK
    assert found == pytest.approx(volatility, rel=1e-12 + 8 * UNIT_ROUNDOFF * magnified)


@pytest.mark.parametrize("years", [MINUTE, 5 * MINUTE, 1 / 8760, 1 / 365, 7 / 365, 0.25, 1.0, 10.0])
@pytest.mark.parametrize("volatility", [0.005, 0.02, 0.1, 0.5, 1.0, 2.0])
def test_at_the_money_round_trip_to_full_precision(years: float, volatility: float) -> None:
    """At and next to the money, where a chain lives, twelve digits come back from a minute to ten years."""
    strikes = 24_200 * np.exp(np.array([-1e-9, -1e-6, -1e-4, 0.0, 1e-4, 1e-6, 1e-9]) * math.sqrt(years))
    premium = price(24_200, strikes, years, 0.0, volatility, is_call=strikes >= 24_200)
    found, reason = implied_volatility(premium, 24_200, strikes, years, 0.0, is_call=strikes >= 24_200)
    assert (reason == IvReason.OK).all()
    magnification = premium / (24_200 * 0.3989 * np.exp(-(volatility**2) * years / 8) * volatility * math.sqrt(years))
    np.testing.assert_array_less(np.abs(found / volatility - 1), 1e-13 + 4 * UNIT_ROUNDOFF * magnification)


def test_hard_grid_price_comes_back() -> None:
    """Over the whole grid the price of the found volatility is the given price, to 1e-12."""
    forward = 24_500.0
    grid = np.array(
        list(
            itertools.product(
                forward * np.exp([-3.0, -1.6, -0.4, -0.1, -0.02, -1e-3, 0.0, 1e-4, 0.01, 0.05, 0.2, 0.8, 1.6, 3.0]),
                [MINUTE, 1 / 8760, 1 / 365, 7 / 365, 0.25, 1.0, 2.0, 10.0],
                [0.005, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0],
                [0.0, 1.0],
            )
        )
    )
    strike, years, volatility, side = grid.T
    premium = price(forward, strike, years, 0.065, volatility, is_call=side)
    found, reason = implied_volatility(premium, forward, strike, years, 0.065, is_call=side)
    solved = (reason == IvReason.OK) & (premium > 1e-290)
    assert solved.sum() > 1_000
    back = price(forward, strike, years, 0.065, found, is_call=side)
    np.testing.assert_array_less(np.abs(back / premium - 1)[solved], 1e-12)
    unsolved = reason[(reason != IvReason.OK) & (premium > 1e-290)]
    assert set(unsolved.tolist()) <= {IvReason.BELOW_INTRINSIC, IvReason.ABOVE_MAXIMUM}


def test_every_element_is_a_value_or_a_reason() -> None:
    """NaN and a reason go together, and no failure looks like a volatility of zero."""
    rng = np.random.default_rng(7)
    premium = rng.choice([math.nan, math.inf, -1.0, 0.0, 1e-320, 0.05, 3.0, 50.0, 99.9, 100.0, 1e9], 4_000)
    strike = rng.choice([math.nan, 0.0, -1.0, 50.0, 99.95, 100.0, 150.0, math.inf], 4_000)
    years = rng.choice([math.nan, -1.0, 0.0, MINUTE, 0.1, 1.0, math.inf], 4_000)
    found, reason = implied_volatility(premium, 100.0, strike, years, 0.065, is_call=rng.random(4_000) < 0.5)
    np.testing.assert_array_equal(np.isnan(found), reason != IvReason.OK)
    assert (found[reason == IvReason.OK] > 0).all()
    assert np.isfinite(found[reason == IvReason.OK]).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"price": math.nan}, IvReason.NO_PRICE),
        ({"price": 0.0}, IvReason.NO_PRICE),
        ({"price": -1.0}, IvReason.BAD_INPUT),
        ({"price": math.inf}, IvReason.BAD_INPUT),
        ({"price": 9.9}, IvReason.BELOW_INTRINSIC),
        ({"price": 10.0}, IvReason.BELOW_INTRINSIC),
        ({"price": 110.0}, IvReason.ABOVE_MAXIMUM),
        ({"price": 500.0}, IvReason.ABOVE_MAXIMUM),
        ({"years": 0.0}, IvReason.NO_TIME),
        ({"years": -1.0}, IvReason.NO_TIME),
        ({"years": 0.0, "price": math.nan}, IvReason.NO_TIME),
        ({"years": math.nan}, IvReason.BAD_INPUT),
        ({"years": math.inf}, IvReason.BAD_INPUT),
        ({"forward": math.nan}, IvReason.BAD_INPUT),
        ({"forward": 0.0}, IvReason.BAD_INPUT),
        ({"forward": -110.0}, IvReason.BAD_INPUT),
        ({"strike": math.nan}, IvReason.BAD_INPUT),
        ({"strike": 0.0}, IvReason.BAD_INPUT),
        ({"strike": -100.0}, IvReason.BAD_INPUT),
        ({"rate": math.nan}, IvReason.BAD_INPUT),
        ({"rate": math.inf}, IvReason.BAD_INPUT),
    ],
)
def test_reasons_of_a_call(change: dict[str, float], reason: IvReason) -> None:
    """Each way to have no volatility is told apart, and a good neighbour in the same call is still solved."""
    good = {"price": 15.0, "forward": 110.0, "strike": 100.0, "years": 0.5, "rate": 0.0}
    column = {name: [value, change.get(name, value)] for name, value in good.items()}
    found, reasons = implied_volatility(
        column["price"], column["forward"], column["strike"], column["years"], column["rate"], is_call=True
    )
    assert reasons.tolist() == [IvReason.OK, reason]
    assert np.isfinite(found[0])
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    ("premium", "reason"),
    [(9.99, IvReason.BELOW_INTRINSIC), (12.0, IvReason.OK), (100.0, IvReason.ABOVE_MAXIMUM)],
)
def test_bounds_of_a_put(premium: float, reason: IvReason) -> None:
    """A put is bounded by its own intrinsic value and by the strike."""
    assert implied_volatility(premium, 90, 100, 0.5, 0.0, is_call=False).reason == reason


def test_intrinsic_is_discounted() -> None:
    """A deep call below the undiscounted but above the discounted intrinsic value still has a volatility."""
    found, reason = implied_volatility(48.0, 150, 100, 1.0, 0.065, is_call=True)
    assert reason == IvReason.OK
    assert price(150, 100, 1.0, 0.065, found, is_call=True) == pytest.approx(48.0, rel=1e-13)


def test_call_and_put_of_one_strike_agree_on_the_forward() -> None:
    """Prices made from one volatility give that volatility on both sides, in and out of the money."""
    strikes = np.arange(22_500.0, 26_000.0, 50.0)
    smile = 0.12 + 0.4 * np.abs(np.log(strikes / 24_200))
    premiums = price(24_200, strikes, 7 / 365, 0.065, smile, is_call=[[True], [False]])
    found, reason = implied_volatility(premiums, 24_200, strikes, 7 / 365, 0.065, is_call=[[True], [False]])
    assert (reason == IvReason.OK).all()
    np.testing.assert_allclose(found, np.stack((smile, smile)), rtol=1e-9)


def test_rises_with_the_price() -> None:
    """A dearer option has a higher volatility, from nearly nothing to nearly the maximum."""
    premiums = np.concatenate((np.geomspace(1e-12, 1.0, 200), np.linspace(1.1, 99.9, 900), [99.999, 99.9999]))
    found, reason = implied_volatility(premiums, 100, 105, 0.5, 0.0, is_call=True)
    assert (reason == IvReason.OK).all()
    assert (np.diff(found) > 0).all()


def test_one_tick_with_a_minute_left() -> None:
    """The smallest tick far from the money, a minute before expiry, is solved and not capped."""
    found, reason = implied_volatility(0.05, 24_200, 26_000, MINUTE, 0.065, is_call=True)
    assert reason == IvReason.OK
    assert price(24_200, 26_000, MINUTE, 0.065, found, is_call=True) == pytest.approx(0.05, rel=1e-12)
    assert found > 5.0


def test_a_price_too_small_to_hold_information_is_not_guessed() -> None:
    """A subnormal price gives either the right volatility or NaN with a reason, never a bound."""
    tiny = 3.0e-320
    found, reason = implied_volatility(tiny, 24_500, 24_014.85, 1 / 365, 0.0, is_call=False)
    assert np.isnan(found) == (reason != IvReason.OK)
    if reason == IvReason.OK:
        assert found == pytest.approx(0.01, rel=1e-2)


def test_shapes_and_types() -> None:
    """Results have the broadcast shape; reasons take one byte; nothing in, nothing out."""
    found, reason = implied_volatility([[1.0], [2.0]], 100, [100, 101, 102], 1, 0.0, is_call=True)
    assert found.shape == reason.shape == (2, 3)
    assert reason.dtype == np.uint8
    scalar, why = implied_volatility(10.0, 100, 100, 1, 0.0, is_call=True)
    assert scalar.shape == why.shape == ()
    empty, none = implied_volatility([], 100, [], 1, 0.0, is_call=True)
    assert empty.shape == none.shape == (0,)


def test_inputs_are_not_changed() -> None:
    """Read-only and non-contiguous columns are accepted and left as they were."""
    table = np.array([[10.0, 1.0], [math.nan, 2.0], [5.0, 3.0]])
    table.flags.writeable = False
    found, _ = implied_volatility(table[:, 0], 100, 100, 1, 0.0, is_call=True)
    assert np.isnan(found).tolist() == [False, True, False]
    assert table[0, 0] == 10.0


def test_result_does_not_depend_on_company() -> None:
    """An option solved in a chain, next to broken ones, gets the value it gets alone."""
    strikes = np.arange(22_000.0, 26_500.0, 50.0)
    premiums = price(24_200, strikes, 3 / 365, 0.065, 0.15, is_call=strikes > 24_200)
    premiums[::7] = math.nan
    together = implied_volatility(premiums, 24_200, strikes, 3 / 365, 0.065, is_call=strikes > 24_200).volatility
    for i in range(strikes.size):
        alone = implied_volatility(premiums[i], 24_200, strikes[i], 3 / 365, 0.065, is_call=strikes[i] > 24_200)
        np.testing.assert_allclose(alone.volatility, together[i], rtol=1e-14)
