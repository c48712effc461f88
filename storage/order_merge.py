"""Brings an order into the journal that was kept elsewhere while the database was away. Again changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.errors import StorageConflict
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord
from storage.boundary import aware
from storage.intent_completion import complete_order
from storage.order_rows import event_columns, intent_columns, request_columns, standing_columns, terms_of
from storage.session import Session

MERGE_INTENT = """
INSERT INTO order_intents (
    intent_id, account_id, tag, idempotency_key, epoch, created_at,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy, wall_at, decision, terms
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
ON CONFLICT (intent_id) DO NOTHING
"""
# What identifies an order is never rewritten; a number that is another order's is not taken from it.
MERGE_ORDER = """
INSERT INTO orders AS kept (
    number, intent_id, account_id, tag, idempotency_key, created_at,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy,
    state, broker_order_id, filled_quantity, average_price, message, updated_at, sent_at, answered_at,
    modifications, letter, terms
)
OVERRIDING SYSTEM VALUE
VALUES (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29
)
ON CONFLICT (number) DO UPDATE SET
    exchange = excluded.exchange, tradingsymbol = excluded.tradingsymbol, side = excluded.side,
    quantity = excluded.quantity, order_type = excluded.order_type, product = excluded.product,
    price = excluded.price, trigger_price = excluded.trigger_price, validity = excluded.validity,
    variety = excluded.variety, market_protection = excluded.market_protection, strategy = excluded.strategy,
    state = excluded.state, broker_order_id = excluded.broker_order_id,
    filled_quantity = excluded.filled_quantity, average_price = excluded.average_price,
    message = excluded.message, updated_at = excluded.updated_at, sent_at = excluded.sent_at,
    answered_at = excluded.answered_at, modifications = excluded.modifications, letter = excluded.letter,
    terms = excluded.terms
WHERE kept.account_id = excluded.account_id AND kept.intent_id IS NOT DISTINCT FROM excluded.intent_id
RETURNING kept.number
"""
MERGE_EVENTS = """
INSERT INTO order_events (
    number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts, epoch
)
SELECT
    $1, $2, given.trigger, given.from_state, given.to_state, given.applied, given.at, given.detail, given.wall_at,
    given.facts, $3
FROM unnest(
    $4::text[], $5::text[], $6::text[], $7::boolean[], $8::timestamptz[], $9::text[], $10::timestamptz[], $11::text[]
) WITH ORDINALITY AS given (trigger, from_state, to_state, applied, at, detail, wall_at, facts, place)
WHERE NOT EXISTS (
    SELECT FROM order_events AS kept
    WHERE kept.number = $1
        AND (kept.trigger, kept.from_state, kept.to_state, kept.applied, kept.at, kept.detail, kept.facts)
            = (given.trigger, given.from_state, given.to_state, given.applied, given.at, given.detail, given.facts)
        AND kept.wall_at IS NOT DISTINCT FROM given.wall_at
)
ORDER BY given.place
"""


async def merge_order(
    session: Session, intent: OrderIntent | None, record: OrderRecord, events: Sequence[OrderEvent], epoch: int
) -> None:
    """Write intent, order and lines of history, as far as they are not there yet; the caller holds a transaction.

    Raises:
        StorageConflict: the number is another order's.
    """
    await complete_order(session, record.account, record.number)
    number = await session.fetchval(
        MERGE_ORDER,
        record.number,
        record.intent_id,
        record.account,
        record.tag,
        record.idempotency_key,
        aware(record.created_at),
        *request_columns(record.request),
        *standing_columns(record),
        terms_of(record.request),
    )
    if number is None:
        raise StorageConflict(f"The number o{record.number} is another order's in the journal; nothing was written.")
    if intent is not None:
        await session.execute(
            MERGE_INTENT,
            intent.intent_id,
            intent.account,
            intent.tag,
            intent.idempotency_key,
            epoch,
            aware(intent.created_at),
            *request_columns(intent.request),
            *intent_columns(intent),
            terms_of(intent.request),
        )
    if events:
        columns = (list(column) for column in zip(*map(event_columns, events), strict=True))
        await session.execute(MERGE_EVENTS, record.number, record.account, epoch, *columns)
