"""A ticker server that keeps each client's subscriptions as Kite does, and misbehaves when told; and a cable to cut.

``async with SmallExchange() as exchange:`` serves on a port of its own. ``publish`` sends prices to whoever subscribed,
``beat`` a heartbeat to all. ``HalfOpenCable`` stands between a client and a server and can go dead without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

HEARTBEAT = b"\x00"
SUBSCRIBED_MODE = "quote"
"""What a bare subscription gives."""
POLL_S = 0.005
DEADLINE_S = 15.0


def ltp_packet(token: int, paise: int) -> bytes:
    """A last-price packet."""
    return struct.pack(">II", token, paise)


def full_packet(token: int, paise: int, *, seconds: int, volume: int = 0) -> bytes:
    """A full packet with one level each side, one tick around the price."""
    head = struct.pack(">16I", token, paise, 1, paise, volume, 0, 0, 0, 0, 0, paise, seconds, 0, 0, 0, seconds)
    sides = ((paise - 5, 1), *[(0, 0)] * 4, (paise + 5, 1), *[(0, 0)] * 4)
    return head + b"".join(struct.pack(">IIHH", size, price, 1, 0) for price, size in sides)


def frame_of(packets: Iterable[bytes]) -> bytes:
    """One binary frame."""
    bodies = list(packets)
    return struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)


class SmallClient:
    """One connected ticker, as the server sees it."""

    def __init__(self, connection: ServerConnection, token: str, capacity: int) -> None:
        self._connection = connection
        self._capacity = capacity
        self.token = token
        self.subscribed: dict[int, str] = {}
        """Token → mode."""
        self.messages = 0
        self.refused = 0
        """Instruments beyond the capacity, refused."""
        self.sent_ns = time.monotonic_ns()
        """When something was last sent to it."""
        self.is_muted = False
        self.is_gone = False

    async def send(self, message: bytes | str) -> None:
        """Send a frame, unless muted or gone."""
        if self.is_muted or self.is_gone:
            return
        self.sent_ns = time.monotonic_ns()
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(message)

    async def close(self) -> None:
        """Close it properly."""
        await self._connection.close()

    def cut(self) -> None:
        """Break the connection without a word."""
        self._connection.transport.abort()

    def hear(self, message: str) -> list[int]:
        """Do what a message asks; returns the tokens newly subscribed."""
        self.messages += 1
        asked = json.loads(message)
        action, value = asked["a"], asked["v"]
        new = []
        if action == "subscribe":
            for token in value:
                if token in self.subscribed:
                    continue
                if len(self.subscribed) >= self._capacity:
                    self.refused += 1
                    continue
                self.subscribed[token] = SUBSCRIBED_MODE
                new.append(token)
        elif action == "unsubscribe":
            for token in value:
                self.subscribed.pop(token, None)
        elif action == "mode":
            for token in value[1]:
                if token in self.subscribed:
                    self.subscribed[token] = value[0]
        return new


class SmallExchange:
    """The server.

    Args:
        capacity: Instruments one connection may subscribe.
        snapshots: Whether a new subscription is answered with the last price, as Kite does.
        beat_s: Heartbeats by itself at this pace; ``None`` for none.
    """

    def __init__(self, *, capacity: int = 3000, snapshots: bool = True, beat_s: float | None = None) -> None:
        self.capacity = capacity
        self.snapshots = snapshots
        self.beat_s = beat_s
        self.good_tokens: set[str] | None = None
        """Access tokens that are let in; ``None``: all."""
        self.attempts = 0
        self.refusals = 0
        self.clients: list[SmallClient] = []
        """In the order they came; those that are gone too."""
        self.prices: dict[int, int] = {}
        self._server: Server | None = None
        self._port = 0
        self._beating: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Its port; the same after a restart."""
        return self._port

    @property
    def root(self) -> str:
        """Its address."""
        return f"ws://127.0.0.1:{self._port}"

    @property
    def here(self) -> list[SmallClient]:
        """Clients that are connected."""
        return [client for client in self.clients if not client.is_gone]

    @property
    def subscribed(self) -> dict[int, str]:
        """Everything subscribed, over all connected clients.

        Raises:
            AssertionError: two clients subscribe one instrument.
        """
        union: dict[int, str] = {}
        for client in self.here:
            assert not union.keys() & client.subscribed.keys(), "an instrument is subscribed twice"
            union |= client.subscribed
        return union

    async def publish(self, prices: Mapping[int, int]) -> None:
        """Send each client the new prices (paise) of what it subscribed."""
        self.prices |= prices
        for client in self.here:
            packets = [ltp_packet(token, price) for token, price in prices.items() if token in client.subscribed]
            if packets:
                await client.send(frame_of(packets))

    async def beat(self) -> None:
        """Send everybody a heartbeat."""
        for client in self.here:
            await client.send(HEARTBEAT)

    async def start(self) -> None:
        """Begin to serve, on the same port as before if there was one."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self._port,
            process_request=self._greet,
            ping_interval=None,
            close_timeout=0.1,
            max_queue=None,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        if self.beat_s is not None:
            self._beating = asyncio.create_task(self._beat_on(self.beat_s))

    async def stop(self) -> None:
        """Close every connection and the port."""
        assert self._server is not None
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        self._server.close()
        await self._server.wait_closed()

    async def _beat_on(self, pause_s: float) -> None:
        while True:
            await asyncio.sleep(pause_s)
            await self.beat()

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        self.attempts += 1
        token = parse_qs(urlsplit(request.path).query)["access_token"][0]
        if self.good_tokens is not None and token not in self.good_tokens:
            self.refusals += 1
            return connection.respond(HTTPStatus.FORBIDDEN, "refused\n")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        token = parse_qs(urlsplit(connection.request.path).query)["access_token"][0]
        client = SmallClient(connection, token, self.capacity)
        self.clients.append(client)
        try:
            async for message in connection:
                assert isinstance(message, str)
                new = client.hear(message)
                known = [token for token in new if token in self.prices]
                if self.snapshots and known:
                    await client.send(frame_of(ltp_packet(token, self.prices[token]) for token in known))
        except ConnectionClosed:
            return
        finally:
            client.is_gone = True

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class HalfOpenCable:
    """Carries bytes between clients and a server; ``die`` leaves every socket open and carries nothing more.

    Connections made after ``die`` work again, as when a client has changed its network.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._alive = asyncio.Event()

    @property
    def root(self) -> str:
        """Where clients connect."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def die(self) -> None:
        """Carry nothing more on what is connected now, and say nothing."""
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += (writer, far_writer)
        for source, target in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(1 << 16):
                target.write(data)
                await target.drain()
            target.close()

    async def __aenter__(self) -> Self:
        self._writers: tuple[asyncio.StreamWriter, ...] = ()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.die()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)
