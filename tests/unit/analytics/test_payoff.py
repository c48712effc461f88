"""Payoff: worked profits, closed-form strategies, mixed expiries, what is unlimited, and what is unknown."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.black import price
from engine.analytics.legs import LegKind, LegReason, Legs, make_legs
from engine.analytics.payoff import Payoff, payoff, picture_axis, profit
from tests.unit.analytics.plain_kernels import no_legs

RATE = 0.065
FORWARD = 24_400.0
NEAR, FAR = 6 / 365, 34 / 365
CALL, PUT, FUTURE, CASH = LegKind.CALL, LegKind.PUT, LegKind.FUTURE, LegKind.CASH


def options(kind: list[LegKind], quantity: list[float], strike: list[float], entry: list[float]) -> Legs:
    """Legs of one expiry."""
    return make_legs(kind, quantity, strike=strike, entry_price=entry, years=NEAR, forward=FORWARD, volatility=0.12)


def picture(legs: Legs, charges: float = 0.0) -> Payoff:
    """The picture on its own axis."""
    return payoff(legs, picture_axis(legs, points=61), rate=RATE, charges=charges)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        pytest.param([(50, 100.0, 120.0), (-50, 150.0, 130.0), (50, 40.0, 30.0)], 1_500.0, id="three legs"),
        pytest.param([(75, 100.0, 105.0)], 375.0, id="long gains"),
        pytest.param([(50, 100.0, 95.0)], -250.0, id="long loses"),
        pytest.param([(-50, 200.0, 180.0)], 1_000.0, id="short gains"),
        pytest.param([(-75, 100.0, 120.0)], -1_500.0, id="short loses"),
        pytest.param([(75, 123.4567, 128.9876)], 414.8175, id="no rounding inside"),
        pytest.param([(10_000, 50.25, 55.75)], 55_000.0, id="large"),
        pytest.param([], 0.0, id="empty"),
    ],
)
def test_worked_profits(moves: list[tuple[float, float, float]], expected: float) -> None:
    """Signed quantity times (mark less entry): the settled examples, as options that end at their marks."""
    legs = make_legs(
        np.zeros(len(moves), np.uint8),
        [quantity for quantity, _, _ in moves],
        strike=[FORWARD - mark for _, _, mark in moves],
        entry_price=[entry for _, entry, _ in moves],
        years=NEAR,
        forward=FORWARD,
        volatility=0.12,
    )
    assert float(profit(legs, FORWARD, rate=RATE, elapsed=NEAR)[0]) == pytest.approx(expected, abs=1e-9)


def test_short_straddle() -> None:
    """Best at the strike, even at strike plus and minus the credit, unlimited both ways, down to the strike itself."""
    result = picture(options([CALL, PUT], [-75, -75], [24_400, 24_400], [152.0, 149.0]), charges=75.0)
    assert result.exact
    assert result.break_evens.tolist() == [24_100.0, 24_700.0]
    assert (result.best.value, result.best.ranges) == (75 * 301.0 - 75.0, ((24_400.0, 24_400.0),))
    assert (result.best.unlimited_up, result.best.unlimited_down) == (False, False)
    assert result.worst.value == -math.inf
    assert (result.worst.unlimited_up, result.worst.unlimited_down) == (True, True)
    assert math.isnan(result.reward_to_risk)
    assert result.searched == (0.0, math.inf)


def test_long_put_gains_downwards_to_the_strike_and_no_further() -> None:
    """A put's profit is flagged unlimited down and still has its true figure, at zero."""
    result = picture(options([PUT], [75], [24_000], [40.0]))
    assert (result.best.unlimited_up, result.best.unlimited_down) == (False, True)
    assert (result.best.value, result.best.ranges) == (75 * (24_000 - 40.0), ((0.0, 0.0),))
    assert (result.worst.value, result.worst.ranges) == (-3_000.0, ((24_000.0, math.inf),))
    assert result.break_evens.tolist() == [23_960.0]
    assert math.isnan(result.reward_to_risk)


def test_iron_condor() -> None:
    """Everything is bounded: best between the shorts, worst beyond either wing, ratio and break-evens exact."""
    legs = options([PUT, PUT, CALL, CALL], [75, -75, -75, 75], [23_500, 23_800, 24_900, 25_200], [12, 40, 45, 13])
    result = picture(legs, charges=300.0)
    assert (result.best.value, result.best.ranges) == (4_200.0, ((23_800.0, 24_900.0),))
    assert (result.worst.value, result.worst.ranges) == (-18_300.0, ((0.0, 23_500.0), (25_200.0, math.inf)))
    assert result.break_evens.tolist() == [23_744.0, 24_956.0]
    assert result.reward_to_risk == pytest.approx(4_200 / 18_300)
    np.testing.assert_allclose(result.at_expiry.max(), 4_200.0)


def test_ratio_spread_is_unlimited_upwards_only() -> None:
    """Buying one and selling two calls for a credit: one break-even, a peak at the short strike, no floor above."""
    result = picture(options([CALL, CALL], [75, -150], [24_400, 24_700], [150.0, 80.0]))
    assert (result.best.value, result.best.ranges) == (75 * 310.0, ((24_700.0, 24_700.0),))
    assert (result.worst.unlimited_up, result.worst.unlimited_down) == (True, False)
    assert result.break_evens.tolist() == [25_010.0]


def test_covered_future() -> None:
    """A future and a short call of one expiry: bounded above, falling with the future, even at cost less credit."""
    legs = make_legs(
        [FUTURE, CALL],
        [75, -75],
        strike=[math.nan, 24_600.0],
        entry_price=[24_390.0, 90.0],
        years=NEAR,
        forward=FORWARD,
        volatility=[math.nan, 0.12],
    )
    result = picture(legs)
    assert result.break_evens.tolist() == [24_300.0]
    assert (result.best.value, result.best.ranges) == (75 * 300.0, ((24_600.0, math.inf),))
    assert result.worst.unlimited_down
    assert result.worst.value == pytest.approx(-75 * 24_300.0)
    assert result.now[0] < result.at_expiry[0] + 75 * 90.0


def test_a_call_covered_by_a_later_future_is_not_unlimited() -> None:
    """Carry gives the covered tail a slope of its own; it is told as a range that was searched, not as unlimited."""
    legs = make_legs(
        [FUTURE, CALL],
        [75, -75],
        strike=[math.nan, 24_600.0],
        entry_price=[24_490.0, 90.0],
        years=[FAR, NEAR],
        forward=[24_500.0, FORWARD],
        volatility=[math.nan, 0.12],
    )
    result = picture(legs)
    assert result.exact
    assert not result.best.unlimited_up
    assert math.isfinite(result.best.value)
    assert result.searched[1] < 2 * FORWARD
    assert float(profit(legs, result.break_evens, rate=RATE, elapsed=NEAR)[0]) == pytest.approx(0.0, abs=1e-6)


def test_cash_shifts_the_whole_picture() -> None:
    """Money already made by closed legs moves break-evens and extrema; alone it is the same at every price."""
    legs = make_legs(
        [PUT, CASH], [-75, 1_500.0], strike=[24_000.0, math.nan], entry_price=[40.0, 0.0], years=[NEAR, math.inf],
        forward=[FORWARD, math.nan], volatility=[0.12, math.nan],
    )  # fmt: skip
    result = picture(legs)
    assert (result.best.value, result.best.ranges) == (4_500.0, ((24_000.0, math.inf),))
    assert result.break_evens.tolist() == [23_940.0]
    alone = payoff(make_legs(CASH, [-250.0], entry_price=0.0), [1.0, 2.0], rate=RATE)
    assert alone.now.tolist() == alone.at_expiry.tolist() == [-250.0, -250.0]
    assert (alone.best.value, alone.worst.value) == (-250.0, -250.0)
    assert math.isnan(alone.reference)


def test_holdings_never_expire() -> None:
    """A holding is its own price at every date, with a straight line as payoff."""
    result = payoff(make_legs(FUTURE, [10.0], entry_price=95.0, forward=100.0), [90.0, 110.0], rate=RATE)
    assert result.now.tolist() == result.at_expiry.tolist() == [-50.0, 150.0]
    assert result.break_evens.tolist() == [95.0]
    assert (result.best.unlimited_up, result.worst.unlimited_down, result.worst.value) == (True, True, -950.0)


def test_calendar_spread() -> None:
    """At the near expiry the far call has time left: best at the strike, two break-evens to the stated accuracy."""
    legs = make_legs(
        [CALL, CALL],
        [-75, 75],
        strike=24_400.0,
        entry_price=[160.0, 420.0],
        years=[NEAR, FAR],
        forward=[FORWARD, 24_500.0],
        volatility=[0.12, 0.125],
    )
    result = picture(legs)
    assert not result.exact
    assert result.horizon == NEAR
    left = price(24_500.0, 24_400.0, FAR - NEAR, RATE, 0.125, is_call=True)
    assert result.best.value == pytest.approx(75 * (160 - 420 + float(left)), rel=1e-12)
    assert result.best.ranges[0][0] == 24_400.0
    assert not result.worst.unlimited_up
    assert not result.worst.unlimited_down
    assert result.worst.value == pytest.approx(-75 * 260.0, rel=0.03)
    assert result.break_evens.size == 2
    for root in result.break_evens:
        around = root + result.accuracy * np.array([-1.0, 1.0])
        below, above = profit(legs, around, rate=RATE, elapsed=NEAR)
        assert below * above < 0.0


def test_a_given_search_range_is_obeyed_and_told() -> None:
    """Only what lies inside is searched, and the answer says so."""
    legs = make_legs(
        [CALL, CALL], [-75, 75], strike=24_400.0, entry_price=[160.0, 420.0], years=[NEAR, FAR], forward=FORWARD,
        volatility=0.12,
    )  # fmt: skip
    result = payoff(legs, [FORWARD], rate=RATE, search=(24_300.0, 26_000.0))
    assert result.searched == (24_300.0, 26_000.0)
    assert ((result.break_evens > 24_300.0) & (result.break_evens < 26_000.0)).all()


def test_a_double_calendar_has_an_extremum_between_samples() -> None:
    """The trough between two peaks lies on no strike; it is found as deep as a fine scan finds it."""
    legs = make_legs(
        [CALL, CALL, PUT, PUT],
        [-75, 75, -75, 75],
        strike=[24_800.0, 24_800.0, 24_000.0, 24_000.0],
        entry_price=[60.0, 250.0, 60.0, 230.0],
        years=[NEAR, FAR, NEAR, FAR],
        forward=FORWARD,
        volatility=0.12,
    )
    result = picture(legs)
    fine = profit(legs, np.linspace(18_400, 30_400, 480_001), rate=RATE, elapsed=NEAR)
    assert result.best.value == pytest.approx(fine.max(), rel=1e-6)
    assert result.best.value >= fine.max() - 1e-9
    assert result.break_evens.size == int((fine[:-1] * fine[1:] < 0).sum())


def test_profit_at_any_date_and_volatility_is_the_model() -> None:
    """The three axes broadcast, every leg's forward moves by the same ratio, and volatility shifts are added."""
    legs = make_legs(
        [CALL, PUT],
        [75, -150],
        strike=[24_500.0, 24_000.0],
        entry_price=[100.0, 300.0],
        years=[NEAR, FAR],
        forward=[FORWARD, 24_500.0],
        volatility=[0.12, 0.13],
        multiplier=[1.0, 2.0],
    )
    forwards = np.array([23_900.0, 24_400.0, 24_900.0])
    elapsed = np.array([[0.0], [3 / 365], [10 / 365]])
    result = profit(legs, forwards, rate=RATE, elapsed=elapsed, volatility_shift=0.03, charges=50.0)
    assert result.shape == (3, 3)
    for row in range(3):
        for column in range(3):
            ratio = forwards[column] / FORWARD
            near = price(FORWARD * ratio, 24_500.0, max(NEAR - elapsed[row, 0], 0.0), RATE, 0.15, is_call=True)
            far = price(24_500.0 * ratio, 24_000.0, FAR - elapsed[row, 0], RATE, 0.16, is_call=False)
            expected = 75 * (near - 100) - 300 * (far - 300) - 50
            assert result[row, column] == pytest.approx(float(expected), rel=1e-11)


def test_put_call_parity_of_a_position() -> None:
    """A long call and a short put are a straight line through the strike, at expiry and, discounted, now."""
    legs = options([CALL, PUT], [75, -75], [24_300, 24_300], [0.0, 0.0])
    x = np.linspace(20_000.0, 30_000.0, 11)
    np.testing.assert_allclose(profit(legs, x, rate=RATE, elapsed=NEAR), 75 * (x - 24_300.0), rtol=1e-12)
    discount = math.exp(-RATE * NEAR)
    np.testing.assert_allclose(profit(legs, x, rate=RATE), 75 * discount * (x - 24_300.0), rtol=1e-11)


def test_the_picture_begins_at_zero_profit_for_a_position_bought_at_the_model() -> None:
    """At the present forward the profit now is zero less charges when the entry prices are the model's."""
    fair = price(FORWARD, np.array([24_500.0, 24_200.0]), NEAR, RATE, 0.12, is_call=np.array([True, False]))
    legs = options([CALL, PUT], [-75, 150], [24_500, 24_200], fair.tolist())
    result = payoff(legs, [FORWARD], rate=RATE, charges=12.5)
    assert float(result.now[0]) == pytest.approx(-12.5, abs=1e-9)
    assert result.greeks.value == pytest.approx(float(-75 * fair[0] + 150 * fair[1]))


def test_no_legs_are_zero_and_even_everywhere() -> None:
    """An empty strategy is zero, not unknown."""
    result = payoff(no_legs(), [1.0, 2.0], rate=RATE)
    assert result.now.tolist() == result.at_expiry.tolist() == [0.0, 0.0]
    assert (result.best.value, result.worst.value) == (0.0, 0.0)
    assert result.break_evens.tolist() == []


def test_a_missing_volatility_hides_today_but_not_expiry() -> None:
    """What can be known is given, and the reason for the rest."""
    legs = options([CALL], [75], [24_400], [100.0])._replace(volatility=np.array([math.nan]))
    result = picture(legs)
    assert np.isnan(result.now).all()
    assert np.isfinite(result.at_expiry).all()
    assert result.break_evens.tolist() == [24_500.0]
    assert result.reasons_now.tolist() == [LegReason.NO_VOLATILITY]
    assert result.reasons_at_expiry.tolist() == [LegReason.OK]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("entry_price", math.nan, LegReason.NO_ENTRY_PRICE),
        ("forward", math.nan, LegReason.NO_FORWARD),
        ("forward", -1.0, LegReason.NO_FORWARD),
        ("strike", 0.0, LegReason.NO_STRIKE),
        ("strike", math.inf, LegReason.NO_STRIKE),
        ("years", math.nan, LegReason.NO_TIME),
        ("years", math.inf, LegReason.NO_TIME),
        ("quantity", math.nan, LegReason.NO_QUANTITY),
    ],
)
def test_garbage_in_a_leg_is_a_reason(column: str, value: float, reason: LegReason) -> None:
    """No exception, no warning, no invented break-even: NaN and a reason on the leg."""
    legs = options([CALL, PUT], [75, -75], [24_400, 24_000], [100.0, 50.0])
    columns = np.array(getattr(legs, column))
    columns[1] = value
    result = payoff(legs._replace(**{column: columns}), [24_000.0, 24_400.0], rate=RATE)
    assert result.reasons_at_expiry.tolist() == [LegReason.OK, reason]
    assert np.isnan(result.at_expiry).all()
    assert math.isnan(result.best.value)
    assert math.isnan(result.worst.value)
    assert result.break_evens.size == 0
    assert not result.worst.unlimited_up


def test_an_unknown_kind_and_unknown_charges_are_unknown_profits() -> None:
    """A leg that is nothing we know has no value, and a picture net of unknown charges none either."""
    odd = make_legs([9, CALL], [1.0, 1.0], strike=100.0, entry_price=1.0, years=NEAR, forward=100.0, volatility=0.2)
    assert np.isnan(profit(odd, [100.0], rate=RATE)).all()
    fine = options([CALL], [75], [24_400], [100.0])
    assert math.isnan(picture(fine, charges=math.nan).best.value)


def test_legs_without_quantity_change_nothing() -> None:
    """A closed leg may be as incomplete as it likes."""
    legs = options([CALL, PUT], [75, 0], [24_400, math.nan], [100.0, math.nan])
    assert picture(legs).break_evens.tolist() == [24_500.0]
    assert np.isfinite(picture(legs).now).all()


def test_expired_legs_count_their_intrinsic_value() -> None:
    """After the last expiry, now and at expiry are the same."""
    legs = options([CALL], [75], [24_400], [100.0])._replace(years=np.array([-1 / 365]))
    result = payoff(legs, [24_300.0, 24_600.0], rate=RATE)
    assert result.now.tolist() == result.at_expiry.tolist() == [-7_500.0, 7_500.0]
    assert result.horizon == 0.0


def test_a_volatility_below_zero_is_unknown() -> None:
    """A shift that takes a volatility below zero is not clamped."""
    legs = options([CALL], [75], [24_400], [100.0])
    result = profit(legs, FORWARD, rate=RATE, volatility_shift=np.array([-0.13, 0.0]))
    assert np.isnan(result).tolist() == [True, False]


def test_the_axis_shows_all_strikes_and_likely_prices() -> None:
    """The drawn range holds every strike and the asked deviations, and has the asked number of points."""
    axis = picture_axis(options([CALL], [75], [26_500], [5.0]), points=121)
    assert axis.size == 121
    assert axis[0] <= FORWARD * math.exp(-3 * 0.12 * math.sqrt(NEAR))
    assert axis[-1] > 26_500
    assert np.isnan(picture_axis(no_legs(), points=5)).all()
