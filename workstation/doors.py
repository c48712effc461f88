"""The doors of an engine in this process: the Unix socket for this user, and the web door when one is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from engine.client import EngineClient
from engine.core.ports import Clock
from engine.server.audit import Audit
from engine.server.local_door import LocalDoor
from engine.server.metrics import ServerMetrics
from engine.server.served import EngineIdentity, ServedEngine
from workstation.locations import Locations
from workstation.settings import Configuration

if TYPE_CHECKING:
    from engine.server.web_door import WebDoor, WebPlace

IDENTITY_BYTES = 8
"""Of the random name of one start of an engine."""
LOCAL_DRAIN_S = 3.0
"""How long calls under way may take when a desk ends."""


@dataclass(frozen=True, slots=True)
class Doors:
    """What is open."""

    local: LocalDoor
    web: WebDoor | None


@contextlib.asynccontextmanager
async def open_doors(
    client: EngineClient,
    configuration: Configuration,
    locations: Locations,
    *,
    venue: str,
    clock: Clock,
    web: WebPlace | None,
    read_only: bool,
    ping: Callable[[], Awaitable[object]],
) -> AsyncIterator[Doors]:
    """Open the doors; at the end they close side by side.

    Args:
        client: The engine.
        configuration: All settings.
        locations: Where things lie.
        venue: Its id.
        clock: The machine's.
        web: Where the web door listens; ``None``: there is none.
        read_only: The engine was told never to send.
        ping: Waits for the database's shortest answer.

    Raises:
        SetupError: one cannot be opened; the other is closed again.
    """
    audit = Audit(
        locations.audit(venue),
        now=_now,
        bytes_max=configuration.log.bytes_max,
        files_kept=configuration.log.files_kept,
    )
    served = ServedEngine(
        client,
        identity=EngineIdentity(secrets.token_hex(IDENTITY_BYTES), venue),
        monotonic=clock.monotonic,
        meters=ServerMetrics(),
        audit=audit,
    )
    local = LocalDoor(
        served,
        locations.socket(venue),
        limits=configuration.door.limits,
        connections_max=configuration.door.connections_max,
        drain_s=LOCAL_DRAIN_S if web is None else configuration.server.drain_s,
    )
    with contextlib.closing(audit):
        opened: list[LocalDoor | WebDoor] = []
        try:
            await local.open()
            opened.append(local)
            door = None
            if web is not None:
                door = _web_door(served, configuration, locations, read_only=read_only, ping=ping)
                await door.open(web)
                opened.append(door)
            yield Doors(local, door)
        finally:
            await asyncio.gather(*(each.close() for each in opened))


def _web_door(
    served: ServedEngine,
    configuration: Configuration,
    locations: Locations,
    *,
    read_only: bool,
    ping: Callable[[], Awaitable[object]],
) -> WebDoor:
    # A desk without a web door does not wait for the libraries that tokens need.
    from engine.server.readiness import Readiness  # noqa: PLC0415
    from engine.server.tokens import TokenBook  # noqa: PLC0415
    from engine.server.web_door import WebDoor  # noqa: PLC0415

    venue = served.identity.venue
    return WebDoor(
        served,
        configuration.server,
        tokens=TokenBook(locations.tokens(venue), audience=venue, now=_now, random_bytes=secrets.token_bytes),
        readiness=Readiness(served.engine, read_only=read_only, ping=ping, monotonic=served.monotonic),
        now=_now,
    )


def _now() -> datetime:
    return datetime.now(UTC)
