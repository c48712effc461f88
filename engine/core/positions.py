"""The arithmetic of money held: profit and loss, cash flow, and the average-cost ledger of one leg.

Signed quantity: + long, − short, in units. P&L is the trader's money: a long gains when the price rises. Cash flow is
another figure with its own name and is never called P&L. Nothing rounds.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.money import ZERO
from engine.core.vocabulary import Product


def unrealised_profit(
    signed_quantity: int, average_price: Decimal, mark: Decimal, multiplier: Decimal = Decimal(1)
) -> Decimal:
    """``signed_quantity × (mark − average_price) × multiplier``, rupees."""
    return signed_quantity * (mark - average_price) * multiplier


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of one instrument and product, at average cost, with what has been realised on it."""

    signed_quantity: int = 0
    average_price: Decimal = ZERO
    """0 when flat."""
    realised: Decimal = ZERO
    bought_quantity: int = 0
    sold_quantity: int = 0
    bought_value: Decimal = ZERO
    """Rupees paid, ≥ 0."""
    sold_value: Decimal = ZERO
    """Rupees received, ≥ 0."""

    def after_fill(self, signed_quantity: int, price: Decimal) -> Holding:
        """The holding after a fill of ``signed_quantity`` (≠ 0) at ``price``.

        Adding averages the price in; reducing realises at the old average; crossing zero does both.
        """
        held = self.signed_quantity
        total = held + signed_quantity
        opposes = held * signed_quantity < 0
        realised = self.realised
        if opposes:
            closed = min(abs(held), abs(signed_quantity)) * (1 if held > 0 else -1)
            realised += closed * (price - self.average_price)
        bought = max(0, signed_quantity)
        sold = -signed_quantity if signed_quantity < 0 else 0
        bought_value = self.bought_value + bought * price
        sold_value = self.sold_value + sold * price
        if total == 0:
            average = ZERO
        elif not opposes:
            average = (held * self.average_price + signed_quantity * price) / total
        elif abs(signed_quantity) > abs(held):
            average = price
        else:
            average = self.average_price
        if opposes and abs(signed_quantity) >= abs(held):
            # An average such as 4/3 has no end: at and through flat the cash itself says what was realised, exactly.
            realised = sold_value - bought_value + total * average
        return Holding(
            signed_quantity=total,
            average_price=average,
            realised=realised,
            bought_quantity=self.bought_quantity + bought,
            sold_quantity=self.sold_quantity + sold,
            bought_value=bought_value,
            sold_value=sold_value,
        )

    def profit(self, mark: Decimal, multiplier: Decimal = Decimal(1)) -> Decimal:
        """Realised plus unrealised at ``mark``, rupees."""
        return self.realised + unrealised_profit(self.signed_quantity, self.average_price, mark, multiplier)


class BrokerPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One net position as the broker states it; what our ledger must agree with."""

    instrument: InstrumentKey
    token: int
    product: Product
    signed_quantity: int
    average_price: Decimal
    overnight_quantity: int
    multiplier: Decimal
    value: Decimal
    """``sell value − buy value`` including carried positions, rupees."""
    last_price: Decimal | None = None
    close_price: Decimal | None = None
    account: AccountId | None = None
    """Whose it is; ``None`` before somebody has said it."""


class Funds(msgspec.Struct, frozen=True, kw_only=True):
    """Money at the broker, F&O segment, rupees."""

    net: Decimal
    """Free for new positions."""
    cash: Decimal
    used: Decimal
    account: AccountId | None = None
    """Whose it is; ``None`` before somebody has said it."""

    @property
    def utilisation(self) -> Decimal | None:
        """Used / (used + available); ``None`` when there is neither."""
        total = self.used + self.net
        return self.used / total if total else None
