"""Why orders were made, how long their steps took, and which of them wait for a person as dead letters."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UPGRADE = """
ALTER TABLE order_intents
    ADD COLUMN wall_at  timestamptz,
    ADD COLUMN decision text NOT NULL DEFAULT '';
COMMENT ON COLUMN order_intents.wall_at IS 'When it was made by the clock of the machine, UTC; null on older rows.';
COMMENT ON COLUMN order_intents.decision IS 'What decided it and on which quotes, JSON; empty on older rows.';

ALTER TABLE order_events
    ADD COLUMN wall_at timestamptz,
    ADD COLUMN facts   text NOT NULL DEFAULT '';
CREATE INDEX order_events_sent_index ON order_events (account_id, wall_at) WHERE trigger = 'SEND';
COMMENT ON COLUMN order_events.wall_at IS 'When it happened by the clock of the machine, UTC; null on older rows.';
COMMENT ON COLUMN order_events.facts IS 'Cause, decision and durations, JSON; empty when there are none.';

ALTER TABLE orders
    ADD COLUMN letter text NOT NULL DEFAULT ''
        CONSTRAINT orders_letter_check CHECK (letter IN ('', 'open', 'closed', 'replayed'));
CREATE INDEX orders_letter_index ON orders (account_id, number) WHERE letter = 'open';
COMMENT ON COLUMN orders.letter IS 'Where it stands as a dead letter: open until a person has closed or replayed it.';
"""

DOWNGRADE = """
DROP INDEX orders_letter_index;
ALTER TABLE orders DROP COLUMN letter;
DROP INDEX order_events_sent_index;
ALTER TABLE order_events DROP COLUMN wall_at, DROP COLUMN facts;
ALTER TABLE order_intents DROP COLUMN wall_at, DROP COLUMN decision;
"""


def upgrade() -> None:
    """Add the columns."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
