"""The process of a practice exchange as seen from outside: locks, ports, first and last words."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import shutil
import subprocess
from pathlib import Path

from engine.core.errors import SetupError
from engine.core.ports import Clock

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
EXCHANGE_LOCK = "exchange.lock"
"""Held by the exchange itself for as long as it lives."""
LOG_BYTES_MAX = 1_000_000
"""A longer log of earlier runs is begun anew at a start."""
POLL_S = 0.05
MATTERING_LINES = 3
PROBE_S = 2.0
"""A local exchange that is alive answers well within this."""
ANSWER_BYTES_MAX = 65_536
STATUS_REQUEST = b"GET /practice/status HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: token practice:practice\r\n\r\n"


async def discard(folder: Path, clock: Clock, *, wait_s: float) -> bool:
    """Delete what an exchange keeps in its folder, once its process has ended; whether there was anything.

    Raises:
        SetupError: the exchange still runs after ``wait_s``.
    """
    deadline = clock.monotonic() + wait_s
    while is_locked(folder / EXCHANGE_LOCK):
        if clock.monotonic() >= deadline:
            raise SetupError(f"The exchange on {folder} still runs; end the desk that uses it first.")
        await clock.sleep(POLL_S)
    try:
        await asyncio.to_thread(shutil.rmtree, folder)
    except FileNotFoundError:
        return False
    return True


def try_share(descriptor: int) -> bool:
    """Take a share of an open lock file; false when somebody holds it alone."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether somebody holds a lock file; asking takes a share for a moment, which a start must be ready to meet."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not try_share(descriptor)
    finally:
        os.close(descriptor)


def is_running(pid: int) -> bool:
    """Whether a process lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def first_line(process: subprocess.Popen[bytes]) -> bytes:
    """The first line a process prints; empty when it ends without one."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
    try:
        return await reader.readline()
    finally:
        transport.close()


async def listens(port: int) -> bool:
    """Whether somebody accepts connections at a port of this machine."""
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    await _hang_up(writer)
    return True


async def seed_at(port: int) -> int | None:
    """The seed of the practice exchange at a port; ``None`` when there is none."""
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(STATUS_REQUEST)
                answer = await reader.read(ANSWER_BYTES_MAX)
                while chunk := await reader.read(ANSWER_BYTES_MAX):
                    answer += chunk
                    if len(answer) > ANSWER_BYTES_MAX:
                        return None
            finally:
                await _hang_up(writer)
        _, _, body = answer.partition(b"\r\n\r\n")
        return int(json.loads(body)["data"]["seed"])
    except (OSError, KeyError, TypeError, ValueError):
        return None


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        logger.debug("the other side hung up first")


def last_words(log: Path, begin: int) -> str:
    """What a run that began at byte ``begin`` of the log said last."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read(LOG_BYTES_MAX).decode("utf-8", errors="replace").strip().splitlines()
    return " ".join(lines[-MATTERING_LINES:]) if lines else f"it said nothing; see {log}."
