"""How a trigger is told in words."""

from __future__ import annotations

from engine.core.standing_triggers import GttRequest
from engine.execution.words import grouped


def trigger_words(request: GttRequest) -> str:
    """``at 60 SELL 65 NIFTY26D0124000CE at 58 NRML, or …``."""
    orders = [
        f"at {order.trigger_price} {order.side} {grouped(order.quantity)} {request.instrument.tradingsymbol} "
        f"at {order.price} {order.product}"
        for order in request.orders
    ]
    return ", or ".join(orders) or "nothing"
