"""One call that marks a whole expiry: input prices, forward, implied volatilities, Greeks and statistics.

Price used for a volatility, per option: the mid when both sides are quoted and not crossed, else the last trade when
the caller says it is recent, else none; which one is part of the answer. A caller who suspects the quotes themselves (a
silent connection) passes NaN for bid and ask.

Invariant: every array of the answer has one element per strike, every missing volatility has its reason, and no input
array is changed.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from engine.analytics.arrays import BoolArray, CodeArray, FloatArray
from engine.analytics.chain_memory import ChainMemory
from engine.analytics.chain_statistics import ChainStatistics, chain_statistics
from engine.analytics.forward import ForwardEstimate, carry, from_future, from_parity
from engine.analytics.greeks import Greeks
from engine.analytics.implied_volatility import IvReason


class PriceInput(IntEnum):
    """Which price a volatility was computed from; stored as one byte per option."""

    NONE = 0
    MID = 1
    LAST = 2


class SideQuotes(NamedTuple):
    """The calls or the puts of an expiry, one element per strike, shape ``(n,)``; NaN or 0 means "none"."""

    bid: FloatArray
    ask: FloatArray
    last: FloatArray
    last_is_recent: BoolArray
    """Whether the last trade may stand in for a missing mid."""
    open_interest: FloatArray
    """Any unit, the same for both sides; NaN where unknown."""
    volume: FloatArray
    """Any unit, the same for both sides; NaN where unknown."""


class SideMarks(NamedTuple):
    """What was computed for the calls or the puts, shape ``(n,)``."""

    price: FloatArray
    """The price the volatility was computed from; NaN where there is none."""
    price_input: CodeArray
    """Members of :class:`PriceInput`."""
    volatility: FloatArray
    """Annual, 0.14 = 14 %; NaN with a reason."""
    reason: CodeArray
    """Members of :class:`~engine.analytics.implied_volatility.IvReason`."""
    greeks: Greeks
    """At that volatility, with respect to the forward; NaN where it is."""


class ChainMarks(NamedTuple):
    """A marked expiry."""

    strikes: FloatArray
    forward: ForwardEstimate
    carry: float
    """Annualised, forward against spot; NaN without a spot."""
    call: SideMarks
    put: SideMarks
    statistics: ChainStatistics


def mark_chain(
    strikes: FloatArray,
    call: SideQuotes,
    put: SideQuotes,
    *,
    years: float,
    rate: float,
    future: float | None = None,
    spot: float | None = None,
    memory: ChainMemory | None = None,
) -> ChainMarks:
    """Mark one expiry.

    Args:
        strikes: index points, shape ``(n,)``; may be empty.
        call: the calls' quotes.
        put: the puts' quotes.
        years: ACT/365 to the expiry instant; at 0 or less there are no volatilities.
        rate: continuously compounded, 0.065 = 6.5 %.
        future: price of the listed future of *this* expiry, when it shall be the forward; without it (or
            when it is no price) the forward comes from parity.
        spot: index value; finds the money, and gives the carry.
        memory: of this expiry, kept by a caller who marks it again and again: twice as fast, the same answer.

    Returns:
        The marks; NaN and a reason wherever something is missing.

    Raises:
        ValueError: the arrays are not all of shape ``(n,)``.
    """
    _check_shapes(strikes, call, put)
    bid, ask, last = (np.stack(pair) for pair in ((call.bid, put.bid), (call.ask, put.ask), (call.last, put.last)))
    recent = np.stack((call.last_is_recent, put.last_is_recent))
    with np.errstate(all="ignore"):
        mid, price, price_input = _input_prices(bid, ask, last, recent)
    forward = from_future(future) if future is not None else None
    if forward is None or math.isnan(forward.forward):
        forward = from_parity(strikes, mid[0], mid[1], max(years, 0.0), rate, hint=spot)
    known = ChainMemory() if memory is None else memory
    volatility, reason, sides = known.mark(price, forward.forward, strikes, years, rate)
    _refine_reasons(reason, price, last, forward, years)
    marks = [
        SideMarks(price[row], price_input[row], volatility[row], reason[row], Greeks(*(field[row] for field in sides)))
        for row in range(2)
    ]
    statistics = chain_statistics(
        strikes,
        forward.forward,
        years,
        call_price=price[0],
        put_price=price[1],
        call_volatility=volatility[0],
        put_volatility=volatility[1],
        call_open_interest=call.open_interest,
        put_open_interest=put.open_interest,
        call_volume=call.volume,
        put_volume=put.volume,
    )
    return ChainMarks(
        strikes=strikes,
        forward=forward,
        carry=carry(forward.forward, spot, years) if spot is not None else math.nan,
        call=marks[0],
        put=marks[1],
        statistics=statistics,
    )


def _check_shapes(strikes: FloatArray, call: SideQuotes, put: SideQuotes) -> None:
    """Refuse columns that do not belong to the strikes."""
    expected = (strikes.size,)
    for side, quotes in (("call", call), ("put", put)):
        for name, column in zip(SideQuotes._fields, quotes, strict=True):
            if column.shape != expected:
                raise ValueError(
                    f"{side}.{name} has shape {column.shape}, but there are {strikes.size} strikes: "
                    f"give one element per strike, shape {expected}"
                )
    if strikes.shape != expected:
        raise ValueError(f"strikes have shape {strikes.shape}: give one dimension, shape {expected}")


def _input_prices(
    bid: FloatArray, ask: FloatArray, last: FloatArray, recent: BoolArray
) -> tuple[FloatArray, FloatArray, CodeArray]:
    """Return the mids (NaN where not two-sided or crossed), the prices to use, and which they are."""
    two_sided = (bid > 0.0) & (ask >= bid) & np.isfinite(ask)
    mid = np.where(two_sided, 0.5 * (bid + ask), np.nan)
    traded = ~two_sided & recent & (last > 0.0) & np.isfinite(last)
    price = np.where(traded, last, mid)
    code = np.where(two_sided, np.uint8(PriceInput.MID), np.where(traded, np.uint8(PriceInput.LAST), np.uint8(0)))
    return mid, price, code


def _refine_reasons(
    reason: CodeArray, price: FloatArray, last: FloatArray, forward: ForwardEstimate, years: float
) -> None:
    """Say what only the chain knows: that a price exists but is old, that it is the forward which is missing."""
    no_price = np.isnan(price)
    if math.isnan(forward.forward) and math.isfinite(years):
        # To the solver a missing forward is an impossible number; here it is known why it is missing.
        reason[:] = np.where(no_price, np.uint8(IvReason.NO_PRICE), np.uint8(IvReason.NO_FORWARD))
        if years <= 0.0:
            reason[:] = IvReason.NO_TIME
    with np.errstate(all="ignore"):
        old = (reason == IvReason.NO_PRICE) & no_price & (last > 0.0) & np.isfinite(last)
    reason[old] = IvReason.STALE
