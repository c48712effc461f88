"""Implied volatility on the convention of the broker's own option chain, for comparison with what it shows.

The broker's screens invert Black-76 on the future of the expiry (a synthetic one by parity where none is listed)
without interest, and measure time in trading days over 252. Over a weekend their volatility therefore stands still
where one on calendar time moves, and close to an expiry the two differ by the ratio of the clocks:
``sqrt((calendar days / 365) / (trading days / 252))``.

Invariant: nothing else in the desk is priced on this convention.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import as_floats, common_shape
from engine.analytics.implied_volatility import ImpliedVolatility, implied_volatility

KITE_RATE: Final = 0.0

TRADING_DAYS_PER_YEAR: Final = 252.0

PERCENT: Final = 100.0


def kite_implied_volatility(
    price: ArrayLike, forward: ArrayLike, strike: ArrayLike, trading_days: ArrayLike, *, is_call: ArrayLike
) -> ImpliedVolatility:
    """Return volatilities in **percent**, as the broker's chain prints them, with reasons.

    Args:
        price: option premium, index points; 0 or NaN means none.
        forward: the listed future of the same expiry, or the synthetic one by parity, index points.
        strike: index points.
        trading_days: sessions left to the expiry, the running one counted by the part of it that is left: 2.5 in the
            middle of a session with two more to come; 0 when the contract has stopped: no volatility (``NO_TIME``).
        is_call: true for calls.

    Returns:
        Percent per year of 252 trading days (14.0 = 14 %), shape the inputs broadcast to; NaN where the reason is not
        ``OK``.
    """
    shape = common_shape(price, forward, strike, trading_days, is_call)
    years = as_floats(trading_days) / TRADING_DAYS_PER_YEAR
    result = implied_volatility(price, forward, strike, years, KITE_RATE, is_call=is_call)
    return ImpliedVolatility(np.reshape(result.volatility * PERCENT, shape), np.reshape(result.reason, shape))
