"""Rank and percentile: two definitions, their edges, and too little history."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import percentileofscore

from engine.analytics.volatility_history import MINIMUM_OBSERVATIONS, volatility_standing

HISTORY = [0.10, 0.12, 0.14, 0.20, 0.30] * 6
VOLATILITIES = st.floats(0.01, 3.0)


def test_rank_is_between_the_extremes() -> None:
    """Half-way between the lowest 10 % and the highest 30 % is rank 50, however the days are spread."""
    standing = volatility_standing(0.20, HISTORY)
    assert standing.rank == pytest.approx(50.0)
    assert (standing.lowest, standing.highest, standing.observations) == (0.10, 0.30, 30)
    assert standing.reason == ""


def test_percentile_counts_the_days_below() -> None:
    """Three fifths of the days were below 20 % and one fifth equal it, which counts half."""
    assert volatility_standing(0.20, HISTORY).percentile == pytest.approx(70.0)
    assert volatility_standing(0.19, HISTORY).percentile == pytest.approx(60.0)


@settings(deadline=None)
@given(VOLATILITIES, st.lists(VOLATILITIES, min_size=MINIMUM_OBSERVATIONS, max_size=80))
def test_percentile_agrees_with_scipy(current: float, history: list[float]) -> None:
    """Against scipy's percentile of a score, ties counted half; and both figures stay within 0 and 100."""
    standing = volatility_standing(current, history)
    assert standing.percentile == pytest.approx(percentileofscore(history, current, kind="mean"))
    assert math.isnan(standing.rank) or 0.0 <= standing.rank <= 100.0


@pytest.mark.parametrize(("current", "rank", "percentile"), [(0.5, 100.0, 100.0), (0.05, 0.0, 0.0)])
def test_new_extremes_are_the_ends(current: float, rank: float, percentile: float) -> None:
    """Above all of the history is 100, below all of it 0, never beyond."""
    standing = volatility_standing(current, HISTORY)
    assert (standing.rank, standing.percentile) == (rank, percentile)


def test_unknown_values_are_no_history() -> None:
    """NaN, zero, negative and infinite values are left out."""
    dirty = [*HISTORY, math.nan, 0.0, -0.2, math.inf]
    assert volatility_standing(0.20, dirty) == volatility_standing(0.20, HISTORY)
    assert volatility_standing(0.20, np.reshape(HISTORY, (5, 6))).rank == pytest.approx(50.0)


def test_too_little_history_is_none() -> None:
    """A week is no history: no figure, and how many values there are."""
    standing = volatility_standing(0.2, HISTORY[:5])
    assert math.isnan(standing.rank)
    assert math.isnan(standing.percentile)
    assert standing.reason == "5 past values, 20 are needed"
    assert volatility_standing(0.2, HISTORY[:5], minimum=5).rank == pytest.approx(50.0)
    assert volatility_standing(0.2, [], minimum=0).reason == "0 past values, 1 are needed"


@pytest.mark.parametrize("current", [math.nan, 0.0, -0.1, math.inf])
def test_without_a_current_value_there_is_none(current: float) -> None:
    """Nothing stands nowhere."""
    standing = volatility_standing(current, HISTORY)
    assert math.isnan(standing.percentile)
    assert standing.reason == "no current volatility"


def test_a_flat_history_has_no_rank() -> None:
    """Where all values are equal there is no range; the percentile is the middle."""
    standing = volatility_standing(0.15, [0.15] * 30)
    assert math.isnan(standing.rank)
    assert standing.percentile == 50.0
    assert "no range" in standing.reason
