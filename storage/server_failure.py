"""Turns what PostgreSQL's programs print when they fail into an error that says what to do.

The programs run under the C locale, so that their words and the system's are in English and can be recognised.
"""

from __future__ import annotations

import re
from pathlib import Path

from storage.errors import DiskFull, FolderUnusable, ServerNotReady, ServerProblem, WrongServerVersion

LOG_LINES_QUOTED = 6
LOG_BYTES_READ = 16_384
NO_SPACE = "No space left on device"
SHARED_MEMORY = "shared memory"
ORPHANS = "pre-existing shared memory block"
"""A killed server's orphans hold its memory for a second or two; starting again succeeds after that."""
SOCKET_HELD = re.compile(r'lock file "[^"]*\.s\.PGSQL\.\d+\.lock" already exists')
"""So does a process that is being killed hold its socket, in a folder that no other server uses."""
LOCKED = re.compile(r'lock file "postmaster\.pid" already exists')
LOCK_HOLDER = re.compile(r"\(PID (\d+)\)")


def read_log_tail(log: Path, since: int = 0) -> str:
    """The end of a log file, from byte ``since`` on and at most ``LOG_BYTES_READ``; empty when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since, size - LOG_BYTES_READ, 0) if size >= since else 0)
            return file.read(LOG_BYTES_READ).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def quote_last_lines(text: str) -> str:
    """The last lines of an output, indented, for the end of an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(f"\n  {line}" for line in lines[-LOG_LINES_QUOTED:]) or "\n  (it printed nothing)"


def waits_for_orphans(text: str) -> bool:
    """Whether a start failed only because the processes of a killed server have not ended yet."""
    return ORPHANS in text or SOCKET_HELD.search(text) is not None


def is_locked(text: str) -> bool:
    """Whether a start failed because another server that lives holds the data."""
    return LOCKED.search(text) is not None


def explain_failure(text: str, *, root: Path, doing: str, log: Path) -> ServerProblem:
    """The error that fits a failed program's output.

    Args:
        text: What the program printed.
        root: The data folder that a person knows.
        doing: What was being done, to follow "PostgreSQL failed while", for example ``"starting"``.
        log: Where the whole output can be read.
    """
    quoted = quote_last_lines(text)
    if is_locked(text):
        holder = LOCK_HOLDER.search(text)
        process = f" (process {holder[1]})" if holder else ""
        return ServerNotReady(
            f"Another PostgreSQL server{process} holds the data in {root} and does not answer. End it, then start "
            f"again; nothing was changed.{quoted}"
        )
    if NO_SPACE in text and SHARED_MEMORY in text and "/PostgreSQL." in text:
        return DiskFull(
            f"There is no shared memory left for PostgreSQL (/dev/shm is full) while {doing}. Nothing was lost. "
            f"Give the container or machine more shared memory, then start again.{quoted}"
        )
    if NO_SPACE in text or "Disk quota exceeded" in text:
        return DiskFull(
            f"The disk that holds {root} is full: PostgreSQL failed while {doing}. Everything acknowledged is kept. "
            f"Free some space, then start again.{quoted}"
        )
    if "initialized by PostgreSQL version" in text or "incompatible with server" in text:
        return WrongServerVersion(
            f"The data in {root} belong to another version of PostgreSQL; nothing was changed. Use the release that "
            f"made them, or back up there and restore here.{quoted}"
        )
    if "ermission denied" in text or "wrong ownership" in text or "Read-only file system" in text:
        return FolderUnusable(
            f"PostgreSQL may not use the files in {root}. They must belong to the user who starts this program, and "
            f"the disk must allow writing.{quoted}"
        )
    return ServerNotReady(f"PostgreSQL failed while {doing}. The whole output is in {log}.{quoted}")
