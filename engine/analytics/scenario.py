"""Scenario grids: profit and Greeks of a strategy over forward x volatility x date, in one call.

A grid is an outer product, so everything that depends on one axis alone (logarithms, roots, discount factors) is
computed once per axis, and a cell costs two normal distributions, one exponential and a few products. Cells are
worked on in blocks that stay in the processor's cache, in buffers made once per call.

Invariant: a cell equals the sum of its legs' Greeks, priced one by one, to 1e-9 of the forward; NaN where
a leg has no value, never zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from engine.analytics.arrays import DAYS_PER_YEAR, PER_PERCENTAGE_POINT, FloatArray, as_floats
from engine.analytics.legs import LegKind, LegReason, Legs, active, leg_reasons
from engine.analytics.normalised import INVERSE_SQRT_TWO_PI, SMALLEST_DEVIATION

BLOCK_CELLS: Final = 8_192
"""Cells per block: the buffers of one block fit into the second-level cache."""

SHORT_ROW: Final = 256
"""Below this many volatility-date pairs the forwards become the inner axis, so that inner loops stay long."""

_TEMPORARIES: Final = 5


class ScenarioGrid(NamedTuple):
    """Arrays of shape ``(forwards, volatilities, dates)``, in money; NaN where a leg has no value."""

    profit: FloatArray
    """``sum(quantity * multiplier * (price - entry_price)) - charges``."""
    delta: FloatArray
    """Per point of each leg's own forward."""
    gamma: FloatArray
    theta: FloatArray
    """Per calendar day, forward and volatility held."""
    vega: FloatArray
    """Per percentage point."""
    rho: FloatArray
    """Per percentage point."""


class _Axes(NamedTuple):
    """The two axes a block is cut from, each shaped for broadcasting against the other."""

    forward_shift: FloatArray
    volatility_shift: FloatArray
    elapsed: FloatArray


class _Leg(NamedTuple):
    """One option's factors along the axes; the sign of its side and its weight are folded in."""

    sign: float
    strike: float
    forward: FloatArray
    inverse_forward: FloatArray
    signed_log: FloatArray
    """``sign * ln(forward / strike)``."""
    inverse_deviation: FloatArray
    half_deviation: FloatArray
    """``sign * deviation / 2``."""
    price_factor: FloatArray
    """``weight * sign * discount``."""
    density_factor: FloatArray
    """``weight * discount / sqrt(2 pi)``."""
    root_time: FloatArray
    """``sqrt(years)`` per percentage point."""
    decay: FloatArray
    """``volatility / (2 sqrt(years))`` per day."""
    rho: FloatArray
    """``-years`` per percentage point."""
    edges: bool
    """Whether the grid holds cells exactly at the money without deviation, where gamma (and theta) have no value."""


def scenario_grid(
    legs: Legs,
    *,
    rate: float,
    forward_shifts: ArrayLike,
    volatility_shifts: ArrayLike = 0.0,
    elapsed: ArrayLike = 0.0,
    charges: float = 0.0,
    out: ScenarioGrid | None = None,
) -> ScenarioGrid:
    """Return profit and Greeks over the outer product of three axes.

    Args:
        legs: shape ``(n,)``; without legs every cell is 0 less the charges.
        rate: continuously compounded, 0.065 = 6.5 %.
        forward_shifts: relative, shape ``(f,)``: 0.01 multiplies every leg's forward by 1.01.
        volatility_shifts: absolute, shape ``(v,)``: 0.01 adds one percentage point to every leg's volatility; where
            the sum is negative the cell is NaN.
        elapsed: years from now, shape ``(d,)``. A leg whose expiry has come or passed counts its intrinsic value at
            the cell's forward.
        charges: money, subtracted from every profit.
        out: a grid of shape ``(f, v, d)``, C-contiguous float64, to write to and return.

    Raises:
        ValueError: an axis has more than one dimension, or ``out`` has another shape or layout.
    """
    shifts, volatilities, dates = (as_floats(axis) for axis in (forward_shifts, volatility_shifts, elapsed))
    shape = _shape(shifts, volatilities, dates)
    grid = _checked(out, shape) if out is not None else ScenarioGrid(*(np.empty(shape) for _ in ScenarioGrid._fields))
    pairs = volatilities.size * dates.size
    transposed = pairs < min(SHORT_ROW, shifts.size)
    along = (1, -1) if transposed else (-1, 1)
    axes = _Axes(
        shifts.reshape(along),
        np.repeat(volatilities, dates.size).reshape(along[::-1]),
        np.tile(dates, volatilities.size).reshape(along[::-1]),
    )
    targets = [field.reshape(shifts.size, pairs) for field in grid]
    if transposed:
        targets = [target.T for target in targets]
    legs = active(legs)
    if (legs.kind > LegKind.CASH).any():
        for field in grid:
            field.fill(np.nan)
        return grid
    with np.errstate(all="ignore"):
        _fill(targets, legs, axes, rate, charges)
    return grid


def _shape(*axes: FloatArray) -> tuple[int, ...]:
    """Return the grid's shape."""
    for axis, name in zip(axes, ("forward_shifts", "volatility_shifts", "elapsed"), strict=True):
        if axis.ndim != 1:
            raise ValueError(f"{name} has shape {axis.shape}: give one dimension")
    return tuple(axis.size for axis in axes)


def _checked(out: ScenarioGrid, shape: tuple[int, ...]) -> ScenarioGrid:
    """Refuse buffers that cannot be written in place."""
    for name, field in zip(ScenarioGrid._fields, out, strict=True):
        if field.shape != shape or field.dtype != np.float64 or not field.flags.c_contiguous:
            raise ValueError(
                f"out.{name} is {field.dtype} of shape {field.shape}: give C-contiguous float64 of shape {shape}"
            )
    return out


def _fill(targets: list[FloatArray], legs: Legs, axes: _Axes, rate: float, charges: float) -> None:
    """Compute block by block."""
    options, profit, delta = _prepared(legs, axes, rate, charges)
    rows, columns = targets[0].shape
    width = max(1, min(columns, BLOCK_CELLS))
    height = max(1, min(rows, BLOCK_CELLS // width))
    workspace = np.empty((_TEMPORARIES + len(targets), height * width))
    for row, column in _blocks(rows, columns, height, width):
        block = (row, column)
        size = (row.stop - row.start, column.stop - column.start)
        views = [buffer[: size[0] * size[1]].reshape(size) for buffer in workspace]
        sums, temporaries = views[: len(targets)], views[len(targets) :]
        for total in sums:
            total.fill(0.0)
        for option in options:
            _add(sums, temporaries, _cut(option, block))
        value, slope, _, theta, _, _ = sums
        # theta = (rate * price - decay) / 365; the first part is the same multiple of every leg's price.
        np.multiply(value, rate / DAYS_PER_YEAR, out=temporaries[0])
        theta += temporaries[0]
        value += profit[_within(profit, block)]
        slope += delta
        for target, total in zip(targets, sums, strict=True):
            target[block] = total


def _prepared(legs: Legs, axes: _Axes, rate: float, charges: float) -> tuple[list[_Leg], FloatArray, float]:
    """Return the options' factors, and what futures, cash, entry prices and charges add to profit and to delta."""
    # Far ahead every option has expired, so a missing volatility (which spoils only some cells) is not blamed here.
    broken = leg_reasons(legs, elapsed=np.inf, entry=False) != LegReason.OK
    weight = np.where(broken, np.nan, legs.weight)
    future = legs.kind == LegKind.FUTURE
    futures_value = float(np.dot(weight[future], legs.forward[future]))
    cash = float(weight[legs.kind == LegKind.CASH].sum())
    spent = float(np.dot(weight, legs.entry_price))
    profit = futures_value * (1.0 + axes.forward_shift) + (cash - spent - charges)
    profit[~(1.0 + axes.forward_shift > 0.0)] = np.nan
    options = [_leg(legs, int(index), float(weight[index]), axes, rate) for index in np.flatnonzero(legs.is_option)]
    return options, profit, float(weight[future].sum())


def _leg(legs: Legs, index: int, weight: float, axes: _Axes, rate: float) -> _Leg:
    """Compute one option's factors along the axes."""
    sign = 1.0 if legs.kind[index] == LegKind.CALL else -1.0
    strike = float(legs.strike[index])
    forward = legs.forward[index] * (1.0 + axes.forward_shift)
    forward = np.where(forward > 0.0, forward, np.nan)
    years = np.maximum(legs.years[index] - axes.elapsed, 0.0)
    volatility = np.where(years == 0.0, 0.0, legs.volatility[index] + axes.volatility_shift)
    volatility = np.where((volatility >= 0.0) & np.isfinite(volatility), volatility, np.nan)
    root = np.sqrt(years)
    deviation = volatility * root
    discount = weight * np.exp(-rate * years)
    log = np.log(forward / strike)
    return _Leg(
        sign=sign,
        strike=strike,
        forward=forward,
        inverse_forward=1.0 / forward,
        signed_log=sign * log,
        inverse_deviation=1.0 / np.maximum(deviation, SMALLEST_DEVIATION),
        half_deviation=0.5 * sign * deviation,
        price_factor=sign * discount,
        density_factor=INVERSE_SQRT_TWO_PI * discount,
        root_time=PER_PERCENTAGE_POINT * root,
        decay=(0.5 / DAYS_PER_YEAR) * volatility / np.maximum(root, np.finfo(np.float64).tiny),
        rho=-PER_PERCENTAGE_POINT * years,
        edges=bool((deviation == 0.0).any() and (log == 0.0).any()),
    )


def _blocks(rows: int, columns: int, height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices that cover the grid."""
    for row in range(0, rows, height):
        for column in range(0, columns, width):
            yield slice(row, min(row + height, rows)), slice(column, min(column + width, columns))


def _within(factor: FloatArray, block: tuple[slice, slice]) -> tuple[slice, ...]:
    """Return the part of a factor that belongs to a block: whole along the axis it does not have."""
    return tuple(slice(None) if length == 1 else cut for length, cut in zip(factor.shape, block, strict=True))


def _cut(leg: _Leg, block: tuple[slice, slice]) -> _Leg:
    """Return the leg's factors within one block."""
    return _Leg._make(field[_within(field, block)] if isinstance(field, np.ndarray) else field for field in leg)


def _add(sums: list[FloatArray], temporaries: list[FloatArray], leg: _Leg) -> None:
    """Add one option to a block's sums; the rate's part of theta is added for all legs together."""
    profit, delta, gamma, theta, vega, rho = sums
    near, far, density, weighted, product = temporaries
    # near = sign * d1, far = sign * d2
    np.multiply(leg.signed_log, leg.inverse_deviation, out=far)
    np.add(far, leg.half_deviation, out=near)
    np.subtract(far, leg.half_deviation, out=far)
    np.multiply(near, near, out=density)
    density *= -0.5
    np.exp(density, out=density)
    density *= leg.density_factor
    np.multiply(density, leg.forward, out=weighted)
    density *= leg.inverse_forward
    density *= leg.inverse_deviation
    if leg.edges:
        density[(leg.signed_log == 0.0) & (leg.half_deviation == 0.0)] = np.nan
    gamma += density
    np.multiply(weighted, leg.root_time, out=product)
    vega += product
    weighted *= leg.decay
    if leg.edges:
        weighted[(leg.signed_log == 0.0) & (leg.rho == 0.0)] = np.nan
    theta -= weighted
    ndtr(near, out=near)
    ndtr(far, out=far)
    np.multiply(near, leg.forward, out=product)
    far *= leg.strike
    product -= far
    product *= leg.price_factor
    profit += product
    product *= leg.rho
    rho += product
    near *= leg.price_factor
    delta += near
