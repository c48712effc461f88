"""The order budget's three guarded windows, against pyrate-limiter's on the same load in the same run.

Both decide over the same requests at the same simulated moments, under 10 a second, 400 a minute and 5,000 a day:
paced, so that every request is admitted, and crowded, so that most are not. The cost of one decision and the ratio are
printed, then how long a burst takes against the ideal of the guarded windows and whether any window of the broker
overflowed under the worst jitter. Nothing passes or fails. Run ``python -m benchmarks budgets``.

The peer is optional: in an environment of its own, ``pip install pyrate-limiter`` beside this project's needs.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from engine.execution.budgets import MINUTE_S, OrderBudget
from engine.execution.lanes import Lane
from engine.execution.settings import BudgetLimits

LIMITS = BudgetLimits(reserve_per_second=0, reserve_per_minute=0, reserve_per_day=0)
START = 1_800_000_000.5
PACED_S = 0.16
"""Between requests: just below 400 a minute."""
CROWDED_S = 0.01
REQUESTS = 4_000
ROUNDS = 15
BURST = 4_000
MILLISECONDS = 1000

Decide = Callable[[], bool]
Library = Any
"""A module that may not be installed."""


class SimulatedTime:
    """Seconds since the epoch that move when told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        """Now."""
        return self.now


def our_decision(clock: SimulatedTime) -> Decide:
    """A placement in the lane of entries."""
    budget = OrderBudget(LIMITS, clock)
    return lambda: budget.take(Lane.ENTRY, placement=True) is not None


def peer_decision(library: Library, clock: SimulatedTime) -> Decide:
    """The same by the peer, on the same clock."""

    class Bucket(library.InMemoryBucket):  # type: ignore[misc]
        def now(self) -> int:
            return int(clock.now * MILLISECONDS)

    duration = library.Duration
    rates = [
        library.Rate(LIMITS.per_second, duration.SECOND),
        library.Rate(LIMITS.per_minute, duration.MINUTE),
        library.Rate(LIMITS.per_day, duration.DAY),
    ]
    limiter = library.Limiter(Bucket(rates))
    return lambda: bool(limiter.try_acquire("orders", blocking=False))


def microseconds(make: Callable[[SimulatedTime], Decide], pause_s: float) -> tuple[float, int]:
    """Cost of one decision, and how many were yes."""
    clock = SimulatedTime()
    decide = make(clock)
    admitted = 0
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    for _ in range(REQUESTS):
        clock.now += pause_s
        admitted += decide()
    elapsed = time.perf_counter() - began
    gc.enable()
    return elapsed / REQUESTS * 1e6, admitted


def compare(name: str, pause_s: float, peer: Library | None) -> None:
    """Alternating rounds of both."""
    ours, theirs = [], []
    admitted = admitted_there = 0
    for _ in range(ROUNDS):
        cost, admitted = microseconds(our_decision, pause_s)
        ours.append(cost)
        if peer is not None:
            cost, admitted_there = microseconds(lambda clock: peer_decision(peer, clock), pause_s)
            theirs.append(cost)
    mine = statistics.median(ours)
    line = f"{name:<8} ours {mine:6.2f} us ({admitted} of {REQUESTS} admitted)"
    if theirs:
        other = statistics.median(theirs)
        line += f"   peer {other:6.2f} us ({admitted_there} admitted)   ratio {mine / other:.3f}"
    print(line)


def burst() -> None:
    """All at once, each as soon as it may: how long it takes, and what the broker counts under jitter at its worst."""
    clock = SimulatedTime()
    budget = OrderBudget(LIMITS, clock)
    chance = random.Random(7)  # noqa: S311 - jitter of a simulation
    arrivals = []
    for _ in range(BURST):
        while (wait := budget.wait(Lane.ENTRY, placement=True)) > 0:
            clock.now += wait
        budget.take(Lane.ENTRY, placement=True)
        arrivals.append(clock.now + chance.choice((-1.0, 1.0)) * (LIMITS.guard_s - 1e-6))
    seconds = Counter(int(moment) for moment in arrivals)
    minutes = Counter(int(moment // MINUTE_S) for moment in arrivals)
    window = MINUTE_S + 2 * LIMITS.guard_s
    batches, rest = divmod(BURST - 1, LIMITS.per_minute)
    ideal = batches * window + rest // LIMITS.per_second
    print(
        f"burst    {BURST} orders in {clock.now - START:.1f} s, ideal {ideal:.1f} s, "
        f"ratio {(clock.now - START) / ideal:.4f}; worst second {max(seconds.values())} of {LIMITS.per_second}, "
        f"worst minute {max(minutes.values())} of {LIMITS.per_minute}"
    )


def main() -> int:
    """Compare and print."""
    try:
        peer = importlib.import_module("pyrate_limiter")
        print(f"peer: pyrate-limiter {importlib.metadata.version('pyrate-limiter')}")
    except ImportError:
        peer = None
        print("peer: not installed; see the first lines of this file")
    compare("paced", PACED_S, peer)
    compare("crowded", CROWDED_S, peer)
    burst()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
