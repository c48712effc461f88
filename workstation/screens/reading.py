"""Something asked of the engine again and again while it is looked at: never twice at once, never more often than told.

An answer belongs to the question it was given for. A question that fails leaves the last answer where it is, with the
reason beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from engine.core.errors import WorkstationError
from engine.core.ports import Clock
from workstation.presenters.seen import STALE_AFTER_S, Seen
from workstation.screens.context import Run

STALE_AFTER_QUESTIONS = 2
"""An answer to something seldom asked is old when this many questions later there is no newer one."""

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Reading(Generic[Question, Answer]):
    """One thing that is read."""

    def __init__(
        self,
        name: str,
        ask: Callable[[Question], Awaitable[Answer]],
        run: Run,
        clock: Clock,
        *,
        every_s: float,
    ) -> None:
        """Nothing has been asked yet.

        Args:
            name: The group its background work runs in; a new question replaces the one under way.
            ask: The engine's method.
            run: Runs it in the background of the screen that looks.
            clock: Its monotonic time spaces the questions.
            every_s: Seconds between two questions that are the same.
        """
        self._name = name
        self._ask = ask
        self._run = run
        self._clock = clock
        self._every_s = every_s
        self._under_way: Question | None = None
        self._asked: Question | None = None
        self._asked_at = 0.0
        self._answered: Question | None = None
        self._answer: Answer | None = None
        self._answered_at = 0.0
        self._trouble = ""
        self._taken = 0
        """Answers that came by another way: what was asked before one of them is older than it."""

    def want(self, question: Question) -> None:
        """Ask, if this is another question or the last answer is old enough."""
        now = self._clock.monotonic()
        if question == self._under_way:
            return
        if question == self._asked and now - self._asked_at < self._every_s:
            return
        if question != self._asked:
            self._trouble = ""
        self._asked, self._asked_at, self._under_way = question, now, question
        self._run(partial(self._read, question), self._name, True)

    def seen(self, question: Question | None) -> Seen[Answer]:
        """What is known of a question now."""
        trouble = self._trouble if question == self._asked else ""
        if self._answer is None or question is None or question != self._answered:
            return Seen(trouble=trouble)
        return Seen(
            value=self._answer,
            age_s=self._clock.monotonic() - self._answered_at,
            trouble=trouble,
            stale_after_s=max(STALE_AFTER_S, STALE_AFTER_QUESTIONS * self._every_s),
        )

    def take(self, question: Question, answer: Answer) -> None:
        """An answer that came by another way, newer than any that was asked for here."""
        self._trouble = ""
        self._taken += 1
        self._asked = question
        self._asked_at = self._answered_at = self._clock.monotonic()
        self._answer, self._answered = answer, question

    async def _read(self, question: Question) -> None:
        taken = self._taken
        try:
            answer = await self._ask(question)
        except WorkstationError as error:
            if self._asked == question and self._taken == taken:
                self._trouble = str(error) or type(error).__name__
        else:
            if self._asked == question and self._taken == taken:
                self._trouble = ""
                self._answer, self._answered, self._answered_at = answer, question, self._clock.monotonic()
        finally:
            # A question that was replaced must not open the way for a third one beside the second.
            if self._under_way == question:
                self._under_way = None
