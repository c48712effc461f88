"""Market time: runs at a speed while the exchange is up, stands still while it is down and while the market is closed.

Invariant: market time never runs backwards. The wall clock given here is a monotonic one; only its
differences are used.
"""

from __future__ import annotations

from collections.abc import Callable


class MarketClock:
    """Market time in epoch seconds.

    Args:
        start: Market time now.
        speed: Market seconds per wall second; 0 stands still.
        wall: A monotonic clock in seconds.
    """

    def __init__(self, start: float, speed: float, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._anchor_market = start
        self._anchor_wall = wall()
        self._speed = speed
        self._held = False

    @property
    def speed(self) -> float:
        """Market seconds per wall second."""
        return self._speed

    def now(self) -> float:
        """Return market time (epoch seconds)."""
        if self._held:
            return self._anchor_market
        return self._anchor_market + (self._wall() - self._anchor_wall) * self._speed

    def set_speed(self, speed: float) -> None:
        """Go on from the present instant at another speed.

        Raises:
            ValueError: The speed is negative.
        """
        if speed < 0.0:
            raise ValueError(f"speed {speed} is negative; market time only runs forwards")
        self._anchor_market, self._anchor_wall = self.now(), self._wall()
        self._speed = speed

    def advance(self, seconds: float) -> None:
        """Jump forward.

        Raises:
            ValueError: The jump would go back.
        """
        if seconds < 0.0:
            raise ValueError(f"{seconds} seconds would go back; market time only runs forwards")
        self._anchor_market, self._anchor_wall = self.now() + seconds, self._wall()

    def hold(self, moment: float) -> None:
        """Stand still at an instant (the close of a session) until ``start_at``."""
        self._anchor_market = moment
        self._held = True

    def start_at(self, moment: float) -> None:
        """Run from an instant (the opening of a session)."""
        self._anchor_market, self._anchor_wall = moment, self._wall()
        self._held = False
