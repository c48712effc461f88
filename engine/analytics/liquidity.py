"""What an option's price is made of, and how easily it is traded.

**Intrinsic value** is ``exp(-r T) * max(F - K, 0)`` for calls and ``exp(-r T) * max(K - F, 0)`` for puts: what the
option is worth with certainty against its forward. **Extrinsic value** is the price less that; it is negative for a
price that has no implied volatility.

**Spread** is ask less bid, in index points and as per cent of the mid; both need a two-sided, uncrossed quote.

**Liquidity score**, 0 (cannot be traded) to 100 (as good as it gets), the weighted mean of three parts from 0 to 1:

* *tightness*, weight 0.5: the better of two views of the spread, logarithmic between its ends: per cent of the mid
  (1 at 0.25 % or less, 0 at 10 % or more) and ticks (1 at one tick, 0 at 10 ticks or more). One tick is as tight as a
  market can be, however cheap the option. A one-sided quote has tightness 0: nobody takes the other side.
* *depth*, weight 0.3: the smaller of the two quantities at the touch, in trade sizes; logarithmic, 1 at 10 sizes.
* *activity*, weight 0.2: the mean of volume and open interest in trade sizes; logarithmic, 1 at 10,000 sizes each.

A part of which nothing is known is left out and the others keep their proportion. Without any quote there is no score.

Invariant: unknown is NaN, never 0.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import BoolArray, FloatArray, as_flags, as_floats, common_shape

PERCENT = 100.0


class LiquidityScale(NamedTuple):
    """The ends of the scales; meaning in the module's description."""

    tight_percent: float = 0.25
    wide_percent: float = 10.0
    wide_ticks: float = 10.0
    full_depth_sizes: float = 10.0
    full_activity_sizes: float = 10_000.0
    tightness_weight: float = 0.5
    depth_weight: float = 0.3
    activity_weight: float = 0.2


DEFAULT_SCALE = LiquidityScale()


class Spread(NamedTuple):
    """Ask less bid; NaN where the quote is not two-sided and uncrossed."""

    points: FloatArray
    """Index points."""
    percent: FloatArray
    """Of the mid."""


class PriceParts(NamedTuple):
    """A premium's two parts, index points."""

    intrinsic: FloatArray
    extrinsic: FloatArray
    """NaN where there is no price."""


def price_parts(
    price: ArrayLike, forward: ArrayLike, strike: ArrayLike, years: ArrayLike, rate: ArrayLike, *, is_call: ArrayLike
) -> PriceParts:
    """Split premiums into intrinsic and extrinsic value.

    Args:
        price: index points; NaN where there is none.
        forward: index points.
        strike: index points.
        years: ACT/365; a past expiry counts as now.
        rate: continuously compounded.
        is_call: true for calls.

    Returns:
        Both parts in the shape the inputs broadcast to.
    """
    shape = common_shape(price, forward, strike, years, rate, is_call)
    p, f, k, t, r = (as_floats(values) for values in (price, forward, strike, years, rate))
    with np.errstate(all="ignore"):
        gain = np.where(as_flags(is_call), f - k, k - f) * np.exp(-r * np.maximum(t, 0.0))
        intrinsic = np.where((f > 0.0) & (k > 0.0) & np.isfinite(gain), np.maximum(gain, 0.0), np.nan)
        extrinsic = np.where((p > 0.0) & np.isfinite(p), p - intrinsic, np.nan)
    return PriceParts(_shaped(intrinsic, shape), _shaped(extrinsic, shape))


def spread(bid: ArrayLike, ask: ArrayLike) -> Spread:
    """Return the spread of quotes.

    Args:
        bid: index points; NaN or 0 where there is none.
        ask: the same.
    """
    shape = common_shape(bid, ask)
    b, a = as_floats(bid), as_floats(ask)
    with np.errstate(all="ignore"):
        points = np.where(_two_sided(b, a), a - b, np.nan)
        percent = PERCENT * points / (0.5 * (a + b))
    return Spread(points.reshape(shape), percent.reshape(shape))


def liquidity_score(
    bid: ArrayLike,
    ask: ArrayLike,
    *,
    bid_quantity: ArrayLike = math.nan,
    ask_quantity: ArrayLike = math.nan,
    volume: ArrayLike = math.nan,
    open_interest: ArrayLike = math.nan,
    size: float,
    tick: float,
    scale: LiquidityScale = DEFAULT_SCALE,
) -> FloatArray:
    """Score options from 0 to 100; definition in the module's description.

    Args:
        bid: index points; NaN or 0 where there is none.
        ask: the same.
        bid_quantity: units at the best bid; NaN where unknown.
        ask_quantity: units at the best ask; NaN where unknown.
        volume: units traded today; NaN where unknown.
        open_interest: units; NaN where unknown.
        size: units of one usual trade, a lot for instance, > 0.
        tick: index points, > 0.
        scale: where the scales end, and the weights.

    Returns:
        Scores in the shape the inputs broadcast to; NaN where there is neither bid nor ask, or both are crossed.
    """
    shape = common_shape(bid, ask, bid_quantity, ask_quantity, volume, open_interest)
    b, a = as_floats(bid), as_floats(ask)
    with np.errstate(all="ignore"):
        tightness = _tightness(b, a, tick, scale)
        depth = _share(np.minimum(as_floats(bid_quantity), as_floats(ask_quantity)), size, scale.full_depth_sizes)
        traded = _share(as_floats(volume), size, scale.full_activity_sizes)
        held = _share(as_floats(open_interest), size, scale.full_activity_sizes)
        activity = np.where(np.isnan(traded), held, np.where(np.isnan(held), traded, 0.5 * (traded + held)))
        total, weight = tightness * scale.tightness_weight, np.full(1, scale.tightness_weight)
        for part, share in ((depth, scale.depth_weight), (activity, scale.activity_weight)):
            known = ~np.isnan(part)
            total = total + np.where(known, part, 0.0) * share
            weight = weight + known * share
        score = PERCENT * total / weight
    return _shaped(score, shape)


def _shaped(values: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Give a result the shape its inputs broadcast to."""
    return values.reshape(shape) if values.size == math.prod(shape) else np.broadcast_to(values, shape).copy()


def _two_sided(bid: FloatArray, ask: FloatArray) -> BoolArray:
    usable: BoolArray = (bid > 0.0) & (ask >= bid) & np.isfinite(ask)
    return usable


def _tightness(bid: FloatArray, ask: FloatArray, tick: float, scale: LiquidityScale) -> FloatArray:
    """From 0 to 1; NaN without a quote or with a crossed one."""
    has_bid, has_ask = (bid > 0.0) & np.isfinite(bid), (ask > 0.0) & np.isfinite(ask)
    points = ask - bid
    percent = PERCENT * points / (0.5 * (ask + bid))
    by_percent = 1.0 - np.log(percent / scale.tight_percent) / math.log(scale.wide_percent / scale.tight_percent)
    by_ticks = 1.0 - np.log(points / tick) / math.log(scale.wide_ticks)
    best = np.clip(np.fmax(by_percent, by_ticks), 0.0, 1.0)
    return np.where(_two_sided(bid, ask), best, np.where(has_bid ^ has_ask, 0.0, np.nan))


def _share(units: FloatArray, size: float, full: float) -> FloatArray:
    """A count as a part of what is plenty, logarithmic, 0 to 1; NaN where it is no count."""
    share: FloatArray = np.minimum(np.log1p(np.where(units >= 0.0, units, np.nan) / size) / math.log1p(full), 1.0)
    return share
