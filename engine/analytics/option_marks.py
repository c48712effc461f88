"""Implied volatility and first-order Greeks of many options in one call, the way a live chain needs them.

The Greeks cost little more than one exponential and one normal distribution per option, because the solver leaves the
terms they are made of, and the price at the solution is the price that was given.

Invariant: an option without a volatility has its reason and NaN in every Greek; the units are those of
:mod:`engine.analytics.greeks`.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from engine.analytics.arrays import (
    DAYS_PER_YEAR,
    PER_PERCENTAGE_POINT,
    CodeArray,
    FloatArray,
    as_column,
    constant,
)
from engine.analytics.greeks import Greeks
from engine.analytics.implied_volatility import (
    FEW,
    BlackTerms,
    BlockRows,
    IvReason,
    black_terms,
    single_terms,
    solve_block,
)
from engine.analytics.normalised import INVERSE_SQRT_TWO_PI
from engine.analytics.single_option import SingleMark, mark_single
from engine.analytics.workspace import BLOCK, Workspace, blocks

_HALF: Final = constant(0.5)
_MINUS_HALF: Final = constant(-0.5)
_PLAIN_LOWEST: Final = 1e-100
_PLAIN_HIGHEST: Final = 1e100
"""Between these, forward and years can be squared and divided by without a thought."""

_LARGEST_EXPONENT: Final = 700.0
"""Below it ``exp`` neither overflows nor vanishes."""

_FIELDS: Final = len(Greeks._fields)


class OptionMarks(NamedTuple):
    """Volatilities, why one is missing, and the Greeks at them; arrays of one shape."""

    volatility: FloatArray
    """Annual, 0.14 = 14 %; NaN where ``reason`` is not ``OK``."""
    reason: CodeArray
    """Members of :class:`~engine.analytics.implied_volatility.IvReason`."""
    greeks: Greeks
    """Black-76, with respect to the forward."""


def mark_option(
    price: float, forward: float, strike: float, years: float, rate: float, *, is_call: bool, last: float = math.nan
) -> SingleMark | IvReason:
    """Return volatility and Greeks of one option as plain floats, or the reason why it has none.

    Arguments and units as in :func:`mark_options`; tens of times faster than it for one option.
    """
    mark = mark_single(price, forward, strike, years, rate, sign=1.0 if is_call else -1.0, last=last)
    if mark is not None:
        return mark
    volatility, reason, greeks = mark_options(price, forward, strike, years, rate, is_call=is_call, last=last)
    if reason.item() != IvReason.OK:
        return IvReason(reason.item())
    return SingleMark(volatility.item(), *(field.item() for field in greeks))


def mark_options(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    *,
    is_call: ArrayLike,
    last: ArrayLike | None = None,
    workspace: Workspace | None = None,
) -> OptionMarks:
    """Return volatilities, reasons and Greeks; arguments and accuracy as in ``implied_volatility``.

    Options of several expiries may be marked in one call: forward and years are per option then.

    Args:
        price: option premium, index points; NaN or 0 means "no price".
        forward: forward of the expiry, index points.
        strike: index points.
        years: ACT/365 to the expiry instant.
        rate: continuously compounded, 0.065 = 6.5 %.
        is_call: true for calls.
        last: volatilities to start from, NaN for none.
        workspace: scratch memory to reuse.

    Returns:
        New arrays in the shape the inputs broadcast to; nothing of them lies in the workspace.
    """
    terms, shape = black_terms(price, forward, strike, years, rate, is_call=is_call)
    start = None if last is None else as_column(last, shape)
    return marks_of_terms(terms, start, Workspace() if workspace is None else workspace, shape)


def marks_of_terms(
    terms: BlackTerms, last: FloatArray | None, workspace: Workspace, shape: tuple[int, ...]
) -> OptionMarks:
    """Mark options whose terms have been read already; ``shape`` is that of the answer."""
    flat = terms.price.size
    table = np.empty((_FIELDS + 1, flat))
    reason = np.zeros(flat, dtype=np.uint8)
    if flat > FEW or not _mark_few(terms, last, table):
        with np.errstate(all="ignore"):
            for block in blocks(flat):
                part = terms.part(block) if flat > BLOCK else terms
                answer, why = table[:, block], reason[block]
                solved = solve_block(part, None if last is None else last[block], workspace, answer[0], why)
                _greeks_of_solution(part, solved, answer, workspace)
                if np.count_nonzero(why):
                    answer[:, why != IvReason.OK] = np.nan
    table = table.reshape((_FIELDS + 1, *shape))
    fields = table if shape else [table[row, ...] for row in range(_FIELDS + 1)]
    return OptionMarks(fields[0], reason.reshape(shape), Greeks(*fields[1:]))


def _mark_few(terms: BlackTerms, last: FloatArray | None, table: FloatArray) -> bool:
    """Mark one option after another, if all are ordinary; return whether they were."""
    for place, (p, f, k, t, r, sign) in enumerate(single_terms(terms)):
        start = math.nan if last is None else last.item(place)
        mark = mark_single(p, f, k, t, r, sign=sign, last=start)
        if mark is None:
            return False
        table[:, place] = mark
    return True


class _Factors(NamedTuple):
    """What the Greeks of a block are multiplied with; a column, or without dimensions when all of it is one expiry."""

    discount: FloatArray
    density: FloatArray
    gamma: FloatArray
    decay: FloatArray
    interest: FloatArray
    vega: FloatArray
    rho: FloatArray


def _factors(terms: BlackTerms) -> _Factors:
    """Work out what does not depend on the single option."""
    forward, years, rate = terms.forward, terms.years, terms.rate
    if forward.ndim == years.ndim == rate.ndim == 0:
        f, t, r = float(forward), float(years), float(rate)
        plain = _PLAIN_LOWEST < f < _PLAIN_HIGHEST and _PLAIN_LOWEST < t < _PLAIN_HIGHEST
        if plain and abs(r) * t < _LARGEST_EXPONENT:
            # The same on plain numbers, several times faster.
            root = math.sqrt(t)
            discount = math.exp(-r * t)
            numbers = (
                discount,
                f * discount * INVERSE_SQRT_TWO_PI,
                1.0 / (f * f),
                -0.5 / (DAYS_PER_YEAR * root),
                r / DAYS_PER_YEAR,
                root * PER_PERCENTAGE_POINT,
                t * -PER_PERCENTAGE_POINT,
            )
            return _Factors(*map(np.array, numbers))
    root_of_time, discounts = np.sqrt(years), np.exp(-rate * years)
    return _Factors(
        *map(
            np.asarray,
            (
                discounts,
                forward * discounts * INVERSE_SQRT_TWO_PI,
                1.0 / (forward * forward),
                -0.5 / (DAYS_PER_YEAR * root_of_time),
                rate / DAYS_PER_YEAR,
                root_of_time * PER_PERCENTAGE_POINT,
                years * -PER_PERCENTAGE_POINT,
            ),
        )
    )


def _greeks_of_solution(terms: BlackTerms, solved: BlockRows, answer: FloatArray, workspace: Workspace) -> None:
    """Fill rows 1 to 6 of the answer; row 0 holds the volatilities."""
    gain, ratio, deviation = solved
    volatility, price, delta, gamma, theta, vega, rho = answer
    d1, density = workspace.rows(deviation.size)[:2]
    factors = _factors(terms)
    np.copyto(price, terms.price)
    np.divide(ratio, deviation, out=d1)
    np.copysign(d1, gain, out=d1)
    np.multiply(deviation, _HALF, out=density)
    np.add(d1, density, out=d1)
    np.multiply(d1, d1, out=density)
    np.multiply(density, _MINUS_HALF, out=density)
    np.exp(density, out=density)
    # discount * F * phi(d1), the common factor of gamma, vega and theta.
    np.multiply(density, factors.density, out=density)
    np.multiply(d1, terms.sign, out=d1)
    ndtr(d1, delta)
    np.multiply(terms.sign, factors.discount, out=d1)
    np.multiply(delta, d1, out=delta)
    np.multiply(density, factors.vega, out=vega)
    np.divide(density, deviation, out=gamma)
    np.multiply(gamma, factors.gamma, out=gamma)
    np.multiply(density, volatility, out=density)
    np.multiply(density, factors.decay, out=density)
    np.multiply(price, factors.interest, out=theta)
    np.add(theta, density, out=theta)
    np.multiply(price, factors.rho, out=rho)
