"""Accounts, the writer of each, and the day's instruments."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE DOMAIN finite AS numeric CONSTRAINT finite_check CHECK (VALUE NOT IN ('NaN', 'Infinity', '-Infinity'));
COMMENT ON DOMAIN finite IS 'An exact number; never one of the values that poison every sum.';
CREATE DOMAIN exchange_code AS text
    CONSTRAINT exchange_code_check CHECK (VALUE IN ('NSE', 'BSE', 'NFO', 'BFO', 'CDS', 'BCD', 'MCX', 'NCO'));
COMMENT ON DOMAIN exchange_code IS 'An exchange, as Kite spells it.';
CREATE DOMAIN product_code AS text CONSTRAINT product_code_check CHECK (VALUE IN ('CNC', 'NRML', 'MIS', 'MTF'));
COMMENT ON DOMAIN product_code IS 'How long a position may be held, and against which margin.';

CREATE TABLE accounts (
    account_id  text        CONSTRAINT accounts_pkey PRIMARY KEY
                            CONSTRAINT accounts_account_id_check CHECK (account_id <> '' AND length(account_id) <= 64),
    name        text        NOT NULL,
    venue       text        NOT NULL
                            CONSTRAINT accounts_venue_check CHECK (venue IN ('live', 'practice', 'paper', 'replay')),
    created_at  timestamptz NOT NULL
);
COMMENT ON TABLE accounts IS 'Broker accounts known to this database. No secret is kept here.';
COMMENT ON COLUMN accounts.account_id IS 'The broker''s client id.';
COMMENT ON COLUMN accounts.name IS 'What a person calls it.';
COMMENT ON COLUMN accounts.venue IS 'Where its orders go; nothing simulated shares a database with live history.';
COMMENT ON COLUMN accounts.created_at IS 'When it was first seen, UTC.';

CREATE TABLE writer_epochs (
    account_id  text   CONSTRAINT writer_epochs_pkey PRIMARY KEY,
    epoch       bigint NOT NULL CONSTRAINT writer_epochs_epoch_check CHECK (epoch > 0)
);
COMMENT ON TABLE writer_epochs IS 'Counts the writers an account has had; every write of its orders names the newest.';
COMMENT ON COLUMN writer_epochs.account_id IS 'The account; need not be known yet when an engine becomes its writer.';
COMMENT ON COLUMN writer_epochs.epoch IS 'Of the newest writer; older ones may only read.';

CREATE TABLE instrument_dumps (
    exchange  exchange_code CONSTRAINT instrument_dumps_pkey PRIMARY KEY,
    day       date NOT NULL
);
COMMENT ON TABLE instrument_dumps IS 'The newest instrument dump kept of each exchange.';
COMMENT ON COLUMN instrument_dumps.exchange IS 'Exchange, as Kite spells it.';
COMMENT ON COLUMN instrument_dumps.day IS 'The day (IST) the dump is of.';

CREATE TABLE instruments (
    exchange        exchange_code NOT NULL
                            CONSTRAINT instruments_exchange_fkey
                            REFERENCES instrument_dumps (exchange) ON DELETE CASCADE,
    tradingsymbol   text    NOT NULL CONSTRAINT instruments_tradingsymbol_check CHECK (tradingsymbol <> ''),
    place           integer NOT NULL CONSTRAINT instruments_place_check CHECK (place >= 0),
    token           bigint  NOT NULL CONSTRAINT instruments_token_check CHECK (token BETWEEN 0 AND 4294967295),
    exchange_token  bigint  NOT NULL CONSTRAINT instruments_exchange_token_check CHECK (exchange_token >= 0),
    name            text    NOT NULL,
    kind            text    NOT NULL
                            CONSTRAINT instruments_kind_check CHECK (kind IN ('EQ', 'FUT', 'CE', 'PE', 'INDEX')),
    segment         text    NOT NULL,
    expiry          date,
    strike          finite,
    tick_size       finite NOT NULL CONSTRAINT instruments_tick_size_check CHECK (tick_size >= 0),
    lot_size        integer NOT NULL CONSTRAINT instruments_lot_size_check CHECK (lot_size >= 0),
    CONSTRAINT instruments_pkey PRIMARY KEY (exchange, tradingsymbol)
);
COMMENT ON TABLE instruments IS 'Rows of the newest dump of each exchange, replaced as a whole.';
COMMENT ON COLUMN instruments.exchange IS 'Exchange, as Kite spells it.';
COMMENT ON COLUMN instruments.tradingsymbol IS 'With the exchange the lasting name.';
COMMENT ON COLUMN instruments.place IS 'Row number in the dump, 0 first.';
COMMENT ON COLUMN instruments.token IS 'Kite''s instrument token (unsigned 32 bits); used again after expiry.';
COMMENT ON COLUMN instruments.exchange_token IS 'The exchange''s own token.';
COMMENT ON COLUMN instruments.name IS 'Underlying for futures and options, else the instrument''s own name.';
COMMENT ON COLUMN instruments.kind IS 'EQ, FUT, CE, PE or INDEX.';
COMMENT ON COLUMN instruments.segment IS 'Segment of the dump, for example NFO-OPT.';
COMMENT ON COLUMN instruments.expiry IS 'Expiry day (IST); null for what does not expire.';
COMMENT ON COLUMN instruments.strike IS 'Strike of an option; null otherwise.';
COMMENT ON COLUMN instruments.tick_size IS 'Smallest price step; 0 for an index, which does not trade.';
COMMENT ON COLUMN instruments.lot_size IS 'Units in one lot; 0 for an index in some dumps.';
"""

DOWNGRADE = """
DROP TABLE instruments;
DROP TABLE instrument_dumps;
DROP TABLE writer_epochs;
DROP TABLE accounts;
DROP DOMAIN product_code;
DROP DOMAIN exchange_code;
DROP DOMAIN finite;
"""


def upgrade() -> None:
    """Make the tables."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
