"""The pool: bounded, with errors in words, and whole again after the server was killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.core.errors import SetupError, StorageConflict, StorageError, StorageTimeout, StorageUnavailable
from storage.databases import drop_database, ensure_database, with_database
from storage.embedded import EmbeddedPostgres
from storage.errors import RowRefused
from storage.pool import Database
from storage.session import Session
from tests.integration.storage.conftest import MakeServer

LARGE_POOL = 100
CANCELLED_TURNS = 60
TAKE_AWAY = "WITH gone AS (DELETE FROM pair RETURNING 1) SELECT count(*) FROM gone"
DEADLINE_S = 20


@pytest.fixture
async def large(database_dsn: str) -> AsyncIterator[Database]:
    """A pool of a hundred."""
    async with Database(database_dsn, max_size=LARGE_POOL) as opened:
        yield opened


async def test_a_hundred_connections_at_once(large: Database) -> None:
    """A pool of 100 gives 100 connections that are all in use at the same moment, each a session of its own."""
    together = asyncio.Barrier(LARGE_POOL)

    async def use() -> int:
        async with large.acquire() as session:
            await asyncio.wait_for(together.wait(), DEADLINE_S)
            if large.health().in_use == LARGE_POOL:
                return int(await session.fetchval("SELECT pg_backend_pid()"))
            return 0

    backends = await asyncio.gather(*(use() for _ in range(LARGE_POOL)))
    assert len(set(backends) - {0}) > 1
    assert large.health().size == LARGE_POOL
    assert large.health().in_use == 0


async def test_more_work_than_connections_waits_its_turn(database_dsn: str) -> None:
    """Two hundred tasks share three connections; each gets its turn."""
    async with Database(database_dsn, max_size=3) as database:

        async def use(number: int) -> int:
            async with database.acquire() as session:
                return int(await session.fetchval("SELECT $1::int", number))

        assert await asyncio.gather(*(use(number) for number in range(200))) == list(range(200))
        assert database.health().size <= 3


async def test_waiting_too_long_for_a_connection_is_said(database_dsn: str) -> None:
    """With all connections in use the wait ends, names the size and the time, and hands nothing out twice."""
    async with Database(database_dsn, max_size=2, acquire_timeout_s=0.05) as database:
        async with database.acquire(), database.acquire():
            with pytest.raises(StorageTimeout, match=r"All 2 connections .* in use for 0\.05 s"):
                async with database.acquire():
                    pytest.fail("a third connection out of two")
        async with database.acquire() as session:
            assert await session.fetchval("SELECT 1") == 1


async def test_health_counts(database_dsn: str) -> None:
    """Size, use and waiting tasks are what they are; a closed pool says so."""
    database = Database(database_dsn, max_size=1)
    assert database.health().is_open is False
    async with database:
        async with database.acquire():
            waiter = asyncio.create_task(database.ping())
            while database.health().waiting == 0:  # noqa: ASYNC110 - a turn of the loop, no time passes
                await asyncio.sleep(0)
            health = database.health()
            assert (health.size, health.in_use, health.waiting, health.size_max) == (1, 1, 1, 1)
        assert await waiter >= 0
        assert database.health().waiting == 0


async def test_a_slow_statement_is_given_up_by_the_server(database_dsn: str) -> None:
    """The statement timeout is the server's; the connection is as good as new afterwards."""
    async with (
        Database(database_dsn, max_size=1, statement_timeout_s=0.1) as database,
        database.acquire() as session,
    ):
        with pytest.raises(StorageTimeout, match="statement timeout"):
            await session.fetchval("SELECT pg_sleep(10)")
        assert await session.fetchval("SELECT 1") == 1


async def test_a_silent_server_is_given_up_by_the_client(database: Database) -> None:
    """Even if the server said nothing at all, a call ends in time."""
    async with database.acquire() as session:
        with pytest.raises(StorageTimeout, match="did not answer"):
            await session.fetchval("SELECT pg_sleep(10)", timeout_s=0.05)


async def test_waiting_for_a_locked_row_ends(database_dsn: str) -> None:
    """Two writers of one row: the second is told, not left hanging."""
    async with Database(database_dsn, max_size=2, statement_timeout_s=0.2) as database, database.transaction() as one:
        await one.execute("INSERT INTO writer_epochs (account_id, epoch) VALUES ('A', 1)")
        async with database.acquire() as other:
            with pytest.raises(StorageTimeout):
                await other.execute("INSERT INTO writer_epochs (account_id, epoch) VALUES ('A', 2)")


async def test_types_come_as_the_domain_has_them(database: Database) -> None:
    """Decimal exactly, aware UTC, and JSON as plain values."""
    async with database.acquire() as session:
        amount = Decimal("1234567890123.4567")
        assert await session.fetchval("SELECT $1::numeric + 0", amount) == amount
        moment = datetime(2026, 11, 20, 3, 45, 12, 345678, tzinfo=UTC)
        read = await session.fetchval("SELECT $1::timestamptz", moment)
        assert read == moment
        assert read.utcoffset().total_seconds() == 0
        document = {"legs": [1, 2.5, None, "₹"], "exact": "105.35"}
        assert await session.fetchval("SELECT $1::jsonb", document) == document
        assert await session.fetchval("SELECT $1::jsonb -> 'legs' ->> 3", document) == "₹"


async def test_every_connection_is_set_up(database: Database) -> None:
    """UTC, our name, limits, and commits that wait for the disk, whatever the server's own configuration says."""
    async with database.acquire() as session:
        expected = {
            "timezone": "UTC",
            "application_name": "workstation",
            "synchronous_commit": "on",
            "statement_timeout": "10s",
            "lock_timeout": "10s",
            "search_path": "public",
        }
        for name, value in expected.items():
            assert await session.fetchval("SELECT current_setting($1)", name) == value


async def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    """An exception in the body rolls back; the connection goes on serving."""

    async def fail() -> None:
        async with database.transaction() as session:
            await session.execute("INSERT INTO writer_epochs (account_id, epoch) VALUES ('A', 1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.acquire() as session:
        assert await session.fetchval("SELECT count(*) FROM writer_epochs") == 0


async def test_a_cancelled_transaction_leaves_nothing(database: Database) -> None:
    """A task cancelled amid a transaction gives its connection back clean."""
    inside = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as session:
            await session.execute("INSERT INTO writer_epochs (account_id, epoch) VALUES ('A', 1)")
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.acquire() as session:
        assert await session.fetchval("SELECT count(*) FROM writer_epochs") == 0
    assert database.health().in_use == 0


async def test_a_timeout_of_the_body_is_the_bodys(database: Database) -> None:
    """An exception that has nothing to do with the database passes through unchanged."""

    async def fail() -> None:
        async with database.transaction():
            raise TimeoutError("not the database")

    with pytest.raises(TimeoutError, match="not the database"):
        await fail()


async def test_refused_rows_name_the_rule(database: Database) -> None:
    """Uniqueness is a conflict; other rules are refusals; both carry the rule's name."""
    insert = "INSERT INTO writer_epochs (account_id, epoch) VALUES ('A', $1)"
    async with database.acquire() as session:
        await session.execute(insert, 1)
        with pytest.raises(StorageConflict) as conflict:
            await session.execute(insert, 1)
        assert getattr(conflict.value, "constraint", None) == "writer_epochs_pkey"
        with pytest.raises(RowRefused) as refusal:
            await session.execute("UPDATE writer_epochs SET epoch = 0")
        assert refusal.value.constraint == "writer_epochs_epoch_check"


async def test_a_statement_that_is_wrong_is_a_storage_error(database: Database) -> None:
    """A missing table (an old schema) is an error of ours, not of the driver."""
    async with database.acquire() as session:
        with pytest.raises(StorageError, match="no_such_table"):
            await session.fetch("SELECT 1 FROM no_such_table")


async def test_statements_are_counted(database_dsn: str) -> None:
    """The hook sees every statement's text, before it is sent."""
    seen: list[str] = []
    async with Database(database_dsn, on_statement=seen.append) as database, database.transaction() as session:
        await session.fetchval("SELECT 1")
    assert seen == ["BEGIN", "SELECT 1", "COMMIT"]


async def test_a_closed_database_says_so(database_dsn: str) -> None:
    """Using it after closing is refused in words; closing and opening twice are harmless."""
    database = Database(database_dsn)
    await database.open()
    await database.open()
    await database.close()
    await database.close()
    with pytest.raises(StorageUnavailable, match="closed"):
        await database.ping()


async def test_closing_does_not_wait_for_ever(database_dsn: str) -> None:
    """A statement that runs on when the pool closes is cut off after the set time."""
    database = Database(database_dsn, max_size=1, close_timeout_s=0.05)
    await database.open()
    started = asyncio.Event()

    async def linger() -> None:
        async with database.acquire() as session:
            started.set()
            await session.fetchval("SELECT pg_sleep(30)")

    task = asyncio.create_task(linger())
    await started.wait()
    await database.close()
    with pytest.raises(StorageError):
        await asyncio.wait_for(task, DEADLINE_S)


async def test_a_missing_database_is_a_matter_of_setup(postgres_server: EmbeddedPostgres) -> None:
    """A wrong name in the URL cannot be cured by waiting."""
    with pytest.raises(SetupError, match="no_such_desk"):
        await Database(postgres_server.dsn("no_such_desk")).open()


@pytest.mark.parametrize("dsn", ["mysql://localhost/desk", "postgresql://u:hunter2@h:notaport/db"])
async def test_a_wrong_url_is_a_matter_of_setup(dsn: str) -> None:
    """The shape of a right one is shown, and a password is not repeated."""
    with pytest.raises(SetupError, match="postgresql://USER") as refusal:
        await Database(dsn).open()
    assert "hunter2" not in str(refusal.value)


async def test_no_server_is_unavailable(make_server: MakeServer) -> None:
    """A server that does not run may run later."""
    server = make_server()
    with pytest.raises(StorageUnavailable, match="not to be reached"):
        await Database(server.dsn()).open()


async def test_a_database_is_made_once(postgres_server: EmbeddedPostgres) -> None:
    """Several processes may ask at the same moment; one makes it, all find it."""
    names = await asyncio.gather(*(ensure_database(postgres_server.dsn(), "made_once") for _ in range(4)))
    assert sum(names) == 1
    async with Database(with_database(postgres_server.dsn(), "made_once")) as database, database.acquire() as session:
        assert await session.fetchval("SELECT current_database()") == "made_once"
    await drop_database(postgres_server.dsn(), "made_once")
    with pytest.raises(SetupError):
        await Database(postgres_server.dsn("made_once")).open()


async def test_a_connection_lost_after_the_commit_is_not_the_callers_problem(database: Database) -> None:
    """What was acknowledged is not turned into an error when the connection is found dead on giving it back."""
    async with database.acquire() as session:
        await session.execute("INSERT INTO writer_epochs (account_id, epoch) VALUES ('A', 1)")
        backend = await session.fetchval("SELECT pg_backend_pid()")
        async with database.acquire() as other:
            await other.fetchval("SELECT pg_terminate_backend($1, 5000)", backend)
    async with database.acquire() as session:
        assert await session.fetchval("SELECT count(*) FROM writer_epochs") == 1
    assert database.health().in_use == 0


async def test_a_killed_server_is_unavailable_and_then_there_again(make_server: MakeServer) -> None:
    """Reads fail with StorageUnavailable while it is down, and work again on the same pool once it is back."""
    server = make_server()
    await asyncio.to_thread(server.start)
    await ensure_database(server.dsn(), "desk")
    async with Database(server.dsn("desk"), min_size=3, max_size=3) as database:
        async with database.acquire() as session:
            await session.execute("CREATE TABLE kept AS SELECT 1 AS answer")
        pid = server.process_id()
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        failures = 0
        while server.is_running() or failures < 5:
            try:
                await database.ping()
            except StorageUnavailable:
                failures += 1
        await asyncio.to_thread(server.start)

        async def read() -> int:
            async with database.acquire() as session:
                return int(await session.fetchval("SELECT answer FROM kept"))

        assert await asyncio.gather(*(read() for _ in range(6))) == [1] * 6
        assert database.health().in_use == 0


async def test_a_cancelled_transaction_leaves_no_half(make_server: MakeServer) -> None:
    """Whichever step it is cancelled in, the connection goes back without an open transaction, whole or not at all."""
    server = make_server()
    await asyncio.to_thread(server.start)
    async with Database(server.dsn(), max_size=1) as database:
        async with database.acquire() as session:
            await session.execute("CREATE TABLE pair (number integer)")

        async def both() -> None:
            async with database.transaction() as session:
                await session.execute("INSERT INTO pair VALUES (1)")
                await session.execute("INSERT INTO pair VALUES (2)")

        outcomes = set()
        for turns in range(CANCELLED_TURNS):
            writing = asyncio.create_task(both())
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            async with database.acquire() as session:
                outcomes.add(await session.fetchval(TAKE_AWAY))
        assert outcomes <= {0, 2}


async def test_a_kill_amid_a_transaction_is_unavailable(make_server: MakeServer) -> None:
    """The body's statement fails, leaving the ``with`` adds no second error, and nothing of it was kept."""
    server = make_server()
    await asyncio.to_thread(server.start)
    async with Database(server.dsn()) as database:

        async def write(session: Session) -> None:
            await session.execute("CREATE TABLE half_done (number integer)")
            pid = server.process_id()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while True:
                await session.execute("INSERT INTO half_done VALUES (1)")

        async def in_transaction(work: Callable[[Session], Awaitable[None]]) -> None:
            async with database.transaction() as session:
                await work(session)

        with pytest.raises(StorageUnavailable):
            await in_transaction(write)
        await asyncio.to_thread(server.start)
        async with database.acquire() as session:
            assert await session.fetchval("SELECT to_regclass('half_done')") is None


BACKEND = "SELECT pg_backend_pid()"


async def test_a_kept_connection_is_the_same_one_each_time(database: Database) -> None:
    """It is not given back between two calls, counts as free while nobody uses it, and its plans stay made."""
    backends = set()
    for _ in range(3):
        async with database.acquire_kept() as session:
            backends.add(await session.fetchval(BACKEND))
            assert await session.fetchval("SELECT count(*) FROM pg_prepared_statements") >= len(backends)
        assert database.health().in_use == 0
    assert len(backends) == 1
    async with database.acquire() as other:
        assert await other.fetchval(BACKEND) not in backends


async def test_who_comes_while_it_is_in_use_gets_another(database: Database) -> None:
    """Two at once never share a connection."""
    async with database.acquire_kept() as first, database.acquire_kept() as second:
        assert await first.fetchval(BACKEND) != await second.fetchval(BACKEND)
    assert database.health().in_use == 0


async def test_a_kept_connection_keeps_nobody_waiting(database_dsn: str) -> None:
    """When every other connection is in use, the kept one goes back to the pool; a pool of one keeps none."""
    async with Database(database_dsn, max_size=2, acquire_timeout_s=1.0) as two:
        async with two.acquire_kept() as session:
            await session.fetchval(BACKEND)
        async with two.acquire() as first, two.acquire() as second:
            assert await first.fetchval(BACKEND) != await second.fetchval(BACKEND)
    async with Database(database_dsn, max_size=1, acquire_timeout_s=1.0) as one:
        async with one.acquire_kept() as session:
            await session.fetchval(BACKEND)
        async with one.acquire() as session:
            assert await session.fetchval("SELECT 1") == 1


async def test_a_kept_connection_that_fails_is_not_kept(database: Database) -> None:
    """After an error, a cancellation, or its end by the server, the next call has one that works."""
    with pytest.raises(StorageError):
        async with database.acquire_kept() as session:
            await session.execute("SELECT nothing_like_it()")
    async with database.acquire_kept() as session:
        sleeping = asyncio.ensure_future(session.fetchval("SELECT pg_sleep(60)"))
        await asyncio.sleep(0)
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
        assert await session.fetchval("SELECT 1") == 1
    async with database.acquire_kept() as session:
        kept = await session.fetchval(BACKEND)
    async with database.acquire() as other:
        assert await other.fetchval("SELECT pg_terminate_backend($1, 10000)", kept)
        async with asyncio.timeout(DEADLINE_S):
            while database.health().size > 1:
                await other.fetchval("SELECT 1")  # the driver hears of the end in a turn of the loop
    async with database.acquire_kept() as session:
        assert await session.fetchval(BACKEND) != kept
    assert database.health().in_use == 0
