"""Implied volatility of arrays of Black-76 prices: robust from one minute to ten years, from 0.5 % to 500 %.

Method: undiscount, subtract the intrinsic value (before any division, so that in-the-money options keep every digit
their price carries), start from the last volatility or from an explicit guess, then take steps of fifth order
(:mod:`engine.analytics.volatility_step`). A step is the last one when it started within ``TRUSTED_STEP`` of the
solution: one step while volatilities move less than that, two after a larger move, two or three from the guess.
Elements that still move take more, on their own; those that a last volatility does not lead to their solution start
anew from the guess.

Invariant: one answer per element. Either a volatility and ``OK``, or NaN and the reason; never zero for "failed", never
an exception because of a value, never a bound returned as if it were a solution, never the last volatility or a number
on the way as if it had converged.

References: Stefanica and Radoičić (2017) for the guess; Jäckel, "Let's be rational" (2015) for the idea of normalised
out-of-the-money prices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analytics.arrays import (
    BoolArray,
    CodeArray,
    FloatArray,
    as_column,
    column_or_term,
    constant,
    part_of,
    shape_together,
)
from engine.analytics.normalised import log_ratio
from engine.analytics.single_option import volatility_of_single
from engine.analytics.volatility_guess import guess_deviation
from engine.analytics.volatility_step import FIRST_FREE_ROW, TRUSTED_STEP, step
from engine.analytics.workspace import Workspace, blocks

_COMMON_STEPS: Final = 2
"""Steps that a whole block takes together before the elements that have not settled go on alone."""

_MOST_LEFT: Final = 0.25
"""Part of a block below which the elements left go on alone after the first step already."""

_WARM_STEPS: Final = 3
"""Further steps from the last volatility before an element starts anew from the guess."""

_COLD_STEPS: Final = 12
"""Bound on the steps from the guess for elements on their own."""

FEW: Final = 2
"""Up to so many options are solved one by one, on plain floats: that is faster then."""

_UPPER_PART: Final = 0.5
"""Part of the maximum above which what is missing to it is solved for."""

_TRUSTED_STEP: Final = constant(TRUSTED_STEP)
_ZERO: Final = constant(0.0)
_HALF: Final = constant(0.5)
_ONE: Final = constant(1.0)


class IvReason(IntEnum):
    """Why there is a volatility or none; stored as one byte per option."""

    OK = 0
    NO_PRICE = 1
    """No price was given (NaN or zero)."""
    BELOW_INTRINSIC = 2
    """The price is at or below the discounted intrinsic value: it holds no time value."""
    ABOVE_MAXIMUM = 3
    """The price is at or above the most an option can cost (discounted forward for calls, strike for puts)."""
    NO_TIME = 4
    """The expiry instant has been reached or passed."""
    BAD_INPUT = 5
    """Strike, forward, time, rate or price is impossible (negative, infinite or not a number)."""
    STALE = 6
    """There is a price, but too old to be used. Set by callers, who know ages; never by the solver."""
    NO_FORWARD = 7
    """No forward could be found for the expiry. Set by callers, who look for it; never by the solver."""
    NOT_SOLVED = 8
    """The solver did not settle. Known to happen only for prices below 1e-300; reported rather than guessed."""


class ImpliedVolatility(NamedTuple):
    """Volatilities and, element by element, why one is missing."""

    volatility: FloatArray
    """Annual, 0.14 = 14 %; NaN where ``reason`` is not ``OK``."""
    reason: CodeArray
    """Members of :class:`IvReason`."""


class BlackTerms(NamedTuple):
    """The inputs of options: each a column, or without dimensions when it is the same for all of them."""

    price: FloatArray
    forward: FloatArray
    strike: FloatArray
    years: FloatArray
    rate: FloatArray
    sign: FloatArray
    """+1 for calls, -1 for puts."""

    def part(self, block: slice) -> BlackTerms:
        """The terms of a block of these options."""
        return BlackTerms(*(part_of(term, block) for term in self))

    def chosen(self, indices: NDArray[np.intp]) -> BlackTerms:
        """The terms of some of these options, as columns."""
        return BlackTerms(*(np.full(indices.size, term) if term.ndim == 0 else term[indices] for term in self))


class BlockRows(NamedTuple):
    """What a solved block leaves in its workspace, shape ``(n,)`` each; valid until the workspace is used again."""

    gain: FloatArray
    """Forward minus strike."""
    ratio: FloatArray
    """``ln(max(F, K) / min(F, K))``."""
    deviation: FloatArray
    """``volatility * sqrt(years)``."""


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    *,
    is_call: ArrayLike,
    last: ArrayLike | None = None,
    workspace: Workspace | None = None,
) -> ImpliedVolatility:
    """Return the volatility at which Black-76 gives each price.

    Args:
        price: option premium, index points; NaN or 0 means "no price".
        forward: forward of the expiry, index points.
        strike: index points.
        years: ACT/365 to the expiry instant.
        rate: continuously compounded, 0.065 = 6.5 %.
        is_call: true for calls.
        last: volatilities to start from, 0.14 = 14 %, NaN for none; makes the call faster, never changes its answer
            by more than rounding, however wrong it is.
        workspace: scratch memory to reuse.

    Returns:
        Volatility and reason, in the shape the inputs broadcast to. Relative error at most 1e-12 wherever the price
        carries the information, that is where ``price / (volatility * vega)`` is below 1e4; beyond that, what
        the rounding of the price itself leaves.
    """
    terms, shape = black_terms(price, forward, strike, years, rate, is_call=is_call)
    flat = terms.price.size
    start = None if last is None else as_column(last, shape)
    space = Workspace() if workspace is None else workspace
    volatility = np.empty(flat)
    reason = np.zeros(flat, dtype=np.uint8)
    if flat > FEW or not _solve_few(terms, start, volatility):
        with np.errstate(all="ignore"):
            for block in blocks(flat):
                solve_block(
                    terms.part(block), None if start is None else start[block], space, volatility[block], reason[block]
                )
    return ImpliedVolatility(volatility.reshape(shape), reason.reshape(shape))


def black_terms(*inputs: ArrayLike, is_call: ArrayLike) -> tuple[BlackTerms, tuple[int, ...]]:
    """Read price, forward, strike, years and rate as flat columns; return them and the shape of the answer.

    Raises:
        ValueError: the inputs do not broadcast together.
    """
    price, *others = [np.asarray(values, dtype=np.float64) for values in inputs]
    sign = np.where(is_call, 1.0, -1.0)
    shape = shape_together((price, *others, sign))
    return BlackTerms(as_column(price, shape), *[column_or_term(array, shape) for array in (*others, sign)]), shape


def single_terms(terms: BlackTerms) -> Iterator[list[float]]:
    """Give the terms of one option after another as plain floats."""
    for place in range(terms.price.size):
        yield [term.item(place if term.ndim else 0) for term in terms]


def _solve_few(terms: BlackTerms, last: FloatArray | None, volatility: FloatArray) -> bool:
    """Solve one option after another, if all are ordinary; return whether they were."""
    for place, (p, f, k, t, r, sign) in enumerate(single_terms(terms)):
        start = math.nan if last is None else last.item(place)
        found = volatility_of_single(p, f, k, t, r, sign=sign, last=start)
        if found is None:
            return False
        volatility[place] = found
    return True


def solve_block(
    terms: BlackTerms, last: FloatArray | None, workspace: Workspace, volatility: FloatArray, reason: CodeArray
) -> BlockRows:
    """Solve one block. The caller silences floating-point warnings.

    Args:
        terms: the options; the price is a column of shape ``(n,)`` with ``n`` at most ``BLOCK``.
        last: volatilities to start from, shape ``(n,)``.
        workspace: its rows are overwritten.
        volatility: result, shape ``(n,)``.
        reason: result, shape ``(n,)``, all ``OK`` on entry.

    Returns:
        The rows of the workspace that the Greeks need.
    """
    size = terms.price.size
    rows = workspace.rows(size)
    gain, ratio, deviation, time_value, smaller, part, work = rows[FIRST_FREE_ROW : FIRST_FREE_ROW + 7]
    root = np.asarray(np.sqrt(terms.years))
    np.subtract(terms.forward, terms.strike, out=gain)
    np.multiply(gain, terms.sign, out=work)
    np.maximum(work, _ZERO, out=work)
    np.multiply(terms.price, np.asarray(np.exp(terms.rate * terms.years)), out=time_value)
    np.subtract(time_value, work, out=time_value)
    np.minimum(terms.forward, terms.strike, out=smaller)
    np.abs(gain, out=work)
    np.divide(work, smaller, out=work)
    np.log1p(work, out=ratio)
    np.divide(time_value, smaller, out=part)
    # NaN passes this test on purpose: an option without a price does not settle, and is sorted out with those.
    years = float(terms.years) if terms.years.ndim == 0 else np.fmin.reduce(terms.years)
    ordinary = np.fmax.reduce(part) < _UPPER_PART and np.fmin.reduce(smaller) > 0.0 and years > 0.0
    left: NDArray[np.intp] | None
    if ordinary:
        np.divide(_HALF, part, out=time_value)
        if last is None:
            np.add(work, _ONE, out=work)
            deviation[:] = guess_deviation(ratio, _ONE / work, part, _ONE - part)
        else:
            np.multiply(last, root, out=deviation)
        left = _settle(ratio, time_value, deviation, work, workspace)
    else:
        deviation.fill(np.nan)
        left = np.arange(size)
    if left is not None:
        _solve_alone(left, terms, deviation, workspace.spare, reason)
    np.divide(deviation, root, out=volatility)
    return BlockRows(gain, ratio, deviation)


def _settle(
    ratio: FloatArray, half_inverse_part: FloatArray, deviation: FloatArray, work: FloatArray, workspace: Workspace
) -> NDArray[np.intp] | None:
    """Step a whole block below half of the maximum; return the elements that have not settled, ``None`` for none."""
    settled: BoolArray
    for _ in range(_COMMON_STEPS):
        newton = step(ratio, half_inverse_part, deviation, workspace, upper=False)
        np.abs(newton, out=work)
        settled = work <= _TRUSTED_STEP
        count = int(np.count_nonzero(settled))
        if count == settled.size:
            return None
        if settled.size - count < _MOST_LEFT * settled.size:
            break
    return np.flatnonzero(~settled)


def _solve_alone(
    left: NDArray[np.intp], terms: BlackTerms, deviation: FloatArray, workspace: Workspace, reason: CodeArray
) -> None:
    """Solve the elements ``left`` of a block that are not like the rest, and say why where there is no solution.

    ``deviation`` holds where they stand, or NaN; it becomes the solution or NaN.
    """
    chosen = terms.chosen(left)
    p, f, k, t, r, sign = chosen
    time_value = p * np.exp(r * t) - np.maximum(sign * (f - k), 0.0)
    smaller, larger = np.minimum(f, k), np.maximum(f, k)
    missing = smaller - time_value
    terms_known = np.isfinite(f + k + t + r) & (f > 0.0) & (k > 0.0)
    why = _reasons(p, t, time_value, missing, terms_known=terms_known)
    solution = np.full(left.size, np.nan)
    upper = missing < time_value
    for side in (False, True):
        here = np.flatnonzero((why == IvReason.OK) & (upper == side))
        if not here.size:
            continue
        m, value, rest = smaller[here], time_value[here], missing[here]
        ratio = log_ratio((f - k)[here], m)
        half_inverse_part = 0.5 * m / (rest if side else value)
        start = deviation[left[here]]
        solution[here], settled = _iterate(
            ratio, half_inverse_part, start, guess_deviation(ratio, m / larger[here], value / m, rest / m), workspace,
            upper=side,
        )  # fmt: skip
        why[here[~settled]] = IvReason.NOT_SOLVED
    deviation[left] = solution
    reason[left] = why


def _iterate(
    ratio: FloatArray,
    half_inverse_part: FloatArray,
    start: FloatArray,
    guess: FloatArray,
    workspace: Workspace,
    *,
    upper: bool,
) -> tuple[FloatArray, BoolArray]:
    """Step from the start where there is one, then from the guess, until settled; NaN where neither leads there."""
    solution = np.full(ratio.shape, np.nan)
    settled: BoolArray = np.zeros(ratio.shape, dtype=np.bool_)
    for origin, steps in ((start, _WARM_STEPS), (guess, _COLD_STEPS)):
        left = np.flatnonzero(~settled & np.isfinite(origin) & (origin > 0.0))
        deviation = origin[left]
        for _ in range(steps):
            if not left.size:
                break
            newton = step(ratio[left], half_inverse_part[left], deviation, workspace, upper=upper)
            done = (np.abs(newton) <= _TRUSTED_STEP) & np.isfinite(deviation)
            solution[left[done]] = deviation[done]
            settled[left[done]] = True
            left, deviation = left[~done], deviation[~done]
    return solution, settled


def _reasons(
    p: FloatArray, t: FloatArray, time_value: FloatArray, missing: FloatArray, *, terms_known: BoolArray
) -> CodeArray:
    """Sort the elements; the later assignment is the more fundamental reason."""
    reason = np.full(p.shape, IvReason.OK, dtype=np.uint8)
    # Written so that a NaN fails: NaN compares false.
    solvable = terms_known & (t > 0.0) & (p > 0.0) & (time_value > 0.0) & (missing > 0.0) & np.isfinite(p)
    if solvable.all():
        return reason
    reason[~(missing > 0.0)] = IvReason.ABOVE_MAXIMUM
    reason[~(time_value > 0.0)] = IvReason.BELOW_INTRINSIC
    reason[np.isnan(p) | (p == 0.0)] = IvReason.NO_PRICE
    reason[t <= 0.0] = IvReason.NO_TIME
    reason[~terms_known | (p < 0.0) | np.isinf(p)] = IvReason.BAD_INPUT
    return reason
