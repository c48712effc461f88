"""The day's net money between bounds, for whoever must not guess: exact where every leg has an exit, wide where not.

A long option is worth at least nothing and a short one costs at least nothing to leave; everything else without an
exit is unbounded on both sides. Charges only ever lower the money, so unknown ones take the lower bound away.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from engine.core.identifiers import InstrumentKey
from engine.core.money import ZERO
from engine.core.positions import Holding
from engine.core.vocabulary import Exchange
from engine.portfolio.book import LegStanding
from engine.portfolio.marks import LegMarks
from engine.portfolio.valuation import leg_name

OPTION_EXCHANGES = frozenset({Exchange.NFO, Exchange.BFO})
OPTION_ENDINGS = ("CE", "PE")
NAMED_MAX = 3
"""Legs whose missing price is named; the rest is counted."""


class DayBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the account's day is worth if everything is left now: rupees since the previous close, net of charges."""

    low: Decimal | None
    """``None``: nothing bounds it."""
    high: Decimal | None
    missing: str = ""
    """What keeps the two apart, in words; empty when they are equal."""


class _Bounds(msgspec.Struct, frozen=True):
    low: Decimal | None
    high: Decimal | None
    missing: str = ""


def day_bounds(
    legs: Iterable[tuple[LegStanding, LegMarks]], *, charges: Decimal, unknown_charges: tuple[str, ...]
) -> DayBounds:
    """Add legs up.

    Args:
        legs: Every leg with its marks; a leg that is flat needs none.
        charges: Rupees paid today and to be paid by leaving, as far as they are known.
        unknown_charges: What is not known of them.
    """
    low: Decimal | None = -charges
    high: Decimal | None = -charges
    missing: list[str] = []
    for standing, marks in legs:
        bounds = _leg_bounds(standing, marks)
        low = None if low is None or bounds.low is None else low + bounds.low
        high = None if high is None or bounds.high is None else high + bounds.high
        if bounds.missing:
            missing.append(bounds.missing)
    if unknown_charges:
        low = None
        missing.append(unknown_charges[0].rstrip("."))
    words = ", ".join(missing[:NAMED_MAX])
    if len(missing) > NAMED_MAX:
        words += f" and {len(missing) - NAMED_MAX} more"
    return DayBounds(low=low, high=high, missing=words)


def _leg_bounds(standing: LegStanding, marks: LegMarks) -> _Bounds:
    leg, name = standing.leg, leg_name(standing.leg)
    base = _value(standing.day_start, marks.previous_close, leg.multiplier)
    if base is None:
        return _Bounds(None, None, f"{name} has no previous close")
    quantity = leg.holding.signed_quantity
    now = _value(leg.holding, marks.exit, leg.multiplier)
    if now is not None:
        return _Bounds(now - base, now - base)
    why = f"{name}: {marks.reason}" if marks.reason else f"{name} has no exit"
    if not _is_option(leg.instrument):
        return _Bounds(None, None, why)
    edge = leg.holding.profit(ZERO, leg.multiplier) - base
    return _Bounds(edge, None, why) if quantity > 0 else _Bounds(None, edge, why)


def _value(holding: Holding, price: Decimal | None, multiplier: Decimal) -> Decimal | None:
    if not holding.signed_quantity:
        return holding.realised
    return None if price is None else holding.profit(price, multiplier)


def _is_option(key: InstrumentKey) -> bool:
    return key.exchange in OPTION_EXCHANGES and key.tradingsymbol.endswith(OPTION_ENDINGS)
