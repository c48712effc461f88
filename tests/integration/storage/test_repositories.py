"""What only the repositories over a real server have to prove: few statements, durable commits, races of engines."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import date

import msgspec
import pytest

from engine.core.errors import StorageConflict, StorageError, StorageUnavailable, WriterLost
from engine.core.orders import OrderRecord, OrderState, OrderTrigger
from engine.core.repositories import Repositories
from engine.core.vocabulary import Exchange
from storage.databases import ensure_database
from storage.memory import MemoryRepositories
from storage.migrate import upgrade
from storage.pool import Database
from storage.repositories import PostgresRepositories
from storage.writer_lock import PostgresWriterLock
from tests.contract.storage.samples import (
    ACCOUNT,
    MORNING,
    account,
    candle,
    entry_of,
    event,
    intent,
    option,
    outside_order,
    trade,
)
from tests.integration.storage.conftest import MakeServer

BASKET = 40
DEADLINE_S = 20


class Counted:
    """Repositories whose statements are listed."""

    def __init__(self, dsn: str) -> None:
        self.statements: list[str] = []
        self.database = Database(dsn, max_size=4, on_statement=self.statements.append)
        self.lock = PostgresWriterLock(dsn)
        self.store = PostgresRepositories(self.database, self.lock)
        self.epoch = 0

    async def begin(self) -> None:
        """Open, and become the writer of the sample account."""
        await self.database.open()
        await self.store.accounts.save(account())
        self.epoch = await self.lock.acquire(ACCOUNT) or 0
        self.statements.clear()

    async def end(self) -> None:
        """Close everything."""
        await self.lock.close()
        await self.database.close()

    def count(self) -> int:
        """Statements since the last count."""
        counted = len(self.statements)
        self.statements.clear()
        return counted


@pytest.fixture
async def counted(database_dsn: str) -> AsyncIterator[Counted]:
    """A writer of the sample account whose statements are counted."""
    made = Counted(database_dsn)
    await made.begin()
    yield made
    await made.end()


def test_both_implementations_are_the_port(database_dsn: str) -> None:
    """Type-checked: each has all that an engine asks for."""
    database = Database(database_dsn)
    implementations: tuple[Repositories, ...] = (
        MemoryRepositories(),
        PostgresRepositories(database, PostgresWriterLock(database_dsn)),
    )
    assert len(implementations) == 2


async def test_the_order_path_is_one_statement_per_write(counted: Counted) -> None:
    """A basket of any size is journalled, and each change recorded, in one round trip and one commit."""
    journal = counted.store.journal
    await journal.record_intents([intent(BASKET)], epoch=counted.epoch)
    assert counted.count() == 2, "the account is looked up, once"
    records = await journal.record_intents([intent(number) for number in range(BASKET)], epoch=counted.epoch)
    assert counted.count() == 1
    sending = event(records[0], OrderTrigger.SEND, OrderState.SENDING)
    await journal.record_change(records[0], [sending, sending, sending], epoch=counted.epoch)
    assert counted.count() == 1
    found = outside_order()
    await journal.adopt(found, event(found, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=counted.epoch)
    assert counted.count() == 1


async def test_reads_are_one_statement_each(counted: Counted) -> None:
    """However many rows there are: no statement per row."""
    await counted.store.journal.record_intents([intent(number) for number in range(BASKET)], epoch=counted.epoch)
    counted.count()
    reads = (
        counted.store.journal.working(ACCOUNT),
        counted.store.journal.since(ACCOUNT, MORNING),
        counted.store.ledger.trades(ACCOUNT),
        counted.store.ledger.entries(ACCOUNT),
        counted.store.strategies.all(ACCOUNT),
        counted.store.accounts.all(),
    )
    for read in reads:
        await read
        assert counted.count() == 1


async def test_batches_cost_the_same_whatever_their_size(counted: Counted) -> None:
    """Fills, candles and dumps: the number of statements does not grow with the number of rows."""
    store, epoch = counted.store, counted.epoch
    strategy = (await store.strategies.create(ACCOUNT, "main", is_default=True, at=MORNING, epoch=epoch)).number
    costs = []
    for size in (1, BASKET):
        counted.count()
        fills = [trade(f"{size}-{number}") for number in range(size)]
        await store.ledger.book([(fill, entry_of(fill, strategy)) for fill in fills], epoch=epoch)
        await store.candles.save([candle(strategy, size * 1_000 + minute, "1 1 1 1") for minute in range(size)])
        await store.instruments.replace(
            Exchange.NFO, date(2026, 11, 20), [option(f"S{number}") for number in range(size)]
        )
        costs.append(counted.count())
    assert costs[0] == costs[1]


async def test_a_plan_for_working_orders_uses_its_index(counted: Counted) -> None:
    """The query spells its condition as the partial index has it, so that years of history do not slow a start."""
    from storage.order_journal import READ_WORKING

    async with counted.database.transaction() as session:
        await session.execute("SET LOCAL enable_seqscan = off")
        rows = await session.fetch(f"EXPLAIN {READ_WORKING.replace('$1', 'chr(65)')}")
    assert any("orders_working_index" in row[0] for row in rows)


async def test_of_two_writes_of_one_key_one_wins(counted: Counted) -> None:
    """The same idempotency key sent twice at the same moment makes one order."""
    twins = [msgspec.structs.replace(intent(number), idempotency_key="same") for number in range(8)]
    results = await asyncio.gather(
        *(counted.store.journal.record_intents([twin], epoch=counted.epoch) for twin in twins), return_exceptions=True
    )
    assert sum(isinstance(result, tuple) for result in results) == 1
    assert sum(isinstance(result, StorageConflict) for result in results) == 7
    assert len(await counted.store.journal.working(ACCOUNT)) == 1


async def test_a_new_writer_waits_for_the_write_in_progress(counted: Counted, database_dsn: str) -> None:
    """The fence has no gap: a write that passed it is committed before the next epoch is given out."""
    passed = asyncio.Event()
    finish = asyncio.Event()

    async def write_slowly() -> None:
        from storage.writer_epoch import require_newest_epoch

        async with counted.database.transaction() as session:
            await require_newest_epoch(session, ACCOUNT, counted.epoch)
            passed.set()
            await finish.wait()

    writing = asyncio.create_task(write_slowly())
    await passed.wait()
    await counted.lock.release(ACCOUNT)
    rival = PostgresWriterLock(database_dsn)
    taking = asyncio.create_task(rival.acquire(ACCOUNT))
    done, _ = await asyncio.wait({taking}, timeout=0.2)
    assert not done
    finish.set()
    await writing
    assert await taking == counted.epoch + 1
    with pytest.raises(WriterLost):
        await counted.store.journal.record_intents([intent(1)], epoch=counted.epoch)
    await rival.close()


async def test_a_lost_lock_connection_lets_the_next_engine_in(counted: Counted, database_dsn: str) -> None:
    """When a writer's lock connection dies, another engine takes over at once, and the old one is fenced out."""
    async with counted.database.acquire() as session:
        ended = await session.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE application_name = 'workstation writer' AND datname = current_database()"
        )
    assert len(ended) == 1
    assert await counted.lock.is_held(ACCOUNT) is False
    rival = PostgresWriterLock(database_dsn)
    assert await rival.acquire(ACCOUNT) == counted.epoch + 1
    assert await counted.lock.acquire(ACCOUNT) is None
    with pytest.raises(WriterLost):
        await counted.store.journal.record_intents([intent(1)], epoch=counted.epoch)
    await rival.release(ACCOUNT)
    assert await counted.lock.acquire(ACCOUNT) == counted.epoch + 2
    assert await counted.lock.is_held(ACCOUNT)


async def test_a_kill_amid_orders_loses_no_acknowledged_order(make_server: MakeServer) -> None:
    """The database killed -9 while orders are journalled: all that was acknowledged is there, all is whole."""
    server = make_server(test_mode=False)
    await asyncio.to_thread(server.start)
    await ensure_database(server.dsn(), "desk")
    dsn = server.dsn("desk")
    await upgrade(dsn)
    engine = Counted(dsn)
    await engine.begin()
    acknowledged: list[OrderRecord] = []
    enough = asyncio.Event()

    async def trade_on(first: int) -> None:
        number = first
        while True:
            basket = [intent(number + step) for step in range(3)]
            try:
                acknowledged.extend(await engine.store.journal.record_intents(basket, epoch=engine.epoch))
            except StorageUnavailable:
                return
            number += 3
            if len(acknowledged) > 60:
                enough.set()

    traders = [asyncio.create_task(trade_on(start * 1_000_000)) for start in range(3)]
    await asyncio.wait_for(enough.wait(), DEADLINE_S)
    pid = server.process_id()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await asyncio.wait_for(asyncio.gather(*traders), DEADLINE_S)
    with pytest.raises(StorageError):
        await engine.store.journal.working(ACCOUNT)
    await asyncio.to_thread(server.start)
    kept = {record.number: record for record in await engine.store.journal.working(ACCOUNT)}
    assert [kept[record.number] for record in acknowledged] == acknowledged
    assert len(kept) % 3 == 0  # a basket is there whole or not at all
    epoch = await engine.lock.acquire(ACCOUNT)
    assert epoch == engine.epoch + 1
    assert await engine.store.journal.record_intents([intent(999_999_999)], epoch=epoch)
    await engine.end()


async def test_two_engines_fighting_for_an_account_keep_its_journal_whole(database_dsn: str) -> None:
    """Two engines take the lock from each other while both write: kept is what was acknowledged, epoch by epoch."""
    engines = [Counted(database_dsn), Counted(database_dsn)]
    for engine in engines:
        await engine.database.open()
    await engines[0].store.accounts.save(account())
    written: list[tuple[int, OrderRecord]] = []

    async def fight(who: int) -> None:
        engine = engines[who]
        for turn in range(30):
            epoch = await engine.lock.acquire(ACCOUNT)
            if epoch is None:
                await asyncio.sleep(0)
                continue
            await engine.lock.release(ACCOUNT)
            try:  # the lock is given away already: the fence alone decides
                records = await engine.store.journal.record_intents([intent(who * 1_000 + turn)], epoch=epoch)
            except WriterLost:
                continue
            written.append((epoch, records[0]))

    await asyncio.gather(fight(0), fight(1))
    async with engines[0].database.acquire() as session:
        rows = await session.fetch(
            "SELECT coalesce(i.epoch, o.intent_epoch) AS epoch, o.number, i.epoch IS NULL AS is_carried "
            "FROM orders o LEFT JOIN order_intents i USING (intent_id) ORDER BY o.number"
        )
    newest = await engines[0].lock.acquire(ACCOUNT)
    assert newest is not None
    assert {row["epoch"] for row in rows if row["is_carried"]} <= {newest - 1}, "each writer finishes the one before"
    assert sorted((row["epoch"], row["number"]) for row in rows) == sorted(
        (epoch, record.number) for epoch, record in written
    )
    assert [row["epoch"] for row in rows] == sorted(row["epoch"] for row in rows)
    assert written
    for engine in engines:
        await engine.end()
