"""Clocks that implement the port: the wall's, and a venue's own (practice, replay)."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NS_PER_US = 1_000
_NS_PER_S = 1_000_000_000
_MARGIN = timedelta(days=1)
"""A quote clock begins this far from zero: no stamp is ever 0 or less."""


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


class StreamClock(SystemClock):
    """Market time as a stream of recorded data tells it: it stands still between two words, however long that takes.

    What is derived from it is therefore the same at every speed of the replay.
    """

    def __init__(self, market_time: datetime) -> None:
        """Stand at ``market_time`` (aware).

        Raises:
            ValueError: the time has no zone.
        """
        _check(market_time, 0.0)
        self._now = market_time.astimezone(UTC)

    def market_now(self) -> datetime:
        """Aware UTC: the last moment told."""
        return self._now

    def tell(self, market_ns: int) -> None:
        """Go on to a moment (nanoseconds since the epoch); an earlier one is not taken."""
        self._now = max(self._now, _EPOCH + timedelta(microseconds=market_ns // _NS_PER_US))

    def restart(self, market_ns: int) -> None:
        """Begin again at a moment, which may be earlier: the recording is played from its start."""
        self._now = _EPOCH + timedelta(microseconds=market_ns // _NS_PER_US)


class QuoteClock(SystemClock):
    """The clock that ages of quotes are measured by: for a replay the recording's own time, so that a quote is as old
    as it was on the day, at whatever speed it is played.
    """

    def __init__(self, stream: StreamClock) -> None:
        """Follow ``stream``; durations are those of its market time."""
        self._stream = stream
        self._origin = stream.market_now() - _MARGIN

    def market_now(self) -> datetime:
        """Aware UTC: the last moment told."""
        return self._stream.market_now()

    def monotonic(self) -> float:
        """Seconds of market time."""
        return (self._stream.market_now() - self._origin).total_seconds()

    def now_ns(self) -> int:
        """``monotonic`` in nanoseconds."""
        return int(self.monotonic() * _NS_PER_S)


def _check(market_time: datetime, speed: float) -> None:
    if market_time.tzinfo is None:
        raise ValueError(f"the venue's time {market_time} has no zone")
    if not speed >= 0:
        raise ValueError(f"the venue's speed {speed} is not 0 or more")
