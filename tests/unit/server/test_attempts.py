"""The table of failed attempts: windows, its bound, and what is forgotten."""

from __future__ import annotations

import pytest

from engine.server.attempts import Attempts


class Hands:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hands:
    """A clock that stands."""
    return Hands()


def attempts(clock: Hands, *, failed_max: int = 2, addresses_max: int = 3) -> Attempts:
    """A small table."""
    return Attempts(failed_max=failed_max, window_s=10.0, addresses_max=addresses_max, monotonic=clock)


def test_the_bound_is_met_once(clock: Hands) -> None:
    """Up to the bound nothing is too many; the one after it is the first, the next are no more."""
    table = attempts(clock)
    counts = [table.failed("a") for _ in range(4)]
    assert counts == [1, 2, 3, 4]
    assert [table.is_too_many(count) for count in counts] == [False, False, True, True]
    assert [table.is_first_too_many(count) for count in counts] == [False, False, True, False]


def test_addresses_are_apart(clock: Hands) -> None:
    """One address's failures are not another's."""
    table = attempts(clock)
    assert [table.failed("a"), table.failed("b"), table.failed("a")] == [1, 1, 2]


def test_a_window_ends(clock: Hands) -> None:
    """A window counts from the first failure and begins anew after its length, not before."""
    table = attempts(clock)
    table.failed("a")
    clock.now += 9.9
    assert table.failed("a") == 2
    assert table.wait_s("a") == 1
    clock.now += 0.1
    assert table.failed("a") == 1
    assert table.wait_s("a") == 10


def test_the_table_is_bounded(clock: Hands) -> None:
    """A new address pushes out the one whose window began longest ago."""
    table = attempts(clock)
    for address in ("a", "b", "c"):
        table.failed(address)
        clock.now += 1
    table.failed("d")
    assert table.failed("b") == 2
    assert table.failed("a") == 1


def test_waiting_is_never_nothing(clock: Hands) -> None:
    """Whoever is told to wait is told at least a second, also when nothing is known of it."""
    table = attempts(clock)
    assert table.wait_s("nobody") == 1
    table.failed("a")
    clock.now += 9.99
    assert table.wait_s("a") == 1
