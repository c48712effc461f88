"""Order numbers that an engine had reserved and gave back without using them."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE spare_order_numbers (
    number  bigint NOT NULL CONSTRAINT spare_order_numbers_pkey PRIMARY KEY
        CONSTRAINT spare_order_numbers_number_check CHECK (number > 0)
);
COMMENT ON TABLE spare_order_numbers IS 'Numbers that were reserved and that no order has; taken before new ones.';
COMMENT ON COLUMN spare_order_numbers.number IS 'The number.';
"""

DOWNGRADE = """
DROP TABLE spare_order_numbers;
"""


def upgrade() -> None:
    """Make the table."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop it."""
    run_sql(DOWNGRADE)
