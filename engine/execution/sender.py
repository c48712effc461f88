"""Takes waiting errands to the wire: by priority, within the budget, each one journalled before its first byte.

A request on the wire belongs to nobody who could cancel it: not to the caller, not to a screen, not to the task that
runs the executor. Stopping waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence

from engine.core.decisions import UnsentCause
from engine.core.errors import InvariantBroken, StorageError, WriterLost
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.ports import Clock, LastLook, OrderRoad
from engine.execution.answers import AnswerDesk
from engine.execution.breaker import CircuitBreaker, Reach
from engine.execution.budget_watch import BudgetWatch
from engine.execution.budgets import OrderBudget
from engine.execution.lanes import Lane
from engine.execution.locks_book import LockBook
from engine.execution.queue import Errand, OrderQueue, QueuedCommand
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standing, Standings
from engine.execution.waiting import Wakeup
from engine.execution.wire import Outcome, ask

logger = logging.getLogger(__name__)

STOPPED = "the engine stopped before it was sent"


class OrderSender:
    """The only holder of the order road.

    Args:
        road: The broker's order endpoints.
        standings: How orders stand.
        queue: What waits.
        budget: What may leave.
        watch: Says when the budget comes near its end.
        breaker: Of the order endpoints.
        answers: What follows from the end of a request.
        locks: Looked at before the first byte of whatever leaves; ``None``: nothing is locked.
        settings: Intervals and limits.
        clock: Time.
    """

    def __init__(
        self,
        *,
        road: OrderRoad,
        standings: Standings,
        queue: OrderQueue,
        budget: OrderBudget,
        watch: BudgetWatch,
        breaker: CircuitBreaker,
        answers: AnswerDesk,
        settings: ExecutionSettings,
        clock: Clock,
        locks: LockBook | None = None,
    ) -> None:
        self._road = road
        self._locks = locks
        self._standings = standings
        self._queue = queue
        self._budget = budget
        self._watch = watch
        self._breaker = breaker
        self._answers = answers
        self._settings = settings
        self._clock = clock
        self._wakeup = Wakeup(clock)
        self._wire: set[asyncio.Task[None]] = set()
        self._held_until = dict.fromkeys((False, True), 0.0)
        self._closed = False
        self._runs = False
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    @property
    def on_wire(self) -> int:
        """Requests whose answer is awaited."""
        return len(self._wire)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is sent."""
        return self._closed

    def leaves_at_once(self, lane: Lane, coming: Sequence[tuple[Lane, bool, int]], *, orders: int) -> bool:
        """Whether a new order would leave as soon as it is queued, with all that waits and with those that are coming.

        A guess of the next milliseconds: what it says decides what is written with the order, not whether it leaves.
        The locks were looked at when it was judged, in this very step.
        """
        before = len(self._queue) + len(coming)
        reserve = 0 if lane.may_use_reserve else self._settings.in_flight_reserve
        if self._closed or len(self._wire) + before >= self._settings.in_flight_max - reserve:
            return False
        if not self._breaker.is_closed or self._held_until[not lane.expires] > self._clock.monotonic():
            return False
        if not before:
            return self._budget.wait(lane, placement=True, orders=orders) <= 0
        return not any(self._budget.forecast([*self._queue.weights(), *coming, (lane, True, orders)]))

    def put(self, command: QueuedCommand) -> bool:
        """Queue an errand whose order is journalled; whether it leaves at once: in the loop's next turn, ahead of all
        that is begun from now on.
        """
        if command.epoch is None and self._locks is not None:
            command.epoch = self._locks.epoch
        self._queue.put(command)
        leaves = self._leaves_now(command)
        if not leaves:
            self._wakeup.set()
        return leaves

    def wake(self) -> None:
        """Look at the queue again."""
        self._wakeup.set()

    def close(self) -> None:
        """Send nothing more; what is on the wire goes on."""
        self._closed = True
        self._wakeup.set()

    async def run(self) -> None:
        """Send for ever."""
        self._runs = True
        try:
            while not self._closed:
                self._wakeup.clear()
                delay = await self._send_due()
                if not self._closed:
                    await self._wakeup.wait(delay)
        finally:
            self._runs = False

    async def raise_failure(self) -> None:
        """Wait for a request that ended in an error of our own making, and raise it.

        Raises:
            InvariantBroken: a state that must not exist; raised again by every later call.
        """
        await self._failed.wait()
        failure = self._failure
        if failure is None:
            raise InvariantBroken("a request failed without a reason")
        if not isinstance(failure, InvariantBroken):
            self._failed.clear()
        raise failure

    async def finish(self, timeout_s: float) -> None:
        """Wait for what is on the wire, then close what was never sent.

        What has not been answered after ``timeout_s`` stays SENDING in the journal: the next start looks it up.
        """
        self.close()
        if self._wire:
            limit = asyncio.ensure_future(self._clock.sleep(timeout_s))
            waiting = set(self._wire)
            while waiting and not limit.done():
                await asyncio.wait({*waiting, limit}, return_when=asyncio.FIRST_COMPLETED)
                waiting = {task for task in waiting if not task.done()}
            limit.cancel()
            for task in waiting:
                task.cancel()
            await asyncio.gather(limit, *waiting, return_exceptions=True)
        for command in tuple(self._queue):
            self._queue.remove(command)
            await self._close(command, STOPPED, UnsentCause.STOPPED)

    async def withdraw(self, standing: Standing, reason: str) -> bool:
        """Close an order that waits to be sent; ``False`` when it does not wait any more."""
        command = self._queue.withdraw(standing.record.number, Errand.PLACE)
        if command is None:
            return False
        await self._close(command, reason, UnsentCause.NONE)
        return True

    async def drop(self, chosen: Callable[[QueuedCommand], bool], reason: str) -> tuple[OrderNumber, ...]:
        """Close waiting errands that are ``chosen``; returns the orders whose placement was dropped."""
        dropped = []
        for command in [command for command in self._queue if chosen(command)]:
            if not self._queue.remove(command):
                continue  # it left, or was withdrawn, while another one was being closed
            await self._close(command, reason, UnsentCause.NONE)
            if command.errand is Errand.PLACE:
                dropped.append(command.number)
        return tuple(dropped)

    async def _send_due(self) -> float | None:
        """Send all that may leave now; the seconds until more may, ``None`` when nothing waits."""
        while not self._closed:
            await self._drop_expired()
            command, delay = self._next()
            if command is None:
                return delay
            if command.chosen_at is None:
                command.chosen_at = self._clock.monotonic()
            if not command.prepared:
                await self._prepare(command)
                continue
            released = self._budget.take(command.lane, placement=command.is_placement, orders=command.orders)
            if released is not None:
                command.released = released
                self._queue.remove(command, leaves=True)
                words = self._withheld(command)
                if words:
                    if command.is_placement:
                        self._budget.give_back(released, orders=command.orders)
                    await self._close(command, words, UnsentCause.NONE, quietly=False)
                    continue
                self._launch(command)
        return None

    def _leaves_now(self, command: QueuedCommand) -> bool:
        """Send an errand that nothing is before and nothing keeps; whatever else there is to do is the loop's."""
        if not self._runs or self._closed or not command.prepared or len(self._queue) > 1:
            return False
        if not self._has_wire(command) or self._breaker.wait(urgent=not command.lane.expires) > 0:
            return False
        # A placement looks at the locks itself, as the last thing before its first byte.
        if not command.is_placement and self._withheld(command):
            return False
        command.chosen_at = self._clock.monotonic()
        released = self._budget.take(command.lane, placement=command.is_placement, orders=command.orders)
        if released is None:
            return False
        command.released = released
        self._queue.remove(command, leaves=True)
        self._launch(command)
        return True

    def _next(self) -> tuple[QueuedCommand | None, float | None]:
        soonest: float | None = None
        now = self._clock.monotonic()
        for command in self._queue.heads():
            if not self._has_wire(command):
                continue  # an answer wakes the loop
            lane = command.lane
            wait = self._budget.wait(lane, placement=command.is_placement, orders=command.orders)
            wait = max(wait, self._breaker.wait(urgent=not lane.expires))
            if not command.prepared:
                wait = max(wait, self._held_until[not lane.expires] - now)
            if wait <= 0:
                return command, None
            if math.isfinite(wait):  # for ever means: until the request that is being tried has ended, which wakes us
                soonest = wait if soonest is None else min(soonest, wait)
        oldest = self._queue.oldest_expiring()
        if oldest is not None:
            expiry = max(0.0, oldest + self._settings.queue_expiry_s - now) + self._settings.budget.guard_s
            soonest = expiry if soonest is None else min(soonest, expiry)
        return None, soonest

    def _has_wire(self, command: QueuedCommand) -> bool:
        reserve = 0 if command.lane.may_use_reserve else self._settings.in_flight_reserve
        return len(self._wire) < self._settings.in_flight_max - reserve

    async def _prepare(self, command: QueuedCommand) -> None:
        """Let the journal say SENDING, durably, before the order may leave."""
        standing = self._standing(command)
        async with standing.lock:
            if standing.record.state is not OrderState.QUEUED:
                self._queue.remove(command)
                return
            try:
                await self._standings.commit(
                    standing, OrderTrigger.SEND, urgent=not command.lane.expires, sent_at=self._clock.market_now()
                )
            except WriterLost:
                self.close()
                return
            except StorageError as error:
                # What is urgent may have the spool's road: it does not wait for what has not.
                self._held_until[not command.lane.expires] = self._clock.monotonic() + self._settings.journal_retry_s
                logger.warning("o%s is held back, the journal does not take it: %s", command.number, error)
                return
        command.prepared = True

    async def _drop_expired(self) -> None:
        for command in self._queue.expired(self._clock.monotonic() - self._settings.queue_expiry_s):
            self._queue.remove(command)
            reason = f"it waited more than {self._settings.queue_expiry_s:g} s to be sent, its price is too old"
            await self._close(command, reason, UnsentCause.EXPIRED, quietly=False)

    async def _close(self, command: QueuedCommand, reason: str, cause: UnsentCause, *, quietly: bool = True) -> None:
        """Close an errand that has not left, or of which provably nothing was done."""
        standing = self._standing(command)
        async with standing.lock:
            await self._answers.give_up(standing, command, reason, cause, quietly=quietly)

    def _launch(self, command: QueuedCommand) -> None:
        command.attempts += 1
        command.left_at = self._clock.monotonic()
        # Here and not in the task: the next errand must see that this one is being tried.
        self._breaker.begin()
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._carry(command), name=f"wire o{command.number}")
        self._wire.add(task)
        task.add_done_callback(self._landed)
        if command.is_placement:
            loop.call_soon(self._look_at_budget)  # behind the request's bytes

    def _look_at_budget(self) -> None:
        self._watch.look(self._budget.gauge())

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._wire.discard(task)
        self._wakeup.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._failed.set()

    async def _carry(self, command: QueuedCommand) -> None:
        standing = self._standing(command)
        outcome: Outcome | None = None
        try:
            outcome = await self._ask(standing, command)
        finally:
            if outcome is None:
                self._breaker.end(Reach.UNCLEAR, "")
            else:
                self._breaker.end(outcome.reach, outcome.words)
        if outcome is None:
            return
        async with standing.lock:
            if command.errand is Errand.PLACE:
                await self._answers.placed(standing, command, outcome)
            else:
                await self._answers.commanded(standing, command, outcome)

    async def _ask(self, standing: Standing, command: QueuedCommand) -> Outcome | None:
        """Make the request; ``None`` when there is nothing to ask any more."""
        record = standing.record
        if command.errand is Errand.PLACE:
            if record.tag is None or record.state is not OrderState.SENDING:
                raise InvariantBroken(f"o{record.number} is about to be sent in state {record.state} with {record.tag}")
            return await ask(self._road.place_order(record.request, record.tag, last_look=self._last_look(command)))
        if record.broker_order_id is None:
            raise InvariantBroken(f"a {command.errand} of o{record.number} is on its way without a broker's id")
        in_flight = standing.command
        if record.state.is_terminal or in_flight is None or in_flight.errand is not command.errand:
            return None  # it ended, or was overtaken by a cancellation, while this waited
        if command.change is None:
            return await ask(self._road.cancel_order(record.broker_order_id, record.request.variety))
        return await ask(
            self._road.modify_order(
                record.broker_order_id,
                record.request.variety,
                record.request,
                command.change,
                last_look=self._last_look(command),
            )
        )

    def _withheld(self, command: QueuedCommand) -> str:
        """Why an errand may not leave by now; empty when it may."""
        if self._locks is None:
            return ""
        return self._locks.withheld(is_entry=command.is_entry, epoch=command.epoch or 0)

    def _last_look(self, command: QueuedCommand) -> LastLook | None:
        """The same question for the road, which asks it when its connection stands."""
        if self._locks is None:
            return None
        return self._locks.last_look(is_entry=command.is_entry, epoch=command.epoch or 0)

    def _standing(self, command: QueuedCommand) -> Standing:
        standing = self._standings.by_number(command.number)
        if standing is None:
            raise InvariantBroken(f"o{command.number} waits to be sent and is not known")
        return standing
