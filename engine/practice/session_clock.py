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


class FeedClock(MarketClock):
    """Market time as a recording tells it: it stands where it was last put.

    Args:
        start: Market time now.
    """

    def __init__(self, start: float) -> None:
        super().__init__(start, 0.0, lambda: 0.0)
        self._shown = 0.0

    def put(self, moment: float) -> None:
        """Stand at an instant; a recording that is played again may begin earlier."""
        self._anchor_market = moment

    def show_speed(self, speed: float) -> None:
        """Say how fast the recording is played now; 0 while it is paused."""
        self._shown = speed

    @property
    def speed(self) -> float:
        """Market seconds per wall second, as the player says."""
        return self._shown


class RealClock(MarketClock):
    """Market time is the real time, or that of an upstream which is itself a practice exchange.

    Args:
        real_time: The real time in epoch seconds.
    """

    def __init__(self, real_time: Callable[[], float]) -> None:
        super().__init__(real_time(), 1.0, real_time)
        self._newest = self._anchor_market

    def follow(self, moment: float, speed: float) -> None:
        """Take the upstream's own market time and speed."""
        self._anchor_market, self._anchor_wall, self._speed = moment, self._wall(), speed

    def restart(self, moment: float, speed: float) -> None:
        """Begin at the upstream's own market time, whatever the real time is."""
        self._newest = moment
        self.follow(moment, speed)

    def now(self) -> float:
        """Return market time; it never runs backwards."""
        self._newest = max(self._newest, super().now())
        return self._newest
