"""The order executor of one account: journal, then wire, then journal; unknown outcomes are looked up, never repeated.

Crash-only: ``start`` after a kill is ``start``. Nothing else in the program holds the order road.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from engine.core.commands import CancelOrders, ModifyOrder, PlaceOrder, Receipt, Violation
from engine.core.errors import InvariantBroken
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.ports import BrokerReads, Clock, OrderJournal, OrderRoad
from engine.execution.book_watcher import BookReading, BookWatcher
from engine.execution.budgets import OrderBudget
from engine.execution.days import exchange_day
from engine.execution.facts import CheckContext, MarketFacts
from engine.execution.fills import FillCollector
from engine.execution.gate import OrderGate
from engine.execution.intake import OrderIntake, refused
from engine.execution.journal_writer import JournalWriter
from engine.execution.notices import ExecutionListener, FillListener, Health
from engine.execution.queue import OrderQueue
from engine.execution.reconciliation import LedgerCheck, Reconciler, Reconciliation
from engine.execution.recovery import recover
from engine.execution.sender import OrderSender
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standing, Standings
from engine.execution.views import ExecutionView, blotter_order
from engine.execution.waiting import Wakeup

T = TypeVar("T")

MINUTE = timedelta(minutes=1)
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
        self._standings = Standings(self._writer, journal, clock, listener.on_order)
        self._queue = OrderQueue(settings.queue_capacity, settings.queue_reserve)
        self._budget = OrderBudget(settings.budget, lambda: clock.wall_now().timestamp() + server_offset_s())
        self._sender = OrderSender(
            road=road,
            standings=self._standings,
            queue=self._queue,
            budget=self._budget,
            settings=settings,
            clock=clock,
            health=self._health,
            notify=notify,
            want_book=self.on_order_update,
            on_known=self._known_at_broker,
        )
        self._fills = FillCollector(
            reads=reads, standings=self._standings, listener=fills, health=self._health, clock=clock
        )
        self._watcher = BookWatcher(
            reads=reads,
            standings=self._standings,
            account=account,
            settings=settings,
            clock=clock,
            health=self._health,
            notify=notify,
            on_known=self._known_at_broker,
            on_growth=self._fills.want,
        )
        self._reconciler = Reconciler(
            watcher=self._watcher, fills=self._fills, clock=clock, notify=notify, ledger_check=ledger_check
        )
        self._book_wakeup = Wakeup(clock)
        self._reconcile_due = 0.0
        self._last_read = float("-inf")
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
            is_reconciled=lambda: self._is_reconciled,
            is_closed=lambda: self._closed,
            unbooked=self._fills.unbooked,
        )
        self._intake = OrderIntake(
            account=account,
            gate=self._gate,
            journal=journal,
            writer=self._writer,
            standings=self._standings,
            queue=self._queue,
            sender=self._sender,
            settings=settings,
            clock=clock,
            random_bytes=random_bytes,
            is_closed=lambda: self._closed,
        )

    # ---- life

    async def start(self) -> None:
        """Load the journal, close what was never sent, look for what may have been, and reconcile with the broker.

        A broker that cannot be reached does not keep the executor from starting: entries wait for the first good
        read of its book.

        Raises:
            StorageError: the journal cannot be read.
        """
        since = self._clock.market_now() - timedelta(seconds=self._settings.history_s)
        loaded = [*await self._journal.working(self.account), *await self._journal.since(self.account, since)]
        for record in sorted(loaded, key=lambda record: record.number):
            self._standings.insert(record)
        await recover(self._standings, self._journal, self._settings, self._clock)
        self._budget.skip_this_second()
        await self.reconcile()

    async def run(self) -> None:
        """Send, follow the book and write what is owed, until ``stop``.

        Raises:
            InvariantBroken: a state that must not exist; nothing more is sent.
        """
        services = (self._sender.run, self._follow_book, self._writer.run, self._sender.raise_failure, self._stop.wait)
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

    async def place(self, command: PlaceOrder, *, seat: str = "") -> Receipt:
        """Journal one order and queue it; the same idempotency key never makes a second order."""
        return await self._own(self._intake.place(command, seat=seat))

    async def modify(self, command: ModifyOrder, *, seat: str = "") -> Receipt:
        """Journal a change of a resting order and queue it."""
        return await self._own(self._intake.modify(command, seat=seat))

    async def cancel(self, command: CancelOrders, *, seat: str = "") -> Receipt:
        """Cancel orders: those that wait are withdrawn, those that rest are asked for, unknown ones when found."""
        return await self._own(self._intake.cancel(command, seat=seat))

    async def resolve(self, number: OrderNumber) -> Receipt:
        """Look at the broker's book now for one order."""
        standing = self._standings.by_number(number)
        if standing is None:
            return refused("order", f"There is no o{number}.")
        reading = await self._own(self._read_now())
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
        return await self._own(self._reconcile())

    def on_order_update(self, hint: object = None) -> None:
        """Something has happened to some order: read the book soon, at most once per spacing."""
        self._book_wakeup.set()

    def on_reconnect(self) -> None:
        """The path to the broker was interrupted: reconcile soon."""
        self._reconcile_due = self._clock.monotonic()
        self._book_wakeup.set()

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
            queued=len(self._queue),
            on_wire=self._sender.on_wire,
            budget=self._budget.gauge(),
            rate_limited=self._budget.rate_limited,
            is_writer=not self._writer.lost,
            is_reconciled=self._is_reconciled,
            mismatches=self._reconciler.mismatches,
            degraded=self._health.sentences,
        )

    # ---- checks, shared with previews

    def check(self, request: OrderRequest) -> tuple[tuple[Violation, ...], tuple[str, ...], bool]:
        """What forbids an order now, what is worth knowing about it, and whether it adds risk."""
        return self._gate.check(request)

    def check_modification(self, command: ModifyOrder) -> tuple[Violation, ...]:
        """What forbids a modification now."""
        return self._gate.check_modification(command)

    def context(self, request: OrderRequest) -> CheckContext:
        """The figures an order is judged by now."""
        return self._gate.context(request)

    # ---- the book

    @property
    def _is_reconciled(self) -> bool:
        return self._watcher.good_reads > 0

    async def _follow_book(self) -> None:
        while True:
            self._book_wakeup.clear()
            delay = self._last_read + self._interval() - self._clock.monotonic()
            if delay > 0:
                await self._book_wakeup.wait(delay)
            spacing = self._last_read + self._settings.book_spacing_s - self._clock.monotonic()
            if spacing > 0:
                await self._clock.sleep(spacing)
            if self._clock.monotonic() >= self._reconcile_due:
                await self._reconcile()
            else:
                await self._read_now()
            await self._intake.close_uncertain()

    def _interval(self) -> float:
        active = self._standings.active()
        open_questions = self._fills.is_due or not self._is_reconciled
        if open_questions or any(standing.is_open_question for standing in active):
            return self._settings.book_fast_s
        return self._settings.book_working_s if active else self._settings.book_idle_s

    async def _read_now(self) -> BookReading | None:
        reading = await self._watcher.read()
        if reading is not None and self._fills.is_due:
            await self._fills.collect(frozenset(reading.rows))
        self._last_read = self._clock.monotonic()
        return reading

    async def _reconcile(self) -> Reconciliation:
        was_reconciled = self._is_reconciled
        result = await self._reconciler.reconcile()
        now = self._clock.monotonic()
        self._last_read = now
        self._reconcile_due = now + (self._settings.reconcile_s if result.complete else self._settings.book_fast_s)
        if not was_reconciled and self._is_reconciled:
            self._learn_budget()
        return result

    def _learn_budget(self) -> None:
        now = self._clock.market_now()
        today = [record for record in self.orders() if exchange_day(record.created_at) == exchange_day(now)]
        sent = [record for record in today if record.broker_order_id is not None or record.sent_at is not None]
        self._budget.count_earlier(
            today=len(sent), last_minute=sum(1 for record in sent if record.created_at > now - MINUTE)
        )

    # ---- ownership

    def _writer_lost(self) -> None:
        self._sender.close()

    def _known_at_broker(self, standing: Standing) -> None:
        if standing.cancel_wished and not self._closed:
            self._keep(asyncio.ensure_future(self._intake.cancel_one(standing, seat="")))

    def _keep(self, task: asyncio.Future[T]) -> asyncio.Future[T]:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _own(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it in a task of ours: a caller that goes away does not leave an order half journalled."""
        return await asyncio.shield(self._keep(asyncio.ensure_future(work)))
