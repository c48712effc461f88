"""The data of one life of a connection: since when it has been awaited, when it came, and how long its pauses are.

All times are monotonic nanoseconds. Invariant: time in which the market was closed is neither waiting nor a pause.
"""

from __future__ import annotations

_NS_PER_S = 1e9


class Pulse:
    """What one life of a connection has brought."""

    def __init__(self) -> None:
        self._told_ns: int | None = None
        self._closed_ns = 0
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._longest_ns = 0

    def told(self, carries: bool, now_ns: int) -> None:
        """The connection has been told what to carry: something, or nothing any more."""
        if not carries:
            self._told_ns = None
        elif self._told_ns is None:
            self._told_ns = now_ns

    def beat(self, now_ns: int) -> None:
        """A data frame came."""
        if self._first_ns is None or self._last_ns is None:
            self._first_ns = now_ns
        else:
            self._longest_ns = max(self._longest_ns, now_ns - self._last_ns)
        self._last_ns = now_ns

    def closed(self, now_ns: int) -> None:
        """The market is closed at this moment."""
        self._closed_ns = now_ns
        self._first_ns = None

    @property
    def longest_pause_s(self) -> float:
        """Longest time between two data frames so far, seconds."""
        return self._longest_ns / _NS_PER_S

    @property
    def flowed_s(self) -> float:
        """From the first to the last data frame of this session, seconds."""
        if self._first_ns is None or self._last_ns is None:
            return 0.0
        return (self._last_ns - self._first_ns) / _NS_PER_S

    def starved_s(self, now_ns: int) -> float:
        """For how long data has been awaited in vain, seconds; 0 while nothing is carried."""
        if self._told_ns is None:
            return 0.0
        return (now_ns - max(self._told_ns, self._closed_ns, self._last_ns or 0)) / _NS_PER_S
