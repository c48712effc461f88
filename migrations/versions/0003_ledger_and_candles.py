"""Fills, legs, the ledger of allocations, and minute candles of strategy money."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE trades (
    sequence         bigint      GENERATED ALWAYS AS IDENTITY,
    account_id       text        NOT NULL CONSTRAINT trades_account_fkey REFERENCES accounts (account_id),
    exchange         exchange_code NOT NULL,
    broker_order_id  text        NOT NULL CONSTRAINT trades_broker_order_id_check CHECK (broker_order_id <> ''),
    trade_id         text        NOT NULL CONSTRAINT trades_trade_id_check CHECK (trade_id <> ''),
    tradingsymbol    text        NOT NULL CONSTRAINT trades_tradingsymbol_check CHECK (tradingsymbol <> ''),
    token            bigint      NOT NULL CONSTRAINT trades_token_check CHECK (token BETWEEN 0 AND 4294967295),
    side             side_code NOT NULL,
    product          product_code NOT NULL,
    quantity         bigint      NOT NULL CONSTRAINT trades_quantity_check CHECK (quantity > 0),
    price            finite    NOT NULL CONSTRAINT trades_price_check CHECK (price >= 0),
    filled_at        timestamptz NOT NULL,
    strategy         bigint      NOT NULL CONSTRAINT trades_strategy_fkey REFERENCES strategies (number),
    epoch            bigint      NOT NULL CONSTRAINT trades_epoch_check CHECK (epoch > 0),
    CONSTRAINT trades_pkey PRIMARY KEY (account_id, exchange, broker_order_id, trade_id)
);
CREATE INDEX trades_filled_index ON trades (account_id, filled_at, sequence);
COMMENT ON TABLE trades IS 'Fills, each kept once.';
COMMENT ON COLUMN trades.sequence IS 'Order of writing.';
COMMENT ON COLUMN trades.account_id IS 'Whose it is.';
COMMENT ON COLUMN trades.exchange IS 'Exchange of the instrument; part of the fill''s identity.';
COMMENT ON COLUMN trades.broker_order_id IS 'The order that was filled; part of the fill''s identity.';
COMMENT ON COLUMN trades.trade_id IS 'The exchange''s id; unique only together with exchange and order.';
COMMENT ON COLUMN trades.tradingsymbol IS 'With the exchange the instrument''s lasting name.';
COMMENT ON COLUMN trades.token IS 'Kite''s instrument token on that day.';
COMMENT ON COLUMN trades.side IS 'BUY or SELL.';
COMMENT ON COLUMN trades.product IS 'CNC, NRML, MIS or MTF.';
COMMENT ON COLUMN trades.quantity IS 'Units.';
COMMENT ON COLUMN trades.price IS 'Rupees per unit.';
COMMENT ON COLUMN trades.filled_at IS 'Exchange time, UTC.';
COMMENT ON COLUMN trades.strategy IS 'Where the ledger put it.';
COMMENT ON COLUMN trades.epoch IS 'Which writer wrote it.';

CREATE TABLE legs (
    strategy       bigint  NOT NULL CONSTRAINT legs_strategy_fkey REFERENCES strategies (number),
    leg            integer NOT NULL CONSTRAINT legs_leg_check CHECK (leg > 0),
    exchange       exchange_code NOT NULL,
    tradingsymbol  text    NOT NULL CONSTRAINT legs_tradingsymbol_check CHECK (tradingsymbol <> ''),
    product        product_code NOT NULL,
    token          bigint  NOT NULL CONSTRAINT legs_token_check CHECK (token BETWEEN 0 AND 4294967295),
    CONSTRAINT legs_pkey PRIMARY KEY (strategy, leg),
    CONSTRAINT legs_instrument_key UNIQUE (strategy, leg, exchange, tradingsymbol, product)
);
COMMENT ON TABLE legs IS 'One instrument and product inside a strategy, under a number that never changes its meaning.';
COMMENT ON COLUMN legs.strategy IS 'The strategy.';
COMMENT ON COLUMN legs.leg IS 'Number inside the strategy: 3.2 is leg 2 of strategy 3.';
COMMENT ON COLUMN legs.exchange IS 'Exchange of the instrument.';
COMMENT ON COLUMN legs.tradingsymbol IS 'With the exchange the instrument''s lasting name.';
COMMENT ON COLUMN legs.product IS 'CNC, NRML, MIS or MTF.';
COMMENT ON COLUMN legs.token IS 'Kite''s instrument token when the leg was made.';

CREATE TABLE ledger_entries (
    sequence         bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT ledger_entries_pkey PRIMARY KEY,
    account_id       text        NOT NULL
                                 CONSTRAINT ledger_entries_account_fkey REFERENCES accounts (account_id),
    strategy         bigint      NOT NULL
                                 CONSTRAINT ledger_entries_strategy_fkey REFERENCES strategies (number),
    leg              integer     NOT NULL,
    exchange         exchange_code NOT NULL,
    tradingsymbol    text        NOT NULL,
    product          product_code NOT NULL,
    token            bigint      NOT NULL CONSTRAINT ledger_entries_token_check CHECK (token BETWEEN 0 AND 4294967295),
    signed_quantity  bigint      NOT NULL CONSTRAINT ledger_entries_signed_quantity_check CHECK (signed_quantity <> 0),
    price            finite    NOT NULL CONSTRAINT ledger_entries_price_check CHECK (price >= 0),
    at               timestamptz NOT NULL,
    source           text        NOT NULL
                                 CONSTRAINT ledger_entries_source_check
                                 CHECK (source IN ('trade', 'transfer', 'settlement')),
    reference        text        NOT NULL CONSTRAINT ledger_entries_reference_check CHECK (reference <> ''),
    epoch            bigint      NOT NULL CONSTRAINT ledger_entries_epoch_check CHECK (epoch > 0),
    CONSTRAINT ledger_entries_leg_fkey FOREIGN KEY (strategy, leg, exchange, tradingsymbol, product)
        REFERENCES legs (strategy, leg, exchange, tradingsymbol, product),
    CONSTRAINT ledger_entries_reference_key UNIQUE (strategy, leg, reference)
);
CREATE INDEX ledger_entries_account_index ON ledger_entries (account_id, sequence);
COMMENT ON TABLE ledger_entries IS 'Movements of quantity into and out of legs. Rows are never changed.';
COMMENT ON COLUMN ledger_entries.sequence IS 'Order of writing.';
COMMENT ON COLUMN ledger_entries.account_id IS 'Whose it is.';
COMMENT ON COLUMN ledger_entries.strategy IS 'The strategy.';
COMMENT ON COLUMN ledger_entries.leg IS 'The leg inside it.';
COMMENT ON COLUMN ledger_entries.exchange IS 'Exchange of the instrument; the leg''s.';
COMMENT ON COLUMN ledger_entries.tradingsymbol IS 'With the exchange the instrument''s lasting name; the leg''s.';
COMMENT ON COLUMN ledger_entries.product IS 'CNC, NRML, MIS or MTF; the leg''s.';
COMMENT ON COLUMN ledger_entries.token IS 'Kite''s instrument token on that day.';
COMMENT ON COLUMN ledger_entries.signed_quantity IS 'Units: + into the leg, - out of it.';
COMMENT ON COLUMN ledger_entries.price IS 'Rupees per unit.';
COMMENT ON COLUMN ledger_entries.at IS 'Market time, UTC.';
COMMENT ON COLUMN ledger_entries.source IS 'Why it moved.';
COMMENT ON COLUMN ledger_entries.reference IS 'The fill''s identity or the transfer''s id; once per leg.';
COMMENT ON COLUMN ledger_entries.epoch IS 'Which writer wrote it.';

CREATE TABLE strategy_candles (
    strategy  bigint      NOT NULL CONSTRAINT strategy_candles_strategy_fkey REFERENCES strategies (number),
    minute    timestamptz NOT NULL
                          CONSTRAINT strategy_candles_minute_check
                          CHECK (date_trunc('minute', minute, 'UTC') = minute),
    open      finite    NOT NULL,
    high      finite    NOT NULL,
    low       finite    NOT NULL,
    close     finite    NOT NULL,
    samples   bigint      NOT NULL CONSTRAINT strategy_candles_samples_check CHECK (samples > 0),
    CONSTRAINT strategy_candles_pkey PRIMARY KEY (strategy, minute),
    CONSTRAINT strategy_candles_range_check
        CHECK (low <= least(open, close) AND greatest(open, close) <= high)
);
COMMENT ON TABLE strategy_candles IS 'A strategy''s money by the minute: last mark, gross, rupees. Gaps are gaps.';
COMMENT ON COLUMN strategy_candles.strategy IS 'The strategy.';
COMMENT ON COLUMN strategy_candles.minute IS 'Start of the minute, market time, UTC.';
COMMENT ON COLUMN strategy_candles.open IS 'First valuation of the minute.';
COMMENT ON COLUMN strategy_candles.high IS 'Highest valuation.';
COMMENT ON COLUMN strategy_candles.low IS 'Lowest valuation.';
COMMENT ON COLUMN strategy_candles.close IS 'Last valuation.';
COMMENT ON COLUMN strategy_candles.samples IS 'How many valuations it was made of.';
"""

DOWNGRADE = """
DROP TABLE strategy_candles;
DROP TABLE ledger_entries;
DROP TABLE legs;
DROP TABLE trades;
"""


def upgrade() -> None:
    """Make the tables."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
