"""Spacing of reads, so that the broker's limits on them are met without a refusal.

Invariant: in any window of one second and the guard, at most ``limit`` turns begin. Turns are given in the order asked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Pace:
    """A sliding window over one class of calls.

    Args:
        limit: Calls in a window.
        window_s: Length of the window, seconds; longer than the broker's by a guard for jitter.
        monotonic: Seconds that never run backwards.
        sleep: Waits for that many seconds.
    """

    def __init__(
        self,
        limit: int,
        *,
        window_s: float,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._begun: deque[float] = deque(maxlen=limit)
        self._window_s = window_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._turn = asyncio.Lock()

    async def wait(self) -> None:
        """Return when the next call may begin, and count it."""
        async with self._turn:
            if len(self._begun) == self._begun.maxlen:
                pause = self._begun[0] + self._window_s - self._monotonic()
                if pause > 0:
                    await self._sleep(pause)
            self._begun.append(self._monotonic())
