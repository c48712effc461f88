"""The executor's pen: durable writes before the wire, and writes after it that are kept until they succeed.

Before the wire a write that fails stops the sending. After the wire the fact has happened whether or not it can be
written: it stands in memory, is tried again in order, and the health says that the journal is behind. A lost writer
epoch ends all writing for good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from engine.core.errors import InvalidInput, StorageConflict, StorageError, WriterLost
from engine.core.events import EventKind
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord
from engine.core.ports import Clock, OrderJournal
from engine.execution.notices import Health

logger = logging.getLogger(__name__)

BEHIND = "journal"
LOST = "writer"


class JournalWriter:
    """Writes under one epoch.

    Args:
        journal: The durable record.
        epoch: The writer epoch every write names.
        health: Where falling behind and losing the account are declared.
        clock: For the pause between attempts.
        retry_s: That pause.
        on_lost: Called once when another engine has become the writer.
    """

    def __init__(
        self,
        journal: OrderJournal,
        *,
        epoch: int,
        health: Health,
        clock: Clock,
        retry_s: float,
        on_lost: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._epoch = epoch
        self._health = health
        self._clock = clock
        self._retry_s = retry_s
        self._on_lost = on_lost
        # One entry per order: its newest standing and all lines of history not yet written. Bounded by the number
        # of orders, because entries are refused while anything waits here.
        self._owed: dict[OrderNumber, tuple[OrderRecord, list[OrderEvent]]] = {}
        self._owes = asyncio.Event()
        self._turn = asyncio.Lock()
        self.lost = False
        """Another engine is the writer; nothing is written any more."""

    @property
    def is_behind(self) -> bool:
        """Facts stand in memory that the journal does not have."""
        return bool(self._owed)

    async def record_intents(self, intents: Sequence[OrderIntent]) -> tuple[OrderRecord, ...]:
        """Write intents; returning means committed.

        Raises:
            StorageConflict: a tag or key is there already.
            InvalidInput: the journal does not take such an order; its strategy, for example, is not known.
            StorageError: nothing is known to have been written.
        """
        self._must_be_writer()
        try:
            return await self._journal.record_intents(intents, epoch=self._epoch)
        except WriterLost:
            self._lose()
            raise

    async def adopt(self, record: OrderRecord, event: OrderEvent) -> OrderRecord:
        """Take in an order from outside.

        Raises:
            StorageConflict: it is known already.
            StorageError: it was not written.
        """
        self._must_be_writer()
        try:
            return await self._journal.adopt(record, event, epoch=self._epoch)
        except WriterLost:
            self._lose()
            raise

    async def commit(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        """Write before the wire: returning means committed, together with all that was owed for this order.

        Raises:
            StorageError: it was not written; the caller must not send.
        """
        self._must_be_writer()
        async with self._turn:
            await self._write(record, events)

    async def settle(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        """Write what has happened already; kept and tried again when it cannot be written now."""
        if self.lost:
            return
        async with self._turn:
            if self._owed:
                self._owe(record, events)
                return
            try:
                await self._write(record, events)
            except WriterLost:
                return
            except asyncio.CancelledError:
                self._owe(record, events)
                raise
            except StorageError as error:
                self._fall_behind(record, events, error)

    async def owe(self, record: OrderRecord, events: Sequence[OrderEvent], error: StorageError) -> None:
        """Keep a write that has failed with ``error`` already, to be tried again."""
        async with self._turn:
            self._fall_behind(record, events, error)

    async def run(self) -> None:
        """Write what is owed, for ever."""
        while not self.lost:
            await self._owes.wait()
            await self._clock.sleep(self._retry_s)
            await self.pay()

    async def pay(self) -> bool:
        """Try once to write everything owed; whether nothing is owed any more."""
        async with self._turn:
            for number in tuple(self._owed):
                record, events = self._owed[number]
                try:
                    await self._write(record, ())
                except WriterLost:
                    return False
                except StorageError as error:
                    logger.warning("the journal still refuses o%s (%d lines owed): %s", number, len(events), error)
            if self._owed:
                return False
            self._owes.clear()
        self._health.clear(BEHIND, "The order journal is written again; nothing was lost.", EventKind.STORAGE)
        return True

    def _fall_behind(self, record: OrderRecord, events: Sequence[OrderEvent], error: StorageError) -> None:
        self._owe(record, events)
        self._health.declare(
            BEHIND,
            f"The order journal cannot be written ({error}); entries are refused, nothing is forgotten.",
            EventKind.STORAGE,
        )

    def _owe(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        _, earlier = self._owed.get(record.number, (record, []))
        self._owed[record.number] = (record, [*earlier, *events])
        self._owes.set()

    async def _write(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        _, earlier = self._owed.get(record.number, (record, []))
        try:
            await self._journal.record_change(record, (*earlier, *events), epoch=self._epoch)
        except WriterLost:
            self._lose()
            raise
        except (StorageConflict, InvalidInput) as error:
            # A change of an order that is ours cannot be refused; if it is, its row is not the one we know.
            raise StorageError(f"o{record.number} stands differently in the journal: {error}") from error
        self._owed.pop(record.number, None)

    def _must_be_writer(self) -> None:
        if self.lost:
            raise WriterLost("another engine is the writer of this account; this one may only read")

    def _lose(self) -> None:
        if self.lost:
            return
        self.lost = True
        self._owed.clear()
        self._owes.set()  # lets run() end
        self._health.declare(
            LOST, "Another engine is the writer of this account now; this one sends nothing more.", EventKind.STORAGE
        )
        self._on_lost()
