"""The executor's pen: durable writes before the wire, and writes after it that are kept until they succeed.

Before the wire a write that fails stops the sending, unless it is urgent and there is a spool: then the spool keeps it,
durably, and the order goes on. After the wire the fact has happened whether or not it can be written: it stands in
memory and in the spool, is tried again in order, and the health says that the journal is behind. A journal that does
not answer within the limit is away. It is back when all that was kept meanwhile is in it and the broker's book has been
compared. A lost writer epoch ends all writing for good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from engine.core.errors import InvalidInput, StorageConflict, StorageError, StorageUnavailable, WriterLost
from engine.core.events import EventKind
from engine.core.execution import JournalView
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderTrigger
from engine.core.ports import Clock
from engine.core.repositories import OrderJournal, WriterLock
from engine.execution.arrears import Arrears
from engine.execution.intent_batches import IntentBatches, NewOrder
from engine.execution.journal_access import JournalAccess
from engine.execution.journal_merge import SpoolMerger, merge_left
from engine.execution.journal_return import SPOOL, JournalOwner, JournalReturn
from engine.execution.notices import Health
from engine.execution.number_stock import NumberStock
from engine.execution.settings import SpoolSettings
from engine.execution.spool import Spool
from engine.execution.transitions import step

logger = logging.getLogger(__name__)


class JournalWriter:
    """Writes under one epoch. ``open`` first, then ``run`` as a service, ``close`` at the end.

    Args:
        journal: The durable record.
        account: Whose orders.
        epoch: The writer epoch every write names.
        health: Where falling behind and losing the account are declared.
        clock: For the pause between attempts.
        retry_s: That pause.
        on_lost: Called once when another engine has become the writer.
        spool: Keeps what is urgent while the journal is away; ``None``: nothing is sent then.
        settings: Of the spool.
        lock: Kept, and taken again when the database was restarted; ``None``: nobody looks after it here.
        owner: Of the orders; compares with the broker when the journal is back.
    """

    def __init__(
        self,
        journal: OrderJournal,
        *,
        account: AccountId,
        epoch: int,
        health: Health,
        clock: Clock,
        retry_s: float,
        on_lost: Callable[[], None],
        spool: Spool | None,
        settings: SpoolSettings,
        lock: WriterLock | None,
        owner: JournalOwner,
    ) -> None:
        self._journal = journal
        self._account = account
        self._epoch = epoch
        self._health = health
        self._clock = clock
        self._retry_s = retry_s
        self._on_lost = on_lost
        self._spool = spool
        self._watch_s = settings.lock_watch_s if spool is not None and lock is not None else None
        self._access = JournalAccess(
            account, clock=clock, health=health, spool=spool, limit_s=settings.after_s, on_lost=self._lose
        )
        self._numbers = NumberStock(0 if spool is None else settings.numbers_kept)
        self._arrears = Arrears(spool, self._access.patience)
        self._merger = SpoolMerger(journal, account, epoch, lambda words: health.say(words, EventKind.ORDER))
        self._return: JournalReturn | None = None
        if spool is not None:
            self._return = JournalReturn(
                journal,
                access=self._access,
                arrears=self._arrears,
                merger=self._merger,
                spool=spool,
                lock=lock,
                epoch=epoch,
                health=health,
                owner=owner,
            )
        self._batches = IntentBatches(self._write_new)
        self._turn = asyncio.Lock()
        self._returning = asyncio.Lock()

    @property
    def lost(self) -> bool:
        """Another engine is the writer; nothing is written any more."""
        return self._access.lost

    def is_away(self) -> bool:
        """What is urgent goes to the spool, and nothing else goes anywhere."""
        return self._access.why_away() is not None

    @property
    def is_behind(self) -> bool:
        """Facts stand in memory that the journal does not have, or it has not been compared since it was back."""
        return bool(self._arrears) or self.is_away() or self._access.is_unproved

    @property
    def may_be_late(self) -> bool:
        """A write that was given up may still be made."""
        return self._access.patience.has_late

    @property
    def spooled(self) -> int:
        """Orders the spool holds something of."""
        return 0 if self._spool is None else self._spool.orders

    def view(self) -> JournalView:
        """For screens and scripts."""
        why = self._access.why_away()
        return JournalView(
            account=self._account,
            away_since=self._access.away_since,
            why="" if why is None else str(why).rstrip("."),
            is_behind=self.is_behind,
            spooled=self.spooled,
        )

    # ---- life

    async def open(self) -> None:
        """Bring what an earlier engine left in the spool into the journal, and reserve numbers.

        Raises:
            SpoolUnusable: the spool cannot be used, or another engine has it.
            StorageError: the journal does not take what is left; it stays in the spool.
        """
        if self._spool is None:
            return
        contents = await self._spool.open()
        if await merge_left(contents, self._merger, self._clock, self._health):
            await self._spool.clear()
        await self._top_up()

    async def close(self) -> None:
        """Write what is owed and give the numbers back, if that is possible now, and let go of the spool."""
        if not self.lost and await self.pay():
            await self._give_numbers_back()
        await self.let_go()

    async def let_go(self) -> None:
        """Wait for nothing more, and leave the spool to the next engine as it is."""
        await self._access.patience.end()
        if self._spool is not None:
            await self._spool.close()

    async def run(self) -> None:
        """Write what is owed, keep the lock and the numbers, for ever."""
        while not self.lost:
            if self.is_behind:
                await self._clock.sleep(self._retry_s)
                await self.recover()
                continue
            self._access.wakeup.clear()
            await self._top_up()
            if not await self._access.wakeup.wait(self._watch_s):
                await self._keep_lock()

    async def recover(self) -> bool:
        """Try once to be up to date: everything owed is written and the broker's book compared; whether it is so."""
        if not await self.pay():
            return False
        async with self._returning:
            return self._return is None or not self._access.is_unproved or await self._return.prove()

    async def pay(self) -> bool:
        """Try once to write everything owed; whether nothing is owed any more."""
        async with self._returning:
            if self._return is None:
                return await self._pay_owed()
            return not self.is_away() or await self._return.merge()

    # ---- reading and writing

    async def by_key(self, key: str) -> OrderRecord | None:
        """The order a key made, as the journal has it.

        Raises:
            StorageError: it cannot be read.
        """
        self._access.must_be_there()
        return await self._access.ask(self._journal.by_idempotency_key(self._account, key))

    async def begin(self, order: NewOrder) -> OrderRecord:
        """Keep a new order; returning means that the journal has it, or, when it is urgent, the spool.

        What is given back tells how it stands there: SENDING when it was to leave and that is written too.

        Raises:
            StorageConflict: a tag or key is there already.
            InvalidInput: the journal does not take such an order; its strategy, for example, is not known.
            StorageError: nothing is known to have been written.
        """
        self._access.must_be_writer()
        if not order.urgent:
            self._access.must_be_there()
        while True:
            if not self.is_away():
                try:
                    return await self._batches.add(order)
                except (StorageConflict, InvalidInput, WriterLost):
                    raise
                except StorageError:
                    if not order.urgent or not self.is_away():
                        raise
            if order.number is None and not order.may_be_written:
                order.number = next(iter(self._numbers.take(1)), None)
            if order.number is None:
                raise StorageUnavailable("the journal is away and no reserved order number is left")
            async with self._access.spooling:
                if self.is_away():
                    return await self._spool_new(order.number, order)

    async def adopt(self, record: OrderRecord, event: OrderEvent) -> OrderRecord:
        """Take in an order from outside.

        Raises:
            StorageConflict: it is known already.
            StorageError: it was not written.
        """
        self._access.must_be_writer()
        self._access.must_be_there()
        numbers = self._numbers.take(1)
        if numbers:
            record = msgspec.structs.replace(record, number=numbers[0])
        try:
            adopted = await self._access.ask(self._journal.adopt(record, event, epoch=self._epoch))
        except (StorageConflict, InvalidInput):
            self._numbers.give_back(numbers)
            raise
        self._look_at_stock()
        return adopted

    async def commit(self, record: OrderRecord, events: Sequence[OrderEvent], *, urgent: bool = False) -> None:
        """Write before the wire: returning means kept for good, together with all that was owed for this order.

        Raises:
            JournalAway: nothing was tried; the caller must not send.
            StorageError: it was not written; the caller must not send.
        """
        self._access.must_be_writer()
        while True:
            if not urgent:
                self._access.must_be_there()
            async with self._access.spooling:
                if self.is_away():
                    await self._arrears.keep(record, events)
                    self._access.declare()
                    return
            async with self._turn:
                if self.is_away():
                    continue
                try:
                    await self._write(record, events)
                except WriterLost:
                    raise
                except StorageError as error:
                    self._access.go_away(error)
                    if not urgent or not self.is_away():
                        raise
                else:
                    return

    async def settle(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        """Write what has happened already; kept and tried again when it cannot be written now."""
        async with self._turn:
            while not self.lost and not await self._note(record, events):
                try:
                    await self._write(record, events)
                except WriterLost:
                    return
                except asyncio.CancelledError:
                    self._fall_behind(StorageUnavailable("a write was cut off"), record, events)
                    raise
                except StorageError as error:
                    if self._spool is None:
                        self._fall_behind(error, record, events)
                        return
                    self._access.go_away(error)
                else:
                    return

    async def owe(self, record: OrderRecord, events: Sequence[OrderEvent], error: StorageError) -> None:
        """Keep a write that has failed with ``error`` already, to be tried again."""
        async with self._turn:
            self._access.go_away(error)
            if not await self._note(record, events):
                self._fall_behind(error, record, events)

    # ---- inside

    async def _write_new(self, orders: Sequence[NewOrder]) -> tuple[OrderRecord, ...]:
        numbers = self._reserved(orders)
        work = self._journal.record_intents(
            [order.intent for order in orders],
            epoch=self._epoch,
            numbers=numbers,
            leaving={order.intent.intent_id for order in orders if order.leaves},
        )
        try:
            records = await self._access.ask(work)
        except (StorageConflict, InvalidInput):
            fresh = [order for order in orders if not order.may_be_written and order.number is not None]
            self._numbers.give_back([order.number for order in fresh if order.number is not None])
            for order in fresh:
                order.number = None
            raise
        except StorageError:
            for order in orders:
                order.may_be_written = True
            raise
        self._look_at_stock()
        return records

    def _reserved(self, orders: Sequence[NewOrder]) -> tuple[OrderNumber, ...]:
        """Their numbers, or none when there are too few: then the journal gives them, and nobody knows them before."""
        fresh = [order for order in orders if order.number is None]
        for order, number in zip(fresh, self._numbers.take(len(fresh)), strict=False):
            order.number = number
        numbers = tuple(order.number for order in orders if order.number is not None)
        return numbers if len(numbers) == len(orders) else ()

    async def _spool_new(self, number: OrderNumber, order: NewOrder) -> OrderRecord:
        (record,) = await self._arrears.begin(((number, order.intent),))
        self._access.declare()
        if not order.leaves:
            return record
        sent = step(record, OrderTrigger.SEND, record.created_at, sent_at=record.created_at)
        # The very line that the journal may have, should it have taken the order without saying so.
        line = msgspec.structs.replace(sent.event, wall_at=order.intent.wall_at)
        try:
            await self._arrears.keep(sent.record, (line,))
        except StorageError as error:
            logger.warning("o%s is kept and waits, the spool does not take that it leaves: %s", number, error)
            return record
        return sent.record

    async def _write(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        owed = self._arrears.of(record.number)
        if owed is None:
            work = self._journal.record_change(record, events, epoch=self._epoch)
        else:
            # A write that was reported as failed may have been made: no line of its history is written twice.
            work = self._journal.merge(owed.intent, record, (*owed.events, *events), epoch=self._epoch)
        try:
            await self._access.patience.ask(work)
        except WriterLost:
            self._access.lose()
            raise
        except (StorageConflict, InvalidInput) as error:
            # A change of an order that is ours cannot be refused; if it is, its row is not the one we know.
            raise StorageError(f"o{record.number} stands differently in the journal: {error}") from error
        if owed is not None:
            self._arrears.paid(owed)

    async def _pay_owed(self) -> bool:
        async with self._turn:
            for order in self._arrears.entries():
                try:
                    await self._write(order.record, ())
                except WriterLost:
                    return False
                except StorageError as error:
                    number, lines = order.record.number, len(order.events)
                    logger.warning("the journal still refuses o%s (%d lines owed): %s", number, lines, error)
            if self._arrears:
                return False
        self._arrears.touched.clear()
        self._access.proved()
        return True

    async def _note(self, record: OrderRecord, events: Sequence[OrderEvent]) -> bool:
        """Keep what has happened while it cannot be written; ``False`` when it can."""
        async with self._access.spooling:
            if not self.is_away() and (self._spool is not None or not self._arrears):
                return False
            error = await self._arrears.note(record, events)
        if error is not None:
            logger.warning("the news of o%s stands in memory alone: %s", record.number, error)
            self._health.declare(SPOOL, f"The spool takes nothing more ({error}).", EventKind.STORAGE)
        self._access.declare()
        return True

    def _fall_behind(self, error: StorageError, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        self._access.go_away(error)
        self._arrears.owe(record, events)
        self._access.declare(error)

    def _look_at_stock(self) -> None:
        if self._numbers.is_low:
            self._access.wakeup.set()

    async def _top_up(self) -> None:
        if not self._numbers.is_low:
            return
        work = self._journal.reserve_numbers(self._account, self._numbers.kept, epoch=self._epoch)
        try:
            self._numbers.add(await self._access.patience.ask(work))
        except WriterLost:
            self._access.lose()
        except StorageError as error:
            logger.warning("no order numbers could be reserved: %s", error)

    async def _give_numbers_back(self) -> None:
        numbers = self._numbers.take_all()
        if not numbers:
            return
        work = self._journal.give_back_numbers(self._account, numbers, epoch=self._epoch)
        try:
            await self._access.patience.ask(work)
        except WriterLost:
            self._access.lose()
        except StorageError as error:
            logger.info("%d order numbers are not used: %s", len(numbers), error)

    async def _keep_lock(self) -> None:
        if self._return is not None and not await self._return.keep_lock() and not self.lost:
            await self._return.keep_lock()  # its connection was lost, and is made again

    def _lose(self) -> None:
        self._arrears.forget()
        self._on_lost()
