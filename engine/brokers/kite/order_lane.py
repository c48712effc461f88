"""The order lane's connections: kept warm, bounded in number, each used for one request at a time.

An order is a few hundred bytes, and the time until they leave is money; a general HTTP client spends more on its own
layers than the broker's answer takes, and some send a request again by themselves when a kept connection turns out
dead. Here nothing is ever sent twice, and a failure says whether anything left.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from engine.brokers.kite.answer_reader import Answer
from engine.brokers.kite.order_connection import OrderConnection

_PORTS = {"http": 80, "https": 443}
_SECOND_FAMILY_S = 0.25
"""After this long a name's other addresses are tried beside the first (RFC 8305)."""
_TARGET = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLimits:
    """Bounds of the lane (durations in seconds)."""

    connections: int
    connect_s: float
    """For address, connection and handshake together."""
    silence_s: float
    """Without a byte of an answer."""
    room_s: float
    """Waiting for one of the connections; then nothing was sent."""
    keepalive_s: float
    """A connection that was idle for longer is not used again."""
    answer_max_bytes: int


class OrderLane:
    """Sends requests to one server.

    Overload: with every connection busy a request waits its turn for ``room_s``, first come first served, then fails
    as not sent.

    Args:
        root: ``http://`` or ``https://`` address, without path.
        limits: Bounds.
        tls: Trust for ``https://``.
        headers: Of every request.
    """

    def __init__(
        self, root: str, limits: LaneLimits, *, tls: ssl.SSLContext | None, headers: Mapping[str, str]
    ) -> None:
        parts = urlsplit(root)
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._tls = tls if parts.scheme == "https" else None
        self._limits = limits
        fixed = {"Host": parts.netloc.rpartition("@")[2], **headers}
        self._fixed = "".join(f"{name}: {_checked(value, name)}\r\n" for name, value in fixed.items())
        self._room = asyncio.Semaphore(limits.connections)
        self._idle: list[tuple[OrderConnection, float]] = []
        """With the moment (the loop's clock) since when; the latest used is the last."""
        self._all: set[OrderConnection] = set()

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        last_look: Callable[[], None] | None = None,
    ) -> Answer:
        """Send one request, once, and read its whole answer.

        Raises:
            httpx.LocalProtocolError: a header or the target holds what no request can carry; nothing was sent.
            httpx.PoolTimeout: every connection stayed busy; nothing was sent.
            httpx.ConnectTimeout: no connection came about in time; nothing was sent.
            httpx.ConnectError: no connection came about; nothing was sent.
            httpx.HTTPError: of any other kind: the request was written, and no whole answer came.
        """
        request = self._request(method, target, headers, body)
        await self._wait_for_room()
        try:
            connection = self._kept() or await self._connected()
            try:
                return await connection.ask(request, silence_s=self._limits.silence_s, last_look=last_look)
            finally:
                if connection.is_kept:
                    self._idle.append((connection, asyncio.get_running_loop().time()))
                else:
                    connection.abort()
        finally:
            self._room.release()

    async def aclose(self) -> None:
        """End every connection; what is under way fails."""
        open_now = tuple(self._all)
        for connection in open_now:
            connection.abort()
        for connection in open_now:
            await connection.gone.wait()

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        if not _TARGET.fullmatch(target):
            raise httpx.LocalProtocolError(f"the address {target!r} holds what no request can carry")
        own = "".join(f"{name}: {_checked(value, name)}\r\n" for name, value in headers.items())
        # A length even for an empty body: some servers wait for one that is not announced.
        length = "" if body is None and method == "DELETE" else f"Content-Length: {len(body or b'')}\r\n"
        return f"{method} {target} HTTP/1.1\r\n{self._fixed}{own}{length}\r\n".encode("ascii") + (body or b"")

    async def _wait_for_room(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self._limits.room_s):
                await self._room.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(f"all {self._limits.connections} connections stayed busy") from None

    def _kept(self) -> OrderConnection | None:
        """The latest used connection that still stands; nothing may be awaited before it is written to."""
        oldest = asyncio.get_running_loop().time() - self._limits.keepalive_s
        while self._idle:
            connection, since = self._idle.pop()
            if since >= oldest and connection.is_kept and not connection.has_news():
                return connection
            connection.abort()
        return None

    async def _connected(self) -> OrderConnection:
        def protocol() -> OrderConnection:
            return OrderConnection(answer_max_bytes=self._limits.answer_max_bytes, when_lost=self._lost)

        try:
            async with asyncio.timeout(self._limits.connect_s):
                _, connection = await asyncio.get_running_loop().create_connection(
                    protocol,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                    happy_eyeballs_delay=_SECOND_FAMILY_S,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection within {self._limits.connect_s:g} s") from error
        except OSError as error:
            raise httpx.ConnectError(str(error) or type(error).__name__) from error
        if not connection.gone.is_set():
            self._all.add(connection)
        return connection

    def _lost(self, connection: OrderConnection) -> None:
        self._all.discard(connection)
        self._idle = [kept for kept in self._idle if kept[0] is not connection]


def _checked(value: str, name: str) -> str:
    """A header's value, which cannot begin another header.

    Raises:
        httpx.LocalProtocolError: it is empty, begins or ends with a space, or is not printable ASCII.
    """
    if not _VALUE.fullmatch(value):
        raise httpx.LocalProtocolError(f"its {name} header is not printable ASCII")  # never the value: it may be secret
    return value
