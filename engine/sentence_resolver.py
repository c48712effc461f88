"""What the command language asks of the world, answered from memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal

from engine.core.errors import UnknownInstrument
from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.orders import OrderRecord
from engine.core.quotes import Quote
from engine.core.strategies import Leg, Strategy
from engine.core.views import ChainKey
from engine.core.vocabulary import InstrumentKind, QuoteState
from engine.language.resolver import OrderDefaults
from engine.market_day import MarketDay
from engine.portfolio.book import PortfolioBook

PLACES = (
    "desk",
    "chain",
    "ticket",
    "depth",
    "strategies",
    "strategy",
    "volatility",
    "charts",
    "orders",
    "events",
    "help",
    "replay",
    "engine",
    "doctor",
    "rules",
)


class EngineResolver:
    """Implements ``engine.language.resolver.Resolver``."""

    def __init__(
        self,
        day: MarketDay,
        *,
        defaults: OrderDefaults,
        books: Callable[[], Sequence[PortfolioBook]],
        orders: Callable[[], tuple[OrderRecord, ...]],
        at_the_money: Callable[[ChainKey], float | None],
    ) -> None:
        """``books`` are those of all accounts: numbers of strategies are the same over all of them.

        ``at_the_money`` gives the strike nearest the live forward of a chain that is being watched.
        """
        self._day = day
        self._defaults = defaults
        self._books = books
        self._orders = orders
        self._at_the_money = at_the_money
        self.missing_tokens: set[int] = set()
        """Instruments whose quote was asked for and is not known: worth subscribing before asking again."""
        self.missing_chains: set[ChainKey] = set()
        """Chains whose forward was asked for and is not known."""

    @property
    def defaults(self) -> OrderDefaults:
        """What an order is when the sentence does not say."""
        return self._defaults

    def today(self) -> date:
        """The exchange's date."""
        return self._day.today()

    def underlying(self, name: str) -> str | None:
        """The dump's spelling."""
        return self._day.index.underlying_named(name)

    def underlyings(self) -> tuple[str, ...]:
        """Best known first."""
        return self._day.index.names

    def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """Listed expiries."""
        return self._day.index.expiries(underlying)

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        """Listed strikes."""
        try:
            return self._day.index.strikes(underlying, expiry)
        except UnknownInstrument:
            return ()

    def option(self, underlying: str, expiry: date, strike: Decimal, kind: InstrumentKind) -> Instrument | None:
        """One option."""
        try:
            return self._day.index.option(underlying, expiry, strike, kind)
        except UnknownInstrument:
            return None

    def future(self, underlying: str, expiry: date) -> Instrument | None:
        """One future."""
        try:
            return self._day.index.future(underlying, expiry)
        except UnknownInstrument:
            return None

    def index(self, underlying: str) -> Instrument | None:
        """The row of its index."""
        return self._day.index.index_instrument(underlying)

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        """A row of the dump."""
        try:
            return self._day.index.by_key(key)
        except UnknownInstrument:
            return None

    def at_the_money(self, underlying: str, expiry: date) -> Decimal | None:
        """The listed strike nearest the live forward."""
        key = ChainKey(underlying, expiry)
        strike = self._at_the_money(key)
        if strike is None:
            self.missing_chains.add(key)
        return None if strike is None else Decimal(repr(strike)).normalize()

    def quote(self, token: int) -> Quote | None:
        """A quote."""
        quote = self._day.quote(token)
        if quote is None or quote.state is QuoteState.UNKNOWN:
            self.missing_tokens.add(token)
        return quote

    def order(self, number: OrderNumber) -> OrderRecord | None:
        """An order."""
        return next((record for record in self._orders() if record.number == number), None)

    def working_orders(self) -> tuple[OrderNumber, ...]:
        """Newest first."""
        return tuple(record.number for record in reversed(self._orders()) if record.state.is_working)

    def strategies(self) -> tuple[Strategy, ...]:
        """Active strategies, account by account."""
        return tuple(strategy for book in self._books() for strategy in book.strategies())

    def leg(self, strategy: StrategyNumber, number: int) -> Leg | None:
        """A leg."""
        found = (book.leg(strategy, number) for book in self._books())
        return next((leg for leg in found if leg is not None), None)

    def open_legs(self, strategy: StrategyNumber) -> tuple[Leg, ...]:
        """Legs with a quantity."""
        return tuple(leg for book in self._books() for leg in book.open_legs(strategy))

    def places(self) -> tuple[str, ...]:
        """What ``go`` can open."""
        return PLACES
