"""One HTTP road to Kite with two lanes: orders never wait for a connection that a read holds.

Orders go through ``order_lane``, which is quick and knows whether anything left; reads through the general client.
Invariants: a request is sent at most once and never follows a redirect; its whole time is bounded; neither the token
nor a body is ever logged here; the environment's proxies are not used.
"""

from __future__ import annotations

import re
import sys
import time
from asyncio import timeout
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from urllib.parse import urlencode, urlsplit

import httpx

from engine.brokers.kite.answer_reader import Answer
from engine.brokers.kite.order_lane import LaneLimits, OrderLane
from engine.brokers.kite.server_clock import ServerClock
from engine.brokers.kite.session import API_VERSION, KiteCredentials
from engine.core.errors import InvalidInput

_FORM_TYPE = "application/x-www-form-urlencoded"
_JSON_TYPE = "application/json"
_UNQUOTED = re.compile(r"[A-Za-z0-9_.~-]*")
"""What stands for itself in a form."""
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
    order_answer_max_bytes: int = 1 << 20
    """Of the answer to an order call, which has a few hundred; a longer one counts as none."""
    order_connections: int = 20
    read_connections: int = 10
    keepalive_s: float = 30.0
    user_agent: str = "options-workstation"


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
        scheme, host, *_ = urlsplit(root)
        if scheme not in {"http", "https"} or not host:
            raise InvalidInput(f'"{root}" is not a broker address; it begins with https:// or http://.', field="root")
        self._root = root.rstrip("/")
        self._credentials = credentials
        self._settings = settings = settings or HttpSettings()
        remember_absence(_OPTIONAL)
        self.server_clock = ServerClock(wall)
        # Reading the certificates takes tens of milliseconds: once for both lanes, and not at all on loopback.
        tls = httpx.create_ssl_context(trust_env=False) if scheme == "https" else None
        if tls is not None:
            tls.set_alpn_protocols(["http/1.1"])
        self._headers = {"X-Kite-Version": API_VERSION, "User-Agent": settings.user_agent, "Accept": "*/*"}
        self._orders = OrderLane(
            self._root,
            LaneLimits(
                connections=settings.order_connections,
                connect_s=settings.connect_timeout_s,
                silence_s=settings.read_timeout_s,
                room_s=settings.pool_timeout_s,
                keepalive_s=settings.keepalive_s,
                answer_max_bytes=settings.order_answer_max_bytes,
            ),
            tls=tls,
            headers={**self._headers, "Accept-Encoding": "identity"},
        )
        self._path = urlsplit(self._root).path
        # The transport below httpx's client: no redirects, cookies or proxies to switch off, and a quarter less time.
        self._reads = httpx.AsyncHTTPTransport(
            verify=tls or False,
            trust_env=False,
            retries=0,
            limits=httpx.Limits(
                max_connections=settings.read_connections,
                max_keepalive_connections=settings.read_connections,
                keepalive_expiry=settings.keepalive_s,
            ),
        )
        self._extensions = {
            "timeout": {
                "connect": settings.connect_timeout_s,
                "read": settings.read_timeout_s,
                "write": settings.write_timeout_s,
                "pool": settings.pool_timeout_s,
            }
        }

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

        ``last_look``, for orders, is called on a connection that stands, right before the first byte: what it raises
        ends the request there.

        Raises:
            httpx.HTTPError: it could not be sent, or the answer was lost; ``errors`` says which.
            TimeoutError: the deadline of the lane passed.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        headers = {"Authorization": self._credentials.authorization}
        content = document
        if form is not None:
            content = form_body(form)
            headers["Content-Type"] = _FORM_TYPE
        elif document is not None:
            headers["Content-Type"] = _JSON_TYPE
        clock = self.server_clock
        sent = clock.wall()
        if lane is Lane.ORDERS:
            async with timeout(self._settings.order_deadline_s):
                answer = await self._orders.ask(method, self._path + target, headers, content, last_look)
        else:
            async with timeout(self._settings.read_deadline_s):
                answer = await self._read(method, target, headers, content)
        clock.learn(answer.headers.get("date"), sent, clock.wall())
        return answer

    async def _read(self, method: str, target: str, headers: Mapping[str, str], content: bytes | None) -> Answer:
        full = {**self._headers, "Accept-Encoding": "gzip, deflate", **headers}
        request = httpx.Request(method, self._root + target, headers=full, content=content, extensions=self._extensions)
        response = await self._reads.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, body)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._orders.aclose()
        await self._reads.aclose()


def form_body(form: Mapping[str, str]) -> bytes:
    """``urlencode``, at a fifth of its time when nothing is to be quoted, as with nearly every order."""
    if _UNQUOTED.fullmatch("".join(form)) and _UNQUOTED.fullmatch("".join(form.values())):
        return "&".join([f"{name}={value}" for name, value in form.items()]).encode("ascii")
    return urlencode(form).encode("ascii")


def remember_absence(package: str) -> None:
    """Keep Python from searching all its folders again for a package that is not there: a tenth of a request's time.

    Importing it raises the same ``ModuleNotFoundError`` as before, at once.
    """
    if package not in sys.modules and find_spec(package) is None:
        # None is how the import system writes down an absence.
        sys.modules[package] = None  # type: ignore[assignment]
