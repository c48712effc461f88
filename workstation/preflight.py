"""The preflight's checks of what lies outside the engine: the database, the disk, and where orders come from."""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Sequence

import httpx

from engine.core.errors import StorageError
from engine.core.views import Check
from storage.migrate import SchemaStatus
from storage.pool import Database
from workstation.locations import Locations
from workstation.settings import Configuration, LiveSettings

OK, NOTE, BLOCK = "ok", "note", "block"
MEGABYTE = 1_000_000
ADDRESS_TIMEOUT_S = 5.0
ADDRESS_BYTES_MAX = 64


class EnvironmentChecks:
    """Looks when asked.

    Args:
        configuration: All settings.
        locations: Where things lie.
        database: The engine's pool.
        status: What its schema is.
    """

    def __init__(
        self, configuration: Configuration, locations: Locations, database: Database, status: SchemaStatus
    ) -> None:
        self._configuration = configuration
        self._locations = locations
        self._database = database
        self._status = status

    async def __call__(self) -> Sequence[Check]:
        """All checks now."""
        checks = [await self._database_check(), self._space_check()]
        if self._configuration.live.registered_addresses:
            checks.append(await order_address(self._configuration.live))
        return checks

    async def _database_check(self) -> Check:
        health = self._database.health()
        where = "by URL" if self._configuration.database.url else "embedded"
        words = f"{where}, schema {self._status.revision}, {health.in_use}/{health.size_max} connections in use"
        try:
            if await self._database.takes_writes():
                return Check(name="database", outcome=OK, message=words)
        except StorageError as error:
            return Check(name="database", outcome=BLOCK, message=f"{words}: {error}")
        return Check(
            name="database", outcome=BLOCK, message=f"{words}: it may only be read; no order can be journalled"
        )

    def _space_check(self) -> Check:
        free_mb = shutil.disk_usage(self._locations.data).free // MEGABYTE
        least = self._configuration.engine.disk_free_min_mb
        space = f"{free_mb:,} MB free, least {least:,} MB"
        if free_mb < least:
            return Check(name="disk", outcome=BLOCK, message=f"{space}: free some before trading")
        return Check(name="disk", outcome=OK, message=space)


async def order_address(settings: LiveSettings) -> Check:
    """Whether this machine's orders come from an address that is registered with the broker."""
    registered = ", ".join(settings.registered_addresses)
    if not settings.address_echo_url:
        message = f"registered: {registered}; not compared, because [live] address_echo_url names no page to ask"
        return Check(name="order address", outcome=NOTE, message=message)
    try:
        async with httpx.AsyncClient(timeout=ADDRESS_TIMEOUT_S, follow_redirects=False) as http:
            answer = await http.get(settings.address_echo_url)
            answer.raise_for_status()
        address = ipaddress.ip_address(answer.text[:ADDRESS_BYTES_MAX].strip())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        message = f"the page that tells it does not answer with one ({type(error).__name__}); registered: {registered}"
        return Check(name="order address", outcome=NOTE, message=message)
    if str(address) in settings.registered_addresses:
        return Check(name="order address", outcome=OK, message=f"{address} is registered (the engine's own)")
    message = f"{address} is not registered ({registered}): orders from here will be refused; change the route"
    return Check(name="order address", outcome=BLOCK, message=message)
