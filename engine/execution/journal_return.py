"""The way back of a journal that was away: still the writer, all merged, compared with the broker, entries again.

Nothing of it does harm when it is done twice, so a kill at any step is followed by doing it again.
"""

from __future__ import annotations

import logging
from typing import Protocol

from engine.core.errors import InvalidInput, StorageConflict, StorageError, WriterLost
from engine.core.events import EventKind
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord
from engine.core.repositories import OrderJournal, WriterLock
from engine.execution.arrears import Arrears
from engine.execution.journal_access import JournalAccess
from engine.execution.journal_merge import SpoolMerger
from engine.execution.notices import Health
from engine.execution.spool import Spool

logger = logging.getLogger(__name__)

SPOOL = "spool"
NO_NUMBER = OrderNumber(0)
"""No order has it: asking for it costs the journal nothing and tells that it is there."""


class JournalOwner(Protocol):
    """Knows how orders stand, and the broker."""

    async def compare_with_broker(self, numbers: frozenset[OrderNumber]) -> bool:
        """The journal is back and has everything: compare, and write these orders once more; whether that was done."""
        ...

    async def put_right(self, record: OrderRecord) -> None:
        """An order had to be written with another strategy."""
        ...


class JournalReturn:
    """Takes the steps, as far as they go.

    Args:
        journal: The durable record.
        access: Whether it is there.
        arrears: What it does not have.
        merger: Brings that into it.
        spool: Emptied at the end.
        lock: Of the writer; ``None``: nobody looks after it here.
        epoch: Under which this engine writes.
        health: Where a spool that fails is declared.
        owner: Of the orders.
    """

    def __init__(
        self,
        journal: OrderJournal,
        *,
        access: JournalAccess,
        arrears: Arrears,
        merger: SpoolMerger,
        spool: Spool,
        lock: WriterLock | None,
        epoch: int,
        health: Health,
        owner: JournalOwner,
    ) -> None:
        self._journal = journal
        self._access = access
        self._arrears = arrears
        self._merger = merger
        self._spool = spool
        self._lock = lock
        self._epoch = epoch
        self._health = health
        self._owner = owner

    async def keep_lock(self) -> bool:
        """Be sure that this engine is still the writer; whether that could be asked and is so.

        A lock that is not free although nobody has become the writer is our own, of a connection whose end the server
        has not noticed: the epoch alone decides.
        """
        access = self._access
        try:
            if self._lock is None:
                await access.patience.ask(self._journal.by_number(NO_NUMBER))
            elif not await access.patience.ask(self._lock.keep(access.account, self._epoch)):
                logger.warning("the writer lock of %s is not free yet; nobody else is the writer", access.account)
        except WriterLost:
            access.lose()
            return False
        except StorageError as error:
            logger.info("the writer lock of %s cannot be asked for: %s", access.account, error)
            return False
        return True

    async def merge(self) -> bool:
        """Bring all that is owed into the journal, in its order; whether the journal is back.

        Meanwhile everything else goes to the spool, so nothing is written past what waits there.
        """
        access = self._access
        if access.patience.has_late or not await self.keep_lock():
            return False
        while await self._merge_entries():
            async with access.spooling:
                if self._arrears:
                    continue
                try:
                    await self._spool.mark_merged()
                except StorageError as error:
                    # Said because a kill before it is emptied would bring older standings back.
                    self._health.declare(
                        SPOOL, f"The spool could not be marked as merged ({error}).", EventKind.STORAGE
                    )
                access.come_back()
                return True
        return False

    async def prove(self) -> bool:
        """Compare with the broker; then entries are taken again and the spool is emptied."""
        access = self._access
        if not await self._owner.compare_with_broker(frozenset(self._arrears.touched)) or access.why_away() is not None:
            return False
        self._arrears.touched.clear()
        try:
            await self._spool.clear()
        except StorageError as error:
            self._health.declare(SPOOL, str(error), EventKind.STORAGE)
        else:
            self._health.clear(SPOOL, "The spool is in order again.", EventKind.STORAGE)
        access.proved()
        return True

    async def _merge_entries(self) -> bool:
        """Merge what is owed now; whether all of it could be."""
        complete = True
        for order in self._arrears.entries():
            try:
                merged = await self._access.ask(self._merger.merge(order))
            except (StorageConflict, InvalidInput) as error:
                # The others need not wait for it; entries do, until a person has looked.
                complete = False
                number = order.record.number
                self._access.go_away(StorageError(f"o{number} stands differently in the journal: {error}"))
            except StorageError:
                return False
            else:
                self._arrears.paid(order)
                if merged.record.request.strategy != order.record.request.strategy:
                    await self._owner.put_right(merged.record)
        return complete
