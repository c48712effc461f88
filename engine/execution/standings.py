"""How every order stands, in memory, with the journal behind it: the one place where records are replaced.

Each order has a lock; whoever changes it holds the lock from reading the record to having journalled the new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from engine.core.commands import OrderChange
from engine.core.decisions import NO_FACTS, EventFacts
from engine.core.errors import StorageError, WriterLost
from engine.core.identifiers import AccountId, BrokerOrderId, OrderNumber, OrderTag, StrategyNumber
from engine.core.orders import BrokerOrder, OrderEvent, OrderRecord, OrderState, OrderTrigger
from engine.core.ports import Clock
from engine.core.repositories import OrderJournal
from engine.execution.journal_access import JournalAway
from engine.execution.journal_writer import JournalWriter
from engine.execution.queue import Errand
from engine.execution.resolution import Lookup
from engine.execution.transitions import Step, refused_step, step


class CommandInFlight:
    """A modification or cancellation that the book has not confirmed yet.

    Args:
        errand: Which of the two.
        change: What was asked; ``None`` when an engine that is gone asked it.
        quantity: Units in all that the order may have by now through a change that was asked before: by an engine that
            is gone, or overtaken by a cancellation.
    """

    __slots__ = ("answered", "change", "errand", "lookup", "quantity")

    def __init__(self, errand: Errand, change: OrderChange | None = None, *, quantity: int | None = None) -> None:
        self.errand = errand
        self.change = change
        self.quantity = quantity if change is None else change.quantity
        self.answered = False
        """The broker took the request (which is not yet its effect)."""
        self.lookup: Lookup | None = None
        """Begins when nothing more of the request is on the wire; ``None`` before."""


class Standing:
    """One order: its record and what is going on with it. Replace ``record`` through ``Standings`` only."""

    __slots__ = (
        "answered_at", "cancel_wished", "command", "illegal", "lock", "lookup", "merged_row", "missing_reads", "record",
    )  # fmt: skip

    def __init__(self, record: OrderRecord) -> None:
        self.record = record
        self.lock = asyncio.Lock()
        self.lookup: Lookup | None = None
        """The search for an order without an answer."""
        self.command: CommandInFlight | None = None
        self.cancel_wished = False
        """To be cancelled as soon as the broker's id is known."""
        self.illegal: set[tuple[OrderState, OrderTrigger]] = set()
        """What was said and not applied, recorded once each."""
        self.merged_row: BrokerOrder | None = None
        """The book's row that was merged last: the same again is no news."""
        self.missing_reads = 0
        """Good reads of the book in a row that did not show it."""
        self.answered_at: float | None = None
        """Monotonic seconds at which the broker gave its id to this engine; ``None`` when nobody saw it."""

    def at_worst(self) -> OrderRecord:
        """The order with the most units it may have by now."""
        record, quantity = self.record, self.record.request.quantity
        if self.command is not None and self.command.quantity is not None:
            quantity = max(quantity, self.command.quantity)
        if self.merged_row is not None:
            quantity += self.merged_row.to_come
        if quantity == record.request.quantity:
            return record
        return msgspec.structs.replace(record, request=msgspec.structs.replace(record.request, quantity=quantity))

    @property
    def is_open_question(self) -> bool:
        """Whether the next read of the book is awaited for it."""
        return (
            self.lookup is not None
            or self.command is not None
            or self.record.state in {OrderState.SENDING, OrderState.ACCEPTED}
        )


class Standings:
    """All orders this executor knows: today's, and older ones that are not finished.

    Args:
        writer: The pen.
        journal: For reading histories.
        clock: Market time of changes.
        on_change: Told of every new record with its lines of history.
    """

    def __init__(
        self,
        writer: JournalWriter,
        journal: OrderJournal,
        clock: Clock,
        on_change: Callable[[OrderRecord, tuple[OrderEvent, ...]], None],
    ) -> None:
        self._writer = writer
        self._journal = journal
        self._clock = clock
        self._on_change = on_change
        self._by_number: dict[OrderNumber, Standing] = {}
        self._by_tag: dict[OrderTag, Standing] = {}
        self._by_broker_id: dict[BrokerOrderId, Standing] = {}
        self._by_key: dict[str, Standing] = {}
        self._active: dict[OrderNumber, Standing] = {}
        self._untold: dict[OrderNumber, tuple[OrderRecord, datetime]] = {}
        """Orders that were made in this step of the loop and are leaving in it, with the time by this machine."""
        self.revision = 0
        """Grows with every change."""

    def __len__(self) -> int:
        return len(self._by_number)

    def insert(self, record: OrderRecord) -> Standing:
        """Take in an order that is journalled already; one that is known keeps its place."""
        known = self._by_number.get(record.number)
        if known is not None:
            return known
        standing = Standing(record)
        self._by_number[record.number] = standing
        if record.tag is not None:
            self._by_tag[record.tag] = standing
        if record.idempotency_key is not None:
            self._by_key[record.idempotency_key] = standing
        self._index(standing)
        self.revision += 1
        return standing

    def made(self, record: OrderRecord, wall_at: datetime | None) -> None:
        """An order was made just now, by this machine's time: when it leaves already, whoever listens is to hear it,
        with ``tell_made`` and at the latest with the next news of the order.
        """
        if wall_at is not None and record.state is OrderState.SENDING:
            self._untold[record.number] = (record, wall_at)

    def tell_made(self, number: OrderNumber) -> None:
        """Tell that an order was made, if that was not told."""
        untold = self._untold.pop(number, None)
        if untold is not None:
            record, wall_at = untold
            before = msgspec.structs.replace(record, state=OrderState.QUEUED)
            sent = step(before, OrderTrigger.SEND, record.updated_at)
            self._on_change(record, (msgspec.structs.replace(sent.event, wall_at=wall_at),))

    def _tell(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        self.tell_made(record.number)
        self._on_change(record, events)

    def by_number(self, number: OrderNumber) -> Standing | None:
        """The order with this number."""
        return self._by_number.get(number)

    def by_tag(self, tag: OrderTag) -> Standing | None:
        """The order we sent with this tag."""
        return self._by_tag.get(tag)

    def by_broker_id(self, order_id: BrokerOrderId) -> Standing | None:
        """The order the broker calls so."""
        return self._by_broker_id.get(order_id)

    def by_key(self, key: str) -> Standing | None:
        """The order an idempotency key made, among those in memory."""
        return self._by_key.get(key)

    def active(self) -> tuple[Standing, ...]:
        """Orders that are not in a terminal state."""
        return tuple(self._active.values())

    def records(self) -> tuple[OrderRecord, ...]:
        """All of them, by number (which is by age)."""
        return tuple(self._by_number[number].record for number in sorted(self._by_number))

    def working(self, *, without: OrderNumber | None = None) -> tuple[OrderRecord, ...]:
        """Records that may still trade."""
        # Lists and not generators: an order waits for this, and many may work.
        return tuple([record for one in self._active.values() if (record := one.record).number != without])

    def worst(self, *, without: OrderNumber | None = None) -> tuple[OrderRecord, ...]:
        """The same as large as each may be: a change without an answer as made, legs of an iceberg as come."""
        return tuple([one.at_worst() for one in self._active.values() if one.record.number != without])

    async def commit(
        self,
        standing: Standing,
        trigger: OrderTrigger,
        detail: str = "",
        *,
        urgent: bool = False,
        facts: EventFacts = NO_FACTS,
        **changes: Any,  # noqa: ANN401 - fields of the record
    ) -> bool:
        """Take a step that must be durable before something is done; holds good only when the journal has it.

        An ``urgent`` one may be kept by the spool instead.

        Returns:
            Whether the table lists the step; nothing is written when it does not.

        Raises:
            StorageError: not written; the record is as before.
        """
        taken = step(standing.record, trigger, self._clock.market_now(), detail, **changes)
        if not taken.event.applied:
            return False
        event = self._stamped(taken.event, facts)
        try:
            await self._writer.commit(taken.record, (event,), urgent=urgent)
        except (WriterLost, JournalAway):
            raise  # nothing was tried
        except StorageError as error:
            # A write that timed out may have been made: the journal is told once more how the order really stands.
            said = refused_step(standing.record, trigger, taken.event.at, f"not done, the journal failed: {error}")
            await self._writer.owe(standing.record, (self._stamped(said),), error)
            raise
        self._replace(standing, taken.record, (event,))
        return True

    async def settle(
        self,
        standing: Standing,
        trigger: OrderTrigger,
        detail: str = "",
        *,
        facts: EventFacts = NO_FACTS,
        **changes: Any,  # noqa: ANN401 - fields of the record
    ) -> bool:
        """Take a step for something that has happened; the journal may follow later.

        Returns:
            Whether the table lists the step; when it does not, that is recorded once.
        """
        taken = step(standing.record, trigger, self._clock.market_now(), detail, **changes)
        if not taken.event.applied:
            await self._record_illegal(standing, self._stamped(taken.event, facts))
            return False
        await self.settle_steps(standing, (taken,), facts)
        return True

    async def commit_or_owe(self, standing: Standing, trigger: OrderTrigger, *, facts: EventFacts = NO_FACTS) -> bool:
        """Take a step that what follows does not wait for the journal to have: written now, or as soon as it can be.

        Returns:
            Whether the table lists the step.

        Raises:
            WriterLost: another engine writes for this account; the record is as before.
        """
        taken = step(standing.record, trigger, self._clock.market_now())
        if not taken.event.applied:
            return False
        event = self._stamped(taken.event, facts)
        failure: StorageError | None = None
        try:
            await self._writer.commit(taken.record, (event,), urgent=True)
        except WriterLost:
            raise
        except StorageError as error:
            failure = error
        self._replace(standing, taken.record, (event,))
        if failure is not None:
            # The very line that a write reported as failed may have made: it is not written twice.
            await self._writer.owe(taken.record, (event,), failure)
        return True

    async def settle_steps(self, standing: Standing, steps: Sequence[Step], facts: EventFacts = NO_FACTS) -> None:
        """Take several steps, worked out in a row from the present record, as one write."""
        if steps:
            events = tuple(self._stamped(taken.event, facts) for taken in steps)
            self._replace(standing, steps[-1].record, events)
            await self._writer.settle(standing.record, events)

    async def take_strategy(self, number: OrderNumber, strategy: StrategyNumber | None) -> None:
        """The journal knows an order under this strategy, and has written so."""
        standing = self._by_number.get(number)
        if standing is not None:
            async with standing.lock:
                request = msgspec.structs.replace(standing.record.request, strategy=strategy)
                self._replace(standing, msgspec.structs.replace(standing.record, request=request), ())

    async def write_again(self, numbers: Iterable[OrderNumber]) -> None:
        """Write how these orders stand once more.

        After a time without the journal, a write that was given up may have come later than the newest one.
        """
        for number in numbers:
            standing = self._by_number.get(number)
            if standing is not None:
                async with standing.lock:
                    await self._writer.settle(standing.record, ())

    async def amend(self, standing: Standing, **changes: Any) -> None:  # noqa: ANN401 - fields of the record
        """Change fields without a step: a fill that grew, a price the broker confirmed, new words."""
        record = msgspec.structs.replace(standing.record, updated_at=self._clock.market_now(), **changes)
        self._replace(standing, record, ())
        await self._writer.settle(record, ())

    async def record_said(self, standing: Standing, trigger: OrderTrigger, detail: str) -> bool:
        """Write down once that something was said of an order and is not applied; whether it was new."""
        event = refused_step(standing.record, trigger, self._clock.market_now(), detail)
        return await self._record_illegal(standing, self._stamped(event))

    async def adopt(self, record: OrderRecord, event: OrderEvent) -> Standing:
        """Take in an order from outside.

        Raises:
            StorageError: see ``OrderJournal.adopt``.
        """
        event = self._stamped(event)
        adopted = await self._writer.adopt(record, event)
        standing = self.insert(adopted)
        self._tell(adopted, (msgspec.structs.replace(event, number=adopted.number),))
        return standing

    async def load_adopted(self, account: AccountId, order_id: BrokerOrderId, since: datetime) -> Standing | None:
        """Take in an order that the journal has under this broker's id and memory does not.

        That happens when the write of an adoption was made and reported as failed.

        Raises:
            StorageError: the journal cannot be read.
        """
        for record in await self._journal.since(account, since):
            if record.broker_order_id == order_id:
                standing = self.insert(record)
                self._tell(record, ())
                return standing
        return None

    def _stamped(self, event: OrderEvent, facts: EventFacts = NO_FACTS) -> OrderEvent:
        """The line with this machine's time, by which durations and budgets are counted."""
        return msgspec.structs.replace(event, wall_at=self._clock.wall_now(), facts=facts)

    async def _record_illegal(self, standing: Standing, event: OrderEvent) -> bool:
        key = (event.from_state, event.trigger)
        if key in standing.illegal:
            return False
        standing.illegal.add(key)
        self._tell(standing.record, (event,))
        await self._writer.settle(standing.record, (event,))
        return True

    def _replace(self, standing: Standing, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        standing.record = record
        self._index(standing)
        self.revision += 1
        self._tell(record, events)

    def _index(self, standing: Standing) -> None:
        record = standing.record
        if record.broker_order_id is not None:
            self._by_broker_id.setdefault(record.broker_order_id, standing)
        if record.state.is_terminal:
            self._active.pop(record.number, None)
        else:
            self._active[record.number] = standing
