"""What the locks count of a day's fills: orders that opened something, and exits with what each of them made.

Made from the ledger's own entries, so it is the same after a restart. An exit is all that one order took out of one
leg; its money is before charges, at the leg's average cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from engine.core.identifiers import InstrumentKey, StrategyNumber
from engine.core.ledger import LedgerEntry, LedgerSource
from engine.core.money import ZERO
from engine.core.positions import Holding
from engine.core.vocabulary import Product

LegKey = tuple[StrategyNumber, int, InstrumentKey, Product]
ExitKey = tuple[str, LegKey]


class ExitMade(msgspec.Struct, frozen=True, kw_only=True):
    """One exit."""

    profit: Decimal
    at: datetime
    """Of its last fill; aware UTC, market clock."""


class DayTally:
    """Counts; feed it every entry of the account, from the first one on, in their order.

    Args:
        zone: Of the exchange's day.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._day: date | None = None
        self._holdings: dict[LegKey, Holding] = {}
        self._openings: set[str] = set()
        self._exits: dict[ExitKey, ExitMade] = {}

    def take(self, entries: Iterable[LedgerEntry]) -> None:
        """Count entries that have not been counted yet."""
        for entry in entries:
            self._take(entry)

    def trades(self, today: date) -> int:
        """Orders that opened or enlarged a leg on that day."""
        return len(self._openings) if self._day == today else 0

    def exits(self, today: date) -> tuple[ExitMade, ...]:
        """The exits of that day, the one with the newest fill last."""
        if self._day != today:
            return ()
        return tuple(sorted(self._exits.values(), key=lambda made: made.at))

    def losing_run(self, today: date) -> int:
        """Exits in a row, up to the last one, that lost money."""
        run = 0
        for made in reversed(self.exits(today)):
            if made.profit >= 0:
                break
            run += 1
        return run

    def _take(self, entry: LedgerEntry) -> None:
        day = entry.at.astimezone(self._zone).date()
        if self._day is None or day > self._day:
            self._day = day
            self._openings.clear()
            self._exits.clear()
        leg = (entry.strategy, entry.leg, entry.instrument, entry.product)
        before = self._holdings.get(leg, Holding())
        after = before.after_fill(entry.signed_quantity, entry.price)
        self._holdings[leg] = after
        if entry.source is not LedgerSource.TRADE or day != self._day:
            return
        order = entry.reference.rpartition(":")[0]
        crossed = before.signed_quantity * after.signed_quantity < 0
        if crossed or abs(after.signed_quantity) > abs(before.signed_quantity):
            self._openings.add(order)
        if before.signed_quantity * entry.signed_quantity < 0:
            made = self._exits.get((order, leg))
            profit = after.realised - before.realised + (ZERO if made is None else made.profit)
            self._exits[order, leg] = ExitMade(profit=profit, at=entry.at)
