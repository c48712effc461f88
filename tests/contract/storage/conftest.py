"""Two engines on one database, over both implementations of the storage ports."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine.core.repositories import Repositories, WriterLock
from storage.embedded import EmbeddedPostgres
from storage.memory import MemoryRepositories, MemoryStore
from storage.pool import Database
from storage.repositories import PostgresRepositories
from storage.writer_lock import PostgresWriterLock
from tests.contract.storage.samples import ACCOUNT, account
from tests.kit.database import new_database, postgres_server

__all__ = ["postgres_server"]

IMPLEMENTATIONS = ("postgres", "memory")


class TwoEngines:
    """Two sets of repositories on one store of rows, and the first one's epoch of the sample account."""

    def __init__(self, first: Repositories, second: Repositories) -> None:
        self.first = first
        self.second = second
        self.epoch = 0

    async def begin(self) -> None:
        """Make the sample account known and the first engine its writer."""
        await self.first.accounts.save(account())
        epoch = await self.first.writer_lock.acquire(ACCOUNT)
        assert epoch is not None
        self.epoch = epoch


@pytest.fixture(params=IMPLEMENTATIONS)
async def engines(request: pytest.FixtureRequest) -> AsyncIterator[TwoEngines]:
    """Two engines; the first is the writer of the sample account."""
    if request.param == "memory":
        store = MemoryStore()
        in_memory = TwoEngines(MemoryRepositories(store), MemoryRepositories(store))
        await in_memory.begin()
        yield in_memory
        return
    server: EmbeddedPostgres = request.getfixturevalue("postgres_server")
    async with new_database(server) as dsn, Database(dsn, max_size=3) as one, Database(dsn, max_size=3) as other:
        locks = PostgresWriterLock(dsn), PostgresWriterLock(dsn)
        try:
            both = TwoEngines(PostgresRepositories(one, locks[0]), PostgresRepositories(other, locks[1]))
            await both.begin()
            yield both
        finally:
            for lock in locks:
                await lock.close()


@pytest.fixture
def store(engines: TwoEngines) -> Repositories:
    """The writer's repositories."""
    return engines.first


@pytest.fixture
def epoch(engines: TwoEngines) -> int:
    """The writer's epoch."""
    return engines.epoch


@pytest.fixture
def rival_lock(engines: TwoEngines) -> WriterLock:
    """The writer lock as a second engine sees it."""
    return engines.second.writer_lock
