"""Databases of a server: making the one that is needed, and the URL of a sibling."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import asyncpg

from storage.identifiers import checked_identifier
from storage.pool import setup_errors
from storage.session import translated_errors

CONNECT_TIMEOUT_S = 10.0
CREATE_TIMEOUT_S = 60.0
FIND_DATABASE = "SELECT 1 FROM pg_catalog.pg_database WHERE datname = $1"


def with_database(dsn: str, name: str) -> str:
    """The URL of another database on the same server.

    Raises:
        InvalidInput: ``name`` is not a plain lower-case name.
    """
    checked_identifier(name)
    parts = urlsplit(dsn)
    changed = urlunsplit((parts.scheme, parts.netloc, f"/{name}", parts.query, ""))
    # urlunsplit drops an empty authority's slashes; a socket URL (user@/name?host=…) has one with the user in it.
    return changed if "://" in changed else changed.replace(":", "://", 1)


async def ensure_database(maintenance_dsn: str, name: str, *, template: str | None = None) -> bool:
    """Make a database unless it exists; true when it was made. Several processes may try at once.

    Args:
        maintenance_dsn: URL of a database that exists on the server (usually ``postgres``).
        name: The database wanted: lower-case letters, digits, underscores.
        template: A database to copy; nobody may be connected to it.

    Raises:
        InvalidInput: a name is not a plain lower-case name.
        SetupError: the user may not create databases, or the URL is wrong.
        StorageUnavailable: no server answers.
    """
    checked_identifier(name)
    copied = f" TEMPLATE {checked_identifier(template)} STRATEGY FILE_COPY" if template is not None else ""
    with translated_errors(), setup_errors():
        connection = await asyncpg.connect(maintenance_dsn, timeout=CONNECT_TIMEOUT_S)
        try:
            if await connection.fetchval(FIND_DATABASE, name, timeout=CONNECT_TIMEOUT_S):
                return False
            try:
                await connection.execute(f"CREATE DATABASE {name}{copied}", timeout=CREATE_TIMEOUT_S)
            except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
                return False  # another process was quicker
            return True
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)


async def drop_database(maintenance_dsn: str, name: str) -> None:
    """Remove a database with all its rows, cutting off who is connected. Does nothing if there is none."""
    checked_identifier(name)
    with translated_errors(), setup_errors():
        connection = await asyncpg.connect(maintenance_dsn, timeout=CONNECT_TIMEOUT_S)
        try:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", timeout=CREATE_TIMEOUT_S)
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
