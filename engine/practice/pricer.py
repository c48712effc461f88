"""The exchange's own option arithmetic: Black-76 on a forward, vectorised.

It shares no code with the desk's analytics on purpose: an error common to both sides would cancel out and never show.
Prices are discounted; years are ACT/365 to the expiry instant; volatility is annual (0.12 = 12 %).
"""

from __future__ import annotations

import numpy as np

from engine.practice.noise import BoolArray, FloatArray

_SQRT_TWO_PI = 2.5066282746310002
_SPLIT = 7.07106781186547
_NUMERATOR = (
    3.52624965998911e-02,
    0.700383064443688,
    6.37396220353165,
    33.912866078383,
    112.079291497871,
    221.213596169931,
    220.206867912376,
)
_DENOMINATOR = (
    8.83883476483184e-02,
    1.75566716318264,
    16.064177579207,
    86.7807322029461,
    296.564248779674,
    637.333633378831,
    793.826512519948,
    440.413735824752,
)
_MIN_DEVIATION = 1e-9
_VOL_FLOOR = 1e-4
_VOL_CEILING = 5.0
_BISECTIONS = 60


def normal_cdf(x: FloatArray) -> FloatArray:
    """Return the cumulative normal distribution (Hart's rational form as given by West, 2005; error near 1e-15)."""
    distance = np.abs(x)
    near = np.minimum(distance, _SPLIT)
    top = np.full_like(near, _NUMERATOR[0])
    for coefficient in _NUMERATOR[1:]:
        top *= near
        top += coefficient
    bottom = np.full_like(near, _DENOMINATOR[0])
    for coefficient in _DENOMINATOR[1:]:
        bottom *= near
        bottom += coefficient
    tail = np.exp(-0.5 * distance * distance)
    upper = tail * top / bottom
    far = distance > _SPLIT
    if far.any():
        wide = distance[far]
        fraction = wide + 0.65
        for step in (4.0, 3.0, 2.0, 1.0):
            fraction = wide + step / fraction
        upper[far] = tail[far] / (fraction * _SQRT_TWO_PI)
    return np.where(x > 0.0, 1.0 - upper, upper)


def black_price(
    forward: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    volatility: FloatArray,
    *,
    is_call: BoolArray,
    rate: float,
) -> FloatArray:
    """Return discounted Black-76 prices (Black, 1976), one per element; all arguments are of one shape.

    At or after expiry (``years`` <= 0) the price is the intrinsic value on the forward.
    """
    time = np.maximum(years, 0.0)
    deviation = np.maximum(volatility * np.sqrt(time), _MIN_DEVIATION)
    d_one = np.log(forward / strike) / deviation + 0.5 * deviation
    # The out-of-the-money side is computed and the other follows by parity: no cancellation in the wings.
    call_side = forward <= strike
    sign = np.where(call_side, 1.0, -1.0)
    otm = sign * (forward * normal_cdf(sign * d_one) - strike * normal_cdf(sign * (d_one - deviation)))
    otm = np.maximum(otm, 0.0)
    intrinsic = np.where(is_call, forward - strike, strike - forward)
    price: FloatArray = np.exp(-rate * time) * np.where(call_side == is_call, otm, otm + intrinsic)
    return price


def implied_volatility(
    price: FloatArray,
    forward: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    *,
    is_call: BoolArray,
    rate: float,
) -> FloatArray:
    """Return volatilities that reproduce the prices, by bisection; NaN where none in 0.01 %..500 % does."""
    low = np.full_like(price, _VOL_FLOOR)
    high = np.full_like(price, _VOL_CEILING)
    with np.errstate(invalid="ignore"):
        possible = (price > black_price(forward, strike, years, low, is_call=is_call, rate=rate)) & (
            price < black_price(forward, strike, years, high, is_call=is_call, rate=rate)
        )
        possible &= years > 0.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        above = black_price(forward, strike, years, middle, is_call=is_call, rate=rate) > price
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    return np.where(possible, 0.5 * (low + high), np.nan)
