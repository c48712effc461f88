"""A PostgreSQL server for a test run, and a fresh migrated database for each test that asks for one.

One server serves all workers of the run; a template is migrated once, and each test gets a copy of it (about 30 ms).
Import the fixtures into a ``conftest.py``: ``from tests.kit.database import database, database_dsn, postgres_server``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from storage.databases import drop_database, ensure_database
from storage.embedded import EmbeddedPostgres
from storage.file_locks import exclusive_lock
from storage.migrate import upgrade
from storage.pool import Database
from storage.root_mode import choose_server_user

TEMPLATE = "workstation_template"
TEMPLATE_READY = "template.ready"
SERVER_CONNECTIONS = 150
SETUP_TIMEOUT_S = 100.0


def run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in an event loop of its own, in a thread: for fixtures that are not coroutines."""
    with ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, work).result()


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of this run, which the server's user can reach."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    if choose_server_user(base / "no cluster yet").uid is None:
        return base / "postgres"
    # The server runs as another user, who cannot pass pytest's closed folders.
    digest = hashlib.sha256(str(base).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"workstation-tests-{digest}"
    folder.mkdir(mode=0o711, exist_ok=True)
    return folder / "postgres"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The run's server, with a migrated template in it."""
    folder = shared_folder(tmp_path_factory)
    server = EmbeddedPostgres(folder, max_connections=SERVER_CONNECTIONS, test_mode=True)
    server.start()
    with exclusive_lock(folder.parent / "template.lock", timeout_s=SETUP_TIMEOUT_S):
        ready = folder.parent / TEMPLATE_READY
        if not ready.exists():
            run_apart(_make_template(server))
            ready.touch()
    yield server
    if server.stop() and folder.parent.name.startswith("workstation-tests-"):
        shutil.rmtree(folder.parent)


@contextlib.asynccontextmanager
async def new_database(server: EmbeddedPostgres, *, template: str | None = TEMPLATE) -> AsyncIterator[str]:
    """URL of a new database, gone afterwards: migrated and without rows, or without tables for no template."""
    name = f"test_{uuid.uuid4().hex}"
    await ensure_database(server.dsn(), name, template=template)
    try:
        yield server.dsn(name)
    finally:
        await drop_database(server.dsn(), name)


@pytest.fixture
async def empty_database_dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """URL of a new database without any table, gone after the test."""
    async with new_database(postgres_server, template=None) as dsn:
        yield dsn


@pytest.fixture
async def database_dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """URL of a new, migrated database without rows, gone after the test."""
    async with new_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    """An open pool on a new, migrated database without rows."""
    async with Database(database_dsn, max_size=5) as opened:
        yield opened


async def _make_template(server: EmbeddedPostgres) -> None:
    await ensure_database(server.dsn(), TEMPLATE)
    await upgrade(server.dsn(TEMPLATE))
