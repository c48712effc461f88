"""Whether a fitted smile, or a row of them, gives money away.

* **Butterfly**: within one expiry the risk-neutral density must not be negative (Durrleman's ``g >= 0``) and neither
  wing may be steeper than Lee's bound.
* **Calendar**: at one log-moneyness the total variance must not fall from one expiry to the next.

Invariant: a check that cannot be made says so (NaN, ``False``); it never passes by default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from engine.analytics.arrays import FloatArray
from engine.analytics.svi import LEFT, RIGHT, STEEPEST_WING, durrleman, total_variance

GRID_POINTS: Final = 161
"""Places at which a curve is looked at."""

BEYOND_QUOTES: Final = 1.0
"""How far beyond the quotes on either side a curve is looked at, in widths of the quoted range."""

TOLERATED_DENSITY: Final = -1e-9
"""Rounding of ``g`` on a curve that touches zero."""

TOLERATED_FALL: Final = 1e-9
"""Relative fall of total variance that is rounding."""


class ButterflyCheck(NamedTuple):
    """The answer for one expiry."""

    free_in_quotes: bool
    """No negative density between the lowest and the highest strike used."""
    free_everywhere: bool
    """The same on a grid reaching far beyond the quotes, and both wings within Lee's bound."""
    least_density: float
    """Smallest ``g`` on the whole grid; NaN without a curve."""
    worst_log_moneyness: float
    """Where it is."""
    steepest_wing: float
    """Total variance per unit of log-moneyness, the larger of both wings; at most 2."""


UNCHECKED: Final = ButterflyCheck(
    free_in_quotes=False,
    free_everywhere=False,
    least_density=math.nan,
    worst_log_moneyness=math.nan,
    steepest_wing=math.nan,
)


class Expiry(NamedTuple):
    """What the calendar check needs of one expiry."""

    row: FloatArray
    """SVI coordinates, shape ``(5,)``."""
    years: float
    """ACT/365."""
    lowest: float
    """Quoted range, log-moneyness."""
    highest: float


class CalendarBreach(NamedTuple):
    """A pair of neighbouring expiries whose total variance falls somewhere both are quoted."""

    near: int
    """Index of the nearer expiry in the caller's sequence."""
    far: int
    log_moneyness: float
    """Where the fall is largest."""
    fall: float
    """Total variance of the nearer less that of the farther expiry there, > 0."""
    volatility_gap: float
    """Volatility the farther expiry lacks there, 0.01 = one vol point."""


def check_butterfly(row: FloatArray, lowest: float, highest: float) -> ButterflyCheck:
    """Look for negative densities.

    Args:
        row: SVI coordinates, shape ``(5,)``.
        lowest: smallest log-moneyness quoted.
        highest: largest log-moneyness quoted, above it.
    """
    span = highest - lowest
    if not (np.isfinite(row).all() and math.isfinite(span) and span > 0.0):
        return UNCHECKED
    reach = BEYOND_QUOTES * span
    grid = np.linspace(lowest - reach, highest + reach, GRID_POINTS)
    density = durrleman(row, grid)
    allowed = density >= TOLERATED_DENSITY
    worst = int(np.argmin(np.where(np.isnan(density), -np.inf, density)))
    wing = float(max(row[LEFT], row[RIGHT]))
    return ButterflyCheck(
        free_in_quotes=bool(allowed[(grid >= lowest) & (grid <= highest)].all()),
        free_everywhere=bool(allowed.all()) and wing <= STEEPEST_WING,
        least_density=float(density[worst]),
        worst_log_moneyness=float(grid[worst]),
        steepest_wing=wing,
    )


def check_calendar(expiries: Sequence[Expiry]) -> tuple[CalendarBreach, ...]:
    """Look for total variance that falls with time, between neighbouring expiries, where both are quoted.

    Args:
        expiries: in any order; one whose coordinates are NaN takes no part.

    Returns:
        The breaches, nearest pair first; empty when there is none.
    """
    usable = [index for index, item in enumerate(expiries) if np.isfinite(item.row).all() and item.years > 0.0]
    usable.sort(key=lambda index: expiries[index].years)
    breaches = []
    for near, far in pairwise(usable):
        low = max(expiries[near].lowest, expiries[far].lowest)
        high = min(expiries[near].highest, expiries[far].highest)
        if not high > low:
            continue
        grid = np.linspace(low, high, GRID_POINTS)
        before = total_variance(expiries[near].row, grid)
        after = total_variance(expiries[far].row, grid)
        fall = before - after
        worst = int(np.argmax(fall))
        if fall[worst] > TOLERATED_FALL * before[worst]:
            years = expiries[far].years
            gap = math.sqrt(before[worst] / years) - math.sqrt(max(after[worst], 0.0) / years)
            breaches.append(CalendarBreach(near, far, float(grid[worst]), float(fall[worst]), gap))
    return tuple(breaches)
