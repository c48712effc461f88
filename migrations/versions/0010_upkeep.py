"""Differences from the broker's books, and the strategies whose orders housekeeping leaves alone."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE mismatches (
    account_id    text        NOT NULL CONSTRAINT mismatches_account_fkey REFERENCES accounts (account_id),
    mismatch_id   text        NOT NULL CONSTRAINT mismatches_id_check CHECK (mismatch_id <> ''),
    kind          text        NOT NULL,
    subject       text        NOT NULL,
    words         text        NOT NULL,
    ours          text        NOT NULL,
    theirs        text        NOT NULL,
    difference    text        NOT NULL,
    state         text        NOT NULL
        CONSTRAINT mismatches_state_check CHECK (state IN ('open', 'explained', 'gone')),
    first_seen    timestamptz NOT NULL,
    last_seen     timestamptz NOT NULL,
    explained_by  text        NOT NULL,
    explanation   text        NOT NULL,
    explained_at  timestamptz,
    CONSTRAINT mismatches_pkey PRIMARY KEY (account_id, mismatch_id)
);
CREATE INDEX mismatches_listed_index ON mismatches (account_id) WHERE state <> 'gone';
COMMENT ON TABLE mismatches IS 'Differences between our books and the broker, each until it is gone or explained.';
COMMENT ON COLUMN mismatches.account_id IS 'Whose books.';
COMMENT ON COLUMN mismatches.mismatch_id IS 'The same for the same kind and subject, whenever it is seen.';
COMMENT ON COLUMN mismatches.kind IS 'What differs: order, twin, fills, position, ledger, trigger.';
COMMENT ON COLUMN mismatches.subject IS 'What it is about.';
COMMENT ON COLUMN mismatches.words IS 'One sentence with both figures.';
COMMENT ON COLUMN mismatches.ours IS 'Our figure.';
COMMENT ON COLUMN mismatches.theirs IS 'The figure of the broker.';
COMMENT ON COLUMN mismatches.difference IS 'What an explanation is about; another one opens the item again.';
COMMENT ON COLUMN mismatches.state IS 'Open, explained by a person, or gone.';
COMMENT ON COLUMN mismatches.first_seen IS 'Market time of the first reading that showed it this time, UTC.';
COMMENT ON COLUMN mismatches.last_seen IS 'Market time of the last write, UTC.';
COMMENT ON COLUMN mismatches.explained_by IS 'The seat of the person; empty while nobody has.';
COMMENT ON COLUMN mismatches.explanation IS 'What the person said.';
COMMENT ON COLUMN mismatches.explained_at IS 'Market time, UTC.';

CREATE TABLE untidied_strategies (
    strategy    bigint NOT NULL CONSTRAINT untidied_strategies_pkey PRIMARY KEY
        CONSTRAINT untidied_strategies_strategy_fkey REFERENCES strategies (number),
    account_id  text   NOT NULL CONSTRAINT untidied_strategies_account_fkey REFERENCES accounts (account_id)
);
CREATE INDEX untidied_strategies_account_index ON untidied_strategies (account_id);
COMMENT ON TABLE untidied_strategies IS 'Strategies whose orders housekeeping leaves alone.';
COMMENT ON COLUMN untidied_strategies.strategy IS 'Which.';
COMMENT ON COLUMN untidied_strategies.account_id IS 'Whose strategy it is.';
"""

DOWNGRADE = """
DROP TABLE untidied_strategies;
DROP TABLE mismatches;
"""


def upgrade() -> None:
    """Make the tables."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
