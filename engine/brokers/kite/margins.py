"""The broker's margin calculator: what to ask of it, and what it answers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from engine.brokers.kite.messages import UnreadableAnswer
from engine.brokers.kite.values import exact
from engine.core.funds_margin import BasketMargin, MarginParts
from engine.core.money import ZERO
from engine.core.orders import OrderRequest


class _Charges(msgspec.Struct):
    total: Decimal = Decimal(0)


class _Row(msgspec.Struct):
    tradingsymbol: str
    total: Decimal
    charges: _Charges = msgspec.field(default_factory=_Charges)


class _Answer(msgspec.Struct):
    data: list[_Row]


class _Block(msgspec.Struct):
    total: Decimal
    span: Decimal = ZERO
    exposure: Decimal = ZERO
    option_premium: Decimal = ZERO


class _Basket(msgspec.Struct):
    initial: _Block
    final: _Block
    orders: list[_Row]


class _BasketAnswer(msgspec.Struct):
    data: _Basket


def margin_body(requests: Sequence[OrderRequest]) -> bytes:
    """The body of ``POST /margins/orders`` and ``/margins/basket``: JSON with numbers, not strings."""
    return msgspec.json.encode([_element(request) for request in requests])


def _element(request: OrderRequest) -> dict[str, Any]:
    return {
        "exchange": request.instrument.exchange,
        "tradingsymbol": request.instrument.tradingsymbol,
        "transaction_type": request.side,
        "variety": request.variety,
        "product": request.product,
        "order_type": request.order_type,
        "quantity": request.quantity,
        # The wire wants JSON numbers; a price of two places survives a float.
        "price": float(request.price or 0),
        "trigger_price": float(request.trigger_price or 0),
    }


def parse_margins(body: bytes, requests: Sequence[OrderRequest]) -> tuple[Decimal, ...]:
    """What each order would block if it were sent alone, rupees, in the order asked.

    Raises:
        UnreadableAnswer: it is not one figure for each order asked, in their order.
    """
    try:
        rows = msgspec.json.decode(body, type=_Answer).data
        margins = tuple(exact(row.total, "total") for row in rows)
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadableAnswer(str(error)) from None
    asked = [request.instrument.tradingsymbol for request in requests]
    if [row.tradingsymbol for row in rows] != asked:
        raise UnreadableAnswer(f"{len(rows)} margins for {len(asked)} orders, or in another order")
    return margins


def parse_basket(body: bytes, requests: Sequence[OrderRequest]) -> BasketMargin:
    """What orders would block together, rupees.

    Raises:
        UnreadableAnswer: it is not a sum before and after with one figure for each order asked, in their order.
    """
    try:
        basket = msgspec.json.decode(body, type=_BasketAnswer).data
        margin = BasketMargin(
            initial=exact(basket.initial.total, "initial"),
            final=exact(basket.final.total, "final"),
            orders=tuple(exact(row.total, "total") for row in basket.orders),
            initial_parts=_parts(basket.initial),
            final_parts=_parts(basket.final),
        )
    except (msgspec.DecodeError, ValueError) as error:
        raise UnreadableAnswer(str(error)) from None
    asked = [request.instrument.tradingsymbol for request in requests]
    if [row.tradingsymbol for row in basket.orders] != asked:
        raise UnreadableAnswer(f"{len(basket.orders)} margins for {len(asked)} orders, or in another order")
    return margin


def _parts(block: _Block) -> MarginParts:
    return MarginParts(
        span=exact(block.span, "span"),
        exposure=exact(block.exposure, "exposure"),
        premium=exact(block.option_premium, "option_premium"),
    )
