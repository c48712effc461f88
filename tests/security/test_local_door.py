"""Who may come through the local door: this user, and nobody else."""

from __future__ import annotations

import asyncio
import os
import pwd
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.core.errors import EngineGone
from engine.server.remote_client import RemoteClient
from tests.kit.local_door import opened_door, short_folder
from tests.kit.plain_engine import PlainEngine

STRANGER = "nobody"
KNOCK = """
import socket, sys
knocking = socket.socket(socket.AF_UNIX)
knocking.settimeout(10)
try:
    knocking.connect(sys.argv[1])
except PermissionError:
    print("no entry")
    raise SystemExit
knocking.sendall(
    b"GET / HTTP/1.1\\r\\nHost: localhost\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n"
)
heard = b""
while chunk := knocking.recv(65536):
    heard += chunk
    if b"another user" in heard or b"revision" in heard:
        break
print(heard.decode("latin-1"))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder."""
    with short_folder() as made:
        yield made


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, for a socket whose own mode was opened by mistake."""
    with tempfile.TemporaryDirectory(prefix="door-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def stranger() -> int:
    """The user id of somebody else; the test is skipped where we cannot become them."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser can start a process of another user")
    try:
        return pwd.getpwnam(STRANGER).pw_uid
    except KeyError:
        pytest.skip(f"this machine has no user {STRANGER}")


async def knock(path: Path, user: int) -> str:
    """What a process of ``user`` hears at the door."""

    def run() -> str:
        words = [sys.executable, "-c", KNOCK, str(path)]
        return subprocess.run(words, user=user, cwd="/", capture_output=True, text=True, check=True, timeout=30).stdout

    try:
        return await asyncio.to_thread(run)
    except PermissionError:
        # The interpreter itself lies where strangers may not go: take the system's own.
        def run_system() -> str:
            words = ["/usr/bin/python3", "-c", KNOCK, str(path)]
            return subprocess.run(
                words, user=user, cwd="/", capture_output=True, text=True, check=True, timeout=30
            ).stdout

        if not await asyncio.to_thread(os.path.exists, "/usr/bin/python3"):
            pytest.skip(f"{STRANGER} may not run any interpreter here")
        return await asyncio.to_thread(run_system)


async def test_the_socket_is_closed_to_others_whatever_the_mask(folder: Path) -> None:
    """Mode 0600 even where the process would make everything open."""
    previous = os.umask(0)
    try:
        async with opened_door(PlainEngine(), folder / "engine.sock") as door:
            mode = stat.S_IMODE((await asyncio.to_thread(door.path.stat)).st_mode)
    finally:
        os.umask(previous)
    assert mode == 0o600


async def test_a_stranger_cannot_open_the_socket(open_folder: Path) -> None:
    """The file mode alone keeps another user out."""
    user = stranger()
    async with opened_door(PlainEngine(), open_folder / "engine.sock") as door:
        assert "no entry" in await knock(door.path, user)
        assert door.clients == 0


async def test_a_stranger_is_refused_even_where_the_file_mode_fails(
    open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel's word about the other side decides, not the mode of a file that somebody opened."""
    user = stranger()
    engine = PlainEngine()
    async with opened_door(engine, open_folder / "engine.sock") as door:
        await asyncio.to_thread(door.path.chmod, 0o666)
        heard = await knock(door.path, user)
        assert "belongs to another user" in heard
        assert "revision" not in heard
        assert door.clients == 0
        assert f"turned away user {user}" in caplog.text
        ours = await RemoteClient.attach(door.path)
        assert (await ours.funds()).net > 0
        await ours.close()
    assert not engine.submitted


async def test_the_answer_to_a_stranger_is_only_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever the kernel names as another user gets no session, whatever this test may run as."""
    engine = PlainEngine()
    monkeypatch.setattr("engine.server.local_door.peer_user", lambda connected: os.geteuid() + 1)
    async with opened_door(engine, folder / "engine.sock") as door:
        with pytest.raises(EngineGone, match="belongs to another user"):
            await RemoteClient.attach(door.path)
        assert door.clients == 0


async def test_the_superuser_may_enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who can read our memory anyway is not kept from helping."""
    monkeypatch.setattr("engine.server.local_door.peer_user", lambda connected: 0)
    async with opened_door(PlainEngine(), folder / "engine.sock") as door:
        client = await RemoteClient.attach(door.path)
        assert client.desk().revision >= 1
        await client.close()
