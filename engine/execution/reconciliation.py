"""Orders, fills, positions and triggers against the broker: at start, on reconnect, on schedule and on demand.

A mismatch is an item that stays until it is gone or explained; see ``mismatches``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from engine.core.ports import Clock
from engine.core.reconciling import Mismatch, MismatchKind
from engine.execution.book_watcher import BookReading, BookWatcher
from engine.execution.fills import FillCollector
from engine.execution.mismatches import Finding, MismatchList

OWN_KINDS = frozenset({MismatchKind.ORDER, MismatchKind.TWIN, MismatchKind.FILLS})
"""What the book and the trades themselves tell."""
OF_LEDGER = frozenset({MismatchKind.POSITION, MismatchKind.LEDGER})
"""What a fill that is known and not booked yet makes differ."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one check beside the book found."""

    kinds: frozenset[MismatchKind]
    """What it looks at."""
    found: tuple[Finding, ...] | None
    """``None``: it could not be compared."""


Compare = Callable[[], Awaitable[Comparison]]
"""Compares something else with the broker: the ledger's positions, the standing triggers. Must not raise."""


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What one comparison found."""

    at: datetime
    """Aware UTC, market clock."""
    complete: bool
    """Both book and trades could be read; otherwise earlier mismatches stay as they are."""
    orders: int
    trades: int
    mismatches: tuple[str, ...]
    """Open ones, in words."""
    is_settled: bool = True
    """Nothing was seen that another reading has to confirm, and nothing waited for fills to be booked."""
    not_compared: tuple[MismatchKind, ...] = ()
    """What could not be compared."""


class Reconciler:
    """Compares.

    Args:
        watcher: Reads the book.
        fills: Reads the trades.
        clock: When.
        mismatches: Where differences are listed.
        checks: What is compared beside orders and fills.
    """

    def __init__(
        self,
        *,
        watcher: BookWatcher,
        fills: FillCollector,
        clock: Clock,
        mismatches: MismatchList,
        checks: Sequence[Compare] = (),
    ) -> None:
        self._watcher = watcher
        self._fills = fills
        self._clock = clock
        self._checks = tuple(checks)
        self.list = mismatches
        self.last: Reconciliation | None = None

    @property
    def mismatches(self) -> tuple[str, ...]:
        """What is open, in words."""
        return self.list.sentences

    @property
    def items(self) -> tuple[Mismatch, ...]:
        """All that is listed."""
        return self.list.items

    async def reconcile(self) -> Reconciliation:
        """Read book and trades, let the orders follow, hand new fills over, and list what does not agree."""
        reading = await self._watcher.read()
        complete = reading is not None and await self._fills.collect(frozenset(reading.rows))
        not_compared: tuple[MismatchKind, ...] = ()
        waits = False
        if reading is not None and complete:
            compared = set(OWN_KINDS)
            found = self._own(reading)
            for check in self._checks:
                comparison = await check()
                # A fill that waits for the ledger is no difference of the books; after it they are compared.
                is_behind = bool(comparison.kinds & OF_LEDGER) and bool(self._fills.unbooked())
                waits = waits or is_behind
                if comparison.found is None or is_behind:
                    not_compared += tuple(sorted(comparison.kinds))
                    continue
                compared |= comparison.kinds
                found += comparison.found
            await self.list.update(found, frozenset(compared))
        self.last = Reconciliation(
            at=self._clock.market_now(),
            complete=complete,
            orders=0 if reading is None else len(reading.rows),
            trades=len(self._fills.trades),
            mismatches=self.mismatches,
            is_settled=not self.list.has_doubts and not waits,
            not_compared=not_compared,
        )
        return self.last

    def _own(self, reading: BookReading) -> list[Finding]:
        found = [
            # The watcher has missed it in several good readings before it says so.
            Finding(
                kind=MismatchKind.ORDER, subject=f"o{number}", words=words, ours="there", theirs="none", is_settled=True
            )
            for number, words in self._watcher.missing.items()
        ]
        found += [
            Finding(kind=MismatchKind.TWIN, subject=order_id, words=words, ours="1", theirs="2", is_settled=True)
            for order_id, words in self._watcher.twins.items()
        ]
        for order_id, lack in self._fills.shortfalls(frozenset(reading.rows)).items():
            ours, theirs = str(lack.filled), str(lack.trades)
            found.append(Finding(kind=MismatchKind.FILLS, subject=order_id, words=lack.words, ours=ours, theirs=theirs))
        return found
