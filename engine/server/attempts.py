"""Failed attempts to get in, by address, in windows of time.

Overload policy: the table is bounded, and the address whose window began longest ago is forgotten first. Whoever has a
good token is let in whatever others at the same address did: a script with an old token must not keep the owner from
the kill switch.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec


class _Window(msgspec.Struct):
    began_at: float
    failed: int = 0


class Attempts:
    """Counts failures and says when there were too many."""

    def __init__(self, *, failed_max: int, window_s: float, addresses_max: int, monotonic: Callable[[], float]) -> None:
        """Nobody has failed.

        Args:
            failed_max: Failures of one address in one window that are told why; later ones are only told to wait.
            window_s: Length of a window, from an address's first failure on.
            addresses_max: Addresses remembered.
            monotonic: Seconds of this machine.
        """
        self._failed_max = failed_max
        self._window_s = window_s
        self._addresses_max = addresses_max
        self._monotonic = monotonic
        self._windows: dict[str, _Window] = {}

    def failed(self, address: str) -> int:
        """Count a failure; how many of this address there are in its window."""
        now = self._monotonic()
        window = self._windows.get(address)
        if window is None or now - window.began_at >= self._window_s:
            self._windows.pop(address, None)
            while len(self._windows) >= self._addresses_max:
                del self._windows[next(iter(self._windows))]
            window = self._windows[address] = _Window(now)
        window.failed += 1
        return window.failed

    def is_too_many(self, failures: int) -> bool:
        """Whether so many failures are told nothing any more."""
        return failures > self._failed_max

    def is_first_too_many(self, failures: int) -> bool:
        """Whether this failure is the one that met the bound."""
        return failures == self._failed_max + 1

    def wait_s(self, address: str) -> int:
        """Whole seconds until the window of an address ends, at least 1."""
        window = self._windows.get(address)
        if window is None:
            return 1
        return max(1, math.ceil(window.began_at + self._window_s - self._monotonic()))
