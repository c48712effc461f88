"""A Kite that does what a test tells it: an HTTP server and a ticker on loopback, each keeping what it was sent.

``async with ScriptedKite() as kite: kite.script(json_answer({...}), drop(), ...)``: each request takes the next step of
the script, and the last step stays. ``async with ScriptedFeed() as feed:`` accepts tickers; ``await feed.client()`` is
the next one to connect.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form body."""
        return dict(parse_qsl(self.body.decode("ascii"), strict_parsing=bool(self.body)))


Step = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_answer(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Step:
    """Answer with any JSON."""

    async def step(_: web.Request) -> web.StreamResponse:
        return web.json_response(data, status=status, headers=headers)

    return step


def success(data: object) -> Step:
    """Answer with a success envelope."""
    return json_answer({"status": "success", "data": data})


def refusal(status: int, kind: str, message: str) -> Step:
    """Answer with an error envelope."""
    return json_answer({"status": "error", "message": message, "data": None, "error_type": kind}, status)


def raw_answer(body: bytes | str, status: int = 200, content_type: str = "text/html") -> Step:
    """Answer with anything."""

    async def step(_: web.Request) -> web.StreamResponse:
        content = body.encode() if isinstance(body, str) else body
        return web.Response(body=content, status=status, content_type=content_type)

    return step


def drop() -> Step:
    """Take the request in whole, then break the connection without a byte."""

    async def step(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.Event().wait()
        raise AssertionError

    return step


def half_answer() -> Step:
    """Promise a body, send a part of it, and break the connection."""

    async def step(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"status":"success","data":{"order_id":"1')
        assert request.transport is not None
        request.transport.abort()
        return response

    return step


def hang() -> Step:
    """Take the request in and never answer."""

    async def step(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    return step


@dataclass
class ScriptedKite:
    """The HTTP side."""

    received: list[Received] = field(default_factory=list)
    _steps: list[Step] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _port: int = 0

    @property
    def root(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def script(self, *steps: Step) -> None:
        """What the next requests get; the last step stays."""
        self._steps = list(steps)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.received.append(Received(request.method, request.path, list(request.query.items()), request.headers, body))
        step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
        return await step(request)

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()


def closed_port_root() -> str:
    """An address on loopback where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class FeedClient:
    """One ticker that has connected."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        request = connection.request
        assert request is not None
        self.path = request.path
        self.version = request.headers.get("X-Kite-Version")

    async def told(self, count: int = 1) -> list[Any]:
        """The next messages it sends, decoded."""
        async with asyncio.timeout(WAIT_SECONDS):
            return [json.loads(await self._connection.recv()) for _ in range(count)]

    async def send(self, message: bytes | str) -> None:
        """Send it a frame."""
        await self._connection.send(message)

    async def close(self) -> None:
        """Close it properly."""
        await self._connection.close()

    async def gone(self) -> None:
        """Wait until it is gone, whatever it still sends."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._connection.wait_closed()


class ScriptedFeed:
    """The ticker side."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        """HTTP statuses that the next handshakes are refused with."""
        self.attempts: list[str] = []
        """Path of every handshake."""
        self._clients: asyncio.Queue[FeedClient] = asyncio.Queue()
        self._server: Server | None = None

    @property
    def root(self) -> str:
        """Its address."""
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def client(self) -> FeedClient:
        """The next ticker to connect."""
        async with asyncio.timeout(WAIT_SECONDS):
            return await self._clients.get()

    def _greet(self, connection: ServerConnection, request: Request) -> Response | None:
        self.attempts.append(request.path)
        if not self.statuses:
            return None
        return connection.respond(HTTPStatus(self.statuses.pop(0)), "refused\n")

    async def _serve(self, connection: ServerConnection) -> None:
        self._clients.put_nowait(FeedClient(connection))
        try:
            await connection.wait_closed()
        except ConnectionClosed:
            return

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._greet, ping_interval=None, close_timeout=0.1
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
