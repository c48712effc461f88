"""The record of orders in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import msgspec

from engine.core.decisions import LetterState
from engine.core.errors import StorageConflict, UnknownOrder
from engine.core.identifiers import AccountId, BrokerOrderId, IntentId, OrderNumber
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderState, OrderTrigger
from storage.boundary import aware, aware_or_none, one_account, storable
from storage.memory.store import TAG, MemoryStore, require, require_valid_request, require_valid_standing
from storage.order_journal import (
    one_for_each,
    refuse_strange_events,
    refuse_unadoptable,
    written_record,
)
from storage.order_numbers import SPARE_NUMBERS_BEHIND
from storage.refusals import conflict

ARRIVED = frozenset({OrderTrigger.ANSWERED, OrderTrigger.REFUSED, OrderTrigger.LOST, OrderTrigger.UNSENT})
"""After these a request had been at the broker, if it ever was."""


class MemoryOrderJournal:
    """Implements ``OrderJournal``.

    Args:
        store: Where it is kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def record_intents(
        self,
        intents: Sequence[OrderIntent],
        *,
        epoch: int,
        numbers: Sequence[OrderNumber] = (),
        leaving: Collection[IntentId] = (),
    ) -> tuple[OrderRecord, ...]:
        """Write intents of one account as QUEUED orders, those that are ``leaving`` as SENDING, all or none."""
        if not intents:
            return ()
        account = one_account(intent.account for intent in intents)
        reserved = one_for_each(intents, numbers)
        for intent in intents:
            aware(intent.created_at)
            aware_or_none(intent.wall_at)
        self._store.require_writer(account, epoch)
        self._store.require_account(account)
        for place, intent in enumerate(intents):
            require(TAG.fullmatch(intent.tag) is not None, "order_intents_tag_check")
            require(intent.idempotency_key != "", "order_intents_idempotency_key_check")
            require(intent.intent_id != "", "order_intents_intent_id_check")
            require_valid_request(self._store, intent.request)
            self._refuse_known(intent, intents[:place])
        if any(number in self._store.orders for number in numbers):
            raise conflict("orders_pkey")
        records = []
        for intent, number in zip(intents, reserved, strict=True):
            record = written_record(intent, self._next_number() if number is None else number, leaving)
            self._store.intents[intent.intent_id] = intent
            self._store.orders[record.number] = record
            if record.state is OrderState.SENDING:
                self._note(send_line(record, intent))
            records.append(record)
        return tuple(records)

    async def record_change(self, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int) -> None:
        """Replace the order's standing by ``record`` and append ``events``: both or neither."""
        refuse_strange_events(record, events)
        for moment in (record.updated_at, record.sent_at, record.answered_at, *(event.at for event in events)):
            aware_or_none(moment)
        for event in events:
            aware_or_none(event.wall_at)
        self._store.require_writer(record.account, epoch)
        kept = self._store.orders.get(record.number)
        if kept is None or kept.account != record.account:
            raise UnknownOrder(f"Account {record.account} has no order o{record.number}.", field="order")
        require_valid_request(self._store, record.request)
        require_valid_standing(record)
        self._refuse_known_broker_id(record.account, record.broker_order_id, but=record.number)
        # What identifies an order is never rewritten.
        self._store.orders[record.number] = msgspec.structs.replace(
            record,
            intent_id=kept.intent_id,
            tag=kept.tag,
            idempotency_key=kept.idempotency_key,
            created_at=kept.created_at,
            message=storable(record.message),
        )
        for event in events:
            self._note(event)

    async def reserve_numbers(self, account: AccountId, count: int, *, epoch: int) -> tuple[OrderNumber, ...]:
        """Take numbers that no other order has or will get, newer than any of the account's orders, ascending."""
        self._store.require_writer(account, epoch)
        newest = max((number for number, order in self._store.orders.items() if order.account == account), default=0)
        known = self._store.orders
        spare = sorted(n for n in self._store.spare_numbers if n > newest and n not in known)[:count]
        self._store.spare_numbers.difference_update(spare)
        return (*spare, *(self._next_number() for _ in range(count - len(spare))))

    async def give_back_numbers(self, account: AccountId, numbers: Sequence[OrderNumber], *, epoch: int) -> None:
        """Leave reserved numbers to whoever reserves next."""
        self._store.require_writer(account, epoch)
        if numbers:
            kept = max(numbers) - SPARE_NUMBERS_BEHIND
            self._store.spare_numbers = {number for number in self._store.spare_numbers if number >= kept}
            self._store.spare_numbers.update(numbers)

    async def merge(
        self, intent: OrderIntent | None, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int
    ) -> None:
        """Write an order as it stands, its intent and the lines of its history that are not there yet, all or none."""
        refuse_strange_events(record, events)
        self._store.require_writer(record.account, epoch)
        self._store.require_account(record.account)
        require_valid_request(self._store, record.request)
        require_valid_standing(record)
        if intent is not None and intent.intent_id not in self._store.intents:
            require_valid_request(self._store, intent.request)
            self._refuse_known(intent, ())
        kept = self._store.orders.get(record.number)
        if kept is not None and (kept.account, kept.intent_id) != (record.account, record.intent_id):
            raise StorageConflict(f"The number o{record.number} is another order's; nothing was written.")
        if kept is None and record.intent_id is not None:
            if any(other.intent_id == record.intent_id for other in self._store.orders.values()):
                raise conflict("orders_intent_key")
            require(intent is not None or record.intent_id in self._store.intents, "orders_intent_fkey")
        self._refuse_known_broker_id(record.account, record.broker_order_id, but=record.number)
        if intent is not None:
            self._store.intents.setdefault(intent.intent_id, intent)
        written = msgspec.structs.replace(record, message=storable(record.message))
        if kept is not None:
            written = msgspec.structs.replace(
                written, tag=kept.tag, idempotency_key=kept.idempotency_key, created_at=kept.created_at
            )
        self._store.orders[record.number] = written
        there = [msgspec.structs.replace(event, sequence=0) for event in self._store.events]
        for event in events:
            if msgspec.structs.replace(event, sequence=0, detail=storable(event.detail)) not in there:
                self._note(event)

    async def adopt(self, record: OrderRecord, event: OrderEvent, *, epoch: int) -> OrderRecord:
        """Take in an order that was placed elsewhere, give it a number, and note ``event``."""
        refuse_unadoptable(record)
        for moment in (record.created_at, record.updated_at, event.at, record.sent_at, record.answered_at):
            aware_or_none(moment)
        self._store.require_writer(record.account, epoch)
        self._store.require_account(record.account)
        require_valid_request(self._store, record.request)
        require_valid_standing(record)
        self._refuse_known_broker_id(record.account, record.broker_order_id, but=None)
        if record.number in self._store.orders:
            raise conflict("orders_pkey")
        number = record.number or self._next_number()
        adopted = msgspec.structs.replace(record, number=number, message=storable(record.message))
        self._store.orders[adopted.number] = adopted
        self._note(msgspec.structs.replace(event, number=adopted.number))
        return adopted

    async def by_idempotency_key(self, account: AccountId, key: str) -> OrderRecord | None:
        """The order a key made, at any time."""
        self._store.require_running()
        for record in self._store.orders.values():
            if record.account == account and record.idempotency_key == key:
                return record
        return None

    async def by_number(self, number: OrderNumber) -> OrderRecord | None:
        """One order."""
        self._store.require_running()
        return self._store.orders.get(number)

    async def working(self, account: AccountId) -> tuple[OrderRecord, ...]:
        """Orders in a state that is not terminal, and those presumed absent, oldest first."""
        return self._oldest_first(
            record
            for record in self._of(account)
            if record.state.is_working or record.state is OrderState.PRESUMED_ABSENT
        )

    async def since(self, account: AccountId, moment: datetime) -> tuple[OrderRecord, ...]:
        """Orders created or changed at or after ``moment``, oldest first."""
        first = aware(moment)
        return self._oldest_first(
            record for record in self._of(account) if record.created_at >= first or record.updated_at >= first
        )

    async def history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """All events of one order, in order of their sequence."""
        self._store.require_running()
        return tuple(event for event in self._store.events if event.number == number)

    async def intent(self, number: OrderNumber) -> OrderIntent | None:
        """What one order was made from; ``None`` for an order from outside."""
        self._store.require_running()
        record = self._store.orders.get(number)
        return None if record is None or record.intent_id is None else self._store.intents[record.intent_id]

    async def dead_letters(self, account: AccountId, limit: int) -> tuple[OrderRecord, ...]:
        """The newest open ones, at most ``limit``."""
        found = [record for record in self._of(account) if record.letter is LetterState.OPEN]
        return tuple(sorted(found, key=lambda record: -record.number)[:limit])

    async def placements(self, account: AccountId, since: datetime) -> tuple[datetime | None, ...]:
        """When each placement had arrived, by this machine's clock; ``None`` where nobody wrote it."""
        first = aware(since)
        self._store.require_running()
        mine = [event for event in self._store.events if event.account == account]
        ends: dict[OrderNumber, datetime] = {}
        for event in mine:
            if event.trigger in ARRIVED and event.wall_at is not None:
                ends[event.number] = max(event.wall_at, ends.get(event.number, event.wall_at))
        return tuple(
            ends.get(event.number)
            for event in mine
            if event.trigger is OrderTrigger.SEND
            and event.applied
            and event.wall_at is not None
            and event.wall_at >= first
        )

    def _of(self, account: AccountId) -> list[OrderRecord]:
        self._store.require_running()
        return [record for record in self._store.orders.values() if record.account == account]

    @staticmethod
    def _oldest_first(records: Iterable[OrderRecord]) -> tuple[OrderRecord, ...]:
        return tuple(sorted(records, key=lambda record: (record.created_at, record.number)))

    def _next_number(self) -> OrderNumber:
        self._store.last_number = max(self._store.last_number + 1, len(self._store.orders) + 1)
        return OrderNumber(self._store.last_number)

    def _note(self, event: OrderEvent) -> None:
        sequence = len(self._store.events) + 1
        self._store.events.append(msgspec.structs.replace(event, sequence=sequence, detail=storable(event.detail)))

    def _refuse_known(self, intent: OrderIntent, earlier: Sequence[OrderIntent]) -> None:
        others = [*self._store.intents.values(), *earlier]
        if any(other.intent_id == intent.intent_id for other in others):
            raise conflict("order_intents_pkey")
        mine = [other for other in others if other.account == intent.account]
        if any(other.tag == intent.tag for other in mine):
            raise conflict("order_intents_tag_key")
        if any(other.idempotency_key == intent.idempotency_key for other in mine):
            raise conflict("order_intents_idempotency_key_key")

    def _refuse_known_broker_id(
        self, account: AccountId, broker_order_id: BrokerOrderId | None, *, but: OrderNumber | None
    ) -> None:
        if broker_order_id is None:
            return
        for other in self._store.orders.values():
            if other.account == account and other.broker_order_id == broker_order_id and other.number != but:
                raise conflict("orders_broker_order_id_key")


def send_line(record: OrderRecord, intent: OrderIntent) -> OrderEvent:
    """The line of history of an order that leaves as soon as it is written."""
    return OrderEvent(
        number=record.number,
        account=record.account,
        trigger=OrderTrigger.SEND,
        from_state=OrderState.QUEUED,
        to_state=OrderState.SENDING,
        applied=True,
        at=intent.created_at,
        wall_at=intent.wall_at,
    )
