"""Where today's implied volatility stands in its own history.

Two figures that are often confused:

* **IV rank**: ``100 * (current - lowest) / (highest - lowest)``, with the current value among the candidates for both;
  it depends on the two extremes alone.
* **IV percentile**: the share of past observations that were *below* the current value, in per cent; observations equal
  to it count half.

Invariant: with too little history there is none of either, and the reason says how much there is; never 0 or 50.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import as_floats

MINIMUM_OBSERVATIONS: Final = 20
"""Fewer are no history: of daily values a month."""

PERCENT: Final = 100.0


class VolatilityStanding(NamedTuple):
    """Rank and percentile, both 0 to 100; NaN with a reason."""

    rank: float
    percentile: float
    lowest: float
    """Of the history and the current value, annual; NaN where the rank is."""
    highest: float
    observations: int
    """Known values in the history."""
    reason: str
    """Why there is none; empty when there is."""


def volatility_standing(
    current: float, history: ArrayLike, *, minimum: int = MINIMUM_OBSERVATIONS
) -> VolatilityStanding:
    """Return rank and percentile of a volatility.

    Args:
        current: annual, 0.14 = 14 %; NaN when unknown.
        history: earlier values of the same figure (daily closes of a constant-maturity or nearest-expiry ATM
            volatility, or minutes), without the current one, any order, shape ``(n,)``; NaN and values that are no
            volatility are left out.
        minimum: known observations without which there is no answer.
    """
    past = as_floats(history).reshape(-1)
    with np.errstate(all="ignore"):
        past = past[np.isfinite(past) & (past > 0.0)]
    count = int(past.size)
    if not (math.isfinite(current) and current > 0.0):
        return _none(count, "no current volatility")
    if count < max(minimum, 1):
        return _none(count, f"{count} past values, {max(minimum, 1)} are needed")
    lowest, highest = min(float(past.min()), current), max(float(past.max()), current)
    below = np.count_nonzero(past < current) + 0.5 * np.count_nonzero(past == current)
    if highest > lowest:
        # The quotient first: at the ends it is exactly 0 and 1.
        rank, reason = PERCENT * ((current - lowest) / (highest - lowest)), ""
    else:
        rank, reason = math.nan, "all values are equal: there is no range to rank in"
    return VolatilityStanding(rank, PERCENT * float(below) / count, lowest, highest, count, reason)


def _none(count: int, reason: str) -> VolatilityStanding:
    return VolatilityStanding(math.nan, math.nan, math.nan, math.nan, count, reason)
