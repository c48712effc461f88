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
    Violation,
)
from engine.core.decisions import Reason
from engine.core.errors import InvariantBroken
from engine.core.events import EventKind
from engine.core.execution import ExecutionHealth
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, OrderState
from engine.core.ports import BrokerReads, Clock, OrderJournal, OrderRoad
from engine.execution.book_notices import BookNotices
from engine.execution.book_schedule import BookSchedule
from engine.execution.book_watcher import BookWatcher
from engine.execution.breaker import Endpoint
from engine.execution.facts import CheckContext, MarketFacts
from engine.execution.fills import FillCollector
from engine.execution.gate import OrderGate
from engine.execution.health import execution_health
from engine.execution.intake import PERSONAL, OrderIntake, refused
from engine.execution.journal_writer import JournalWriter
from engine.execution.lanes import Lane
from engine.execution.letters import DeadLetterDesk
from engine.execution.notices import ExecutionListener, FillListener, Health
from engine.execution.reconciliation import LedgerCheck, Reconciler, Reconciliation
from engine.execution.recovery import recover
from engine.execution.sending import SendingSide
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standing, Standings
from engine.execution.views import ExecutionView, blotter_order

T = TypeVar("T")

EXECUTOR = "executor"
"""By whom a command is decided that nobody gave."""
BROKEN = "invariant"


class OrderExecutor:
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
        ledger_check: Compares the ledger with the broker's trades in reconciliations.
        server_offset_s: Seconds the broker's clock is ahead of this machine's.
        server_uncertainty_s: How far that may be off, either way; ``None`` while nothing is known.
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
        ledger_check: LedgerCheck | None = None,
        server_offset_s: Callable[[], float] = lambda: 0.0,
        server_uncertainty_s: Callable[[], float | None] = lambda: 0.0,
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
        )
        self._sender = self._sending.sender
        orders, book = (self._sending.breakers[endpoint] for endpoint in (Endpoint.ORDERS, Endpoint.BOOK))
        self._fills = FillCollector(
            reads=reads,
            standings=self._standings,
            listener=fills,
            health=self._health,
            clock=clock,
            breaker=book,
        )
        self._watcher = BookWatcher(
            reads=reads,
            standings=self._standings,
            account=account,
            settings=settings,
            clock=clock,
            health=self._health,
            breaker=book,
            notices=BookNotices(notify),
            on_known=self._known_at_broker,
            on_growth=self._fills.want,
            on_outside=self._sending.count_outside,
        )
        self._reconciler = Reconciler(
            watcher=self._watcher, fills=self._fills, clock=clock, notify=notify, ledger_check=ledger_check
        )
        self._book = BookSchedule(
            watcher=self._watcher,
            fills=self._fills,
            reconciler=self._reconciler,
            standings=self._standings,
            breaker=book,
            settings=settings,
            clock=clock,
            after_read=self._sending.learn_clock,
        )
        self._stop = asyncio.Event()
        self._closed = False
        self._tasks: set[asyncio.Future[Any]] = set()
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
            breaker=orders,
        )
        self._intake = OrderIntake(
            account=account,
            gate=self._gate,
            journal=journal,
            writer=self._writer,
            standings=self._standings,
            queue=self._sending.queue,
            budget=self._sending.budget,
            sender=self._sender,
            settings=settings,
            clock=clock,
            random_bytes=random_bytes,
            is_closed=lambda: self._closed,
        )
        self._letters = DeadLetterDesk(intake=self._intake, standings=self._standings)

    # ---- life

    async def start(self) -> None:
        """Load the journal, close what was never sent, look for what may have been, and reconcile with the broker.

        A broker that cannot be reached does not keep the executor from starting: entries wait for the first good
        read of its book.

        Raises:
            StorageError: the journal cannot be read.
        """
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
        await self.reconcile()

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
        if not self._writer.lost:
            await self._writer.pay()

    # ---- commands

    async def place(
        self, command: PlaceOrder, *, seat: str = "", reason: Reason = PERSONAL, lane: Lane | None = None
    ) -> Receipt:
        """Journal one order and queue it; the same idempotency key never makes a second order.

        Args:
            command: The order.
            seat: Which terminal or script asked; empty for the engine itself.
            reason: What decided it, when no person did: kept with the order for good.
            lane: ``HEDGE`` for the leg that others wait for; never a better one than the order's effect on risk allows.
        """
        return await self._own(self._intake.place(command, seat=seat, reason=reason, lane=lane))

    async def modify(
        self, command: ModifyOrder, *, seat: str = "", reason: Reason = PERSONAL, lane: Lane = Lane.MODIFY
    ) -> Receipt:
        """Journal a change of a resting order and queue it; an exit's or a stop's goes in its own lane."""
        return await self._own(self._intake.modify(command, seat=seat, reason=reason, lane=lane))

    async def cancel(self, command: CancelOrders, *, seat: str = "", reason: Reason = PERSONAL) -> Receipt:
        """Cancel orders: those that wait are withdrawn, those that rest are asked for, unknown ones when found."""
        return await self._own(self._intake.cancel(command, seat=seat, reason=reason))

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

    # ---- pictures

    def orders(self) -> tuple[OrderRecord, ...]:
        """All orders in memory (the last two days, and older ones that are not finished), oldest first."""
        return self._standings.records()

    def order(self, number: OrderNumber) -> OrderRecord | None:
        """One order."""
        standing = self._standings.by_number(number)
        return None if standing is None else standing.record

    @property
    def revision(self) -> int:
        """Grows with every change of an order."""
        return self._standings.revision

    def snapshot(self) -> ExecutionView:
        """The executor now."""
        records = self._standings.records()
        return ExecutionView(
            revision=self._standings.revision,
            orders=blotter_order(records),
            unknown=sum(1 for record in records if record.state is OrderState.UNKNOWN),
            working=len(self._standings.active()),
            queued=len(self._sending.queue),
            on_wire=self._sender.on_wire,
            budget=self._sending.budget.gauge(),
            rate_limited=self._sending.budget.rate_limited,
            is_writer=not self._writer.lost,
            is_reconciled=self._book.is_reconciled,
            mismatches=self._reconciler.mismatches,
            degraded=self._health.sentences,
        )

    def health(self) -> ExecutionHealth:
        """Budgets, queue, breakers, latencies and dead letters now."""
        return execution_health(
            account=self.account,
            at=self._clock.market_now(),
            monotonic=self._clock.monotonic(),
            view=self.snapshot(),
            sending=self._sending,
            standings=self._standings,
        )

    def eta_s(self, lanes: Sequence[Lane] = (Lane.ENTRY,)) -> float:
        """Seconds until the last of so many new orders could leave behind all that waits; 0 at once."""
        return self._sending.eta_s(lanes)

    # ---- checks, shared with previews

    def check(self, request: OrderRequest) -> tuple[tuple[Violation, ...], tuple[str, ...], bool]:
        """What forbids an order now, what is worth knowing about it, and whether it adds risk."""
        found = self._gate.judge(request)
        return found.violations, found.notes, found.adds_risk

    def check_modification(self, command: ModifyOrder) -> tuple[Violation, ...]:
        """What forbids a modification now."""
        return self._gate.check_modification(command)

    def context(self, request: OrderRequest) -> CheckContext:
        """The figures an order is judged by now."""
        return self._gate.context(request)

    # ---- ownership

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
