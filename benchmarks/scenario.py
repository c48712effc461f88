"""A million-cell scenario grid, price and five Greeks, beside pyvolr (when installed) and plain numpy in the same run.

Nothing here passes or fails. On a shared machine only the ratios mean something: every row is the median of interleaved
rounds. The plain reference is loop-free numpy and scipy over the whole grid at once, as one would write it first.

    python -m benchmarks.scenario

pyvolr takes a second core for large batches; it is held to one thread here, as ours is.
"""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr

from engine.analytics.arrays import FloatArray
from engine.analytics.legs import LegKind, Legs, make_legs
from engine.analytics.scenario import ScenarioGrid, scenario_grid

FORWARD, STRIKE, YEARS, RATE, VOLATILITY = 24_216.5, 24_500.0, 11.25 / 365, 0.065, 0.13
AXES = (1_000, 50, 20)
SCREEN_AXES = (61, 7, 4)
ROUNDS = 7
MICROSECONDS = 1e6
Columns = tuple[FloatArray, ...]


def axes(shape: tuple[int, int, int]) -> Columns:
    """Relative forward shifts, absolute volatility shifts, years elapsed."""
    return (
        np.linspace(-0.1, 0.1, shape[0]),
        np.linspace(-0.05, 0.15, shape[1]),
        np.linspace(0.0, 0.9 * YEARS, shape[2]),
    )


def cells(shape: tuple[int, int, int]) -> Columns:
    """Forward, years and volatility of every cell, as columns."""
    forward, volatility, elapsed = np.meshgrid(*axes(shape), indexing="ij")
    return FORWARD * (1.0 + forward.ravel()), YEARS - elapsed.ravel(), VOLATILITY + volatility.ravel()


def plain(forward: FloatArray, years: FloatArray, volatility: FloatArray) -> Columns:
    """The textbook formulas of a call over whole columns."""
    root = np.sqrt(years)
    deviation = volatility * root
    d1 = np.log(forward / STRIKE) / deviation + 0.5 * deviation
    discount = np.exp(-RATE * years)
    density = np.exp(-0.5 * d1 * d1) / math.sqrt(2.0 * math.pi)
    delta = discount * ndtr(d1)
    price = forward * delta - STRIKE * discount * ndtr(d1 - deviation)
    gamma = discount * density / (forward * deviation)
    vega = discount * forward * density * root
    theta = (RATE * price - vega * volatility / (2.0 * years)) / 365.0
    return price, delta, gamma, theta, vega * 0.01, -0.01 * years * price


def pyvolr() -> Callable[[FloatArray, FloatArray, FloatArray], object] | None:
    """The named peer's price and Greeks of the same columns, or None when it is not installed."""
    try:
        black = importlib.import_module("pyvolr.black76")
    except ModuleNotFoundError:
        return None

    def peer(forward: FloatArray, years: FloatArray, volatility: FloatArray) -> object:
        price = black.price("c", forward, STRIKE, years, RATE, volatility)
        return price, black.greeks("c", forward, STRIKE, years, RATE, volatility)

    return peer


def one_leg() -> Legs:
    """One unit of one call, so that a cell is one option."""
    return make_legs(
        LegKind.CALL, 1.0, strike=STRIKE, entry_price=0.0, years=YEARS, forward=FORWARD, volatility=VOLATILITY
    )


def condor() -> Legs:
    """Four legs, as a strategy screen asks for them."""
    return make_legs(
        [LegKind.PUT, LegKind.PUT, LegKind.CALL, LegKind.CALL],
        [75.0, -75.0, -75.0, 75.0],
        strike=[23_500.0, 23_800.0, 24_600.0, 24_900.0],
        entry_price=[14.0, 41.0, 52.0, 16.0],
        years=YEARS,
        forward=FORWARD,
        volatility=[0.15, 0.14, 0.12, 0.12],
    )


def medians(*actions: Callable[[], object]) -> list[float]:
    """Seconds per call, interleaved so that a noisy moment hits all of them."""
    samples: list[list[float]] = [[] for _ in actions]
    for action in actions:
        action()
    for _ in range(ROUNDS):
        for action, sample in zip(actions, samples, strict=True):
            started = time.perf_counter()
            action()
            sample.append(time.perf_counter() - started)
    return [float(np.median(sample)) for sample in samples]


def main() -> None:
    """Print the table."""
    os.environ.setdefault("RAYON_NUM_THREADS", "1")
    shifts, volatilities, elapsed = axes(AXES)
    columns = cells(AXES)
    count = columns[0].size
    buffers = ScenarioGrid(*(np.empty(AXES) for _ in ScenarioGrid._fields))

    def ours(legs: Legs, out: ScenarioGrid | None) -> ScenarioGrid:
        return scenario_grid(
            legs,
            rate=RATE,
            forward_shifts=shifts,
            volatility_shifts=volatilities,
            elapsed=elapsed,
            out=out,
        )

    single = one_leg()
    actions: dict[str, Callable[[], object]] = {
        "ours, own buffers": lambda: ours(single, buffers),
        "ours, new arrays": lambda: ours(single, None),
        "plain numpy and scipy": lambda: plain(*columns),
    }
    peer = pyvolr()
    if peer is not None:
        actions["pyvolr, one thread"] = lambda: peer(*columns)
    times = dict(zip(actions, medians(*actions.values()), strict=True))
    print(f"{count:,} cells x 1 leg, price + 5 Greeks{'ms':>12}{'ns/cell':>10}{'ours/this':>11}")
    for name, seconds in times.items():
        ratio = times["ours, own buffers"] / seconds
        print(f"  {name:<36}{seconds * 1e3:>10,.1f}{seconds / count * 1e9:>10,.1f}{ratio:>11.2f}")
    if peer is None:
        print("  pyvolr is not installed: no ratio against it")
    exact = np.stack(plain(*columns))
    found = np.stack([field.ravel() for field in buffers])
    print(f"  largest difference from plain, price: {np.abs(found[0] - exact[0]).max():.1e} points")
    strategy = condor()
    small = axes(SCREEN_AXES)
    screen, whole = medians(
        lambda: scenario_grid(
            strategy, rate=RATE, forward_shifts=small[0], volatility_shifts=small[1], elapsed=small[2]
        ),
        lambda: ours(strategy, buffers),
    )
    print(f"{count:,} cells x 4 legs: {whole * 1e3:,.0f} ms")
    print(f"{math.prod(SCREEN_AXES):,} cells x 4 legs (a screen): {screen * MICROSECONDS:,.0f} µs")


if __name__ == "__main__":
    main()
