"""Rows of the broker's book and records of ours, for tests of pure functions."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from engine.core.identifiers import BrokerOrderId, IntentId, OrderNumber, OrderTag
from engine.core.orders import BrokerOrder, OrderRecord, OrderState, OrderTrigger
from engine.core.vocabulary import OrderType, Product, Side, Validity, Variety
from tests.kit.fake_broker import TOKEN, TRIGGERS, option
from tests.unit.execution.desk import ACCOUNT, OPENING, buy

BROKER_ID = BrokerOrderId("261100000000001")
TAG = OrderTag("WSABCDEFGHIJKLMNOP")


def record(**fields: Any) -> OrderRecord:
    """An order of ours: o1, buy 65 at 105, OPEN at the broker."""
    base = OrderRecord(
        number=OrderNumber(1),
        intent_id=IntentId("0" * 32),
        account=ACCOUNT,
        tag=TAG,
        request=buy(),
        state=OrderState.OPEN,
        broker_order_id=BROKER_ID,
        created_at=OPENING,
        updated_at=OPENING,
    )
    return msgspec.structs.replace(base, **fields)


def row(status: str = "OPEN", **fields: Any) -> BrokerOrder:
    """The same order as the broker's book shows it."""
    base = BrokerOrder(
        broker_order_id=BROKER_ID,
        instrument=option().key,
        token=TOKEN,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        product=Product.NRML,
        variety=Variety.REGULAR,
        validity=Validity.DAY,
        status=status,
        trigger=TRIGGERS.get(status, OrderTrigger.BOOK_INTERIM),
        quantity=65,
        filled_quantity=0,
        price=Decimal(105),
        tag=TAG,
        placed_at=OPENING,
    )
    return msgspec.structs.replace(base, **fields)
