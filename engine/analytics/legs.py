"""The legs of a strategy as columns: what payoff, scenarios, probabilities and attribution are computed from.

Conventions, the same in all of them:

* ``quantity`` is signed, in exchange units; a leg's money is ``quantity * multiplier * price``, its profit
  ``quantity * multiplier * (price - entry_price)``.
* Every leg has the forward of *its own* expiry. Forwards of different expiries move together by the same **relative**
  shift: the annual carry between them stays what it is, and no forward can become negative. As time passes they are
  held, as theta holds them.
* The horizontal axis of every picture is the forward of the nearest option expiry, the *reference* forward.
* A leg with zero quantity is worth nothing and needs no marks.

Invariant: a value that cannot be computed is NaN and its leg has a reason; nothing here raises because of a value.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import BoolArray, CodeArray, FloatArray
from engine.analytics.greeks import Greeks, greeks

ONE_SECOND: Final = 1.0 / (365.0 * 86_400.0)
"""In years: expiry instants closer than this are the same instant."""

FOREVER: Final = math.inf
"""Years of a leg that never expires (a holding, cash)."""


class LegKind(IntEnum):
    """What a leg is; stored as one byte."""

    CALL = 0
    PUT = 1
    FUTURE = 2
    """A future, or a holding of the underlying: worth its own price, delta one, undiscounted."""
    CASH = 3
    """Money, one unit of it per unit of quantity. Entry price 0: money made (a realised profit); 1: money put in."""


class LegReason(IntEnum):
    """Why a leg has no value; stored as one byte."""

    OK = 0
    NO_QUANTITY = 1
    """Quantity or multiplier is no number."""
    NO_ENTRY_PRICE = 2
    NO_FORWARD = 3
    """The forward of its expiry is missing, zero, negative or infinite."""
    NO_STRIKE = 4
    NO_TIME = 5
    """The time to its expiry is no number."""
    NO_VOLATILITY = 6
    BAD_KIND = 7
    """Not a member of :class:`LegKind`."""


class Legs(NamedTuple):
    """Columns, one element per leg, shape ``(n,)``."""

    kind: CodeArray
    """Members of :class:`LegKind`."""
    quantity: FloatArray
    """Signed units."""
    strike: FloatArray
    """Index points; NaN for futures and cash."""
    entry_price: FloatArray
    """Index points per unit; ``multiplier`` turns it into money."""
    years: FloatArray
    """ACT/365 to the leg's own expiry instant; 0 or less: expired. Infinite for what never expires."""
    forward: FloatArray
    """Index points, of the leg's own expiry. For a future or holding its own price. NaN for cash."""
    volatility: FloatArray
    """Annual, 0.14 = 14 %; NaN for futures and cash, and where unknown."""
    multiplier: FloatArray
    """Money per index point and unit."""

    @property
    def is_option(self) -> BoolArray:
        """Calls and puts."""
        return self.kind <= LegKind.PUT

    @property
    def weight(self) -> FloatArray:
        """Money per index point: ``quantity * multiplier``."""
        return self.quantity * self.multiplier


class PositionGreeks(NamedTuple):
    """What a position is worth and how that moves, in money: sums of ``quantity * multiplier * greek`` of its legs.

    Delta and gamma are per point of each leg's own forward, theta per calendar day, vega and rho per percentage point.
    NaN where a leg with a quantity has none.
    """

    value: float
    """Money an exit at the model's prices would bring (negative: cost)."""
    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


def make_legs(
    kind: ArrayLike,
    quantity: ArrayLike,
    *,
    strike: ArrayLike = math.nan,
    entry_price: ArrayLike = math.nan,
    years: ArrayLike = FOREVER,
    forward: ArrayLike = math.nan,
    volatility: ArrayLike = math.nan,
    multiplier: ArrayLike = 1.0,
) -> Legs:
    """Spread scalars and columns over one length; fields and units as in :class:`Legs`.

    Raises:
        ValueError: the columns do not have one length (or length one), or have more than one dimension.
    """
    columns = [np.asarray(kind), *(np.asarray(column, dtype=np.float64) for column in (quantity, strike, entry_price))]
    columns += [np.asarray(column, dtype=np.float64) for column in (years, forward, volatility, multiplier)]
    shape = np.broadcast_shapes((1,), *(column.shape for column in columns))
    if len(shape) != 1:
        raise ValueError(f"legs have shape {shape}: give columns of one dimension, one element per leg")
    kinds, *floats = (np.broadcast_to(column, shape) for column in columns)
    known = np.isin(kinds, [member.value for member in LegKind])
    codes = np.where(known, kinds, np.iinfo(np.uint8).max).astype(np.uint8)
    return Legs._make((codes, *(np.array(column) for column in floats)))


def take(legs: Legs, which: BoolArray) -> Legs:
    """Return the legs that a mask of shape ``(n,)`` selects."""
    return Legs._make(column[which] for column in legs)


def active(legs: Legs) -> Legs:
    """Return the legs with a quantity other than zero; one that is no number counts as other than zero."""
    return take(legs, legs.quantity != 0.0)


def leg_reasons(legs: Legs, *, elapsed: float = 0.0, entry: bool = True) -> CodeArray:
    """Return why each leg has no value ``elapsed`` years from now, as members of :class:`LegReason`.

    A leg that has expired by then needs no volatility, and one without quantity needs nothing.

    Args:
        legs: shape ``(n,)``.
        elapsed: years from now.
        entry: whether the profit is wanted (which needs the entry price) or the value alone.
    """
    reason = np.zeros(legs.kind.shape, dtype=np.uint8)
    option = legs.is_option
    with np.errstate(all="ignore"):
        alive = ~(legs.years - elapsed < ONE_SECOND)
        # From the least to the most fundamental: the last one written is what is said.
        blame = (
            (option & alive & ~(np.isfinite(legs.volatility) & (legs.volatility >= 0.0)), LegReason.NO_VOLATILITY),
            (option & ~np.isfinite(legs.years), LegReason.NO_TIME),
            (option & ~(np.isfinite(legs.strike) & (legs.strike > 0.0)), LegReason.NO_STRIKE),
            ((legs.kind <= LegKind.FUTURE) & ~(np.isfinite(legs.forward) & (legs.forward > 0.0)), LegReason.NO_FORWARD),
            (np.full(option.shape, entry) & ~np.isfinite(legs.entry_price), LegReason.NO_ENTRY_PRICE),
            (~np.isfinite(legs.weight), LegReason.NO_QUANTITY),
            (legs.kind > LegKind.CASH, LegReason.BAD_KIND),
        )
    for where, code in blame:
        reason[where] = code
    reason[legs.quantity == 0.0] = LegReason.OK
    return reason


def reference_forward(legs: Legs) -> float:
    """Return the forward of the nearest option expiry, else of the nearest future; NaN without either."""
    legs = active(legs)
    usable = np.isfinite(legs.forward) & (legs.forward > 0.0) & ~np.isnan(legs.years)
    for group in (legs.is_option, legs.kind == LegKind.FUTURE):
        candidates = np.flatnonzero(group & usable)
        if candidates.size:
            return float(legs.forward[candidates[np.argmin(legs.years[candidates])]])
    return math.nan


def nearest_expiry(legs: Legs) -> float:
    """Return the years to the nearest expiry still ahead: of the options, else of the futures; 0 when none is."""
    legs = active(legs)
    ahead = np.isfinite(legs.years) & (legs.years > 0.0)
    for group in (legs.is_option, legs.kind == LegKind.FUTURE):
        years = legs.years[group & ahead]
        if years.size:
            return float(years.min())
    return 0.0


def leg_greeks(legs: Legs, *, rate: float) -> Greeks:
    """Return price and Greeks of one unit of each leg, shape ``(n,)``, units of :mod:`engine.analytics.greeks`.

    Futures have their price and delta one; cash has the price one. NaN where :func:`leg_reasons` says why.
    """
    option = legs.is_option
    future = (legs.kind == LegKind.FUTURE) & (legs.forward > 0.0)
    plain = np.where(future | (legs.kind == LegKind.CASH), 0.0, np.nan)
    result = Greeks(
        price=np.where(future, legs.forward, plain + 1.0),
        delta=np.where(future, 1.0, plain),
        gamma=plain.copy(),
        theta=plain.copy(),
        vega=plain.copy(),
        rho=plain.copy(),
    )
    if option.any():
        own = take(legs, option)
        with np.errstate(all="ignore"):
            years = np.maximum(own.years, 0.0)
            volatility = np.where(own.years <= 0.0, 0.0, own.volatility)  # an expired option needs none
        modelled = greeks(own.forward, own.strike, years, rate, volatility, is_call=own.kind == LegKind.CALL)
        for column, values in zip(result, modelled, strict=True):
            column[option] = values
    return result


@np.errstate(all="ignore")
def net_greeks(legs: Legs, *, rate: float) -> PositionGreeks:
    """Return the position's value and Greeks in money; all zero without legs.

    Args:
        legs: shape ``(n,)``.
        rate: continuously compounded, 0.065 = 6.5 %.
    """
    legs = active(legs)
    weight = legs.weight
    return PositionGreeks(*(float(np.dot(weight, field)) for field in leg_greeks(legs, rate=rate)))
