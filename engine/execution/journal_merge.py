"""Brings orders of the spool into the journal, each in one transaction, as often as needed.

What stands in the way of one order is put right where only its description is concerned, and said: the order itself has
happened at the broker, so it must come into the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from engine.core.decisions import LetterState
from engine.core.errors import InvalidInput, StorageConflict, StorageError, UnknownStrategy
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderIntent, OrderRecord, OrderRequest, OrderState, OrderTrigger
from engine.core.ports import Clock
from engine.core.repositories import OrderJournal
from engine.core.vocabulary import Severity
from engine.execution.notices import Health
from engine.execution.spool_records import SpoolContents, SpooledOrder, fold
from engine.execution.transitions import step

SPOOLED_KEY_PREFIX = "spooled-"
"""Keys of orders whose own key had made another order before."""
REPAIRS_MAX = 4
LOOK_BACK = timedelta(days=2)
MAY_HAVE_LEFT = "The spool was damaged: whether it was sent is not known, so it is being looked for."


class SpoolMerger:
    """Merges.

    Args:
        journal: The durable record.
        account: Whose orders.
        epoch: The writer epoch.
        tell: Told, in a sentence, what had to be put right.
    """

    def __init__(self, journal: OrderJournal, account: AccountId, epoch: int, tell: Callable[[str], None]) -> None:
        self._journal = journal
        self._account = account
        self._epoch = epoch
        self._tell = tell

    async def merge(self, order: SpooledOrder, *, may_renumber: bool = False) -> SpooledOrder:
        """Write one order; returns what was written.

        Args:
            order: All that the spool has of it.
            may_renumber: Nobody in this engine knows its number yet; it may get another one if its own is taken.

        Raises:
            WriterLost: another engine is the writer.
            StorageConflict, InvalidInput: the journal refuses it for good.
            StorageError: the journal is away.
        """
        for _ in range(REPAIRS_MAX):
            try:
                await self._journal.merge(order.intent, order.record, order.events, epoch=self._epoch)
            except UnknownStrategy:
                order = self._without_strategy(order)
            except StorageConflict:
                repaired = await self._without_conflict(order, may_renumber=may_renumber)
                if repaired is None:
                    raise
                order = repaired
            else:
                return order
        raise StorageError(f"o{order.record.number} cannot be brought into the journal")

    def _without_strategy(self, order: SpooledOrder) -> SpooledOrder:
        record, strategy = order.record, order.record.request.strategy
        if strategy is None:
            raise InvalidInput(f"o{record.number} names no strategy, and the journal refuses it.", field="strategy")
        self._tell(f"o{record.number} was sent for strategy {strategy}, which is not known: it is in the default one.")
        return _changed(order, request=msgspec.structs.replace(record.request, strategy=None))

    async def _without_conflict(self, order: SpooledOrder, *, may_renumber: bool) -> SpooledOrder | None:
        record = order.record
        if order.intent is not None and record.idempotency_key is not None:
            other = await self._journal.by_idempotency_key(self._account, record.idempotency_key)
            if other is not None and other.intent_id != record.intent_id:
                self._tell(
                    f"o{record.number} was sent while the journal was away, under a key that had made o{other.number} "
                    f"before. Look at both."
                )
                return _changed(order, key=f"{SPOOLED_KEY_PREFIX}{record.intent_id}")
        if record.broker_order_id is not None:
            other = await self._of_broker_id(record)
            if other is not None:
                return self._adopted_elsewhere(order, other)
        if may_renumber:
            other = await self._journal.by_number(record.number)
            if other is not None and other.intent_id != record.intent_id:
                (number,) = await self._journal.reserve_numbers(self._account, 1, epoch=self._epoch)
                self._tell(f"The number o{record.number} is another order's in this database: it is o{number} now.")
                return _renumbered(order, number)
        return None

    async def _of_broker_id(self, record: OrderRecord) -> OrderRecord | None:
        for other in await self._journal.since(self._account, record.created_at - LOOK_BACK):
            if other.broker_order_id == record.broker_order_id and other.number != record.number:
                return other
        return None

    def _adopted_elsewhere(self, order: SpooledOrder, other: OrderRecord) -> SpooledOrder:
        """Another engine has found it in the broker's book and follows it under a number of its own."""
        record = order.record
        words = f"The broker's {record.broker_order_id} is o{other.number}: another engine had adopted it."
        self._tell(f"o{record.number} was sent while the journal was away. {words}")
        after = msgspec.structs.replace(
            record,
            broker_order_id=None,
            state=OrderState.PRESUMED_ABSENT if record.state.is_working else record.state,
            filled_quantity=0,
            average_price=None,
            message=words,
            letter=LetterState.NONE,
        )
        return msgspec.structs.replace(order, record=after)


async def merge_left(contents: SpoolContents, merger: SpoolMerger, clock: Clock, health: Health) -> bool:
    """Merge what an earlier engine left; whether the file held anything.

    Raises:
        StorageError: the journal does not take it, or is away.
    """
    left = fold(contents.records)
    if contents.damaged:
        left = tuple(worst_case(order, clock.market_now()) for order in left)
        health.say(
            f"{contents.damaged} lines of the spool cannot be read; a copy is kept beside it. What only seems not to "
            "have been sent is looked for at the broker.",
            EventKind.STORAGE,
        )
    for order in left:
        try:
            await merger.merge(order, may_renumber=True)
        except InvalidInput as error:
            raise StorageError(f"o{order.record.number} of the spool is refused by the journal: {error}") from error
    if left:
        health.say(
            f"{len(left)} orders of an earlier engine's spool are in the journal.", EventKind.STORAGE, Severity.INFO
        )
    return bool(contents.records or contents.damaged)


def worst_case(order: SpooledOrder, at: datetime) -> SpooledOrder:
    """An order of a damaged spool: when it only seems not to have been sent, it counts as sent."""
    if order.record.state is not OrderState.QUEUED:
        return order
    taken = step(order.record, OrderTrigger.SEND, at, MAY_HAVE_LEFT, sent_at=at, message=MAY_HAVE_LEFT)
    return msgspec.structs.replace(order, record=taken.record, events=(*order.events, taken.event))


def _changed(order: SpooledOrder, *, request: OrderRequest | None = None, key: str | None = None) -> SpooledOrder:
    intent, record = order.intent, order.record
    if request is not None:
        record = msgspec.structs.replace(record, request=request)
        if intent is not None:
            intent = _without_strategy(intent)
    if key is not None:
        record = msgspec.structs.replace(record, idempotency_key=key)
        if intent is not None:
            intent = msgspec.structs.replace(intent, idempotency_key=key)
    return SpooledOrder(record=record, events=order.events, intent=intent)


def _without_strategy(intent: OrderIntent) -> OrderIntent:
    return msgspec.structs.replace(intent, request=msgspec.structs.replace(intent.request, strategy=None))


def _renumbered(order: SpooledOrder, number: OrderNumber) -> SpooledOrder:
    return SpooledOrder(
        record=msgspec.structs.replace(order.record, number=number),
        events=tuple(msgspec.structs.replace(event, number=number) for event in order.events),
        intent=order.intent,
    )
