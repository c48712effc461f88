"""What the executor's checks look at, answered from the day's market and the portfolio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.core.funds_margin import FundsSeen, MarginSeen
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.quotes import Quote
from engine.core.vocabulary import Mode, QuoteState
from engine.execution.facts import HeldPosition, PriceRange, SessionState
from engine.market_day import MarketDay
from engine.portfolio.book import PortfolioBook

TRADED: Final = frozenset({QuoteState.LIVE, QuoteState.ONE_SIDED})
"""A last price of these is near the exchange's reference price."""


class EngineFacts:
    """Implements ``engine.execution.facts.MarketFacts``."""

    def __init__(
        self,
        day: MarketDay,
        book: Callable[[], PortfolioBook | None],
        mode: Callable[[str], Mode],
        *,
        funds: Callable[[], FundsSeen | None] = lambda: None,
        margin: Callable[[OrderRequest], MarginSeen | None] = lambda _: None,
    ) -> None:
        """``book`` gives the portfolio's book, or ``None`` before it is known; ``margin`` what the broker has said of
        an order lately.
        """
        self._day = day
        self._book = book
        self._mode = mode
        self._funds = funds
        self._margin = margin

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        """The row of today's dump."""
        return self._day.instrument(key)

    def quote(self, instrument: Instrument) -> Quote | None:
        """The quote now."""
        return self._day.quote(instrument.token)

    def freeze_quantity(self, instrument: Instrument) -> int | None:
        """The exchange's largest quantity of one order."""
        return self._day.rules.freeze_quantity(instrument.name, self._day.today())

    def order_quantity_max(self, key: InstrumentKey) -> int | None:
        """The most units that one order takes: whole lots within the freeze quantity; ``None`` when it is not known."""
        instrument = self.instrument(key)
        freeze = None if instrument is None else self.freeze_quantity(instrument)
        if instrument is None or freeze is None:
            return None
        return freeze // instrument.lot_size * instrument.lot_size or None

    def positions(self) -> tuple[HeldPosition, ...] | None:
        """Net positions by our own ledger, fills of this moment included."""
        book = self._book()
        if book is None:
            return None
        held = []
        for key, quantity in book.net().items():
            instrument = self.instrument(key.instrument)
            if quantity and instrument is not None:
                held.append(HeldPosition(instrument=instrument, product=key.product, signed_quantity=quantity))
        return tuple(held)

    def session(self, instrument: Instrument) -> SessionState:
        """Whether orders of this instrument can trade now."""
        is_open, words = self._day.is_tradable_now(instrument)
        return SessionState(is_open=is_open, words=words, halt=self._day.halt_of(instrument.token))

    def mode(self, seat: str) -> Mode:
        """How the keys of a seat may send."""
        return self._mode(seat)

    def price_range(self, instrument: Instrument, quote: Quote | None) -> PriceRange | None:
        """The exchange's band around the last price, which stands for its average of the last trades."""
        if quote is None or quote.last is None or quote.state not in TRADED:
            return None
        band = self._day.rules.price_band(instrument, quote.last, self._day.today())
        return None if band is None else PriceRange(band.low, band.high, quote.last)

    def is_banned(self, instrument: Instrument) -> bool | None:
        """Whether the day's ban list names its underlying; an index is on none."""
        if self._day.rules.is_index(instrument.name):
            return False
        banned = self._day.rules.ban_list(self._day.today())
        return None if banned is None else instrument.name in banned

    def funds(self) -> FundsSeen | None:
        """Money at the broker as last read."""
        return self._funds()

    def margin(self, request: OrderRequest) -> MarginSeen | None:
        """What the broker has said of this order lately."""
        return self._margin(request)
