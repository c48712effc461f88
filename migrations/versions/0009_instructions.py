"""Triggers and conversions that were asked for, further terms of orders, and conversions in the ledger."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE DOMAIN instruction_state AS text
    CONSTRAINT instruction_state_check CHECK (VALUE IN (
        'SENDING', 'UNKNOWN', 'DONE', 'REFUSED', 'NOT_SENT', 'PRESUMED_ABSENT'
    ));
COMMENT ON DOMAIN instruction_state IS 'Where an instruction is on its way; in-flight and unknown are states.';
CREATE TABLE instructions (
    number           bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT instructions_pkey PRIMARY KEY,
    account_id       text        NOT NULL CONSTRAINT instructions_account_fkey REFERENCES accounts (account_id),
    kind             text        NOT NULL CONSTRAINT instructions_kind_check
                                 CHECK (kind IN ('place gtt', 'modify gtt', 'delete gtt', 'convert')),
    state            instruction_state NOT NULL,
    idempotency_key  text        NOT NULL CONSTRAINT instructions_idempotency_key_check CHECK (idempotency_key <> ''),
    trigger_id       bigint,
    gtt              text        NOT NULL,
    conversion       text        NOT NULL,
    baseline         text        NOT NULL,
    message          text        NOT NULL,
    seat             text        NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    epoch            bigint      NOT NULL CONSTRAINT instructions_epoch_check CHECK (epoch > 0),
    CONSTRAINT instructions_idempotency_key_key UNIQUE (account_id, idempotency_key)
);
CREATE INDEX instructions_unfinished_index ON instructions (account_id) WHERE state IN ('SENDING', 'UNKNOWN');
CREATE INDEX instructions_updated_index ON instructions (account_id, updated_at);
COMMENT ON TABLE instructions IS 'Asked of the broker, no order, without a tag; written before anything is sent.';
COMMENT ON COLUMN instructions.number IS 'An identity for good.';
COMMENT ON COLUMN instructions.account_id IS 'Whose it is.';
COMMENT ON COLUMN instructions.kind IS 'What is asked.';
COMMENT ON COLUMN instructions.state IS 'Where it is on its way.';
COMMENT ON COLUMN instructions.idempotency_key IS 'The same key never asks twice.';
COMMENT ON COLUMN instructions.trigger_id IS 'The broker''s id of the trigger; null until known.';
COMMENT ON COLUMN instructions.gtt IS 'What the trigger is to say, JSON; empty when it is about none.';
COMMENT ON COLUMN instructions.conversion IS 'What is to be converted, JSON; empty when it is no conversion.';
COMMENT ON COLUMN instructions.baseline IS 'What the broker told before, JSON: the effect is what differs from it.';
COMMENT ON COLUMN instructions.message IS 'The broker''s words, or ours, about the last change.';
COMMENT ON COLUMN instructions.seat IS 'Who asked; empty for the engine itself.';
COMMENT ON COLUMN instructions.created_at IS 'Market time, UTC; also when it was sent.';
COMMENT ON COLUMN instructions.updated_at IS 'Market time of the last change, UTC.';
COMMENT ON COLUMN instructions.epoch IS 'Which writer wrote it first.';

CREATE TABLE instruction_events (
    sequence    bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT instruction_events_pkey PRIMARY KEY,
    number      bigint      NOT NULL CONSTRAINT instruction_events_number_fkey REFERENCES instructions (number),
    account_id  text        NOT NULL CONSTRAINT instruction_events_account_fkey REFERENCES accounts (account_id),
    from_state  instruction_state NOT NULL,
    to_state    instruction_state NOT NULL,
    at          timestamptz NOT NULL,
    wall_at     timestamptz,
    detail      text        NOT NULL,
    epoch       bigint      NOT NULL CONSTRAINT instruction_events_epoch_check CHECK (epoch > 0)
);
CREATE INDEX instruction_events_number_index ON instruction_events (number, sequence);
COMMENT ON TABLE instruction_events IS 'What happened to each instruction. Rows are never changed.';
COMMENT ON COLUMN instruction_events.sequence IS 'Order of writing.';
COMMENT ON COLUMN instruction_events.number IS 'The instruction.';
COMMENT ON COLUMN instruction_events.account_id IS 'Whose it is.';
COMMENT ON COLUMN instruction_events.from_state IS 'State before.';
COMMENT ON COLUMN instruction_events.to_state IS 'State after.';
COMMENT ON COLUMN instruction_events.at IS 'Market time, UTC.';
COMMENT ON COLUMN instruction_events.wall_at IS 'When it happened by the clock of the machine, UTC.';
COMMENT ON COLUMN instruction_events.detail IS 'Words for the record.';
COMMENT ON COLUMN instruction_events.epoch IS 'Which writer wrote it.';

ALTER TABLE order_intents ADD COLUMN terms text NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN terms text NOT NULL DEFAULT '';
COMMENT ON COLUMN order_intents.terms IS 'Time to live, iceberg, disclosed quantity, auction, JSON; or empty.';
COMMENT ON COLUMN orders.terms IS 'As in the intent.';

ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_source_check,
    ADD CONSTRAINT ledger_entries_source_check CHECK (source IN ('trade', 'transfer', 'settlement', 'conversion'));
"""

DOWNGRADE = """
UPDATE ledger_entries SET source = 'settlement' WHERE source = 'conversion';
ALTER TABLE ledger_entries
    DROP CONSTRAINT ledger_entries_source_check,
    ADD CONSTRAINT ledger_entries_source_check CHECK (source IN ('trade', 'transfer', 'settlement'));
ALTER TABLE orders DROP COLUMN terms;
ALTER TABLE order_intents DROP COLUMN terms;
DROP TABLE instruction_events;
DROP TABLE instructions;
DROP DOMAIN instruction_state;
"""


def upgrade() -> None:
    """Make the tables and columns."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
