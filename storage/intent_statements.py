"""The statements that write new orders: the fence and the orders, all or none.

An order waits for this before it leaves, so it writes one row, which says everything. The intent, which keeps what was
wanted when the order has changed, and the line of SEND are written from that row before it changes, by
``intent_completion``.

One text in two forms. A single order is the commonest by far, so it has a form of its own, without arrays to unfold and
nothing to sort: a third less of the server's time.
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
)
INSERT INTO orders (
    number, intent_id, account_id, tag, idempotency_key,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy, terms,
    state, filled_quantity, message, created_at, updated_at, sent_at, modifications,
    intent_epoch, intent_wall_at, intent_decision
)
OVERRIDING SYSTEM VALUE
SELECT
    coalesce(given.reserved, nextval(pg_get_serial_sequence('orders', 'number'))),
    given.intent_id, fence.account_id, given.tag, given.idempotency_key,
    given.exchange, given.tradingsymbol, given.side, given.quantity, given.order_type, given.product, given.price,
    given.trigger_price, given.validity, given.variety, given.market_protection, given.strategy, given.terms,
    CASE WHEN given.leaves THEN 'SENDING' ELSE 'QUEUED' END, 0, '', given.created_at, given.created_at,
    CASE WHEN given.leaves THEN given.created_at END, 0,
    fence.epoch, given.wall_at, given.decision
FROM fence, (SELECT * FROM {given} AS rows (
    intent_id, tag, idempotency_key, created_at,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy, wall_at, decision, terms, reserved, leaves,
    place
) {in_order}) AS given
RETURNING number, intent_id
"""  # noqa: S608


def _parameters(suffix: str) -> str:
    return ", ".join(f"${number}::{kind}{suffix}" for number, kind in enumerate(_TYPES, _FIRST_PARAMETER))


RECORD_ONE_INTENT: Final = _statement(f"(VALUES ({_parameters('')}, 1))", in_order="")
"""Account, epoch, and the values of one order."""
RECORD_INTENTS: Final = _statement(f"unnest({_parameters('[]')}) WITH ORDINALITY", in_order="ORDER BY place")
"""Account, epoch, and one array per column."""
