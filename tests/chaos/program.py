"""The program as a person has it: commands, one engine process, and what they print."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

READY_S = 180.0
"""The first start makes a database and an exchange."""
COMMAND_S = 90.0
STOP_S = 40.0


class ProgramError(RuntimeError):
    """The program did not do what its contract says."""


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
        return self._engine is not None and self._engine.returncode is None

    async def start_engine(self) -> None:
        """Start the engine in a session of its own and wait for its ready line.

        Raises:
            ProgramError: it ended, or was not ready in time.
        """
        async with self._turn:
            if not self.is_running:
                await self._start()

    async def _start(self) -> None:
        await self._reap()
        self.was_killed = False
        log = (self.folder / "chaos-engine.log").open("ab")
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
        assert self._engine.stdout is not None
        try:
            line = await asyncio.wait_for(self._engine.stdout.readline(), READY_S)
        except TimeoutError:
            raise ProgramError(f"the engine was not ready in {READY_S:g} s: {self.last_words()}") from None
        if not line:
            code = await self._engine.wait()
            raise ProgramError(f"the engine ended with {code} before it was ready: {self.last_words()}")
        self.ready = json.loads(line)
        self._drain = asyncio.ensure_future(_drain(self._engine.stdout))

    async def kill_engine(self) -> None:
        """``kill -9``: the engine has no moment to tidy up."""
        async with self._turn:
            if self._engine is not None and self._engine.returncode is None:
                self.was_killed = True
                os.kill(int(self.ready["pid"]), signal.SIGKILL)
            await self._reap()

    async def stop_engine(self) -> int:
        """SIGTERM, and its exit code."""
        async with self._turn:
            if self._engine is not None and self._engine.returncode is None:
                self._engine.send_signal(signal.SIGTERM)
                try:
                    await asyncio.wait_for(self._engine.wait(), STOP_S)
                except TimeoutError:
                    self._engine.kill()
            return await self._reap()

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

    async def listing(self, name: str) -> list[dict[str, Any]]:
        """A listing as JSON.

        Raises:
            ProgramError: the command failed.
        """
        code, out, err = await self.command(name, "--json")
        if code != 0:
            raise ProgramError(f"{name} --json ended with {code}: {err.strip()[-500:]}")
        rows: list[dict[str, Any]] = json.loads(out)
        return rows

    def last_words(self) -> str:
        """The end of what the engine wrote to standard error."""
        log = self.folder / "chaos-engine.log"
        return log.read_text(encoding="utf-8", errors="replace").strip()[-800:] if log.exists() else ""

    async def _reap(self) -> int:
        code = 0
        if self._engine is not None:
            code = await self._engine.wait()
        if self._drain is not None:
            await self._drain
        self._engine = self._drain = None
        return code


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass
