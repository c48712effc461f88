"""Chain statistics against their definitions, with the tie rules and the cases that have no answer."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.chain_statistics import (
    atm_index,
    chain_statistics,
    max_pain,
    put_call_ratio,
    volatility_at,
)

COUNTS = st.lists(st.tuples(st.integers(0, 10_000_000), st.integers(0, 10_000_000)), min_size=1, max_size=60)


def test_put_call_ratio_is_puts_over_calls() -> None:
    """The ratio is of the sums, not the mean of ratios."""
    assert put_call_ratio([100, 300], [500, 100]) == pytest.approx(1.5)


def test_put_call_ratio_leaves_out_what_is_unknown() -> None:
    """NaN and negative counts take no part."""
    assert put_call_ratio([100, math.nan, -5], [50, 50, math.nan]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("calls", "puts"), [([], []), ([0, 0], [5, 5]), ([math.nan], [5]), ([5], [math.nan]), ([math.nan], [math.nan])]
)
def test_put_call_ratio_without_calls_is_unknown(calls: list[float], puts: list[float]) -> None:
    """Nothing known of a side, or no calls at all, is NaN: neither 0 nor infinite."""
    assert math.isnan(put_call_ratio(calls, puts))


def test_no_puts_at_all_is_zero() -> None:
    """Known to be none is a real zero."""
    assert put_call_ratio([10], [0]) == 0.0


@settings(deadline=None)
@given(COUNTS)
def test_max_pain_minimises_the_writers_payout(counts: list[tuple[int, int]]) -> None:
    """Against the definition, strike by strike in exact integers, with the lowest strike among equals."""
    strikes = [20_000 + 50 * i for i in range(len(counts))]
    expected = None
    if any(call or put for call, put in counts):
        payouts = [
            sum(c * max(p - k, 0) + q * max(k - p, 0) for k, (c, q) in zip(strikes, counts, strict=True))
            for p in strikes
        ]
        expected = float(strikes[payouts.index(min(payouts))])
    calls, puts = (np.array(column, dtype=float) for column in zip(*counts, strict=True))
    assert max_pain(strikes, calls, puts) == expected


def test_max_pain_tie_goes_to_the_lower_strike() -> None:
    """Between a put wall below and an equal call wall above every strike hurts the same: the lowest is named."""
    assert max_pain([100, 110, 120], [10, 0, 0], [0, 0, 10]) == 100.0


def test_max_pain_does_not_depend_on_the_order_of_rows() -> None:
    """Rows in falling order give the same strike."""
    strikes, calls, puts = [100, 110, 120, 130], [5, 20, 40, 80], [90, 40, 10, 5]
    assert max_pain(strikes, calls, puts) == max_pain(strikes[::-1], calls[::-1], puts[::-1]) == 110.0


def test_max_pain_ignores_what_is_unknown() -> None:
    """Unknown and impossible counts, and rows without a strike, are no open interest."""
    assert max_pain([100, 110, math.nan, 130], [math.nan, 7, 1e9, -4], [math.nan, 7, 1e9, math.nan]) == 110.0


@pytest.mark.parametrize("counts", [[], [0.0], [math.nan]])
def test_max_pain_without_open_interest_is_none(counts: list[float]) -> None:
    """No open interest has no pain, rather than the first strike."""
    assert max_pain([100.0] * len(counts), counts, counts) is None


def test_max_pain_refuses_foreign_columns() -> None:
    """Columns of another length are refused in words."""
    with pytest.raises(ValueError, match="one shape"):
        max_pain([100, 110], [1, 2], [1])


def test_atm_is_the_nearest_strike_and_the_lower_of_two() -> None:
    """Nearest wins; halfway the lower one wins, whatever the order of rows."""
    assert atm_index([24_150, 24_200, 24_250], 24_216.5) == 1
    assert atm_index([24_150, 24_200, 24_250], 24_225.0) == 1
    assert atm_index([24_250, 24_200], 24_225.0) == 1
    assert atm_index([math.nan, 24_200], 30_000.0) == 1
    assert atm_index([-1.0, 100.0], 1.0) == 1


@pytest.mark.parametrize(("strikes", "forward"), [([], 100.0), ([100.0], math.nan), ([math.nan], 100.0)])
def test_atm_without_strike_or_forward_is_none(strikes: list[float], forward: float) -> None:
    """There is no money without both."""
    assert atm_index(strikes, forward) is None


def test_volatility_is_interpolated_at_the_forward() -> None:
    """A fifth of the way between two strikes takes a fifth of the difference; a side may be missing."""
    nan = math.nan
    strikes = [110, 100, 90, 120]
    assert volatility_at(strikes, [0.12, 0.10, 0.3, 0.2], [0.12, 0.10, 0.3, 0.2], 102) == pytest.approx(0.104)
    assert volatility_at(strikes, [0.12, nan, 0.3, 0.2], [nan, 0.10, 0.3, 0.2], 102) == pytest.approx(0.104)
    assert volatility_at(strikes, [0.11, 0.10, nan, nan], [0.13, 0.10, nan, nan], 110) == pytest.approx(0.12)


def test_volatility_is_not_extrapolated() -> None:
    """Beyond the known strikes, or with none known, it is NaN."""
    assert math.isnan(volatility_at([100, 110], [0.1, 0.1], [0.1, 0.1], 111))
    assert math.isnan(volatility_at([100, 110], [0.1, math.nan], [0.1, math.nan], 105))
    assert math.isnan(volatility_at([], [], [], 105))
    assert math.isnan(volatility_at([100, 110], [0.1, 0.1], [0.1, 0.1], math.nan))


def test_all_figures_of_an_expiry() -> None:
    """Straddle, both moves and the rest follow their definitions on a small chain."""
    strikes = np.array([90.0, 100.0, 110.0])
    figures = chain_statistics(
        strikes,
        102.0,
        0.25,
        call_price=np.array([13.0, 5.0, 1.0]),
        put_price=np.array([1.0, 3.0, 9.0]),
        call_volatility=np.array([0.22, 0.20, 0.19]),
        put_volatility=np.array([0.22, 0.20, 0.19]),
        call_open_interest=np.array([10.0, 20.0, 30.0]),
        put_open_interest=np.array([30.0, 30.0, 30.0]),
        call_volume=np.array([1.0, 1.0, 2.0]),
        put_volume=np.array([1.0, 0.0, 1.0]),
    )
    assert figures.pcr_open_interest == pytest.approx(1.5)
    assert figures.pcr_volume == pytest.approx(0.5)
    assert figures.max_pain == 100.0
    assert figures.atm_strike == 100.0
    assert figures.straddle == figures.expected_move == 8.0
    assert figures.atm_volatility == pytest.approx(0.198)
    assert figures.one_sigma_move == pytest.approx(102 * 0.198 * 0.5)
