"""The order of a parallel run changes who runs a test and when, never which tests are run."""

from __future__ import annotations

from random import Random

import pytest

from tests.kit.shares import QUICK_S, in_shares, seconds, sizes

FOLDERS = ("tests/integration/commands", "tests/tui", "tests/properties/market", "tests/unit/core", "tests/unit/tape")


def made_up(random: Random) -> list[tuple[str, int]]:
    """Tests of files of all kinds and lengths, in any order of the files."""
    files = [(f"{random.choice(FOLDERS)}/test_{number}.py", random.randint(1, 60)) for number in range(60)]
    return [(path, place) for path, count in files for place in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("seed", range(5))
def test_each_test_once_and_the_work_shared(workers: int, seed: int) -> None:
    """Nothing is lost or doubled, tests of a file keep their order, and no piece has far more work than another."""
    tests = made_up(Random(seed))  # noqa: S311 - no secret
    found = in_shares(tests, lambda test: test[0], workers)
    assert sorted(found) == sorted(tests)
    for path in {path for path, _ in tests}:
        places = [place for found_path, place in found if found_path == path]
        assert places == sorted(places)
    work, start = [], 0
    for size in sizes(len(tests), workers):
        piece = found[start : start + size]
        work.append(sum(seconds(path) for path, _ in piece))
        start += size
    longest_file = max(sum(seconds(path) for path, _ in tests if path == name) for name, _ in tests)
    assert max(work) - min(work) <= longest_file
    # Each piece ends with quick tests, which can be taken from it one by one.
    assert seconds(found[-1][0]) == QUICK_S


def test_sizes_are_the_schedulers() -> None:
    """The scheduler gives each worker, in turn, an equal part of what is left."""
    assert sizes(10, 3) == [3, 3, 4]
    assert sizes(2, 4) == [0, 0, 1, 1]
    assert sum(sizes(10_597, 3)) == 10_597
