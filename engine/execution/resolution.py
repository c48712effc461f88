"""The search for something without an answer: when may it be presumed absent, or a command presumed without effect?

Absence can never be proved. It is presumed when reads of the book, all begun after the request was off the wire, and
spread over the whole window, did not show it. Reads that came in a burst count once.
"""

from __future__ import annotations


class Lookup:
    """One search.

    Args:
        ended_at: Monotonic seconds at which nothing more of the request was on the wire.
        window_s: How long to look.
        reads_min: How many counted reads are needed.
    """

    __slots__ = ("_ended_at", "_last_counted", "_reads_min", "_window_s", "counted")

    def __init__(self, *, ended_at: float, window_s: float, reads_min: int) -> None:
        self._ended_at = ended_at
        self._window_s = window_s
        self._reads_min = reads_min
        self._last_counted: float | None = None
        self.counted = 0

    @property
    def ended_at(self) -> float:
        """Monotonic seconds at which the request was off the wire."""
        return self._ended_at

    def may_judge(self, read_started_at: float) -> bool:
        """Whether a read begun then can tell anything: earlier ones show the time before."""
        return read_started_at >= self._ended_at

    def missed(self, read_started_at: float) -> bool:
        """A good read did not show it; whether that is enough to give the search up."""
        if not self.may_judge(read_started_at):
            return False
        apart = self._window_s / self._reads_min
        if self._last_counted is None or read_started_at - self._last_counted >= apart:
            self.counted += 1
            self._last_counted = read_started_at
        return self.counted >= self._reads_min and read_started_at - self._ended_at >= self._window_s

    def age(self, now: float) -> float:
        """Seconds since the request was off the wire."""
        return max(0.0, now - self._ended_at)
