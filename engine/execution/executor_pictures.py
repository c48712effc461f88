"""What an executor shows and judges: its orders, its health, and what would forbid another. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.commands import ModifyOrder, Violation
from engine.core.decisions import PERSON
from engine.core.execution import ExecutionHealth
from engine.core.identifiers import AccountId, BrokerOrderId, OrderNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState, Trade
from engine.core.ports import Clock
from engine.core.views import BudgetGauge
from engine.execution.book_schedule import BookSchedule
from engine.execution.facts import ENGINE_SEAT, CheckContext, HeldPosition
from engine.execution.fills import FillCollector
from engine.execution.gate import OrderGate
from engine.execution.health import execution_health
from engine.execution.journal_writer import JournalWriter
from engine.execution.lanes import Lane
from engine.execution.notices import Health
from engine.execution.reconciliation import Reconciler
from engine.execution.sending import SendingSide
from engine.execution.standings import Standings
from engine.execution.views import ExecutionView, blotter_order


class ExecutorPictures:
    """The executor as it is looked at. Its parts are made by ``OrderExecutor``, which is the only kind there is."""

    account: AccountId
    _clock: Clock
    _health: Health
    _writer: JournalWriter
    _standings: Standings
    _sending: SendingSide
    _fills: FillCollector
    _book: BookSchedule
    _reconciler: Reconciler
    _gate: OrderGate

    def orders(self) -> tuple[OrderRecord, ...]:
        """All orders in memory (the last two days, and older ones that are not finished), oldest first."""
        return self._standings.records()

    def order(self, number: OrderNumber) -> OrderRecord | None:
        """One order."""
        standing = self._standings.by_number(number)
        return None if standing is None else standing.record

    def working(self) -> tuple[OrderRecord, ...]:
        """Orders that may still trade."""
        return self._standings.working()

    def order_of(self, order_id: BrokerOrderId) -> OrderRecord | None:
        """The order the broker calls so."""
        standing = self._standings.by_broker_id(order_id)
        return None if standing is None else standing.record

    def positions(self) -> tuple[HeldPosition, ...] | None:
        """Net positions with every fill known to anyone, booked or not; ``None`` while they are not known."""
        return self._gate.positions()

    def day_trades(self) -> tuple[Trade, ...] | None:
        """The broker's fills of the day as last read; ``None`` while some are known that it has not shown yet."""
        return None if self._fills.is_due else self._fills.trades

    def heard_trades(self) -> tuple[Trade, ...]:
        """The broker's fills of the day as last read, though others may be known that it has not shown yet."""
        return self._fills.trades

    def unbooked(self) -> tuple[tuple[OrderRecord, int], ...]:
        """Fills that the ledger does not have yet: an order and its signed units."""
        return self._fills.unbooked()

    @property
    def is_reconciled(self) -> bool:
        """The broker's book has been read and merged since the start."""
        return self._book.is_reconciled

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
            on_wire=self._sending.sender.on_wire,
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
            journal=self._writer.view(),
        )

    def budget(self) -> BudgetGauge:
        """What is used of the orders of this second, minute and day."""
        return self._sending.budget.gauge()

    def eta_s(self, lanes: Sequence[Lane] = (Lane.ENTRY,)) -> float:
        """Seconds until the last of so many new orders could leave behind all that waits; 0 at once."""
        return self._sending.eta_s(lanes)

    def check(
        self, request: OrderRequest, *, seat: str = "", by: str = PERSON
    ) -> tuple[tuple[Violation, ...], tuple[str, ...], bool]:
        """What forbids an order of a seat now, what is worth knowing about it, and whether it adds risk."""
        found = self._gate.judge(request, seat=seat, by=by)
        return found.violations, found.notes, found.adds_risk

    def check_modification(self, command: ModifyOrder, *, seat: str = "") -> tuple[Violation, ...]:
        """What forbids a modification now."""
        return self._gate.check_modification(command, seat=seat)

    def basket_adds_risk(self, requests: Sequence[OrderRequest]) -> bool:
        """Whether orders that are filled one after the other add risk at any step."""
        return self._gate.basket_adds_risk(requests)

    def context(self, request: OrderRequest, *, seat: str = "", by: str = PERSON) -> CheckContext:
        """The figures an order is judged by now."""
        return self._gate.context(request, seat=seat if by == PERSON else ENGINE_SEAT)
