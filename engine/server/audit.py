"""The audit log of the doors: who came, what was refused, which tokens were made, as one line of JSON each.

The file is closed to others and bounded: a full one is set aside under a number and the oldest is dropped. Engines and
commands write to the same file, each line in one piece. A line that cannot be written never stops the door: the log of
the program says so, and the next line that can be written is preceded by one that counts what is missing. What looks
like a token is never written, whoever put it into the words.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from engine.core.errors import SetupError
from engine.server.access import Grant

logger = logging.getLogger(__name__)

FILE_MODE = 0o600
OPEN_TO_OTHERS = 0o077
FOLDER_MODE = 0o700
LOCK_SUFFIX = ".lock"
BYTES_MIN = 4096
"""A smaller file could be full of one line."""
TEXT_MAX = 500
"""Characters of one text of a line; the rest is cut off."""
CUT = "…"
REDACTED = "[redacted]"
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
JWT_SHAPE = r"(?-i:ey[A-DI-L][A-Za-z0-9_-]{7,}(?:\.[A-Za-z0-9_=-]*)*)"
"""Begins with ``{"`` or ``{ `` in base 64, whose third letter is always a capital: never a part of a token's id."""
TOKEN_LIKE = re.compile(rf"(?i:bearer)\s+\S+|{JWT_SHAPE}")
"""The value of an authorization header; a JSON Web Token."""


class AuditKind(StrEnum):
    """What an audit line tells."""

    DOOR_OPENED = "door_opened"
    """A door listens; the detail says where."""
    DOOR_CLOSED = "door_closed"
    TOKEN_CREATED = "token_created"  # noqa: S105 - the name of an event
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 - the name of an event
    ATTACHED = "attached"
    """A client was let in."""
    DETACHED = "detached"
    """A client left, or was closed; the detail says why."""
    UNAUTHORIZED = "unauthorized"
    """A handshake without a good token; the detail says which check failed."""
    FORBIDDEN = "forbidden"
    """A call or a topic beyond a client's scopes or accounts."""
    ORIGIN_REFUSED = "origin_refused"
    """A browser page of an origin that is not on the white list."""
    LIMIT = "limit"
    """A bound was met: connections, topics, calls, message size, rate."""
    ENDED = "ended"
    """A session was closed because its token expired or was revoked."""
    ARMED = "armed"
    """A client changed the mode to one that sends orders."""
    GAP = "gap"
    """Lines before this one could not be written; the detail counts them."""


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the audit log; what is empty is left out."""

    at: datetime
    """Aware UTC, wall clock."""
    kind: AuditKind
    seat: str = ""
    """How the engine names the client."""
    name: str = ""
    """The name of the client's token, ``local`` at the Unix socket."""
    token_id: str = ""
    address: str = ""
    """Where the client came from."""
    detail: str = ""


class Audit:
    """Writes the audit log of one venue.

    Args:
        path: The file; its folder is made when it is not there. Older ones lie beside it as ``NAME.1`` and so on.
        now: Aware UTC, wall clock.
        bytes_max: A file that has reached it is set aside.
        files_kept: Older files beside the current one.

    Raises:
        SetupError: the bounds make no sense, or the file cannot be opened or may be read by others.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime], bytes_max: int, files_kept: int) -> None:
        """Open the file, so that a door that could not keep its log does not open at all."""
        if bytes_max < BYTES_MIN or files_kept < 1:
            raise SetupError(
                f"The audit log takes at least {BYTES_MIN} bytes and keeps at least 1 older file, "
                f"not {bytes_max} bytes and {files_kept}."
            )
        self._path = path
        self._now = now
        self._bytes_max = bytes_max
        self._files_kept = files_kept
        self._missing = 0
        self._closed = False
        self._descriptor: int | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            self._descriptor = self._opened()
        except OSError as error:
            raise SetupError(f"The audit log {path} cannot be opened: {error.strerror}.") from error

    @property
    def path(self) -> Path:
        """The current file."""
        return self._path

    def note(
        self, kind: AuditKind, *, seat: str = "", grant: Grant | None = None, address: str = "", detail: str = ""
    ) -> None:
        """Write one line. Never raises for the file's sake: a full disk must not close the door to an exit."""
        if self._closed:
            logger.error("the audit log is closed and misses: %s %s", kind, _clean(detail))
            return
        event = AuditEvent(
            at=self._now().astimezone(UTC),
            kind=kind,
            seat=_clean(seat),
            name=_clean(grant.name) if grant is not None else "",
            token_id=_clean(grant.token_id) if grant is not None else "",
            address=_clean(address),
            detail=_clean(detail),
        )
        lines = [event]
        if self._missing:
            gap = AuditEvent(at=event.at, kind=AuditKind.GAP, detail=f"{self._missing} events are missing here")
            lines.insert(0, gap)
        try:
            self._write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        except (OSError, SetupError) as error:
            self._missing += 1
            logger.error("the audit log misses %s %s: %s", kind, event.detail, error)  # noqa: TRY400 - in words
        else:
            self._missing = 0

    def close(self) -> None:
        """Let the file go; harmless when repeated."""
        self._closed = True
        self._let_go()

    # -- the file --------------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        descriptor = self._current()
        if os.fstat(descriptor).st_size + len(data) > self._bytes_max and self._set_aside(len(data)):
            descriptor = self._current()
        # One call, at the end of the file: the lines of two processes are never mixed.
        written = os.write(descriptor, data)
        if written != len(data):
            os.write(descriptor, b"\n")  # a half line is no reason to lose the next one
            raise OSError(0, f"only {written} of {len(data)} bytes were taken")

    def _current(self) -> int:
        """The descriptor of the file that has the path now: another process may have set ours aside."""
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._descriptor), self._path.lstat()):
                    return self._descriptor
            self._let_go()
        self._descriptor = self._opened()
        return self._descriptor

    def _opened(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, FILE_MODE)
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & OPEN_TO_OTHERS:
            os.close(descriptor)
            raise SetupError(f"Others may read or own the audit log {self._path}; move it away, or: chmod 600 it.")
        return descriptor

    def _set_aside(self, room: int) -> bool:
        """Number the full file; false when another process is just doing so, and one line more does no harm."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(self._path.with_name(self._path.name + LOCK_SUFFIX), flags, FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Somebody may have been faster: only a file that is full now is set aside.
            if self._path.lstat().st_size + room > self._bytes_max:
                for number in range(self._files_kept, 0, -1):
                    with contextlib.suppress(FileNotFoundError):
                        self._numbered(number - 1).replace(self._numbered(number))
        except (BlockingIOError, FileNotFoundError):
            return False
        finally:
            os.close(lock)
        return True

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _clean(text: str) -> str:
    """A text fit for a line and for a terminal that shows it: bounded, printable, nothing in it like a token."""
    kept = text if len(text) <= TEXT_MAX else text[: TEXT_MAX - len(CUT)] + CUT
    return TOKEN_LIKE.sub(REDACTED, "".join(sign if sign.isprintable() else UNPRINTABLE for sign in kept))
