"""A local door around an engine of the test, a client that speaks the wire by hand, and waiting for conditions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from websockets.asyncio.client import ClientConnection, unix_connect

from engine.client import EngineClient
from engine.core.views import ChainKey
from engine.server.limits import SessionLimits
from engine.server.local_door import LocalDoor
from engine.server.metrics import ServerMetrics
from engine.server.remote_client import RemoteClient
from engine.server.served import EngineIdentity, ServedEngine
from engine.server.topics import chain_topic

PATIENCE_S = 10.0
POLL_S = 0.002
LIMITS = SessionLimits(pace_hz=200.0, send_timeout_s=1.0, calls_burst=1000)
IDENTITY = EngineIdentity("engine-of-a-test", "plain")
CONNECTIONS_MAX = 8


async def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Wait until ``condition()`` is true, looking often; fail in words when it does not come true."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    while not condition():
        assert loop.time() < deadline, f"{what} did not come true within {PATIENCE_S:g} s"
        await asyncio.sleep(POLL_S)


def chain_name(key: ChainKey) -> str:
    """The name of a chain's topic."""
    return chain_topic(key).name


def connection(client: RemoteClient) -> ClientConnection:
    """What a client talks through now."""
    open_one = client._link._connection
    assert open_one is not None
    return open_one


def drop(client: RemoteClient) -> None:
    """Break a client's link, as a network does."""
    connection(client).transport.abort()


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A private folder whose path is short enough for a socket, wherever pytest keeps its own."""
    with tempfile.TemporaryDirectory(prefix="door-") as name:
        yield Path(name)


def served(engine: EngineClient) -> ServedEngine:
    """An engine ready to be served; every look at a picture is a fresh one."""
    return ServedEngine(engine, identity=IDENTITY, monotonic=time.monotonic, meters=ServerMetrics(), look_s=0.0)


@contextlib.asynccontextmanager
async def opened_door(
    engine: EngineClient,
    path: Path,
    *,
    limits: SessionLimits = LIMITS,
    connections_max: int = CONNECTIONS_MAX,
    drain_s: float = 5.0,
) -> AsyncIterator[LocalDoor]:
    """A door that is closed at the end."""
    door = LocalDoor(served(engine), path, limits=limits, connections_max=connections_max, drain_s=drain_s)
    await door.open()
    try:
        yield door
    finally:
        await door.close()


class RawClient:
    """Sends what it is told, byte for byte, and keeps answers apart from topic notifications."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.topics: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)

    @classmethod
    async def attach(cls, path: Path) -> Self:
        """Connect."""
        return cls(await unix_connect(str(path), compression=None, max_size=None, ping_interval=None, max_queue=4))

    async def say(self, message: str | bytes) -> dict[str, Any]:
        """Send a message and return the next answer."""
        await self.connection.send(message)
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """The next message that is not a notification."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = msgspec.json.decode(await self.connection.recv())
                if message.get("method") != "topic":
                    return dict(message)
                self.topics.append(message["params"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and return its whole answer."""
        return await self.say(self.request(method, **parameters))

    def request(self, method: str, **parameters: Any) -> str:
        """The text of a call with a fresh id."""
        call = {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": parameters}
        return msgspec.json.encode(call).decode()

    async def next_topic(self) -> dict[str, Any]:
        """The parameters of the next topic notification."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.topics:
                message = msgspec.json.decode(await self.connection.recv())
                assert message.get("method") == "topic", message
                self.topics.append(message["params"])
        return self.topics.pop(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A transport that ended by itself with bytes unsent has no loop any more, and aborting it again stumbles there.
        with contextlib.suppress(AttributeError):
            await self.connection.close()
