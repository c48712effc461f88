"""What follows from the end of a request: the order's next step, another try, or giving it up.

Nothing is made again unless it is certain that nothing was done. What may have been done is looked up.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.core.decisions import EventFacts, LetterState, UnsentCause
from engine.core.events import EventKind
from engine.core.orders import OrderState, OrderTrigger
from engine.core.ports import Clock
from engine.core.vocabulary import Severity
from engine.execution.book_merge import describe_change
from engine.execution.budgets import OrderBudget
from engine.execution.latencies import Latencies, LatencyStep
from engine.execution.notices import Health, Notice
from engine.execution.queue import Errand, OrderQueue, QueuedCommand
from engine.execution.resolution import Lookup
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standing, Standings
from engine.execution.wire import Answer, Outcome

NO_SESSION = "session"


class AnswerDesk:
    """Applies outcomes; the caller holds the order's lock.

    Args:
        standings: How orders stand.
        queue: Where an errand that is tried again waits.
        budget: What speed refusals and unreached placements change.
        settings: Windows, attempts.
        clock: Time.
        health: Where an ended session is declared.
        latencies: Where the times of answers are counted.
        notify: For what a person should read.
        want_book: Asks for a read of the book soon.
        on_known: Told when the broker has given an order its id.
        is_closed: Whether nothing more is sent.
    """

    def __init__(
        self,
        *,
        standings: Standings,
        queue: OrderQueue,
        budget: OrderBudget,
        settings: ExecutionSettings,
        clock: Clock,
        health: Health,
        latencies: Latencies,
        notify: Callable[[Notice], None],
        want_book: Callable[[], None],
        on_known: Callable[[Standing], None],
        is_closed: Callable[[], bool],
    ) -> None:
        self._standings = standings
        self._queue = queue
        self._budget = budget
        self._settings = settings
        self._clock = clock
        self._health = health
        self._latencies = latencies
        self._notify = notify
        self._want_book = want_book
        self._on_known = on_known
        self._is_closed = is_closed

    async def placed(self, standing: Standing, command: QueuedCommand, outcome: Outcome) -> None:
        """A placement has ended so."""
        record, number = standing.record, command.number
        now = self._clock.market_now()
        facts = self._measured(command, outcome)
        self._session_seen(outcome)
        if outcome.answer in {Answer.NOT_SENT, Answer.WITHHELD} and command.released is not None:
            self._budget.give_back(command.released, orders=command.orders)
        if record.state is not OrderState.SENDING:
            # The book was faster than the answer.
            if outcome.answer is Answer.TOO_FAST:
                self._obey(outcome)
                return
            if outcome.answer is Answer.TAKEN and outcome.order_id != record.broker_order_id:
                self.tell(
                    command,
                    Severity.DANGER,
                    f"o{number}: the broker answered with id {outcome.order_id}, its book has {record.broker_order_id} "
                    "under the same tag. Look at both.",
                )
            elif outcome.answer not in {Answer.TAKEN, Answer.LOST}:
                await self._standings.record_said(standing, OrderTrigger.REFUSED, outcome.words)
        elif outcome.answer is Answer.TAKEN:
            standing.answered_at = self._clock.monotonic()
            await self._standings.settle(
                standing, OrderTrigger.ANSWERED, facts=facts, broker_order_id=outcome.order_id, answered_at=now
            )
            self._on_known(standing)
        elif outcome.answer is Answer.REFUSED:
            await self._standings.settle(
                standing, OrderTrigger.REFUSED, outcome.words, facts=facts, message=outcome.words, answered_at=now
            )
            self.tell(command, Severity.ATTENTION, f"o{number} was refused: {outcome.words}")
        elif outcome.answer is Answer.LOST:
            words = f"No trustworthy answer ({outcome.words}); it is being looked for."
            await self._standings.settle(standing, OrderTrigger.LOST, outcome.words, facts=facts, message=words)
            standing.lookup = self._lookup(self._settings.unknown_window_s)
            self.tell(
                command, Severity.DANGER, f"o{number} is UNKNOWN: {outcome.words}. It is looked up, never re-sent."
            )
        elif not await self._again(standing, command, outcome, facts):
            await self.give_up(standing, command, _reason(command, outcome), _cause(outcome))
        self._want_book()

    async def commanded(self, standing: Standing, command: QueuedCommand, outcome: Outcome) -> None:
        """A modification or cancellation has ended so."""
        facts = self._measured(command, outcome)
        self._session_seen(outcome)
        in_flight = standing.command
        is_modify = command.errand is Errand.MODIFY
        if outcome.answer is Answer.TAKEN and is_modify:
            await self._standings.amend(standing, modifications=standing.record.modifications + 1)
        if in_flight is None or in_flight.errand is not command.errand:
            if outcome.answer is Answer.TOO_FAST:
                self._obey(outcome)
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
                self.tell(
                    command,
                    Severity.ATTENTION,
                    f"o{command.number}: no answer to its {what} ({outcome.words}); the book will tell.",
                )
        elif outcome.answer is Answer.REFUSED:
            standing.command = None
            words = f"The {what} was refused: {outcome.words}"
            await self._command_over(standing, command.errand, words, facts)
            self.tell(command, Severity.ATTENTION, f"o{command.number}: {words}")
        elif not await self._again(standing, command, outcome, facts):
            await self.give_up(standing, command, _reason(command, outcome), _cause(outcome))
        self._want_book()

    async def give_up(
        self, standing: Standing, command: QueuedCommand, reason: str, cause: UnsentCause, *, quietly: bool = False
    ) -> None:
        """Close an errand of which provably nothing was done.

        An order becomes a dead letter, unless nobody waits for it any more (no ``cause``).
        """
        facts = EventFacts(cause=cause, attempt=command.attempts)
        if command.errand is Errand.PLACE:
            trigger = OrderTrigger.DROP if standing.record.state is OrderState.QUEUED else OrderTrigger.UNSENT
            letter = LetterState.OPEN if cause.is_dead_letter else LetterState.NONE
            await self._standings.settle(
                standing, trigger, reason, facts=facts, message=f"Not sent: {reason}.", letter=letter
            )
        else:
            if standing.command is not None and standing.command.errand is command.errand:
                standing.command = None
            words = f"The {command.errand} was not sent: {reason}."
            await self._command_over(standing, command.errand, words, facts)
        if not quietly:
            severity = Severity.ATTENTION if command.lane.expires else Severity.DANGER
            what = "" if command.errand is Errand.PLACE else f": {command.errand}"
            self.tell(command, severity, f"o{command.number}{what} was not sent: {reason}.")

    def tell(self, command: QueuedCommand, severity: Severity, text: str) -> None:
        """Say something of an errand."""
        self._notify(
            Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=f"o{command.number}", seat=command.seat)
        )

    async def _again(self, standing: Standing, command: QueuedCommand, outcome: Outcome, facts: EventFacts) -> bool:
        """Let the errand wait in its old place for another try; ``False`` when there is to be none."""
        if outcome.answer is Answer.TOO_FAST:
            self._obey(outcome)
            has_try = command.attempts < self._settings.rate_limited_attempts
        elif outcome.answer is Answer.NOT_SENT:
            age = self._clock.monotonic() - command.queued_at
            has_try = not command.lane.expires and age < self._settings.urgent_retry_s
        else:
            has_try = False
        if not has_try or self._is_closed():
            return False
        await self._standings.settle(standing, OrderTrigger.HELD_BACK, outcome.words, facts=facts)
        self._queue.put(command, first=True)
        return True

    def _obey(self, outcome: Outcome) -> None:
        self._budget.obey(outcome.retry_after_s)
        if outcome.is_day_over:
            self._budget.exhaust_day()

    def _measured(self, command: QueuedCommand, outcome: Outcome) -> EventFacts:
        """The times of a request; those of the first one are counted."""
        answer_s = None if command.left_at is None else self._clock.monotonic() - command.left_at
        queued_s = sending_s = None
        if command.attempts == 1 and command.chosen_at is not None and command.left_at is not None:
            queued_s = command.chosen_at - command.queued_at
            sending_s = command.left_at - command.chosen_at
            self._latencies.record(LatencyStep.QUEUE, queued_s)
            self._latencies.record(LatencyStep.SEND, sending_s)
        if outcome.answer in {Answer.TAKEN, Answer.REFUSED}:
            self._latencies.record(LatencyStep.ACKNOWLEDGE, answer_s)
        return EventFacts(
            cause=_cause(outcome),
            attempt=command.attempts,
            queued_s=queued_s,
            sending_s=sending_s,
            answer_s=answer_s,
        )

    async def _command_over(self, standing: Standing, errand: Errand, words: str, facts: EventFacts) -> None:
        """A command in flight has come to its end without an effect; the book tells how the order stands."""
        in_state, trigger = (
            (OrderState.MODIFYING, OrderTrigger.MODIFY_SETTLED)
            if errand is Errand.MODIFY
            else (OrderState.CANCELLING, OrderTrigger.CANCEL_SETTLED)
        )
        if standing.record.state is in_state:
            await self._standings.settle(standing, trigger, words, facts=facts, message=words)
        self._want_book()

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


def _reason(command: QueuedCommand, outcome: Outcome) -> str:
    words = outcome.words.rstrip(".")
    if outcome.answer is Answer.TOO_FAST:
        return f"the broker refused it for speed {command.attempts} times: {words}"
    return words


def _cause(outcome: Outcome) -> UnsentCause:
    return {
        Answer.TOO_FAST: UnsentCause.TOO_FAST,
        Answer.NOT_SENT: UnsentCause.UNREACHED,
        Answer.NO_SESSION: UnsentCause.SESSION,
    }.get(outcome.answer, UnsentCause.NONE)
