"""Break-evens and extrema of a profit curve: computed where it is piecewise linear, searched where it is curved.

The horizontal axis is a price: it starts at zero and has no end. Whether the profit is unlimited is told by the caller,
who knows the position; a curve looked at over a range cannot know.

Invariant: on a piecewise linear curve nothing is sampled. On a searched curve every break-even lies within the stated
accuracy, and two of them closer than the sampling are still found, because each local extremum is refined first.

Reference: Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function
without using derivatives" (1997).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from engine.analytics.arrays import BoolArray, FloatArray

SEARCH_POINTS: Final = 401
"""Points at which a curve is looked at before extrema and crossings are refined."""

_ZOOM_POINTS: Final = 17
_ZOOM_ROUNDS: Final = 5
"""Each round narrows an extremum's bracket eightfold; the error of its value is quadratic in the width."""

_ROOT_ROUNDS: Final = 100
"""Bound of the root search: twice what bisection alone would need."""

Curve = Callable[[FloatArray], FloatArray]
"""Profit, in money, at prices of shape ``(n,)``."""


class Tails(NamedTuple):
    """How a position ends: net units (times multiplier) that gain as the price rises, and as it falls; 0 if covered."""

    up: float
    down: float


class Extremum(NamedTuple):
    """The best or worst profit of a curve."""

    value: float
    """Money; infinite when unlimited upwards, NaN when unknown."""
    ranges: tuple[tuple[float, float], ...]
    """Prices ``(from, to)`` where it is reached: equal for a point, ``to`` infinite for "and above"; empty when the
    value is infinite or unknown."""
    unlimited_up: bool
    """It has no bound as the price rises."""
    unlimited_down: bool
    """It grows as the price falls, to the very end: among prices that fall, the most is reached at zero only."""


class Landmarks(NamedTuple):
    """What is found on a curve."""

    break_evens: FloatArray
    """Ascending; both ends where the profit is zero over a range."""
    best: Extremum
    worst: Extremum
    searched: tuple[float, float]
    """Range of prices the answers hold for; ``(0, inf)`` when nothing is left out."""


NOTHING: Final = Extremum(math.nan, (), unlimited_up=False, unlimited_down=False)
UNKNOWN: Final = Landmarks(np.empty(0), NOTHING, NOTHING, (math.nan, math.nan))


def of_corners(
    corners: FloatArray, values: FloatArray, *, tails: Tails, slope: float, dust: FloatArray, end: float = math.inf
) -> Landmarks:
    """Find the landmarks of a piecewise linear curve.

    Args:
        corners: ascending prices, the first of them 0, shape ``(n,)``, ``n >= 1``.
        values: profit there, money.
        tails: the position's open ends.
        slope: money per point beyond the last corner.
        dust: rounding of each value: smaller differences are none. Shape ``(n,)``.
        end: where the curve ends; the last corner then lies there.
    """
    open_ended = math.isinf(end)
    endless_zero = open_ended and tails.up == 0.0
    found = _zeros(corners, values, dust, endless=endless_zero)
    for left in _sign_changes(values, dust):
        share = values[left] / (values[left] - values[left + 1])
        found.append(float(corners[left] + share * (corners[left + 1] - corners[left])))
    if open_ended and tails.up != 0.0 and values[-1] * slope < 0.0 and abs(values[-1]) > dust[-1]:
        found.append(float(corners[-1] - values[-1] / slope))
    best = _best(corners, values, dust, tails, endless=open_ended)
    worst = _best(corners, -values, dust, Tails(-tails.up, -tails.down), endless=open_ended)
    return Landmarks(np.array(sorted(found)), best, worst._replace(value=-worst.value), (0.0, end))


def of_curve(curve: Curve, points: FloatArray, *, tails: Tails, dust: float, accuracy: float) -> Landmarks:
    """Search the landmarks of a curve between the first and the last of some points.

    Args:
        curve: profit of prices; smooth except at points given.
        points: ascending prices to look at first, all corners among them, shape ``(n,)``, ``n >= 3``.
        tails: the position's open ends; where it has none, what lies outside the points is left out.
        dust: rounding of the profit, money.
        accuracy: of break-evens, in points of price.
    """
    values = curve(points)
    extra, extra_values = _refined_extrema(curve, points, values, dust)
    x, order = np.unique(np.concatenate((points, extra)), return_index=True)
    v = np.concatenate((values, extra_values))[order]
    tolerance = np.full(x.shape, dust)
    left = np.array(_sign_changes(v, tolerance), dtype=np.intp)
    found = _zeros(x, v, tolerance, endless=False)
    if left.size:
        with np.errstate(all="ignore"):
            found += _roots(curve, (x[left], v[left]), (x[left + 1], v[left + 1]), accuracy).tolist()
    searched = (float(points[0]), float(points[-1]))
    if tails.down != 0.0 and x[0] > 0.0:
        x = np.append(0.0, x)
        v = np.append(curve(np.zeros(1)), v)
        tolerance = np.full(x.shape, dust)
    best = _best(x, v, tolerance, tails, endless=False)
    worst = _best(x, -v, tolerance, Tails(-tails.up, -tails.down), endless=False)
    return Landmarks(np.array(sorted(found)), best, worst._replace(value=-worst.value), searched)


def _best(x: FloatArray, values: FloatArray, dust: FloatArray, tails: Tails, *, endless: bool) -> Extremum:
    """Return the maximum over points between which the curve does not exceed them."""
    value = float(values.max())
    reached = values >= value - dust
    unlimited_down = tails.down > 0.0 and x[0] == 0.0 and bool(reached[0])
    if tails.up > 0.0:
        return Extremum(math.inf, (), unlimited_up=True, unlimited_down=unlimited_down)
    ranges = []
    for first, last in _runs(reached):
        beyond = endless and last == x.size - 1 and tails.up == 0.0
        ranges.append((float(x[first]), math.inf if beyond else float(x[last])))
    return Extremum(value, tuple(ranges), unlimited_up=False, unlimited_down=unlimited_down)


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    """Return first and last index of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(start), int(stop) - 1) for start, stop in edges.reshape(-1, 2)]


def _zeros(x: FloatArray, values: FloatArray, dust: FloatArray, *, endless: bool) -> list[float]:
    """Return the points where the profit is zero, and of zero ranges the two ends; neither price zero nor infinity."""
    found = []
    for first, last in _runs(np.abs(values) <= dust):
        ends = {first} if endless and last == x.size - 1 else {first, last}
        found += [float(x[index]) for index in ends if x[index] > 0.0]
    return found


def _sign_changes(values: FloatArray, dust: FloatArray) -> list[int]:
    """Return the index left of each crossing between two points that are not zero themselves."""
    sign = np.where(np.abs(values) <= dust, 0.0, np.sign(values))
    return [int(index) for index in np.flatnonzero(sign[:-1] * sign[1:] < 0.0)]


def _refined_extrema(curve: Curve, x: FloatArray, values: FloatArray, dust: float) -> tuple[FloatArray, FloatArray]:
    """Zoom in on every local extremum; return where they are and the profit there."""
    rise = np.diff(values)
    before, after = rise[:-1], rise[1:]
    peak = (before >= 0.0) & (after <= 0.0) & (before - after > dust)
    trough = (before <= 0.0) & (after >= 0.0) & (after - before > dust)
    middle = np.flatnonzero(peak | trough) + 1
    if not middle.size:
        return np.empty(0), np.empty(0)
    sign = np.where(peak, 1.0, -1.0)[middle - 1, None]
    left, right = x[middle - 1], x[middle + 1]
    share = np.linspace(0.0, 1.0, _ZOOM_POINTS)
    rows = np.arange(middle.size)
    for _ in range(_ZOOM_ROUNDS):
        points = left[:, None] + (right - left)[:, None] * share
        profits = curve(points.ravel()).reshape(points.shape)
        top = np.argmax(sign * profits, axis=1)
        left = points[rows, np.maximum(top - 1, 0)]
        right = points[rows, np.minimum(top + 1, _ZOOM_POINTS - 1)]
    return points[rows, top], profits[rows, top]


def _roots(
    curve: Curve, left: tuple[FloatArray, FloatArray], right: tuple[FloatArray, FloatArray], accuracy: float
) -> FloatArray:
    """Narrow all brackets together by Chandrupatla's method: inverse quadratic steps where safe, else bisection.

    Args:
        curve: as in :func:`of_curve`.
        left: where the brackets begin, and the profit there.
        right: where they end, and the profit of the other sign there.
        accuracy: a root is no farther from what is returned.
    """
    (b, at_b), (a, at_a) = left, right
    share = np.full(a.shape, 0.5)
    nearest = a
    for _ in range(_ROOT_ROUNDS):
        trial = a + share * (b - a)
        at_trial = curve(trial)
        same = np.sign(at_trial) == np.sign(at_a)
        c, at_c = np.where(same, a, b), np.where(same, at_a, at_b)
        b, at_b = np.where(same, b, a), np.where(same, at_b, at_a)
        a, at_a = trial, at_trial
        nearest = np.where(np.abs(at_a) < np.abs(at_b), a, b)
        limit = 0.5 * accuracy / np.abs(b - a)
        if ((limit > 0.5) | (at_a == 0.0)).all():
            break
        place, height = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
        quadratic = at_a / (at_b - at_a) * at_c / (at_b - at_c)
        quadratic += (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
        safe = (height**2 < place) & ((1.0 - height) ** 2 < 1.0 - place)
        limit = np.minimum(limit, 0.5)
        share = np.clip(np.where(safe, quadratic, 0.5), limit, 1.0 - limit)
    return nearest
