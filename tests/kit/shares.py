"""The order in which the workers of a run take its tests: long ones early, and nobody left with a long one at the end.

The run's scheduler cuts the list of tests into one piece for each worker, of equal numbers of tests, and who is done
takes from the end of another's piece. So every piece gets about the same work, and its quick tests last. Tests of one
file stay together and in their order, because they share what is slow to start. It only orders: none is added or left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

T = TypeVar("T")

SECONDS = {
    "tests/integration/execution/test_ord_1_exactly_once.py": 40.0,
    "tests/properties/test_order_state_machine.py": 15.0,
    "tests/integration/commands/": 3.5,
    "tests/integration/execution/": 2.5,
    "tests/integration/engine/": 2.0,
    "tests/integration/market_data/": 3.0,
    "tests/integration/practice/": 1.0,
    "tests/integration/": 0.5,
    "tests/properties/": 1.0,
    "tests/tui/": 0.6,
    "tests/soak/": 5.0,
    "tests/architecture/": 0.4,
    "tests/fuzz/": 1.0,
    "tests/contract/official_client/": 0.4,
}
"""What a test of a folder costs on average, the first that fits; only their proportions matter."""
QUICK_S = 0.03
"""What any other test costs."""
LONG_FILE_S = 2.0
"""A file that costs less than this in all is good for the end."""


def seconds(path: str) -> float:
    """What one test of a file costs; ``path`` is relative to the project, with slashes."""
    return next((cost for folder, cost in SECONDS.items() if path.startswith(folder)), QUICK_S)


def sizes(tests: int, workers: int) -> list[int]:
    """How many tests the scheduler gives each worker at first."""
    found: list[int] = []
    for left in range(workers, 0, -1):
        found.append((tests - sum(found)) // left)
    return found


def in_shares(items: Sequence[T], path_of: Callable[[T], str], workers: int) -> list[T]:
    """The same items in the order in which ``workers`` are best given them.

    Args:
        items: Tests; those of one file next to each other.
        path_of: File of a test.
        workers: At least one.
    """
    files = [(path, list(group)) for path, group in groupby(items, key=path_of)]
    cost = [seconds(path) * len(group) for path, group in files]
    order = sorted(range(len(files)), key=lambda place: -cost[place])
    long = [place for place in order if cost[place] >= LONG_FILE_S]
    quick = [item for place, (_, group) in enumerate(files) if cost[place] < LONG_FILE_S for item in group]

    shares: list[list[int]] = [[] for _ in range(workers)]
    room = sizes(len(items), workers)
    work = [0.0] * workers
    for place in long:
        # The least busy that has room; a file for which nobody has any is shared out with the quick ones.
        size = len(files[place][1])
        free = [worker for worker in range(workers) if room[worker] >= size]
        if not free:
            quick[:0] = files[place][1]
            continue
        worker = min(free, key=work.__getitem__)
        shares[worker].append(place)
        room[worker] -= size
        work[worker] += cost[place]

    found: list[T] = []
    for worker, share in enumerate(shares):
        # Files of processes that wait next to files that only compute: not every worker begins with the same kind.
        turned = share[:: -1 if worker % 2 else 1]
        for place in turned:
            found += files[place][1]
        found += quick[: room[worker]]
        del quick[: room[worker]]
    return found
