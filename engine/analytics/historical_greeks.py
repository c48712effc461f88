"""Implied volatility and Greeks of an option's past, candle by candle.

A candle's close is a price of the instant at which the candle ends; that instant gives the time to expiry. Option and
underlying are brought together by the start of their candles: equal starts, nothing else.

The forward of each instant is the underlying's close carried to the option's expiry:
``close * exp(carry * (expiry - delivery))``, where ``delivery`` is the expiry of the future that the closes are of, or
the instant itself when they are of the spot. A future of the option's own expiry needs no carry.

Invariant: one row for every candle that either side has; what one side lacks is NaN with a reason. Nothing is carried
over from an earlier candle.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analytics.arrays import DAYS_PER_YEAR, BoolArray, CodeArray, FloatArray
from engine.analytics.greeks import Greeks, greeks
from engine.analytics.implied_volatility import IvReason, implied_volatility

SECONDS_PER_YEAR: Final = DAYS_PER_YEAR * 86_400.0

Times = NDArray[np.int64]
"""Epoch seconds, UTC."""


class OptionCandles(NamedTuple):
    """Candles of one option, or of a series of options such as the at-the-money one of each minute."""

    time: ArrayLike
    """Start of each candle, epoch seconds, growing, shape ``(n,)``."""
    close: ArrayLike
    """Index points, shape ``(n,)``; NaN where there is none."""
    strike: ArrayLike
    """Index points; one for all or shape ``(n,)``."""
    expiry: ArrayLike
    """Expiry instant, epoch seconds; one for all or shape ``(n,)``."""
    is_call: ArrayLike
    """One for all or shape ``(n,)``."""
    volume: ArrayLike | None = None
    """Traded units of each candle, shape ``(n,)``. A candle without a trade repeats an old price, which is not used.

    ``None``: every candle is a traded one.
    """


class UnderlyingCandles(NamedTuple):
    """Candles of the future, or of the spot."""

    time: ArrayLike
    """Start of each candle, epoch seconds, growing, shape ``(m,)``."""
    close: ArrayLike
    """Index points, shape ``(m,)``; NaN where there is none."""
    delivery: float | None
    """Expiry instant of the future, epoch seconds; ``None`` for the spot."""
    carry: ArrayLike = np.nan
    """Continuous, a year, 0.065 = 6.5 %; one for all or shape ``(m,)``. Unknown by default: then only a future of the
    option's own expiry gives a forward."""


class HistoricalGreeks(NamedTuple):
    """One row per candle, oldest first, shape ``(rows,)``; NaN where unknown."""

    time: Times
    """Start of the candle, epoch seconds."""
    price: FloatArray
    """The option's close that was used."""
    forward: FloatArray
    """Of the option's expiry, at the candle's end."""
    years: FloatArray
    """From the candle's end to the expiry instant, ACT/365; 0 or less when it has passed."""
    volatility: FloatArray
    """Annual, 0.14 = 14 %."""
    reason: CodeArray
    """Members of :class:`~engine.analytics.implied_volatility.IvReason`: ``NO_PRICE`` where the option has no candle,
    ``STALE`` where it did not trade, ``NO_FORWARD`` where the underlying has none."""
    greeks: Greeks
    """With respect to the forward; units in :mod:`engine.analytics.greeks`."""


def historical_greeks(
    option: OptionCandles, underlying: UnderlyingCandles, *, candle_s: float, rate: float
) -> HistoricalGreeks:
    """Return implied volatility and Greeks at the end of every candle.

    Args:
        option: the option's candles.
        underlying: candles of the same length of its future or spot.
        candle_s: length of a candle, seconds.
        rate: continuously compounded, for discounting, 0.065 = 6.5 %.

    Raises:
        ValueError: times do not grow or do not fit their columns, or ``candle_s`` is not positive.
    """
    if not candle_s > 0.0:
        raise ValueError(f"candle_s is {candle_s:g}: give the candles' length in seconds, above 0")
    option_time, underlying_time = _times("option", option.time), _times("underlying", underlying.time)
    time = np.union1d(option_time, underlying_time)
    price = _placed("option.close", option.close, time, option_time)
    strike = _spread("option.strike", option.strike, time, option_time)
    expiry = _spread("option.expiry", option.expiry, time, option_time)
    is_call = _spread("option.is_call", option.is_call, time, option_time) > 0.0
    carry = _spread("underlying.carry", underlying.carry, time, underlying_time)
    close = _placed("underlying.close", underlying.close, time, underlying_time)
    idle = np.zeros(time.shape, np.bool_)
    if option.volume is not None:
        # A volume that is not known proves no trade either.
        idle = np.isfinite(price) & ~(_placed("option.volume", option.volume, time, option_time) > 0.0)
        price[idle] = np.nan
    with np.errstate(all="ignore"):
        instant = time + candle_s
        years = (expiry - instant) / SECONDS_PER_YEAR
        carried = (expiry - (instant if underlying.delivery is None else underlying.delivery)) / SECONDS_PER_YEAR
        forward = close * np.where(carried == 0.0, 1.0, np.exp(carry * carried))
        forward[~(forward > 0.0) | np.isinf(forward)] = np.nan
    volatility, reason = implied_volatility(price, forward, strike, years, rate, is_call=is_call)
    _refine(reason, price, forward, years, idle)
    return HistoricalGreeks(
        time=time,
        price=price,
        forward=forward,
        years=years,
        volatility=volatility,
        reason=reason,
        greeks=greeks(forward, strike, years, rate, volatility, is_call=is_call),
    )


def _times(name: str, values: ArrayLike) -> Times:
    """Read the starts of candles.

    Raises:
        ValueError: they are not one growing row of whole seconds.
    """
    times = np.asarray(values)
    if times.ndim != 1 or (times.size and times.dtype.kind not in "iu"):
        raise ValueError(f"{name}.time must be whole epoch seconds of shape (n,); it is {times.dtype} {times.shape}")
    whole = times.astype(np.int64)
    if (np.diff(whole) <= 0).any():
        raise ValueError(f"{name}.time must grow from candle to candle: sort them and leave out doubles")
    return whole


def _spread(name: str, values: ArrayLike, time: Times, own: Times) -> FloatArray:
    """One value for every row, or a column to be placed."""
    return np.full(time.shape, values, np.float64) if np.ndim(values) == 0 else _placed(name, values, time, own)


def _placed(name: str, values: ArrayLike, time: Times, own: Times) -> FloatArray:
    """Put the values of ``own`` candles in their rows; NaN in the others.

    Raises:
        ValueError: there is not one per candle.
    """
    read = np.asarray(values, np.float64)
    if read.shape != own.shape:
        raise ValueError(f"{name} has shape {read.shape}: give one value for each of the {own.size} candles")
    column = np.full(time.shape, np.nan)
    column[np.searchsorted(time, own)] = read
    return column


def _refine(reason: CodeArray, price: FloatArray, forward: FloatArray, years: FloatArray, idle: BoolArray) -> None:
    """Say what only the pairing of the candles knows: that one side is missing, or did not trade."""
    no_price = np.isnan(price)
    reason[np.isnan(forward) & ~no_price & (reason == IvReason.BAD_INPUT)] = IvReason.NO_FORWARD
    reason[no_price] = IvReason.NO_PRICE
    reason[idle] = IvReason.STALE
    reason[years <= 0.0] = IvReason.NO_TIME
