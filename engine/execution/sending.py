"""The way out: queue, budget, breakers, wire and the clocks beside them, put together for one account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.orders import OrderEvent, OrderRecord, OrderTrigger
from engine.core.ports import Clock, OrderRoad
from engine.core.repositories import OrderJournal
from engine.execution.answers import AnswerDesk
from engine.execution.breaker import CircuitBreaker, Endpoint
from engine.execution.budget_watch import BudgetWatch
from engine.execution.budgets import OrderBudget
from engine.execution.lanes import Lane
from engine.execution.latencies import Latencies, LatencyStep
from engine.execution.locks_book import LockBook
from engine.execution.notices import Health, Notice
from engine.execution.queue import OrderQueue
from engine.execution.sender import OrderSender
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standing, Standings

RESTORED = timedelta(days=1, minutes=5)
"""How far back placements are counted at start: the broker's day, and requests that were long on their way."""


class SendingSide:
    """Makes the parts that send, and keeps them in step.

    Args:
        account: Whose orders.
        road: The broker's order endpoints.
        journal: Knows what earlier engines have sent.
        standings: How orders stand.
        health: Where an open breaker is declared.
        settings: Limits and intervals.
        clock: Time.
        notify: For what a person should read.
        want_book: Asks for a read of the book soon.
        on_known: Told when the broker has given an order its id.
        server_offset_s: Seconds the broker's clock is ahead of this machine's.
        server_uncertainty_s: How far that may be off, either way; ``None`` while nothing is known.
        locks: Looked at before whatever leaves.
    """

    def __init__(
        self,
        *,
        account: AccountId,
        road: OrderRoad,
        journal: OrderJournal,
        standings: Standings,
        health: Health,
        settings: ExecutionSettings,
        clock: Clock,
        notify: Callable[[Notice], None],
        want_book: Callable[[], None],
        on_known: Callable[[Standing], None],
        server_offset_s: Callable[[], float],
        server_uncertainty_s: Callable[[], float | None],
        locks: LockBook | None = None,
    ) -> None:
        self._account = account
        self._journal = journal
        self._standings = standings
        self._health = health
        self._clock = clock
        self._server_offset_s = server_offset_s
        self._server_uncertainty_s = server_uncertainty_s
        self.queue = OrderQueue(settings.queue_capacity, settings.queue_reserve)
        self.budget = OrderBudget(settings.budget, lambda: clock.wall_now().timestamp() + server_offset_s())
        self.breakers = {
            endpoint: CircuitBreaker(endpoint, settings.breaker, clock.monotonic, self._breaker_changed)
            for endpoint in Endpoint
        }
        self.latencies = Latencies()
        answers = AnswerDesk(
            standings=standings,
            queue=self.queue,
            budget=self.budget,
            settings=settings,
            clock=clock,
            health=health,
            latencies=self.latencies,
            notify=notify,
            want_book=want_book,
            on_known=on_known,
            is_closed=lambda: self.sender.is_closed,
        )
        self.sender = OrderSender(
            road=road,
            standings=standings,
            queue=self.queue,
            budget=self.budget,
            watch=BudgetWatch(settings.budget.near_share, notify),
            breaker=self.breakers[Endpoint.ORDERS],
            answers=answers,
            settings=settings,
            clock=clock,
            locks=locks,
        )

    async def restore(self) -> None:
        """What earlier engines sent counts: the broker remembers it.

        Raises:
            StorageError: the journal cannot be read.
        """
        now, offset = self._clock.wall_now(), self._server_offset_s()
        arrivals = await self._journal.placements(self._account, now - RESTORED)
        self.budget.restore((arrival or now).timestamp() + offset for arrival in arrivals)
        self.budget.skip_this_second()

    def count_outside(self, today: int, recent: int) -> None:
        """Others have placed so many orders today, and so many of them in the last minute."""
        self.budget.count_outside(today=today, recent=recent)

    def learn_clock(self) -> None:
        """Every answer of the broker tells its time a little better."""
        self.budget.widen(self._server_uncertainty_s() or 0.0)

    def note_fill(self, record: OrderRecord, events: Sequence[OrderEvent]) -> None:
        """An order has changed: when it is complete its time to the fill is counted."""
        if any(event.applied and event.trigger is OrderTrigger.BOOK_COMPLETE for event in events):
            standing = self._standings.by_number(record.number)
            if standing is not None and standing.answered_at is not None:
                self.latencies.record(LatencyStep.FILL, self._clock.monotonic() - standing.answered_at)

    def eta_s(self, lanes: Sequence[Lane]) -> float:
        """Seconds until the last of so many new orders could leave behind all that waits; 0 at once.

        A day that is used up makes it the seconds until midnight.
        """
        wanted = [(lane, True, 1) for lane in lanes]
        leaves = self.budget.forecast([*self.queue.weights(), *wanted])
        return max(leaves[len(leaves) - len(wanted) :], default=0.0)

    def _breaker_changed(self, breaker: CircuitBreaker) -> None:
        name = f"breaker {breaker.endpoint}"
        words = breaker.refuses()
        if words:
            self._health.declare(name, words, EventKind.SESSION)
        else:
            self._health.clear(name, f"The broker's {breaker.endpoint} can be reached again.", EventKind.SESSION)
        self.sender.wake()
