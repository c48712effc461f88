"""Build-up, walls and gamma exposure against their definitions, and what unknown does to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.analytics.open_interest import NO_WALLS, BuildUp, Wall, build_up, gamma_exposure, walls

FORWARD, YEARS, RATE = 24_216.5, 9.25 / 365, 0.065


@pytest.mark.parametrize(
    ("price_change", "interest_change", "expected"),
    [
        (1.0, 1.0, BuildUp.LONG_BUILD_UP),
        (-1.0, 1.0, BuildUp.SHORT_BUILD_UP),
        (-1.0, -1.0, BuildUp.LONG_UNWINDING),
        (1.0, -1.0, BuildUp.SHORT_COVERING),
        (0.0, 1.0, BuildUp.NEUTRAL),
        (1.0, 0.0, BuildUp.NEUTRAL),
        (math.nan, 1.0, BuildUp.UNKNOWN),
        (1.0, math.nan, BuildUp.UNKNOWN),
    ],
)
def test_build_up_is_the_table(price_change: float, interest_change: float, expected: BuildUp) -> None:
    """Each pair of directions has its class; no change is neutral, an unknown one unknown."""
    assert build_up(price_change, interest_change) == expected


def test_changes_within_the_threshold_are_none() -> None:
    """A change must exceed its threshold, on either side of zero."""
    classes = build_up(
        [0.5, 0.51, -0.5, -0.51, 3.0], [9.0, 9.0, 9.0, -9.0, 2.0], price_threshold=0.5, open_interest_threshold=2.0
    )
    assert classes.tolist() == [
        BuildUp.NEUTRAL,
        BuildUp.LONG_BUILD_UP,
        BuildUp.NEUTRAL,
        BuildUp.LONG_UNWINDING,
        BuildUp.NEUTRAL,
    ]


def test_build_up_broadcasts() -> None:
    """Calls and puts go in as two rows."""
    assert build_up([[1.0], [-1.0]], [1.0, -1.0]).shape == (2, 2)


def test_walls_are_the_largest_on_their_side() -> None:
    """Calls count from the forward up, puts from it down, a strike at the forward for both."""
    strikes = [90.0, 95.0, 100.0, 105.0, 110.0]
    found = walls(strikes, 100.0, [900.0, 5.0, 50.0, 70.0, 60.0], [10.0, 30.0, 20.0, 5.0, 800.0], count=2)
    assert found.calls == (Wall(105.0, 70.0), Wall(110.0, 60.0))
    assert found.puts == (Wall(95.0, 30.0), Wall(100.0, 20.0))


def test_of_equal_walls_the_nearer_comes_first() -> None:
    """The tie goes to the strike that is met first."""
    found = walls([120.0, 110.0, 90.0, 80.0], 100.0, [7.0, 7.0, 0.0, 0.0], [0.0, 0.0, 9.0, 9.0])
    assert [wall.strike for wall in found.calls] == [110.0, 120.0]
    assert [wall.strike for wall in found.puts] == [90.0, 80.0]


def test_unknown_and_impossible_counts_are_no_walls() -> None:
    """NaN, negative, infinite and nil open interest hold nothing; fewer walls are fewer."""
    nan = math.nan
    found = walls([100.0, 105.0, nan, 115.0], 99.0, [nan, 5.0, 1e6, -3.0], [math.inf, 0.0, nan, nan])
    assert found.calls == (Wall(105.0, 5.0),)
    assert found.puts == ()


@pytest.mark.parametrize("forward", [math.nan, math.inf])
def test_without_a_forward_there_are_no_walls(forward: float) -> None:
    """Nothing is above or below what is not known."""
    assert walls([100.0], forward, [5.0], [5.0]) == NO_WALLS
    assert walls([], 100.0, [], []) == NO_WALLS


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30), st.integers(0, 30))
def test_walls_by_brute_force(counts: list[tuple[int, int]], place: int) -> None:
    """Against sorting all strikes by the definition."""
    strikes = [1_000 + 50 * index for index in range(len(counts))]
    forward = 1_000.0 + 50 * place + 10
    found = walls(strikes, forward, [c for c, _ in counts], [p for _, p in counts])
    calls = sorted(((-c, k) for k, (c, _) in zip(strikes, counts, strict=True) if k >= forward and c))[:3]
    puts = sorted(((-p, -k) for k, (_, p) in zip(strikes, counts, strict=True) if k <= forward and p))[:3]
    assert [(-w.open_interest, w.strike) for w in found.calls] == calls
    assert [(-w.open_interest, -w.strike) for w in found.puts] == puts


def test_gamma_exposure_is_the_change_of_hedges() -> None:
    """The figure is what the deltas of the whole open interest really change by, in money, over a small move."""
    strikes, volatility = np.array([24_000.0, 24_200.0, 24_500.0]), np.array([0.11, 0.1, 0.098])
    call_units, put_units = np.array([65e3, 650e3, 130e3]), np.array([130e3, 325e3, 65e3])
    gamma = greeks(FORWARD, strikes, YEARS, RATE, volatility, is_call=True).gamma
    exposure = gamma_exposure(
        FORWARD, call_gamma=gamma, put_gamma=gamma, call_open_interest=call_units, put_open_interest=put_units
    )

    def hedge(forward: float) -> float:
        step = 1e-3
        delta = [
            (
                price(forward + step, strikes, YEARS, RATE, volatility, is_call=call)
                - price(forward - step, strikes, YEARS, RATE, volatility, is_call=call)
            )
            / (2 * step)
            for call in (True, False)
        ]
        return float((delta[0] * call_units - delta[1] * put_units).sum())

    small = 1e-4
    change = (hedge(FORWARD * (1 + small)) - hedge(FORWARD * (1 - small))) / (2 * small) * 0.01 * FORWARD
    assert exposure.total == pytest.approx(change, rel=1e-4)
    assert exposure.unknown == 0
    assert (exposure.call > 0).all()
    assert (exposure.put < 0).all()
    np.testing.assert_allclose(exposure.net, exposure.call + exposure.put)
    assert exposure.total == pytest.approx(exposure.net.sum())


def test_call_and_put_stand_in_for_each_other() -> None:
    """A strike's gamma is one: a side without it takes the other's."""
    exposure = gamma_exposure(
        100.0, call_gamma=[math.nan], put_gamma=[0.02], call_open_interest=[10.0], put_open_interest=[10.0]
    )
    assert exposure.call[0] == -exposure.put[0] == pytest.approx(0.02 * 10.0 * 100.0 * 100.0 * 0.01)
    assert exposure.total == 0.0


def test_unknown_gamma_is_counted_not_nil() -> None:
    """Open interest whose gamma is unknown is left out and counted; no open interest needs no gamma."""
    nan = math.nan
    exposure = gamma_exposure(
        100.0,
        call_gamma=[nan, 0.01, nan, 0.01],
        put_gamma=[nan, 0.01, nan, 0.01],
        call_open_interest=[5.0, 7.0, 0.0, nan],
        put_open_interest=[6.0, 0.0, 0.0, -3.0],
    )
    assert exposure.unknown == 2
    assert np.isnan(exposure.call).tolist() == [True, False, False, True]
    assert np.isnan(exposure.net).tolist() == [True, False, False, True]
    assert exposure.net[2] == 0.0
    assert exposure.total == pytest.approx(7.0)


@pytest.mark.parametrize("forward", [100.0, math.nan])
def test_nothing_known_is_nan(forward: float) -> None:
    """Without gamma, open interest or forward there is no total."""
    nan = math.nan
    gamma = [nan] if forward == 100.0 else [0.01]
    exposure = gamma_exposure(
        forward, call_gamma=gamma, put_gamma=gamma, call_open_interest=[5.0], put_open_interest=[nan]
    )
    assert math.isnan(exposure.total)
    empty = gamma_exposure(100.0, call_gamma=[], put_gamma=[], call_open_interest=[], put_open_interest=[])
    assert math.isnan(empty.total)
