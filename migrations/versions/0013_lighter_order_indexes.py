"""An order waits for its own row, so that row stands in fewer indexes.

What is asked by time is asked for a day or so of rows that lie together: one summary of blocks does for both times. An
order has no broker's number before it is answered, and needs no place in that index until then.
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
"""

DOWNGRADE = """
DROP INDEX orders_times_index, orders_broker_order_id_key;
CREATE INDEX orders_created_index ON orders (account_id, created_at);
CREATE INDEX orders_updated_index ON orders (account_id, updated_at);
ALTER TABLE orders ADD CONSTRAINT orders_broker_order_id_key UNIQUE (account_id, broker_order_id);
"""


def upgrade() -> None:
    """Let three indexes go of what no order needs while it waits."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Put every order into every index again."""
    run_sql(DOWNGRADE)
