"""A connection lent by the pool: every call has a time limit, and the driver's errors become ours in one place.

Invariant: nothing outside this module and the pool sees an exception of the driver. A write that ends in
``StorageUnavailable`` or ``StorageTimeout`` may have been committed or not: read before writing again, or write in
a way that a second time changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from asyncpg.transaction import Transaction

from engine.core.errors import StorageError, StorageTimeout, StorageUnavailable
from storage.errors import RowRefused, StorageFull, UniqueRefused

Row = asyncpg.Record
Isolation = Literal["read_committed", "repeatable_read", "serializable"]
AnyConnection: TypeAlias = "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"

MILLISECONDS = 1000
COPY_PIECE_BYTES = 1 << 18
SET_STATEMENT_TIMEOUT = "SELECT set_config('statement_timeout', $1, true)"

LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""The server, or this connection to it, is not there; another attempt later may find it."""
SLOW = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
"""The server gave up waiting."""


def translated_errors(connection: AnyConnection | None = None) -> contextlib.AbstractContextManager[None]:
    """Turn the driver's and the socket's exceptions of the body into the project's.

    Args:
        connection: The one that the body uses. A complaint of the driver about one that was lost is a lost connection,
            not a mistake in the program; one whose state the driver has lost track of is ended.
    """
    return _Translated(connection)


class _Translated(contextlib.AbstractContextManager[None]):
    """A class, not a generator: an order waits for it."""

    __slots__ = ("_connection",)

    def __init__(self, connection: AnyConnection | None) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        ours = _in_our_words(error, self._connection)
        if ours is not None:
            raise ours from error


def _in_our_words(error: BaseException, connection: AnyConnection | None) -> StorageError | None:
    """The project's exception for one of the driver's or the socket's; ``None`` for any other."""
    if isinstance(error, TimeoutError):
        return StorageTimeout("The database did not answer within the set time. It may be overloaded or stopped.")
    if isinstance(error, SLOW):
        return StorageTimeout(f"The database gave a statement up: {error}.")
    if isinstance(error, LOST):
        return StorageUnavailable(f"The database is not to be reached: {error}.")
    if isinstance(error, OSError):
        return StorageUnavailable(f"The database is not to be reached: {error.strerror or error}.")
    if isinstance(error, asyncpg.InternalClientError):
        # Seen when a dying server's last message arrives between two statements.
        if connection is None:
            return None
        with contextlib.suppress(asyncpg.InterfaceError):
            connection.terminate()
        return StorageUnavailable("The connection to the database was lost.")
    if isinstance(error, asyncpg.InterfaceError):
        if connection is None or not is_gone(connection):
            return None
        return StorageUnavailable("The connection to the database was lost.")
    if isinstance(error, asyncpg.PostgresError):
        return _refusal(error)
    return None


def _refusal(error: asyncpg.PostgresError) -> StorageError:
    """What the server says of a statement that it did not carry out."""
    if isinstance(error, asyncpg.DiskFullError | asyncpg.OutOfMemoryError):
        return StorageFull(
            f"The database has no room left to write ({error}). What was acknowledged is kept. Free some space."
        )
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueRefused(f"A row like this is there already: {error.detail or error}", error.constraint_name or "")
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return RowRefused(f"The database refused a row: {error}", error.constraint_name or "")
    return StorageError(f"The database refused a statement: {error}")


def is_gone(connection: AnyConnection) -> bool:
    """Whether a connection has been lost. A pool takes a lost one back by itself; its proxy then answers nothing."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


async def _whole(step: Coroutine[Any, Any, None]) -> None:
    """Take a step of a transaction to its end even when cancelled: half a BEGIN or COMMIT is nobody's state."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _pieces(stream: memoryview) -> AsyncIterator[bytes]:
    """A long stream in parts, so that other tasks get their turn between two."""
    for start in range(0, len(stream), COPY_PIECE_BYTES):
        yield bytes(stream[start : start + COPY_PIECE_BYTES])


class Session:
    """A borrowed connection. Use it inside the ``async with`` that lent it, and by one task at a time.

    Args:
        connection: The driver's connection.
        timeout_s: Time limit of a call that names none, seconds.
        on_statement: Told the text of every statement before it is sent; for counting.
    """

    def __init__(
        self,
        connection: AnyConnection,
        *,
        timeout_s: float,
        on_statement: Callable[[str], None] | None = None,
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_statement = on_statement

    @property
    def is_closed(self) -> bool:
        """Whether the connection has been lost."""
        return is_gone(self._connection)

    async def fetch(self, statement: str, *parameters: object, timeout_s: float | None = None) -> list[Row]:
        """All rows of a query."""
        with self._call(statement):
            return await self._connection.fetch(statement, *parameters, timeout=timeout_s or self._timeout_s)

    async def pages(
        self, statement: str, *parameters: object, rows_per_page: int, timeout_s: float | None = None
    ) -> AsyncIterator[list[Row]]:
        """All rows of a query, some at a time, so that other tasks get their turn. Needs an open transaction."""
        timeout = timeout_s or self._timeout_s
        with self._call(statement):
            cursor = await self._connection.cursor(statement, *parameters, timeout=timeout)
        while True:
            with translated_errors(self._connection):
                rows = await cursor.fetch(rows_per_page, timeout=timeout)
            if not rows:
                return
            yield rows

    async def fetchrow(self, statement: str, *parameters: object, timeout_s: float | None = None) -> Row | None:
        """The first row of a query, or ``None``."""
        with self._call(statement):
            return await self._connection.fetchrow(statement, *parameters, timeout=timeout_s or self._timeout_s)

    async def fetchval(self, statement: str, *parameters: object, timeout_s: float | None = None) -> Any:  # noqa: ANN401 - whatever the column holds
        """The first column of the first row, or ``None``."""
        with self._call(statement):
            return await self._connection.fetchval(statement, *parameters, timeout=timeout_s or self._timeout_s)

    async def execute(self, statement: str, *parameters: object, timeout_s: float | None = None) -> str:
        """Run a statement; returns PostgreSQL's command tag, for example ``INSERT 0 1``."""
        with self._call(statement):
            return await self._connection.execute(statement, *parameters, timeout=timeout_s or self._timeout_s)

    async def executemany(
        self, statement: str, parameters: Iterable[Sequence[object]], *, timeout_s: float | None = None
    ) -> None:
        """Run a statement once per row of parameters; all or none are kept."""
        with self._call(statement):
            await self._connection.executemany(statement, parameters, timeout=timeout_s or self._timeout_s)

    async def copy_records(
        self,
        table: str,
        columns: Sequence[str],
        records: Iterable[tuple[object, ...]] | AsyncIterable[tuple[object, ...]],
        *,
        timeout_s: float | None = None,
    ) -> None:
        """Append rows by binary COPY: for thousands of rows."""
        with self._call(f"COPY {table}"):
            await self._connection.copy_records_to_table(
                table, columns=list(columns), records=records, timeout=timeout_s or self._timeout_s
            )

    async def copy_in(
        self, table: str, columns: Sequence[str], stream: bytes | memoryview, *, timeout_s: float | None = None
    ) -> None:
        """Append rows that are in PostgreSQL's binary COPY format already, header and trailer included."""
        with self._call(f"COPY {table}"):
            await self._connection.copy_to_table(
                table,
                columns=list(columns),
                source=_pieces(memoryview(stream)),
                format="binary",
                timeout=timeout_s or self._timeout_s,
            )

    async def copy_out(self, query: str, *parameters: object, timeout_s: float | None = None) -> bytes:
        """The rows of a query in PostgreSQL's binary COPY format, for columns that numpy reads as they are."""
        pieces: list[bytes] = []

        async def keep(piece: bytes) -> None:
            pieces.append(piece)

        with self._call(query):
            await self._connection.copy_from_query(
                query, *parameters, output=keep, format="binary", timeout=timeout_s or self._timeout_s
            )
        return b"".join(pieces)

    async def allow_until_commit(self, seconds: float) -> None:
        """Let the statements of the open transaction run longer than the pool's limit: for bulk work."""
        await self.execute(SET_STATEMENT_TIMEOUT, str(round(seconds * MILLISECONDS)))

    @contextlib.asynccontextmanager
    async def transaction(self, isolation: Isolation = "read_committed") -> AsyncIterator[None]:
        """Commit what the body did, or, if it raises, none of it. Leaving without an error means committed."""
        transaction = self._connection.transaction(isolation=isolation)
        try:
            with self._call("BEGIN"):
                await _whole(transaction.start())
        except asyncio.CancelledError:
            await self._rolled_back(transaction)
            raise
        try:
            yield
        except (Exception, asyncio.CancelledError, GeneratorExit):
            await self._rolled_back(transaction)
            raise
        with self._call("COMMIT"):
            await _whole(transaction.commit())

    async def _rolled_back(self, transaction: Transaction) -> None:
        """Undo an open transaction. The error that led here is the one to report."""
        # A lost connection has rolled back by itself.
        with contextlib.suppress(StorageError), self._call("ROLLBACK"):
            await _whole(transaction.rollback())

    def _call(self, statement: str) -> contextlib.AbstractContextManager[None]:
        if self._on_statement is not None:
            self._on_statement(statement)
        return _Translated(self._connection)
