"""What a kill process does, written with force beside the latch before and after each request: no database needed.

The process holds the file locked while it works, so that an engine which is continued, or started, knows that another
one is flattening; afterwards the engine reads what was done and says it. The orders themselves stand in the broker's
book with tags that begin with ``KILL_TAG_PREFIX`` and are adopted from there.
"""

from __future__ import annotations

import base64
import fcntl
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from engine.core.errors import SetupError
from engine.core.identifiers import TAG_RANDOM_BYTES, AccountId, OrderTag
from engine.execution.latch import FILE_MODE, FOLDER_MODE, safe_name, sync_folder

KILL_TAG_PREFIX = "WK"
"""Marks an order of a kill process in the broker's book."""
SUFFIX = ".journal"
LINES_READ_MAX = 10_000
BYTES_READ_MAX = 8_000_000


class KillLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line."""

    at: datetime
    """Aware UTC, this machine's clock."""
    what: str
    """``begin``, ``cancel``, ``place``, ``answer``, ``change``, ``lost``, ``refused``, ``end``."""
    words: str = ""
    tag: str = ""
    order_id: str = ""
    instrument: str = ""
    signed_quantity: int = 0
    """Of a placement: + bought."""


def journal_path(folder: Path, account: AccountId) -> Path:
    """Where an account's is."""
    return folder / f"{safe_name(account)}{SUFFIX}"


def kill_tag(random_bytes: bytes) -> OrderTag:
    """A tag of ``TAG_RANDOM_BYTES`` random bytes for an order of a kill process.

    Raises:
        ValueError: the number of bytes is another one.
    """
    if len(random_bytes) != TAG_RANDOM_BYTES:
        raise ValueError(f"a tag is made of {TAG_RANDOM_BYTES} random bytes, these are {len(random_bytes)}")
    return OrderTag(KILL_TAG_PREFIX + base64.b32encode(random_bytes).decode("ascii"))


def is_flattening(path: Path) -> bool:
    """Whether a kill process holds the journal now."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_last_kill(path: Path) -> tuple[KillLine, ...]:
    """The lines of the newest kill, oldest first; a torn last line is left out. Empty when there was none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - BYTES_READ_MAX))
            data = file.read(BYTES_READ_MAX)
    except OSError:
        return ()
    lines: list[KillLine] = []
    for text in data.split(b"\n")[-LINES_READ_MAX:]:
        try:
            line = msgspec.json.decode(text, type=KillLine)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if line.what == "begin":
            lines.clear()
        lines.append(line)
    return tuple(lines)


class KillJournal:
    """The pen of a kill process; ``with`` holds it.

    Args:
        path: The file; lines are appended.
        now: Aware UTC of this machine.
    """

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._path = path
        self._now = now
        self._descriptor: int | None = None
        self.trouble = ""
        """Why a line could not be written; the kill goes on without."""

    def __enter__(self) -> Self:
        """Open and lock it.

        Raises:
            SetupError: another kill process is at work on this account.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, FILE_MODE)
        except OSError as error:
            # Better an account that is flat and a journal that is not there than the other way round.
            self.trouble = f"The journal {self._path} cannot be opened: {error.strerror}."
            return self
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise SetupError(
                f"Another `workstation kill` is at work ({self._path.name}); two would trade against each other. "
                "The latch is set."
            ) from None
        self._descriptor = descriptor
        sync_folder(self._path.parent)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def write(self, what: str, words: str = "", **fields: str | int) -> None:
        """Append a line and force it to the disk."""
        if self._descriptor is None:
            return
        line = msgspec.convert({"at": self._now(), "what": what, "words": words, **fields}, KillLine)
        try:
            os.write(self._descriptor, msgspec.json.encode(line) + b"\n")
            os.fsync(self._descriptor)
        except OSError as error:
            self.trouble = f"The journal {self._path} cannot be written: {error.strerror}."


def kill_words(lines: tuple[KillLine, ...]) -> str:
    """What a kill did, in one sentence; empty without lines."""
    if not lines:
        return ""
    placed = sum(line.what == "place" for line in lines)
    cancelled = sum(line.what == "cancel" for line in lines)
    end = next((line.words for line in reversed(lines) if line.what == "end"), "it did not say how it ended")
    return f"`workstation kill` asked for {cancelled} cancellations and sent {placed} orders; {end}"
