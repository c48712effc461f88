"""The composition root: the only place that joins storage, broker, engine and door.

``open_host`` brings everything up side by side and takes it down in the right order, whatever fails on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import httpx

from engine.brokers.kite.rest import KiteOrderRoad, KiteReads
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import KiteTicker, TickerSettings
from engine.brokers.kite.transport import HttpSettings, KiteTransport
from engine.calendar.rules import read_rules, read_sessions
from engine.calendar.sessions import SessionCalendar
from engine.charges.rates import read_charge_rates
from engine.clocks import SystemClock, VenueClock
from engine.core.errors import SetupError
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.views import Check
from engine.engine import Engine
from engine.language.resolver import OrderDefaults
from engine.local_client import LocalClient
from engine.market.chain_inputs import ChainSettings
from engine.parts import EngineParts
from engine.server.local_door import LocalDoor, is_alive
from engine.server.web_door import WebDoor, take_place
from engine.venue import VenueReading
from storage.databases import ensure_database, with_database
from storage.embedded import EmbeddedPostgres
from storage.migrate import SchemaState, SchemaStatus, refuse_unusable, schema_status, upgrade
from storage.pool import Database
from storage.repositories import PostgresRepositories
from storage.writer_lock import PostgresWriterLock
from workstation.claim import claimed
from workstation.doors import open_doors
from workstation.locations import Locations
from workstation.practice_source import PracticeVenueSource
from workstation.practice_venue import ExchangeAddress, PracticeVenue, practice_source, venue_id
from workstation.settings import Configuration

logger = logging.getLogger(__name__)

PRACTICE_KEY = "practice"
PRACTICE_TOKEN = "practice"  # noqa: S105 - the public word of an exchange that listens on loopback only
CONNECTIONS_BESIDE_POOL = 20
"""Server connections beyond one pool: writer locks, migrations, momentary readers."""
POOL_SIZE_MAX = 100
STRIP = (("NIFTY", "NSE:NIFTY 50"), ("BANKNIFTY", "NSE:NIFTY BANK"), ("SENSEX", "BSE:SENSEX"), ("VIX", "NSE:INDIA VIX"))
MEGABYTE = 1_000_000
SERVER_LOOK_S = 0.5
"""How often the embedded server's process is looked after."""
NOBODY = AccountId("")
"""Before the profile has said whose account the credentials open."""


@dataclass(frozen=True, slots=True)
class Host:
    """An engine that runs in this process, with all it stands on."""

    engine: Engine
    client: LocalClient
    door: LocalDoor | None
    web: WebDoor | None
    exchange: ExchangeAddress


@contextlib.asynccontextmanager
async def open_database(configuration: Configuration, locations: Locations, name: str) -> AsyncIterator[str]:
    """Bring the database server up and make sure that the database exists; yields its URL."""
    settings = configuration.database
    if not 1 <= settings.pool_size <= POOL_SIZE_MAX:
        raise SetupError(f"[database] pool_size: {settings.pool_size} is not between 1 and {POOL_SIZE_MAX}.")
    if settings.url:
        await ensure_database(settings.url, name)
        yield with_database(settings.url, name)
        return
    server = EmbeddedPostgres(
        locations.postgres,
        max_connections=settings.pool_size + CONNECTIONS_BESIDE_POOL,
        start_timeout_s=settings.start_timeout_s,
    )
    await asyncio.to_thread(server.start)
    keeper = asyncio.create_task(_keep_server_up(server), name="database keeper")
    try:
        await ensure_database(server.dsn(), name)
        yield server.dsn(name)
    finally:
        await _ended(keeper)
        await asyncio.to_thread(server.stop)


async def _keep_server_up(server: EmbeddedPostgres) -> None:
    """Start a killed database server again, until cancelled. A failed start is tried again at the next look."""
    while True:
        await asyncio.sleep(SERVER_LOOK_S)
        if await asyncio.to_thread(server.is_running):
            continue
        logger.warning("the database server has gone; starting it again")
        try:
            await asyncio.to_thread(server.start)
        except SetupError:
            logger.exception("the database server does not start")


def database_name(venue: str) -> str:
    """The desk database of a venue: simulated and live records never share one."""
    return f"desk_{venue.replace('-', '_')}"


async def migrated(dsn: str) -> SchemaStatus:
    """Bring the schema to this version; does not load the migration tool when it is current."""
    status = await schema_status(dsn)
    refuse_unusable(status)
    if status.state is SchemaState.CURRENT:
        return status
    return await upgrade(dsn)


@contextlib.asynccontextmanager
async def open_host(
    configuration: Configuration,
    locations: Locations,
    *,
    read_only: bool,
    with_door: bool,
    with_web: bool = False,
) -> AsyncIterator[Host]:
    """An engine in this process, ready to be looked at.

    Args:
        configuration: All settings.
        locations: Where things lie.
        read_only: Never take the writer lock.
        with_door: Listen on the Unix socket of this venue.
        with_web: Beside it, listen as ``[server]`` says.

    Raises:
        WorkstationError: in words, whatever keeps it from starting.
    """
    locations.make()
    identity = venue_id(configuration.venue)
    clock = SystemClock()
    settings = configuration.venue
    venue = PracticeVenue(
        practice_source(settings),
        locations.venue(identity),
        clock,
        port=settings.port,
        speed=settings.speed,
        linger_s=settings.linger_s,
        start_s=settings.start_timeout_s,
    )
    async with contextlib.AsyncExitStack() as stack:
        if with_door:
            socket = locations.socket(identity)
            await stack.enter_async_context(
                claimed(
                    locations.claim(identity),
                    clock,
                    is_served=lambda: is_alive(socket),
                    wait_s=configuration.database.start_timeout_s,
                )
            )
        place = None
        if with_web:
            # Before anything else is started: a port that is taken is the commonest reason not to start.
            place = take_place(configuration.server)
            stack.callback(place.listener.close)
        stack.callback(venue.close)
        starting = asyncio.create_task(venue.open(), name="practice exchange start")
        stack.push_async_callback(_ended, starting)
        dsn = await stack.enter_async_context(open_database(configuration, locations, database_name(identity)))
        status = await migrated(dsn)
        database = await stack.enter_async_context(
            Database(
                dsn,
                max_size=configuration.database.pool_size,
                acquire_timeout_s=configuration.database.acquire_timeout_s,
                statement_timeout_s=configuration.database.statement_timeout_s,
            )
        )
        writer_lock = PostgresWriterLock(dsn, timeout_s=configuration.database.statement_timeout_s)
        stack.push_async_callback(writer_lock.close)
        address = await starting
        parts = await _parts(
            configuration,
            address,
            stack,
            repositories=PostgresRepositories(database, writer_lock),
            checks=_Environment(configuration, locations, database, status),
            read_only=read_only,
        )
        engine = Engine(parts)
        stack.push_async_callback(engine.stop)
        await engine.start()
        keeper = asyncio.create_task(venue.keep_up(address, settings.keep_up_s), name="practice exchange keeper")
        stack.push_async_callback(_ended, keeper)
        client = LocalClient(engine)
        if not with_door:
            yield Host(engine, client, None, None, address)
            return
        doors = await stack.enter_async_context(
            open_doors(
                client,
                configuration,
                locations,
                venue=identity,
                clock=clock,
                web=place,
                read_only=read_only,
                ping=database.ping,
            )
        )
        yield Host(engine, client, doors.local, doors.web, address)


async def _ended(task: asyncio.Task[object]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _parts(
    configuration: Configuration,
    address: ExchangeAddress,
    stack: contextlib.AsyncExitStack,
    *,
    repositories: PostgresRepositories,
    checks: _Environment,
    read_only: bool,
) -> EngineParts:
    http = await stack.enter_async_context(httpx.AsyncClient(timeout=configuration.broker.read_timeout_s))
    source = PracticeVenueSource(address.root, http)
    reading = await source.read()
    clock = VenueClock(reading.market_time, speed=reading.speed, run_on_s=configuration.engine.venue_run_on_s)

    def on_reading(new: VenueReading) -> None:
        clock.set_reading(new.market_time, speed=new.speed)

    credentials = KiteCredentials(PRACTICE_KEY, PRACTICE_TOKEN)
    transport = KiteTransport(
        address.root,
        credentials,
        settings=HttpSettings(
            order_deadline_s=configuration.broker.order_timeout_s, read_timeout_s=configuration.broker.read_timeout_s
        ),
    )
    stack.push_async_callback(transport.aclose)
    generator = random.Random(secrets.token_bytes(16))  # noqa: S311 - jitter of waits, not a secret

    def reads(account: AccountId) -> KiteReads:
        return KiteReads(transport, account=account, clock=clock, random=generator)

    profile = await reads(NOBODY).profile()
    return EngineParts(
        clock=clock,
        on_reading=on_reading,
        source=source,
        first_reading=reading,
        repositories=repositories,
        reads=reads(profile.account_id),
        road=KiteOrderRoad(transport),
        make_ticker=lambda listener, desired, is_open: KiteTicker(
            address.stream_root,
            credentials,
            desired=desired,
            listener=listener,
            is_open=is_open,
            random=generator,
            settings=TickerSettings(silence_limit_s=configuration.engine.silence_limit_s),
        ),
        calendar=SessionCalendar(read_sessions()),
        rules=read_rules(),
        charge_rates=read_charge_rates(),
        strip=[(label, InstrumentKey.parse(key)) for label, key in STRIP],
        start_mode=configuration.venue.start_mode,
        read_only=read_only,
        random_bytes=secrets.token_bytes,
        server_offset_s=lambda: transport.server_clock.offset_s or 0.0,
        server_uncertainty_s=lambda: transport.server_clock.uncertainty_s or 0.0,
        environment_checks=checks,
        settings=configuration.engine,
        execution=configuration.orders,
        portfolio=configuration.portfolio,
        chain=ChainSettings(
            rate=configuration.analytics.rate,
            last_recent_s=configuration.analytics.last_recent_s,
            smile_refit_s=configuration.engine.smile_refit_s,
        ),
        defaults=OrderDefaults(
            product=configuration.language.product, market_protection=configuration.language.market_protection
        ),
    )


class _Environment:
    """The preflight's checks of what lies outside the engine: the database and the disk."""

    def __init__(
        self, configuration: Configuration, locations: Locations, database: Database, status: SchemaStatus
    ) -> None:
        self._configuration = configuration
        self._locations = locations
        self._database = database
        self._status = status

    def __call__(self) -> Sequence[Check]:
        health = self._database.health()
        free_mb = shutil.disk_usage(self._locations.data).free // MEGABYTE
        least = self._configuration.engine.disk_free_min_mb
        where = "by URL" if self._configuration.database.url else "embedded"
        words = f"{where}, schema {self._status.revision}, {health.in_use}/{health.size_max} connections in use"
        database = Check(name="database", outcome="ok" if health.is_open else "block", message=words)
        space = f"{free_mb:,} MB free, least {least:,} MB"
        if free_mb < least:
            return database, Check(name="disk", outcome="block", message=f"{space}: free some before trading")
        return database, Check(name="disk", outcome="ok", message=space)
