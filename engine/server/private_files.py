"""Small files that only this user may read or change, replaced whole or not at all, in a folder closed to others.

What is open to others is refused, never quietly repaired: somebody may have read or changed it by then. Writers hold
the folder's lock; readers need none, because a file is always replaced by a whole one. A lock held too long is an
error in words, so nobody waits for ever for a process that was stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from engine.core.errors import SetupError

FOLDER_MODE = 0o700
FILE_MODE = 0o600
OPEN_TO_OTHERS = 0o077
LOCK_FILE = "lock"
NEW_SUFFIX = ".new"
"""A half-written file of a killed writer; the next writer takes it away."""
FILE_BYTES_MAX = 4 * 1024 * 1024
LOCK_WAIT_S = 10.0
LOCK_POLL_S = 0.01

Stamp = tuple[int, int, int, int]
"""Tells a file from the one that replaced it."""


class PrivateFolder:
    """A folder of mode 0700 with files of mode 0600."""

    def __init__(self, path: Path, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        """Nothing is touched before the first use. ``lock_wait_s``: longest wait for another writer."""
        self._path = path
        self._lock_wait_s = lock_wait_s

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder alone among all processes, making it if needed. For commands: waits on this thread.

        Raises:
            SetupError: it cannot be made, is open to others, or somebody else holds it for too long.
        """
        try:
            self._path.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            self._check_folder()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path / LOCK_FILE, flags, FILE_MODE)
        except OSError as error:
            raise SetupError(f"The folder {self._path} cannot be used: {error.strerror}.") from error
        try:
            deadline = time.monotonic() + self._lock_wait_s
            while not _try_lock(descriptor):
                if time.monotonic() >= deadline:
                    raise SetupError(
                        f"Another process has held {self._path / LOCK_FILE} for {self._lock_wait_s:g} s; "
                        "end it and try again."
                    )
                time.sleep(LOCK_POLL_S)
            yield
        finally:
            os.close(descriptor)

    def stamp(self, name: str) -> Stamp | None:
        """What tells this state of a file from another; ``None`` when there is no such file. One system call.

        Raises:
            SetupError: it cannot be looked at.
        """
        try:
            found = (self._path / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SetupError(f"{self._path / name} cannot be looked at: {error.strerror}.") from error
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    def read(self, name: str) -> bytes | None:
        """A file's bytes; ``None`` when there is no such file.

        Raises:
            SetupError: the folder or the file is open to others or not ours, it is no plain file, too long, or cannot
                be read; says what to do.
        """
        path = self._path / name
        try:
            self._check_folder()
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SetupError(f"{path} cannot be read: {error.strerror}.") from error
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SetupError(f"{path} is not a plain file; remove it.")
            _check_closed(path, found, FILE_MODE)
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise SetupError(
                f"{path} is longer than {FILE_BYTES_MAX} bytes, which this program never writes; remove it."
            )
        return data

    def write(self, name: str, data: bytes) -> None:
        """Replace a file as a whole, on the disk when this returns. Only while the folder is locked.

        Raises:
            SetupError: the disk did not take it; the file is what it was.
        """
        path = self._path / name
        fresh = self._path / (name + NEW_SUFFIX)
        try:
            fresh.unlink(missing_ok=True)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            self._sync()
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise SetupError(f"{path} cannot be written: {error.strerror}.") from error

    def _sync(self) -> None:
        """The new name reaches the disk too."""
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _check_folder(self) -> None:
        found = self._path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise SetupError(f"{self._path} is not a folder; remove it.")
        _check_closed(self._path, found, FOLDER_MODE)


def _check_closed(path: Path, found: os.stat_result, mode: int) -> None:
    if found.st_uid != os.geteuid():
        raise SetupError(f"{path} belongs to another user; remove it, or run this as its owner.")
    if found.st_mode & OPEN_TO_OTHERS:
        raise SetupError(
            f"Others may use {path} (mode {stat.S_IMODE(found.st_mode):03o}). If nobody has: chmod {mode:o} {path}. "
            "Otherwise remove the folder it is in; every token of this venue is void then."
        )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
