"""What is kept of option chains by the minute: one row per expiry, one per strike, and the day's last volatility.

A minute is named by its start, market time. A minute nobody saw has no row: series have gaps, never repeats. These are
figures for charts and statistics, float64 throughout; NaN (``None`` in a single row) means unknown.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from engine.core.views import ChainKey, Codes, Floats, Integers

Days = npt.NDArray[np.datetime64]
"""``datetime64[D]``."""

MINUTE = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StrikeColumns(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Calls and puts of a chain's strikes at one minute's end, one element per strike, shape (n,)."""

    strike: Floats
    """Index points, each once."""
    call_price: Floats
    """Index points; of which kind says ``call_input``."""
    put_price: Floats
    call_input: Codes
    """What the price is: 0 none, 1 the mid, 2 the last trade."""
    put_input: Codes
    call_volatility: Floats
    """Annual, 0.14 is 14 %."""
    put_volatility: Floats
    call_open_interest: Floats
    """Units."""
    put_open_interest: Floats
    call_volume: Floats
    """Units since the day's start."""
    put_volume: Floats


class ChainMinute(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One expiry as it stood at the end of one minute."""

    key: ChainKey
    minute: datetime
    """Start of the minute, aware UTC, a whole one."""
    day: date
    """The exchange's date of the minute."""
    spot: float | None
    """The index while it moves."""
    forward: float | None
    atm_strike: float | None
    atm_volatility: float | None
    """Annual, 0.14 is 14 %."""
    straddle: float | None
    """Call plus put at the ATM strike, index points."""
    pcr_open_interest: float | None
    pcr_volume: float | None
    max_pain: float | None
    call_open_interest: float | None
    """Units, of all calls together."""
    put_open_interest: float | None
    contracts: int
    """How many options the totals and ratios are of."""
    strikes: StrikeColumns


class ChainSeries(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An expiry's minutes, oldest first, one element per minute that was seen; read-only arrays of shape (n,)."""

    key: ChainKey
    minute: Integers
    """Start of the minute, epoch seconds."""
    spot: Floats
    forward: Floats
    atm_strike: Floats
    atm_volatility: Floats
    straddle: Floats
    pcr_open_interest: Floats
    pcr_volume: Floats
    max_pain: Floats
    call_open_interest: Floats
    put_open_interest: Floats
    contracts: Integers


class StrikeSeries(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Minutes of an expiry's strikes, by minute and then by strike; read-only arrays of shape (n,)."""

    key: ChainKey
    minute: Integers
    """Start of the minute, epoch seconds."""
    columns: StrikeColumns


class DailyVolatility(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The last ATM volatility known on each day, oldest first; read-only arrays of shape (n,)."""

    underlying: str
    day: Days
    """The exchange's date; a day nobody watched is missing."""
    expiry: Days
    """Of which expiry: the nearest one that was far enough away."""
    atm_volatility: Floats
    """Annual, 0.14 is 14 %."""


def minute_of(moment: datetime) -> datetime:
    """The start of the minute that an aware moment lies in, UTC."""
    return _EPOCH + (moment - _EPOCH) // MINUTE * MINUTE


def epoch_seconds(moment: datetime) -> int:
    """Whole seconds from the Unix epoch to an aware moment, rounded down."""
    return (moment - _EPOCH) // timedelta(seconds=1)
