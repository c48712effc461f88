"""Legs: reasons for every missing value, the reference of the axis, Greeks of a position in money."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.greeks import greeks
from engine.analytics.legs import (
    LegKind,
    LegReason,
    Legs,
    leg_greeks,
    leg_reasons,
    make_legs,
    nearest_expiry,
    net_greeks,
    reference_forward,
)
from tests.unit.analytics.plain_kernels import no_legs

RATE = 0.065
NEAR, FAR = 6 / 365, 34 / 365


def calendar() -> Legs:
    """A short near call, a long far call and a future, each with its own forward."""
    return make_legs(
        [LegKind.CALL, LegKind.CALL, LegKind.FUTURE],
        [-75.0, 75.0, -25.0],
        strike=[24_400.0, 24_400.0, math.nan],
        entry_price=[150.0, 420.0, 24_490.0],
        years=[NEAR, FAR, FAR],
        forward=[24_400.0, 24_500.0, 24_500.0],
        volatility=[0.12, 0.13, math.nan],
        multiplier=[1.0, 1.0, 2.0],
    )


def test_scalars_and_columns_are_spread() -> None:
    """A scalar stands for every leg, and the columns are copies that the caller may go on changing."""
    quantity = np.array([1.0, -1.0])
    legs = make_legs(LegKind.PUT, quantity, strike=100.0)
    quantity[0] = 99.0
    assert legs.kind.tolist() == [LegKind.PUT, LegKind.PUT]
    assert legs.quantity.tolist() == [1.0, -1.0]
    assert legs.strike.tolist() == [100.0, 100.0]


@pytest.mark.parametrize("quantity", [np.ones((2, 2)), np.ones(3)])
def test_columns_that_do_not_fit_are_refused(quantity: np.ndarray) -> None:
    """Only shapes raise."""
    with pytest.raises(ValueError, match="shape"):
        make_legs([0, 1], quantity)


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("quantity", math.nan, LegReason.NO_QUANTITY),
        ("multiplier", math.inf, LegReason.NO_QUANTITY),
        ("entry_price", math.nan, LegReason.NO_ENTRY_PRICE),
        ("forward", 0.0, LegReason.NO_FORWARD),
        ("forward", math.inf, LegReason.NO_FORWARD),
        ("strike", -5.0, LegReason.NO_STRIKE),
        ("years", math.nan, LegReason.NO_TIME),
        ("years", math.inf, LegReason.NO_TIME),
        ("volatility", -0.1, LegReason.NO_VOLATILITY),
        ("volatility", math.nan, LegReason.NO_VOLATILITY),
    ],
)
def test_every_missing_value_has_its_reason(column: str, value: float, expected: LegReason) -> None:
    """One bad value in a leg gives that reason, and leaves the other legs alone."""
    legs = calendar()
    bad = np.array(getattr(legs, column))
    bad[0] = value
    assert leg_reasons(legs._replace(**{column: bad})).tolist() == [expected, 0, 0]


def test_an_unknown_kind_is_a_reason() -> None:
    """A kind that is none is told, not guessed."""
    assert leg_reasons(make_legs([17], [1.0])).tolist() == [LegReason.BAD_KIND]


def test_reasons_depend_on_the_date_and_on_what_is_asked() -> None:
    """An option needs no volatility once it has expired, no entry price for its value, and nothing without quantity."""
    legs = make_legs(
        [0, 0], [1.0, 0.0], strike=[100.0, math.nan], entry_price=5.0, years=NEAR, forward=100.0, volatility=math.nan
    )
    assert leg_reasons(legs).tolist() == [LegReason.NO_VOLATILITY, LegReason.OK]
    assert leg_reasons(legs, elapsed=NEAR).tolist() == [LegReason.OK, LegReason.OK]
    unpriced = legs._replace(entry_price=np.array([math.nan, math.nan]))
    assert leg_reasons(unpriced, elapsed=NEAR)[0] == LegReason.NO_ENTRY_PRICE
    assert leg_reasons(unpriced, elapsed=NEAR, entry=False)[0] == LegReason.OK


def test_the_axis_is_the_forward_of_the_nearest_option_expiry() -> None:
    """Options name the axis and the horizon before futures do, and legs without quantity never."""
    legs = calendar()
    assert reference_forward(legs) == 24_400.0
    assert nearest_expiry(legs) == NEAR
    closed = legs._replace(quantity=np.array([0.0, 75.0, -25.0]))
    assert reference_forward(closed) == 24_500.0
    assert nearest_expiry(closed) == FAR
    future = make_legs(LegKind.FUTURE, [1.0], forward=24_450.0, years=NEAR)
    assert (reference_forward(future), nearest_expiry(future)) == (24_450.0, NEAR)
    assert math.isnan(reference_forward(no_legs()))
    assert nearest_expiry(no_legs()) == 0.0


def test_net_greeks_are_the_weighted_sum_of_the_legs() -> None:
    """Every figure is quantity times multiplier times the leg's own; a future has delta one and its price as value."""
    legs = calendar()
    near = greeks(24_400.0, 24_400.0, NEAR, RATE, 0.12, is_call=True)
    far = greeks(24_500.0, 24_400.0, FAR, RATE, 0.13, is_call=True)
    net = net_greeks(legs, rate=RATE)
    assert net.value == pytest.approx(-75 * near.price + 75 * far.price - 50 * 24_500.0)
    assert net.delta == pytest.approx(-75 * near.delta + 75 * far.delta - 50)
    assert net.gamma == pytest.approx(-75 * near.gamma + 75 * far.gamma)
    assert net.theta == pytest.approx(-75 * near.theta + 75 * far.theta)
    assert net.vega == pytest.approx(-75 * near.vega + 75 * far.vega)
    assert net.rho == pytest.approx(-75 * near.rho + 75 * far.rho)


def test_a_long_call_and_a_short_put_are_a_discounted_future() -> None:
    """Put-call parity of the position: delta exp(-rT) per unit, no gamma, no vega."""
    legs = make_legs([0, 1], [75.0, -75.0], strike=24_000.0, years=FAR, forward=24_400.0, volatility=0.14)
    net = net_greeks(legs, rate=RATE)
    discount = math.exp(-RATE * FAR)
    assert net.value == pytest.approx(75 * discount * 400.0, rel=1e-12)
    assert net.delta == pytest.approx(75 * discount, rel=1e-12)
    assert net.gamma == pytest.approx(0.0, abs=1e-12)
    assert net.vega == pytest.approx(0.0, abs=1e-9)


def test_no_legs_are_worth_zero_and_an_unknown_leg_makes_the_net_unknown() -> None:
    """Empty is zero; a leg without volatility is NaN, but not when it has no quantity."""
    assert tuple(net_greeks(no_legs(), rate=RATE)) == (0.0,) * 6
    legs = calendar()._replace(volatility=np.array([math.nan, 0.13, math.nan]))
    assert all(math.isnan(value) for value in net_greeks(legs, rate=RATE))
    closed = legs._replace(quantity=np.array([0.0, 75.0, -25.0]))
    assert all(math.isfinite(value) for value in net_greeks(closed, rate=RATE))


def test_expired_options_and_cash_have_plain_greeks() -> None:
    """An expired option is worth its intrinsic value without any volatility; cash is worth one."""
    legs = make_legs(
        [LegKind.PUT, LegKind.CASH, 9],
        [1.0, 5.0, 1.0],
        strike=[110.0, math.nan, 1.0],
        years=[-1.0, 1.0, 1.0],
        forward=100.0,
    )
    result = leg_greeks(legs, rate=RATE)
    np.testing.assert_array_equal(result.price[:2], [10.0, 1.0])
    np.testing.assert_array_equal(result.delta[:2], [-1.0, 0.0])
    assert all(math.isnan(field[2]) for field in result)
