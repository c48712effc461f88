"""What has happened and is not in the journal: in memory, and in the spool where there is one."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.errors import StorageError
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord
from engine.execution.patience import Patience
from engine.execution.spool import Spool
from engine.execution.spool_records import SpooledOrder, queued


class Arrears:
    """One entry per order: its newest standing, all lines of its history not yet written, its intent if it is new.

    Bounded by the number of orders, because entries are refused while anything stands here.

    Args:
        spool: Keeps it over a kill; ``None``: memory alone.
        patience: How long the disk is waited for.
    """

    def __init__(self, spool: Spool | None, patience: Patience) -> None:
        self._spool = spool
        self._patience = patience
        self._owed: dict[OrderNumber, SpooledOrder] = {}
        self.touched: set[OrderNumber] = set()
        """Orders that stood here since they were last compared with the broker."""

    def __len__(self) -> int:
        return len(self._owed)

    def entries(self) -> tuple[SpooledOrder, ...]:
        """All of it, in the order in which it came."""
        return tuple(self._owed.values())

    def of(self, number: OrderNumber) -> SpooledOrder | None:
        """What is owed of one order."""
        return self._owed.get(number)

    def owe(self, record: OrderRecord, events: Sequence[OrderEvent], intent: OrderIntent | None = None) -> None:
        """Add to what is owed of an order."""
        before = self._owed.get(record.number)
        earlier, begun = ((), intent) if before is None else (before.events, before.intent)
        self._owed[record.number] = SpooledOrder(record=record, events=(*earlier, *events), intent=begun)
        self.touched.add(record.number)

    def paid(self, order: SpooledOrder) -> None:
        """The journal has this; what came meanwhile is still owed."""
        now = self._owed.get(order.record.number)
        if now is None or now is order:
            self._owed.pop(order.record.number, None)
        else:
            self._owed[order.record.number] = SpooledOrder(
                record=now.record, events=now.events[len(order.events) :], intent=None
            )

    def forget(self) -> None:
        """It is nobody's to write any more."""
        self._owed.clear()
        self.touched.clear()

    async def begin(self, intents: Sequence[tuple[OrderNumber, OrderIntent]]) -> tuple[OrderRecord, ...]:
        """Keep new orders for good.

        Raises:
            StorageError: they are not kept.
        """
        if self._spool is not None:
            await self._patience.ask(self._spool.begin(intents))
        records = tuple(queued(intent, number) for number, intent in intents)
        for record, (_, intent) in zip(records, intents, strict=True):
            self.owe(record, (), intent)
        return records

    async def keep(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        """Keep for good what is about to be done.

        Raises:
            StorageError: it is not kept, so it must not be done.
        """
        if self._spool is not None:
            await self._patience.ask(self._spool.add(record, events))
        self.owe(record, events)

    async def note(self, record: OrderRecord, events: Sequence[OrderEvent]) -> StorageError | None:
        """Keep what has happened already; why it stands in memory alone, if it does."""
        self.owe(record, events)
        try:
            if self._spool is not None:
                await self._patience.ask(self._spool.add(record, events))
        except StorageError as error:
            return error
        return None
