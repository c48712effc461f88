"""Errors of price, implied volatility and every Greek against a reference of 50 digits, on a grid of hard points.

The grid: strikes from e^-1.6 to e^1.6 of the forward, close together at the money; one minute to ten years; 0.5 % to
500 %; calls and puts. Points whose price underflows or, rounded to float64, holds no time value are left out. The
true volatility of a point is that of its *rounded* price, so what is measured is the solver and nothing else.

A relative error of a Greek is taken of the sum of the sizes of its terms: near a zero of vanna or charm two large terms
cancel, and no float64 formula keeps digits that its inputs do not hold.

    python -m benchmarks.accuracy
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import mpmath
import numpy as np

from engine.analytics.arrays import BoolArray, FloatArray
from engine.analytics.black import price
from engine.analytics.implied_volatility import IvReason, implied_volatility
from engine.analytics.option_marks import mark_option
from engine.analytics.second_order import AllGreeks, all_greeks
from engine.analytics.single_option import SingleMark

FORWARD: Final = 24_500.0
RATE: Final = 0.065
DIGITS: Final = 50
MINUTE: Final = 1 / 525_600
NEAR_MONEY: Final = (0.0, 1e-5, 1e-3, 0.004, 0.01, 0.02)
LOG_MONEYNESS: Final = (*np.linspace(-1.6, 1.6, 33).tolist(), *(sign * x for x in NEAR_MONEY for sign in (1, -1)))
YEARS: Final = (
    MINUTE,
    5 * MINUTE,
    30 * MINUTE,
    2 / 8_760,
    1 / 365,
    3 / 365,
    7 / 365,
    30 / 365,
    90 / 365,
    1.0,
    2.0,
    10.0,
)
VOLATILITIES: Final = (0.005, 0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0)
LOWEST_PRICE: Final = 1e-290
TICK: Final = 0.05
WELL_CONDITIONED: Final = 1e4
UNIT_ROUNDOFF: Final = 2.0**-53
WARM_MOVES: Final = (0.001, 0.01, 0.1, 1.0)

Number = Any
"""An mpmath number; the library has no types."""


class Reference(NamedTuple):
    """The hard points as columns, exact to the last digit of float64."""

    strike: FloatArray
    years: FloatArray
    volatility: FloatArray
    is_call: BoolArray
    premium: FloatArray
    """Undiscounted, rounded."""
    implied: FloatArray
    """Exact volatility of the rounded premium."""
    condition: FloatArray
    """By how much a relative error of the premium is magnified in the volatility."""
    greeks: AllGreeks
    """At ``RATE``."""
    sizes: AllGreeks
    """The sums of the sizes of the Greeks' terms."""


class _Terms(NamedTuple):
    deviation: Number
    d1: Number
    d2: Number
    density: Number
    """phi(d1)."""


def _terms(strike: float, years: Number, volatility: Number) -> _Terms:
    deviation = volatility * mpmath.sqrt(years)
    d1 = mpmath.log(mpmath.mpf(FORWARD) / strike) / deviation + deviation / 2
    return _Terms(deviation, d1, d1 - deviation, mpmath.npdf(d1))


def exact_price(strike: float, years: Number, volatility: Number, *, is_call: bool) -> Number:
    """Return the undiscounted Black price."""
    at = _terms(strike, years, volatility)
    sign = 1 if is_call else -1
    return sign * (FORWARD * mpmath.ncdf(sign * at.d1) - strike * mpmath.ncdf(sign * at.d2))


def exact_volatility(strike: float, years: float, start: float, premium: float, *, is_call: bool) -> Number | None:
    """Solve for the volatility of exactly this premium by Newton's method; ``None`` when there is no way to it."""
    volatility, t = mpmath.mpf(start), mpmath.mpf(years)
    for _ in range(60):
        vega = FORWARD * _terms(strike, t, volatility).density * mpmath.sqrt(t)
        if vega == 0:
            return None
        step = (premium - exact_price(strike, t, volatility, is_call=is_call)) / vega
        step = max(-volatility / 4, min(volatility / 4, step))
        volatility += step
        if abs(step) < volatility * mpmath.mpf(10) ** -25:
            return volatility
    return None


def exact_greeks(strike: float, years: float, volatility: float, *, is_call: bool) -> tuple[AllGreeks, AllGreeks]:
    """Return the textbook Greeks at ``RATE`` in the desk's units, and the sums of the sizes of their terms."""
    f, t, v, r = (mpmath.mpf(x) for x in (FORWARD, years, volatility, RATE))
    s, d1, d2, density = _terms(strike, t, v)
    sign = 1 if is_call else -1
    discount = mpmath.exp(-r * t)
    value = discount * exact_price(strike, t, v, is_call=is_call)
    delta = discount * sign * mpmath.ncdf(sign * d1)
    gamma = discount * density / (f * s)
    vega = discount * f * density * mpmath.sqrt(t)
    decay = vega * v / (2 * t)
    day, point = mpmath.mpf(1) / 365, mpmath.mpf(1) / 100
    exact = (
        value, delta, gamma, (r * value - decay) * day, vega * point, -t * value * point,
        -discount * density * d2 / v * point,
        (r * delta + discount * density * d2 / (2 * t)) * day,
        vega * d1 * d2 / v * point**2,
        -gamma / f * (1 + d1 / s),
        gamma * (d1 * d2 - 1) / v * point,
        gamma * (r + (1 - d1 * d2) / (2 * t)) * day,
    )  # fmt: skip
    far = abs(mpmath.log(f / strike)) / s + s / 2
    sizes = (
        value, abs(delta), gamma, (r * value + decay) * day, vega * point, t * value * point,
        discount * density * far / v * point,
        (r * abs(delta) + discount * density * far / (2 * t)) * day,
        vega * far**2 / v * point**2,
        gamma / f * (1 + far / s),
        gamma * (far**2 + 1) / v * point,
        gamma * (r + (1 + far**2) / (2 * t)) * day,
    )  # fmt: skip
    return AllGreeks(*exact), AllGreeks(*sizes)


def hard_points() -> list[tuple[float, float, float, bool]]:
    """Return strike, years, volatility and side of every point of the grid."""
    strikes = sorted({round(FORWARD * math.exp(x) * 20) / 20 for x in LOG_MONEYNESS} | {FORWARD})
    return list(itertools.product(strikes, YEARS, VOLATILITIES, (True, False)))


def make_reference(points: Iterable[tuple[float, float, float, bool]]) -> Reference:
    """Evaluate points, and leave out those without information in float64."""
    rows: list[tuple[float | bool, ...]] = []
    exact_rows: list[list[float]] = []
    size_rows: list[list[float]] = []
    with mpmath.workdps(DIGITS):
        for point in points:
            strike, years, volatility, is_call = point
            exact = exact_price(strike, mpmath.mpf(years), mpmath.mpf(volatility), is_call=is_call)
            premium = float(exact)
            intrinsic = max(FORWARD - strike if is_call else strike - FORWARD, 0.0)
            if premium < LOWEST_PRICE or premium <= intrinsic or premium >= (FORWARD if is_call else strike):
                continue
            solution = exact_volatility(strike, years, volatility, premium, is_call=is_call)
            if solution is None:
                continue
            vega = FORWARD * _terms(strike, mpmath.mpf(years), solution).density * mpmath.sqrt(years)
            rows.append((*point, premium, float(solution), float(premium / (solution * vega))))
            for chosen, values in zip(
                (exact_rows, size_rows), exact_greeks(strike, years, volatility, is_call=is_call), strict=True
            ):
                chosen.append([float(value) for value in values])
    columns: list[Any] = [np.array(column) for column in zip(*rows, strict=True)]
    columns += [AllGreeks(*np.array(exact_rows).T), AllGreeks(*np.array(size_rows).T)]
    return Reference(*columns)


def volatility_errors(
    points: Reference, solve: Callable[..., FloatArray] | None = None, *, last: FloatArray | None = None
) -> FloatArray:
    """Return the relative errors of the volatilities of all points; 1 where there is none."""
    if solve is None:
        found, reason = implied_volatility(
            points.premium, FORWARD, points.strike, points.years, 0.0, is_call=points.is_call, last=last
        )
        found = np.where(reason == IvReason.OK, found, np.nan)
    else:
        found = solve(points)
    error = np.abs(found / points.implied - 1)
    return np.where(np.isnan(error), 1.0, error)


def scalar_volatilities(points: Reference) -> FloatArray:
    """Return the volatilities that the call for one option gives."""
    found = []
    for p, k, t, call in zip(points.premium, points.strike, points.years, points.is_call, strict=True):
        mark = mark_option(float(p), FORWARD, float(k), float(t), 0.0, is_call=bool(call))
        found.append(mark.volatility if isinstance(mark, SingleMark) else math.nan)
    return np.array(found)


def greek_errors(points: Reference) -> AllGreeks:
    """Return the errors of price and Greeks at the grid's volatilities, relative to the sizes of their terms."""
    ours = all_greeks(FORWARD, points.strike, points.years, RATE, points.volatility, is_call=points.is_call)
    errors = []
    for mine, exact, size in zip(ours, points.greeks, points.sizes, strict=True):
        # Where the reference itself has left the normal range of float64 there is nothing to compare.
        measurable = size > np.finfo(np.float64).tiny / UNIT_ROUNDOFF
        errors.append(np.where(measurable, np.abs(mine - exact) / np.where(measurable, size, 1.0), 0.0))
    return AllGreeks(*errors)


def condition_bands(points: Reference) -> list[tuple[str, BoolArray]]:
    """Name the groups of points in which the errors of volatilities are judged."""
    outside = np.where(points.is_call, points.strike >= FORWARD, points.strike <= FORWARD)
    good = points.condition < WELL_CONDITIONED
    return [
        ("out of the money, a tick or more", outside & good & (points.premium >= TICK)),
        ("out of the money, 1e-8 to a tick", outside & good & (points.premium < TICK) & (points.premium >= 1e-8)),
        ("out of the money, below 1e-8", outside & good & (points.premium < 1e-8)),
        ("in the money, condition < 1e4", ~outside & good),
        ("all with condition < 1e4", good),
    ]


def _row(name: str, errors: FloatArray, extra: str = "") -> None:
    print(f"{name:<44}{errors.size:>8,}{np.max(errors):>12.1e}{np.median(errors):>12.1e}  {extra}")


def _head(title: str) -> None:
    print(f"\n{title:<44}{'points':>8}{'worst':>12}{'median':>12}")


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table; an argument N takes only every Nth point."""
    stride = int(arguments[0]) if arguments else 1
    chosen = hard_points()[::stride]
    print(f"{len(chosen):,} points in {DIGITS} digits …", end=" ", flush=True)
    started = time.perf_counter()
    points = make_reference(chosen)
    print(f"{time.perf_counter() - started:.0f} s; {points.strike.size:,} hold a volatility in float64.")
    _head("price, undiscounted: relative error")
    ours = price(FORWARD, points.strike, points.years, 0.0, points.volatility, is_call=points.is_call)
    exact_premium = np.abs(ours / points.premium - 1)
    _row("a tick or more", exact_premium[points.premium >= TICK])
    _row(f"all, down to {LOWEST_PRICE:.0e}", exact_premium)
    _head("implied volatility, cold: relative error")
    cold = volatility_errors(points)
    for name, band in condition_bands(points):
        _row(name, cold[band], f"unsolved {np.count_nonzero(cold[band] >= 0.01)}")
    poor = points.condition >= WELL_CONDITIONED
    attainable = UNIT_ROUNDOFF * points.condition
    _row("condition >= 1e4, times what rounding costs", (cold / attainable)[poor])
    good = ~poor
    for move in WARM_MOVES:
        sides = np.where(np.arange(points.implied.size) % 2 == 0, 1 + move, 1 / (1 + move))
        _row(f"warm, last volatility {move:.1%} away", volatility_errors(points, last=points.implied * sides)[good])
    _row("one option at a time", volatility_errors(points, scalar_volatilities)[good])
    _head("Greeks: error relative to their terms")
    for name, errors in zip(AllGreeks._fields, greek_errors(points), strict=True):
        _row(name, errors)


if __name__ == "__main__":
    main(sys.argv[1:])
