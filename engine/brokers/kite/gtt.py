"""Triggers that stand at the broker: what to ask of Kite, and what it lists. Pure.

A request is a form with two fields of JSON; its numbers are JSON numbers, as the official client sends them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from engine.brokers.kite.messages import Parsed, UnreadableAnswer
from engine.brokers.kite.values import exact, moment, whole, word
from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey
from engine.core.standing_triggers import Gtt, GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Exchange, OrderType, Product, Side

ORDER_SUCCESS: Final = "success"
_OWN_WORDS: Final = frozenset({GttStatus.UNKNOWN, GttStatus.PRESUMED_ABSENT})
_ACTIVE: Final = b'"active"'
_SHOWN_BYTES: Final = 160


class _Envelope(msgspec.Struct):
    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _TriggerId(msgspec.Struct):
    trigger_id: int


class _Condition(msgspec.Struct):
    exchange: str
    tradingsymbol: str
    trigger_values: list[Decimal]
    last_price: Decimal | None = None


class _OrderResult(msgspec.Struct):
    status: str | None = None
    order_id: str | int | None = None
    rejection_reason: str | None = None


class _Result(msgspec.Struct):
    order_result: _OrderResult | None = None


class _Order(msgspec.Struct):
    exchange: str
    tradingsymbol: str
    transaction_type: str
    quantity: Decimal
    order_type: str
    product: str
    price: Decimal
    result: _Result | None = None


class _Trigger(msgspec.Struct):
    id: int
    type: str
    status: str
    condition: _Condition
    orders: list[_Order]
    created_at: str | None = None
    updated_at: str | None = None
    expires_at: str | None = None


def gtt_form(request: GttRequest, last_price: Decimal) -> dict[str, str]:
    """The fields of ``POST`` and ``PUT /gtt/triggers``."""
    key = request.instrument
    condition = {
        "exchange": key.exchange,
        "tradingsymbol": key.tradingsymbol,
        "trigger_values": [float(order.trigger_price) for order in request.orders],
        "last_price": float(last_price),
    }
    orders = [
        {
            "exchange": key.exchange,
            "tradingsymbol": key.tradingsymbol,
            "transaction_type": order.side,
            "quantity": order.quantity,
            "order_type": OrderType.LIMIT,
            "product": order.product,
            "price": float(order.price),
        }
        for order in request.orders
    ]
    return {
        "type": request.kind,
        "condition": msgspec.json.encode(condition).decode("ascii"),
        "orders": msgspec.json.encode(orders).decode("ascii"),
    }


def trigger_id_of(body: bytes) -> int | None:
    """The id of a placed, changed or deleted trigger; ``None`` when the answer names none."""
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        if envelope.status != "success":
            return None
        return msgspec.json.decode(envelope.data, type=_TriggerId).trigger_id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def parse_gtts(body: bytes, account: AccountId) -> Parsed[Gtt]:
    """Triggers that stand, and those that ended in the last days.

    Raises:
        UnreadableAnswer: it is not a list in an envelope, or an active trigger is not understood: a list without it
            would say that it is absent.
    """
    try:
        envelope = msgspec.json.decode(body, type=_Envelope)
        if envelope.status != "success":
            raise UnreadableAnswer(f'the status is "{envelope.status}" in an answer of success')
        raws = msgspec.json.decode(envelope.data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableAnswer(f"the answer is not what was asked for: {error}") from None
    rows: list[Gtt] = []
    unread: list[str] = []
    for raw in raws:
        content = bytes(raw)
        try:
            rows.append(_gtt(msgspec.json.decode(content, type=_Trigger), account))
        except (msgspec.DecodeError, ValueError, InvalidInput) as error:
            sentence = f"{error}: {content[:_SHOWN_BYTES].decode('utf-8', errors='replace')}"
            if _ACTIVE in content:
                raise UnreadableAnswer(f"an active trigger was not understood: {sentence}") from None
            unread.append(sentence)
    return Parsed(tuple(rows), tuple(unread))


def _gtt(row: _Trigger, account: AccountId) -> Gtt:
    condition, kind = row.condition, word(GttKind, row.type, "type")
    values = condition.trigger_values
    if len(values) != len(row.orders):
        raise ValueError(f"{len(values)} trigger values for {len(row.orders)} orders")
    key = InstrumentKey(word(Exchange, condition.exchange, "exchange"), condition.tradingsymbol)
    status = word(GttStatus, row.status, "status")
    if status in _OWN_WORDS:
        raise ValueError(f'status is "{row.status}", which is no word of the broker')
    words = [order.result.order_result for order in row.orders if order.result and order.result.order_result]
    return Gtt(
        trigger_id=row.id,
        account=account,
        request=GttRequest(
            instrument=key,
            kind=kind,
            orders=tuple(_order(order, value, key) for order, value in zip(row.orders, values, strict=True)),
        ),
        status=status,
        created_at=moment(row.created_at, "created_at"),
        updated_at=moment(row.updated_at, "updated_at"),
        expires_at=moment(row.expires_at, "expires_at"),
        last_price=None if condition.last_price is None else exact(condition.last_price, "last_price"),
        message=next((result.rejection_reason for result in words if result.rejection_reason), ""),
    )


def _order(row: _Order, trigger: Decimal, key: InstrumentKey) -> GttOrder:
    if (row.exchange, row.tradingsymbol) != (key.exchange, key.tradingsymbol):
        raise ValueError(f"an order is for {row.exchange}:{row.tradingsymbol}, the condition for {key}")
    if row.order_type != OrderType.LIMIT:
        raise ValueError(f'order_type is "{row.order_type}"; orders of triggers are LIMIT')
    result = row.result.order_result if row.result is not None else None
    return GttOrder(
        trigger_price=exact(trigger, "trigger_values"),
        side=word(Side, row.transaction_type, "transaction_type"),
        quantity=whole(row.quantity, "quantity"),
        price=exact(row.price, "price"),
        product=word(Product, row.product, "product"),
        result_order_id=BrokerOrderId(str(result.order_id)) if result is not None and result.order_id else None,
        result_words="" if result is None else (result.rejection_reason or result.status or ""),
    )
