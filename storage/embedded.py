"""Runs a private PostgreSQL server for this machine's user, shared by all his processes that need it.

Invariants:

* One server per data folder. Starting and stopping happen under an exclusive lock on ``server.lock``.
* Every client holds a shared lock on ``clients.lock`` for as long as it lives; the kernel drops it however the process
  ends. The one that finds itself alone when it leaves stops the server.
* The cluster is made in ``data.init`` and renamed: a killed ``initdb`` leaves nothing half made.
* A killed server is started again on the same data; nothing that was acknowledged is lost.

The methods block; from a coroutine call them through ``asyncio.to_thread``. POSIX only: elsewhere name the URL of a
server in the configuration.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from storage.data_folder import DataFolder
from storage.errors import ServerNotReady
from storage.file_locks import exclusive_lock, hold_shared, open_lock_file, try_exclusive
from storage.identifiers import checked_identifier
from storage.postgres_programs import PostgresPrograms, candidate_folders, choose_programs
from storage.postmaster import (
    PID_FILE,
    Postmaster,
    accepting_postmaster,
    heal_stale_pid,
    running_max_connections,
)
from storage.root_mode import RootMode, ServerUser, choose_server_user, hand_over
from storage.server_failure import explain_failure, is_locked, quote_last_lines, read_log_tail, waits_for_orphans

logger = logging.getLogger(__name__)

SUPERUSER = "workstation"
PORT = 5432
"""Part of the socket's name only; no TCP port is opened."""
MAINTENANCE_DATABASE = "postgres"
LOG_BYTES_MAX = 5_000_000
"""A larger log is put aside (one generation) at the next start."""
POLL_S = 0.01
ORPHAN_WAIT_S = 0.2
"""Pause before another start while a killed server's processes still hold its memory."""
LOCK_WAIT_S = 10.0
"""How long a server that is just ending may take to give its lock file up."""
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
    # Whatever a hand has put into the cluster's own files: an acknowledged order is on the disk.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}
TEST_SETTINGS = {"fsync": "off", "full_page_writes": "off"}
"""Faster, and unsafe when the machine (not the server) dies: only for databases that a test throws away."""


class EmbeddedPostgres:
    """A client of the private server in ``root``; the first one starts it, the last one stops it.

    Args:
        root: Data folder; made when it does not exist. Must be empty or ours.
        max_connections: How many connections the server allows. Pool size + 20 leaves room for other processes' reads,
            writer locks and migrations.
        programs: Folder of PostgreSQL programs to prefer; ``None`` takes those of the installed package or system.
        runtime_folder: Where the socket goes when ``root``'s path is too long for one; ``None`` for the system's
            folder of temporary files. Attached processes read the true place from the running server.
        test_mode: Give up safety against power loss for speed. Never for data that matter.
        root_mode: How to run the server when started by uid 0.
        start_timeout_s: Longest time for a start, crash recovery included.
        stop_timeout_s: Longest time for an orderly stop, before it is told to stop at once.
        monotonic: Clock for the deadlines, seconds.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_connections: int = 120,
        programs: Path | None = None,
        runtime_folder: Path | None = None,
        test_mode: bool = False,
        root_mode: RootMode = RootMode.AUTO,
        start_timeout_s: float = 120.0,
        stop_timeout_s: float = 20.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = DataFolder(root, short_folder=runtime_folder or Path(tempfile.gettempdir()))
        self._max_connections = max_connections
        self._preferred_programs = programs
        self._test_mode = test_mode
        self._root_mode = root_mode
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._monotonic = monotonic
        self._clients_descriptor: int | None = None
        self._sockets = self._folder.sockets
        self._reaper: threading.Thread | None = None
        self._one_at_a_time = threading.Lock()

    @property
    def root(self) -> Path:
        """The data folder."""
        return self._folder.root

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._folder.log

    def dsn(self, database: str = MAINTENANCE_DATABASE) -> str:
        """The URL of one of the server's databases. Valid after ``start``.

        Raises:
            InvalidInput: ``database`` is not a plain lower-case name.
        """
        name = checked_identifier(database)
        return f"postgresql://{SUPERUSER}@/{name}?host={quote(str(self._sockets), safe='/')}&port={PORT}"

    def is_running(self) -> bool:
        """Whether the server takes connections now."""
        return accepting_postmaster(self._folder.cluster) is not None

    def process_id(self) -> int | None:
        """The server's process id while it takes connections, else ``None``."""
        found = accepting_postmaster(self._folder.cluster)
        return found.pid if found else None

    def start(self) -> None:
        """Become a client of the server, starting it if it does not run. Also brings a killed server back.

        Safe to call again at any time: a client stays one client.

        Raises:
            ServerProblem: one of its leaves, in words for a person; nothing was changed.
        """
        with self._one_at_a_time:
            self._folder.make()
            joined = self._clients_descriptor is not None
            try:
                with self._starting_and_stopping("preparing to start"):
                    self._folder.claim()
                    self._join()
                    self._ensure_running()
            finally:
                if not joined and not self._is_settled():
                    self._leave()

    def stop(self) -> bool:
        """Stop being a client; the last client stops the server. True when that was this one.

        Raises:
            ServerNotReady: the server did not stop within the set time.
            ServerProblem: the data folder is gone, or not to be used any more.
        """
        with self._one_at_a_time:
            if self._clients_descriptor is None:
                return False
            with self._starting_and_stopping("preparing to stop"):
                alone = try_exclusive(self._clients_descriptor)
                self._leave()
                if not alone:
                    return False
                return self._end_server()

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @contextlib.contextmanager
    def _starting_and_stopping(self, doing: str) -> Iterator[None]:
        """Hold the lock under which one process at a time starts or stops; say in words what the system refuses."""
        try:
            with exclusive_lock(self._folder.server_lock, timeout_s=self._start_timeout_s):
                yield
        except TimeoutError as error:
            raise ServerNotReady(
                f"Another process has been starting or stopping the database for {self._start_timeout_s:g} s. "
                f"End that process, then try again ({error})."
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ServerNotReady(f"A PostgreSQL program did not end within {error.timeout:.0f} s.") from error
        except OSError as error:  # a full disk, a file of another user
            raise explain_failure(
                f"{error.strerror}: {error.filename}", root=self._folder.root, doing=doing, log=self._folder.log
            ) from error

    def _join(self) -> None:
        if self._clients_descriptor is None:
            self._clients_descriptor = open_lock_file(self._folder.clients_lock)
            hold_shared(self._clients_descriptor)

    def _leave(self) -> None:
        if self._clients_descriptor is not None:
            os.close(self._clients_descriptor)
            self._clients_descriptor = None

    def _is_settled(self) -> bool:
        return self._clients_descriptor is not None and self.is_running()

    def _ensure_running(self) -> None:
        running = accepting_postmaster(self._folder.cluster)
        if running is not None:
            self._attach(running)
            return
        programs = choose_programs(candidate_folders(self._preferred_programs), self._folder.data_major())
        self._folder.make_socket_folder()
        user = choose_server_user(self._folder.cluster, self._root_mode)
        if self._folder.data_major() is None:
            self._make_cluster(programs, user)
        hand_over((self._folder.root, self._folder.sockets), user, programs.folder)
        self._put_large_log_aside()
        self._launch(programs, user)

    def _attach(self, running: Postmaster) -> None:
        self._sockets = running.socket_folder
        allowed = running_max_connections(self._folder.cluster)
        if allowed is not None and allowed < self._max_connections:
            logger.warning(
                "the running database server allows %d connections, %d were asked for; "
                "close all programs that use it and start again to raise the limit",
                allowed,
                self._max_connections,
            )

    def _make_cluster(self, programs: PostgresPrograms, user: ServerUser) -> None:
        new = self._folder.cluster_being_made
        shutil.rmtree(new, ignore_errors=True)
        hand_over((self._folder.root,), user, programs.folder)
        command = [
            *user.prefix,
            str(programs.initdb),
            f"--pgdata={new}",
            f"--username={SUPERUSER}",
            "--auth-local=trust",  # the socket's folder is closed to other users
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",  # the same order of text on every system
            "--data-checksums",
            "--no-instructions",
            *(["--no-sync"] if self._test_mode else []),
        ]
        made = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=_environment(),
            stdin=subprocess.DEVNULL,
            timeout=self._start_timeout_s,
            **user.process_arguments,
        )
        if made.returncode != 0:
            output = made.stdout + made.stderr
            shutil.rmtree(new, ignore_errors=True)
            raise explain_failure(output, root=self._folder.root, doing="making a new database", log=self._folder.log)
        new.rename(self._folder.cluster)

    def _launch(self, programs: PostgresPrograms, user: ServerUser) -> None:
        settings = {**SETTINGS, **(TEST_SETTINGS if self._test_mode else {})}
        settings |= {"max_connections": str(self._max_connections), "port": str(PORT)}
        command = [
            *user.prefix,
            str(programs.server),
            "-D",
            str(self._folder.cluster),
            "-k",
            str(self._folder.sockets),
            *(argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")),
        ]
        begun = self._monotonic()
        deadline = begun + self._start_timeout_s
        while True:
            if heal_stale_pid(self._folder.cluster, programs):
                logger.warning("the process id of a killed database server seemed to live; its lock was taken over")
            log_before = self._folder.log.stat().st_size if self._folder.log.exists() else 0
            with self._folder.log.open("ab") as log:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # an interrupt typed at the terminal must not reach it
                    cwd="/",
                    env=_environment(),
                    **user.process_arguments,
                )
            if self._becomes_ready(process, deadline):
                return
            said = read_log_tail(self._folder.log, since=log_before)
            patience = deadline if waits_for_orphans(said) else min(deadline, begun + LOCK_WAIT_S * is_locked(said))
            if self._monotonic() > patience:
                raise explain_failure(said, root=self._folder.root, doing="starting", log=self._folder.log)
            time.sleep(ORPHAN_WAIT_S)

    def _becomes_ready(self, process: subprocess.Popen[bytes], deadline: float) -> bool:
        """Whether the server takes connections; false when it has ended.

        Raises:
            ServerNotReady: it runs and is not ready at the deadline; it was stopped.
        """
        while process.poll() is None:
            ready = accepting_postmaster(self._folder.cluster)
            if ready is not None and ready.pid == process.pid:
                self._sockets = ready.socket_folder
                # Somebody has to wait for the child: as a zombie a killed server would seem to be alive.
                self._reaper = threading.Thread(target=process.wait, name="postgres-reaper", daemon=True)
                self._reaper.start()
                return True
            if self._monotonic() > deadline:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(self._stop_timeout_s)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                raise ServerNotReady(
                    f"PostgreSQL did not become ready within {self._start_timeout_s:.0f} s and was stopped; "
                    f"nothing was lost. Its last words in {self._folder.log}:"
                    f"{quote_last_lines(read_log_tail(self._folder.log))}"
                )
            time.sleep(POLL_S)
        return False

    def _end_server(self) -> bool:
        running = accepting_postmaster(self._folder.cluster)
        if running is None:
            return False
        for order, patience_s in ((signal.SIGINT, self._stop_timeout_s), (signal.SIGQUIT, self._stop_timeout_s)):
            try:
                os.kill(running.pid, order)
            except ProcessLookupError:
                return True
            deadline = self._monotonic() + patience_s
            while self._monotonic() < deadline:
                if not (self._folder.cluster / PID_FILE).exists():
                    if self._reaper is not None:
                        self._reaper.join(self._stop_timeout_s)
                    self._remove_short_socket_folder()
                    return True
                time.sleep(POLL_S)
        raise ServerNotReady(
            f"PostgreSQL (process {running.pid}) did not stop within {2 * self._stop_timeout_s:.0f} s. Its last words:"
            f"{quote_last_lines(read_log_tail(self._folder.log))}"
        )

    def _remove_short_socket_folder(self) -> None:
        """Leave nothing among the system's temporary files; the folder inside ``root`` stays."""
        if not self._folder.sockets.is_relative_to(self._folder.root):
            with contextlib.suppress(OSError):  # not empty: somebody has put something there
                self._folder.sockets.rmdir()

    def _put_large_log_aside(self) -> None:
        log = self._folder.log
        if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
            log.replace(self._folder.older_log)


def _environment() -> dict[str, str]:
    """A plain environment: English words to recognise, and none of the user's PostgreSQL variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C"}
