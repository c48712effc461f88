"""Clocks that implement the port: the wall's, and a venue's own (practice, replay)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Market time is the wall clock: the live venue."""

    def market_now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def wall_now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class VenueClock(SystemClock):
    """Market time as a venue tells it: a reference, run on at the venue's speed.

    It never runs backwards: after the venue was down (its clock stood still) it waits until the venue has caught up.
    Without a fresh reading it runs on for ``run_on_s`` only, so that a dead venue's clock does not run away.
    """

    def __init__(self, market_time: datetime, *, speed: float, run_on_s: float) -> None:
        """Start at ``market_time`` (aware), ``speed`` market seconds a second.

        Raises:
            ValueError: the time has no zone, or the speed is negative.
        """
        _check(market_time, speed)
        self._reference = market_time.astimezone(UTC)
        self._read_at = self.monotonic()
        self._speed = speed
        self._run_on_s = run_on_s
        self._newest = market_time.astimezone(UTC)

    @property
    def speed(self) -> float:
        """Market seconds per second."""
        return self._speed

    def set_reading(self, market_time: datetime, *, speed: float) -> None:
        """Take a fresh reading of the venue's clock (aware).

        Raises:
            ValueError: the time has no zone, or the speed is negative.
        """
        _check(market_time, speed)
        self._reference = market_time.astimezone(UTC)
        self._read_at = self.monotonic()
        self._speed = speed

    def market_now(self) -> datetime:
        """Aware UTC of the venue."""
        elapsed = min(self.monotonic() - self._read_at, self._run_on_s)
        now = self._reference + timedelta(seconds=elapsed * self._speed)
        self._newest = max(self._newest, now)
        return self._newest


def _check(market_time: datetime, speed: float) -> None:
    if market_time.tzinfo is None:
        raise ValueError(f"the venue's time {market_time} has no zone")
    if not speed >= 0:
        raise ValueError(f"the venue's speed {speed} is not 0 or more")
