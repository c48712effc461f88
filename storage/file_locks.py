"""Advisory file locks with a deadline.

The kernel drops the lock of a process that ends, however it ends, so a killed process never leaves one behind. The
files themselves stay: removing a lock file while others wait for it would let two of them hold "the" lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

LOCK_POLL_S = 0.02


def open_lock_file(path: Path) -> int:
    """Open (making it if needed, readable by its owner only) the file of a lock; returns its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_exclusive(descriptor: int) -> bool:
    """Take the lock alone, or turn a shared one into it; false when anybody else holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def hold_shared(descriptor: int) -> None:
    """Hold the lock together with others. Waits only for an exclusive holder."""
    fcntl.flock(descriptor, fcntl.LOCK_SH)


@contextlib.contextmanager
def exclusive_lock(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold ``path`` alone for the body of a ``with``.

    Raises:
        TimeoutError: somebody else held it for ``timeout_s`` seconds.
    """
    descriptor = open_lock_file(path)
    try:
        deadline = time.monotonic() + timeout_s
        while not try_exclusive(descriptor):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} has been locked by another process for {timeout_s:.0f} s")
            time.sleep(LOCK_POLL_S)
        yield
    finally:
        os.close(descriptor)  # closing the only descriptor drops the lock
