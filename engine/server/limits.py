"""Bounds of one attached client, and the bucket that keeps its calls at a rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from engine.server.protocol import REQUEST_BYTES_MAX

Positive = Annotated[int, msgspec.Meta(ge=1)]
PositiveNumber = Annotated[float, msgspec.Meta(gt=0)]


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one attached client."""

    topics_max: Positive = 64
    """Topics one client may follow; one more is refused."""
    tokens_max: Positive = 3000
    """Instruments whose quotes one client may follow; one more is refused."""
    calls_max: Positive = 32
    """Calls under way at once; one more is refused, cancels excepted."""
    calls_per_s: PositiveNumber = 500.0
    """Calls a second in the long run; more are refused, cancels excepted."""
    calls_burst: Positive = 1000
    """Calls at once after a pause."""
    exits_max: Positive = 16
    """Cancels under way at once and at once after a pause, beside all other calls."""
    exits_per_s: PositiveNumber = 10.0
    """Cancels a second in the long run, beside all other calls."""
    pace_hz: PositiveNumber = 10.0
    """How often pictures are sent to a client, at most; it may ask for less."""
    send_timeout_s: PositiveNumber = 5.0
    """A client that takes nothing for this long is closed."""
    request_bytes_max: Annotated[int, msgspec.Meta(ge=1024)] = REQUEST_BYTES_MAX
    """Longest message from a client; the connection of a longer one is closed."""
    text_max: Positive = 4096
    """Characters of one text in a call."""
    items_max: Positive = 3000
    """Items of one list in a call."""


class Allowance:
    """A token bucket: ``burst`` at once, ``per_s`` in the long run. What it refuses is not counted."""

    def __init__(self, *, per_s: float, burst: int, monotonic: Callable[[], float]) -> None:
        """Full at the beginning."""
        self._per_s = per_s
        self._burst = burst
        self._monotonic = monotonic
        self._left = float(burst)
        self._at = monotonic()

    def take(self) -> bool:
        """Use one up; ``False`` when there is none."""
        now = self._monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    @property
    def wait_s(self) -> float:
        """Until there is one again."""
        return max(0.0, (1.0 - self._left) / self._per_s)
