"""The world as a sentence that waits is read by: what is not known yet is taken for granted, so that grammar alone is
judged. Nothing that is read so is ever acted on: the sentence is read again, by the world itself, at its moment.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.orders import OrderRecord
from engine.core.quotes import DepthLevel, Quote
from engine.core.strategies import Leg, Strategy
from engine.core.vocabulary import InstrumentKind, QuoteState
from engine.language.resolver import OrderDefaults, Resolver

STAND_IN_PRICE = Decimal(10_000)
"""On every tick, and far enough above zero for any offset that makes sense."""


class LaterResolver:
    """Implements ``Resolver`` over another one: instruments, orders and strategies are real, prices are stand-ins.

    Args:
        now: The world of now.
    """

    def __init__(self, now: Resolver) -> None:
        self._now = now

    @property
    def defaults(self) -> OrderDefaults:
        """As now."""
        return self._now.defaults

    def today(self) -> date:
        """As now."""
        return self._now.today()

    def underlying(self, name: str) -> str | None:
        """As now."""
        return self._now.underlying(name)

    def underlyings(self) -> tuple[str, ...]:
        """As now."""
        return self._now.underlyings()

    def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """As now."""
        return self._now.expiries(underlying)

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        """As now."""
        return self._now.strikes(underlying, expiry)

    def option(self, underlying: str, expiry: date, strike: Decimal, kind: InstrumentKind) -> Instrument | None:
        """As now."""
        return self._now.option(underlying, expiry, strike, kind)

    def future(self, underlying: str, expiry: date) -> Instrument | None:
        """As now."""
        return self._now.future(underlying, expiry)

    def index(self, underlying: str) -> Instrument | None:
        """As now."""
        return self._now.index(underlying)

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        """As now."""
        return self._now.instrument(key)

    def at_the_money(self, underlying: str, expiry: date) -> Decimal | None:
        """The middle of the listed strikes: some strike will be at the money then."""
        strikes = self._now.strikes(underlying, expiry)
        return strikes[len(strikes) // 2] if strikes else None

    def quote(self, token: int) -> Quote | None:
        """A stand-in with both sides."""
        return Quote(
            token=token,
            state=QuoteState.LIVE,
            last=STAND_IN_PRICE,
            bids=(DepthLevel(STAND_IN_PRICE, 1, 1),),
            asks=(DepthLevel(STAND_IN_PRICE + 1, 1, 1),),
        )

    def order(self, number: OrderNumber) -> OrderRecord | None:
        """As now."""
        return self._now.order(number)

    def working_orders(self) -> tuple[OrderNumber, ...]:
        """As now."""
        return self._now.working_orders()

    def strategies(self) -> tuple[Strategy, ...]:
        """As now."""
        return self._now.strategies()

    def leg(self, strategy: StrategyNumber, number: int) -> Leg | None:
        """As now."""
        return self._now.leg(strategy, number)

    def open_legs(self, strategy: StrategyNumber) -> tuple[Leg, ...]:
        """As now."""
        return self._now.open_legs(strategy)

    def places(self) -> tuple[str, ...]:
        """As now."""
        return self._now.places()
