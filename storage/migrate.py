"""Brings a database's tables to the state that this release works with, and tells what state they are in.

``schema_status`` needs only the driver: on the usual start, with a current database, the migration tool is never
loaded. A schema that is not ours, or is newer than this release, is refused before anything is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path

import asyncpg
import msgspec

import migrations
from engine.core.errors import InvalidInput, StorageError
from storage.errors import ForeignSchema, MigrationFailed, SchemaNewer
from storage.pool import setup_errors
from storage.session import Row, translated_errors

VERSION_TABLE = "schema_version"
HEAD = "head"
BASE = "base"
ONE_BACK = "-1"
CONNECT_TIMEOUT_S = 10.0
APPLICATION_NAME = "workstation migration"
LOCK_KEY = 0x574F_524B_5354_4154
"""Any number will do, as long as every release uses the same."""
LOCK_POLL_S = 0.05
TABLES_SHOWN = 5
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.py")
_REVISION = re.compile(r"\d{4}")

FIND_VERSION_TABLE = "SELECT to_regclass('public.schema_version') IS NOT NULL"
READ_VERSION = "SELECT version_num FROM public.schema_version"
DROP_EMPTY_VERSION_TABLE = "DROP TABLE IF EXISTS public.schema_version"
TRY_LOCK = "SELECT pg_try_advisory_lock($1)"
LIST_TABLES = """
SELECT table_schema || '.' || table_name
FROM information_schema.tables
WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
ORDER BY 1
"""


class SchemaState(StrEnum):
    """How a database's tables relate to this release."""

    EMPTY = "empty"
    """No tables at all, or all steps undone."""
    BEHIND = "behind"
    """Of an earlier release; an upgrade brings them up."""
    CURRENT = "current"
    NEWER = "newer"
    """Of a later release."""
    FOREIGN = "foreign"
    """Not ours."""


class SchemaStatus(msgspec.Struct, frozen=True):
    """What was found in a database, and what this release brings."""

    state: SchemaState
    revision: str | None
    """Of the database; ``None`` when it has none."""
    head: str
    """The newest step of this release."""
    tables: tuple[str, ...] = ()
    """For a foreign schema: the tables that are there."""


def packaged_revisions() -> tuple[str, ...]:
    """The steps that this release brings, oldest first, told from the names of their files."""
    versions = migrations_folder() / "versions"
    names = (_FILE_NAME.fullmatch(path.name) for path in versions.iterdir())
    return tuple(sorted(name[1] for name in names if name is not None))


def migrations_folder() -> Path:
    """Where the steps lie, in a checkout as in an installed package."""
    if migrations.__file__ is None:
        raise MigrationFailed("The package migrations is not ours (it has no file); install the program again.")
    return Path(migrations.__file__).resolve().parent


async def schema_status(dsn: str) -> SchemaStatus:
    """Look at a database's schema; changes nothing.

    Raises:
        SetupError: the URL is wrong, or names no database of the server.
        StorageUnavailable: no server answers.
    """
    async with _connected(dsn) as connection:
        return await _read_status(connection)


def refuse_unusable(status: SchemaStatus) -> None:
    """Raise for a schema that no upgrade of this release can serve.

    Raises:
        SchemaNewer: a later release made it.
        ForeignSchema: it is not ours.
    """
    if status.state is SchemaState.NEWER:
        raise SchemaNewer(
            f"The database was made by a later release (its schema is {status.revision}, this release knows up to "
            f"{status.head}). Use that release, or another database. Nothing was changed."
        )
    if status.state is SchemaState.FOREIGN:
        found = (
            f"it holds {len(status.tables)} tables, {', '.join(status.tables[:TABLES_SHOWN])} among them"
            if status.tables
            else f"its schema is marked {status.revision}, which no release has"
        )
        raise ForeignSchema(
            f"The database was not made by this program: {found}. Name an empty database. Nothing was changed."
        )


async def upgrade(
    dsn: str, target: str = HEAD, *, lock_timeout_s: float = 60.0, step_timeout_s: float = 600.0
) -> SchemaStatus:
    """Run the steps that are missing, each in its own transaction; returns the state afterwards.

    Several programs may call it at once: one migrates, the others wait and find nothing to do. Does not load the
    migration tool when the schema is current.

    Args:
        dsn: URL of the database.
        target: ``head``, or the number of a step.
        lock_timeout_s: Longest wait for another program that migrates, seconds.
        step_timeout_s: Longest time of one step, seconds.

    Raises:
        SchemaNewer, ForeignSchema: the schema cannot be served; nothing was changed.
        MigrationFailed: a step was refused, or the lock was not to be had.
        InvalidInput: there is no such step.
    """
    revisions = packaged_revisions()
    last = revisions.index(_checked_target(target, HEAD, revisions[-1]))
    status = await schema_status(dsn)
    refuse_unusable(status)
    if status.state is SchemaState.CURRENT:
        return status
    async with _connected(dsn) as connection, _migration_lock(connection, lock_timeout_s):
        status = await _read_status(connection)
        refuse_unusable(status)
        if status.revision is None:
            await connection.execute(DROP_EMPTY_VERSION_TABLE)  # the first step makes it
        reached = -1 if status.revision is None else revisions.index(status.revision)
        for step in range(reached + 1, last + 1):
            source = revisions[step - 1] if step else BASE
            script = await asyncio.to_thread(_upgrade_sql, source, revisions[step])
            await _run_step(connection, script, f"The upgrade to {revisions[step]}", step_timeout_s)
        return await _read_status(connection)


async def downgrade(
    dsn: str, target: str, *, lock_timeout_s: float = 60.0, step_timeout_s: float = 600.0
) -> SchemaStatus:
    """Undo steps down to ``target``; the rows of tables that go are gone.

    Args:
        dsn: URL of the database.
        target: ``base`` for all, ``-1`` for the newest, or the number of the step to keep as the last.
        lock_timeout_s: Longest wait for another program that migrates, seconds.
        step_timeout_s: Longest time of one step, seconds.

    Raises:
        SchemaNewer, ForeignSchema: the schema is not one whose steps this release can undo.
        MigrationFailed: a step was refused, or the lock was not to be had.
        InvalidInput: there is no such step.
    """
    revisions = packaged_revisions()
    wanted = target if target == ONE_BACK else _checked_target(target, BASE, BASE)
    async with _connected(dsn) as connection, _migration_lock(connection, lock_timeout_s):
        status = await _read_status(connection)
        refuse_unusable(status)
        reached = -1 if status.revision is None else revisions.index(status.revision)
        keep = _step_to_keep(wanted, reached)
        for step in range(reached, keep, -1):
            below = revisions[step - 1] if step else BASE
            script = await asyncio.to_thread(_downgrade_sql, revisions[step], below)
            await _run_step(connection, script, f"The downgrade from {revisions[step]}", step_timeout_s)
        return await _read_status(connection)


def upgrade_script(source: str = BASE, target: str = HEAD) -> str:
    """The SQL of an upgrade, for those who run it by hand. Needs no server."""
    revisions = packaged_revisions()
    return _upgrade_sql(_checked_target(source, BASE, BASE), _checked_target(target, HEAD, revisions[-1]))


def downgrade_script(target: str = BASE) -> str:
    """The SQL of a downgrade from this release's schema, for those who run it by hand. Needs no server.

    Raises:
        InvalidInput: there is no such step.
    """
    *earlier, newest = packaged_revisions()
    if target == ONE_BACK:
        return _downgrade_sql(newest, earlier[-1] if earlier else BASE)
    return _downgrade_sql(newest, _checked_target(target, BASE, BASE))


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Row]]:
    with translated_errors(), setup_errors():
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={"application_name": APPLICATION_NAME, "search_path": "public", "timezone": "UTC"},
        )
    try:
        with translated_errors(connection):
            yield connection
    finally:
        with contextlib.suppress(StorageError), translated_errors(connection):
            await connection.close(timeout=CONNECT_TIMEOUT_S)


async def _read_status(connection: asyncpg.Connection[Row]) -> SchemaStatus:
    revisions = packaged_revisions()
    head = revisions[-1]
    if not await connection.fetchval(FIND_VERSION_TABLE, timeout=CONNECT_TIMEOUT_S):
        tables = tuple(row[0] for row in await connection.fetch(LIST_TABLES, timeout=CONNECT_TIMEOUT_S))
        return SchemaStatus(SchemaState.FOREIGN if tables else SchemaState.EMPTY, None, head, tables)
    revision = await connection.fetchval(READ_VERSION, timeout=CONNECT_TIMEOUT_S)
    if revision is None:
        return SchemaStatus(SchemaState.EMPTY, None, head)
    if revision == head:
        state = SchemaState.CURRENT
    elif revision in revisions:
        state = SchemaState.BEHIND
    elif _REVISION.fullmatch(revision) and revision > head:
        state = SchemaState.NEWER
    else:
        state = SchemaState.FOREIGN
    return SchemaStatus(state, str(revision), head)


@contextlib.asynccontextmanager
async def _migration_lock(
    connection: asyncpg.Connection[Row], timeout_s: float, monotonic: Callable[[], float] = time.monotonic
) -> AsyncIterator[None]:
    """Hold the session's advisory lock; it is dropped with the connection.

    It is tried again and again: a session that waits inside ``pg_advisory_lock`` holds a snapshot, on which a
    ``CREATE INDEX CONCURRENTLY`` of the lock's holder would wait for ever.
    """
    deadline = monotonic() + timeout_s
    while not await connection.fetchval(TRY_LOCK, LOCK_KEY, timeout=CONNECT_TIMEOUT_S):
        if monotonic() > deadline:
            raise MigrationFailed(
                f"Another program has been migrating this database for {timeout_s:g} s. Wait for it or end it, then "
                "start again. Nothing was changed."
            )
        await asyncio.sleep(LOCK_POLL_S)
    yield


async def _run_step(connection: asyncpg.Connection[Row], script: str, what: str, timeout_s: float) -> None:
    """Send one step. Its own BEGIN and COMMIT make it whole or nothing; the rest of a failed script is not run."""
    try:
        with translated_errors(connection):
            await connection.execute(script, timeout=timeout_s)
    except StorageError as error:
        raise MigrationFailed(f"{what} stopped: {error} The step was undone whole; no row was lost.") from error


def _upgrade_sql(source: str, target: str) -> str:
    # Alembic takes a quarter of a second and 20 MB, which a start with a current database does not spend.
    from storage import migration_scripts  # noqa: PLC0415

    return migration_scripts.upgrade_sql(migrations_folder(), source, target)


def _downgrade_sql(source: str, target: str) -> str:
    from storage import migration_scripts  # noqa: PLC0415 - as above

    return migration_scripts.downgrade_sql(migrations_folder(), source, target)


def _step_to_keep(target: str, reached: int) -> int:
    """Index of the last step to keep; -1 for none."""
    if target == BASE:
        return -1
    if target == ONE_BACK:
        return max(reached - 1, -1)
    return packaged_revisions().index(target)


def _checked_target(target: str, word: str, meaning: str) -> str:
    revisions = packaged_revisions()
    if target == word:
        return meaning
    if target in revisions:
        return target
    known = ", ".join((word, *revisions))
    raise InvalidInput(f'"{target}" is not a step of the schema; known are {known}.', field="target")
