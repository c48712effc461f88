"""Plans: errands of more than one order, or that wait for a time or a condition."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE DOMAIN plan_state AS text
    CONSTRAINT plan_state_check CHECK (VALUE IN (
        'WAITING', 'RUNNING', 'PAUSED', 'CANCELLING', 'DONE', 'CANCELLED', 'FAILED', 'DROPPED'
    ));
COMMENT ON DOMAIN plan_state IS 'Where a plan stands; the last four are ends.';
CREATE TABLE plans (
    number           bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT plans_pkey PRIMARY KEY,
    account_id       text        NOT NULL CONSTRAINT plans_account_fkey REFERENCES accounts (account_id),
    idempotency_key  text        NOT NULL CONSTRAINT plans_idempotency_key_check CHECK (idempotency_key <> ''),
    spec             text        NOT NULL CONSTRAINT plans_spec_check CHECK (spec <> ''),
    state            plan_state  NOT NULL,
    sentence         text        NOT NULL,
    progress         text        NOT NULL CONSTRAINT plans_progress_check CHECK (progress <> ''),
    seat             text        NOT NULL,
    made_by          text        NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    finished_at      timestamptz,
    CONSTRAINT plans_idempotency_key_key UNIQUE (account_id, idempotency_key)
);
CREATE INDEX plans_unfinished_index ON plans (account_id)
    WHERE state NOT IN ('DONE', 'CANCELLED', 'FAILED', 'DROPPED');
CREATE INDEX plans_updated_index ON plans (account_id, updated_at);
COMMENT ON TABLE plans IS 'Errands of more than one order, or that wait; their orders have keys such as p12/piece0.';
COMMENT ON COLUMN plans.number IS 'What a person types; never used again.';
COMMENT ON COLUMN plans.account_id IS 'Whose it is.';
COMMENT ON COLUMN plans.idempotency_key IS 'The same key never makes a second plan.';
COMMENT ON COLUMN plans.spec IS 'What is to be done, JSON; never changed.';
COMMENT ON COLUMN plans.state IS 'Where it stands.';
COMMENT ON COLUMN plans.sentence IS 'What it does, in words.';
COMMENT ON COLUMN plans.progress IS 'What it remembers besides its orders, JSON; written before what follows.';
COMMENT ON COLUMN plans.seat IS 'Who confirmed it; empty for the engine itself.';
COMMENT ON COLUMN plans.made_by IS 'What made it: a person, a rule, another plan.';
COMMENT ON COLUMN plans.created_at IS 'Market time, UTC.';
COMMENT ON COLUMN plans.updated_at IS 'Market time of the last change of state or progress, UTC.';
COMMENT ON COLUMN plans.finished_at IS 'Market time of its end, UTC; null while it is not over.';
"""

DOWNGRADE = """
DROP TABLE plans;
DROP DOMAIN plan_state;
"""


def upgrade() -> None:
    """Make the table."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop it."""
    run_sql(DOWNGRADE)
