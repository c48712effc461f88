"""Takes waiting errands to the wire: by priority, within the budget, each one journalled before its first byte.

A request on the wire belongs to nobody who could cancel it: not to the caller, not to a screen, not to the task that
runs the executor. Stopping waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from engine.core.errors import InvariantBroken, StorageError, WriterLost
from engine.core.events import EventKind
from engine.core.orders import OrderState, OrderTrigger
from engine.core.ports import Clock, OrderRoad
from engine.core.vocabulary import Severity
from engine.execution.book_merge import describe_change
from engine.execution.budgets import OrderBudget
from engine.execution.notices import Health, Notice
from engine.execution.queue import Errand, OrderQueue, QueuedCommand
from engine.execution.resolution import Lookup
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standing, Standings
from engine.execution.waiting import Wakeup
from engine.execution.wire import Answer, Outcome, ask

logger = logging.getLogger(__name__)

NO_SESSION = "session"
STOPPED = "the engine stopped before it was sent"


class OrderSender:
    """The only holder of the order road.

    Args:
        road: The broker's order endpoints.
        standings: How orders stand.
        queue: What waits.
        budget: What may leave.
        settings: Intervals and limits.
        clock: Time.
        health: Where an ended session is declared.
        notify: For what a person should read.
        want_book: Asks for a read of the book soon.
        on_known: Told when the broker has given an order its id.
    """

    def __init__(
        self,
        *,
        road: OrderRoad,
        standings: Standings,
        queue: OrderQueue,
        budget: OrderBudget,
        settings: ExecutionSettings,
        clock: Clock,
        health: Health,
        notify: Callable[[Notice], None],
        want_book: Callable[[], None],
        on_known: Callable[[Standing], None],
    ) -> None:
        self._road = road
        self._standings = standings
        self._queue = queue
        self._budget = budget
        self._settings = settings
        self._clock = clock
        self._health = health
        self._notify = notify
        self._want_book = want_book
        self._on_known = on_known
        self._wakeup = Wakeup(clock)
        self._wire: set[asyncio.Task[None]] = set()
        self._held_until = 0.0
        self._closed = False
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    @property
    def on_wire(self) -> int:
        """Requests whose answer is awaited."""
        return len(self._wire)

    def put(self, command: QueuedCommand) -> None:
        """Queue an errand whose order is journalled."""
        self._queue.put(command)
        self._wakeup.set()

    def wake(self) -> None:
        """Look at the queue again."""
        self._wakeup.set()

    def close(self) -> None:
        """Send nothing more; what is on the wire goes on."""
        self._closed = True
        self._wakeup.set()

    async def run(self) -> None:
        """Send for ever."""
        while not self._closed:
            self._wakeup.clear()
            delay = await self._send_due()
            if not self._closed:
                await self._wakeup.wait(delay)

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
            await self._give_back(command, STOPPED)

    async def withdraw(self, standing: Standing, reason: str) -> bool:
        """Close an order that waits to be sent; ``False`` when it does not wait any more."""
        command = self._queue.withdraw(standing.record.number, Errand.PLACE)
        if command is None:
            return False
        await self._give_back(command, reason)
        return True

    async def _send_due(self) -> float | None:
        """Send all that may leave now; the seconds until more may, ``None`` when nothing waits."""
        while not self._closed:
            await self._drop_expired()
            command, delay = self._next()
            if command is None:
                return delay
            if not command.prepared:
                await self._prepare(command)
            elif self._budget.take(command.lane, placement=command.is_placement):
                self._queue.remove(command)
                self._launch(command)
        return None

    def _next(self) -> tuple[QueuedCommand | None, float | None]:
        soonest: float | None = None
        now = self._clock.monotonic()
        for command in self._queue.heads():
            if not self._has_wire(command):
                continue  # an answer wakes the loop
            wait = self._budget.wait(command.lane, placement=command.is_placement)
            if not command.prepared:
                wait = max(wait, self._held_until - now)
            if wait <= 0:
                return command, None
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
                await self._standings.commit(standing, OrderTrigger.SEND, sent_at=self._clock.market_now())
            except WriterLost:
                self.close()
                return
            except StorageError as error:
                self._held_until = self._clock.monotonic() + self._settings.journal_retry_s
                logger.warning("o%s is held back, the journal does not take it: %s", command.number, error)
                return
        command.prepared = True

    async def _drop_expired(self) -> None:
        for command in self._queue.expired(self._clock.monotonic() - self._settings.queue_expiry_s):
            self._queue.remove(command)
            reason = f"it waited more than {self._settings.queue_expiry_s:g} s to be sent, its price is too old"
            await self._give_back(command, reason)
            self._tell(command, Severity.ATTENTION, f"o{command.number}: {command.errand} was not sent, {reason}.")

    async def _give_back(self, command: QueuedCommand, reason: str) -> None:
        """Close an errand of which no byte has left."""
        standing = self._standing(command)
        async with standing.lock:
            await self._unsent(standing, command, reason)

    async def _unsent(self, standing: Standing, command: QueuedCommand, reason: str) -> None:
        if command.errand is Errand.PLACE:
            trigger = OrderTrigger.DROP if standing.record.state is OrderState.QUEUED else OrderTrigger.UNSENT
            await self._standings.settle(standing, trigger, reason, message=f"Not sent: {reason}.")
            return
        if standing.command is not None and standing.command.errand is command.errand:
            standing.command = None
        await self._command_over(standing, command.errand, f"the {command.errand} was not sent: {reason}")

    async def _command_over(self, standing: Standing, errand: Errand, words: str) -> None:
        """A command in flight has come to its end without an effect; the book tells how the order stands."""
        in_state, trigger = (
            (OrderState.MODIFYING, OrderTrigger.MODIFY_SETTLED)
            if errand is Errand.MODIFY
            else (OrderState.CANCELLING, OrderTrigger.CANCEL_SETTLED)
        )
        if standing.record.state is in_state:
            await self._standings.settle(standing, trigger, words, message=words)
        self._want_book()

    def _launch(self, command: QueuedCommand) -> None:
        command.attempts += 1
        task = asyncio.get_running_loop().create_task(self._carry(command), name=f"wire o{command.number}")
        self._wire.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._wire.discard(task)
        self._wakeup.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._failed.set()

    async def _carry(self, command: QueuedCommand) -> None:
        standing = self._standing(command)
        record = standing.record
        if command.errand is Errand.PLACE:
            if record.tag is None or record.state is not OrderState.SENDING:
                raise InvariantBroken(f"o{record.number} is about to be sent in state {record.state} with {record.tag}")
            outcome = await ask(self._road.place_order(record.request, record.tag))
            async with standing.lock:
                await self._placed(standing, command, outcome)
            return
        if record.broker_order_id is None:
            raise InvariantBroken(f"a {command.errand} of o{record.number} is on its way without a broker's id")
        in_flight = standing.command
        if record.state.is_terminal or in_flight is None or in_flight.errand is not command.errand:
            return  # it ended, or was overtaken by a cancellation, while this waited
        if command.change is not None:
            outcome = await ask(
                self._road.modify_order(record.broker_order_id, record.request.variety, record.request, command.change)
            )
        else:
            outcome = await ask(self._road.cancel_order(record.broker_order_id, record.request.variety))
        async with standing.lock:
            await self._commanded(standing, command, outcome)

    async def _placed(self, standing: Standing, command: QueuedCommand, outcome: Outcome) -> None:
        record, number = standing.record, command.number
        now = self._clock.market_now()
        self._session_seen(outcome)
        if outcome.answer is Answer.TOO_FAST:
            await self._too_fast(standing, command, outcome)
            return
        if record.state is not OrderState.SENDING:
            # The book was faster than the answer.
            if outcome.answer is Answer.TAKEN and outcome.order_id != record.broker_order_id:
                self._tell(
                    command,
                    Severity.DANGER,
                    f"o{number}: the broker answered with id {outcome.order_id}, its book has {record.broker_order_id} "
                    "under the same tag. Look at both.",
                )
            elif outcome.answer not in {Answer.TAKEN, Answer.LOST}:
                await self._standings.record_said(standing, OrderTrigger.REFUSED, outcome.words)
        elif outcome.answer is Answer.TAKEN:
            await self._standings.settle(
                standing, OrderTrigger.ANSWERED, broker_order_id=outcome.order_id, answered_at=now
            )
            self._on_known(standing)
        elif outcome.answer is Answer.REFUSED:
            await self._standings.settle(
                standing, OrderTrigger.REFUSED, outcome.words, message=outcome.words, answered_at=now
            )
            self._tell(command, Severity.ATTENTION, f"o{number} was refused: {outcome.words}")
        elif outcome.answer is Answer.LOST:
            words = f"No trustworthy answer ({outcome.words}); it is being looked for."
            await self._standings.settle(standing, OrderTrigger.LOST, outcome.words, message=words)
            standing.lookup = self._lookup(self._settings.unknown_window_s)
            self._tell(
                command, Severity.DANGER, f"o{number} is UNKNOWN: {outcome.words}. It is looked up, never re-sent."
            )
        else:
            await self._unsent(standing, command, outcome.words)
            self._tell(command, Severity.ATTENTION, f"o{number} was not sent: {outcome.words}")
        self._want_book()

    async def _commanded(self, standing: Standing, command: QueuedCommand, outcome: Outcome) -> None:
        self._session_seen(outcome)
        in_flight = standing.command
        is_modify = command.errand is Errand.MODIFY
        if outcome.answer is Answer.TOO_FAST:
            await self._too_fast(standing, command, outcome)
            return
        if outcome.answer is Answer.TAKEN and is_modify:
            await self._standings.amend(standing, modifications=standing.record.modifications + 1)
        if in_flight is None or in_flight.errand is not command.errand:
            self._want_book()  # the book has settled it already, or a cancellation has overtaken it
            return
        what = f"change ({describe_change(command.change)})" if command.change is not None else "cancellation"
        if outcome.answer in {Answer.TAKEN, Answer.LOST}:
            in_flight.answered = outcome.answer is Answer.TAKEN
            # A lost cancellation that comes late does what was wanted; a lost change could surprise, so it is
            # waited for as long as a lost order.
            long = is_modify and not in_flight.answered
            in_flight.lookup = self._lookup(self._settings.unknown_window_s if long else self._settings.settle_window_s)
            if not in_flight.answered:
                self._tell(
                    command,
                    Severity.ATTENTION,
                    f"o{command.number}: no answer to its {what} ({outcome.words}); the book will tell.",
                )
        else:
            standing.command = None
            said = "refused" if outcome.answer is Answer.REFUSED else "not sent"
            words = f"The {what} was {said}: {outcome.words}"
            await self._command_over(standing, command.errand, words)
            self._tell(command, Severity.ATTENTION, f"o{command.number}: {words}")
        self._want_book()

    async def _too_fast(self, standing: Standing, command: QueuedCommand, outcome: Outcome) -> None:
        """Nothing was done: wait as asked, in the same place of the queue; a bounded number of times."""
        self._budget.obey(outcome.retry_after_s)
        overtaken = command.errand is not Errand.PLACE and (
            standing.command is None or standing.command.errand is not command.errand
        )
        if overtaken or (command.errand is Errand.PLACE and standing.record.state is not OrderState.SENDING):
            return
        if self._closed or command.attempts >= self._settings.rate_limited_attempts:
            await self._unsent(standing, command, outcome.words)
            self._tell(
                command,
                Severity.DANGER if command.lane.may_use_reserve else Severity.ATTENTION,
                f"o{command.number}: {command.errand} was not sent, the broker refused it for speed "
                f"{command.attempts} times: {outcome.words}",
            )
            return
        self._queue.put(command, first=True)
        self._wakeup.set()

    def _session_seen(self, outcome: Outcome) -> None:
        if outcome.answer is Answer.NO_SESSION:
            self._health.declare(
                NO_SESSION,
                f"The broker's session is over ({outcome.words}): log in again; nothing is sent.",
                EventKind.SESSION,
            )
        elif outcome.answer in {Answer.TAKEN, Answer.REFUSED}:
            self._health.clear(NO_SESSION, "The broker's session is alive.", EventKind.SESSION)

    def _lookup(self, window_s: float) -> Lookup:
        return Lookup(ended_at=self._clock.monotonic(), window_s=window_s, reads_min=self._settings.unknown_reads_min)

    def _standing(self, command: QueuedCommand) -> Standing:
        standing = self._standings.by_number(command.number)
        if standing is None:
            raise InvariantBroken(f"o{command.number} waits to be sent and is not known")
        return standing

    def _tell(self, command: QueuedCommand, severity: Severity, text: str) -> None:
        self._notify(
            Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=f"o{command.number}", seat=command.seat)
        )
