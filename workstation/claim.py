"""Which process is the engine of a venue on a data folder: one alone, from before it starts until it has ended.

The socket's own lock comes too late for that: two engines that start at once would both connect to everything before
one of them finds the other at the door.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from engine.core.errors import SetupError
from engine.core.ports import Clock
from storage.file_locks import open_lock_file, try_exclusive

POLL_S = 0.05


@contextlib.asynccontextmanager
async def claimed(path: Path, clock: Clock, *, is_served: Callable[[], bool], wait_s: float) -> AsyncIterator[None]:
    """Hold the claim ``path`` alone; the kernel drops it however this process ends.

    An engine that is just ending is waited for; one that is there is not.

    Args:
        path: The lock file.
        clock: Time.
        is_served: Whether the engine that has the claim answers at its socket already.
        wait_s: Longest wait for an engine that neither answers nor ends.

    Raises:
        SetupError: another engine has it.
    """
    descriptor = open_lock_file(path)
    try:
        deadline = clock.monotonic() + wait_s
        while not try_exclusive(descriptor):
            if is_served():
                raise SetupError(
                    f"An engine runs on {path.parent.parent} already. `workstation` opens the desk on it; SIGTERM to "
                    "its process ends it."
                )
            if clock.monotonic() > deadline:
                raise SetupError(
                    f"An engine on {path.parent.parent} has been starting or ending for {wait_s:g} s. End that "
                    "process, then try again."
                )
            await clock.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)
