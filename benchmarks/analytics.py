"""Timings of the numerical kernels, each beside a plain solution of the same problem in the same run.

Nothing here passes or fails. On a shared machine only the ratios mean something: every row is the median of interleaved
rounds, and the reference loop (a fixed piece of pure Python) shows how fast the machine was meanwhile.

    python -m benchmarks.analytics
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from engine.analytics.arrays import BoolArray, FloatArray
from engine.analytics.black import price
from engine.analytics.chain import SideQuotes, mark_chain
from engine.analytics.greeks import greeks
from engine.analytics.implied_volatility import implied_volatility

FORWARD, YEARS, RATE = 24_216.5, 4.25 / 365, 0.065
SIZES = (2, 200, 2_000, 20_000)
ROUNDS = 9
TARGET_SECONDS = 0.02
NEWTON_STEPS = 8
LOOP_LENGTH = 20_000


class Options(NamedTuple):
    """A made-up chain: out-of-the-money options within four standard deviations."""

    strike: FloatArray
    is_call: BoolArray
    volatility: FloatArray
    premium: FloatArray


def make_options(count: int) -> Options:
    """Return ``count`` options with a smile and exact premiums."""
    deviation = 0.12 * math.sqrt(YEARS)
    strike = FORWARD * np.exp(np.linspace(-4, 4, count) * deviation)
    is_call = strike >= FORWARD
    volatility = 0.11 + 0.8 * np.abs(np.log(strike / FORWARD))
    return Options(strike, is_call, volatility, price(FORWARD, strike, YEARS, RATE, volatility, is_call=is_call))


def plain_price(strike: FloatArray, volatility: FloatArray, sign: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The textbook formula and its vega, as one would write it first."""
    deviation = volatility * math.sqrt(YEARS)
    d1 = np.log(FORWARD / strike) / deviation + 0.5 * deviation
    discount = math.exp(-RATE * YEARS)
    value = discount * sign * (FORWARD * ndtr(sign * d1) - strike * ndtr(sign * (d1 - deviation)))
    vega = discount * FORWARD * np.exp(-0.5 * d1 * d1) * math.sqrt(YEARS / (2 * math.pi))
    return value, vega


def newton(options: Options) -> FloatArray:
    """The named peer: Newton's method on numpy and ndtr, from 30 %, a fixed number of steps."""
    sign = np.where(options.is_call, 1.0, -1.0)
    volatility = np.full(options.strike.shape, 0.3)
    for _ in range(NEWTON_STEPS):
        value, vega = plain_price(options.strike, volatility, sign)
        volatility = np.clip(volatility - (value - options.premium) / np.maximum(vega, 1e-8), 0.01, 5.0)
    return volatility


def brent(options: Options) -> FloatArray:
    """The other peer: one bracketed root search per option."""
    root_of_time, discount = math.sqrt(YEARS), math.exp(-RATE * YEARS)

    def error(volatility: float, strike: float, sign: float, premium: float) -> float:
        deviation = volatility * root_of_time
        d1 = math.log(FORWARD / strike) / deviation + 0.5 * deviation
        upper = 0.5 * math.erfc(-sign * d1 / math.sqrt(2))
        lower = 0.5 * math.erfc(-sign * (d1 - deviation) / math.sqrt(2))
        return discount * sign * (FORWARD * upper - strike * lower) - premium

    sign = np.where(options.is_call, 1.0, -1.0)
    rows = zip(options.strike.tolist(), sign.tolist(), options.premium.tolist(), strict=True)
    return np.array([brentq(error, 1e-3, 5.0, args=row, xtol=1e-12) for row in rows])


def reference_loop() -> float:
    """A fixed amount of pure Python."""
    total = 0.0
    for i in range(LOOP_LENGTH):
        total += i * 0.5
    return total


def median_times(*actions: Callable[[], object]) -> list[float]:
    """Return seconds per call of each action, interleaved so that a noisy moment hits all of them."""
    repeats = []
    for action in actions:
        action()
        started = time.perf_counter()
        action()
        repeats.append(max(1, int(TARGET_SECONDS / (time.perf_counter() - started + 1e-9))))
    samples: list[list[float]] = [[] for _ in actions]
    for _ in range(ROUNDS):
        for action, repeat, sample in zip(actions, repeats, samples, strict=True):
            started = time.perf_counter()
            for _ in range(repeat):
                action()
            sample.append((time.perf_counter() - started) / repeat)
    return [float(np.median(sample)) for sample in samples]


def solved_share(options: Options, volatility: FloatArray) -> float:
    """Part of the options whose volatility is right to one part in a million."""
    return float(np.mean(np.abs(volatility / options.volatility - 1) < 1e-6))


def make_quotes(options: Options, *, is_call: bool) -> SideQuotes:
    """Return two-sided quotes half a point around the fair price, at the options' strikes."""
    fair = price(FORWARD, options.strike, YEARS, RATE, options.volatility, is_call=is_call)
    half = np.minimum(0.25, 0.2 * fair)
    count = options.strike.size
    recent, counts = np.zeros(count, dtype=np.bool_), np.full(count, 1_000.0)
    return SideQuotes(fair - half, fair + half, fair, recent, counts, counts)


def main() -> None:
    """Print the table."""
    (loop,) = median_times(reference_loop)
    print(f"reference loop ({LOOP_LENGTH:,} additions of pure Python): {loop * 1e6:,.0f} µs")
    print()
    print(
        f"{'implied volatility + Greeks':<30}{'ours µs':>12}{'newton µs':>12}{'ratio':>8}{'brentq µs':>12}{'ratio':>8}"
    )
    for size in SIZES:
        options = make_options(size)

        def ours(options: Options = options) -> object:
            found = implied_volatility(
                options.premium, FORWARD, options.strike, YEARS, RATE, is_call=options.is_call
            ).volatility
            return greeks(FORWARD, options.strike, YEARS, RATE, found, is_call=options.is_call)

        def peer(options: Options = options) -> object:
            return greeks(FORWARD, options.strike, YEARS, RATE, newton(options), is_call=options.is_call)

        def loop_peer(options: Options = options) -> object:
            return greeks(FORWARD, options.strike, YEARS, RATE, brent(options), is_call=options.is_call)

        with_loop = size <= 2_000
        times = median_times(ours, peer, *([loop_peer] if with_loop else []))
        row = f"n = {size:<26,}{times[0] * 1e6:>12,.0f}{times[1] * 1e6:>12,.0f}{times[0] / times[1]:>8.2f}"
        print(row + (f"{times[2] * 1e6:>12,.0f}{times[0] / times[2]:>8.3f}" if with_loop else f"{'—':>12}{'—':>8}"))
    options = make_options(200)
    exact = implied_volatility(options.premium, FORWARD, options.strike, YEARS, RATE, is_call=options.is_call)
    print(
        f"right to 1e-6 of 200: ours {solved_share(options, exact.volatility):.0%}, "
        f"newton {solved_share(options, newton(options)):.0%}, brentq {solved_share(options, brent(options)):.0%}"
    )
    print()
    chain = make_options(100)
    call, put = make_quotes(chain, is_call=True), make_quotes(chain, is_call=False)
    (whole,) = median_times(lambda: mark_chain(chain.strike, call, put, years=YEARS, rate=RATE, spot=FORWARD))
    print(f"mark_chain, 100 strikes (200 options), forward and statistics included: {whole * 1e6:,.0f} µs")


if __name__ == "__main__":
    main()
