"""Orders from outside: made on the phone, or by a program that is gone. Each is taken in once."""

from __future__ import annotations

from datetime import datetime

from engine.core.identifiers import AccountId, OrderNumber, StrategyNumber
from engine.core.orders import BrokerOrder, OrderEvent, OrderRecord, OrderRequest
from engine.execution.transitions import SAYS

NOT_NUMBERED = OrderNumber(0)
"""The journal gives the number."""


def request_from_row(row: BrokerOrder, strategy: StrategyNumber | None = None) -> OrderRequest:
    """What the row's order wants, as far as the book says; its strategy is that of the order it is a part of."""
    return OrderRequest(
        instrument=row.instrument,
        side=row.side,
        quantity=row.quantity,
        order_type=row.order_type,
        product=row.product,
        price=row.price,
        trigger_price=row.trigger_price,
        validity=row.validity,
        variety=row.variety,
        strategy=strategy,
    )


def outside_record(
    row: BrokerOrder, account: AccountId, at: datetime, strategy: StrategyNumber | None = None
) -> OrderRecord:
    """The record of an order that was not made here, or that the broker made of one that was.

    Its tag is left out: tags of others are not unique, ours are what answers are found by.
    """
    return OrderRecord(
        number=NOT_NUMBERED,
        intent_id=None,
        account=account,
        tag=None,
        request=request_from_row(row, strategy),
        state=SAYS[row.trigger],
        broker_order_id=row.broker_order_id,
        filled_quantity=row.filled_quantity,
        average_price=row.average_price if row.filled_quantity else None,
        message=row.message,
        created_at=row.placed_at or at,
        updated_at=at,
    )


def adoption_event(record: OrderRecord, row: BrokerOrder, at: datetime, why: str) -> OrderEvent:
    """The first line of an adopted order's history."""
    return OrderEvent(
        number=record.number,
        account=record.account,
        trigger=row.trigger,
        from_state=record.state,
        to_state=record.state,
        applied=True,
        at=at,
        detail=why if row.tag is None else f"{why}; its tag is {row.tag}",
    )
