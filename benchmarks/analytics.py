"""Implied volatility and Greeks, a whole chain, and both orders of Greeks, each beside its peers in the same run.

Nothing here passes or fails. On a shared machine only ratios mean something: all ways are timed in turn, round after
round, and a ratio is the median over the rounds of the ratios within a round. Everything runs on one thread.

    python -m benchmarks.analytics [SIZE…]
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from benchmarks.option_peers import Absent, Peer, Problem, peers
from engine.analytics.arrays import FloatArray
from engine.analytics.black import price
from engine.analytics.chain import SideQuotes, mark_chain
from engine.analytics.chain_memory import ChainMemory
from engine.analytics.greeks import greeks
from engine.analytics.option_marks import mark_option, mark_options
from engine.analytics.second_order import all_greeks
from engine.analytics.single_option import SingleMark
from engine.analytics.workspace import Workspace

FORWARD, YEARS, RATE = 24_216.5, 4.25 / 365, 0.065
SIZES: Final = (2, 200, 2_000, 20_000, 1_000_000)
ROUNDS: Final = 25
SLICE_SECONDS: Final = 0.004
"""How long one way runs in one round, unless a single call takes longer."""

LONG_RUN_SECONDS: Final = 0.25
LONG_RUN_ROUNDS: Final = 5
LOOP_LENGTH: Final = 20_000
QUIET_MOVE, BUSY_MOVE = 0.001, 0.01
"""Relative moves of volatilities between two marks of a live chain: a tick, and a lively second."""


class Timing(NamedTuple):
    """Median seconds of a call, and its ratio to the first way."""

    seconds: float
    ratio: float


def make_problem(count: int) -> Problem:
    """Return ``count`` out-of-the-money options within four standard deviations, with a smile and exact premiums."""
    deviation = 0.12 * math.sqrt(YEARS)
    strike = FORWARD * np.exp(np.linspace(-4, 4, count) * deviation)
    is_call = strike >= FORWARD
    volatility = 0.11 + 0.8 * np.abs(np.log(strike / FORWARD))
    premium = price(FORWARD, strike, YEARS, RATE, volatility, is_call=is_call)
    return Problem(FORWARD, YEARS, RATE, strike, is_call, volatility, premium)


def reference_loop() -> float:
    """A fixed amount of pure Python."""
    total = 0.0
    for i in range(LOOP_LENGTH):
        total += i * 0.5
    return total


def timings(*actions: Callable[[], object]) -> list[Timing]:
    """Time every action in turn, round after round."""
    repeats, total = [], 0.0
    for action in actions:
        action()
        started = time.perf_counter()
        action()
        once = time.perf_counter() - started
        repeats.append(max(1, int(SLICE_SECONDS / (once + 1e-9))))
        total += max(once, SLICE_SECONDS)
    table = np.empty((ROUNDS if total < LONG_RUN_SECONDS else LONG_RUN_ROUNDS, len(actions)))
    for row in table:
        for place, (action, repeat) in enumerate(zip(actions, repeats, strict=True)):
            started = time.perf_counter()
            for _ in range(repeat):
                action()
            row[place] = (time.perf_counter() - started) / repeat
    ratios = np.median(table / table[:, :1], axis=0)
    return [Timing(float(t), float(r)) for t, r in zip(np.median(table, axis=0), ratios, strict=True)]


def our_ways(problem: Problem) -> list[tuple[str, Callable[[], FloatArray]]]:
    """Cold, warm after a tick, warm after a lively second; and for few options, one by one."""
    space = Workspace()
    wave = np.sin(np.arange(problem.strike.size))
    quiet, busy = (problem.volatility * (1 + move * wave) for move in (QUIET_MOVE, BUSY_MOVE))

    def way(last: FloatArray | None) -> Callable[[], FloatArray]:
        return lambda: mark_options(
            problem.premium, FORWARD, problem.strike, YEARS, RATE,
            is_call=problem.is_call, last=last, workspace=space,
        ).volatility  # fmt: skip

    ways = [
        ("ours, cold", way(None)),
        (f"ours, warm, {QUIET_MOVE:.1%} moved", way(quiet)),
        (f"ours, warm, {BUSY_MOVE:.0%} moved", way(busy)),
    ]
    if problem.strike.size <= SIZES[0]:
        rows = list(zip(problem.premium.tolist(), problem.strike.tolist(), problem.is_call.tolist(), strict=True))
        ways.append(("ours, one by one", lambda: np.array([_one(*row) for row in rows])))
    return ways


def _one(premium: float, strike: float, call: bool) -> float:
    mark = mark_option(premium, FORWARD, strike, YEARS, RATE, is_call=call)
    return mark.volatility if isinstance(mark, SingleMark) else math.nan


def solving(size: int, known: Sequence[Peer | Absent]) -> None:
    """Print the table of one size."""
    problem = make_problem(size)
    ways = [(peer.name, peer.prepare(problem)) for peer in known if isinstance(peer, Peer) and size <= peer.largest]
    ways += our_ways(problem)
    print(
        f"\n{f'{size:,} options, volatility and five Greeks':<44}{'µs':>12}{'ns/option':>11}{'ratio':>8}{'error':>10}"
    )
    times = timings(*(action for _, action in ways))
    for (name, action), timing in zip(ways, times, strict=True):
        error = float(np.max(np.abs(action() / problem.volatility - 1)))
        each = timing.seconds / size
        print(f"{name:<44}{timing.seconds * 1e6:>12,.1f}{each * 1e9:>11,.0f}{timing.ratio:>8.3f}{error:>10.0e}")
    if size <= SIZES[0]:
        _against_scalar([name for name, _ in ways], times)


def _against_scalar(ways: Sequence[str], times: Sequence[Timing]) -> None:
    """For few options the fair comparison is with the peer's interface for one."""
    scalar = next(
        (t for name, t in zip(ways, times, strict=True) if name.startswith("pyvolr") and "one by" in name), None
    )
    if scalar is not None:
        print(f"ours, one by one, against pyvolr one by one: {times[-1].ratio / scalar.ratio:.1f}")


def make_quotes(problem: Problem, forward: float, *, is_call: bool) -> SideQuotes:
    """Return two-sided quotes half a point around the fair price, at the problem's strikes."""
    fair = price(forward, problem.strike, YEARS, RATE, problem.volatility, is_call=is_call)
    half = np.minimum(0.25, 0.2 * fair)
    count = problem.strike.size
    recent, counts = np.zeros(count, dtype=np.bool_), np.full(count, 1_000.0)
    return SideQuotes(fair - half, fair + half, fair, recent, counts, counts)


def whole_chain() -> None:
    """Print what one expiry takes, everything included."""
    problem = make_problem(100)
    frames = [
        [make_quotes(problem, FORWARD + move, is_call=side) for side in (True, False)] for move in (0.0, 0.5, -0.5, 1.0)
    ]
    memory = ChainMemory()
    turn = 0

    def mark(kept: ChainMemory | None) -> None:
        nonlocal turn
        turn += 1
        call, put = frames[turn % len(frames)]
        mark_chain(problem.strike, call, put, years=YEARS, rate=RATE, spot=FORWARD, memory=kept)

    cold, warm = timings(lambda: mark(None), lambda: mark(memory))
    print("\nwhole chain of 200 options: prices, forward, volatilities, Greeks, statistics")
    print(f"{'without memory':<44}{cold.seconds * 1e6:>12,.1f}")
    print(f"{'with memory, forward moving':<44}{warm.seconds * 1e6:>12,.1f}{'':>11}{warm.ratio:>8.3f}")


def greeks_alone(size: int) -> None:
    """Print what Greeks of known volatilities take."""
    problem = make_problem(size)
    terms = (FORWARD, problem.strike, YEARS, RATE, problem.volatility)
    first, second = timings(
        lambda: greeks(*terms, is_call=problem.is_call), lambda: all_greeks(*terms, is_call=problem.is_call)
    )
    for name, timing in (("price and five Greeks", first), ("price and eleven Greeks of two orders", second)):
        label = f"{size:,} options, {name}"
        print(f"{label:<56}{timing.seconds * 1e6:>12,.1f}{timing.seconds / size * 1e9:>11,.0f}")


def main(arguments: Sequence[str] = ()) -> None:
    """Print the tables."""
    for variable in ("RAYON_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    sizes = [int(argument) for argument in arguments] or SIZES
    known = peers()
    for peer in known:
        if isinstance(peer, Absent):
            print(f"{peer.name}: not installed")
    loop = timings(reference_loop)[0].seconds
    print(f"reference loop ({LOOP_LENGTH:,} additions of pure Python): {loop * 1e6:,.0f} µs")
    for size in sizes:
        solving(size, known)
    whole_chain()
    print(f"\n{'known volatilities':<56}{'µs':>12}{'ns/option':>11}")
    for size in sizes:
        greeks_alone(size)


if __name__ == "__main__":
    main(sys.argv[1:])
