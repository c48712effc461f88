"""What the language asks of the world: instruments, quotes, orders and strategies, as one Protocol.

The parser knows grammar only. Everything that a name may mean is answered here, synchronously and from memory, so that
a sentence can be read again on every key.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.core.default_price import SpreadLimits
from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.orders import OrderRecord
from engine.core.quotes import Quote
from engine.core.strategies import Leg, Strategy
from engine.core.vocabulary import InstrumentKind, Product, Validity

BROKER_PROTECTION = Decimal(-1)
"""A market order's band is left to the broker."""


class OrderDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What an order is when the sentence does not say; from the user's settings."""

    product: Product = Product.NRML
    validity: Validity = Validity.DAY
    market_protection: Decimal = BROKER_PROTECTION
    """Percent for ``@ mkt`` without one; ``-1`` leaves the band to the broker."""
    narrow_spread: SpreadLimits = SpreadLimits()
    """Of an option without a price: up to this spread it is ordered at the touch, beyond it in the middle."""


class Resolver(Protocol):
    """Answers of the moment. ``None`` means unknown, never a default."""

    @property
    def defaults(self) -> OrderDefaults:
        """What an order is when the sentence does not say."""
        ...

    def today(self) -> date:
        """The exchange's date (IST) of market time; dates without a year count from here."""
        ...

    def underlying(self, name: str) -> str | None:
        """The dump's spelling of an underlying that has options or futures today; any case, aliases understood."""
        ...

    def underlyings(self) -> tuple[str, ...]:
        """All of them, best known first."""
        ...

    def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """Listed expiries of any kind with their labels, nearest first."""
        ...

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        """Listed strikes, ascending; empty when that expiry has no options."""
        ...

    def option(self, underlying: str, expiry: date, strike: Decimal, kind: InstrumentKind) -> Instrument | None:
        """The call or put (``CALL`` or ``PUT``) of a strike."""
        ...

    def future(self, underlying: str, expiry: date) -> Instrument | None:
        """The future of an expiry."""
        ...

    def index(self, underlying: str) -> Instrument | None:
        """The row of the underlying's index; ``None`` where the dump lists none."""
        ...

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        """A row of today's dump by its lasting name."""
        ...

    def at_the_money(self, underlying: str, expiry: date) -> Decimal | None:
        """The listed strike nearest the live forward; ``None`` when no forward can be trusted now."""
        ...

    def quote(self, token: int) -> Quote | None:
        """What is known of an instrument's price now."""
        ...

    def order(self, number: OrderNumber) -> OrderRecord | None:
        """An order by its number."""
        ...

    def working_orders(self) -> tuple[OrderNumber, ...]:
        """Orders that can still be changed, newest first."""
        ...

    def strategies(self) -> tuple[Strategy, ...]:
        """Active strategies, by number."""
        ...

    def leg(self, strategy: StrategyNumber, number: int) -> Leg | None:
        """A leg by its number; closed legs too."""
        ...

    def open_legs(self, strategy: StrategyNumber) -> tuple[Leg, ...]:
        """Legs with a quantity, by number."""
        ...

    def places(self) -> tuple[str, ...]:
        """Screens and panes that ``go`` can open."""
        ...
