"""How late the event loop is: the worst of the last seconds, because one late turn is what a trader feels."""

from __future__ import annotations

import asyncio
from collections import deque

from engine.core.ports import Clock

MS = 1_000.0


class LoopLag:
    """Measures while ``run`` runs.

    Args:
        clock: Monotonic seconds and waiting.
        every_s: How often it looks.
        kept_s: How far back the worst is looked for.
    """

    def __init__(self, clock: Clock, *, every_s: float, kept_s: float) -> None:
        self._clock = clock
        self._every_s = every_s
        self._late: deque[float] = deque(maxlen=max(1, round(kept_s / every_s)))

    @property
    def worst_ms(self) -> float | None:
        """Milliseconds; ``None`` before the first look."""
        return max(self._late) * MS if self._late else None

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            due = self._clock.monotonic() + self._every_s
            await self._clock.sleep(self._every_s)
            self._late.append(max(0.0, self._clock.monotonic() - due))
            await asyncio.sleep(0)
