"""Futures of one underlying: basis, what it costs a year, build-up and rollover.

* **Basis**: future less spot, index points.
* **Annualised basis**: ``ln(F / S) / T``, continuously compounded; 0.065 = 6.5 %.
* **Rollover**: open interest that is already in later expiries as per cent of that in all of them.
* **Roll cost**: what moving a long position to the next expiry costs, index points and annualised over the time
  between the two expiries.

Invariant: unknown is NaN. A basis against a spot that does not move (closing auction) is the caller's to withhold: pass
NaN as the spot.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import CodeArray, FloatArray, as_floats
from engine.analytics.chain_statistics import LARGEST_COUNT
from engine.analytics.open_interest import build_up

PERCENT = 100.0


class FutureMarks(NamedTuple):
    """The futures of one underlying, in the caller's order; arrays of shape ``(n,)``."""

    basis: FloatArray
    """Index points."""
    basis_percent: FloatArray
    """Of spot."""
    annualised_basis: FloatArray
    """Continuously compounded, 0.065 = 6.5 %; NaN at and after the expiry."""
    build_up: CodeArray
    """Members of :class:`~engine.analytics.open_interest.BuildUp`."""
    roll_cost: FloatArray
    """To the next later expiry, index points; NaN for the last."""
    annualised_roll_cost: FloatArray
    """``ln(next / this)`` per year between the expiries."""
    rollover_percent: float
    """Open interest beyond the nearest expiry as per cent of all; NaN unless it is known of every expiry."""


def mark_futures(
    price: ArrayLike,
    years: ArrayLike,
    *,
    spot: float,
    price_change: ArrayLike,
    open_interest: ArrayLike,
    open_interest_change: ArrayLike,
    price_threshold: float = 0.0,
    open_interest_threshold: float = 0.0,
) -> FutureMarks:
    """Mark the futures of one underlying.

    Args:
        price: index points, shape ``(n,)``, as all arrays here; NaN or 0 where there is none.
        years: ACT/365 to each expiry, any order.
        spot: index points; NaN when unknown or frozen.
        price_change: of each future, any unit; NaN where unknown.
        open_interest: units; NaN where unknown.
        open_interest_change: over the same span as the price's, any unit; NaN where unknown.
        price_threshold: see :func:`~engine.analytics.open_interest.build_up`.
        open_interest_threshold: the same.

    Raises:
        ValueError: the arrays differ in shape.
    """
    columns = [as_floats(values) for values in (price, years, price_change, open_interest, open_interest_change)]
    p, t, moved, interest, interest_moved = columns
    if len({column.shape for column in columns}) != 1 or p.ndim != 1:
        raise ValueError(
            f"price {p.shape}, years {t.shape}, price_change {moved.shape}, open_interest {interest.shape} and "
            f"open_interest_change {interest_moved.shape} must have one shape (n,): an element per future"
        )
    with np.errstate(all="ignore"):
        p = np.where((p > 0.0) & np.isfinite(p), p, np.nan)
        against = spot if math.isfinite(spot) and spot > 0.0 else math.nan
        basis = p - against
        annualised = np.where((t > 0.0) & np.isfinite(t), np.log(p / against) / t, np.nan)
        cost, annualised_cost = _roll(p, t)
    return FutureMarks(
        basis=basis,
        basis_percent=PERCENT * basis / against,
        annualised_basis=annualised,
        build_up=build_up(
            moved,
            interest_moved,
            price_threshold=price_threshold,
            open_interest_threshold=open_interest_threshold,
        ),
        roll_cost=cost,
        annualised_roll_cost=annualised_cost,
        rollover_percent=rollover_percent(interest, t),
    )


def rollover_percent(open_interest: ArrayLike, years: ArrayLike) -> float:
    """Return the open interest of all but the nearest expiry as per cent of the whole.

    Args:
        open_interest: units, an element per expiry; NaN where unknown.
        years: to each expiry, in any order.

    Returns:
        0 to 100; NaN when it is not known of every expiry, there are fewer than two, or there is none at all.
    """
    interest, t = as_floats(open_interest), as_floats(years)
    possible = (interest >= 0.0) & (interest <= LARGEST_COUNT) & np.isfinite(t)
    if interest.size < 2 or not possible.all() or interest.sum() <= 0.0:
        return math.nan
    nearest = float(interest[int(np.argmin(t))])
    return PERCENT * (1.0 - nearest / float(interest.sum()))


def _roll(price: FloatArray, years: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Difference to the next later expiry, in points and per year; the caller silences warnings."""
    cost, annualised = np.full(price.shape, np.nan), np.full(price.shape, np.nan)
    order = np.argsort(years, kind="stable")
    order = order[np.isfinite(years[order])]
    this, following = order[:-1], order[1:]
    cost[this] = price[following] - price[this]
    between = years[following] - years[this]
    annualised[this] = np.where(between > 0.0, np.log(price[following] / price[this]) / between, np.nan)
    return cost, annualised
