"""What the exchange and the risk system allow by price and size: freeze quantity, circuits, price protection.

Prices are integers of paise, quantities units. What changes with the day comes from the dated rules; the percentages
of automatic market protection are the broker's own, as observed.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from engine.practice import wire
from engine.practice.contracts import Contract
from engine.practice.dated_rules import PriceBand
from engine.practice.noise import FloatArray, IntArray
from engine.practice.orders import Order
from engine.practice.session_market import Quotes

_PAISE = 100
_TICK_SLACK = 1e-4
AUTOMATIC: Final = -1.0
"""The market protection that leaves the percentage to the broker."""
_OPTION_BANDS = ((10_00, 5.0), (100_00, 3.0), (500_00, 2.0))
_OPTION_BAND_ABOVE = 1.0
_FUTURE_BANDS = ((100_00, 2.0), (500_00, 1.0))
_FUTURE_BAND_ABOVE = 0.5

Refusal = tuple[str, str]
"""Words for the user, and the risk system's or the exchange's own text."""


REFERENCE_SECONDS = 30.0
"""The reference price is the average of this long a time's trades, and is refreshed as often."""
QUIET_SECONDS = 900.0
"""Without a trade for this long the theoretical price is the reference again."""


class ReferencePrices:
    """The reference price of every contract, for limit-price protection.

    The volume-weighted average of the last window's trades; the theoretical price at the open, and for a contract
    that has not traded for a quarter of an hour. Nothing is kept over a restart: it begins as at the open.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._value: FloatArray = np.zeros(0)
        self._units: IntArray = np.zeros(0, dtype=np.int64)
        self._reference: IntArray = np.zeros(0, dtype=np.int64)
        self._traded_at: FloatArray = np.zeros(0)

    def forget(self) -> None:
        """Begin again (a new session)."""
        self._units = np.zeros(0, dtype=np.int64)

    def update(self, before: Quotes, quotes: Quotes) -> None:
        """Count what was traded between two instants."""
        if len(self._units) != len(quotes.last):
            self._begin(quotes)
        traded = np.maximum(quotes.volume - before.volume, 0) if len(before.volume) == len(quotes.volume) else 0
        self._units += traded
        self._value += traded * quotes.last
        if quotes.moment - self._began < REFERENCE_SECONDS:
            return
        some = self._units > 0
        average = np.rint(self._value / np.maximum(self._units, 1)).astype(np.int64)
        self._traded_at[some] = quotes.moment
        quiet = quotes.moment - self._traded_at >= QUIET_SECONDS
        self._reference = np.where(some, average, np.where(quiet, 0, self._reference))
        self._units[:], self._value[:], self._began = 0, 0.0, quotes.moment

    def of(self, quotes: Quotes, row: int) -> int:
        """Return a contract's reference price in paise; 0 when there is nothing to refer to."""
        own = int(self._reference[row]) if row < len(self._reference) and len(self._units) else 0
        return own or int(quotes.fair[row])

    def _begin(self, quotes: Quotes) -> None:
        count = len(quotes.last)
        self._began = quotes.moment
        self._value, self._units = np.zeros(count), np.zeros(count, dtype=np.int64)
        self._reference, self._traded_at = np.zeros(count, dtype=np.int64), np.full(count, quotes.moment)


def protected_price(contract: Contract, side: str, base: int, protection: float) -> tuple[int, float]:
    """Return (limit price in paise, percentage): a base price moved by the protection, on a tick, never worse than
    the percentage.
    """
    percent = protection if protection != AUTOMATIC else automatic_band(contract, base)
    if side == wire.BUY:
        raw = base * (1.0 + percent / 100.0)
        price = int(raw / contract.tick + _TICK_SLACK) * contract.tick
        return max(price, base), percent
    raw = base * (1.0 - percent / 100.0)
    price = math.ceil(raw / contract.tick - _TICK_SLACK) * contract.tick
    return max(price, contract.tick), percent


def automatic_band(contract: Contract, price: int) -> float:
    """Return the percentage that automatic protection gives at a price (paise)."""
    bands, above = (_OPTION_BANDS, _OPTION_BAND_ABOVE) if contract.is_option else (_FUTURE_BANDS, _FUTURE_BAND_ABOVE)
    return next((percent for limit, percent in bands if price <= limit), above)


def protect(order: Order, contract: Contract, last: int) -> bool:
    """Turn a market order into the limit that its protection makes of it, as the broker does before it sends it.

    A stop-market order becomes a stop with a limit, protected from its trigger. Returns False when there is no last
    price to start from.
    """
    if order.order_type not in {wire.MARKET, wire.STOP_MARKET}:
        return True
    base = order.trigger if order.order_type == wire.STOP_MARKET else last
    if base <= 0:
        return False
    order.price, percent = protected_price(contract, order.side, base, order.market_protection)
    order.order_type = wire.STOP_LIMIT if order.order_type == wire.STOP_MARKET else wire.LIMIT
    order.market_protection = 0.0
    order.tags = [*order.tags, "mktp", f"mktp:{percent:.2f}"]
    return True


def freeze_refusal(contract: Contract, quantity: int, freeze: int | None) -> Refusal | None:
    """Return why a quantity is too large for one order (units), else None; no freeze quantity is known for some."""
    if freeze is None or quantity <= freeze:
        return None
    return (
        f"Quantity {quantity} is above the freeze quantity of {freeze} for {contract.name}. Place smaller orders.",
        f"17080 : Order quantity exceeds the quantity freeze limit {freeze}",
    )


def price_refusal(price: int, circuits: tuple[int, int], reference: int, band: PriceBand | None) -> Refusal | None:
    """Return why the exchange rejects a limit price, else None; all prices in paise.

    Args:
        price: Limit price.
        circuits: Lower and upper circuit limit; an upper limit of 0 means that none is known.
        reference: Reference price for limit-price protection; 0 when there is none.
        band: The limit-price protection in force, if any.
    """
    shown = f"{price / _PAISE:.2f}"
    if band is not None and reference > 0:
        floor, ceiling = band.range_of(reference)
        if not floor <= price <= ceiling:
            return (
                f"The order price {shown} is outside the LPP range {floor / _PAISE:.2f} to {ceiling / _PAISE:.2f}.",
                "16284 : Order price is outside the limit price protection range",
            )
    low, high = circuits
    if high > 0 and not low <= price <= high:
        return (
            f"The order price {shown} exceeds circuit limits {low / _PAISE:.2f} to {high / _PAISE:.2f}.",
            "17070 : The Price is out of the current execution range",
        )
    return None
