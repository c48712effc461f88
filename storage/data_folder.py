"""The folder in which the private server lives: whose it is, whether it is ours, and what lies where.

Ours is a folder that carries the marker, or an empty one. Anything else is refused before a byte is written, so a
mistyped path can never be filled with a database, nor somebody else's database be started.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from pathlib import Path

from storage.errors import FolderNewer, FolderUnusable, ForeignFolder, ServerProblem
from storage.server_failure import explain_failure

LAYOUT = 1
"""Version of what lies where in the folder; a later release that moves things counts it up."""
MARKER = "workstation-database"
SOCKET_PATH_LENGTH_MAX = 80
"""A socket's path may have 107 bytes on Linux and 103 on macOS; its own name takes 20 of them."""
NAMES_SHOWN = 5
PRIVATE = 0o700


class DataFolder:
    """Paths inside the data folder, and the checks that it may be used.

    Args:
        root: The folder; made, with mode 0700, when it does not exist.
        short_folder: Where the socket goes when the path of ``root`` is too long for one.
    """

    def __init__(self, root: Path, *, short_folder: Path) -> None:
        self.root = root.absolute()
        self.cluster = self.root / "data"
        self.cluster_being_made = self.root / "data.init"
        self.log = self.root / "server.log"
        self.older_log = self.root / "server.log.1"
        self.server_lock = self.root / "server.lock"
        self.clients_lock = self.root / "clients.lock"
        self.marker = self.root / MARKER
        sockets = self.root / "run"
        if len(os.fsencode(sockets)) > SOCKET_PATH_LENGTH_MAX:
            digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
            sockets = short_folder / f"workstation-{os.geteuid()}-{digest}"
        self.sockets = sockets

    def make(self) -> None:
        """Make the folder if need be and check that it is ours to write.

        Raises:
            FolderUnusable: it cannot be made or written, is a file, or is another user's.
            ForeignFolder: it holds something else.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        except FileExistsError:
            raise FolderUnusable(f"The data folder {self.root} is a file. Name a folder.") from None
        except OSError as error:
            raise self._unusable(f"cannot be made: {error.strerror}", error) from error
        self._refuse_other_owner()
        try:
            names = {entry.name for entry in self.root.iterdir()}
        except OSError as error:
            raise FolderUnusable(f"The data folder {self.root} cannot be read: {error.strerror}.") from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise FolderUnusable(f"The data folder {self.root} cannot be written. Change its mode or name another one.")
        strangers = sorted(names - {self.server_lock.name, MARKER})
        if MARKER not in names and strangers:
            shown = ", ".join(strangers[:NAMES_SHOWN]) + (", …" if len(strangers) > NAMES_SHOWN else "")
            raise ForeignFolder(
                f"{self.root} is not empty and was not made by this program (it holds {shown}). "
                "Name an empty or a new folder as the data folder. Nothing was changed."
            )

    def claim(self) -> None:
        """Write the marker, or check the one that is there. Call it under the server lock.

        Raises:
            FolderNewer: a later release laid the folder out.
            DiskFull: there is no space for the marker.
        """
        try:
            text = self.marker.read_text(encoding="utf-8")
        except FileNotFoundError:
            text = ""
        if not text.strip():  # new, or its writing was cut short by a full disk
            try:
                self.marker.write_text(f"{LAYOUT}\n", encoding="utf-8")
            except OSError as error:
                raise self._unusable("cannot be written", error) from error
            return
        layout = text.strip()
        if not layout.isdigit() or int(layout) > LAYOUT:
            raise FolderNewer(
                f"{self.root} was laid out by a later release of this program (its layout is {layout}, this release "
                f"knows {LAYOUT}). Use that release, or name another data folder. Nothing was changed."
            )

    def data_major(self) -> int | None:
        """Major version of PostgreSQL that made the data; ``None`` when there are none yet.

        Raises:
            ForeignFolder: the file that says so is unreadable as a version.
        """
        try:
            text = (self.cluster / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        if not text.isdigit():
            raise ForeignFolder(f'{self.cluster / "PG_VERSION"} says "{text}", which is not a version of PostgreSQL.')
        return int(text)

    def make_socket_folder(self) -> None:
        """Make the socket's folder private; whoever can reach the socket is let in without a password.

        Raises:
            FolderUnusable: somebody else made it, or it is open to others and cannot be closed.
        """
        self.sockets.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        found = self.sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or not _is_own(found.st_uid):
            raise FolderUnusable(
                f"{self.sockets}, the folder for the server's socket, is {_user_name(found.st_uid)}'s. "
                "Remove it, or set another folder for short-lived files."
            )
        if stat.S_IMODE(found.st_mode) != PRIVATE:
            self.sockets.chmod(PRIVATE)

    def _refuse_other_owner(self) -> None:
        owner = self.root.stat().st_uid
        if not _is_own(owner):
            raise FolderUnusable(
                f"The data folder {self.root} belongs to {_user_name(owner)}, and you are {_user_name(os.geteuid())}. "
                "One user's database cannot be used by another: start the program as that user, or name another folder."
            )

    def _unusable(self, what: str, error: OSError) -> ServerProblem:
        text = f"{error.strerror}: {error.filename}"
        found = explain_failure(text, root=self.root, doing="writing to the data folder", log=self.log)
        if isinstance(found, FolderUnusable):
            return FolderUnusable(f"The data folder {self.root} {what}. Change its mode or owner, or name another one.")
        return found


def _is_own(uid: int) -> bool:
    """Whether files of ``uid`` are ours: our own, or, for root, those of the user that its server may run as."""
    mine = os.geteuid()
    return uid == mine or (mine == 0 and uid == pwd.getpwnam("nobody").pw_uid)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
