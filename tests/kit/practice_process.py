"""The practice exchange as a process, for tests of anything that talks to it.

``with PracticeProcess(tmp_path) as exchange:`` or ``async with``; ``exchange.root`` is where REST lives,
``exchange.port`` the port of both REST and the ticker. ``kill()`` is ``kill -9``; ``start()`` again resumes the
same book.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

API_KEY = "practice"
ACCESS_TOKEN = "practice"
REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 30.0
STOP_SECONDS = 10.0
DEFAULT_START = "2026-11-19T11:00:00+05:30"


class PracticeProcess:
    """One exchange process in a folder of its own, on a port of its own.

    Args:
        state: Folder of the exchange's book (kept over restarts).
        seed: Seed of its market.
        speed: Market seconds per wall second; 0 freezes the market (orders are still matched).
        start: First market time, ISO with offset, or ``auto``.
        arguments: Further command-line arguments.
        read_limits: Whether quotes and other reads are rate limited.
    """

    def __init__(
        self,
        state: Path,
        *,
        seed: int = 7,
        speed: float = 1.0,
        start: str = DEFAULT_START,
        arguments: Sequence[str] = (),
        read_limits: bool = False,
    ) -> None:
        self.state = state
        self.ready: dict[str, Any] = {}
        self._arguments = [
            *("--port", "0", "--seed", str(seed), "--speed", str(speed), "--start", start),
            *("--state", str(state), *arguments),
            *(() if read_limits else ("--no-read-limits",)),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Port of REST and ticker."""
        return int(self.ready["port"])

    @property
    def pid(self) -> int:
        """Process id."""
        return int(self.ready["pid"])

    @property
    def root(self) -> str:
        """Root address of REST."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket(self) -> str:
        """Root address of the ticker."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def exit_code(self) -> int | None:
        """Exit code once the process has ended, else None."""
        return None if self._process is None else self._process.poll()

    @property
    def errors(self) -> str:
        """What the process wrote to its standard error so far."""
        log = self.state / "stderr.log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""

    def start(self) -> Self:
        """Start the process and wait for its ready line."""
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "stderr.log").open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "engine.practice", *self._arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
            )
        line = self._first_line(self._process)
        if not line:
            code = self._process.wait(STOP_SECONDS)
            self._close_pipe()
            raise RuntimeError(f"the practice exchange ended with {code} before it was ready: {self.errors}")
        self.ready = json.loads(line)
        return self

    def stop(self) -> int:
        """End the process with SIGTERM and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End the process with SIGKILL, as a crash would."""
        return self._end(signal.SIGKILL)

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call one of the exchange's own ``/practice`` routes and return the data of its answer."""
        request = urllib.request.Request(  # noqa: S310 - the address is this process on loopback
            f"{self.root}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"token {API_KEY}:{ACCESS_TOKEN}"},
        )
        with urllib.request.urlopen(request, timeout=STOP_SECONDS) as answer:  # noqa: S310 - as above
            return json.loads(answer.read())["data"]

    def status(self) -> dict[str, Any]:
        """Return the exchange's own status."""
        return dict(self.request("GET", "/practice/status"))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _first_line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        descriptor, line = process.stdout.fileno(), b""
        deadline = time.monotonic() + START_SECONDS
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                self._end(signal.SIGKILL)
                raise RuntimeError(f"the practice exchange was not ready in {START_SECONDS} s: {self.errors}")
            part = os.read(descriptor, 4096)
            if not part:
                return b""
            line += part
        return line

    def _end(self, how: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(how)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait(STOP_SECONDS)
        self._close_pipe()
        return code

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
