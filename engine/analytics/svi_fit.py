"""Robust least squares for many SVI curves at once: one row of weights, one row of coordinates.

All rows see the same points and differ only in the weights, which is what leaving out one strike after the other
needs. Method: Levenberg-Marquardt with a pseudo-Huber loss, coordinates held inside their intervals by an active set,
every row with its own damping and its own end.

Invariant: a row's answer depends on its own start and on the points it gives weight to, and on nothing else: a point
of weight zero may hold any finite number without changing a bit. Deterministic; never raises because of a value.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from engine.analytics.arrays import BoolArray, FloatArray
from engine.analytics.svi import CENTRE, COORDINATES, LEFT, LEVEL, RIGHT, STEEPEST_WING, WIDTH

HUBER_ERRORS: Final = 2.0
"""Residuals beyond so many errors pull like a constant force, not like their size."""

MAXIMUM_STEPS: Final = 40

SETTLED: Final = 1e-4
"""Relative gain of one accepted step below which a row has settled: the curve then moves by under 0.002 vol points."""

EXACT: Final = 1e-14
"""Loss per point below which the curve goes through the points: there is nothing left to gain."""

_FIRST_DAMPING: Final = 1e-4
_LEAST_DAMPING: Final = 1e-9
_MOST_DAMPING: Final = 1e8
_DAMPING_DOWN: Final = 0.1
_DAMPING_UP: Final = 8.0

_CENTRE_BEYOND: Final = 1.0
"""The curve's centre stays within the quoted range and so many times its width beyond."""

_NARROWEST: Final = 0.01
_WIDEST: Final = 4.0
"""Limits of the curve's width as parts of the quoted range: narrower is a kink, wider is a parabola already."""

_LEAST_VARIANCE: Final = 0.02
"""No curve goes below this part of the smallest quoted variance, also beyond the quotes."""

_START_CENTRES: Final = (0.0, 0.0, -0.25, 0.25)
_START_WIDTHS: Final = (0.1, 0.6, 0.3, 0.3)
"""Where a cold search starts, as parts of the quoted range from the money."""

_START_QUANTILES: Final = (0.25, 0.75)
"""Of the quoted variances: the first is the level to start from, their distance the slope."""


class Points(NamedTuple):
    """The strikes of one expiry; what a point without a quote holds does not matter, as long as it is finite."""

    log_moneyness: FloatArray
    """``ln(K / F)``, shape ``(n,)``; those a row gives weight to are not all equal."""
    variance: FloatArray
    """Total variance, > 0 where a row gives weight, shape ``(n,)``."""


class _Bounds(NamedTuple):
    """What the coordinates of every row must keep to."""

    lower: FloatArray
    """Shape ``(rows, 5)``."""
    upper: FloatArray
    floor: FloatArray
    """Least total variance of the curve anywhere, shape ``(rows,)``."""


class _Slope(NamedTuple):
    """Loss of every row and its first and (Gauss-Newton) second derivatives."""

    loss: FloatArray
    gradient: FloatArray
    hessian: FloatArray


def fit_rows(points: Points, weights: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fit a curve for every row of weights.

    Args:
        points: quotes, n of them.
        weights: one over the error of each point's total variance, 0 to leave it out, shape ``(rows, n)``.
        start: coordinates to start from, shape ``(rows, 5)``.

    Returns:
        Coordinates, shape ``(rows, 5)``, and the losses, shape ``(rows,)``.
    """
    with np.errstate(all="ignore"):
        return _descend(points, weights, start)


def _descend(points: Points, weights: FloatArray, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The method itself; the caller silences floating-point warnings."""
    bounds = _bounds(points, weights)
    place = _projected(start, bounds)
    state = _slope(points, weights, place)
    best, loss = place.copy(), state.loss.copy()
    rows = np.arange(start.shape[0])
    damping = np.full(rows.size, _FIRST_DAMPING)
    enough = EXACT * np.count_nonzero(weights, axis=1)
    for _ in range(MAXIMUM_STEPS):
        trial = _projected(place + _step(place, state, damping, bounds), bounds)
        after = _slope(points, weights, trial)
        gain = state.loss - after.loss
        better = gain > 0.0
        settled = (better & (gain <= SETTLED * state.loss)) | (better & (after.loss <= enough))
        damping = np.where(better, np.maximum(damping * _DAMPING_DOWN, _LEAST_DAMPING), damping * _DAMPING_UP)
        settled |= damping > _MOST_DAMPING
        settled |= state.loss <= enough
        place = np.where(better[:, None], trial, place)
        state = _Slope(
            np.where(better, after.loss, state.loss),
            np.where(better[:, None], after.gradient, state.gradient),
            np.where(better[:, None, None], after.hessian, state.hessian),
        )
        if settled.any():
            best[rows[settled]], loss[rows[settled]] = place[settled], state.loss[settled]
            going = ~settled
            if not going.any():
                return best, loss
            rows, weights, place = rows[going], weights[going], place[going]
            damping, enough = damping[going], enough[going]
            state = _Slope(*(field[going] for field in state))
            bounds = _Bounds(*(field[going] for field in bounds))
    best[rows], loss[rows] = place, state.loss
    return best, loss


def cold_rows(points: Points, weights: FloatArray) -> FloatArray:
    """Fit every row without a start: from several places, the best of which counts.

    Args:
        points: quotes, n of them.
        weights: as in :func:`fit_rows`; every row gives weight to some point.

    Returns:
        Coordinates, shape ``(rows, 5)``.
    """
    count, tries = weights.shape[0], len(_START_CENTRES)
    low, high = _quoted_range(points, weights)
    span = high - low
    known = np.where(weights > 0.0, points.variance, np.nan)
    quarter, three_quarters = np.nanquantile(known, _START_QUANTILES, axis=1)
    start = np.empty((count, tries, COORDINATES))
    start[:, :, LEVEL] = quarter[:, None]
    start[:, :, LEFT] = start[:, :, RIGHT] = ((three_quarters - quarter) / span)[:, None]
    start[:, :, CENTRE] = np.multiply.outer(span, _START_CENTRES)
    start[:, :, WIDTH] = np.multiply.outer(span, _START_WIDTHS)
    found, loss = fit_rows(points, np.repeat(weights, tries, axis=0), start.reshape(-1, COORDINATES))
    chosen = np.argmin(loss.reshape(count, tries), axis=1)
    best: FloatArray = found.reshape(count, tries, COORDINATES)[np.arange(count), chosen]
    return best


def _quoted_range(points: Points, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest log-moneyness each row gives weight to."""
    used = weights > 0.0
    low = np.where(used, points.log_moneyness, np.inf).min(axis=1)
    high = np.where(used, points.log_moneyness, -np.inf).max(axis=1)
    return low, high


def _bounds(points: Points, weights: FloatArray) -> _Bounds:
    """Limits taken from the points a row gives weight to, so that one left out has no say in them either."""
    low, high = _quoted_range(points, weights)
    span = high - low
    zero, steepest = np.zeros_like(span), np.full_like(span, STEEPEST_WING)
    floor = _LEAST_VARIANCE * np.where(weights > 0.0, points.variance, np.inf).min(axis=1)
    lower = (zero, zero, zero, low - _CENTRE_BEYOND * span, _NARROWEST * span)
    upper = (np.full_like(span, np.inf), steepest, steepest, high + _CENTRE_BEYOND * span, _WIDEST * span)
    return _Bounds(np.stack(lower, axis=1), np.stack(upper, axis=1), floor)


def _projected(rows: FloatArray, bounds: _Bounds) -> FloatArray:
    """Bring coordinates back into their intervals and the curve above its floor everywhere."""
    inside = np.clip(rows, bounds.lower, bounds.upper)
    level = np.maximum(inside[:, LEVEL], 2.0 * bounds.floor)
    gap = np.sqrt(inside[:, LEFT]) - np.sqrt(inside[:, RIGHT])
    widest = 2.0 * (level - bounds.floor) / (gap * gap)
    inside[:, LEVEL] = level
    inside[:, WIDTH] = np.fmin(inside[:, WIDTH], widest)
    return inside


def _slope(points: Points, weights: FloatArray, rows: FloatArray) -> _Slope:
    """Evaluate curves, residuals, loss and derivatives. Nine tenths of a fit's time are spent here."""
    level, left, right, centre, width = (rows[:, place, None] for place in range(COORDINATES))
    tilt, slope = 0.5 * (right - left), 0.5 * (right + left)
    x = points.log_moneyness - centre
    root = x * x
    root += width * width
    np.sqrt(root, out=root)
    jacobian = np.empty((rows.shape[0], COORDINATES, x.shape[1]))
    jacobian[:, LEVEL] = 1.0
    lift = root - width
    lift *= 0.5
    half = 0.5 * x
    np.subtract(lift, half, out=jacobian[:, LEFT])
    np.add(lift, half, out=jacobian[:, RIGHT])
    # The rest of the curve in place of the temporary arrays: miss = level + 2 slope lift + 2 tilt half - variance.
    miss = lift
    miss *= 2.0 * slope
    half *= 2.0 * tilt
    miss += half
    miss += level - points.variance
    np.reciprocal(root, out=root)
    x *= root
    x *= slope
    np.subtract(-tilt, x, out=jacobian[:, CENTRE])
    # By the logarithm of the width: its natural scale is a ratio.
    root *= slope * width * width
    np.subtract(root, slope * width, out=jacobian[:, WIDTH])
    square = weights * weights
    stretch = miss * miss
    stretch *= square
    stretch *= 1.0 / (HUBER_ERRORS * HUBER_ERRORS)
    stretch += 1.0
    np.sqrt(stretch, out=stretch)
    loss = HUBER_ERRORS * HUBER_ERRORS * (stretch - 1.0).sum(axis=1)
    # The loss is that of least squares with every weight lowered by the stretch.
    square /= stretch
    weighted = jacobian * square[:, None, :]
    # Two different arrays on purpose: for a product with its own transpose numpy takes a slower road.
    hessian = weighted @ jacobian.transpose(0, 2, 1)
    gradient = (weighted @ miss[:, :, None])[:, :, 0]
    return _Slope(loss, gradient, hessian)


def _step(rows: FloatArray, state: _Slope, damping: FloatArray, bounds: _Bounds) -> FloatArray:
    """Return the damped Gauss-Newton step; coordinates pressed against a bound stay."""
    stuck: BoolArray = ((rows <= bounds.lower) & (state.gradient > 0.0)) | (
        (rows >= bounds.upper) & (state.gradient < 0.0)
    )
    diagonal = np.einsum("rii->ri", state.hessian)
    free = ~stuck & (diagonal > 0.0)
    scale = np.where(free, 1.0 / np.sqrt(np.where(free, diagonal, 1.0)), 0.0)
    matrix = state.hessian * scale[:, :, None] * scale[:, None, :]
    places = np.arange(COORDINATES)
    # Scaled, the diagonal is one; a stuck coordinate's row and column are zero and its step therefore too.
    matrix[:, places, places] = np.where(free, 1.0 + damping[:, None], 1.0)
    step: FloatArray = -scale * np.linalg.solve(matrix, (scale * state.gradient)[:, :, None])[:, :, 0]
    # The width moves by a factor, at most by e either way.
    step[:, WIDTH] = rows[:, WIDTH] * np.expm1(np.clip(step[:, WIDTH], -1.0, 1.0))
    return step
