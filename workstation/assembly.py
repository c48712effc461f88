"""The composition root: the only place that joins storage, broker, engine and door.

``open_host`` brings everything up side by side and takes it down in the right order, whatever fails on the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from engine.charges.rates import read_charge_rates
from engine.clocks import SystemClock
from engine.core.errors import SetupError
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Mode, Venue
from engine.engine import Engine
from engine.execution.latch import LatchFolder
from engine.language.resolver import OrderDefaults
from engine.local_client import LocalClient
from engine.market.chain_inputs import ChainSettings
from engine.parts import EngineParts
from engine.rule_book import read_rule_book
from engine.server.local_door import LocalDoor, is_alive
from engine.server.web_door import WebDoor, take_place
from storage.databases import ensure_database, with_database
from storage.embedded import EmbeddedPostgres
from storage.migrate import SchemaState, SchemaStatus, refuse_unusable, schema_status, upgrade
from storage.pool import Database
from storage.repositories import PostgresRepositories
from storage.writer_lock import PostgresWriterLock
from workstation.claim import claimed
from workstation.day_sessions import DaySessions
from workstation.doors import open_doors
from workstation.live import LIVE
from workstation.locations import Locations
from workstation.practice_venue import ExchangeAddress, PracticeVenue, practice_accounts, practice_source, venue_id
from workstation.preflight import EnvironmentChecks
from workstation.program import DISTRIBUTION, program_version
from workstation.secrets.open import open_secrets
from workstation.settings import Configuration
from workstation.venue_parts import TAPE_SLOTS, VenueParts, live_parts, practice_parts

logger = logging.getLogger(__name__)

CONNECTIONS_BESIDE_POOL = 20
"""Server connections beyond one pool: writer locks, migrations, momentary readers."""
POOL_SIZE_MAX = 100
STRIP = (("NIFTY", "NSE:NIFTY 50"), ("BANKNIFTY", "NSE:NIFTY BANK"), ("SENSEX", "BSE:SENSEX"), ("VIX", "NSE:INDIA VIX"))
SERVER_LOOK_S = 0.5
"""How often the embedded server's process is looked after."""


@dataclass(frozen=True, slots=True)
class Host:
    """An engine that runs in this process, with all it stands on."""

    engine: Engine
    client: LocalClient
    door: LocalDoor | None
    web: WebDoor | None
    address: ExchangeAddress | None
    """Where the practice exchange answers; ``None`` when the venue is live."""

    @property
    def exchange(self) -> ExchangeAddress:
        """Where the practice exchange answers.

        Raises:
            SetupError: the venue is live.
        """
        if self.address is None:
            raise SetupError("The live venue has no practice exchange.")
        return self.address


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
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Host]:
    """An engine in this process, ready to be looked at.

    Args:
        configuration: All settings.
        locations: Where things lie.
        read_only: Never take the writer lock.
        with_door: Listen on the Unix socket of this venue.
        with_web: Beside it, listen as ``[server]`` says.
        environment: Where secrets of a live venue may be; the process's own without one.

    Raises:
        WorkstationError: in words, whatever keeps it from starting.
    """
    locations.make()
    identity = venue_id(configuration.venue)
    clock = SystemClock()
    settings = configuration.venue
    venue = None
    if settings.kind != LIVE:
        venue = PracticeVenue(
            practice_source(settings),
            locations.venue(identity),
            clock,
            port=settings.port,
            speed=settings.speed,
            linger_s=settings.linger_s,
            start_s=settings.start_timeout_s,
            accounts=practice_accounts(configuration.practice),
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
        starting = None
        if venue is not None:
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
        address = await starting if starting is not None else None
        parts = _engine_parts(
            configuration,
            locations,
            identity,
            await _venue_parts(configuration, locations, address, environment or os.environ, stack),
            repositories=PostgresRepositories(database, writer_lock),
            checks=EnvironmentChecks(configuration, locations, database, status),
            read_only=read_only,
        )
        engine = Engine(parts)
        stack.push_async_callback(engine.stop)
        await engine.start()
        if venue is not None and address is not None:
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


async def _venue_parts(
    configuration: Configuration,
    locations: Locations,
    address: ExchangeAddress | None,
    environment: Mapping[str, str],
    stack: contextlib.AsyncExitStack,
) -> VenueParts:
    if address is not None:
        return await practice_parts(configuration, address, stack)
    book = open_secrets(configuration, locations, environment)
    return await live_parts(configuration, book, DaySessions(book.vault, now=_now), stack)


def _engine_parts(
    configuration: Configuration,
    locations: Locations,
    identity: str,
    venue: VenueParts,
    *,
    repositories: PostgresRepositories,
    checks: EnvironmentChecks,
    read_only: bool,
) -> EngineParts:
    rule_book = read_rule_book()
    settings = configuration.engine
    if venue.stream_clock is not None:
        settings = msgspec.structs.replace(settings, board_slots_max=TAPE_SLOTS)
    return EngineParts(
        clock=venue.clock,
        quote_clock=venue.quote_clock,
        stream_clock=venue.stream_clock,
        on_reading=venue.on_reading,
        source=venue.source,
        first_reading=venue.first_reading,
        repositories=repositories,
        reads=venue.reads,
        accounts=venue.accounts,
        feed_keys=venue.feed_keys,
        make_ticker=venue.make_ticker,
        sessions=venue.sessions,
        session_warning_s=configuration.live.warn_before_end_s,
        playback=venue.playback,
        tapes=locations.tapes / identity,
        spools=locations.spools(identity),
        program=f"{DISTRIBUTION} {program_version()}",
        rule_book=rule_book,
        calendar=rule_book.calendar,
        rules=rule_book.rules,
        charge_rates=read_charge_rates(),
        strip=[(label, InstrumentKey.parse(key)) for label, key in STRIP],
        start_mode=Mode.READ if venue.source.venue is Venue.LIVE else configuration.venue.start_mode,
        arming=configuration.arming,
        read_only=read_only,
        random_bytes=secrets.token_bytes,
        environment_checks=checks,
        settings=settings,
        execution=configuration.orders,
        plans=configuration.plans,
        locks=configuration.locks,
        latches=LatchFolder(locations.latches(identity), secrets.token_bytes),
        portfolio=configuration.portfolio,
        chain=ChainSettings(
            rate=configuration.analytics.rate,
            last_recent_s=configuration.analytics.last_recent_s,
            smile_refit_s=configuration.engine.smile_refit_s,
        ),
        defaults=OrderDefaults(
            product=configuration.language.product,
            market_protection=configuration.language.market_protection,
            narrow_spread=configuration.language.narrow_spread,
        ),
    )


def _now() -> datetime:
    return datetime.now(UTC)
