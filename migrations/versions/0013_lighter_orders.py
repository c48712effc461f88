"""An order waits for its own row, so that row stands in fewer indexes and is checked by one expression.

What is asked by time is asked for a day or so of rows that lie together: one summary of blocks does for both times. An
order has no broker's number before it is answered, and needs no place in that index until then. The server reads the
text of every check anew for every row, so one check takes a fraction of the time of eight; which characters a tag may
have is checked where the intent is written from it. A foreign key to the account would lock its row for every order;
no account is ever taken away, so the program looks once whether it is there.
"""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UPGRADE = """
DROP INDEX orders_created_index, orders_updated_index;
CREATE INDEX orders_times_index ON orders USING brin (created_at, updated_at) WITH (pages_per_range = 16);
ALTER TABLE orders DROP CONSTRAINT orders_broker_order_id_key;
CREATE UNIQUE INDEX orders_broker_order_id_key ON orders (account_id, broker_order_id)
    WHERE broker_order_id IS NOT NULL;
ALTER TABLE orders
    DROP CONSTRAINT orders_account_fkey,
    DROP CONSTRAINT orders_tradingsymbol_check, DROP CONSTRAINT orders_quantity_check,
    DROP CONSTRAINT orders_broker_order_id_check, DROP CONSTRAINT orders_filled_quantity_check,
    DROP CONSTRAINT orders_modifications_check, DROP CONSTRAINT orders_letter_check,
    DROP CONSTRAINT orders_intent_epoch_check, DROP CONSTRAINT orders_intent_check,
    ADD CONSTRAINT orders_values_check CHECK (
        tradingsymbol <> '' AND quantity > 0 AND filled_quantity >= 0 AND modifications >= 0
        AND broker_order_id <> '' AND intent_epoch > 0 AND letter IN ('', 'open', 'closed', 'replayed')
        AND (intent_id IS NULL OR (intent_id <> '' AND idempotency_key <> '' AND length(tag) BETWEEN 1 AND 20))
    );
"""

DOWNGRADE = """
ALTER TABLE orders
    DROP CONSTRAINT orders_values_check,
    ADD CONSTRAINT orders_account_fkey FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    ADD CONSTRAINT orders_tradingsymbol_check CHECK (tradingsymbol <> ''),
    ADD CONSTRAINT orders_quantity_check CHECK (quantity > 0),
    ADD CONSTRAINT orders_broker_order_id_check CHECK (broker_order_id <> ''),
    ADD CONSTRAINT orders_filled_quantity_check CHECK (filled_quantity >= 0),
    ADD CONSTRAINT orders_modifications_check CHECK (modifications >= 0),
    ADD CONSTRAINT orders_letter_check CHECK (letter IN ('', 'open', 'closed', 'replayed')),
    ADD CONSTRAINT orders_intent_epoch_check CHECK (intent_epoch > 0),
    ADD CONSTRAINT orders_intent_check CHECK (
        intent_id IS NULL OR (intent_id <> '' AND idempotency_key <> '' AND tag ~ '^[A-Za-z0-9]{1,20}$')
    );
DROP INDEX orders_times_index, orders_broker_order_id_key;
CREATE INDEX orders_created_index ON orders (account_id, created_at);
CREATE INDEX orders_updated_index ON orders (account_id, updated_at);
ALTER TABLE orders ADD CONSTRAINT orders_broker_order_id_key UNIQUE (account_id, broker_order_id);
"""


def upgrade() -> None:
    """Let go of what no order needs while it waits."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Put every order into every index again, and check it rule by rule."""
    run_sql(DOWNGRADE)
