"""One step of an order's life as a pure function of its record: what the table allows, and what it does not."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from engine.core.orders import OrderEvent, OrderRecord, OrderState, OrderTrigger, next_state

SAYS = {
    OrderTrigger.BOOK_OPEN: OrderState.OPEN,
    OrderTrigger.BOOK_TRIGGER_PENDING: OrderState.TRIGGER_PENDING,
    OrderTrigger.BOOK_COMPLETE: OrderState.COMPLETE,
    OrderTrigger.BOOK_REJECTED: OrderState.REJECTED,
    OrderTrigger.BOOK_CANCELLED: OrderState.CANCELLED,
    OrderTrigger.BOOK_INTERIM: OrderState.ACCEPTED,
}
"""The state each word of the broker's book stands for."""


class Step(msgspec.Struct, frozen=True):
    """A record after a trigger, and the line of history that goes with it."""

    record: OrderRecord
    event: OrderEvent


def step(
    record: OrderRecord,
    trigger: OrderTrigger,
    at: datetime,
    detail: str = "",
    **changes: Any,  # noqa: ANN401 - fields of OrderRecord, passed on to it
) -> Step:
    """Apply ``trigger`` when the table lists it, together with ``changes`` of the record's fields.

    When it does not, the record is unchanged and the event says ``applied=False``.
    """
    target = next_state(record.state, trigger)
    if target is None:
        return Step(record, _event(record, trigger, record.state, at, detail, applied=False))
    after = msgspec.structs.replace(record, state=target, updated_at=at, **changes)
    return Step(after, _event(record, trigger, target, at, detail, applied=True))


def refused_step(record: OrderRecord, trigger: OrderTrigger, at: datetime, detail: str) -> OrderEvent:
    """The line of history for something that was said of an order and is not applied."""
    return _event(record, trigger, record.state, at, detail, applied=False)


def _event(
    record: OrderRecord, trigger: OrderTrigger, target: OrderState, at: datetime, detail: str, *, applied: bool
) -> OrderEvent:
    return OrderEvent(
        number=record.number,
        account=record.account,
        trigger=trigger,
        from_state=record.state,
        to_state=target,
        applied=applied,
        at=at,
        detail=detail,
    )
