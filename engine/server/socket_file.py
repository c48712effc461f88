"""The file of a listening Unix socket: whose it is, that only one engine has it, and that nobody else may open it.

A lock beside the socket says whether its engine lives: the kernel drops it however the engine ended, so of two engines
that start at once exactly one gets the socket, and a dead engine's leftover can be replaced without a doubt. The lock
file stays: whoever removed it could remove another's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
from pathlib import Path

from engine.core.errors import SetupError

SOCKET_MODE = 0o600
CLOSED_TO_OTHERS = 0o177
PATH_BYTES_MAX = 100
"""The kernels take 103 to 107 bytes."""
LOCK_SUFFIX = ".lock"
PEER_CREDENTIALS = struct.Struct("3i")


def is_alive(path: Path) -> bool:
    """Whether somebody listens at this socket; in doubt, yes. Never waits."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            # Its queue is full, or it is not ours to ask: somebody is there. A path that is no socket is nobody.
            return isinstance(error, BlockingIOError | PermissionError)
    return True


class SocketFile:
    """One socket path, claimed from ``listen`` to ``remove``."""

    def __init__(self, path: Path) -> None:
        """Nothing is touched before ``listen``."""
        self._path = path
        self._lock: int | None = None

    @property
    def path(self) -> Path:
        """Where the socket lies."""
        return self._path

    def listen(self) -> socket.socket:
        """Claim the path and return a bound socket of mode 0600.

        Raises:
            SetupError: another engine has it, the path is too long, cannot be written, or holds something else.
        """
        if len(os.fsencode(self._path)) > PATH_BYTES_MAX:
            raise SetupError(
                f"The socket path {self._path} is too long ({PATH_BYTES_MAX} bytes at most); choose a shorter --data."
            )
        try:
            self._claim()
            self._clear()
            return self._bind()
        except OSError as error:
            self.remove()
            raise SetupError(f"Cannot listen at {self._path}: {error.strerror}.") from error
        except SetupError:
            self._release()
            raise

    def remove(self) -> None:
        """Take the socket away and let the path go; another engine may have it then."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._release()

    def _claim(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path.with_name(self._path.name + LOCK_SUFFIX), flags, SOCKET_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SetupError(f"Another engine listens at {self._path}; attach to it or stop it first.") from None
        self._lock = descriptor

    def _clear(self) -> None:
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise SetupError(f"{self._path} is not a socket; move it away, the engine has to listen there.")
        if is_alive(self._path):
            raise SetupError(f"Another program listens at {self._path}; stop it first.")
        self._path.unlink()

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        # The socket is never open to others, not even for a moment; nothing else runs on this thread meanwhile.
        previous_mask = os.umask(CLOSED_TO_OTHERS)
        try:
            listener.bind(str(self._path))
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(previous_mask)
        listener.setblocking(False)
        return listener

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def peer_user(connected: socket.socket | None) -> int | None:
    """The user id at the other end as the kernel tells it; ``None`` where it cannot and the file mode must do."""
    if connected is None or not hasattr(socket, "SO_PEERCRED"):
        return None
    credentials = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER_CREDENTIALS.size)
    _, user, _ = PEER_CREDENTIALS.unpack(credentials)
    return int(user)
