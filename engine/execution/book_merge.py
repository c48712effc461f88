"""What one row of the broker's book means for an order of ours: a pure function.

Only transitions of the table are applied. Fills never shrink. Fields of a resting order follow the book, because only
the book says what really rests. Rows may be late, repeated and out of order.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.commands import OrderChange
from engine.core.decisions import LetterState
from engine.core.orders import BrokerOrder, OrderRecord, OrderRequest, OrderState, OrderTrigger, next_state
from engine.core.vocabulary import OrderType
from engine.execution.transitions import SAYS, Step, step

SEARCHED = frozenset({OrderState.SENDING, OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT})
"""States in which finding our tag in the book is the answer."""
IN_FLIGHT = frozenset({OrderState.MODIFYING, OrderState.CANCELLING})


class Merge(msgspec.Struct, frozen=True, kw_only=True):
    """What a row does to a record."""

    steps: tuple[Step, ...] = ()
    """Legal steps in their order; the last one's record is how the order stands."""
    illegal: OrderTrigger | None = None
    """What the row said and the table does not allow."""
    grew_by: int = 0
    """Units filled that were not known."""
    changed: str = ""
    """Fields that changed at the broker, in words; empty when none did."""
    found: bool = False
    """The row is the answer that was missing."""


def merge_row(record: OrderRecord, row: BrokerOrder, at: datetime) -> Merge:
    """Work out what ``row`` says of ``record``; ``Merge()`` when it says nothing new."""
    steps: list[Step] = []
    current = record
    found = False
    if record.broker_order_id is None and record.state in SEARCHED:
        taken = step(
            record,
            OrderTrigger.ANSWERED,
            at,
            "found in the broker's book by its tag",
            broker_order_id=row.broker_order_id,
            answered_at=at,
            letter=record.letter if record.letter is LetterState.REPLAYED else LetterState.NONE,
        )
        steps.append(taken)
        current, found = taken.record, True
    filled, average = _fills(current, row)
    grew_by = filled - current.filled_quantity
    request = current.request
    # While a command is out the resting fields may be the past; a terminal row has the last word on them.
    if not current.state.is_terminal and (current.state not in IN_FLIGHT or SAYS[row.trigger].is_terminal):
        request = request_of_row(request, row)
    changed = "" if found else describe_difference(current.request, request)
    illegal: OrderTrigger | None = None
    target = next_state(current.state, row.trigger)
    if target is None and SAYS[row.trigger] is not current.state:
        illegal = row.trigger
    is_news = grew_by > 0 or request != current.request or (target is not None and target is not current.state)
    if is_news:
        fields: dict[str, object] = {"filled_quantity": filled, "average_price": average, "request": request}
        if row.message:
            fields["message"] = row.message
        if target is not None:
            fill = f"filled {filled} of {request.quantity} at {_value(average)}" if grew_by > 0 else ""
            detail = "; ".join(part for part in (row.status, fill, changed, row.message) if part)
            steps.append(step(current, row.trigger, at, detail, **fields))
        else:
            # A quantity is no state: a late fill counts even where the table lists no step.
            after = msgspec.structs.replace(current, updated_at=at, **fields)
            said = step(current, row.trigger, at, f"{row.status}: a late fill, {filled} in all")
            steps.append(Step(after, said.event))
            illegal = None
    return Merge(steps=tuple(steps), illegal=illegal, grew_by=max(0, grew_by), changed=changed, found=found)


def request_of_row(request: OrderRequest, row: BrokerOrder) -> OrderRequest:
    """The request as it rests according to the book (a MARKET order rests as a LIMIT at its protected price)."""
    return msgspec.structs.replace(
        request,
        quantity=row.quantity,
        order_type=row.order_type,
        validity=row.validity,
        price=row.price if row.order_type in {OrderType.LIMIT, OrderType.SL} and row.price else request.price,
        trigger_price=row.trigger_price or request.trigger_price,
    )


def shows_change(row: BrokerOrder, change: OrderChange) -> bool:
    """Whether the row stands as the modification asked."""
    return (
        (change.quantity is None or row.quantity == change.quantity)
        and (change.price is None or row.price == change.price)
        and (change.trigger_price is None or row.trigger_price == change.trigger_price)
        and (change.validity is None or row.validity is change.validity)
        # What was made a market order rests as the limit that its protection makes of it.
        and (change.order_type is None or _rests_as(change.order_type) is row.order_type)
    )


def describe_difference(before: OrderRequest, after: OrderRequest) -> str:
    """``price 105 > 106``, or empty when nothing differs."""
    parts = [
        f"{name} {_value(old)} > {_value(new)}"
        for name, old, new in (
            ("quantity", before.quantity, after.quantity),
            ("type", before.order_type, after.order_type),
            ("price", before.price, after.price),
            ("trigger", before.trigger_price, after.trigger_price),
        )
        if old != new
    ]
    return ", ".join(parts)


def describe_change(change: OrderChange) -> str:
    """A modification in words: ``quantity 130, price 106``."""
    named = (
        ("quantity", change.quantity),
        ("type", change.order_type),
        ("price", change.price),
        ("trigger", change.trigger_price),
        ("validity", change.validity),
        ("minutes", change.validity_ttl),
        ("disclosed", change.disclosed_quantity),
        ("protection", change.market_protection),
    )
    return ", ".join(f"{name} {value}" for name, value in named if value is not None)


def _rests_as(order_type: OrderType) -> OrderType:
    return {OrderType.MARKET: OrderType.LIMIT, OrderType.SL_M: OrderType.SL}.get(order_type, order_type)


def _fills(record: OrderRecord, row: BrokerOrder) -> tuple[int, Decimal | None]:
    if row.filled_quantity > record.filled_quantity:
        return row.filled_quantity, row.average_price
    return record.filled_quantity, record.average_price


def _value(value: object) -> str:
    return "none" if value is None else str(value)
