"""The statements that write new orders: the fence, the intents, the orders and the lines of SEND, all or none.

One text in two forms. A single order is the commonest by far and waits for its row before it leaves, so it has a form
of its own, without arrays to unfold and nothing to sort: a third less of the server's time.
"""

from __future__ import annotations

from typing import Final

_TYPES: Final = (
    "text", "text", "text", "timestamptz",
    "text", "text", "text", "bigint", "text", "text", "numeric", "numeric",
    "text", "text", "numeric", "bigint", "timestamptz", "text", "text",
    "bigint", "boolean",
)  # fmt: skip
"""Of the columns of ``given`` but the last; the first of them is the third parameter."""
_FIRST_PARAMETER: Final = 3


def _statement(given: str, *, in_order: str) -> str:
    """The text around the rows: no row comes back when the epoch is not the newest.

    Args:
        given: The rows, each with its place as the last column.
        in_order: Keeps them in their order; empty when there is one.
    """
    # All of it is ours, nothing comes from outside.
    return f"""
WITH fence AS (
    SELECT account_id, epoch FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), wanted AS (
    SELECT
        fence.account_id, fence.epoch, given.*,
        coalesce(given.reserved, nextval(pg_get_serial_sequence('orders', 'number'))) AS number
    FROM fence, (SELECT * FROM {given} AS rows (
        intent_id, tag, idempotency_key, created_at,
        exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
        validity, variety, market_protection, strategy, wall_at, decision, terms, reserved, leaves,
        place
    ) {in_order}) AS given
), intents AS (
    INSERT INTO order_intents (
        intent_id, account_id, tag, idempotency_key, epoch, created_at,
        exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
        validity, variety, market_protection, strategy, wall_at, decision, terms
    )
    SELECT
        intent_id, account_id, tag, idempotency_key, epoch, created_at,
        exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
        validity, variety, market_protection, strategy, wall_at, decision, terms
    FROM wanted
), made AS (
    INSERT INTO orders (
        number, intent_id, account_id, tag, idempotency_key,
        exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
        validity, variety, market_protection, strategy, terms,
        state, filled_quantity, message, created_at, updated_at, sent_at, modifications
    )
    OVERRIDING SYSTEM VALUE
    SELECT
        number, intent_id, account_id, tag, idempotency_key,
        exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
        validity, variety, market_protection, strategy, terms,
        CASE WHEN leaves THEN 'SENDING' ELSE 'QUEUED' END, 0, '', created_at, created_at,
        CASE WHEN leaves THEN created_at END, 0
    FROM wanted
), noted AS (
    INSERT INTO order_events (
        number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts, epoch
    )
    SELECT number, account_id, 'SEND', 'QUEUED', 'SENDING', true, created_at, '', wall_at, '', epoch
    FROM wanted
    WHERE leaves
    {in_order}
)
SELECT number, intent_id FROM wanted
"""  # noqa: S608


def _parameters(suffix: str) -> str:
    return ", ".join(f"${number}::{kind}{suffix}" for number, kind in enumerate(_TYPES, _FIRST_PARAMETER))


RECORD_ONE_INTENT: Final = _statement(f"(VALUES ({_parameters('')}, 1))", in_order="")
"""Account, epoch, and the values of one order."""
RECORD_INTENTS: Final = _statement(f"unnest({_parameters('[]')}) WITH ORDINALITY", in_order="ORDER BY place")
"""Account, epoch, and one array per column."""
