"""Option chains by the minute: per expiry, per strike, and the last volatility of each day."""

from __future__ import annotations

from migrations.sql import run_sql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE DOMAIN magnitude AS double precision
    CONSTRAINT magnitude_check CHECK (VALUE >= 0 AND VALUE < 'Infinity');
COMMENT ON DOMAIN magnitude IS 'A measured size for charts and statistics: finite, not negative, NULL where unknown.';

CREATE TABLE chain_minutes (
    underlying          text        NOT NULL
                                    CONSTRAINT chain_minutes_underlying_check CHECK (underlying <> ''),
    expiry              date        NOT NULL,
    minute              timestamptz NOT NULL
                                    CONSTRAINT chain_minutes_minute_check
                                    CHECK (date_trunc('minute', minute, 'UTC') = minute),
    spot                magnitude,
    forward             magnitude,
    atm_strike          magnitude,
    atm_volatility      magnitude,
    straddle            magnitude,
    pcr_open_interest   magnitude,
    pcr_volume          magnitude,
    max_pain            magnitude,
    call_open_interest  magnitude,
    put_open_interest   magnitude,
    contracts           integer     NOT NULL CONSTRAINT chain_minutes_contracts_check CHECK (contracts >= 0),
    CONSTRAINT chain_minutes_pkey PRIMARY KEY (underlying, expiry, minute)
);
CREATE INDEX chain_minutes_minute_index ON chain_minutes USING brin (minute);
COMMENT ON TABLE chain_minutes IS 'An expiry as it stood at the end of each minute. Gaps are gaps.';
COMMENT ON COLUMN chain_minutes.underlying IS 'Name of the underlying as the instrument dump spells it.';
COMMENT ON COLUMN chain_minutes.expiry IS 'Expiry date as the dump lists it.';
COMMENT ON COLUMN chain_minutes.minute IS 'Start of the minute, market time, UTC.';
COMMENT ON COLUMN chain_minutes.spot IS 'The index while it moves, points.';
COMMENT ON COLUMN chain_minutes.forward IS 'Forward of the expiry, points.';
COMMENT ON COLUMN chain_minutes.atm_strike IS 'Strike nearest the forward.';
COMMENT ON COLUMN chain_minutes.atm_volatility IS 'Annual volatility at the forward, 0.14 is 14 %.';
COMMENT ON COLUMN chain_minutes.straddle IS 'Call plus put at the ATM strike, points.';
COMMENT ON COLUMN chain_minutes.pcr_open_interest IS 'Open interest of puts over calls.';
COMMENT ON COLUMN chain_minutes.pcr_volume IS 'Volume of puts over calls.';
COMMENT ON COLUMN chain_minutes.max_pain IS 'Strike at which writers would pay least.';
COMMENT ON COLUMN chain_minutes.call_open_interest IS 'Units of all calls together.';
COMMENT ON COLUMN chain_minutes.put_open_interest IS 'Units of all puts together.';
COMMENT ON COLUMN chain_minutes.contracts IS 'How many options the totals and ratios are of.';

CREATE TABLE chain_strikes (
    underlying          text        NOT NULL
                                    CONSTRAINT chain_strikes_underlying_check CHECK (underlying <> ''),
    expiry              date        NOT NULL,
    minute              timestamptz NOT NULL
                                    CONSTRAINT chain_strikes_minute_check
                                    CHECK (date_trunc('minute', minute, 'UTC') = minute),
    strike              magnitude   NOT NULL CONSTRAINT chain_strikes_strike_check CHECK (strike > 0),
    call_price          magnitude,
    put_price           magnitude,
    call_input          smallint    NOT NULL CONSTRAINT chain_strikes_call_input_check CHECK (call_input IN (0, 1, 2)),
    put_input           smallint    NOT NULL CONSTRAINT chain_strikes_put_input_check CHECK (put_input IN (0, 1, 2)),
    call_volatility     magnitude,
    put_volatility      magnitude,
    call_open_interest  magnitude,
    put_open_interest   magnitude,
    call_volume         magnitude,
    put_volume          magnitude,
    CONSTRAINT chain_strikes_pkey PRIMARY KEY (underlying, expiry, minute, strike)
);
CREATE INDEX chain_strikes_minute_index ON chain_strikes USING brin (minute);
COMMENT ON TABLE chain_strikes IS 'Call and put of a strike as they stood at the end of each minute. Gaps are gaps.';
COMMENT ON COLUMN chain_strikes.underlying IS 'Name of the underlying as the instrument dump spells it.';
COMMENT ON COLUMN chain_strikes.expiry IS 'Expiry date as the dump lists it.';
COMMENT ON COLUMN chain_strikes.minute IS 'Start of the minute, market time, UTC.';
COMMENT ON COLUMN chain_strikes.strike IS 'Points.';
COMMENT ON COLUMN chain_strikes.call_price IS 'Points; of which kind says call_input.';
COMMENT ON COLUMN chain_strikes.put_price IS 'Points; of which kind says put_input.';
COMMENT ON COLUMN chain_strikes.call_input IS '0 no price, 1 the mid, 2 the last trade.';
COMMENT ON COLUMN chain_strikes.put_input IS '0 no price, 1 the mid, 2 the last trade.';
COMMENT ON COLUMN chain_strikes.call_volatility IS 'Annual, 0.14 is 14 %.';
COMMENT ON COLUMN chain_strikes.put_volatility IS 'Annual, 0.14 is 14 %.';
COMMENT ON COLUMN chain_strikes.call_open_interest IS 'Units.';
COMMENT ON COLUMN chain_strikes.put_open_interest IS 'Units.';
COMMENT ON COLUMN chain_strikes.call_volume IS 'Units since the day''s start.';
COMMENT ON COLUMN chain_strikes.put_volume IS 'Units since the day''s start.';

CREATE TABLE chain_days (
    underlying      text        NOT NULL CONSTRAINT chain_days_underlying_check CHECK (underlying <> ''),
    day             date        NOT NULL,
    expiry          date        NOT NULL,
    minute          timestamptz NOT NULL,
    atm_volatility  magnitude   NOT NULL,
    CONSTRAINT chain_days_pkey PRIMARY KEY (underlying, day, expiry)
);
COMMENT ON TABLE chain_days IS 'The last ATM volatility known of each expiry on each day; outlives the minutes.';
COMMENT ON COLUMN chain_days.underlying IS 'Name of the underlying as the instrument dump spells it.';
COMMENT ON COLUMN chain_days.day IS 'The exchange''s date.';
COMMENT ON COLUMN chain_days.expiry IS 'Expiry date as the dump lists it.';
COMMENT ON COLUMN chain_days.minute IS 'The minute it was known at, UTC.';
COMMENT ON COLUMN chain_days.atm_volatility IS 'Annual, 0.14 is 14 %.';
"""

DOWNGRADE = """
DROP TABLE chain_days;
DROP TABLE chain_strikes;
DROP TABLE chain_minutes;
DROP DOMAIN magnitude;
"""


def upgrade() -> None:
    """Make the tables."""
    run_sql(UPGRADE)


def downgrade() -> None:
    """Drop them."""
    run_sql(DOWNGRADE)
