"""Run as a program of its own: enters a user namespace in which root is called ``nobody``, then becomes the server.

PostgreSQL refuses to run as uid 0. In a namespace of its own the same process is seen as another user, while to the
rest of the machine it stays root: no account is made, no file changes hands, no folder is opened to others.

Usage: ``python -I -S namespace_launcher.py UID GID PROGRAM [ARGUMENT…]``. Without a program it only tries the
namespace: exit code 0 means that it works. Needs nothing but the standard library, since it runs in isolated mode.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
EXIT_REFUSED = 99
"""The kernel (or a container's seccomp profile) does not allow the namespace."""


def enter_namespace(uid: int, gid: int) -> None:
    """Show this process as ``uid`` and ``gid`` from now on.

    Raises:
        OSError: user namespaces are not allowed here.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1", encoding="ascii")


def main(arguments: list[str]) -> int:
    """Enter the namespace and run the program in place of this one."""
    try:
        enter_namespace(int(arguments[0]), int(arguments[1]))
    except OSError as error:
        sys.stderr.write(f"user namespace refused: {error}\n")
        return EXIT_REFUSED
    if len(arguments) > 2:
        os.execv(arguments[2], arguments[2:])  # noqa: S606 - the server takes our place and our process id
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
