"""The exchange's own margin estimate: sixteen scenarios per underlying, exposure, and what expiry days add.

An estimate in the manner of SPAN, calibrated to measured anchors (a 6 % out-of-the-money short call twelve days out
needs about 4.6 % of spot plus 2 % exposure; a vertical spread about its width). Money is in rupees, quantities in
signed units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.practice.noise import FloatArray
from engine.practice.pricer import black_price

PRICE_RANGE = 0.093
"""Scan range of the underlying, relative."""
VOLATILITY_RANGE = 0.25
"""Scan range of volatility, relative to it."""
EXPOSURE = 0.02
"""Of the notional of short options and of futures."""
EXPIRY_SURCHARGE = 0.02
"""Of the notional of short options on their expiry day."""
_EXTREME_MOVES, _EXTREME_SHARE = 2.0, 0.35
_STEPS = (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0)
_ORDINARY = [(step * PRICE_RANGE, way * VOLATILITY_RANGE) for step in _STEPS for way in (1.0, -1.0)]
_EXTREME = [(way * _EXTREME_MOVES * PRICE_RANGE, 0.0) for way in (1.0, -1.0)]
_SCENARIOS = np.array([*_ORDINARY, *_EXTREME, (0.0, 0.0)])
"""(relative move, relative change of volatility): the sixteen of the scan, then the present."""


@dataclass(frozen=True, slots=True)
class MarginLeg:
    """One instrument of a portfolio: signed units and what its price depends on."""

    underlying: str
    quantity: int
    spot: float
    forward: float
    strike: float
    years: float
    volatility: float
    is_call: bool
    is_future: bool
    price: float
    expires_today: bool

    def of(self, quantity: int) -> MarginLeg:
        """Return the same instrument in another quantity."""
        return replace(self, quantity=quantity)


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a portfolio blocks, in rupees."""

    span: float
    exposure: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.span + self.exposure

    def beyond(self, other: Requirement) -> Requirement:
        """Return what this one blocks more than another (negative where it blocks less)."""
        return Requirement(self.span - other.span, self.exposure - other.exposure)


def requirement(legs: Sequence[MarginLeg], rate: float) -> Requirement:
    """Return the estimated requirement of a portfolio; hedges count within an underlying, not across.

    Long options are paid for in full and need nothing; their worst-case value offsets shorts. On its expiry day a
    contract hedges only others that expire with it. The premium received for a short is not deducted here: it is in the
    account's cash.
    """
    groups: dict[tuple[str, bool], list[MarginLeg]] = {}
    for leg in legs:
        if leg.quantity:
            groups.setdefault((leg.underlying, leg.expires_today), []).append(leg)
    span = sum(_scan(rows, rate) for rows in groups.values())
    exposure = 0.0
    for leg in legs:
        notional = abs(leg.quantity) * leg.spot
        if leg.is_future:
            exposure += EXPOSURE * notional
        elif leg.quantity < 0:
            exposure += (EXPOSURE + (EXPIRY_SURCHARGE if leg.expires_today else 0.0)) * notional
    return Requirement(span, exposure)


def _scan(legs: Sequence[MarginLeg], rate: float) -> float:
    """Return the cost of closing the portfolio in its worst scenario (0 when it is worth something in all)."""
    quantity = np.array([leg.quantity for leg in legs], dtype=np.float64)
    worth = _values(legs, rate) @ quantity
    ordinary, extreme, now = worth[: len(_ORDINARY)], worth[len(_ORDINARY) : -1], worth[-1]
    worst = min(float(ordinary.min()), float((now + _EXTREME_SHARE * (extreme - now)).min()))
    return max(-worst, 0.0)


def _values(legs: Sequence[MarginLeg], rate: float) -> FloatArray:
    """Return each leg's worth per unit, shape (scenarios, legs); a future is worth its gain since its last price."""
    shape = (len(_SCENARIOS), len(legs))
    moves, changes = _SCENARIOS[:, :1], _SCENARIOS[:, 1:]

    def column(name: str) -> FloatArray:
        return np.array([getattr(leg, name) for leg in legs], dtype=np.float64)

    forward = column("forward") * (1.0 + moves)
    option = black_price(
        forward,
        np.broadcast_to(column("strike"), shape),
        np.broadcast_to(column("years"), shape),
        column("volatility") * (1.0 + changes),
        is_call=np.broadcast_to(np.array([leg.is_call for leg in legs]), shape),
        rate=rate,
    )
    is_future = np.array([leg.is_future for leg in legs])
    return np.where(is_future, forward - column("price"), option)
