"""Figures of a whole expiry: put-call ratios, max pain, at-the-money strike, straddle, expected move.

Definitions:

* **PCR by OI** and **PCR by volume**: sum over puts divided by sum over calls; two figures, never mixed. Unknown
  (NaN) or negative elements are left out; NaN when nothing is known of one side or the calls sum to zero.
* **Max pain**: the strike ``P`` that minimises ``sum OI_call * max(P - K, 0) + OI_put * max(K - P, 0)``, what the
  option writers would pay out. Among equal minima the lowest strike.
* **ATM strike**: nearest to the forward; of two equally near the lower one.
* **Straddle**: call plus put at the ATM strike, index points.
* **Expected move**: the ATM straddle's price, the market's own price of the absolute move to expiry.
* **One-sigma move**: ``forward * ATM volatility * sqrt(years)``, about 1.25 times the former.
* **ATM volatility**: interpolated linearly in strike, at the forward, between the nearest strikes with a volatility
  on either side of it; at each strike the mean of call and put, or the one that exists.

Invariant: a figure that cannot be computed is NaN (``None`` for a strike), never 0.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from engine.analytics.arrays import BoolArray, FloatArray, as_floats

LARGEST_COUNT: Final = 2.0**53
"""Above this float64 no longer counts one by one; such a figure is no open interest and no volume."""


class ChainStatistics(NamedTuple):
    """The figures above a chain; definitions in the module's description."""

    pcr_open_interest: float
    pcr_volume: float
    max_pain: float | None
    atm_strike: float | None
    straddle: float
    """Index points."""
    expected_move: float
    """Index points, one side."""
    one_sigma_move: float
    """Index points, one side."""
    atm_volatility: float
    """Annual, 0.14 = 14 %."""


def put_call_ratio(call_counts: ArrayLike, put_counts: ArrayLike) -> float:
    """Return puts over calls of open interest or of volume (any unit, the same for both); NaN when undefined."""
    calls, puts = _known(call_counts), _known(put_counts)
    total = float(calls.sum())
    if not calls.size or not puts.size or total <= 0.0:
        return math.nan
    return float(puts.sum()) / total


def max_pain(strikes: ArrayLike, call_open_interest: ArrayLike, put_open_interest: ArrayLike) -> float | None:
    """Return the strike at which the writers' payout is least, or ``None`` without any open interest.

    Args:
        strikes: index points, shape ``(n,)``, any order.
        call_open_interest: any unit, shape ``(n,)``; NaN and negative count as none.
        put_open_interest: the same unit, shape ``(n,)``.

    Raises:
        ValueError: the arrays differ in shape.
    """
    k, calls, puts = as_floats(strikes), as_floats(call_open_interest), as_floats(put_open_interest)
    if not k.shape == calls.shape == puts.shape:
        raise ValueError(
            f"strikes {k.shape}, call_open_interest {calls.shape} and put_open_interest {puts.shape} "
            "must have one shape, an element per strike"
        )
    usable = np.isfinite(k) & (k > 0.0)
    k = k[usable]
    calls = np.where(_is_count(calls), calls, 0.0)[usable]
    puts = np.where(_is_count(puts), puts, 0.0)[usable]
    if not k.size or calls.sum() + puts.sum() <= 0.0:
        return None
    order = np.argsort(k, kind="stable")
    k, calls, puts = k[order], calls[order], puts[order]
    # Between neighbouring strikes the payout is a straight line: its slope is calls at or below minus puts above.
    slope = np.cumsum(calls)[:-1] - (puts.sum() - np.cumsum(puts)[:-1])
    with np.errstate(all="ignore"):
        payout = np.concatenate(([0.0], np.cumsum(slope * np.diff(k))))
    return float(k[int(np.argmin(payout))])


def atm_index(strikes: ArrayLike, forward: float) -> int | None:
    """Return the index of the strike nearest to the forward (the lower of two), or ``None`` without either."""
    k = as_floats(strikes)
    if not math.isfinite(forward):
        return None
    with np.errstate(all="ignore"):
        distance = np.abs(k - forward)
    usable = np.isfinite(distance) & (k > 0.0)
    if not usable.any():
        return None
    candidates = np.flatnonzero(usable & (distance == distance[usable].min()))
    return int(candidates[np.argmin(k[candidates])])


def volatility_at(strikes: ArrayLike, call_volatility: ArrayLike, put_volatility: ArrayLike, forward: float) -> float:
    """Return the volatility interpolated at the forward; NaN when the known strikes do not enclose it.

    Args:
        strikes: index points, shape ``(n,)``, any order.
        call_volatility: annual, NaN where unknown, shape ``(n,)``.
        put_volatility: the same for puts.
        forward: index points.

    Returns:
        Annual volatility, 0.14 = 14 %.
    """
    if not math.isfinite(forward):
        return math.nan
    k, call, put = as_floats(strikes), as_floats(call_volatility), as_floats(put_volatility)
    combined = np.where(np.isnan(call), put, np.where(np.isnan(put), call, 0.5 * (call + put)))
    known = np.isfinite(combined) & np.isfinite(k)
    k, combined = k[known], combined[known]
    below, above = k <= forward, k >= forward
    if not below.any() or not above.any():
        return math.nan
    low = int(np.argmax(np.where(below, k, -np.inf)))
    high = int(np.argmin(np.where(above, k, np.inf)))
    if k[high] == k[low]:
        return float(combined[low])
    lower, upper = float(k[low]), float(k[high])
    weight = (forward - lower) / (upper - lower)
    return float(combined[low]) + weight * (float(combined[high]) - float(combined[low]))


def chain_statistics(
    strikes: FloatArray,
    forward: float,
    years: float,
    *,
    call_price: FloatArray,
    put_price: FloatArray,
    call_volatility: FloatArray,
    put_volatility: FloatArray,
    call_open_interest: FloatArray,
    put_open_interest: FloatArray,
    call_volume: FloatArray,
    put_volume: FloatArray,
) -> ChainStatistics:
    """Return all the figures of one expiry; arrays of shape ``(n,)``, one element per strike, NaN where unknown."""
    index = atm_index(strikes, forward)
    straddle = math.nan if index is None else float(call_price[index]) + float(put_price[index])
    atm_volatility = volatility_at(strikes, call_volatility, put_volatility, forward)
    has_time = math.isfinite(years) and years > 0.0
    return ChainStatistics(
        pcr_open_interest=put_call_ratio(call_open_interest, put_open_interest),
        pcr_volume=put_call_ratio(call_volume, put_volume),
        max_pain=max_pain(strikes, call_open_interest, put_open_interest),
        atm_strike=None if index is None else float(strikes[index]),
        straddle=straddle,
        expected_move=straddle,
        one_sigma_move=forward * atm_volatility * math.sqrt(years) if has_time else math.nan,
        atm_volatility=atm_volatility,
    )


def _is_count(values: FloatArray) -> BoolArray:
    """Where a value is a possible count; NaN is not."""
    possible: BoolArray = (values >= 0.0) & (values <= LARGEST_COUNT)
    return possible


def _known(values: ArrayLike) -> FloatArray:
    """Only the possible counts."""
    counts = as_floats(values)
    return counts[_is_count(counts)]
