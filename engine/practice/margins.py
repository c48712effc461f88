"""The exchange's own margin estimate: sixteen scenarios per underlying, exposure, and the expiry-day surcharge.

An estimate in the manner of SPAN, calibrated to measured anchors (a 6 % out-of-the-money short call twelve days out
needs about 4.6 % of spot plus 2 % exposure; a vertical spread about its width). Money is in rupees, quantities in
signed units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a portfolio blocks, in rupees."""

    span: float
    exposure: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.span + self.exposure


def requirement(legs: Sequence[MarginLeg], rate: float) -> Requirement:
    """Return the estimated requirement of a portfolio; hedges count within an underlying, not across.

    Long options are paid for in full and need nothing; their worst-case value offsets shorts. The premium received
    for a short is not deducted here: it is in the account's cash.
    """
    by_underlying: dict[str, list[MarginLeg]] = {}
    for leg in legs:
        if leg.quantity:
            by_underlying.setdefault(leg.underlying, []).append(leg)
    span = sum(_scan(rows, rate) for rows in by_underlying.values())
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
    now = _values(legs, 0.0, 0.0, rate)
    worst = 0.0
    for step in _STEPS:
        for volatility in (VOLATILITY_RANGE, -VOLATILITY_RANGE):
            value = float(quantity @ _values(legs, step * PRICE_RANGE, volatility, rate))
            worst = min(worst, value)
    for direction in (1.0, -1.0):
        far = _values(legs, direction * _EXTREME_MOVES * PRICE_RANGE, 0.0, rate)
        worst = min(worst, float(quantity @ (now + _EXTREME_SHARE * (far - now))))
    return -worst


def _values(legs: Sequence[MarginLeg], move: float, volatility: float, rate: float) -> FloatArray:
    """Return each leg's worth per unit in a scenario; a future is worth its gain since its last price."""
    forward = np.array([leg.forward for leg in legs]) * (1.0 + move)
    is_future = np.array([leg.is_future for leg in legs])
    option = black_price(
        forward,
        np.array([leg.strike for leg in legs]),
        np.array([leg.years for leg in legs]),
        np.array([leg.volatility for leg in legs]) * (1.0 + volatility),
        is_call=np.array([leg.is_call for leg in legs]),
        rate=rate,
    )
    return np.where(is_future, forward - np.array([leg.price for leg in legs]), option)
