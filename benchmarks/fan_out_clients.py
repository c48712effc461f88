"""The clients of ``fan_out``, all in one process: each follows quotes, and looks when what it receives was stamped."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import time
from collections.abc import Sequence
from datetime import datetime
from multiprocessing.connection import Connection

import msgspec
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from benchmarks.fan_out_market import Load
from benchmarks.fan_out_server import Address
from engine.server.topics import QUOTES

STAMP = b'"received_time":"'
FROZEN_BUFFER_BYTES = 65_536
"""What the kernel keeps for a client that never reads: far away it would not be megabytes either."""
MS_PER_S = 1e3


class Received(msgspec.Struct, frozen=True):
    """What arrived in a while."""

    deliveries: int
    least: int
    """Messages of the client that was sent fewest."""
    message_bytes: float
    """Mean length."""
    p50_ms: float
    p99_ms: float
    lost: int
    """Clients whose connection ended."""


class Client:
    """One client that reads everything at once."""

    def __init__(self, connection: ClientConnection) -> None:
        """Nothing has been counted yet."""
        self.connection = connection
        self.count = 0
        self.size = 0
        self.latencies: list[float] = []
        self.is_lost = False

    def begin(self) -> None:
        """Forget what was counted."""
        self.count = self.size = 0
        self.latencies = []

    async def read(self) -> None:
        """Count what comes; one stamp of each message says how old it is."""
        try:
            while True:
                data = await self.connection.recv(decode=False)
                now = time.time()
                self.count += 1
                self.size += len(data)
                begin = data.find(STAMP) + len(STAMP)
                stamp = datetime.fromisoformat(data[begin : data.index(b'"', begin)].decode())
                self.latencies.append((now - stamp.timestamp()) * MS_PER_S)
        except ConnectionClosed:
            self.is_lost = True


class Crowd:
    """All clients of a load, and the frozen one."""

    def __init__(self) -> None:
        """Nobody is attached."""
        self._clients: list[Client] = []
        self._readers: list[asyncio.Task[None]] = []
        self._frozen: ClientConnection | None = None

    async def attach(self, address: Address, load: Load) -> None:
        """Let everybody follow."""
        numbers = range(load.clients)
        connections = await asyncio.gather(*(attached(address, load.tokens(number)) for number in numbers))
        self._clients = [Client(connection) for connection in connections]
        self._readers = [asyncio.create_task(client.read()) for client in self._clients]
        if load.has_frozen:
            where = address.url.removeprefix("ws://").split("/")[0].split(":")
            narrow = socket.socket()
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FROZEN_BUFFER_BYTES)
            narrow.connect((where[0], int(where[1])))
            self._frozen = await attached(address, load.tokens(0), narrow)
            self._frozen.transport.pause_reading()

    def begin(self) -> None:
        """From here on is counted."""
        for client in self._clients:
            client.begin()

    def received(self) -> Received:
        """What was counted."""
        latencies = list(itertools.chain.from_iterable(client.latencies for client in self._clients))
        counts = [client.count for client in self._clients]
        return Received(
            deliveries=sum(counts),
            least=min(counts),
            message_bytes=sum(client.size for client in self._clients) / max(1, sum(counts)),
            p50_ms=float(np.percentile(latencies or [np.nan], 50)),
            p99_ms=float(np.percentile(latencies or [np.nan], 99)),
            lost=sum(client.is_lost for client in self._clients),
        )

    async def leave(self) -> None:
        """Everybody goes."""
        frozen, self._frozen = self._frozen, None
        if frozen is not None:
            # A transport that ended by itself with bytes unsent has no loop any more.
            with contextlib.suppress(AttributeError):
                frozen.transport.abort()
        await asyncio.gather(*(client.connection.close() for client in self._clients))
        await asyncio.gather(*self._readers)


async def attached(address: Address, tokens: Sequence[int], own: socket.socket | None = None) -> ClientConnection:
    """A client that has been answered to its call to follow."""
    connection = await connect(
        address.url,
        additional_headers={"Authorization": f"Bearer {address.token}"} if address.token else None,
        sock=own,
        compression=None,
        max_size=None,
        ping_interval=None,
        proxy=None,
    )
    call = {"jsonrpc": "2.0", "id": 1, "method": "follow", "params": {"topic": QUOTES.name, "tokens": tokens}}
    await connection.send(msgspec.json.encode(call), text=True)
    answer = await connection.recv(decode=False)
    if b'"result":' not in answer[:64]:
        raise SystemExit(f"a client may not follow: {answer[:400]!r}")
    return connection


async def obey(pipe: Connection) -> None:
    """Do what the benchmark says until it says ``stop``."""
    loop = asyncio.get_running_loop()
    crowd = Crowd()
    while True:
        word, argument = await loop.run_in_executor(None, pipe.recv)
        match word:
            case "attach":
                await crowd.attach(*argument)
                pipe.send(None)
            case "begin":
                crowd.begin()
                pipe.send(None)
            case "received":
                pipe.send(crowd.received())
            case "leave":
                await crowd.leave()
                pipe.send(None)
            case "stop":
                return


def clients_process(pipe: Connection) -> None:
    """The whole of the clients' process."""
    asyncio.run(obey(pipe))
