"""Who writes a tape and who reads it: advisory locks that the kernel drops with the process.

A writer holds ``writer.lock`` alone. A reader holds ``header.json`` together with others. Only a tape that nobody
holds may be deleted.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

WRITER_LOCK: Final = "writer.lock"
FILE_MODE: Final = 0o600
_ATTEMPTS: Final = 25
_PAUSE_S: Final = 0.02


def take_writer(folder: Path) -> int | None:
    """Become the only writer; returns the descriptor that holds the lock, or ``None`` when somebody has it.

    Waits a moment, not on the event loop: a reader that asks whether there is a writer holds the lock for an instant.

    Raises:
        OSError: the file cannot be made or locked.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE_S)
        descriptor = os.open(folder / WRITER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        if (locked := _locked(descriptor, fcntl.LOCK_EX)) is not None:
            return locked
    return None


def hold_for_reading(path: Path) -> int | None:
    """Keep a tape from being deleted; ``path`` is its header. ``None`` when it cannot be held."""
    try:
        return _locked(os.open(path, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
    except OSError:
        return None


def take_for_deletion(path: Path) -> int | None:
    """Hold a file alone that readers would hold together; ``None`` when somebody has it or it cannot be held."""
    try:
        return _locked(os.open(path, os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_EX)
    except OSError:
        return None


def is_being_written(folder: Path) -> bool:
    """Whether some process is the writer now."""
    try:
        descriptor = os.open(folder / WRITER_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # no locks on this file system, so no writer has one
    finally:
        os.close(descriptor)
    return False


def _locked(descriptor: int, how: int) -> int | None:
    """Take a lock with a descriptor, which is closed when that fails."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor
