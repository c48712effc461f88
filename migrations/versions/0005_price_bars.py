"""Minute candles of prices, and the instruments they are of.

``price_bars`` has no foreign key: candles come by the thousand, checking each would cost more than writing it, and
instruments are never deleted.
"""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE price_instruments (
    instrument_id  integer  GENERATED ALWAYS AS IDENTITY CONSTRAINT price_instruments_pkey PRIMARY KEY,
    exchange       exchange_code NOT NULL,
    tradingsymbol  text     NOT NULL CONSTRAINT price_instruments_tradingsymbol_check CHECK (tradingsymbol <> ''),
    decimals       smallint NOT NULL CONSTRAINT price_instruments_decimals_check CHECK (decimals BETWEEN 0 AND 9),
    CONSTRAINT price_instruments_name_key UNIQUE (exchange, tradingsymbol)
);
COMMENT ON TABLE price_instruments IS 'Instruments of which there are candles; a short number for each lasting name.';
COMMENT ON COLUMN price_instruments.instrument_id IS 'Its candles are kept under it. No token: those are used again.';
COMMENT ON COLUMN price_instruments.exchange IS 'Exchange of the instrument.';
COMMENT ON COLUMN price_instruments.tradingsymbol IS 'With the exchange the lasting name, expiry included.';
COMMENT ON COLUMN price_instruments.decimals IS 'Decimal places of its prices: 2 when a price of 1 is a paisa.';

CREATE TABLE price_bars (
    instrument_id  integer     NOT NULL,
    source         smallint    NOT NULL CONSTRAINT price_bars_source_check CHECK (source IN (0, 1, 2)),
    start          timestamptz NOT NULL
                               CONSTRAINT price_bars_start_check CHECK (date_trunc('minute', start, 'UTC') = start),
    open           integer     NOT NULL,
    high           integer     NOT NULL,
    low            integer     NOT NULL,
    close          integer     NOT NULL,
    volume         bigint      CONSTRAINT price_bars_volume_check CHECK (volume >= 0),
    open_interest  bigint      CONSTRAINT price_bars_open_interest_check CHECK (open_interest >= 0),
    CONSTRAINT price_bars_pkey PRIMARY KEY (instrument_id, start),
    CONSTRAINT price_bars_price_check
        CHECK (0 < low AND low <= least(open, close) AND greatest(open, close) <= high)
);
CREATE INDEX price_bars_start_index ON price_bars USING brin (start);
COMMENT ON TABLE price_bars IS 'Minute candles of prices. Gaps are gaps.';
COMMENT ON COLUMN price_bars.instrument_id IS 'Of which instrument. No reference: it would be checked row by row.';
COMMENT ON COLUMN price_bars.source IS '0 ticks of a part of it, 1 ticks of the whole minute, 2 the broker''s history.';
COMMENT ON COLUMN price_bars.start IS 'Start of the minute, market time, UTC.';
COMMENT ON COLUMN price_bars.open IS 'First price, in the instrument''s decimal places.';
COMMENT ON COLUMN price_bars.high IS 'Highest price.';
COMMENT ON COLUMN price_bars.low IS 'Lowest price.';
COMMENT ON COLUMN price_bars.close IS 'Last price.';
COMMENT ON COLUMN price_bars.volume IS 'Units traded in the minute; NULL where it is not known.';
COMMENT ON COLUMN price_bars.open_interest IS 'Units at its end; NULL where it is not known.';
"""

DOWNGRADE = """
DROP TABLE price_bars;
DROP TABLE price_instruments;
"""


def upgrade() -> None:
    """Make the tables."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
