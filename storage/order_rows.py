"""Orders and their events as rows: which value goes to which column, and back."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from engine.core.decisions import NO_FACTS, EventFacts, LetterState, OrderDecision
from engine.core.identifiers import (
    AccountId,
    BrokerOrderId,
    InstrumentKey,
    IntentId,
    OrderNumber,
    OrderTag,
    StrategyNumber,
)
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderRequest, OrderState, OrderTrigger
from engine.core.vocabulary import Exchange, OrderType, Product, Side, Validity, Variety
from storage.boundary import aware, aware_or_none, storable
from storage.session import Row

Kept = TypeVar("Kept", bound=msgspec.Struct)

RECORD_COLUMNS = """
    number, intent_id, account_id, tag, idempotency_key,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy, terms,
    state, broker_order_id, filled_quantity, average_price, message, created_at, updated_at, sent_at, answered_at,
    modifications, letter
"""
INTENT_COLUMNS = """
    intents.intent_id, intents.account_id, intents.tag, intents.idempotency_key,
    intents.exchange, intents.tradingsymbol, intents.side, intents.quantity, intents.order_type, intents.product,
    intents.price, intents.trigger_price, intents.validity, intents.variety, intents.market_protection,
    intents.strategy, intents.terms, intents.created_at, intents.wall_at, intents.decision
"""
EVENT_COLUMNS = "sequence, number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts"
EVENT_COLUMNS_WRITTEN = 8
"""How many columns ``event_columns`` gives."""


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What few orders have; units and minutes."""

    validity_ttl: int | None = None
    iceberg_legs: int | None = None
    iceberg_quantity: int | None = None
    disclosed_quantity: int | None = None
    auction_number: str | None = None


NO_TERMS = OrderTerms()


def request_columns(request: OrderRequest) -> tuple[object, ...]:
    """The columns from ``exchange`` to ``strategy``, in the order of ``RECORD_COLUMNS``."""
    return (
        request.instrument.exchange,
        request.instrument.tradingsymbol,
        request.side,
        request.quantity,
        request.order_type,
        request.product,
        request.price,
        request.trigger_price,
        request.validity,
        request.variety,
        request.market_protection,
        request.strategy,
    )


def terms_of(request: OrderRequest) -> str:
    """The column ``terms``: what few orders have."""
    terms = OrderTerms(
        validity_ttl=request.validity_ttl,
        iceberg_legs=request.iceberg_legs,
        iceberg_quantity=request.iceberg_quantity,
        disclosed_quantity=request.disclosed_quantity,
        auction_number=request.auction_number,
    )
    return "" if terms == NO_TERMS else text_of(terms)


def standing_columns(record: OrderRecord) -> tuple[object, ...]:
    """The columns of an order that change on its way, from ``state`` to ``letter``, without what identifies it."""
    return (
        record.state,
        record.broker_order_id,
        record.filled_quantity,
        record.average_price,
        storable(record.message),
        aware(record.updated_at),
        aware_or_none(record.sent_at),
        aware_or_none(record.answered_at),
        record.modifications,
        record.letter,
    )


def event_columns(event: OrderEvent) -> tuple[object, ...]:
    """The columns from ``trigger`` to ``facts``, in the order of ``EVENT_COLUMNS``."""
    return (
        event.trigger,
        event.from_state,
        event.to_state,
        event.applied,
        aware(event.at),
        storable(event.detail),
        aware_or_none(event.wall_at),
        "" if event.facts == NO_FACTS else text_of(event.facts),
    )


def intent_columns(intent: OrderIntent) -> tuple[object, ...]:
    """When and why an order was made: the columns ``wall_at`` and ``decision``."""
    return aware_or_none(intent.wall_at), "" if intent.decision is None else text_of(intent.decision)


def text_of(value: msgspec.Struct) -> str:
    """A struct as text that a database can keep, whatever characters stand in it."""
    try:
        return msgspec.json.encode(value).decode("utf-8")
    except UnicodeEncodeError:
        return storable(json.dumps(msgspec.to_builtins(value), ensure_ascii=False))


def read_text(text: str, kind: type[Kept]) -> Kept | None:
    """The struct that ``text_of`` wrote; ``None`` for an empty text."""
    return msgspec.json.decode(text, type=kind) if text else None


def intent_from_row(row: Row) -> OrderIntent:
    """Build an intent from a row of ``INTENT_COLUMNS``."""
    return OrderIntent(
        intent_id=IntentId(row["intent_id"]),
        account=AccountId(row["account_id"]),
        tag=OrderTag(row["tag"]),
        idempotency_key=row["idempotency_key"],
        request=_request_from_row(row),
        created_at=row["created_at"],
        wall_at=row["wall_at"],
        decision=read_text(row["decision"], OrderDecision),
    )


def _request_from_row(row: Row) -> OrderRequest:
    strategy = row["strategy"]
    terms = read_text(row["terms"], OrderTerms) or NO_TERMS
    return OrderRequest(
        instrument=InstrumentKey(Exchange(row["exchange"]), row["tradingsymbol"]),
        side=Side(row["side"]),
        quantity=row["quantity"],
        order_type=OrderType(row["order_type"]),
        product=Product(row["product"]),
        price=row["price"],
        trigger_price=row["trigger_price"],
        validity=Validity(row["validity"]),
        variety=Variety(row["variety"]),
        market_protection=row["market_protection"],
        strategy=None if strategy is None else StrategyNumber(strategy),
        validity_ttl=terms.validity_ttl,
        iceberg_legs=terms.iceberg_legs,
        iceberg_quantity=terms.iceberg_quantity,
        disclosed_quantity=terms.disclosed_quantity,
        auction_number=terms.auction_number,
    )


def record_from_row(row: Row) -> OrderRecord:
    """Build an order from a row of ``RECORD_COLUMNS``."""
    intent_id, tag, broker_order_id = row["intent_id"], row["tag"], row["broker_order_id"]
    return OrderRecord(
        number=OrderNumber(row["number"]),
        intent_id=None if intent_id is None else IntentId(intent_id),
        account=AccountId(row["account_id"]),
        tag=None if tag is None else OrderTag(tag),
        request=_request_from_row(row),
        state=OrderState(row["state"]),
        broker_order_id=None if broker_order_id is None else BrokerOrderId(broker_order_id),
        filled_quantity=row["filled_quantity"],
        average_price=row["average_price"],
        message=row["message"],
        idempotency_key=row["idempotency_key"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        sent_at=row["sent_at"],
        answered_at=row["answered_at"],
        modifications=row["modifications"],
        letter=LetterState(row["letter"]),
    )


def event_from_row(row: Row) -> OrderEvent:
    """Build an event from a row of ``EVENT_COLUMNS``."""
    return OrderEvent(
        number=OrderNumber(row["number"]),
        account=AccountId(row["account_id"]),
        trigger=OrderTrigger(row["trigger"]),
        from_state=OrderState(row["from_state"]),
        to_state=OrderState(row["to_state"]),
        applied=row["applied"],
        at=row["at"],
        detail=row["detail"],
        sequence=row["sequence"],
        wall_at=row["wall_at"],
        facts=read_text(row["facts"], EventFacts) or NO_FACTS,
    )
