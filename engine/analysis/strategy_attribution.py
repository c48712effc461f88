"""Why the money of strategies moves, watched once a second for the whole book.

Money is counted on the mid, so that what a trade pays against it is the spread. The watch begins when the engine does
and again with each day of the exchange; what a leg was worth then is where its figures start. Quantity that moves
between strategies changes hands at the given price, and what it had made until then is unexplained in both.

Invariant: the parts of an answer and its residual sum to its total exactly, and the total is what the ledger's own
trades and the mids say, in Decimal.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec
import numpy as np

from engine.analysis.strategy_legs import LegInputs, LegLayout, LegReader
from engine.analytics.attribution import AttributionLedger, AttributionReason, LegMarks, in_money
from engine.analytics.legs import LegKind
from engine.core.analysis import AttributionView
from engine.core.identifiers import StrategyNumber
from engine.core.ledger import LedgerEntry, LedgerSource
from engine.core.money import ZERO, decimal_from_float, round_to_paisa
from engine.core.ports import Clock
from engine.core.strategies import Leg
from engine.portfolio.book import PortfolioBook
from engine.portfolio.service import PortfolioService
from engine.portfolio.valuation import charge_notes, leg_name

logger = logging.getLogger(__name__)

WATCH_S: Final = 1.0
"""Machine time between two looks at the market."""
MID_STEP: Final = Decimal("0.000001")
"""A mid lies between two prices of at most four places; this tells it exactly."""
REASONS_MAX: Final = 8
"""Sentences in one answer; the rest is counted."""

REASON_WORDS: Final = {
    AttributionReason.NO_PRICE: "has no mid now and is held at its last one",
    AttributionReason.NO_FORWARD: "had no forward for a time",
    AttributionReason.NO_VOLATILITY: "had no volatility for a time",
    AttributionReason.NO_TIME: "had no time to expiry for a time",
    AttributionReason.NO_RATE: "had no rate for a time",
    AttributionReason.NO_START: "was held before its first complete mark",
    AttributionReason.NO_GREEKS: "had no Greeks for a time",
    AttributionReason.NO_MID: "traded without a mid to compare with",
    AttributionReason.BAD_FILL: "has a fill that is no number",
}


class _Slot(msgspec.Struct, kw_only=True):
    """One leg as it is watched; what the ledger of the analytics keeps in floats, in Decimal."""

    leg: Leg
    is_open: bool
    """Its figures have begun. What was held before the first mid waits for it."""
    quantity: int
    spent: Decimal = ZERO
    """Paid for what was bought, less received for what was sold, index points × units."""
    mid: float = math.nan
    """The last one known."""
    was_moved: bool = False

    @property
    def change(self) -> Decimal:
        """Money made since the figures began, before charges."""
        if not self.is_open or math.isnan(self.mid):
            return ZERO
        return (self.quantity * exact(self.mid) - self.spent) * self.leg.multiplier


class StrategyAttribution:
    """Watches the legs of every strategy of an account.

    Args:
        reader: the market's inputs of legs.
        portfolio: the strategies; ``None`` while they are not loaded.
        clock: market time and waits.
        rate: continuously compounded, 0.065 is 6.5 %.
        day_of: the exchange's date of a moment.
    """

    def __init__(
        self,
        reader: LegReader,
        *,
        portfolio: Callable[[], PortfolioService | None],
        clock: Clock,
        rate: float,
        day_of: Callable[[datetime], date],
    ) -> None:
        self._reader = reader
        self._portfolio = portfolio
        self._clock = clock
        self._rate = rate
        self._day_of = day_of
        self._book: PortfolioBook | None = None
        self._day: date | None = None
        self._layout: LegLayout | None = None
        self._layout_places: tuple[int, ...] = ()
        self._begin()

    def _begin(self) -> None:
        self._ledger = AttributionLedger()
        self._slots: list[_Slot] = []
        self._places: dict[tuple[StrategyNumber, int], int] = {}
        self._since: dict[StrategyNumber, datetime] = {}
        self._charges_before: dict[StrategyNumber, Decimal | None] = {}
        self._mids: dict[int, float] = {}
        """Of the look just taken; NaN where a leg had none."""
        self._layout = None
        self._revision = -1

    async def run(self) -> None:
        """Look at the market once a second until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(WATCH_S)

    def look(self) -> None:
        """Explain what has moved since the last look."""
        portfolio = self._portfolio()
        if portfolio is None:
            return
        if not self._follow(portfolio):
            self._mark([place for place, slot in enumerate(self._slots) if slot.quantity])

    def restart(self) -> None:
        """Begin anew at the next look: market time has gone back."""
        self._book = None

    def on_entries(self, entries: Sequence[LedgerEntry]) -> None:
        """Entries that the book has just taken in: the market is marked with the old quantities first."""
        portfolio = self._portfolio()
        if portfolio is None or self._must_begin(portfolio):
            return  # the next look begins with them in the book
        self._meet_strategies(portfolio)
        for entry in entries:
            if (entry.strategy, entry.leg) not in self._places:
                leg = portfolio.book.leg(entry.strategy, entry.leg)
                if leg is None:
                    return  # not the book's own entry: the next look sees that they disagree
                self._add(leg, quantity=0, is_open=True)
        places = [self._places[entry.strategy, entry.leg] for entry in entries]
        self._mark(sorted(set(places)))
        for place, entry in zip(places, entries, strict=True):
            self._trade(place, entry)
        self._revision = portfolio.book.revision

    # -- what is watched -------------------------------------------------------------------------------------------

    def _must_begin(self, portfolio: PortfolioService) -> bool:
        return portfolio.book is not self._book or self._day_of(self._clock.market_now()) != self._day

    def _follow(self, portfolio: PortfolioService) -> bool:
        """Keep to the book; true when everything has begun anew, and is marked."""
        book = portfolio.book
        if not self._must_begin(portfolio):
            self._meet_strategies(portfolio)
            if self._revision == book.revision or self._agrees(book):
                self._revision = book.revision
                return False
            logger.warning("the attribution missed entries of the ledger and begins anew")
        self._begin()
        self._book, self._day = book, self._day_of(self._clock.market_now())
        self._meet_strategies(portfolio, charges_of=portfolio)
        for strategy in book.strategies(archived=True):
            for leg in book.open_legs(strategy.number):
                self._add(leg, quantity=leg.holding.signed_quantity, is_open=False)
        self._revision = book.revision
        self._mark(list(range(len(self._slots))))
        return True

    def _meet_strategies(self, portfolio: PortfolioService, charges_of: PortfolioService | None = None) -> None:
        """Strategies begin now; those made while the others are watched had paid nothing before."""
        now = self._clock.market_now()
        for strategy in portfolio.book.strategies(archived=True):
            if strategy.number not in self._since:
                self._since[strategy.number] = now
                before = ZERO if charges_of is None else charges_of.charges_paid(strategy.number).total
                self._charges_before[strategy.number] = before

    def _agrees(self, book: PortfolioBook) -> bool:
        """Whether every leg holds what was seen to come and go."""
        held = {
            (leg.strategy, leg.number): leg.holding.signed_quantity
            for strategy in book.strategies(archived=True)
            for leg in book.open_legs(strategy.number)
        }
        seen = {(slot.leg.strategy, slot.leg.number): slot.quantity for slot in self._slots if slot.quantity}
        return held == seen

    def _add(self, leg: Leg, *, quantity: int, is_open: bool) -> None:
        layout = self._reader.layout([leg])
        known = layout.kind[0] <= LegKind.FUTURE
        place = self._ledger.add(
            LegKind(int(layout.kind[0])) if known else LegKind.FUTURE,
            strike=float(layout.strike[0]),
            multiplier=float(leg.multiplier),
        )
        self._slots.append(_Slot(leg=leg, is_open=is_open, quantity=quantity))
        self._places[leg.strategy, leg.number] = place

    # -- marks and trades ------------------------------------------------------------------------------------------

    def _mark(self, places: Sequence[int]) -> None:
        if not places:
            return
        inputs = self._read(tuple(places))
        self._ledger.mark(
            np.array(places, np.intp),
            LegMarks(price=inputs.mid, forward=inputs.forward, volatility=inputs.volatility, years=inputs.years),
            rate=self._rate,
        )
        self._mids = dict(zip(places, inputs.mid.tolist(), strict=True))
        for place, mid in self._mids.items():
            slot = self._slots[place]
            if math.isfinite(mid):
                slot.mid = mid
                if not slot.is_open:
                    self._open(place, mid)

    def _read(self, places: tuple[int, ...]) -> LegInputs:
        if self._layout is None or places != self._layout_places:
            self._layout = self._reader.layout([self._slots[place].leg for place in places])
            self._layout_places = places
        return self._reader.read(self._layout)

    def _open(self, place: int, price: float) -> None:
        """Begin a leg that was held before: a trade at its opening value."""
        slot = self._slots[place]
        self._ledger.trade(place, slot.quantity, price, mid=price)
        slot.spent += slot.quantity * exact(price)
        slot.is_open = True

    def _trade(self, place: int, entry: LedgerEntry) -> None:
        slot, price = self._slots[place], float(entry.price)
        if not slot.is_open:
            # No mid has been known since the watch began: the first price that is known is the trade's own.
            slot.mid = price
            self._open(place, price)
        is_trade = entry.source is LedgerSource.TRADE
        slot.was_moved |= not is_trade
        mid = self._mids[place] if is_trade else math.nan
        self._ledger.trade(place, entry.signed_quantity, price, mid=mid)
        if math.isnan(slot.mid):
            slot.mid = price
        slot.quantity += entry.signed_quantity
        slot.spent += entry.signed_quantity * entry.price

    # -- answers ---------------------------------------------------------------------------------------------------

    def report(self, portfolio: PortfolioService, number: StrategyNumber) -> AttributionView:
        """Why a strategy's money moved since the watch began.

        Raises:
            UnknownStrategy: there is none with this number.
        """
        strategy = portfolio.book.strategy(number)
        self.look()
        places = [place for place, slot in enumerate(self._slots) if slot.leg.strategy == strategy.number]
        gross = round_to_paisa(sum((self._slots[place].change for place in places), ZERO))
        attribution = self._ledger.report(places)
        # Adding zero takes the sign off a rounded -0.00.
        parts = {name: part + ZERO for name, part in in_money(attribution, gross).items()}
        paid = portfolio.charges_paid(number)
        total, before = paid.total, self._charges_before[number]
        charges = None if total is None or before is None else before - total
        words = list(self._words(attribution.reasons))
        words += [
            f"{leg_name(self._slots[place].leg)} has had no mid yet; it counts from its first one."
            for place in places
            if not self._slots[place].is_open
        ]
        if charges is None:
            words.append("The total is before charges: " + " ".join(charge_notes(paid)))
        return AttributionView(
            strategy=number,
            since=self._since[number],
            at=self._clock.market_now(),
            total=gross if charges is None else gross + charges,
            delta=parts["delta"],
            gamma=parts["gamma"],
            theta=parts["theta"],
            vega=parts["vega"],
            vanna=parts["vanna"],
            vomma=parts["volga"],
            rate=parts["rate"],
            spread=parts["spread"],
            charges=charges,
            unexplained=parts["unexplained"],
            residual=parts["residual"],
            reason=bounded(words),
        )

    def _words(self, reasons: Iterable[tuple[int, AttributionReason]]) -> Iterator[str]:
        for place, reason in reasons:
            slot = self._slots[place]
            name = f"{leg_name(slot.leg)} {slot.leg.instrument.tradingsymbol}"
            if reason is AttributionReason.NO_MID and slot.was_moved:
                yield f"{name} was moved between strategies at a price of its own."
            else:
                yield f"{name} {REASON_WORDS.get(reason, 'is not fully explained')}."


def exact(mid: float) -> Decimal:
    """A finite mid as the Decimal it stands for."""
    return decimal_from_float(mid, MID_STEP)


def bounded(sentences: Sequence[str]) -> str:
    """Sentences as one text, as many as fit an answer."""
    if len(sentences) <= REASONS_MAX:
        return " ".join(sentences)
    return " ".join([*sentences[:REASONS_MAX], f"And {len(sentences) - REASONS_MAX} more."])
