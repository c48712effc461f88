"""Where things lie on this machine. One data folder holds everything the program keeps."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec
import platformdirs

from engine.core.errors import SetupError

APPLICATION = "workstation"
DATA_VARIABLE = "WORKSTATION_DATA"
CONFIGURATION_VARIABLE = "WORKSTATION_CONFIG"
SOCKET_PATH_BYTES_MAX = 90
LONGEST_SOCKET = "/practice-0123456789.sock.lock"
SHORT_FOLDER = Path("/tmp")  # noqa: S108 - a folder made in it is used only when it is ours and closed to others
"""The same for every process of a user, whatever its environment: an engine must be found from another shell."""
FOLDER_MODE = 0o700
OPEN_TO_OTHERS = 0o077


class Locations(msgspec.Struct, frozen=True):
    """The folders of one data folder."""

    data: Path

    @property
    def postgres(self) -> Path:
        """The embedded database cluster."""
        return self.data / "postgres"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.data / "log"

    @property
    def run(self) -> Path:
        """Sockets of running engines. Short even when the data folder's path is not: sockets need that."""
        folder = self.data / "run"
        if len(os.fsencode(folder)) + len(LONGEST_SOCKET) <= SOCKET_PATH_BYTES_MAX:
            return folder
        digest = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:12]
        return SHORT_FOLDER / f"{APPLICATION}-{os.geteuid()}-{digest}"

    def socket(self, venue_id: str) -> Path:
        """Where the engine of a venue listens."""
        return self.run / f"{venue_id}.sock"

    def claim(self, venue_id: str) -> Path:
        """What the engine of a venue holds from its start to its end."""
        return self.run / f"{venue_id}.engine"

    def running_sockets(self) -> tuple[Path, ...]:
        """Sockets that exist; their engines may be gone."""
        return tuple(sorted(self.run.glob("*.sock"))) if self.run.is_dir() else ()

    def venue(self, venue_id: str) -> Path:
        """What a practice exchange keeps: its book, its log."""
        return self.data / "venues" / venue_id

    @property
    def tapes(self) -> Path:
        """Recorded feeds, a folder for each venue."""
        return self.data / "tapes"

    @property
    def secrets(self) -> Path:
        """What signs tokens, a folder for each venue."""
        return self.data / "tokens"

    def latches(self, venue_id: str) -> Path:
        """Kill switches and locks of a venue's accounts, which every process that sends orders looks at."""
        return self.data / "latches" / venue_id

    def spools(self, venue_id: str) -> Path:
        """What a venue's engine sends while its database is away, a file for each account."""
        return self.data / "spools" / venue_id

    @property
    def vault(self) -> Path:
        """The encrypted secrets: keys of the broker's interface, sessions of the day."""
        return self.data / "secrets"

    def tokens(self, venue_id: str) -> Path:
        """Keys and records of a venue's tokens."""
        return self.secrets / venue_id

    def audit(self, venue_id: str) -> Path:
        """The audit log of a venue's doors."""
        return self.logs / f"audit-{venue_id}.jsonl"

    def make(self) -> None:
        """Create the folders, readable by this user alone.

        A data folder that was there before keeps its mode; what lies in it is closed.

        Raises:
            SetupError: one cannot be made, is not a folder, or belongs to somebody else.
        """
        for folder in (self.data, self.logs, self.run, self.secrets):
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            except (FileExistsError, NotADirectoryError):
                raise SetupError(f"{folder} is not a folder; name another place with --data.") from None
            except OSError as error:
                raise SetupError(f"The folder {folder} cannot be made: {error.strerror}.") from error
        for folder in (self.logs, self.run, self.secrets):
            _close(folder)


def _close(folder: Path) -> None:
    """Make sure that a folder is ours and nobody else can look into it or put something there."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise SetupError(f"{folder} is not a folder but a link; remove it.")
    if found.st_uid != os.geteuid():
        raise SetupError(f"The folder {folder} belongs to another user; remove it or name another --data.")
    if found.st_mode & OPEN_TO_OTHERS:
        folder.chmod(FOLDER_MODE)


def data_folder(argument: Path | None, environment: Mapping[str, str]) -> Path:
    """``--data``, else ``WORKSTATION_DATA``, else the platform's own place."""
    if argument is not None:
        return argument.expanduser().absolute()
    if chosen := environment.get(DATA_VARIABLE):
        return Path(chosen).expanduser().absolute()
    return Path(platformdirs.user_data_dir(APPLICATION, appauthor=False))


def configuration_file(argument: Path | None, environment: Mapping[str, str]) -> tuple[Path, bool]:
    """The file to read, and whether it must exist (it was named by somebody)."""
    if argument is not None:
        return argument.expanduser().absolute(), True
    if chosen := environment.get(CONFIGURATION_VARIABLE):
        return Path(chosen).expanduser().absolute(), True
    return Path(platformdirs.user_config_dir(APPLICATION, appauthor=False)) / "config.toml", False
