"""The private server's life: made, shared, ended by the last client, brought back after a kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from storage.data_folder import MARKER
from storage.embedded import LOG_BYTES_MAX, EmbeddedPostgres
from storage.errors import ServerNotReady
from storage.postmaster import accepting_postmaster
from storage.root_mode import RootMode
from tests.integration.storage.conftest import MakeServer
from tests.integration.storage.processes import line_of, running, tell

CLIENT = "tests.integration.storage.client_process"
CRASH_WRITERS = 3
CRASH_COMMITS = 60
CONNECTION_LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


def ask(server: EmbeddedPostgres, statement: str) -> object:
    """One value from the server, over a connection of its own."""

    async def fetch() -> object:
        connection = await asyncpg.connect(server.dsn(), timeout=5)
        try:
            return await connection.fetchval(statement, timeout=5)
        finally:
            await connection.close(timeout=5)

    return asyncio.run(fetch())


def kill_server(server: EmbeddedPostgres) -> int:
    """End the server as a power cut of its own would; returns its process id."""
    pid = server.process_id()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.is_running():
        assert time.monotonic() < deadline
    return pid


def test_a_new_folder_becomes_a_running_server(make_server: MakeServer, folder: Path) -> None:
    """From nothing: a private folder, a cluster, a server on a socket that only we can reach, and no TCP port."""
    server = make_server(max_connections=33)
    server.start()
    assert ask(server, "SHOW max_connections") == "33"
    assert ask(server, "SHOW listen_addresses") == ""
    assert ask(server, "SHOW data_checksums") == "on"
    assert ask(server, "SHOW timezone") == "UTC"
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert stat.S_IMODE((folder / "pg").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "pg" / "run").stat().st_mode) == 0o700
    assert server.stop() is True
    assert not server.is_running()


def test_a_real_server_writes_to_the_disk(make_server: MakeServer) -> None:
    """Outside tests a commit is on the disk before it is acknowledged."""
    server = make_server(test_mode=False)
    server.start()
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert ask(server, f"SHOW {setting}") == "on"


def test_rows_survive_a_stop(make_server: MakeServer, made_folder: Path) -> None:
    """What was written is there after the server was stopped and started."""
    server = make_server(made_folder)
    server.start()
    ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    server.start()
    assert ask(server, "SELECT answer FROM kept") == 42


def test_the_last_client_stops_the_server(make_server: MakeServer, made_folder: Path) -> None:
    """Leaving does not stop what others use; leaving twice does nothing."""
    first, second = make_server(made_folder), make_server(made_folder)
    first.start()
    second.start()
    assert first.process_id() == second.process_id()
    assert first.stop() is False
    assert first.stop() is False
    assert ask(second, "SELECT 1") == 1
    assert second.stop() is True
    assert not second.is_running()


def test_starting_again_makes_no_second_client(make_server: MakeServer, made_folder: Path) -> None:
    """A client that starts twice leaves once."""
    server = make_server(made_folder)
    server.start()
    server.start()
    assert server.stop() is True


def test_processes_share_one_server(make_server: MakeServer, made_folder: Path) -> None:
    """Another process attaches to ours, keeps it alive when we leave, and stops it when it leaves last."""
    server = make_server(made_folder)
    server.start()
    pid = server.process_id()
    with running(CLIENT, made_folder) as other:
        assert line_of(other) == f"started {pid}"
        assert server.stop() is False
        assert server.is_running()
        tell(other)
        assert line_of(other) == "stopped True"
    assert not server.is_running()


def test_a_killed_client_does_not_keep_the_server(make_server: MakeServer, made_folder: Path) -> None:
    """The kernel forgets a killed process: the next one out still stops the server."""
    server = make_server(made_folder)
    with running(CLIENT, made_folder) as other:
        assert line_of(other).startswith("started")
        server.start()
        other.kill()
        other.wait()
    assert ask(server, "SELECT 1") == 1
    assert server.stop() is True


def test_four_processes_start_at_once(make_server: MakeServer, folder: Path) -> None:
    """On an empty folder one makes the cluster and all attach to one server."""
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(running(CLIENT, folder / "pg")) for _ in range(4)]
        assert len({line_of(process) for process in processes}) == 1
        for process in processes:
            tell(process)
        ends = sorted(line_of(process) for process in processes)
    assert ends == ["stopped False"] * 3 + ["stopped True"]


def test_an_interrupt_at_the_terminal_does_not_reach_the_server(make_server: MakeServer, made_folder: Path) -> None:
    """The server is in a session of its own."""
    server = make_server(made_folder)
    server.start()
    pid = server.process_id()
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)


def test_a_killed_server_is_brought_back_by_its_client(make_server: MakeServer, made_folder: Path) -> None:
    """``start`` on a client whose server was killed starts it again on the same data."""
    server = make_server(made_folder)
    server.start()
    ask(server, "CREATE TABLE kept AS SELECT 7 AS answer")
    killed = kill_server(server)
    server.start()
    assert server.process_id() != killed
    assert ask(server, "SELECT answer FROM kept") == 7


async def test_a_kill_amid_writes_loses_no_acknowledged_commit(make_server: MakeServer, made_folder: Path) -> None:
    """Every commit that was answered before the server was killed -9 is there after the restart."""
    server = make_server(made_folder, test_mode=False)
    await asyncio.to_thread(server.start)
    setup = await asyncpg.connect(server.dsn())
    await setup.execute("CREATE TABLE acknowledged (writer integer, number integer, PRIMARY KEY (writer, number))")
    await setup.close()
    acknowledged: set[tuple[int, int]] = set()
    enough = asyncio.Event()

    async def write(writer: int) -> None:
        connection = await asyncpg.connect(server.dsn())
        with contextlib.suppress(*CONNECTION_LOST):
            for number in range(1_000_000):
                await connection.execute("INSERT INTO acknowledged VALUES ($1, $2)", writer, number)
                acknowledged.add((writer, number))
                if len(acknowledged) >= CRASH_COMMITS:
                    enough.set()
        connection.terminate()

    writers = [asyncio.create_task(write(number)) for number in range(CRASH_WRITERS)]
    await asyncio.wait_for(enough.wait(), 20)
    pid = server.process_id()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(asyncio.gather(*writers), 20)
    await asyncio.to_thread(server.start)
    check = await asyncpg.connect(server.dsn())
    kept = {tuple(row) for row in await check.fetch("SELECT writer, number FROM acknowledged")}
    await check.close()
    assert acknowledged <= kept
    assert len(acknowledged) >= CRASH_COMMITS


def claim_to_be_served_by(folder: Path, pid: int) -> None:
    """Leave the file of a server that was killed, with a process id that answers."""
    (folder / "data" / "postmaster.pid").write_text(f"{pid}\n{folder}/data\n1\n5432\n\n\n\nready\n")


def test_a_killed_server_that_nobody_reaps_can_start_again(make_server: MakeServer, made_folder: Path) -> None:
    """A zombie still answers kill(pid, 0); its id in postmaster.pid must not block the cluster for ever."""
    with subprocess.Popen([sys.executable, "-c", "pass"]) as zombie:
        status = Path(f"/proc/{zombie.pid}/stat")
        deadline = time.monotonic() + 10
        while status.read_text().rpartition(")")[2].split()[0] != "Z":
            assert time.monotonic() < deadline
        claim_to_be_served_by(made_folder, zombie.pid)
        server = make_server(made_folder)
        server.start()
        assert ask(server, "SELECT 1") == 1


def test_a_process_id_used_again_by_another_program_does_not_block(make_server: MakeServer, made_folder: Path) -> None:
    """After a restart of the machine the killed server's id may be anybody's."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        claim_to_be_served_by(made_folder, other.pid)
        server = make_server(made_folder)
        server.start()
        assert ask(server, "SELECT 1") == 1
        assert other.poll() is None
        other.kill()


def test_a_server_that_lives_and_does_not_answer_is_named(make_server: MakeServer, made_folder: Path) -> None:
    """A server whose socket is gone still holds the data: it is named, and its data are not opened a second time."""
    first = make_server(made_folder)
    first.start()
    pid = first.process_id()
    assert pid is not None
    socket_file = made_folder / "run" / ".s.PGSQL.5432"
    hidden = socket_file.rename(made_folder / "hidden")
    steps = iter(range(0, 1_000_000, 3))
    second = make_server(made_folder, monotonic=lambda: float(next(steps)))
    with pytest.raises(ServerNotReady, match=rf"Another PostgreSQL server \(process {pid}\) holds the data"):
        second.start()
    hidden.rename(socket_file)
    assert ask(first, "SELECT 1") == 1


def test_a_half_made_cluster_is_made_anew(make_server: MakeServer, folder: Path) -> None:
    """What a killed ``initdb`` left is thrown away; it never had the name of the data."""
    root = folder / "pg"
    server = make_server(root)
    (root / "data.init").mkdir(parents=True)
    (root / "data.init" / "PG_VERSION").write_text("18\n")
    (root / MARKER).write_text("1\n")
    server.start()
    assert ask(server, "SELECT 1") == 1
    assert not (root / "data.init").exists()


def test_a_long_path_gets_a_short_socket(make_server: MakeServer, folder: Path) -> None:
    """A socket's path is limited to about a hundred bytes; a deep data folder works and leaves no trace."""
    root = folder / ("deep" * 20) / "pg"
    server = make_server(root)
    server.start()
    assert ask(server, "SELECT 1") == 1
    (sockets,) = folder.glob("workstation-*")
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    server.stop()
    assert not sockets.exists()


def test_an_attached_client_finds_the_socket_where_the_server_put_it(
    make_server: MakeServer, folder: Path, tmp_path: Path
) -> None:
    """Another folder for short paths in the second process does not separate it from the server."""
    root = folder / ("deep" * 20) / "pg"
    make_server(root).start()
    attached = make_server(root, runtime_folder=tmp_path)
    attached.start()
    assert ask(attached, "SELECT 1") == 1


def test_a_large_log_is_put_aside(make_server: MakeServer, made_folder: Path) -> None:
    """The log is bounded: one generation is kept."""
    (made_folder / "server.log").write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    server = make_server(made_folder)
    server.start()
    assert (made_folder / "server.log").stat().st_size < LOG_BYTES_MAX
    assert (made_folder / "server.log.1").stat().st_size > LOG_BYTES_MAX


def test_the_users_postgresql_variables_are_ignored(
    make_server: MakeServer, made_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PGPORT or PGDATA of the user's other work does not lead the server astray."""
    monkeypatch.setenv("PGPORT", "6666")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    server = make_server(made_folder)
    server.start()
    assert ask(server, "SHOW port") == "5432"


def test_a_smaller_running_server_is_said(
    make_server: MakeServer, made_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that needs more connections than the running server allows says so, and attaches."""
    make_server(made_folder, max_connections=20).start()
    with caplog.at_level("WARNING", logger="storage.embedded"):
        make_server(made_folder, max_connections=120).start()
    assert "allows 20 connections, 120 were asked for" in caplog.text


@pytest.mark.parametrize("mode", [RootMode.NAMESPACE, RootMode.NOBODY])
def test_root_runs_it_as_somebody_else(make_server: MakeServer, folder: Path, as_root: None, mode: RootMode) -> None:
    """Both roads for uid 0: a cluster is made, written, killed and started again on each."""
    server = make_server(folder / "pg", root_mode=mode)
    server.start()
    ask(server, "CREATE TABLE kept AS SELECT 1 AS answer")
    kill_server(server)
    server.start()
    assert ask(server, "SELECT answer FROM kept") == 1
    running_server = accepting_postmaster(folder / "pg" / "data")
    assert running_server is not None
    owner = Path(f"/proc/{running_server.pid}").stat().st_uid
    assert (owner == 0) == (mode is RootMode.NAMESPACE)


def test_data_of_nobody_stay_with_nobody(make_server: MakeServer, folder: Path, as_root: None) -> None:
    """A cluster made on the one road is opened on the same road later, without being told."""
    first = make_server(folder / "pg", root_mode=RootMode.NOBODY)
    first.start()
    first.stop()
    later = make_server(folder / "pg")
    later.start()
    assert ask(later, "SELECT 1") == 1


def test_an_ordinary_user_runs_his_own(folder: Path, as_root: None) -> None:
    """Without any right of root: made, started, stopped, in a folder of his."""
    root = folder / "his"
    root.mkdir(mode=0o700)
    user = pwd.getpwnam("nobody")
    os.chown(root, user.pw_uid, user.pw_gid)
    with running(CLIENT, root, "nobody") as client:
        pid = int(line_of(client).removeprefix("started "))
        assert Path(f"/proc/{pid}").stat().st_uid == user.pw_uid
        tell(client)
        assert line_of(client) == "stopped True"
