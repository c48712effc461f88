"""Which order types have a price, a trigger, a protection; and how a sentence calls them."""

from __future__ import annotations

from decimal import Decimal

from engine.core.vocabulary import OrderType

BROKER_CHOOSES_BAND = Decimal(-1)
"""The market protection that leaves the band to the broker."""
PRICED = frozenset({OrderType.LIMIT, OrderType.SL})
TRIGGERED = frozenset({OrderType.SL, OrderType.SL_M})
PROTECTED = frozenset({OrderType.MARKET, OrderType.SL_M})


def an(order_type: OrderType) -> str:
    """``A LIMIT``, ``An SL``."""
    return f"An {order_type}" if order_type in TRIGGERED else f"A {order_type}"
