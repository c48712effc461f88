"""One evaluation of Black's formula with all the terms that prices' derivatives share, over blocks of options.

Invariant: elementwise, silent, and complete: outside the domain every term is NaN, and a derivative without a limit
(exactly at the money with no time or no deviation left) is NaN, so that whatever is made of the terms is NaN too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from engine.analytics.arrays import (
    DAYS_PER_YEAR,
    PER_PERCENTAGE_POINT,
    FloatArray,
    as_column,
    column_or_term,
    part_of,
    shape_together,
)
from engine.analytics.normalised import in_domain, out_of_money
from engine.analytics.workspace import BLOCK, blocks

_TINY: Final = float(np.finfo(np.float64).tiny)
"""Stands in for zero time in denominators whose numerator is zero there."""


class BlackInputs(NamedTuple):
    """A block of options: columns of one length, or numbers without dimensions that are the same for all of them."""

    forward: FloatArray
    """The forward, or the spot when ``dividend_yield`` is given."""
    strike: FloatArray
    years: FloatArray
    rate: FloatArray
    volatility: FloatArray
    """Always a column."""
    dividend_yield: FloatArray | None
    sign: FloatArray
    """+1 for calls, -1 for puts."""


class Evaluation(NamedTuple):
    """The formula at a block of options, in natural units: per unit of volatility and rate, per year."""

    forward: FloatArray
    years: FloatArray
    growth: FloatArray
    """Forward per point of spot; 1 when the inputs are forwards."""
    carry: FloatArray
    """``r - q``: by how much of itself the forward grows in a year when the spot is held."""
    rate: FloatArray
    price: FloatArray
    interest: FloatArray
    """``r`` times the price: what the price earns in a year by discounting alone."""
    delta: FloatArray
    """With respect to the forward."""
    gamma: FloatArray
    """With respect to the forward; NaN exactly at the money with no deviation left, where it has no limit."""
    decay: FloatArray
    """``dP/dT`` at constant forward and discount factor: the pure loss of time value per year, >= 0."""
    vega: FloatArray
    weighted_density: FloatArray
    """``exp(-r T) F phi(d1)``, the common factor of all derivatives but delta."""
    d1: FloatArray
    d2: FloatArray
    deviation: FloatArray
    """``volatility * sqrt(years)``, never quite zero."""
    root: FloatArray
    """``sqrt(years)``."""
    timeless: FloatArray
    """0, or NaN exactly at the money with no time left: derivatives by time have no limit there."""

    @staticmethod
    def per_day(value: FloatArray) -> FloatArray:
        """Quote a yearly rate per calendar day."""
        return value * (1.0 / DAYS_PER_YEAR)

    @staticmethod
    def per_point(value: FloatArray) -> FloatArray:
        """Quote a derivative by volatility or rate per percentage point."""
        return value * PER_PERCENTAGE_POINT

    def over_years(self, value: FloatArray) -> FloatArray:
        """Divide what vanishes at zero years by the years."""
        return value / np.maximum(self.years, _TINY)


def evaluate(inputs: BlackInputs) -> Evaluation:
    """Evaluate the formula once. The caller silences floating-point warnings."""
    k, t, r, v, sign = inputs.strike, inputs.years, inputs.rate, inputs.volatility, inputs.sign
    if inputs.dividend_yield is None:
        f, carry, growth = inputs.forward, np.zeros(()), np.ones(())
    else:
        carry = np.asarray(r - inputs.dividend_yield)
        growth = np.asarray(np.exp(carry * t))
        f = np.asarray(inputs.forward * growth)
    root = np.asarray(np.sqrt(t))
    deviation = v * root
    side = out_of_money(f, k, deviation)
    discount = np.exp(-r * t)
    price = discount * (side.price + np.maximum(sign * side.gain, 0.0))
    half = 0.5 * side.deviation
    signed = np.copysign(side.distance, side.gain)
    d1 = signed + half
    density = discount * side.weighted_density
    unbounded = timeless = np.zeros(())
    level = side.gain == 0.0
    if np.count_nonzero(level):
        unbounded = np.where(level & (deviation == 0.0), np.nan, 0.0)
        timeless = np.where(level & (t == 0.0), np.nan, 0.0)
    valid = in_domain(f, k, t, r, v)
    if np.count_nonzero(valid) != valid.size:
        # Every derivative holds one of these three as a factor or a term.
        price = np.where(valid, price, np.nan)
        density = np.where(valid, density, np.nan)
        discount = np.where(valid, discount, np.nan)
    return Evaluation(
        forward=f,
        years=t,
        growth=growth,
        carry=carry,
        rate=r,
        price=price,
        interest=r * price,
        delta=ndtr(sign * d1) * (discount * sign),
        gamma=density / (side.deviation * (f * f)) + unbounded,
        decay=density * v * 0.5 / np.maximum(root, _TINY) + timeless,
        vega=density * root,
        weighted_density=density,
        d1=d1,
        d2=signed - half,
        deviation=side.deviation,
        root=root,
        timeless=timeless,
    )


def in_blocks(
    kernel: Callable[[BlackInputs], Sequence[FloatArray]],
    inputs: Sequence[ArrayLike],
    is_call: ArrayLike,
    fields: Sequence[str],
    out: Sequence[FloatArray] | None,
) -> Sequence[FloatArray]:
    """Run a kernel over inputs of any shapes, block by block.

    Args:
        kernel: gives one column of the block per field.
        inputs: forward, strike, years, rate, volatility, and a dividend yield when the first is a spot.
        is_call: true for calls.
        fields: names of what the kernel gives.
        out: arrays to write to, one per field.

    Returns:
        ``out``, or new arrays, in the shape the inputs broadcast to.

    Raises:
        ValueError: the inputs do not broadcast together, or an array of ``out`` has another shape.
    """
    arrays = [np.asarray(values, dtype=np.float64) for values in inputs]
    sign = np.where(is_call, 1.0, -1.0)
    shape = shape_together((*arrays, sign))
    if out is not None:
        _check_out(fields, out, shape)
    volatility = as_column(arrays[4], shape)
    f, k, t, r = (column_or_term(array, shape) for array in arrays[:4])
    q = column_or_term(arrays[5], shape) if len(arrays) > 5 else None
    whole = BlackInputs(f, k, t, r, volatility, q, column_or_term(sign, shape))
    with np.errstate(all="ignore"):
        if 0 < volatility.size <= BLOCK:
            results = [_column(value, volatility.size).reshape(shape) for value in kernel(whole)]
        else:
            table = np.empty((len(fields), volatility.size))
            for block in blocks(volatility.size):
                part = BlackInputs(*(None if term is None else part_of(term, block) for term in whole))  # type: ignore[arg-type]
                for row, value in zip(table, kernel(part), strict=True):
                    row[block] = value
            results = list(table.reshape((len(fields), *shape)))
    if out is None:
        return results
    for target, value in zip(out, results, strict=True):
        np.copyto(target, value)
    return out


def _column(value: FloatArray, size: int) -> FloatArray:
    """What does not differ between the options is still given for each."""
    return value if value.shape == (size,) else np.full(size, value)


def _check_out(fields: Sequence[str], out: Sequence[FloatArray], shape: tuple[int, ...]) -> None:
    """Refuse arrays that cannot hold the result."""
    for name, array in zip(fields, out, strict=True):
        if array.shape != shape or array.dtype != np.float64:
            raise ValueError(
                f"out.{name} is {array.dtype} of shape {array.shape}, but the result is float64 of shape {shape}: "
                "give an array like the result"
            )
