"""Orders that were judged and are being written: no number yet, no place in the queue, and counted already.

The judgement of the next order must see them as it sees those that work, or two orders of one moment would both pass a
check that only one of them passes. Nothing here is durable: an order leaves this list for the standings in the very
step in which it is known to be written, or for good when it is not.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.core.identifiers import IntentId, OrderNumber
from engine.core.orders import OrderIntent, OrderRecord, OrderState
from engine.execution.lanes import Lane

NOT_NUMBERED = OrderNumber(0)


class ComingOrder(NamedTuple):
    """One of them."""

    record: OrderRecord
    """As it will stand; its number is not known yet."""
    lane: Lane
    orders: int
    """What it counts for in the broker's day."""
    leaves: bool
    """It is written as SENDING."""
    is_alone: bool
    """The duplicate check looks at it; the pieces of a plan are equal by intention."""


class ComingOrders:
    """Those of one account; bounded by the places of the queue, which they take already."""

    def __init__(self) -> None:
        self._orders: dict[IntentId, ComingOrder] = {}

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, intent: OrderIntent, lane: Lane, *, leaves: bool, is_alone: bool) -> None:
        """It is judged, and on its way into the journal."""
        record = OrderRecord(
            number=NOT_NUMBERED,
            intent_id=intent.intent_id,
            account=intent.account,
            tag=intent.tag,
            request=intent.request,
            state=OrderState.QUEUED,
            idempotency_key=intent.idempotency_key,
            created_at=intent.created_at,
            updated_at=intent.created_at,
        )
        orders = intent.request.iceberg_legs or 1
        self._orders[intent.intent_id] = ComingOrder(record, lane, orders, leaves, is_alone)

    def remove(self, intent_id: IntentId) -> None:
        """It is in the standings, or will not be."""
        self._orders.pop(intent_id, None)

    def records(self) -> tuple[OrderRecord, ...]:
        """All of them, as they will stand."""
        return tuple(order.record for order in self._orders.values())

    def alone(self) -> tuple[OrderRecord, ...]:
        """Those that the duplicate check looks at."""
        return tuple(order.record for order in self._orders.values() if order.is_alone)

    def leaving(self) -> list[tuple[Lane, bool, int]]:
        """What the budget needs to know of those that leave as soon as they are written."""
        return [(order.lane, True, order.orders) for order in self._orders.values() if order.leaves]
