"""Bars out of stored minutes, and the volatility they have had."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from engine.analysis.forward_bars import BARS_MIN, CONE_SPANS_MIN, Bars, bars_of, cone, realised
from engine.core.views import Floats, Integers

OPEN = 1_795_060_000 // 300 * 300
"""Some moment at which a bar begins, epoch seconds."""
SESSION_MINUTES = 375.0
TODAY = date(2026, 11, 23)


def minutes(count: int, *, first: int = 0) -> Integers:
    """Starts of minutes that follow each other."""
    return OPEN + 60 * (first + np.arange(count, dtype=np.int64))


def walk(count: int, sigma: float, seed: int = 3) -> Floats:
    """A price whose logarithm moves by ``sigma`` a minute."""
    return 24_000.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, sigma, count)))


def test_a_bar_begins_where_the_one_before_ended() -> None:
    """The open is the price at the bar's start; high and low are of all six prices; the first bar has a close only."""
    price = np.array([1.0, 2, 3, 4, 5, 9, 6, 7, 4, 8])
    bars = bars_of(minutes(10), price)
    assert math.isnan(bars.open[0])
    assert [column[1] for column in bars] == [5.0, 9.0, 4.0, 8.0]
    assert bars.close.tolist() == [5.0, 8.0]


def test_a_minute_nobody_saw_makes_its_bar_unknown_but_for_the_close() -> None:
    """A gap inside a bar leaves its close; a gap at its end leaves nothing, and takes the next one's open."""
    price = np.arange(1.0, 21.0)
    kept = np.ones(20, dtype=bool)
    kept[7] = False
    bars = bars_of(minutes(20)[kept], price[kept])
    assert math.isnan(bars.high[1])
    assert bars.close[1] == 10.0
    kept[9] = False
    bars = bars_of(minutes(20)[kept], price[kept])
    assert math.isnan(bars.close[1])
    assert math.isnan(bars.open[2])
    assert bars.open[3] == 15.0


def test_bars_lie_on_the_clock() -> None:
    """A session seen from its third minute on has bars at the same places as one seen whole."""
    price = walk(30, 1e-4)
    whole, late = bars_of(minutes(30), price), bars_of(minutes(28, first=2), price[2:])
    np.testing.assert_array_equal(whole.close, late.close)
    np.testing.assert_array_equal(whole.open[1:], late.open[1:])


def test_nothing_seen_makes_no_bars() -> None:
    """Unknown forwards are no prices."""
    assert bars_of(minutes(3), np.full(3, np.nan)).close.size == 0
    assert bars_of(minutes(0), np.empty(0)).close.size == 0


def test_every_estimator_finds_the_volatility_that_was_put_in() -> None:
    """Of a walk at 15 % a year each says 15 %, those of ranges too: six looks a bar are allowed for."""
    sigma = 0.15 / math.sqrt(252 * SESSION_MINUTES)
    sessions = [bars_of(minutes(375), walk(375, sigma, seed)) for seed in range(40)]
    found = {item.estimator: item for item in realised(sessions, "40 sessions", session_minutes=SESSION_MINUTES)}
    for item in found.values():
        assert item.volatility == pytest.approx(0.15, rel=0.03), item.estimator
    assert found["close"].window == "40 sessions, 3000 bars of 5 minutes"
    assert found["parkinson"].window == "40 sessions, 2960 bars of 5 minutes"


def test_the_night_is_no_five_minutes() -> None:
    """A jump between two sessions does not count; the same jump within one does."""
    sigma = 0.1 / math.sqrt(252 * SESSION_MINUTES)
    first, second = walk(150, sigma, 1), walk(150, sigma, 2)
    apart = realised(
        [bars_of(minutes(150), first), bars_of(minutes(150), second * 1.05)], "two", session_minutes=SESSION_MINUTES
    )
    within = realised(
        [bars_of(minutes(300), np.concatenate((first, second * 1.05)))], "one", session_minutes=SESSION_MINUTES
    )
    assert apart[0].volatility == pytest.approx(0.1, rel=0.3)
    assert within[0].volatility is not None
    assert within[0].volatility > 0.5


def test_a_move_across_a_gap_is_left_out() -> None:
    """The price jumps while nobody looks: the jump is no five-minute move."""
    sigma = 0.1 / math.sqrt(252 * SESSION_MINUTES)
    price = np.concatenate((walk(150, sigma, 1), 1.05 * walk(150, sigma, 2)))
    kept = np.r_[0:145, 158:300]
    (close, *_) = realised([bars_of(minutes(300)[kept], price[kept])], "a day", session_minutes=SESSION_MINUTES)
    assert close.volatility == pytest.approx(0.1, rel=0.3)


def test_too_few_bars_say_so() -> None:
    """Under an hour there is no volatility but the reason, never 0."""
    few = bars_of(minutes(5 * (BARS_MIN - 1)), walk(5 * (BARS_MIN - 1), 1e-4))
    for item in realised([few], "today", session_minutes=SESSION_MINUTES):
        assert item.volatility is None
        assert "needed" in item.reason
    nothing = Bars(*(np.empty(0) for _ in range(4)))
    assert realised([nothing], "today", session_minutes=SESSION_MINUTES)[0].reason == f"0 bars, {BARS_MIN} are needed"


def test_the_cone_narrows_with_the_window() -> None:
    """Ten sessions at 15 %: every band is in order around it, and two sessions spread less than an hour does."""
    sigma = 0.15 / math.sqrt(252 * SESSION_MINUTES)
    sessions = [bars_of(minutes(375), walk(375, sigma, seed)) for seed in range(10)]
    bands = cone(sessions, TODAY, session_minutes=SESSION_MINUTES)
    assert [band.window for band in bands] == ["1 hour", "2 hours", "1 session", "2 sessions"]
    widths = []
    for band in bands:
        levels = [band.lowest, band.lower_quartile, band.median, band.upper_quartile, band.highest]
        known = [level for level in levels if level is not None]
        assert len(known) == len(levels)
        assert known == sorted(known)
        assert band.median == pytest.approx(0.15, rel=0.1)
        assert (band.until, band.reason) == (TODAY, "")
        widths.append(known[-1] - known[0])
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 3


def test_the_latest_window_is_the_last_bars() -> None:
    """The last hour's figure is the sample deviation of its twelve moves, annualised by trading minutes."""
    sessions = [bars_of(minutes(375), walk(375, 1e-4, seed)) for seed in range(3)]
    hour = cone(sessions, TODAY, session_minutes=SESSION_MINUTES)[0]
    moves = np.diff(np.log(sessions[-1].close))[-12:]
    assert hour.current == pytest.approx(float(np.std(moves, ddof=1)) * math.sqrt(252 * 75))


def test_too_little_for_a_spread_still_has_a_latest_window() -> None:
    """Two hours of bars make no cone: each band says how many moves it has and needs, and none is 0."""
    bands = cone([bars_of(minutes(125), walk(125, 1e-4))], TODAY, session_minutes=SESSION_MINUTES)
    for band, bars in zip(bands, (12, 24, 75, 150), strict=True):
        levels = (band.lowest, band.lower_quartile, band.median, band.upper_quartile, band.highest)
        assert levels == (None,) * 5
        assert band.reason == f"24 moves of 5 minutes are stored, {CONE_SPANS_MIN * bars} are needed"
    assert [band.current is not None for band in bands] == [True, True, False, False]


def test_the_cone_leaves_nights_out() -> None:
    """Sessions that begin five percent higher each are as quiet as their own moves are."""
    sigma = 0.1 / math.sqrt(252 * SESSION_MINUTES)
    sessions = [bars_of(minutes(375), walk(375, sigma, day) * 1.05**day) for day in range(9)]
    for band in cone(sessions, TODAY, session_minutes=SESSION_MINUTES):
        assert band.highest is not None
        assert band.highest < 0.25
