"""A client of an embedded server in a process of its own: starts, says so, and waits to be told to leave or be killed.

Usage: ``python -m tests.integration.storage.client_process FOLDER [USER]``; root may name a user to become. Writes
``started PID`` when the server runs, reads a line, leaves, and writes ``stopped True`` when it was the last client.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

from engine.core.errors import SetupError
from storage.embedded import EmbeddedPostgres


def become(name: str) -> None:
    """Go on as another user of the machine, without his groups."""
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def main() -> int:
    """Be a client."""
    if len(sys.argv) > 2:
        become(sys.argv[2])
    server = EmbeddedPostgres(Path(sys.argv[1]), max_connections=20, test_mode=True)
    try:
        server.start()
    except SetupError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write(f"started {server.process_id()}\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(f"stopped {server.stop()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
