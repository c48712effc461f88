"""The pool of connections to one database, with bounded size, bounded waits and its health in view.

Overload policy: at most ``max_size`` statements run at once; who waits longer than ``acquire_timeout_s`` for a
connection is refused with ``StorageTimeout``. Nothing queues for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from engine.core.errors import SetupError, StorageTimeout, StorageUnavailable
from storage.session import MILLISECONDS, Isolation, Row, Session, is_gone, translated_errors

logger = logging.getLogger(__name__)

JSONB_FORMAT_VERSION = b"\x01"
"""First byte of jsonb in PostgreSQL's binary format."""
TAKES_WRITES = "SELECT NOT pg_is_in_recovery() AND NOT current_setting('transaction_read_only')::boolean"
NEVER = 0
"""The driver's word for a prepared statement that does not grow old."""
CLIENT_GRACE_S = 1.0
"""How much later than the server the client gives a statement up, so that the server's clearer answer comes first."""


class PoolHealth(msgspec.Struct, frozen=True):
    """The pool at one moment."""

    is_open: bool
    size: int
    """Connections that exist."""
    in_use: int
    waiting: int
    """Tasks that wait for a connection."""
    size_max: int


class Database:
    """One database and the pool of connections to it.

    Args:
        dsn: URL of the database, ``postgresql://…``.
        min_size: Connections made at once when opening.
        max_size: Most connections at a time.
        acquire_timeout_s: Longest wait for a connection, seconds.
        statement_timeout_s: Longest time of one statement, seconds; enforced by the server.
        connect_timeout_s: Longest time to make one connection, seconds.
        close_timeout_s: How long closing waits for statements that run, seconds; afterwards they are cut off.
        application_name: How the server lists our connections.
        on_statement: Told every statement's text before it is sent; for tests that count queries.
    """

    def __init__(
        self,
        dsn: str,
        *,
        min_size: int = 1,
        max_size: int = 10,
        acquire_timeout_s: float = 5.0,
        statement_timeout_s: float = 10.0,
        connect_timeout_s: float = 10.0,
        close_timeout_s: float = 5.0,
        application_name: str = "workstation",
        on_statement: Callable[[str], None] | None = None,
    ) -> None:
        self._dsn = dsn
        self._min_size = min(min_size, max_size)
        self._max_size = max_size
        self._acquire_timeout_s = acquire_timeout_s
        self._statement_timeout_s = statement_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._close_timeout_s = close_timeout_s
        self._application_name = application_name
        self._on_statement = on_statement
        self._pool: asyncpg.Pool[Row] | None = None
        self._kept: PoolConnectionProxy[Row] | None = None
        """Borrowed from the pool for good, and not in use; see ``acquire_kept``."""
        self._waiting = 0

    async def open(self) -> None:
        """Connect.

        Raises:
            SetupError: the URL is wrong, or the server knows neither the user nor the database.
            StorageUnavailable: no server answers.
            StorageTimeout: it takes too long.
        """
        if self._pool is not None:
            return
        with translated_errors(), setup_errors():
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=self._min_size,
                max_size=self._max_size,
                timeout=self._connect_timeout_s,
                command_timeout=self._statement_timeout_s + CLIENT_GRACE_S,
                # An order after a quiet hour finds its plan made; how many are kept is bounded by their number.
                max_cached_statement_lifetime=NEVER,
                init=prepare_connection,
                reset=_nothing_to_reset,
                server_settings=connection_settings(
                    self._application_name, statement_timeout_s=self._statement_timeout_s
                ),
            )

    async def close(self) -> None:
        """Close all connections; statements that still run after ``close_timeout_s`` are cut off."""
        pool, self._pool = self._pool, None
        kept, self._kept = self._kept, None
        if pool is None:
            return
        if kept is not None:
            await _give_back(pool, kept)
        try:
            async with asyncio.timeout(self._close_timeout_s):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            logger.warning("the pool did not close in order and was cut off: %s", error)
            pool.terminate()

    async def __aenter__(self) -> Database:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @contextlib.asynccontextmanager
    async def acquire(self) -> AsyncIterator[Session]:
        """Borrow a connection for the body of an ``async with``.

        Raises:
            StorageTimeout: all are in use for ``acquire_timeout_s``, or the server does not answer.
            StorageUnavailable: the pool is closed, or the server is gone.
        """
        pool, connection = await self._borrow()
        try:
            yield self._session(connection)
        finally:
            await _give_back(pool, connection)

    @contextlib.asynccontextmanager
    async def acquire_kept(self) -> AsyncIterator[Session]:
        """The same, by a connection that is not given back to the pool afterwards but kept for the next such call: its
        plans are made, it is never closed for being idle, and taking it waits for nothing.

        Who comes while it is in use gets another one. It goes back to the pool when the body fails, so that the pool
        finds out what is left of it, and when it is the last one and somebody else needs it.

        Raises:
            StorageTimeout, StorageUnavailable: as ``acquire``.
        """
        pool, connection = self._pool, self._kept
        self._kept = None
        if pool is None or connection is None or is_gone(connection):
            if pool is not None and connection is not None:
                await _give_back(pool, connection)
            pool, connection = await self._borrow()
        is_sound = False
        try:
            yield self._session(connection)
            is_sound = True
        finally:
            if not is_sound or not self._keep(pool, connection):
                await _give_back(pool, connection)

    def _keep(self, pool: asyncpg.Pool[Row], connection: PoolConnectionProxy[Row]) -> bool:
        """Keep a connection, unless one is kept already, or nobody else would have any."""
        if self._kept is not None or self._pool is not pool or self._waiting or self._max_size == 1:
            return False
        self._kept = connection
        return True

    def _session(self, connection: PoolConnectionProxy[Row]) -> Session:
        return Session(connection, timeout_s=pool_timeout(self._statement_timeout_s), on_statement=self._on_statement)

    async def _borrow(self) -> tuple[asyncpg.Pool[Row], PoolConnectionProxy[Row]]:
        """A connection, and the pool that it is of."""
        pool = self._pool
        if pool is None:
            raise StorageUnavailable("The database is closed.")
        if self._kept is not None and pool.get_idle_size() == 0 and pool.get_size() >= self._max_size:
            kept, self._kept = self._kept, None
            await _give_back(pool, kept)
        self._waiting += 1
        try:
            with translated_errors():
                return pool, await pool.acquire(timeout=self._acquire_timeout_s)
        except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            raise StorageUnavailable(f"No connection to the database is to be had: {error}.") from error
        except StorageTimeout as error:
            if pool.get_idle_size() == 0 and pool.get_size() >= self._max_size:
                raise StorageTimeout(
                    f"All {self._max_size} connections to the database were in use for {self._acquire_timeout_s:g} s. "
                    "Raise the size of the pool, or find what holds them."
                ) from error
            raise
        finally:
            self._waiting -= 1

    @contextlib.asynccontextmanager
    async def transaction(self, isolation: Isolation = "read_committed") -> AsyncIterator[Session]:
        """Borrow a connection with a transaction open on it: committed when the body ends, else rolled back."""
        async with self.acquire() as session, session.transaction(isolation):
            yield session

    def health(self) -> PoolHealth:
        """The pool now; asks the server nothing."""
        pool = self._pool
        if pool is None:
            return PoolHealth(is_open=False, size=0, in_use=0, waiting=0, size_max=self._max_size)
        return PoolHealth(
            is_open=True,
            size=pool.get_size(),
            in_use=pool.get_size() - pool.get_idle_size() - (self._kept is not None),
            waiting=self._waiting,
            size_max=self._max_size,
        )

    async def ping(self, monotonic: Callable[[], float] = time.monotonic) -> float:
        """Seconds from asking for a connection to the answer of the shortest statement."""
        started = monotonic()
        async with self.acquire() as session:
            await session.fetchval("SELECT 1")
        return monotonic() - started

    async def takes_writes(self) -> bool:
        """Whether the server answers and writing is allowed there: no standby, and not switched to reading alone.

        Raises:
            StorageError: it does not answer.
        """
        async with self.acquire() as session:
            return bool(await session.fetchval(TAKES_WRITES))


async def _give_back(pool: asyncpg.Pool[Row], connection: PoolConnectionProxy[Row]) -> None:
    try:
        await pool.release(connection)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # What was committed is committed; the broken connection has left the pool.
        logger.debug("a connection was lost while it was given back: %s", error)


def pool_timeout(statement_timeout_s: float) -> float:
    """The client's own limit for a statement that the server may run for ``statement_timeout_s``."""
    return statement_timeout_s + CLIENT_GRACE_S


def connection_settings(application_name: str, *, statement_timeout_s: float) -> dict[str, str]:
    """What every connection of ours asks of the server, whatever its own configuration says."""
    timeout_ms = str(round(statement_timeout_s * MILLISECONDS))
    return {
        "application_name": application_name,
        "timezone": "UTC",
        "datestyle": "ISO",
        "search_path": "public",
        "synchronous_commit": "on",  # an acknowledged write is on the disk
        "statement_timeout": timeout_ms,
        "lock_timeout": timeout_ms,
        "idle_in_transaction_session_timeout": str(round(2 * statement_timeout_s * MILLISECONDS)),
    }


async def prepare_connection(connection: asyncpg.Connection[Row]) -> None:
    """Teach a new connection jsonb; numeric (Decimal) and timestamptz (aware UTC) are right as they come."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )


def _encode_jsonb(value: object) -> bytes:
    return JSONB_FORMAT_VERSION + msgspec.json.encode(value)


def _decode_jsonb(data: bytes) -> object:
    return msgspec.json.decode(memoryview(data)[len(JSONB_FORMAT_VERSION) :])


async def _nothing_to_reset(_: asyncpg.Connection[Row]) -> None:
    """Spare the round trip of RESET ALL: a session offers no way to change the state of a connection.

    An open transaction is rolled back by the driver before this is called.
    """


@contextlib.contextmanager
def setup_errors() -> Iterator[None]:
    """Turn refusals that no waiting will cure into ``SetupError``. Passwords are never repeated."""
    try:
        yield
    except asyncpg.InvalidCatalogNameError as error:
        raise SetupError(f"The database server answers, but {error}. Create it, or name another one.") from error
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError) as error:
        raise SetupError(
            f"The database server refused the user: {error}. Check the user and password in the URL."
        ) from error
    except (asyncpg.ClientConfigurationError, ValueError) as error:
        raise SetupError(
            "The URL of the database cannot be used; it looks like postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        ) from error
