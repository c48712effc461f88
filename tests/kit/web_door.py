"""A web door around an engine of the test: tokens, plain HTTP, clients by hand, and somebody who must stay unharmed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response

from engine.client import EngineClient
from engine.core.errors import EngineGone
from engine.core.identifiers import AccountId
from engine.server.access import Scope
from engine.server.audit import Audit
from engine.server.metrics import ServerMetrics
from engine.server.readiness import Readiness
from engine.server.served import EngineIdentity, ServedEngine
from engine.server.tokens import TokenBook
from engine.server.web_door import WebDoor
from engine.server.web_settings import ServerSettings, WebLimits
from tests.kit.local_door import PATIENCE_S, RawClient, until

VENUE = "plain"
LIMITS = WebLimits(
    pace_hz=200.0,
    send_timeout_s=1.0,
    topics_max=8,
    tokens_max=1000,
    items_max=1000,
    calls_max=16,
    calls_per_s=100.0,
    calls_burst=2000,
)
SETTINGS = ServerSettings(port=0, limits=LIMITS, watch_s=0.02, drain_s=1.0, failed_max=50)
AUDIT_BYTES = 1_000_000
LIFETIME = timedelta(hours=1)


class WallClock:
    """A wall clock that a test can set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC) + self.ahead


class Database:
    """A database that answers until a test says otherwise."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.asked = 0

    async def ping(self) -> float:
        """Answer or fail."""
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return 0.0


class Answer(msgspec.Struct, frozen=True):
    """What plain HTTP said."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def data(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)


class Site:
    """An open web door with all that belongs to it."""

    def __init__(
        self, engine: EngineClient, folder: Path, settings: ServerSettings, *, read_only: bool = False
    ) -> None:
        """Nothing listens before ``door.open``."""
        self.engine = engine
        self.settings = settings
        self.wall = WallClock()
        self.database = Database()
        self.audit_file = folder / "audit.log"
        self.tokens = TokenBook(folder / "tokens", audience=VENUE, now=self.wall, random_bytes=os.urandom)
        self.audit = Audit(self.audit_file, now=self.wall, bytes_max=AUDIT_BYTES, files_kept=1)
        self.meters = ServerMetrics()
        self.served = ServedEngine(
            engine,
            identity=EngineIdentity("engine-of-a-test", VENUE),
            monotonic=time.monotonic,
            meters=self.meters,
            audit=self.audit,
            look_s=0.0,
        )
        self.door = WebDoor(
            self.served,
            settings,
            tokens=self.tokens,
            readiness=Readiness(engine, read_only=read_only, ping=self.database.ping, monotonic=time.monotonic),
            now=self.wall,
        )

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return self.door.address[1]

    def token(
        self,
        *scopes: Scope,
        accounts: tuple[AccountId, ...] | None = None,
        lifetime: timedelta = LIFETIME,
        name: str = "a test",
    ) -> str:
        """A good token; with the scope ``read`` when none is named."""
        wanted = frozenset(scopes or (Scope.READ,))
        token, _ = self.tokens.create(name=name, scopes=wanted, accounts=accounts, lifetime=lifetime)
        return token

    def token_id(self, name: str) -> str:
        """The id of the token of this name."""
        return next(record.token_id for record in self.tokens.records() if record.name == name)

    async def attach(
        self, token: str | None, *, headers: Mapping[str, str] | None = None, path: str = "/v1", **options: Any
    ) -> RawClient:
        """A client by hand.

        Raises:
            InvalidStatus: it was not let in.
        """
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        url = self.door.url.removesuffix("/v1") + path
        settings: dict[str, Any] = {"compression": None, "max_size": None, "ping_interval": None, "max_queue": 4}
        return RawClient(await connect(url, additional_headers=sent, proxy=None, **settings | options))

    async def refusal(self, token: str | None, **options: Any) -> Response:
        """The answer to a client that is not let in; fails when it is."""
        try:
            client = await self.attach(token, **options)
        except InvalidStatus as error:
            return error.response
        await client.connection.close()
        raise AssertionError("it was let in")

    async def get(self, path: str, *, token: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request over plain HTTP."""
        sent = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
        return read_answer(await self.raw("\r\n".join(lines).encode()))

    async def raw(self, data: bytes, *, context: ssl.SSLContext | None = None) -> bytes:
        """Send bytes and return all that comes until the door hangs up."""
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
            try:
                writer.write(data)
                return await reader.read(-1)
            except ConnectionResetError:
                return b""
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    def audited(self) -> list[dict[str, Any]]:
        """The lines of the audit log."""
        return [msgspec.json.decode(line) for line in self.audit_file.read_bytes().splitlines()]

    def audited_kinds(self) -> list[str]:
        """Their kinds."""
        return [line["kind"] for line in self.audited()]

    def figure(self, name: str, **labels: str) -> float:
        """One figure of the metrics; 0 while it has none."""
        return self.meters.registry.get_sample_value(f"workstation_{name}", labels) or 0.0


def read_answer(data: bytes) -> Answer:
    """Take an HTTP answer apart."""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return Answer(int(first.split(" ")[1]), {name.lower(): value for name, _, value in fields}, body)


@contextlib.asynccontextmanager
async def opened_site(
    engine: EngineClient, folder: Path, settings: ServerSettings = SETTINGS, *, read_only: bool = False
) -> AsyncIterator[Site]:
    """A web door that is closed at the end."""
    site = Site(engine, folder, settings, read_only=read_only)
    await site.door.open()
    try:
        yield site
    finally:
        await site.door.close()
        site.audit.close()


class Bystander:
    """An honest client that is attached all the time; whatever others do, it is served."""

    def __init__(self, site: Site, client: RawClient) -> None:
        self._site = site
        self._client = client

    async def is_unharmed(self) -> None:
        """Fail unless it is answered as before, and newcomers with a good token are."""
        assert "result" in await self._client.call("funds")
        token = self._site.token(Scope.READ, name="newcomer")
        async with await self._site.attach(token) as newcomer:
            assert (await newcomer.call("hello"))["result"]["scopes"] == ["read"]
        assert (await self._site.get("/health")).status == 200
        self._site.tokens.revoke(self._site.token_id("newcomer"))


@contextlib.asynccontextmanager
async def unharmed(site: Site) -> AsyncIterator[Bystander]:
    """Somebody is attached for the body of the ``async with``, and must be as well off after it as before."""
    async with await site.attach(site.token(Scope.READ, name="bystander")) as client:
        bystander = Bystander(site, client)
        await bystander.is_unharmed()
        yield bystander
        await bystander.is_unharmed()


async def ended(client: RawClient) -> ConnectionClosed:
    """How a connection was ended by the door."""
    async with asyncio.timeout(PATIENCE_S):
        try:
            while True:
                await client.connection.recv()
        except ConnectionClosed as error:
            return error


__all__ = [
    "LIMITS",
    "SETTINGS",
    "VENUE",
    "Answer",
    "Bystander",
    "EngineGone",
    "Site",
    "ended",
    "opened_site",
    "read_answer",
    "unharmed",
    "until",
]
