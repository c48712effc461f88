"""The order executor of one account: journal, then wire, then journal; unknown outcomes are looked up, never repeated.

Crash-only: ``start`` after a kill is ``start``. Nothing else in the program holds the order road.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from engine.core.commands import (
    CancelOrders,
    CloseDeadLetter,
    ModifyOrder,
    PlaceOrder,
    Receipt,
    ReplayDeadLetter,
)
from engine.core.decisions import Reason
from engine.core.errors import InvariantBroken
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, OrderState
from engine.core.ports import BrokerReads, Clock, OrderRoad
from engine.core.repositories import InstructionJournal, OrderJournal, UpkeepRepository, WriterLock
from engine.execution.book_side import BookSide
from engine.execution.breaker import Endpoint
from engine.execution.coming import ComingOrders
from engine.execution.conversion_desk import Convert
from engine.execution.entries import EntryDesk, WithdrawnEntries
from engine.execution.executor_pictures import ExecutorPictures
from engine.execution.facts import MarketFacts
from engine.execution.gate import OrderGate
from engine.execution.instruction_side import InstructionSide, not_booked
from engine.execution.intake import PERSONAL, OrderIntake, refused
from engine.execution.journal_writer import JournalWriter
from engine.execution.lanes import Lane
from engine.execution.letters import DeadLetterDesk
from engine.execution.locks_book import LockBook
from engine.execution.notices import ExecutionListener, FillListener, Health
from engine.execution.reconciliation import Compare, Reconciliation
from engine.execution.recovery import recover
from engine.execution.sending import SendingSide
from engine.execution.settings import ExecutionSettings
from engine.execution.spool import Spool
from engine.execution.standings import Standing, Standings

T = TypeVar("T")

EXECUTOR = "executor"
"""By whom a command is decided that nobody gave."""
BROKEN = "invariant"


class OrderExecutor(ExecutorPictures):
    """Takes commands, sends them once, and knows how every order stands.

    ``start`` first, then ``run`` as a service, ``stop`` at the end. The command methods return when the command is
    journalled and under way; a refusal is an answer, not an exception.

    Args:
        account: Whose orders.
        road: The broker's order endpoints; nobody else may hold them.
        reads: The broker's reading endpoints.
        journal: The durable record of orders.
        facts: Market, positions and mode, for the checks.
        clock: Time.
        random_bytes: Source of tags and ids, for example ``secrets.token_bytes``.
        settings: Limits and intervals.
        listener: Told of changed orders and notices.
        fills: Books fills.
        epoch: The writer epoch of this engine.
        allocated: Signed units that an order's strategy holds of its contract and product; ``None`` while not known.
        checks: What reconciliations compare beside orders and fills: the ledger's positions, standing triggers.
        upkeep: Where differences are kept; ``None`` keeps them in memory.
        server_offset_s: Seconds the broker's clock is ahead of this machine's.
        server_uncertainty_s: How far that may be off, either way; ``None`` while nothing is known.
        spool: Keeps exits and cancellations while the journal is away; ``None``: then nothing is sent.
        writer_lock: Kept, and taken again after a restart of the database, when there is a spool.
        locks: What keeps new risk out; ``None``: nothing does.
        instructions: The durable record of triggers and conversions; ``None``: there are none.
        on_converted: Books a conversion that is done, once however often it is told.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        road: OrderRoad,
        reads: BrokerReads,
        journal: OrderJournal,
        facts: MarketFacts,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        settings: ExecutionSettings,
        listener: ExecutionListener,
        fills: FillListener,
        epoch: int,
        allocated: Callable[[OrderRequest], int | None] = lambda _: None,
        checks: Sequence[Compare] = (),
        upkeep: UpkeepRepository | None = None,
        server_offset_s: Callable[[], float] = lambda: 0.0,
        server_uncertainty_s: Callable[[], float | None] = lambda: 0.0,
        spool: Spool | None = None,
        writer_lock: WriterLock | None = None,
        locks: LockBook | None = None,
        instructions: InstructionJournal | None = None,
        on_converted: Convert = not_booked,
    ) -> None:
        self.account = account
        self._journal = journal
        self._clock = clock
        self._settings = settings
        notify = listener.on_notice
        self._health = Health(notify)
        self._writer = JournalWriter(
            journal,
            epoch=epoch,
            health=self._health,
            clock=clock,
            retry_s=settings.journal_retry_s,
            on_lost=self._writer_lost,
            account=account,
            spool=spool,
            settings=settings.spool,
            lock=writer_lock,
            owner=self,
        )
        self._on_order = listener.on_order
        self._standings = Standings(self._writer, journal, clock, self._changed)
        self._sending = SendingSide(
            account=account,
            road=road,
            journal=journal,
            standings=self._standings,
            health=self._health,
            settings=settings,
            clock=clock,
            notify=notify,
            want_book=self.on_order_update,
            on_known=self._known_at_broker,
            server_offset_s=server_offset_s,
            server_uncertainty_s=server_uncertainty_s,
            locks=locks,
        )
        self._sender = self._sending.sender
        side = BookSide(
            account,
            reads=reads,
            standings=self._standings,
            sending=self._sending,
            settings=settings,
            clock=clock,
            health=self._health,
            notify=notify,
            fills=fills,
            on_known=self._known_at_broker,
            checks=checks,
            upkeep=upkeep,
            epoch=epoch,
            limit_s=None if spool is None else settings.spool.after_s,
        )
        self._fills, self._book, self.mismatches = side.fills, side.schedule, side.mismatches
        self._reconciler, self._upkeep_patience = side.reconciler, side.upkeep_patience
        self._stop = asyncio.Event()
        self._closed = False
        self._tasks: set[asyncio.Future[Any]] = set()
        coming = ComingOrders()
        self._gate = OrderGate(
            facts=facts,
            standings=self._standings,
            limits=settings.checks,
            writer=self._writer,
            health=self._health,
            clock=clock,
            is_reconciled=lambda: self._book.is_reconciled,
            is_closed=lambda: self._closed,
            unbooked=self._fills.unbooked,
            budget=self._sending.budget,
            breaker=self._sending.breakers[Endpoint.ORDERS],
            locks=locks,
            allocated=allocated,
            coming=coming,
        )
        self._intake = OrderIntake(
            account=account,
            gate=self._gate,
            writer=self._writer,
            standings=self._standings,
            coming=coming,
            queue=self._sending.queue,
            budget=self._sending.budget,
            sender=self._sender,
            settings=settings,
            clock=clock,
            random_bytes=random_bytes,
            is_closed=lambda: self._closed,
        )
        self._entries = EntryDesk(
            gate=self._gate, standings=self._standings, sender=self._sender, cancel_one=self._intake.cancel_one
        )
        self.instructions: InstructionSide | None = None
        """Triggers and conversions."""
        if instructions is not None:
            self.instructions = InstructionSide(
                account,
                journal=instructions,
                epoch=epoch,
                road=road,
                reads=reads,
                gate=self._gate,
                facts=facts,
                breaker=self._sending.breakers[Endpoint.TRIGGERS],
                health=self._health,
                notify=notify,
                clock=clock,
                settings=settings,
                random_bytes=random_bytes,
                is_closed=lambda: self._closed,
                on_converted=on_converted,
                last_look=lambda is_entry: (
                    None if locks is None else locks.last_look(is_entry=is_entry, epoch=locks.epoch)
                ),
            )
        self._letters = DeadLetterDesk(intake=self._intake, standings=self._standings)

    async def start(self) -> None:
        """Load the journal, close what was never sent, look for what may have been, and reconcile with the broker.

        A broker that cannot be reached does not keep the executor from starting: entries wait for the first good
        read of its book.

        Raises:
            StorageError: the journal cannot be read, or does not take what an earlier engine left in the spool.
        """
        try:
            await self._writer.open()
            await self._load()
        except BaseException:
            # However a start ends, cancelled too: the spool it has taken must be free for the next one.
            await self._writer.let_go()
            raise
        await self.reconcile()

    async def _load(self) -> None:
        since = self._clock.market_now() - timedelta(seconds=self._settings.history_s)
        loaded = [
            *await self._journal.working(self.account),
            *await self._journal.since(self.account, since),
            *await self._journal.dead_letters(self.account, self._settings.dead_letters_max),
        ]
        for record in sorted(loaded, key=lambda record: record.number):
            self._standings.insert(record)
        await recover(self._standings, self._journal, self._settings, self._clock)
        await self._sending.restore()
        if self.instructions is not None:
            await self.instructions.load()
        await self.mismatches.load()

    async def run(self) -> None:
        """Send, follow the book and write what is owed, until ``stop``.

        Raises:
            InvariantBroken: a state that must not exist; nothing more is sent.
        """
        services = (
            self._sender.run,
            partial(self._book.run, self._intake.close_uncertain),
            self._writer.run,
            self._sender.raise_failure,
            self._stop.wait,
            *(() if self.instructions is None else (self.instructions.run,)),
        )
        pending = {asyncio.ensure_future(service()) for service in services}
        try:
            while not self._stop.is_set():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        except InvariantBroken as error:
            self._closed = True
            self._sender.close()
            self._health.declare(BROKEN, f"The executor has stopped: {error}.", EventKind.SYSTEM)
            raise
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def stop(self) -> None:
        """End: answers that are out are waited for, what was never sent is closed, what is owed is written."""
        self._closed = True
        self._stop.set()
        self._sender.close()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._sender.finish(self._settings.stop_timeout_s)
        if self.instructions is not None:
            await self.instructions.stop()
        for ending in (self._fills.end, self._upkeep_patience.end, self._writer.close):
            await ending()

    async def place(
        self,
        command: PlaceOrder,
        *,
        seat: str = "",
        reason: Reason = PERSONAL,
        lane: Lane | None = None,
        instead_of: OrderNumber | None = None,
    ) -> Receipt:
        """Journal one order and queue it; the same idempotency key never makes a second order.

        Args:
            command: The order.
            seat: Which terminal or script asked; empty for the engine itself.
            reason: What decided it, when no person did: kept with the order for good.
            lane: ``HEDGE`` for the leg that others wait for; never a better one than the order's effect on risk allows.
            instead_of: The guard that is cancelled once this one rests: judged as if that one were gone.
        """
        placing = self._intake.place(command, seat=seat, reason=reason, lane=lane, instead_of=instead_of)
        return await self._own(placing)

    async def modify(
        self, command: ModifyOrder, *, seat: str = "", reason: Reason = PERSONAL, lane: Lane = Lane.MODIFY
    ) -> Receipt:
        """Journal a change of a resting order and queue it; an exit's or a stop's goes in its own lane."""
        return await self._own(self._intake.modify(command, seat=seat, reason=reason, lane=lane))

    async def cancel(self, command: CancelOrders, *, seat: str = "", reason: Reason = PERSONAL) -> Receipt:
        """Cancel orders: those that wait are withdrawn, those that rest are asked for, unknown ones when found."""
        return await self._own(self._intake.cancel(command, seat=seat, reason=reason))

    async def withdraw_entries(self, *, seat: str = "", reason: Reason = PERSONAL) -> WithdrawnEntries:
        """Drop entries that wait to be sent and cancel those that rest; exits, stops and guards stay as they are."""
        return await self._own(self._entries.withdraw(seat=seat, reason=reason))

    async def drop_waiting(self, reason: str) -> tuple[OrderNumber, ...]:
        """Close everything that waits to be sent, exits too; returns the orders that were dropped."""
        return await self._own(self._sender.drop(lambda _: True, reason))

    async def replay(self, command: ReplayDeadLetter, *, seat: str = "") -> Receipt:
        """Send orders that were given up again, each as a new order; twice makes no second one."""
        return await self._own(self._letters.replay(command, seat=seat))

    async def close_letters(self, command: CloseDeadLetter, *, seat: str = "") -> Receipt:
        """Want nothing more of orders that were given up."""
        return await self._own(self._letters.close(command, seat=seat))

    async def resolve(self, number: OrderNumber) -> Receipt:
        """Look at the broker's book now for one order."""
        standing = self._standings.by_number(number)
        if standing is None:
            return refused("order", f"There is no o{number}.")
        reading = await self._own(self._book.read_now())
        record = standing.record
        if reading is None:
            return Receipt(accepted=False, message="The broker's book cannot be read now.", orders=(record,))
        words = {
            OrderState.UNKNOWN: "is not in the broker's book; it is looked for until the window is over",
            OrderState.PRESUMED_ABSENT: "is still not in the broker's book",
        }.get(record.state, f"is {record.state}")
        return Receipt(accepted=True, message=f"o{number} {words}.", orders=(record,))

    async def reconcile(self) -> Reconciliation:
        """Compare orders, fills and the ledger with the broker now."""
        return await self._own(self._book.reconcile())

    def on_order_update(self, hint: object = None) -> None:
        """Something has happened to some order: read the book soon, at most once per spacing."""
        self._book.read_soon()

    def on_reconnect(self) -> None:
        """The path to the broker was interrupted: reconcile soon."""
        self._book.reconcile_soon()

    async def compare_with_broker(self, numbers: frozenset[OrderNumber]) -> bool:
        """The journal is back and has everything: compare, and write these orders once more; whether that was done."""
        found = await self._book.reconcile()
        if found.complete:
            await self._standings.write_again(numbers)
        return found.complete

    async def put_right(self, record: OrderRecord) -> None:
        """The journal had to write an order with another strategy."""
        await self._standings.take_strategy(record.number, record.request.strategy)

    def _writer_lost(self) -> None:
        self._sender.close()

    def _known_at_broker(self, standing: Standing) -> None:
        if standing.cancel_wished and not self._closed:
            wished = Reason(by=EXECUTOR, words="its cancellation was asked for before the broker's id was known")
            self._keep(asyncio.ensure_future(self._intake.cancel_one(standing, seat="", reason=wished)))

    def _changed(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        self._sending.note_fill(record, events)
        self._on_order(record, events)

    def _keep(self, task: asyncio.Future[T]) -> asyncio.Future[T]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _own(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it in a task of ours: a caller that goes away does not leave an order half journalled."""
        return await asyncio.shield(self._keep(asyncio.ensure_future(work)))
