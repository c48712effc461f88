"""Reads what a running server says about itself in ``postmaster.pid``, and whether it takes connections."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import msgspec

from storage.postgres_programs import PostgresPrograms

PID_FILE = "postmaster.pid"
OPTIONS_FILE = "postmaster.opts"
READY = "ready"
CONNECT_TIMEOUT_S = 1.0
SERVER_NAMES = ("postgres", "postmaster")
ZOMBIE = "Z"
_PID_FILE_LINES = 8
_MAX_CONNECTIONS = re.compile(r"max_connections=(\d+)")


class Postmaster(msgspec.Struct, frozen=True):
    """A server as its own file describes it."""

    pid: int
    port: int
    socket_folder: Path

    @property
    def socket_path(self) -> Path:
        """The socket it listens on."""
        return self.socket_folder / f".s.PGSQL.{self.port}"


def accepting_postmaster(data: Path) -> Postmaster | None:
    """The server of this cluster, if it says that it is ready and its socket answers; else ``None``.

    A process id alone proves nothing: it may be a zombie's, or used again by another program.
    """
    try:
        lines = (data / PID_FILE).read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(lines) < _PID_FILE_LINES or lines[7].strip() != READY or not lines[4].strip():
        return None
    try:
        found = Postmaster(pid=int(lines[0]), port=int(lines[3]), socket_folder=Path(lines[4]))
    except ValueError:
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        try:
            probe.connect(str(found.socket_path))
        except OSError:
            return None
    return found


def running_max_connections(data: Path) -> int | None:
    """How many connections the running (or last) server of this cluster was started for, if it was told."""
    try:
        options = (data / OPTIONS_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    found = _MAX_CONNECTIONS.search(options)
    return int(found[1]) if found else None


def heal_stale_pid(data: Path, programs: PostgresPrograms) -> bool:
    """Let a cluster start again whose killed server's process id seems to live; true when there was something to heal.

    PostgreSQL refuses to start while the id in ``postmaster.pid`` answers ``kill(pid, 0)``. Two kinds of processes
    answer and are no server: a zombie, where nobody waits for orphans (a container whose first process does not), and
    another program that was given the same id since (after a restart of the machine, or of a container, where ids are
    small). The id of a process that has just ended and been reaped takes its place; the line with the shared memory key
    stays, so that PostgreSQL still sees orphaned back ends and refuses while they live.
    """
    path = data / PID_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        status = Path(f"/proc/{int(lines[0])}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError, IndexError):
        return False
    # "PID (name) STATE …"; the name may hold spaces and brackets.
    head, _, tail = status.rpartition(")")
    name, state = head.partition("(")[2], tail.split()[:1]
    if name in SERVER_NAMES and state != [ZOMBIE]:
        return False
    with subprocess.Popen(
        [programs.server, "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as brief:
        pass  # leaving the block has waited for it
    path.write_text("".join([f"{brief.pid}\n", *lines[1:]]), encoding="utf-8")
    return True
