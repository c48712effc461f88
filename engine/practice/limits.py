"""Request limits as the broker counts them: per calendar second of wall time, per minute, per day.

Orders: 10 a second, 400 a minute, 5,000 a day, for all order requests of the account (the day counts placements
only). Quotes: one a second for the family; candles: three; everything else: 10 a second. Memory is bounded by the
limits themselves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from engine.practice.settings import ServiceSettings
from engine.practice.wire import ErrorType, KiteError

_MINUTE = 60.0
_DAY = 86_400
_WORDS = "Too many requests"
PLAIN_TEXT = "text"
BODIES = (str(ErrorType.GENERAL), str(ErrorType.NETWORK), PLAIN_TEXT, "RateLimitException")
"""Error types of the usual envelope, or plain text."""


class TooMany(KiteError):
    """The refusal of a request beyond a limit. What its body looks like is not documented: it is one of ``BODIES``."""

    def __init__(self) -> None:
        super().__init__(429, ErrorType.NETWORK, _WORDS)

    def body(self, variant: str) -> tuple[bytes, str]:
        """Return (body, content type) of a variant: an error type for the usual envelope, or plain text."""
        if variant == PLAIN_TEXT:
            return _WORDS.encode(), "text/plain"
        return msgspec.json.encode(self.envelope | {"error_type": variant}), "application/json"


def too_many() -> TooMany:
    """Return the refusal of a request beyond a limit."""
    return TooMany()


class SecondWindow:
    """Counts requests in the present calendar second."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._second = -1
        self._count = 0

    def admit(self, now: float) -> bool:
        """Count a request at wall time ``now``; False when the second is full."""
        second = int(now)
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count <= self._limit


class Limits:
    """The limits of one account and key.

    Args:
        settings: The numbers.
        wall: Wall clock in epoch seconds.
    """

    def __init__(self, settings: ServiceSettings, wall: Callable[[], float]) -> None:
        self._settings = settings
        self._wall = wall
        self._orders = SecondWindow(settings.orders_per_second)
        self._quotes = SecondWindow(settings.quotes_per_second)
        self._candles = SecondWindow(settings.candles_per_second)
        self._others = SecondWindow(settings.others_per_second)
        self._minute: deque[float] = deque(maxlen=settings.orders_per_minute)
        self._day = -1
        self._day_count = 0

    def order(self, *, placement: bool) -> None:
        """Count a request to an order endpoint.

        Raises:
            KiteError: HTTP 429 beyond a limit; the day's cap says so in its own words.
        """
        now = self._wall()
        if not self._orders.admit(now):
            raise too_many()
        if not placement:
            return
        if len(self._minute) == self._settings.orders_per_minute and now - self._minute[0] < _MINUTE:
            raise too_many()
        self._minute.append(now)
        day = int(now) // _DAY
        if day != self._day:
            self._day, self._day_count = day, 0
        self._day_count += 1
        if self._day_count > self._settings.orders_per_day:
            raise KiteError(429, ErrorType.NETWORK, "Maximum allowed order requests exceeded")

    def quote(self) -> None:
        """Count a request of the quote family.

        Raises:
            KiteError: HTTP 429 beyond the limit.
        """
        if self._settings.read_limits and not self._quotes.admit(self._wall()):
            raise too_many()

    def candles(self) -> None:
        """Count a request of historical candles.

        Raises:
            KiteError: HTTP 429 beyond the limit.
        """
        if self._settings.read_limits and not self._candles.admit(self._wall()):
            raise too_many()

    def other(self) -> None:
        """Count any other request.

        Raises:
            KiteError: HTTP 429 beyond the limit.
        """
        if self._settings.read_limits and not self._others.admit(self._wall()):
            raise too_many()
