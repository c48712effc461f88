"""Strategies, and the journal of orders: intents, standing and events."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE DOMAIN side_code AS text CONSTRAINT side_code_check CHECK (VALUE IN ('BUY', 'SELL'));
COMMENT ON DOMAIN side_code IS 'Buy or sell.';
CREATE DOMAIN order_type_code AS text
    CONSTRAINT order_type_code_check CHECK (VALUE IN ('MARKET', 'LIMIT', 'SL', 'SL-M'));
COMMENT ON DOMAIN order_type_code IS 'How an order is priced.';
CREATE DOMAIN validity_code AS text CONSTRAINT validity_code_check CHECK (VALUE IN ('DAY', 'IOC', 'TTL'));
COMMENT ON DOMAIN validity_code IS 'How long an order may rest.';
CREATE DOMAIN variety_code AS text
    CONSTRAINT variety_code_check CHECK (VALUE IN ('regular', 'amo', 'co', 'iceberg', 'auction'));
COMMENT ON DOMAIN variety_code IS 'The broker''s order varieties.';
CREATE DOMAIN order_state AS text
    CONSTRAINT order_state_check CHECK (VALUE IN (
        'QUEUED', 'SENDING', 'UNKNOWN', 'ACCEPTED', 'OPEN', 'TRIGGER_PENDING', 'MODIFYING', 'CANCELLING',
        'COMPLETE', 'REJECTED', 'CANCELLED', 'NOT_SENT', 'PRESUMED_ABSENT'
    ));
COMMENT ON DOMAIN order_state IS 'Where an order is on its way; in-flight and unknown are states.';
CREATE TABLE strategies (
    number      bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT strategies_pkey PRIMARY KEY,
    account_id  text        NOT NULL CONSTRAINT strategies_account_fkey REFERENCES accounts (account_id),
    name        text        NOT NULL CONSTRAINT strategies_name_check CHECK (name <> ''),
    is_default  boolean     NOT NULL,
    state       text        NOT NULL CONSTRAINT strategies_state_check CHECK (state IN ('active', 'archived')),
    created_at  timestamptz NOT NULL
);
CREATE UNIQUE INDEX strategies_active_name_key ON strategies (account_id, name) WHERE state = 'active';
CREATE UNIQUE INDEX strategies_default_key ON strategies (account_id) WHERE is_default;
COMMENT ON TABLE strategies IS 'Named bags of legs; one default per account holds what no other claims.';
COMMENT ON COLUMN strategies.number IS 'What a person types; never used again.';
COMMENT ON COLUMN strategies.account_id IS 'Whose it is.';
COMMENT ON COLUMN strategies.name IS 'Unique among the account''s active strategies.';
COMMENT ON COLUMN strategies.is_default IS 'Holds what no other strategy claims; one per account.';
COMMENT ON COLUMN strategies.state IS 'Archiving hides a strategy; it does not close its positions.';
COMMENT ON COLUMN strategies.created_at IS 'Market time, UTC.';

CREATE TABLE order_intents (
    intent_id         text        CONSTRAINT order_intents_pkey PRIMARY KEY
                                  CONSTRAINT order_intents_intent_id_check CHECK (intent_id <> ''),
    account_id        text        NOT NULL
                                  CONSTRAINT order_intents_account_fkey REFERENCES accounts (account_id),
    tag               text        NOT NULL
                                  CONSTRAINT order_intents_tag_check CHECK (tag ~ '^[A-Za-z0-9]{1,20}$'),
    idempotency_key   text        NOT NULL
                                  CONSTRAINT order_intents_idempotency_key_check CHECK (idempotency_key <> ''),
    epoch             bigint      NOT NULL CONSTRAINT order_intents_epoch_check CHECK (epoch > 0),
    exchange          exchange_code NOT NULL,
    tradingsymbol     text        NOT NULL CONSTRAINT order_intents_tradingsymbol_check CHECK (tradingsymbol <> ''),
    side              side_code NOT NULL,
    quantity          bigint      NOT NULL CONSTRAINT order_intents_quantity_check CHECK (quantity > 0),
    order_type        order_type_code NOT NULL,
    product           product_code NOT NULL,
    price             finite,
    trigger_price     finite,
    validity          validity_code NOT NULL,
    variety           variety_code NOT NULL,
    market_protection finite,
    strategy          bigint      CONSTRAINT order_intents_strategy_fkey REFERENCES strategies (number),
    created_at        timestamptz NOT NULL,
    CONSTRAINT order_intents_tag_key UNIQUE (account_id, tag),
    CONSTRAINT order_intents_idempotency_key_key UNIQUE (account_id, idempotency_key)
);
COMMENT ON TABLE order_intents IS 'Orders as wanted, written before anything is sent. Rows are never changed.';
COMMENT ON COLUMN order_intents.intent_id IS 'Our own id.';
COMMENT ON COLUMN order_intents.account_id IS 'For which account.';
COMMENT ON COLUMN order_intents.tag IS 'The code the order carries at the broker, by which it is looked up.';
COMMENT ON COLUMN order_intents.idempotency_key IS 'The same key never makes a second order.';
COMMENT ON COLUMN order_intents.epoch IS 'Which writer wrote it.';
COMMENT ON COLUMN order_intents.exchange IS 'Exchange of the instrument.';
COMMENT ON COLUMN order_intents.tradingsymbol IS 'With the exchange the instrument''s lasting name.';
COMMENT ON COLUMN order_intents.side IS 'BUY or SELL.';
COMMENT ON COLUMN order_intents.quantity IS 'Units, never lots.';
COMMENT ON COLUMN order_intents.order_type IS 'MARKET, LIMIT, SL or SL-M.';
COMMENT ON COLUMN order_intents.product IS 'CNC, NRML, MIS or MTF.';
COMMENT ON COLUMN order_intents.price IS 'Limit, rupees; null for an order without one.';
COMMENT ON COLUMN order_intents.trigger_price IS 'Trigger, rupees; null for an order without one.';
COMMENT ON COLUMN order_intents.validity IS 'DAY, IOC or TTL.';
COMMENT ON COLUMN order_intents.variety IS 'The broker''s variety, part of the order''s address.';
COMMENT ON COLUMN order_intents.market_protection IS 'Percent; -1 leaves the band to the broker.';
COMMENT ON COLUMN order_intents.strategy IS 'Where its fills belong; null for the account''s default strategy.';
COMMENT ON COLUMN order_intents.created_at IS 'Market time, UTC.';

CREATE TABLE orders (
    number            bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT orders_pkey PRIMARY KEY,
    intent_id         text        CONSTRAINT orders_intent_key UNIQUE
                                  CONSTRAINT orders_intent_fkey REFERENCES order_intents (intent_id),
    account_id        text        NOT NULL CONSTRAINT orders_account_fkey REFERENCES accounts (account_id),
    tag               text,
    idempotency_key   text,
    exchange          exchange_code NOT NULL,
    tradingsymbol     text        NOT NULL CONSTRAINT orders_tradingsymbol_check CHECK (tradingsymbol <> ''),
    side              side_code NOT NULL,
    quantity          bigint      NOT NULL CONSTRAINT orders_quantity_check CHECK (quantity > 0),
    order_type        order_type_code NOT NULL,
    product           product_code NOT NULL,
    price             finite,
    trigger_price     finite,
    validity          validity_code NOT NULL,
    variety           variety_code NOT NULL,
    market_protection finite,
    strategy          bigint      CONSTRAINT orders_strategy_fkey REFERENCES strategies (number),
    state             order_state NOT NULL,
    broker_order_id   text        CONSTRAINT orders_broker_order_id_check CHECK (broker_order_id <> ''),
    filled_quantity   bigint      NOT NULL
                                  CONSTRAINT orders_filled_quantity_check CHECK (filled_quantity >= 0),
    average_price     finite,
    message           text        NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    sent_at           timestamptz,
    answered_at       timestamptz,
    modifications     integer     NOT NULL CONSTRAINT orders_modifications_check CHECK (modifications >= 0),
    CONSTRAINT orders_broker_order_id_key UNIQUE (account_id, broker_order_id),
    CONSTRAINT orders_idempotency_key_key UNIQUE (account_id, idempotency_key)
);
CREATE INDEX orders_working_index ON orders (account_id)
    WHERE state NOT IN ('COMPLETE', 'REJECTED', 'CANCELLED', 'NOT_SENT');
CREATE INDEX orders_created_index ON orders (account_id, created_at);
CREATE INDEX orders_updated_index ON orders (account_id, updated_at);
COMMENT ON TABLE orders IS 'Orders as they stand, ours and those adopted from outside.';
COMMENT ON COLUMN orders.number IS 'What a person types; never used again.';
COMMENT ON COLUMN orders.intent_id IS 'The intent; null for an order that came from outside.';
COMMENT ON COLUMN orders.account_id IS 'Whose it is.';
COMMENT ON COLUMN orders.tag IS 'The code it carries at the broker; not unique for orders of other programs.';
COMMENT ON COLUMN orders.idempotency_key IS 'As in the intent; null for an order that came from outside.';
COMMENT ON COLUMN orders.exchange IS 'Exchange of the instrument.';
COMMENT ON COLUMN orders.tradingsymbol IS 'With the exchange the instrument''s lasting name.';
COMMENT ON COLUMN orders.side IS 'BUY or SELL.';
COMMENT ON COLUMN orders.quantity IS 'Units, never lots.';
COMMENT ON COLUMN orders.order_type IS 'MARKET, LIMIT, SL or SL-M.';
COMMENT ON COLUMN orders.product IS 'CNC, NRML, MIS or MTF.';
COMMENT ON COLUMN orders.price IS 'Limit, rupees; null for an order without one.';
COMMENT ON COLUMN orders.trigger_price IS 'Trigger, rupees; null for an order without one.';
COMMENT ON COLUMN orders.validity IS 'DAY, IOC or TTL.';
COMMENT ON COLUMN orders.variety IS 'The broker''s variety, part of the order''s address.';
COMMENT ON COLUMN orders.market_protection IS 'Percent; -1 leaves the band to the broker.';
COMMENT ON COLUMN orders.strategy IS 'Where its fills belong; null for the account''s default strategy.';
COMMENT ON COLUMN orders.state IS 'Where the order is on its way; in-flight and unknown are states.';
COMMENT ON COLUMN orders.broker_order_id IS 'The broker''s id; null until it has answered.';
COMMENT ON COLUMN orders.filled_quantity IS 'Units filled so far.';
COMMENT ON COLUMN orders.average_price IS 'Of the fills, rupees; null without any.';
COMMENT ON COLUMN orders.message IS 'The broker''s words, or ours, about the last change.';
COMMENT ON COLUMN orders.created_at IS 'Market time, UTC.';
COMMENT ON COLUMN orders.updated_at IS 'Market time of the last change, UTC.';
COMMENT ON COLUMN orders.sent_at IS 'When the first byte was about to leave, UTC.';
COMMENT ON COLUMN orders.answered_at IS 'When the broker answered, UTC.';
COMMENT ON COLUMN orders.modifications IS 'Changes the broker has accepted.';

CREATE TABLE order_events (
    sequence    bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT order_events_pkey PRIMARY KEY,
    number      bigint      NOT NULL CONSTRAINT order_events_number_fkey REFERENCES orders (number),
    account_id  text        NOT NULL CONSTRAINT order_events_account_fkey REFERENCES accounts (account_id),
    trigger     text        NOT NULL CONSTRAINT order_events_trigger_check CHECK (trigger <> ''),
    from_state  order_state NOT NULL,
    to_state    order_state NOT NULL,
    applied     boolean     NOT NULL,
    at          timestamptz NOT NULL,
    detail      text        NOT NULL,
    epoch       bigint      NOT NULL CONSTRAINT order_events_epoch_check CHECK (epoch > 0)
);
CREATE INDEX order_events_number_index ON order_events (number, sequence);
COMMENT ON TABLE order_events IS 'What happened to each order. Rows are never changed.';
COMMENT ON COLUMN order_events.sequence IS 'Order of writing.';
COMMENT ON COLUMN order_events.number IS 'The order.';
COMMENT ON COLUMN order_events.account_id IS 'Whose it is.';
COMMENT ON COLUMN order_events.trigger IS 'What happened.';
COMMENT ON COLUMN order_events.from_state IS 'State before.';
COMMENT ON COLUMN order_events.to_state IS 'State after; equal to the one before when not applied.';
COMMENT ON COLUMN order_events.applied IS 'False for a transition that is not allowed: recorded, and nothing changed.';
COMMENT ON COLUMN order_events.at IS 'Market time, UTC.';
COMMENT ON COLUMN order_events.detail IS 'Words for the record.';
COMMENT ON COLUMN order_events.epoch IS 'Which writer wrote it.';
"""

DOWNGRADE = """
DROP TABLE order_events;
DROP TABLE orders;
DROP TABLE order_intents;
DROP TABLE strategies;
DROP DOMAIN order_state;
DROP DOMAIN variety_code;
DROP DOMAIN validity_code;
DROP DOMAIN order_type_code;
DROP DOMAIN side_code;
"""


def upgrade() -> None:
    """Make the tables."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
