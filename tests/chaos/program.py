"""The program as a person has it: commands, one engine process, and what they print."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

READY_S = 180.0
"""The first start makes a database and an exchange."""
COMMAND_S = 90.0
STOP_S = 40.0
ADOPT_RETRY_S = 0.2
ADOPT_S = 60.0
ENGINE_LOG = "chaos-engine.log"
"""In the data folder: what the engines of the run wrote to standard error."""
REFUSED_TO_START = 4
"""The exit code of a program that could not be set up: here, because another engine holds the folder."""


class ProgramError(RuntimeError):
    """The program did not do what its contract says."""


class FolderTaken(ProgramError):
    """The engine refused to start, as it must while another one holds its folder."""


def program() -> list[str]:
    """How the program is called: its installed command, or its module when it is not installed."""
    command = Path(sys.executable).with_name("workstation")
    if command.exists():
        return [str(command)]
    found = shutil.which("workstation")
    return [found] if found else [sys.executable, "-m", "workstation.cli.main"]


class Program:
    """Commands on one data folder.

    Args:
        folder: The data folder.
        options: Options before every command.
    """

    def __init__(self, folder: Path, options: list[str]) -> None:
        self.folder = folder
        self._options = options
        self._engine: asyncio.subprocess.Process | None = None
        self._drain: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._adopted: int | None = None
        """The process of an engine that a command started for itself; it ends by itself when it is idle."""
        self.was_killed = False
        """The engine that is gone, or going, was killed by ``kill_engine``."""
        self.ready: dict[str, Any] = {}

    @property
    def socket(self) -> Path:
        """Where the engine listens."""
        return Path(str(self.ready["socket"]))

    @property
    def exchange_root(self) -> str:
        """Where the practice exchange answers."""
        return str(self.ready["exchange_root"])

    @property
    def is_running(self) -> bool:
        """Whether the engine process lives."""
        if self._adopted is not None:
            return _lives(self._adopted)
        return self._engine is not None and self._engine.returncode is None

    @property
    def may_end(self) -> bool:
        """Whether an end of the engine is no fault: it was killed, or it is one that ends when it is idle."""
        return self.was_killed or self._adopted is not None

    async def start_engine(self) -> None:
        """Start the engine in a session of its own and wait for its ready line.

        A command that came between a kill and the start has made an engine of its own, which stays while its order
        works: then that one is the engine.

        Raises:
            ProgramError: it ended, or was not ready in time.
        """
        deadline = time.monotonic() + ADOPT_S
        async with self._turn:
            while not self.is_running:
                try:
                    await self._start()
                except FolderTaken:
                    self._adopted = _listener(self.socket) if self.ready else None
                    if self._adopted is None and time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(ADOPT_RETRY_S)

    async def _start(self) -> None:
        await self._reap()
        self.was_killed = False
        log = (self.folder / ENGINE_LOG).open("ab")
        try:
            self._engine = await asyncio.create_subprocess_exec(
                *program(),
                "--data",
                str(self.folder),
                *self._options,
                "headless",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        finally:
            log.close()
        output = self._engine.stdout
        assert output is not None
        try:
            line = await asyncio.wait_for(output.readline(), READY_S)
        except TimeoutError:
            raise ProgramError(f"the engine was not ready in {READY_S:g} s: {self.last_words()}") from None
        if not line:
            code, self._engine = await self._engine.wait(), None  # a later stop is of the engine adopted instead
            kind = FolderTaken if code == REFUSED_TO_START else ProgramError
            raise kind(f"the engine ended with {code} before it was ready: {self.last_words()}")
        self.ready = json.loads(line)
        self._drain = asyncio.ensure_future(_drain(output))

    async def kill_engine(self) -> None:
        """``kill -9``: the engine has no moment to tidy up."""
        async with self._turn:
            if self._adopted is not None:
                self.was_killed = True
                await self._end_adopted(signal.SIGKILL)
            elif self._engine is not None and self._engine.returncode is None:
                self.was_killed = True
                os.kill(int(self.ready["pid"]), signal.SIGKILL)
            await self._reap()

    async def stop_engine(self) -> int:
        """SIGTERM, and its exit code; 0 for an engine of a command, which has another parent."""
        async with self._turn:
            if self._adopted is not None:
                await self._end_adopted(signal.SIGTERM)
            elif self._engine is not None and self._engine.returncode is None:
                self._engine.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(self._engine.wait(), STOP_S)
                except TimeoutError:
                    self._engine.kill()
            code = await self._reap()
            # One that a command has started for itself in the meantime must not stay behind.
            self._adopted = _listener(self.socket) if self.ready else None
            await self._end_adopted(signal.SIGTERM)
            self._adopted = None
            return code

    async def command(self, *words: str) -> tuple[int, str, str]:
        """Run one command to its end: exit code, standard output, standard error.

        Raises:
            ProgramError: it does not end.
        """
        process = await asyncio.create_subprocess_exec(
            *program(),
            "--data",
            str(self.folder),
            *self._options,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(process.communicate(), COMMAND_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ProgramError(f"{' '.join(words)} did not end in {COMMAND_S:g} s") from None
        return process.returncode or 0, out.decode(), err.decode()

    async def listing(self, *words: str) -> list[dict[str, Any]]:
        """A listing as JSON.

        Raises:
            ProgramError: the command failed.
        """
        code, out, err = await self.command(*words, "--json")
        if code != 0:
            raise ProgramError(f"{' '.join(words)} --json ended with {code}: {err.strip()[-500:]}")
        rows: list[dict[str, Any]] = json.loads(out)
        return rows

    def last_words(self) -> str:
        """The end of what the engine wrote to standard error."""
        log = self.folder / ENGINE_LOG
        return log.read_text(encoding="utf-8", errors="replace").strip()[-800:] if log.exists() else ""

    async def _end_adopted(self, how: signal.Signals) -> None:
        process, deadline = self._adopted, time.monotonic() + STOP_S
        if process is not None and _lives(process):
            os.kill(process, how)
        while process is not None and _lives(process):
            if time.monotonic() > deadline:
                raise ProgramError(f"the engine of a command, process {process}, did not end in {STOP_S:g} s")
            await asyncio.sleep(ADOPT_RETRY_S)

    async def _reap(self) -> int:
        code = 0
        if self._engine is not None:
            code = await self._engine.wait()
        if self._drain is not None:
            await self._drain
        self._engine = self._drain = self._adopted = None
        return code


def _listener(path: Path) -> int | None:
    """The process that listens at a Unix socket, as the kernel tells it; ``None`` when nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    process, _, _ = struct.unpack("3i", credentials)
    return int(process)


def _lives(process: int) -> bool:
    """Whether a process that is not our child runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
