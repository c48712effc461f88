"""A circuit breaker for one class of the broker's endpoints of one account.

Only connectivity opens it: requests that did not reach the broker, or were not answered. Whatever the broker answers
(a refusal, too fast, no session) proves that it can be reached, and closes it. While it is open nothing is tried;
afterwards one request at a time is, until one gets an answer. Exits and cancels wait less, and are never held back
while it is being tried: not trying to leave is worse than trying in vain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum, StrEnum, auto

from engine.core.execution import BreakerView
from engine.execution.settings import BreakerLimits


class Endpoint(StrEnum):
    """Classes of endpoints that fail together."""

    ORDERS = "orders"
    """Placing, changing, cancelling."""
    BOOK = "book"
    """Reading orders and trades."""
    TRIGGERS = "triggers"
    """Triggers that stand at the broker, and conversions."""


class BreakerState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Reach(Enum):
    """What the end of a request says about the way to the broker."""

    ANSWERED = auto()
    """Somebody with knowledge of the rules has answered, whatever the answer."""
    FAILED = auto()
    """Not reached, not answered in time, or answered by a gateway that did not reach it either."""
    UNCLEAR = auto()
    """An answer without sense, or an error of our own: neither proves anything."""


class CircuitBreaker:
    """Counts failures in a row.

    Args:
        endpoint: Which class.
        limits: How many, and how long.
        monotonic: Seconds that never run backwards.
        on_change: Told of every new state.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        limits: BreakerLimits,
        monotonic: Callable[[], float],
        on_change: Callable[[CircuitBreaker], None],
    ) -> None:
        self.endpoint = endpoint
        self._limits = limits
        self._now = monotonic
        self._on_change = on_change
        self._is_closed = True
        self._opened_at = 0.0
        self._pause = limits.open_s
        self._probing = 0
        self.failures = 0
        """In a row."""
        self.opened = 0
        """Times it has opened."""
        self.last_error = ""

    @property
    def is_closed(self) -> bool:
        """Whether all is well."""
        return self._is_closed

    @property
    def state(self) -> BreakerState:
        """Where it stands for a request that is not urgent."""
        if self._is_closed:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._now() < self._opened_at + self._pause else BreakerState.HALF_OPEN

    def wait(self, *, urgent: bool) -> float:
        """Seconds until a request may be tried; 0 at once, infinite while another one is being tried."""
        if self._is_closed:
            return 0.0
        pause = min(self._pause, self._limits.urgent_s) if urgent else self._pause
        rest = self._opened_at + pause - self._now()
        if rest > 0:
            return rest
        return math.inf if self._probing and not urgent else 0.0

    def begin(self) -> None:
        """A request leaves."""
        if not self._is_closed:
            self._probing += 1

    def end(self, reach: Reach, words: str) -> None:
        """That request has ended so; every ``begin`` needs its ``end``."""
        self._probing = max(0, self._probing - 1)
        if reach is Reach.ANSWERED:
            self._answered()
        elif reach is Reach.FAILED:
            self._failed(words)

    def refuses(self) -> str:
        """Why nothing that adds risk is taken now, in words; empty when it is."""
        if self.state is not BreakerState.OPEN:
            return ""
        return (
            f"The broker's {self.endpoint} could not be reached {self.failures} times in a row ({self.last_error}); "
            f"they are tried again in {self.wait(urgent=False):.1f} s. Exits and cancels are tried sooner."
        )

    def view(self) -> BreakerView:
        """A picture of it."""
        state = self.state
        return BreakerView(
            endpoint=self.endpoint,
            state=state,
            failures=self.failures,
            retry_in_s=self.wait(urgent=False) if state is BreakerState.OPEN else None,
            opened=self.opened,
            last_error=self.last_error,
        )

    def _answered(self) -> None:
        self.failures = 0
        self._pause = self._limits.open_s
        if not self._is_closed:
            self._is_closed = True
            self._probing = 0
            self._on_change(self)

    def _failed(self, words: str) -> None:
        self.failures += 1
        self.last_error = words.rstrip(".")
        if self._is_closed:
            if self.failures < self._limits.failures:
                return
            self._is_closed = False
            self._probing = 0
            self.opened += 1
        elif self._now() >= self._opened_at + self._pause:
            self._pause = min(self._pause * 2, self._limits.open_max_s)
        # A failure of an urgent try, or of a request that left before it opened, begins the pause anew: the pause
        # counts from when we last knew that the broker cannot be reached.
        self._opened_at = self._now()
        self._on_change(self)
