"""One HTTP road to Kite with two lanes: orders never wait for a connection that a read holds.

Invariants: a request is sent at most once and never follows a redirect; its whole time is bounded; neither the token
nor a body is ever logged here; the environment's proxies are not used.
"""

from __future__ import annotations

import ssl
import sys
import time
from asyncio import timeout
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import httpx

from engine.brokers.kite.server_clock import ServerClock
from engine.brokers.kite.session import API_VERSION, KiteCredentials
from engine.core.errors import InvalidInput

_FORM_TYPE = "application/x-www-form-urlencoded"
_JSON_TYPE = "application/json"
_WRITES = ("send_request_headers.started", "send_request_body.started")
"""Ends of the names by which the HTTP library tells that it is about to write."""
_OPTIONAL = "sniffio"
"""A package that the HTTP library asks for with every request and does without."""


class Lane(Enum):
    """Which pool of connections a request uses."""

    ORDERS = "orders"
    READS = "reads"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """How the HTTP road is kept (durations in seconds)."""

    connect_timeout_s: float = 3.0
    read_timeout_s: float = 7.0
    """Between two pieces of an answer."""
    write_timeout_s: float = 5.0
    pool_timeout_s: float = 2.0
    order_deadline_s: float = 10.0
    """For an order call as a whole; beyond it the outcome is unknown."""
    read_deadline_s: float = 60.0
    """For a read as a whole: the dump is several megabytes."""
    order_connections: int = 20
    read_connections: int = 10
    keepalive_s: float = 30.0
    user_agent: str = "options-workstation"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


class KiteTransport:
    """Sends requests with the account's credentials.

    Args:
        root: ``http://`` or ``https://`` address, without path.
        credentials: Key and token; a renewed token is used from the next request on.
        settings: Timeouts and pools.
        wall: This machine's clock, seconds since the epoch.
    """

    def __init__(
        self,
        root: str,
        credentials: KiteCredentials,
        *,
        settings: HttpSettings | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        scheme = urlsplit(root).scheme
        if scheme not in {"http", "https"}:
            raise InvalidInput(f'"{root}" is not a broker address; it begins with https:// or http://.', field="root")
        self._root = root.rstrip("/")
        self._credentials = credentials
        self._settings = settings = settings or HttpSettings()
        remember_absence(_OPTIONAL)
        self.server_clock = ServerClock(wall)
        # Reading the certificates takes tens of milliseconds: once for both lanes, and not at all on loopback.
        verify: ssl.SSLContext | bool = httpx.create_ssl_context(trust_env=False) if scheme == "https" else False
        self._deadlines = {Lane.ORDERS: settings.order_deadline_s, Lane.READS: settings.read_deadline_s}
        connections = {Lane.ORDERS: settings.order_connections, Lane.READS: settings.read_connections}
        self._pools = {lane: self._pool(connections[lane], verify) for lane in Lane}
        self._headers = {
            "X-Kite-Version": API_VERSION,
            "User-Agent": settings.user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "gzip, deflate",
        }
        self._extensions = {
            "timeout": {
                "connect": settings.connect_timeout_s,
                "read": settings.read_timeout_s,
                "write": settings.write_timeout_s,
                "pool": settings.pool_timeout_s,
            }
        }

    def _pool(self, connections: int, verify: ssl.SSLContext | bool) -> httpx.AsyncHTTPTransport:
        # The transport below httpx's client: no redirects, cookies or proxies to switch off, and a quarter less time.
        return httpx.AsyncHTTPTransport(
            verify=verify,
            trust_env=False,
            retries=0,
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=self._settings.keepalive_s,
            ),
        )

    async def send(
        self,
        lane: Lane,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        document: bytes | None = None,
        last_look: Callable[[], None] | None = None,
    ) -> Answer:
        """Send one request, once, and read its whole answer. Its body is a ``form`` or a JSON ``document``.

        ``last_look`` is called before the first byte, on a connection that stands, and again before the body: what it
        raises ends the request there, and a request without its body is none.

        Raises:
            httpx.HTTPError: it could not be sent, or the answer was lost; ``errors`` says which.
            TimeoutError: the deadline of the lane passed.
        """
        url = f"{self._root}{path}?{urlencode(query)}" if query else f"{self._root}{path}"
        headers = {**self._headers, "Authorization": self._credentials.authorization}
        content = None
        if form is not None:
            content = urlencode(form).encode("ascii")
            headers["Content-Type"] = _FORM_TYPE
        elif document is not None:
            content = document
            headers["Content-Type"] = _JSON_TYPE
        extensions = self._extensions if last_look is None else {**self._extensions, "trace": _before(last_look)}
        request = httpx.Request(method, url, headers=headers, content=content, extensions=extensions)
        clock = self.server_clock
        sent = clock.wall()
        async with timeout(self._deadlines[lane]):
            response = await self._pools[lane].handle_async_request(request)
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        clock.learn(response.headers.get("date"), sent, clock.wall())
        return Answer(response.status_code, response.headers, body)

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()


def remember_absence(package: str) -> None:
    """Keep Python from searching all its folders again for a package that is not there: a tenth of a request's time.

    Importing it raises the same ``ModuleNotFoundError`` as before, at once.
    """
    if package not in sys.modules and find_spec(package) is None:
        # None is how the import system writes down an absence.
        sys.modules[package] = None  # type: ignore[assignment]


def _before(last_look: Callable[[], None]) -> Callable[[str, object], Awaitable[None]]:
    """A listener of the HTTP library's steps that takes a last look before each part of a request is written."""

    async def trace(step: str, _info: object) -> None:
        if step.endswith(_WRITES):
            last_look()

    return trace
