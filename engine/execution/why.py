"""Why an order exists and how long its steps took: a pure function of what the journal has of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from engine.core.execution import OrderTimings, OrderWhy
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderTrigger

ANSWERS = frozenset({OrderTrigger.ANSWERED, OrderTrigger.REFUSED})


def explain(record: OrderRecord, intent: OrderIntent | None, history: Sequence[OrderEvent]) -> OrderWhy:
    """Put together what is known of an order."""
    return OrderWhy(
        order=record,
        decision=None if intent is None else intent.decision,
        timings=timings(history),
        history=tuple(history),
    )


def timings(history: Sequence[OrderEvent]) -> OrderTimings:
    """The durations that the lines of a history tell; those of a clock that was set back are left out."""
    first = next((event.facts for event in history if event.facts.queued_s is not None), None)
    answer = next((event for event in history if event.applied and event.trigger in ANSWERS), None)
    answered = None if answer is None else answer.wall_at
    return OrderTimings(
        queue_s=None if first is None else first.queued_s,
        send_s=None if first is None else first.sending_s,
        acknowledge_s=None if answer is None else answer.facts.answer_s,
        first_fill_s=_after(answered, history, lambda event: event.facts.filled is not None),
        fill_s=_after(answered, history, lambda event: event.applied and event.trigger is OrderTrigger.BOOK_COMPLETE),
    )


def _after(
    begin: datetime | None, history: Sequence[OrderEvent], matches: Callable[[OrderEvent], bool]
) -> float | None:
    end = next((event.wall_at for event in history if event.wall_at is not None and matches(event)), None)
    if begin is None or end is None or end < begin:
        return None
    return (end - begin).total_seconds()
