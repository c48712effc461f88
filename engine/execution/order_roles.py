"""What orders were made for, read off the decisions that were kept with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from engine.core.decisions import OrderDecision
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.orders import OrderRecord, OrderTrigger
from engine.core.repositories import OrderJournal
from engine.execution.housekeeping import Protection, Role
from engine.execution.overshoot import FilledBy, is_reversal

KEPT_MAX = 10_000
"""Orders whose reading is kept; the longest unused leave first."""


class OrderRoles:
    """Reads what is needed of the journal, each order once per change of its quantity.

    Args:
        journal: Keeps the decisions.
        default_strategy: Whose an order is that names no strategy; ``None`` while that is not known.
    """

    def __init__(self, journal: OrderJournal, default_strategy: Callable[[], StrategyNumber | None]) -> None:
        self._journal = journal
        self._default_strategy = default_strategy
        self._read: OrderedDict[tuple[OrderNumber, int], tuple[Role, int] | None] = OrderedDict()

    async def protections(self, records: Iterable[OrderRecord]) -> dict[OrderNumber, Protection]:
        """The protective ones among orders.

        Raises:
            StorageError: the journal cannot be read.
        """
        found = {}
        for record in records:
            role = await self._role(record)
            strategy = record.request.strategy or self._default_strategy()
            if role is not None and strategy is not None and not is_reversal(record):
                found[record.number] = Protection(role=role, strategy=strategy)
        return found

    async def filled_by(self, record: OrderRecord) -> FilledBy | None:
        """Whose the fills of an order are; ``None`` for an order from outside.

        Raises:
            StorageError: the journal cannot be read.
        """
        strategy = record.request.strategy or self._default_strategy()
        if record.intent_id is None or strategy is None:
            return None
        takes_away = await self._role(record) is not None
        return FilledBy(number=record.number, strategy=strategy, takes_away=takes_away, is_reversal=is_reversal(record))

    async def _role(self, record: OrderRecord) -> Role | None:
        if record.intent_id is None:
            return None
        key = (record.number, record.modifications)
        if key in self._read:
            self._read.move_to_end(key)
        else:
            self._read[key] = await self._from_journal(record)
            while len(self._read) > KEPT_MAX:
                self._read.popitem(last=False)
        known = self._read[key]
        if known is None:
            return None
        role, most = known
        return role if record.request.quantity <= most else None

    async def _from_journal(self, record: OrderRecord) -> tuple[Role, int] | None:
        """Its role and the largest quantity with which it only took away; ``None`` for any other order."""
        intent = await self._journal.intent(record.number)
        if intent is None or intent.decision is None:
            return None
        most = _takes_away(record, intent.decision)
        if intent.request.quantity > most:
            return None
        if record.modifications:
            for event in await self._journal.history(record.number):
                if event.trigger is OrderTrigger.MODIFY_SENT and event.facts.decision is not None:
                    # What had been filled by then was no part of what it could still take away.
                    most = max(most, _takes_away(record, event.facts.decision))
        return Role.of(intent.request.order_type), most


def _takes_away(record: OrderRecord, decision: OrderDecision) -> int:
    """Units that an order could take away when something was decided about it."""
    held = decision.held_before
    return 0 if held is None else max(0, -record.request.side.sign * held)
