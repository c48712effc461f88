"""Landmarks: crossings, touches, plateaus and tails of corners; refined searches on curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.analytics.arrays import FloatArray
from engine.analytics.landmarks import Landmarks, Tails, of_corners, of_curve

COVERED = Tails(0.0, 0.0)


def corners(
    x: list[float], y: list[float], tails: Tails = COVERED, slope: float = 0.0, end: float = math.inf
) -> Landmarks:
    """Landmarks of a small piecewise linear curve."""
    return of_corners(np.array(x), np.array(y), tails=tails, slope=slope, dust=np.full(len(x), 1e-9), end=end)


def test_crossings_between_corners_and_on_the_open_tail() -> None:
    """Straight lines are intersected with zero, also beyond the last corner."""
    found = corners([0.0, 100.0, 110.0], [50.0, -50.0, -50.0], Tails(2.0, 1.0), slope=2.0)
    assert found.break_evens.tolist() == [50.0, 135.0]
    assert (found.best.value, found.best.ranges) == (math.inf, ())
    assert (found.best.unlimited_up, found.best.unlimited_down) == (True, True)
    assert (found.worst.value, found.worst.ranges) == (-50.0, ((100.0, 110.0),))
    assert found.searched == (0.0, math.inf)


def test_touching_zero_is_a_break_even_and_a_zero_plateau_has_two() -> None:
    """A corner on zero counts once, a range on zero by its ends, and one that never ends by its beginning."""
    assert corners([0.0, 10.0, 20.0], [-1.0, 0.0, -1.0]).break_evens.tolist() == [10.0]
    assert corners([0.0, 10.0, 20.0, 30.0], [-1.0, 0.0, 0.0, -1.0]).break_evens.tolist() == [10.0, 20.0]
    assert corners([0.0, 10.0, 20.0], [-1.0, 0.0, 0.0]).break_evens.tolist() == [10.0]
    assert corners([0.0, 10.0, 20.0], [0.0, 0.0, 5.0]).break_evens.tolist() == [10.0]
    assert corners([0.0], [0.0]).break_evens.tolist() == []


def test_extrema_name_every_range() -> None:
    """A best reached on two plateaus and above the last corner says so; an end that is closed is a number."""
    found = corners([0.0, 10.0, 20.0, 30.0, 40.0], [3.0, 3.0, -1.0, -1.0, 3.0])
    assert found.best.ranges == ((0.0, 10.0), (40.0, math.inf))
    assert found.worst.ranges == ((20.0, 30.0),)
    closed = corners([0.0, 10.0, 40.0], [0.5, 1.0, 2.0], end=40.0)
    assert closed.best.ranges == ((40.0, 40.0),)
    assert closed.searched == (0.0, 40.0)


def test_a_fall_to_zero_is_unlimited_down_only_when_it_is_the_extreme() -> None:
    """The flag needs the open tail and the extreme value at zero."""
    assert corners([0.0, 10.0], [-10.0, 0.0], Tails(0.0, -1.0)).worst.unlimited_down
    assert not corners([0.0, 10.0, 30.0], [-10.0, 0.0, -20.0], Tails(0.0, -1.0)).worst.unlimited_down
    assert not corners([0.0, 10.0], [-10.0, 0.0], Tails(0.0, -1.0)).best.unlimited_down


def test_a_curve_is_searched_to_the_accuracy() -> None:
    """Roots and extrema of a polynomial with known ones, none of them on a sampled point."""
    roots = np.array([1.234567, 2.5, 2.5003])

    def cubic(x: FloatArray) -> FloatArray:
        return np.asarray((x - roots[0]) * (x - roots[1]) * (x - roots[2]))

    found = of_curve(cubic, np.linspace(0.5, 3.0, 41), tails=COVERED, dust=1e-14, accuracy=1e-10)
    assert found.break_evens == pytest.approx(roots, abs=1e-9)
    assert found.best.ranges == ((3.0, 3.0),)
    assert found.searched == (0.5, 3.0)

    def bump(x: FloatArray) -> FloatArray:
        return np.asarray(5.0 - (x - 1.7171) ** 2)

    found = of_curve(bump, np.linspace(0.0, 3.0, 11), tails=COVERED, dust=1e-14, accuracy=1e-10)
    assert found.best.value == pytest.approx(5.0, abs=1e-9)
    assert found.best.ranges[0][0] == pytest.approx(1.7171, abs=1e-4)


def test_a_curve_with_open_tails_is_looked_at_zero() -> None:
    """Downwards the value at zero counts, upwards the flag."""

    def line(x: FloatArray) -> FloatArray:
        return np.asarray(x - 10.0)

    found = of_curve(line, np.linspace(5.0, 15.0, 11), tails=Tails(1.0, -1.0), dust=1e-12, accuracy=1e-9)
    assert found.best.value == math.inf
    assert (found.worst.value, found.worst.unlimited_down) == (-10.0, True)
    assert found.break_evens.tolist() == [10.0]


def test_a_curve_of_one_level_has_no_break_evens() -> None:
    """A flat curve has no crossing and no local extremum, and every point is best and worst."""
    found = of_curve(np.ones_like, np.linspace(1.0, 2.0, 9), tails=COVERED, dust=1e-12, accuracy=1e-9)
    assert found.break_evens.tolist() == []
    assert found.best.ranges == found.worst.ranges == ((1.0, 2.0),)
