"""When is the program under test done with what it was given: when its loop has nothing left to run."""

from __future__ import annotations

import asyncio
from time import monotonic

BREATH_S = 0.002
"""Time for timers that are due at once and for sockets."""

QUIET_LOOKS = 2
"""Looks in a row at a loop with nothing to run."""


async def until_quiet(min_sleep: float = BREATH_S, max_sleep: float = 1.0) -> None:
    """Wait until the loop is idle.

    The library's own wait measures the processor's time in steps of 20 ms, so that each key of a test costs 40 ms
    at least and up to a second on a busy machine. The loop itself knows better: with nothing in its queue of
    callbacks every message has been handled, and what remains waits for a timer, a thread or a socket.
    """
    started = monotonic()
    loop = asyncio.get_running_loop()
    ready: object = getattr(loop, "_ready")  # noqa: B009 - no public name says how much is due
    quiet = 0
    while quiet < QUIET_LOOKS and monotonic() - started < max_sleep:
        await asyncio.sleep(0)
        if ready:
            quiet = 0
            continue
        await asyncio.sleep(BREATH_S)
        quiet = 0 if ready else quiet + 1
    remaining = min_sleep - (monotonic() - started)
    if remaining > 0:
        await asyncio.sleep(remaining)
