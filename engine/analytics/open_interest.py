"""What open interest says: build-up classes, walls and gamma exposure.

**Build-up** of a contract, from the changes of its own price and of its own open interest over one span of time:

=================  =====  =============
class              price  open interest
=================  =====  =============
long build-up      up     up
short build-up     down   up
long unwinding     down   down
short covering     up     down
=================  =====  =============

A change within its threshold is none, and the class is neutral.

**Walls** are the strikes with the most open interest where it resists: calls at or above the forward, puts at or
below it.

**Gamma exposure** (GEX) is the number of rupees by which hedgers must change their holding of the underlying when
the forward moves by one per cent: ``gamma * open interest * forward**2 * 0.01``. Who is hedging is not known. The sign
is the customary assumption that dealers are long the calls and short the puts: calls count positive, puts negative; a
positive total dampens moves, a negative one feeds them.

Invariant: unknown is NaN or ``UNKNOWN``, never 0; a known open interest of none is a real 0.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analytics.arrays import CodeArray, FloatArray, as_floats, common_shape
from engine.analytics.chain_statistics import LARGEST_COUNT

WALLS: Final = 3
"""How many walls are named on either side."""

ONE_PER_CENT: Final = 0.01


class BuildUp(IntEnum):
    """What a contract's traders are doing; stored as one byte per contract."""

    UNKNOWN = 0
    """A change is not known."""
    NEUTRAL = 1
    """A change is within its threshold."""
    LONG_BUILD_UP = 2
    SHORT_BUILD_UP = 3
    LONG_UNWINDING = 4
    SHORT_COVERING = 5


class Wall(NamedTuple):
    """A strike that holds much open interest."""

    strike: float
    """Index points."""
    open_interest: float
    """The caller's unit."""


class Walls(NamedTuple):
    """The walls around the forward, largest open interest first."""

    calls: tuple[Wall, ...]
    """At or above the forward."""
    puts: tuple[Wall, ...]
    """At or below it."""


NO_WALLS: Final = Walls((), ())


class GammaExposure(NamedTuple):
    """Rupees of hedging per one per cent move of the forward; open interest taken in units."""

    call: FloatArray
    """Per strike, >= 0, shape ``(n,)``; NaN where open interest or gamma is unknown."""
    put: FloatArray
    """Per strike, <= 0."""
    net: FloatArray
    """Per strike, calls and puts together; of a strike with one unknown side the other."""
    total: float
    """Sum over the known; NaN when nothing is."""
    unknown: int
    """Options that hold open interest but whose gamma is unknown; they are not in the total."""


def build_up(
    price_change: ArrayLike,
    open_interest_change: ArrayLike,
    *,
    price_threshold: float = 0.0,
    open_interest_threshold: float = 0.0,
) -> CodeArray:
    """Classify contracts.

    Args:
        price_change: of each contract's own price, in any unit, per cent for instance; NaN where unknown.
        open_interest_change: over the same span, in any unit; NaN where unknown.
        price_threshold: change of the price, in its unit, up to which it counts as none; >= 0.
        open_interest_threshold: the same for open interest.

    Returns:
        Members of :class:`BuildUp` in the shape the inputs broadcast to.
    """
    shape = common_shape(price_change, open_interest_change)
    price, interest = as_floats(price_change), as_floats(open_interest_change)
    with np.errstate(all="ignore"):
        rises, falls = price > price_threshold, price < -price_threshold
        grows, shrinks = interest > open_interest_threshold, interest < -open_interest_threshold
        classes = np.where(np.isnan(price) | np.isnan(interest), np.uint8(BuildUp.UNKNOWN), np.uint8(BuildUp.NEUTRAL))
        classes = np.where(rises & grows, np.uint8(BuildUp.LONG_BUILD_UP), classes)
        classes = np.where(falls & grows, np.uint8(BuildUp.SHORT_BUILD_UP), classes)
        classes = np.where(falls & shrinks, np.uint8(BuildUp.LONG_UNWINDING), classes)
        classes = np.where(rises & shrinks, np.uint8(BuildUp.SHORT_COVERING), classes)
    return classes.reshape(shape)


def walls(
    strikes: ArrayLike,
    forward: float,
    call_open_interest: ArrayLike,
    put_open_interest: ArrayLike,
    *,
    count: int = WALLS,
) -> Walls:
    """Return the strikes with the most open interest on their side of the forward.

    Args:
        strikes: index points, shape ``(n,)``, any order.
        forward: index points.
        call_open_interest: any unit, shape ``(n,)``; NaN where unknown.
        put_open_interest: the same unit.
        count: at most so many on either side.

    Returns:
        Walls, largest first; of equal ones the nearer to the forward first. Fewer, or none, where there are no more
        strikes with any open interest or there is no forward.
    """
    if not math.isfinite(forward):
        return NO_WALLS
    k = as_floats(strikes)
    with np.errstate(all="ignore"):
        listed = np.isfinite(k) & (k > 0.0)
        above, below = listed & (k >= forward), listed & (k <= forward)
    return Walls(
        _largest(k, as_floats(call_open_interest), np.flatnonzero(above), forward, count),
        _largest(k, as_floats(put_open_interest), np.flatnonzero(below), forward, count),
    )


def gamma_exposure(
    forward: float,
    *,
    call_gamma: ArrayLike,
    put_gamma: ArrayLike,
    call_open_interest: ArrayLike,
    put_open_interest: ArrayLike,
) -> GammaExposure:
    """Return the hedgers' exposure; sign and unit in the module's description.

    Args:
        forward: index points.
        call_gamma: per index point squared of one unit, shape ``(n,)``; NaN where unknown. Call and put of a
            strike share their gamma, so one stands in for the other.
        put_gamma: the same for puts.
        call_open_interest: **units** (not lots), shape ``(n,)``; NaN where unknown.
        put_open_interest: units.
    """
    calls, puts = as_floats(call_gamma), as_floats(put_gamma)
    gamma = np.stack((np.where(np.isnan(calls), puts, calls), np.where(np.isnan(puts), calls, puts)))
    interest = np.stack((as_floats(call_open_interest), as_floats(put_open_interest)))
    with np.errstate(all="ignore"):
        interest = np.where((interest >= 0.0) & (interest <= LARGEST_COUNT), interest, np.nan)
        exposure = gamma * interest * (forward * forward * ONE_PER_CENT) * np.array([[1.0], [-1.0]])
        exposure = np.where(interest == 0.0, 0.0, exposure)
        exposure = np.where(np.isfinite(exposure), exposure, np.nan)
        known = ~np.isnan(exposure)
        net = np.where(known.any(axis=0), np.where(known, exposure, 0.0).sum(axis=0), np.nan)
        unknown = int(np.count_nonzero((interest > 0.0) & ~known))
    total = float(exposure[known].sum()) if known.any() else math.nan
    return GammaExposure(exposure[0], exposure[1], net, total, unknown)


def _largest(
    strikes: FloatArray, interest: FloatArray, candidates: NDArray[np.intp], forward: float, count: int
) -> tuple[Wall, ...]:
    """The candidates with the most open interest."""
    with np.errstate(all="ignore"):
        held = (interest > 0.0) & (interest <= LARGEST_COUNT)
    candidates = candidates[held[candidates]]
    order = np.lexsort((np.abs(strikes[candidates] - forward), -interest[candidates]))[:count]
    return tuple(Wall(float(strikes[place]), float(interest[place])) for place in candidates[order])
