"""Writes intents and lines of SEND from the rows of new orders: with an order's first change, with a merge, and for all
of an account when somebody becomes its writer. Until then an order carries what they need, so nothing is ever missing.
"""

from __future__ import annotations

from typing import Final

from engine.core.identifiers import AccountId, OrderNumber
from storage.order_rows import EVENT_COLUMNS, INTENT_COLUMNS
from storage.session import Session

_WANTED: Final = """
    intent_id, account_id, tag, idempotency_key, {epoch}, created_at,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy, {wall_at}, {decision}, terms
"""
_KEPT = _WANTED.format(epoch="epoch", wall_at="wall_at", decision="decision")
_CARRIED = _WANTED.format(epoch="intent_epoch", wall_at="intent_wall_at", decision="intent_decision")

# The texts put together below are all ours, nothing of them comes from outside.
WRITE_INTENTS: Final = f"""
    INSERT INTO order_intents ({_KEPT})
    SELECT {_CARRIED} FROM begun
    ON CONFLICT (intent_id) DO NOTHING
"""  # noqa: S608
"""Of the orders in ``begun``, rows as they were before they changed."""
SENT_LINES: Final = """
    SELECT
        number, account_id, 'SEND' AS trigger, 'QUEUED' AS from_state, 'SENDING' AS to_state, true AS applied,
        created_at AS at, '' AS detail, intent_wall_at AS wall_at, '' AS facts, intent_epoch AS epoch
    FROM begun
    WHERE sent_at IS NOT NULL
"""
"""The lines of those in ``begun`` that were written as SENDING: nothing else sets ``sent_at`` before a first change."""
CARRIES_INTENT: Final = "intent_epoch IS NOT NULL"
NOTHING_CARRIED: Final = "intent_epoch = NULL, intent_wall_at = NULL, intent_decision = NULL"


def _complete(which: str) -> str:
    return f"""
WITH begun AS (
    SELECT * FROM orders WHERE account_id = $1 AND {CARRIES_INTENT} AND {which}
), changed AS (
    UPDATE orders SET {NOTHING_CARRIED} FROM begun WHERE orders.number = begun.number
), intents AS ({WRITE_INTENTS})
INSERT INTO order_events (
    number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts, epoch
)
{SENT_LINES}
ORDER BY number
"""  # noqa: S608


# An order that was never changed is QUEUED or SENDING; the condition is spelled as the partial index has it.
COMPLETE_ALL: Final = _complete("state NOT IN ('COMPLETE', 'REJECTED', 'CANCELLED', 'NOT_SENT')")
"""Of an account. To be run by a new writer once the old one can write nothing more."""
_COMPLETE_ONE: Final = _complete("number = $2")

READ_HISTORY: Final = f"""
WITH begun AS (SELECT * FROM orders WHERE number = $1 AND {CARRIES_INTENT})
SELECT {EVENT_COLUMNS} FROM order_events WHERE number = $1
UNION ALL
SELECT {EVENT_COLUMNS.replace("sequence", "0 AS sequence")} FROM ({SENT_LINES}) AS sent
ORDER BY sequence
"""  # noqa: S608
READ_INTENT: Final = f"""
SELECT {INTENT_COLUMNS}
FROM orders JOIN order_intents AS intents ON intents.intent_id = orders.intent_id
WHERE orders.number = $1
UNION ALL
SELECT {INTENT_COLUMNS.replace("intents.wall_at", "intent_wall_at").replace("intents.decision", "intent_decision")}
FROM orders AS intents
WHERE number = $1 AND {CARRIES_INTENT}
"""  # noqa: S608


async def complete_order(session: Session, account: AccountId, number: OrderNumber) -> None:
    """Write the intent and the line of SEND of one order, if they are not written; the caller holds a transaction in
    which it has made sure of being the writer.
    """
    await session.execute(_COMPLETE_ONE, account, number)
