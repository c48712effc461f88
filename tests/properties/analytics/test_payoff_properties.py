"""Random strategies: what is computed from corners is what a fine scan finds, for any legs."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.analytics.legs import LegKind, Legs, make_legs, net_greeks
from engine.analytics.payoff import payoff, picture_axis, profit
from engine.analytics.probability import outlook
from engine.analytics.scenario import scenario_grid

RATE, FORWARD, YEARS = 0.065, 24_400.0, 6 / 365
STEP = 5.0
FINE = np.arange(0.0, 40_000.0, STEP)
"""Every strike, and with whole premiums every corner's neighbourhood, lies on this grid."""

legs_of_one_expiry = st.lists(
    st.tuples(
        st.sampled_from([LegKind.CALL, LegKind.PUT, LegKind.FUTURE]),
        st.integers(-4, 4).filter(bool).map(lambda lots: lots * 75.0),
        st.integers(440, 540).map(lambda steps: steps * 50.0),
        st.integers(1, 12_000).map(lambda ticks: ticks * 0.05),
    ),
    min_size=1,
    max_size=6,
)


def built(rows: list[tuple[LegKind, float, float, float]]) -> Legs:
    """Legs of one expiry; a future's entry is near its price."""
    entry = [FORWARD + price - 300.0 if kind == LegKind.FUTURE else price for kind, _, _, price in rows]
    return make_legs(
        [row[0] for row in rows],
        [row[1] for row in rows],
        strike=[row[2] for row in rows],
        entry_price=entry,
        years=YEARS,
        forward=FORWARD,
        volatility=0.13,
    )


@settings(deadline=None)
@given(legs_of_one_expiry, st.integers(0, 2_000))
def test_extrema_and_break_evens_are_those_of_a_fine_scan(
    rows: list[tuple[LegKind, float, float, float]], charges: int
) -> None:
    """Best and worst agree with a scan of every strike; break-evens with its changes of sign; each is a zero."""
    legs = built(rows)
    result = payoff(legs, [FORWARD], rate=RATE, charges=charges)
    scan = profit(legs, FINE, rate=RATE, elapsed=YEARS, charges=charges)
    noise = 1e-6
    assert result.exact
    for extremum, value, better in ((result.best, scan.max(), 1.0), (result.worst, scan.min(), -1.0)):
        if extremum.unlimited_up:
            assert better * (scan[-1] - scan[-2]) > 0.0
            assert extremum.value == better * math.inf
        else:
            assert abs(extremum.value - value) < noise
            for low, high in extremum.ranges:
                ends = np.array([low, low + 1e4 if math.isinf(high) else high])
                np.testing.assert_allclose(
                    profit(legs, ends, rate=RATE, elapsed=YEARS, charges=charges), value, atol=noise
                )
        assert not extremum.unlimited_down or better * (scan[0] - scan[1]) > 0.0
    zeros = profit(legs, result.break_evens, rate=RATE, elapsed=YEARS, charges=charges)
    np.testing.assert_allclose(zeros, 0.0, atol=noise)
    crossings = np.flatnonzero((scan[:-1] < -noise) & (scan[1:] > noise) | (scan[:-1] > noise) & (scan[1:] < -noise))
    for left in crossings:
        inside = (result.break_evens >= FINE[left]) & (result.break_evens <= FINE[left + 1])
        assert inside.sum() == 1
    for root in result.break_evens[result.break_evens < FINE[-1]]:
        assert np.abs(scan[int(root // STEP) : int(root // STEP) + 2]).min() < STEP * 75 * 4 * 6 + noise


@settings(deadline=None, max_examples=40)
@given(legs_of_one_expiry, st.lists(st.integers(20, 80).map(lambda days: days / 365), min_size=6, max_size=6))
def test_curved_payoffs_are_searched_as_a_fine_scan_finds_them(
    rows: list[tuple[LegKind, float, float, float]], years: list[float]
) -> None:
    """With later legs among them: no scan of the searched range is better, worse, or changes sign elsewhere."""
    legs = built(rows)
    later = np.array(years[: len(rows)])
    later[0] = YEARS
    legs = legs._replace(years=later, forward=FORWARD * np.exp(0.05 * (later - YEARS)))
    assume(legs.is_option[0] and legs.is_option[1:].any())
    result = payoff(legs, [FORWARD], rate=RATE)
    low, high = result.searched
    x = np.linspace(low, high, 20_001)
    scan = profit(legs, x, rate=RATE, elapsed=result.horizon)
    slack = 1e-6 * float(np.abs(scan).max())
    assert result.best.value >= scan.max() - slack
    assert result.worst.value <= scan.min() + slack
    if not result.exact:
        crossings = np.flatnonzero(
            (scan[:-1] < -slack) & (scan[1:] > slack) | (scan[:-1] > slack) & (scan[1:] < -slack)
        )
        for left in crossings:
            margin = result.accuracy
            inside = (result.break_evens >= x[left] - margin) & (result.break_evens <= x[left + 1] + margin)
            assert inside.any()


@settings(deadline=None, max_examples=50)
@given(legs_of_one_expiry, st.floats(-0.05, 0.05), st.floats(-0.05, 0.1), st.floats(0.0, YEARS))
def test_a_scenario_cell_is_the_payoff_and_the_net_greeks_there(
    rows: list[tuple[LegKind, float, float, float]], shift: float, volatility: float, elapsed: float
) -> None:
    """The fast grid, the payoff and the position's Greeks tell one story."""
    assume(elapsed < YEARS - 1e-5)
    legs = built(rows)
    cell = scenario_grid(legs, rate=RATE, forward_shifts=shift, volatility_shifts=volatility, elapsed=elapsed)
    curve = profit(legs, FORWARD * (1 + shift), rate=RATE, elapsed=elapsed, volatility_shift=volatility)
    moved = legs._replace(
        forward=legs.forward * (1 + shift), volatility=legs.volatility + volatility, years=legs.years - elapsed
    )
    net = net_greeks(moved, rate=RATE)
    size = float(np.abs(legs.weight).sum())
    np.testing.assert_allclose(cell.profit.ravel(), curve, atol=1e-9 * size)
    np.testing.assert_allclose([float(field[0, 0, 0]) for field in cell[1:]], net[1:], rtol=1e-8, atol=1e-9 * size)


@settings(deadline=None, max_examples=50)
@given(legs_of_one_expiry, st.floats(0.05, 0.6))
def test_a_strategy_and_its_opposite_share_the_probability(
    rows: list[tuple[LegKind, float, float, float]], volatility: float
) -> None:
    """Profit and loss probabilities add up to one, expected values to zero (unless the profit is zero over a range)."""
    legs = built(rows)
    opposite = legs._replace(quantity=-legs.quantity)
    picture, mirror = (payoff(side, [FORWARD], rate=RATE) for side in (legs, opposite))
    plateau = np.isclose(profit(legs, picture.break_evens + 0.5, rate=RATE, elapsed=YEARS), 0.0, atol=1e-6).any()
    assume(not plateau and not (abs(picture.best.value) < 1e-6 or abs(picture.worst.value) < 1e-6))
    ours = outlook(legs, picture, rate=RATE, volatility=volatility)
    theirs = outlook(opposite, mirror, rate=RATE, volatility=volatility)
    assert 0.0 <= ours.probability_of_profit <= 1.0
    assert abs(ours.probability_of_profit + theirs.probability_of_profit - 1.0) < 1e-7
    assert abs(ours.expected_value + theirs.expected_value) <= 1e-9 * float(np.abs(legs.weight).sum()) * FORWARD


anything = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, -0.0, 1e-300, 1e300, -1.0, 24_400.0, YEARS, math.nan]),
)


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 5), anything, anything, anything, anything, anything, anything), max_size=5),
    st.lists(anything, min_size=1, max_size=4),
    anything,
    anything,
)
def test_garbage_is_answered_with_nan_or_numbers_never_with_an_exception(
    rows: list[tuple[int, float, float, float, float, float, float]],
    forwards: list[float],
    volatility: float,
    charges: float,
) -> None:
    """Any legs, axis, volatility and charges pass through every kernel without an exception or a warning."""
    columns = np.array([row[1:] for row in rows]).reshape(len(rows), 6).T
    quantity, strike, entry, years, forward, implied = columns
    legs = make_legs(
        np.array([row[0] for row in rows], dtype=np.int64),
        quantity,
        strike=strike,
        entry_price=entry,
        years=years,
        forward=forward,
        volatility=implied,
    )
    picture = payoff(legs, forwards, rate=RATE, charges=charges)
    result = outlook(legs, picture, rate=RATE, charges=charges, volatility=volatility)
    grid = scenario_grid(legs, rate=RATE, forward_shifts=forwards, volatility_shifts=forwards, elapsed=forwards)
    assert picture_axis(legs, points=5).shape == (5,)
    assert len(net_greeks(legs, rate=RATE)) == 6
    assert math.isnan(result.probability_of_profit) or 0.0 <= result.probability_of_profit <= 1.0
    assert picture.now.shape == picture.at_expiry.shape == (len(forwards),)
    assert grid.profit.shape == (len(forwards),) * 3
