"""Implied volatility on the convention of the exchange's website, for comparison with what it prints.

The website inverts Black-Scholes on the *spot* with a rate of 10 % and whole calendar days over 365, from the last
traded price, and prints 0 where that price is below the intrinsic value on the same convention. Calls therefore look
cheaper and puts dearer than on the forward. Here such a value is NaN with its reason.

Invariant: nothing else in the desk is priced on this convention.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import DAYS_PER_YEAR, as_floats, common_shape
from engine.analytics.black import forward_from_spot
from engine.analytics.implied_volatility import ImpliedVolatility, implied_volatility

NSE_RATE: Final = 0.10
"""Continuously compounded."""

PERCENT: Final = 100.0


def nse_implied_volatility(
    last: ArrayLike, spot: ArrayLike, strike: ArrayLike, calendar_days: ArrayLike, *, is_call: ArrayLike
) -> ImpliedVolatility:
    """Return volatilities in **percent**, as the website prints them, with reasons.

    Args:
        last: last traded price, index points; 0 or NaN means none.
        spot: index value, index points.
        strike: index points.
        calendar_days: whole calendar days from the trading date to the expiry date; on the expiry day it is 0,
            and there is no volatility (``NO_TIME``). A fraction is not of this convention and is cut off.
        is_call: true for calls.

    Returns:
        Percent per year (14.0 = 14 %), shape the inputs broadcast to; NaN where the reason is not ``OK``.
    """
    shape = common_shape(last, spot, strike, calendar_days, is_call)
    years = np.trunc(as_floats(calendar_days)) / DAYS_PER_YEAR
    # After expiry the forward is undefined, but the reason is the time, not the forward.
    forward = forward_from_spot(spot, np.maximum(years, 0.0), NSE_RATE)
    result = implied_volatility(last, forward, strike, years, NSE_RATE, is_call=is_call)
    return ImpliedVolatility((result.volatility * PERCENT).reshape(shape), result.reason.reshape(shape))
