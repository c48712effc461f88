"""The one way to change the exchange's state: into the ledger at once, into the book before anybody is told.

Invariant: what was recorded since the last ``commit`` becomes durable as one frame, whole or not at all; only then
are the order updates sent that go with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from engine.practice.book import Book, OrderRecord, Record
from engine.practice.ledger import Ledger
from engine.practice.orders import Order
from engine.practice.wire import Status

ACCOUNT = "PR0001"
Notify = Callable[[dict[str, Any]], None]
Watch = Callable[[Record], None]


class Changes:
    """Collects changes and makes them durable together.

    Args:
        book: The durable memory.
        ledger: The state.
        notify: Called with the data of each order update after it is durable.
        now: Market time (epoch seconds).
        account: User id of the account.
    """

    def __init__(
        self, book: Book, ledger: Ledger, notify: Notify, now: Callable[[], float], account: str = ACCOUNT
    ) -> None:
        self.account = account
        self._book = book
        self._ledger = ledger
        self._notify = notify
        self._now = now
        self._watch: Watch | None = None
        self._batch: list[Record] = []
        self._updates: list[dict[str, Any]] = []

    @property
    def pending(self) -> bool:
        """True when something was recorded since the last commit."""
        return bool(self._batch)

    def redirect(self, notify: Notify) -> None:
        """Send order updates elsewhere from now on."""
        self._notify = notify

    def watch(self, watch: Watch) -> None:
        """Have somebody told of every record once it is durable, before the order updates of the same commit."""
        self._watch = watch

    def record(self, record: Record) -> None:
        """Apply a record to the ledger and keep a frozen copy of it for the book."""
        self._ledger.apply(record)
        if isinstance(record, OrderRecord):
            record = OrderRecord(record.moment, msgspec.structs.replace(record.order, tags=list(record.order.tags)))
        self._batch.append(record)

    def status(self, order: Order, status: str, told: Status | None = None) -> None:
        """Give an order a status; with ``told`` its owner gets an order update that says so."""
        order.status = status
        order.updated_at = self._now()
        self.record(OrderRecord(order.updated_at, order))
        if told is not None:
            self._updates.append(order.to_update(self.account, str(told)))

    def commit(self) -> None:
        """Make everything recorded durable, then send the updates.

        Raises:
            SystemExit: The book cannot be written; the process must end.
        """
        batch, self._batch = self._batch, []
        updates, self._updates = self._updates, []
        if batch:
            try:
                self._book.append(batch, durable=True)
            except OSError as error:
                # Memory is now ahead of the disk: to go on would be to answer for what a restart would not know.
                raise SystemExit(f"The practice exchange stops: its book cannot be written ({error}).") from error
        if self._watch is not None:
            for record in batch:
                self._watch(record)
        for update in updates:
            self._notify(update)
