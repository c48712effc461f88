"""Orders, fills and the ledger against the broker: at start, on reconnect, on schedule and on demand.

A mismatch is an item that stays until it is explained: it makes one notice when it opens and one when it closes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from engine.core.events import EventKind
from engine.core.orders import Trade
from engine.core.ports import Clock
from engine.core.vocabulary import Severity
from engine.execution.book_watcher import BookReading, BookWatcher
from engine.execution.fills import FillCollector
from engine.execution.notices import Notice

LedgerCheck = Callable[[tuple[Trade, ...]], Awaitable[tuple[str, ...]]]
"""Given the broker's trades of the day: one sentence for each way in which the ledger does not agree with them."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What one comparison found."""

    at: datetime
    """Aware UTC, market clock."""
    complete: bool
    """Both book and trades could be read; otherwise earlier mismatches stay open."""
    orders: int
    trades: int
    mismatches: tuple[str, ...]


class MismatchList:
    """Open mismatches by a key that stays the same while the mismatch does."""

    def __init__(self, notify: Callable[[Notice], None]) -> None:
        self._notify = notify
        self._open: dict[str, str] = {}

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is not explained, oldest first."""
        return tuple(self._open.values())

    def update(self, found: Mapping[str, str]) -> None:
        """Open what is new, close what is gone."""
        for key, sentence in found.items():
            if key not in self._open:
                self._notify(Notice(kind=EventKind.ORDER, severity=Severity.DANGER, text=f"Mismatch: {sentence}."))
            self._open[key] = sentence
        for key in [key for key in self._open if key not in found]:
            sentence = self._open.pop(key)
            self._notify(Notice(kind=EventKind.ORDER, severity=Severity.INFO, text=f"Explained: {sentence}."))


class Reconciler:
    """Compares.

    Args:
        watcher: Reads the book.
        fills: Reads the trades.
        clock: When.
        notify: For mismatches.
        ledger_check: The portfolio's side, when there is one.
    """

    def __init__(
        self,
        *,
        watcher: BookWatcher,
        fills: FillCollector,
        clock: Clock,
        notify: Callable[[Notice], None],
        ledger_check: LedgerCheck | None,
    ) -> None:
        self._watcher = watcher
        self._fills = fills
        self._clock = clock
        self._ledger_check = ledger_check
        self._mismatches = MismatchList(notify)
        self.last: Reconciliation | None = None

    @property
    def mismatches(self) -> tuple[str, ...]:
        """What is not explained."""
        return self._mismatches.sentences

    async def reconcile(self) -> Reconciliation:
        """Read book and trades, let the orders follow, hand new fills over, and list what does not agree."""
        reading = await self._watcher.read()
        complete = reading is not None and await self._fills.collect(frozenset(reading.rows))
        if reading is not None and complete:
            self._mismatches.update(await self._find(reading))
        self.last = Reconciliation(
            at=self._clock.market_now(),
            complete=complete,
            orders=0 if reading is None else len(reading.rows),
            trades=len(self._fills.trades),
            mismatches=self.mismatches,
        )
        return self.last

    async def _find(self, reading: BookReading) -> dict[str, str]:
        found = {f"missing {number}": sentence for number, sentence in self._watcher.missing.items()}
        found.update({f"twin {order_id}": sentence for order_id, sentence in self._watcher.twins.items()})
        shortfalls = self._fills.shortfalls(frozenset(reading.rows))
        found.update({f"fills {order_id}": sentence for order_id, sentence in shortfalls.items()})
        if self._ledger_check is not None:
            found.update({f"ledger {sentence}": sentence for sentence in await self._ledger_check(self._fills.trades)})
        return found
