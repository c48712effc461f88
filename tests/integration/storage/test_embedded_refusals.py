"""What the private server's folder may not be, and what a person is told; nothing is ever changed or lost by it."""

from __future__ import annotations

import asyncio
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from engine.core.errors import StorageError, StorageUnavailable
from storage.data_folder import MARKER
from storage.databases import ensure_database
from storage.embedded import EmbeddedPostgres
from storage.errors import (
    DiskFull,
    FolderNewer,
    FolderUnusable,
    ForeignFolder,
    ServerNotReady,
    StorageFull,
    WrongServerVersion,
)
from storage.pool import Database
from storage.root_mode import RootMode
from tests.integration.storage.conftest import MakeServer
from tests.integration.storage.processes import line_of, running

CLIENT = "tests.integration.storage.client_process"
DISK_FOR_INITDB = "size=12m"
DISK_FOR_WRITING = "size=120m"
NOBODY = "nobody"


@pytest.fixture
def small_disk(request: pytest.FixtureRequest, folder: Path, as_root: None) -> Iterator[Path]:
    """A file system of the size given by the parameter."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small disk here")
    disk.chmod(0o711)
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_folder_with_other_things_is_refused(make_server: MakeServer, folder: Path) -> None:
    """A mistyped path is named with what lies there, and not a file is added."""
    root = folder / "photos"
    root.mkdir()
    (root / "wedding.jpg").write_text("not ours")
    with pytest.raises(ForeignFolder, match=r"photos.*wedding\.jpg"):
        make_server(root).start()
    assert [path.name for path in root.iterdir()] == ["wedding.jpg"]


def test_another_programs_cluster_is_refused(make_server: MakeServer, folder: Path) -> None:
    """A PostgreSQL cluster that this program did not make is not started."""
    root = folder / "theirs"
    (root / "data").mkdir(parents=True)
    (root / "data" / "PG_VERSION").write_text("18\n")
    with pytest.raises(ForeignFolder):
        make_server(root).start()


def test_a_file_is_not_a_folder(make_server: MakeServer, folder: Path) -> None:
    """A path that names a file is refused."""
    (folder / "file").write_text("")
    with pytest.raises(FolderUnusable, match="is a file"):
        make_server(folder / "file").start()


def test_a_later_layout_is_refused(make_server: MakeServer, made_folder: Path) -> None:
    """A folder of a later release is left alone."""
    (made_folder / MARKER).write_text("2\n")
    with pytest.raises(FolderNewer, match="later release"):
        make_server(made_folder).start()


def test_data_of_another_major_version_are_refused(make_server: MakeServer, made_folder: Path) -> None:
    """Data of a PostgreSQL that is not installed are not opened, and the sentence names both versions."""
    (made_folder / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(WrongServerVersion, match=r"made by PostgreSQL 9; installed here: \d+"):
        make_server(made_folder).start()


def test_data_of_an_installed_major_version_take_their_own_programs(
    make_server: MakeServer, folder: Path, tmp_path: Path
) -> None:
    """With several versions installed, data are opened by the one that made them."""
    system = Path("/usr/lib/postgresql")
    others = sorted(path for path in system.glob("*/bin") if (path / "initdb").exists())
    if not others:
        pytest.skip("no second PostgreSQL on this machine")
    first = make_server(folder / "pg", programs=others[0])
    first.start()
    first.stop()
    later = make_server(folder / "pg")
    later.start()
    assert (folder / "pg" / "data" / "PG_VERSION").read_text().strip() == others[0].parent.name


def test_a_version_file_with_nonsense_is_refused(make_server: MakeServer, made_folder: Path) -> None:
    """A damaged version file is named."""
    (made_folder / "data" / "PG_VERSION").write_text("??")
    with pytest.raises(ForeignFolder, match="PG_VERSION"):
        make_server(made_folder).start()


def test_another_users_folder_is_refused(made_folder: Path, as_root: None) -> None:
    """A second user of the machine is told whose the database is."""
    made_folder.chmod(0o755)
    with running(CLIENT, made_folder, NOBODY) as other:
        said = line_of(other)
    assert said.startswith("FolderUnusable")
    assert "belongs to root, and you are nobody" in said


def test_a_folder_that_cannot_be_made_is_named(folder: Path, as_root: None) -> None:
    """No permission in the parent: the path is in the sentence."""
    folder.chmod(0o755)
    with running(CLIENT, folder / "new", NOBODY) as other:
        said = line_of(other)
    assert said.startswith("FolderUnusable")
    assert "new cannot be made" in said


def test_an_unwritable_folder_is_named(folder: Path, as_root: None) -> None:
    """One's own folder without write permission is refused before anything else."""
    root = folder / "closed"
    root.mkdir(mode=0o500)
    nobody = pwd.getpwnam(NOBODY).pw_uid
    os.chown(root, nobody, nobody)
    with running(CLIENT, root, NOBODY) as other:
        said = line_of(other)
    assert said.startswith("FolderUnusable")
    assert "cannot be written" in said


def test_nobody_must_be_able_to_pass_the_parents(make_server: MakeServer, folder: Path, as_root: None) -> None:
    """Where root's server runs as nobody, a closed parent is named; it is never opened on the quiet."""
    parent = folder / "private"
    parent.mkdir(mode=0o700)
    with pytest.raises(FolderUnusable, match=r"nobody.*cannot reach.*private"):
        make_server(parent / "pg", root_mode=RootMode.NOBODY).start()
    assert parent.stat().st_mode & 0o777 == 0o700


def test_a_socket_folder_of_somebody_else_is_refused(make_server: MakeServer, folder: Path, as_root: None) -> None:
    """Whoever prepared the short socket's folder could sit between us and the server."""
    root = folder / ("deep" * 20) / "pg"
    probe = make_server(root)
    probe.start()
    (sockets,) = folder.glob("workstation-*")
    probe.stop()
    sockets.mkdir()
    os.chown(sockets, 1, 1)
    with pytest.raises(FolderUnusable, match="socket"):
        make_server(root).start()


def test_a_server_that_does_not_become_ready_is_stopped(make_server: MakeServer, made_folder: Path) -> None:
    """Past the deadline the server is ended in order, and its last words are quoted."""
    seconds = iter(range(0, 1_000_000, 1_000))
    server = make_server(made_folder, monotonic=lambda: float(next(seconds)))
    with pytest.raises(ServerNotReady, match=r"did not become ready within 120 s and was stopped[\s\S]*server\.log"):
        server.start()
    again = make_server(made_folder)
    again.start()
    assert again.is_running()


def test_a_server_that_ends_at_once_is_quoted(make_server: MakeServer, made_folder: Path) -> None:
    """A damaged configuration: PostgreSQL's own sentence reaches the person."""
    with (made_folder / "data" / "postgresql.conf").open("a") as file:
        file.write("\nno_such_setting = 1\n")
    with pytest.raises(ServerNotReady, match=r"failed while starting[\s\S]*no_such_setting"):
        make_server(made_folder).start()


def test_a_failed_start_leaves_no_client(make_server: MakeServer, made_folder: Path) -> None:
    """After a refusal others can still start and stop the server."""
    configuration = made_folder / "data" / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "\nno_such_setting = 1\n")
    refused = make_server(made_folder)
    with pytest.raises(ServerNotReady):
        refused.start()
    configuration.write_text(good)
    other = make_server(made_folder)
    other.start()
    assert other.stop() is True


@pytest.mark.parametrize("small_disk", [DISK_FOR_INITDB], indirect=True)
def test_a_disk_too_small_for_a_cluster_is_said(small_disk: Path, make_server: MakeServer) -> None:
    """A full disk during the first start: named as such, and the half-made cluster is gone."""
    with pytest.raises(DiskFull, match="is full"):
        make_server(small_disk / "pg").start()
    assert not (small_disk / "pg" / "data").exists()
    assert not (small_disk / "pg" / "data.init").exists()


@pytest.mark.parametrize("small_disk", [DISK_FOR_WRITING], indirect=True)
async def test_a_disk_that_fills_up_loses_nothing_acknowledged(small_disk: Path, make_server: MakeServer) -> None:
    """Writing until the disk is full ends in words; with space again, every acknowledged row is there."""
    server = make_server(small_disk / "pg", test_mode=False)
    await asyncio.to_thread(server.start)
    await ensure_database(server.dsn(), "desk")
    ballast = small_disk / "ballast"
    acknowledged = 0
    async with Database(server.dsn("desk"), max_size=2) as database:
        async with database.acquire() as session:
            await session.execute("CREATE TABLE kept (number integer PRIMARY KEY, filler text NOT NULL)")
        free = os.statvfs(small_disk)
        ballast.write_bytes(b"\0" * max(free.f_bavail * free.f_frsize - 3_000_000, 0))
        refusal: StorageError | None = None
        while refusal is None:
            try:
                async with database.acquire() as session:
                    await session.execute("INSERT INTO kept VALUES ($1, repeat('x', 60000 + $1))", acknowledged)
                acknowledged += 1
            except StorageError as error:
                refusal = error
        assert isinstance(refusal, StorageFull | StorageUnavailable)
        ballast.unlink()
        await asyncio.to_thread(server.start)
        async with database.acquire() as session:
            kept = await session.fetchval("SELECT count(*) FROM kept")
    assert kept >= acknowledged > 0


async def test_a_database_in_use_by_hand_is_still_attached(make_server: MakeServer, made_folder: Path) -> None:
    """A server that somebody else started on our data (not through us) is used, and stopped by the last of us."""
    first = make_server(made_folder)
    await asyncio.to_thread(first.start)
    beside = EmbeddedPostgres(made_folder, max_connections=20, test_mode=True)
    await asyncio.to_thread(beside.start)
    connection = await asyncpg.connect(beside.dsn())
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    assert await asyncio.to_thread(beside.stop) is False
