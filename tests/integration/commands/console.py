"""The program's commands as processes of their own, on a desk of the test."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from engine.core.identifiers import AccountId
from engine.core.orders import OrderRecord
from engine.server.access import Scope
from engine.server.remote_client import RemoteClient
from engine.server.tokens import TokenBook
from storage.databases import ensure_database
from storage.embedded import EmbeddedPostgres
from tests.kit.database import TEMPLATE, run_apart
from tests.kit.desk_host import LINGER_S, Desk, new_desk

REPOSITORY = Path(__file__).resolve().parents[3]
COMMAND_S = 60.0
READY_S = 40.0
TOKEN_LIFETIME = timedelta(hours=1)
ENGINE_COMMANDS = {b"headless", b"serve"}
EXCHANGE_PROGRAMS = {b"engine.practice"}
SECTIONS = ("venue", "practice", "live", "secrets", "database", "orders", "portfolio", "engine", "door")


class Said(msgspec.Struct, frozen=True):
    """What a command said and how it ended."""

    code: int
    out: str
    words: str

    @property
    def data(self) -> Any:
        """Its standard output as JSON."""
        return json.loads(self.out)


class Headless:
    """A headless engine in its own process."""

    def __init__(self, process: subprocess.Popen[str], ready: dict[str, Any]) -> None:
        """``ready`` is the line it printed."""
        self.process = process
        self.ready = ready

    def end(self, how: signal.Signals = signal.SIGTERM, *, patience_s: float = 10.0) -> int:
        """Send a signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(patience_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Console:
    """Runs commands on one data folder with one configuration file."""

    def __init__(self, desk: Desk) -> None:
        """Write the desk's configuration to a file of its own."""
        self.desk = desk
        self.data = desk.locations.data
        self.data.mkdir(parents=True, exist_ok=True)
        self.configuration = self.data.parent / "config.toml"
        self.environment: dict[str, str] = {}
        """Variables of every command from now on."""
        self.write_configuration()

    def write_configuration(self) -> None:
        """Write the desk's settings as TOML."""
        lines: list[str] = []
        for name in SECTIONS:
            lines += _table(name, msgspec.to_builtins(getattr(self.desk.configuration, name)))
        self.configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def words(self, *arguments: str) -> list[str]:
        """The command line."""
        place = ["--data", str(self.data), "--config", str(self.configuration)]
        return [sys.executable, "-m", "workstation.cli.main", *place, *arguments]

    def start(self, *arguments: str, token: str = "", **options: Any) -> subprocess.Popen[str]:
        """Start a command and leave it running; with a token in its environment if one is given."""
        surroundings = {**environment(self.data.parent), **self.environment}
        return subprocess.Popen(
            self.words(*arguments),
            cwd=REPOSITORY,
            env={**surroundings, "WORKSTATION_TOKEN": token} if token else surroundings,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    def finish(self, process: subprocess.Popen[str]) -> Said:
        """Wait for a started command."""
        out, words = process.communicate(timeout=COMMAND_S)
        return Said(code=process.returncode, out=out, words=words or "")

    def run(self, *arguments: str, token: str = "") -> Said:
        """Run a command to its end."""
        return self.finish(self.start(*arguments, token=token))

    def token(self, scope: str, accounts: Sequence[str] | None = None) -> str:
        """Make a token in the book that the engine's door reads; the command that does so has tests of its own."""
        venue = self.desk.venue
        self.desk.locations.make()
        book = TokenBook(
            self.desk.locations.tokens(venue), audience=venue, now=lambda: datetime.now(UTC), random_bytes=os.urandom
        )
        token, _ = book.create(
            name=scope,
            scopes=frozenset({Scope(scope)}),
            accounts=None if accounts is None else tuple(map(AccountId, accounts)),
            lifetime=TOKEN_LIFETIME,
        )
        return token

    def orders(self) -> tuple[OrderRecord, ...]:
        """Orders of the engine that runs here, asked at its socket: what a test only looks at needs no process."""
        path = self.desk.locations.socket(self.desk.venue)
        found: list[OrderRecord] = []

        async def ask() -> None:
            client = await RemoteClient.attach(path)
            try:
                found.extend(await client.orders())
            finally:
                await client.close()

        run_apart(ask())
        return tuple(found)

    def serving(self, *arguments: str) -> Headless:
        """Start a headless engine with a web door on a free port and wait until it is ready."""
        return self.headless("--port", "0", *arguments, command="serve")

    def headless(self, *arguments: str, command: str = "headless") -> Headless:
        """Start a headless engine and wait until it is ready."""
        with (self.data.parent / "headless.words").open("ab") as errors:
            process = self.start(command, *arguments, stderr=errors, start_new_session=True)
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], READY_S)
        line = process.stdout.readline() if readable else ""
        if not line:
            process.kill()
            process.communicate()
            raise AssertionError(f"no headless engine: {(self.data.parent / 'headless.words').read_text()}")
        self.desk.note_exchange()
        return Headless(process, json.loads(line))

    @contextlib.contextmanager
    def engine(self, *arguments: str) -> Iterator[Headless]:
        """A headless engine for the body of a ``with``."""
        headless = self.headless(*arguments)
        try:
            yield headless
        finally:
            headless.end()

    def engine_processes(self) -> list[int]:
        """Headless engines that run on the data folder, whoever started them."""
        return self._processes(ENGINE_COMMANDS, self.data)

    def exchange_processes(self) -> list[int]:
        """Exchanges of the desk, also one that has only just been started."""
        return self._processes(EXCHANGE_PROGRAMS, self.desk.exchange_folder)

    def _processes(self, names: set[bytes], folder: Path) -> list[int]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if names & set(words) and os.fsencode(folder) in words:
                    found.append(int(entry.name))
        return found


def _table(name: str, section: dict[str, Any]) -> list[str]:
    lines = [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items() if _is_plain(value))]
    for key, value in section.items():
        if isinstance(value, dict) and all(isinstance(inner, str) for inner in value):
            lines += _table(f"{name}.{key}", value)
    return lines


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | float | bool)


def environment(home: Path) -> dict[str, str]:
    """An environment without anything of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WORKSTATION_", "XDG_"))}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(REPOSITORY)}


def wait_for(condition: Any, what: str, *, patience_s: float = 20.0) -> Any:
    """Poll until ``condition()`` is true; fail in words."""
    deadline = time.monotonic() + patience_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {patience_s:g} s"
        time.sleep(0.02)
    return value


async def _make_database(desk: Desk) -> None:
    await ensure_database(desk.server_dsn, desk.database, template=TEMPLATE)


@contextlib.contextmanager
def new_console(server: EmbeddedPostgres, name: str, **venue: Any) -> Iterator[Console]:
    """A console on a new desk; its engines end before the desk is taken away.

    So does an exchange that was told to outlive them (``linger_s``). The order matters: an engine starts a stopped
    exchange again. One that lingers no longer than usual has to end by itself, and the desk fails if it does not.
    """
    with new_desk(server, name, **venue) as desk:
        run_apart(_make_database(desk))
        console = Console(desk)
        try:
            yield console
        finally:
            _end(console.engine_processes, "the end of all engines")
            if desk.configuration.venue.linger_s > LINGER_S:
                _end(console.exchange_processes, "the end of the exchange")


@contextlib.contextmanager
def served_console(server: EmbeddedPostgres, name: str) -> Iterator[tuple[Console, Headless]]:
    """A console and its headless engine with a web door, which ends with it."""
    with new_console(server, name) as made:
        served = made.serving()
        try:
            yield made, served
        finally:
            served.end()


def _end(processes: Callable[[], list[int]], what: str) -> None:
    """Tell processes to end, and wait until they have."""
    for pid in processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not processes(), what)
