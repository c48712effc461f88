"""Order requests to the form fields Kite expects, purely. The path's words are repeated in the form, as the official
client does.
"""

from __future__ import annotations

from engine.brokers.kite.values import plain
from engine.core.commands import OrderChange
from engine.core.identifiers import BrokerOrderId, OrderTag
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Variety


def place_form(request: OrderRequest, tag: OrderTag) -> dict[str, str]:
    """Fields of a placement; what is ``None`` is left out."""
    form = {
        "variety": str(request.variety),
        "exchange": str(request.instrument.exchange),
        "tradingsymbol": request.instrument.tradingsymbol,
        "transaction_type": str(request.side),
        "quantity": str(request.quantity),
        "product": str(request.product),
        "order_type": str(request.order_type),
        "validity": str(request.validity),
        "tag": str(tag),
    }
    if request.price is not None:
        form["price"] = plain(request.price)
    if request.trigger_price is not None:
        form["trigger_price"] = plain(request.trigger_price)
    if request.market_protection is not None:
        form["market_protection"] = plain(request.market_protection)
    for name, value in (
        ("validity_ttl", request.validity_ttl),
        ("iceberg_legs", request.iceberg_legs),
        ("iceberg_quantity", request.iceberg_quantity),
        ("disclosed_quantity", request.disclosed_quantity),
        ("auction_number", request.auction_number),
    ):
        if value is not None:
            form[name] = str(value)
    return form


def modify_form(order_id: BrokerOrderId, variety: Variety, change: OrderChange) -> dict[str, str]:
    """Fields of a modification: only what changes.

    The order type is sent only when it is to be another one: a market order with protection rests as a limit order, and
    to say MARKET again would turn it into one.
    """
    form = {"variety": str(variety), "order_id": str(order_id)}
    for name, value in (
        ("order_type", change.order_type),
        ("validity", change.validity),
        ("validity_ttl", change.validity_ttl),
        ("disclosed_quantity", change.disclosed_quantity),
    ):
        if value is not None:
            form[name] = str(value)
    if change.market_protection is not None:
        form["market_protection"] = plain(change.market_protection)
    if change.quantity is not None:
        form["quantity"] = str(change.quantity)
    if change.price is not None:
        form["price"] = plain(change.price)
    if change.trigger_price is not None:
        form["trigger_price"] = plain(change.trigger_price)
    return form
