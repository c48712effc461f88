"""What the executor's checks look at, answered from the day's market and the portfolio."""

from __future__ import annotations

from collections.abc import Callable

from engine.core.errors import UnknownInstrument
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.quotes import Quote
from engine.core.vocabulary import Mode
from engine.execution.facts import HeldPosition, SessionState
from engine.market_day import MarketDay
from engine.portfolio.book import PortfolioBook


class EngineFacts:
    """Implements ``engine.execution.facts.MarketFacts``."""

    def __init__(self, day: MarketDay, book: Callable[[], PortfolioBook | None], mode: Callable[[], Mode]) -> None:
        """``book`` gives the portfolio's book, or ``None`` before it is known."""
        self._day = day
        self._book = book
        self._mode = mode

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        """The row of today's dump."""
        try:
            return self._day.index.by_key(key)
        except UnknownInstrument:
            return None

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
        return SessionState(is_open=is_open, words=words)

    def mode(self) -> Mode:
        """How keys may send."""
        return self._mode()
