"""Sends triggers and conversions once, and looks for those without an answer. What each kind is, its own desk knows.

Journalled before the first byte; an answer that is lost leaves it UNKNOWN, and it is looked for, never sent again.
Only what provably was not done is tried again, and only when the broker turned it away for speed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from engine.core.commands import Receipt
from engine.core.errors import BrokerError, InvalidInput, StorageConflict, StorageError
from engine.core.identifiers import BrokerOrderId
from engine.core.instructions import Instruction, InstructionNumber, InstructionState
from engine.core.ports import Clock
from engine.core.vocabulary import Severity
from engine.execution.breaker import CircuitBreaker
from engine.execution.instruction_book import InstructionBook, name_of
from engine.execution.intake import refused
from engine.execution.resolution import Lookup
from engine.execution.settings import ExecutionSettings
from engine.execution.waiting import Wakeup
from engine.execution.wire import Answer, Outcome, ask

T = TypeVar("T")
LOST_WORDS = "The engine stopped while it was being sent; it is being looked for."
LATE_WORDS = "the database took it too late; it was not sent"
RANDOM_BYTES = 12


class Seeker(Protocol):
    """Looks for the effect of what was sent without an answer."""

    def wants(self, instruction: Instruction) -> bool:
        """Whether it is of this desk's kind."""
        ...

    async def look(self, questions: tuple[Instruction, ...]) -> None:
        """Read the broker once and settle what can be.

        Raises:
            BrokerError: the broker cannot be read.
        """
        ...


class InstructionDesk:
    """What the desks of both kinds share.

    Args:
        book: How they stand.
        breaker: Of these endpoints.
        clock: Time.
        settings: Windows and intervals.
        random_bytes: Source of keys.
        is_closed: Whether nothing more is taken.
    """

    def __init__(
        self,
        *,
        book: InstructionBook,
        breaker: CircuitBreaker,
        clock: Clock,
        settings: ExecutionSettings,
        random_bytes: Callable[[int], bytes],
        is_closed: Callable[[], bool],
    ) -> None:
        self.book = book
        self.breaker = breaker
        self.clock = clock
        self.settings = settings
        self.is_closed = is_closed
        self._random_bytes = random_bytes
        self._lookups: dict[InstructionNumber, Lookup] = {}
        self._seekers: list[Seeker] = []
        self._debts: list[Callable[[], Awaitable[bool]]] = []
        self._owes = False
        self._wakeup = Wakeup(clock)
        self._tasks: set[asyncio.Future[Any]] = set()
        self._in_flight: set[InstructionNumber] = set()
        self._being_written: Counter[str] = Counter()
        """Keys of what the journal may have already and has not said so: nobody but its sender closes it."""
        self._uncertain: list[str] = []
        """Keys whose record the database may have taken without saying so."""

    def serve(self, seeker: Seeker) -> None:
        """Look for what ``seeker`` wants, too."""
        self._seekers.append(seeker)

    def pay_too(self, pay: Callable[[], Awaitable[bool]]) -> None:
        """Try again and again to do what else is owed; ``pay`` tells whether all of it is done."""
        self._debts.append(pay)

    def wake(self) -> None:
        """Something is owed since just now."""
        self._wakeup.set()

    # -- life ---------------------------------------------------------------------------------------------------------

    async def recover(self) -> None:
        """What was on the wire when an earlier engine ended may have been done: look for it."""
        for instruction in self.book.all():
            if instruction.state is InstructionState.SENDING:
                await self.book.settle(instruction.number, InstructionState.UNKNOWN, LOST_WORDS)
            if self.book.get(instruction.number).state is InstructionState.UNKNOWN:
                self._lookups[instruction.number] = self._lookup()

    async def run(self) -> None:
        """Look for ever: often while something is unknown, now and then while something was presumed absent."""
        limits = self.settings.instructions
        while True:
            self._wakeup.clear()
            questions = self._questions()
            is_behind = self.book.is_behind or self._owes
            is_urgent = is_behind or any(item.state is InstructionState.UNKNOWN for item in questions)
            if not questions:
                is_settled = await self._pay() and await self._close_uncertain()
                await self._wakeup.wait(None if is_settled else limits.poll_s)
                continue  # what has just lost its answer is given a moment to show
            await self._wakeup.wait(limits.poll_s if is_urgent else limits.list_s)
            await self.look()

    async def look(self) -> None:
        """Look once for everything that is open; what cannot be read is looked for again."""
        await self._pay()
        for seeker in self._seekers:
            questions = tuple(item for item in self._questions() if seeker.wants(item))
            if not questions:
                continue
            try:
                await seeker.look(questions)
            except BrokerError as error:
                # The window goes on by itself; only good reads count.
                self.book.tell(Severity.INFO, f"{name_of(questions[0])} could not be looked for: {error}")

    async def stop(self) -> None:
        """Wait for the answers that are out; what has none by then stays in the journal as being sent."""
        if self._tasks:
            limit = asyncio.ensure_future(self.clock.sleep(self.settings.stop_timeout_s))
            waiting: set[asyncio.Future[Any]] = set(self._tasks)
            while waiting and not limit.done():
                await asyncio.wait({*waiting, limit}, return_when=asyncio.FIRST_COMPLETED)
                waiting = {task for task in waiting if not task.done()}
            limit.cancel()
            for task in waiting:
                task.cancel()
            await asyncio.gather(limit, *waiting, return_exceptions=True)
        await self.book.pay()

    async def _pay(self) -> bool:
        paid = [await self.book.pay(), *[await pay() for pay in self._debts]]
        self._owes = not all(paid)
        return not self._owes

    def _questions(self) -> tuple[Instruction, ...]:
        states = {InstructionState.UNKNOWN, InstructionState.PRESUMED_ABSENT}
        return tuple(item for item in self.book.all() if item.state in states)

    # -- asking --------------------------------------------------------------------------------------------------------

    async def own(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it in a task of ours: a caller that goes away does not leave it half done."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    def key(self, given: str | None) -> str:
        """The caller's idempotency key, or one made once."""
        return f"made-{self._random_bytes(RANDOM_BYTES).hex()}" if given is None else given

    async def known(self, key: str | None) -> Receipt | None:
        """The receipt of what a key has asked for before; ``None`` when it is new."""
        if key is None:
            return None
        most = self.settings.idempotency_key_length_max
        if not 0 < len(key) <= most:
            return refused("key", f"An idempotency key has 1 to {most} characters, not {len(key)}.")
        try:
            found = await self.book.by_key(key)
        except StorageError as error:
            return refused("journal", f"The journal cannot tell whether this key is known ({error}); nothing sent.")
        if found is None:
            return None
        if self._is_left(found):
            # Told to its caller as not written: nobody would ever send it.
            found = await self.book.settle(found.number, InstructionState.NOT_SENT, LATE_WORDS)
        return receipt_of(found, repeated=True)

    def _is_left(self, found: Instruction) -> bool:
        """Whether it stands as being sent, and nobody is sending it."""
        is_under_way = found.number in self._in_flight or self._being_written[found.idempotency_key] > 0
        return found.state is InstructionState.SENDING and not is_under_way

    async def _close_uncertain(self) -> bool:
        """Close what the database took after all when it was reported as not taken; whether all is known."""
        while self._uncertain:
            try:
                found = await self.book.by_key(self._uncertain[0])
            except StorageError:
                return False
            if found is not None and self._is_left(found):
                await self.book.settle(found.number, InstructionState.NOT_SENT, LATE_WORDS)
            del self._uncertain[:1]
        return True

    async def send(
        self,
        instruction: Instruction,
        request: Callable[[], Awaitable[int | None]],
        *,
        is_harmless: bool = False,
    ) -> Receipt:
        """Journal it, ask once, journal what came of it.

        Args:
            instruction: New, SENDING.
            request: Asks the broker once; gives the trigger's id where there is one.
            is_harmless: It may be asked twice, so that a journal that is away does not keep it from being asked.
        """
        try:
            made = await self._written(instruction, is_harmless=is_harmless)
        except StorageConflict:
            known = await self.known(instruction.idempotency_key)
            return known or refused("key", "This key is taken; nothing was sent.")
        except InvalidInput as error:
            return refused(error.field or "instruction", str(error))
        except StorageError as error:
            self._uncertain.append(instruction.idempotency_key)
            self._wakeup.set()
            return refused("journal", f"It could not be journalled ({error}); it was not sent.")
        try:
            return await self._send(made, request)
        finally:
            self._in_flight.discard(made.number)
            if self.book.is_behind:
                self._wakeup.set()

    async def _written(self, instruction: Instruction, *, is_harmless: bool) -> Instruction:
        """Journal a new one; from the moment on at which the journal may have it, it counts as under way."""
        self._being_written[instruction.idempotency_key] += 1
        try:
            made = await (self.book.record_or_owe if is_harmless else self.book.record)(instruction)
            self._in_flight.add(made.number)
        finally:
            self._being_written[instruction.idempotency_key] -= 1
            self._being_written += Counter()  # without the keys at 0
        return made

    async def _send(self, made: Instruction, request: Callable[[], Awaitable[int | None]]) -> Receipt:
        if self.is_closed():
            words = "the engine stopped before it was sent"
            return receipt_of(await self.book.settle(made.number, InstructionState.NOT_SENT, words))
        return receipt_of(await self._ask(made, request))

    async def _ask(self, made: Instruction, request: Callable[[], Awaitable[int | None]]) -> Instruction:
        trigger: list[int | None] = []

        async def once() -> BrokerOrderId:
            trigger.append(await request())
            return BrokerOrderId("")

        outcome = Outcome(answer=Answer.NOT_SENT, words="it was not tried")
        for attempt in range(max(1, self.settings.instructions.attempts)):
            self.breaker.begin()
            outcome = await ask(once())
            self.breaker.end(outcome.reach, outcome.words)
            if outcome.answer is not Answer.TOO_FAST or attempt + 1 >= self.settings.instructions.attempts:
                break
            await self.clock.sleep(outcome.retry_after_s or self.settings.budget.rate_limited_pause_s)
        words = outcome.words
        if outcome.answer is Answer.TAKEN:
            return await self.book.settle(
                made.number, InstructionState.DONE, "done", trigger_id=trigger[-1] if trigger else None
            )
        if outcome.answer is Answer.REFUSED:
            return await self.book.settle(made.number, InstructionState.REFUSED, words)
        if outcome.answer is Answer.LOST:
            unknown = await self.book.settle(made.number, InstructionState.UNKNOWN, words)
            self._lookups[made.number] = self._lookup()
            self.book.tell(
                Severity.DANGER,
                f"{name_of(made)} is UNKNOWN: {words} It is looked for, never sent again.",
                seat=made.seat,
            )
            self._wakeup.set()
            return unknown
        return await self.book.settle(made.number, InstructionState.NOT_SENT, f"Not sent: {words}")

    # -- what seekers say ----------------------------------------------------------------------------------------------

    async def found(self, instruction: Instruction, words: str, *, trigger_id: int | None = None) -> Instruction:
        """Its effect is there: it was done."""
        self._lookups.pop(instruction.number, None)
        is_late = instruction.state is InstructionState.PRESUMED_ABSENT
        after = await self.book.settle(instruction.number, InstructionState.DONE, words, trigger_id=trigger_id)
        late = " It had been presumed absent: look at both." if is_late else ""
        severity = Severity.DANGER if is_late else Severity.ATTENTION
        self.book.tell(severity, f"{name_of(after)} was done after all: {words}.{late}", seat=after.seat)
        return after

    async def missed(self, instruction: Instruction, read_started_at: float) -> None:
        """A good read did not show its effect; after the whole window it is presumed not to have been done."""
        lookup = self._lookups.get(instruction.number)
        if instruction.state is not InstructionState.UNKNOWN or lookup is None or not lookup.missed(read_started_at):
            return
        window = f"{self.settings.unknown_window_s:g} s"
        await self.give_up(instruction, f"It did not show at the broker for {window} and is presumed not done.")

    async def give_up(self, instruction: Instruction, words: str) -> None:
        """Presume that it was not done; it is never sent again by itself."""
        if instruction.state is not InstructionState.UNKNOWN:
            return
        self._lookups.pop(instruction.number, None)
        await self.book.settle(instruction.number, InstructionState.PRESUMED_ABSENT, words)
        self.book.tell(
            Severity.DANGER,
            f"{name_of(instruction)} is PRESUMED ABSENT: {words} Look at the broker's own page.",
            seat=instruction.seat,
        )

    def may_judge(self, instruction: Instruction, read_started_at: float) -> bool:
        """Whether a read begun then can show its effect."""
        lookup = self._lookups.get(instruction.number)
        return lookup is None or lookup.may_judge(read_started_at)

    def _lookup(self) -> Lookup:
        return Lookup(
            ended_at=self.clock.monotonic(),
            window_s=self.settings.unknown_window_s,
            reads_min=self.settings.unknown_reads_min,
        )


_WORDS = {
    InstructionState.SENDING: "is on its way",
    InstructionState.UNKNOWN: "was sent and no trustworthy answer came; it is looked for, never sent again",
    InstructionState.DONE: "is done",
    InstructionState.REFUSED: "was refused",
    InstructionState.NOT_SENT: "was not sent",
    InstructionState.PRESUMED_ABSENT: "is presumed not to have been done",
}
_NOT_DONE = frozenset({InstructionState.REFUSED, InstructionState.NOT_SENT})


def receipt_of(instruction: Instruction, *, repeated: bool = False) -> Receipt:
    """What is told of it: a definite no is a refusal, everything else is under way or done."""
    words = f"{name_of(instruction)} {_WORDS[instruction.state]}"
    if instruction.message and instruction.state is not InstructionState.DONE:
        words += f": {instruction.message}"
    if repeated:
        words = f"This key asked for it before; nothing new was sent. {words}"
    message = words.rstrip(".") + "."
    if instruction.number < 0:
        message += " The journal is away and is told when it is back."
    if instruction.state in _NOT_DONE:
        found = refused("broker" if instruction.state is InstructionState.REFUSED else "sending", message)
    else:
        found = Receipt(accepted=True, message=message)
    return Receipt(
        accepted=found.accepted,
        message=found.message,
        violations=found.violations,
        repeated=repeated,
        instruction=instruction.number if instruction.number > 0 else None,
        instruction_state=instruction.state,
        trigger_id=instruction.trigger_id,
    )
