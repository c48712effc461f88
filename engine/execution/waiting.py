"""Waiting for a signal or for time, whichever comes first, on the clock that was given."""

from __future__ import annotations

import asyncio

from engine.core.ports import Clock


class Wakeup:
    """A signal that a loop waits for, with a limit. Signals given while nobody waits are kept, as one.

    Args:
        clock: Whose seconds the limit counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the loop."""
        self._event.set()

    def clear(self) -> None:
        """Forget the signals so far; call before looking at what they are about."""
        self._event.clear()

    def is_set(self) -> bool:
        """Whether a signal waits."""
        return self._event.is_set()

    async def wait(self, seconds: float | None = None) -> bool:
        """Wait for a signal, at most ``seconds``; whether one came."""
        if self._event.is_set() or seconds is None:
            await self._event.wait()
            return True
        signal = asyncio.ensure_future(self._event.wait())
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({signal, limit}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (signal, limit):
                task.cancel()
            await asyncio.gather(signal, limit, return_exceptions=True)
        return self._event.is_set()
