"""Under which user the private server runs.

An ordinary user's server runs as that user. PostgreSQL refuses uid 0, so root's server runs either in a user namespace
in which root is called ``nobody`` (nothing on disk changes hands), or, where namespaces are denied, as ``nobody``
itself, which then owns the data folder and must be able to reach it.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import TypedDict

import msgspec

from storage import namespace_launcher
from storage.errors import FolderUnusable

NOBODY = "nobody"
TRIAL_TIMEOUT_S = 10.0


class RootMode(StrEnum):
    """How a server is run for uid 0."""

    AUTO = "auto"
    """A namespace where it works and the data are root's, else ``nobody``."""
    NAMESPACE = "namespace"
    NOBODY = "nobody"


class ProcessUser(TypedDict, total=False):
    """Arguments of ``subprocess`` that choose the user."""

    user: int
    group: int
    extra_groups: list[int]


class ServerUser(msgspec.Struct, frozen=True):
    """Who runs the server: a command to put before it, or another user to start it as."""

    prefix: tuple[str, ...] = ()
    """Program and arguments that lead the command line; empty for none."""
    uid: int | None = None
    """User to start it as; ``None`` for our own."""
    gid: int | None = None

    @property
    def process_arguments(self) -> ProcessUser:
        """What ``subprocess`` needs beside the command line."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def choose_server_user(data: Path, mode: RootMode = RootMode.AUTO) -> ServerUser:
    """Decide under which user the server of the cluster in ``data`` runs.

    Args:
        data: The cluster's folder; if it exists, its owner decides which road can open it.
        mode: Forces one road for uid 0; ignored for everybody else.

    Raises:
        FolderUnusable: root asked for a road that is closed here.
    """
    if os.geteuid() != 0:
        return ServerUser()
    nobody = pwd.getpwnam(NOBODY)
    launcher = (
        sys.executable,
        "-I",
        "-S",
        str(Path(namespace_launcher.__file__).resolve()),
        str(nobody.pw_uid),
        str(nobody.pw_gid),
    )
    as_nobody = ServerUser(uid=nobody.pw_uid, gid=nobody.pw_gid)
    if mode is RootMode.NOBODY:
        return as_nobody
    if mode is RootMode.AUTO and data.exists() and data.stat().st_uid == nobody.pw_uid:
        return as_nobody  # inside the namespace files of the real nobody could not be opened
    if _runs(launcher):
        return ServerUser(prefix=launcher)
    if mode is RootMode.NAMESPACE:
        raise FolderUnusable("User namespaces are not allowed on this machine; start the program as an ordinary user.")
    return as_nobody


def hand_over(folders: tuple[Path, ...], user: ServerUser, programs: Path) -> None:
    """Give ``folders`` (with all in them) to the server's user, and check that it can reach them and its programs.

    Does nothing for a server that runs as ourselves. Parents are never opened up on anybody's behalf.

    Raises:
        FolderUnusable: a parent of a folder, or of the programs, is closed to that user.
    """
    if user.uid is None or user.gid is None:
        return
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid != user.uid:
                os.chown(path, user.uid, user.gid, follow_symlinks=False)
    for path in (*folders, programs):
        if not _reaches(path, user):
            raise FolderUnusable(
                f"PostgreSQL does not run as root, and here it has to run as the user {NOBODY}, who cannot reach "
                f"{path}. Start the program as an ordinary user, or choose a data folder whose parents others may pass."
            )


def _runs(launcher: tuple[str, ...]) -> bool:
    trial = subprocess.run(launcher, capture_output=True, check=False, timeout=TRIAL_TIMEOUT_S, cwd="/")
    return trial.returncode == 0


def _reaches(path: Path, user: ServerUser) -> bool:
    trial = subprocess.run(
        ["/bin/ls", "-d", f"{path}/."],
        capture_output=True,
        check=False,
        timeout=TRIAL_TIMEOUT_S,
        cwd="/",
        **user.process_arguments,
    )
    return trial.returncode == 0
