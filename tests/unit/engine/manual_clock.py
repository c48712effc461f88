"""Time that the test moves by hand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta


class ManualClock:
    """Implements the clock port; ``advance`` wakes whoever has slept long enough."""

    def __init__(self) -> None:
        self._start = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []
        self.slept: list[float] = []
        """Every wait that was asked for, in order."""

    def market_now(self) -> datetime:
        """Aware UTC."""
        return self._start + timedelta(seconds=self._elapsed)

    def wall_now(self) -> datetime:
        """Aware UTC."""
        return self.market_now()

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has moved time that far."""
        self.slept.append(seconds)
        awake = asyncio.Event()
        sleeper = (self._elapsed + seconds, awake)
        self._sleepers.append(sleeper)
        try:
            await awake.wait()
        finally:
            self._sleepers.remove(sleeper)

    async def advance(self, seconds: float) -> None:
        """Move time on and let everybody who is due run."""
        self._elapsed += seconds
        for due, awake in list(self._sleepers):
            if due <= self._elapsed:
                awake.set()
        await self.settle()

    async def settle(self) -> None:
        """Let every task go as far as it can."""
        for _ in range(20):
            await asyncio.sleep(0)
