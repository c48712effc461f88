"""An order's own row is what is durable before it leaves; its intent and its line of SEND are written from it later."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE orders
    DROP CONSTRAINT orders_intent_fkey,
    ADD COLUMN intent_epoch    bigint CONSTRAINT orders_intent_epoch_check CHECK (intent_epoch > 0),
    ADD COLUMN intent_wall_at  timestamptz,
    ADD COLUMN intent_decision text,
    ADD CONSTRAINT orders_intent_check CHECK (
        intent_id IS NULL OR (intent_id <> '' AND idempotency_key <> '' AND tag ~ '^[A-Za-z0-9]{1,20}$')
    );
COMMENT ON COLUMN orders.intent_epoch IS
    'Which writer made it, until the intent and the line of SEND are written from this row; null afterwards.';
COMMENT ON COLUMN orders.intent_wall_at IS 'As in the intent, until that is written; null afterwards.';
COMMENT ON COLUMN orders.intent_decision IS 'As in the intent, until that is written; null afterwards.';
CREATE UNIQUE INDEX orders_tag_key ON orders (account_id, tag) WHERE intent_id IS NOT NULL;
ALTER TABLE order_intents ADD CONSTRAINT order_intents_order_fkey FOREIGN KEY (intent_id) REFERENCES orders (intent_id);
COMMENT ON TABLE order_intents IS
    'Orders as wanted. Written from the order before anything of that changes. Rows are never changed.';
"""

DOWNGRADE = """
ALTER TABLE order_intents DROP CONSTRAINT order_intents_order_fkey;
INSERT INTO order_intents (
    intent_id, account_id, tag, idempotency_key, epoch, created_at,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy, wall_at, decision, terms
)
SELECT
    intent_id, account_id, tag, idempotency_key, intent_epoch, created_at,
    exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
    validity, variety, market_protection, strategy, intent_wall_at, intent_decision, terms
FROM orders WHERE intent_epoch IS NOT NULL;
INSERT INTO order_events (
    number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts, epoch
)
SELECT number, account_id, 'SEND', 'QUEUED', 'SENDING', true, created_at, '', intent_wall_at, '', intent_epoch
FROM orders WHERE intent_epoch IS NOT NULL AND sent_at IS NOT NULL ORDER BY number;
DROP INDEX orders_tag_key;
ALTER TABLE orders
    DROP CONSTRAINT orders_intent_check,
    DROP COLUMN intent_epoch, DROP COLUMN intent_wall_at, DROP COLUMN intent_decision,
    ADD CONSTRAINT orders_intent_fkey FOREIGN KEY (intent_id) REFERENCES order_intents (intent_id);
COMMENT ON TABLE order_intents IS 'Orders as wanted, written before anything is sent. Rows are never changed.';
"""


def upgrade() -> None:
    """Turn the reference round, and let orders carry what an intent needs."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Write what is not written yet, and turn it back."""
    run_sql(DOWNGRADE)
