"""How far the broker's clock is from ours, learnt from the ``Date`` header of its answers.

The header is cut to whole seconds, so one answer bounds the offset only to a second and the round trip; every further
answer cuts the interval. Invariant: the true offset lies in the interval as long as neither clock is set; when two
answers contradict each other one was, and the interval starts again from the newest.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime

_DATE_RESOLUTION_S = 1.0


class ServerClock:
    """The broker's clock as seen from here.

    Args:
        wall: This machine's clock, seconds since the epoch.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self._low: float | None = None
        self._high: float | None = None
        self._last = ""
        self._stamped = 0.0

    @property
    def offset_s(self) -> float | None:
        """Seconds to add to our wall clock to get the broker's; ``None`` before the first answer."""
        if self._low is None or self._high is None:
            return None
        return (self._low + self._high) / 2

    @property
    def uncertainty_s(self) -> float | None:
        """How far the offset may be off, either way."""
        if self._low is None or self._high is None:
            return None
        return (self._high - self._low) / 2

    def learn(self, date: str | None, sent: float, received: float) -> None:
        """Use the ``Date`` of an answer to a request sent and answered at these moments of our wall clock."""
        if not date:
            return
        if date != self._last:  # many answers carry the same second
            try:
                self._stamped = parsedate_to_datetime(date).timestamp()
            except ValueError:
                return
            self._last = date
        stamped = self._stamped
        low, high = stamped - received, stamped + _DATE_RESOLUTION_S - sent
        if self._low is not None and self._high is not None:
            narrowed = max(low, self._low), min(high, self._high)
            if narrowed[0] <= narrowed[1]:
                low, high = narrowed
        self._low, self._high = low, high
