"""DB-2: the database hangs, dies and comes back mid-day. Entries are refused, exits and cancellations go out through
the spool; afterwards the journal has everything under the same numbers, and nothing was sent twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.client import EngineClient
from engine.core.commands import CancelOrders, DeleteGtt, PlaceGtt, Reconcile
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderRecord, OrderState
from engine.core.standing_triggers import GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Side
from engine.execution.settings import SpoolSettings
from engine.execution.spool_file import spool_path
from engine.execution.spool_records import SpooledIntent, SpoolHeader, decode
from engine.server.remote_client import RemoteClient
from storage.databases import ensure_database
from storage.embedded import EmbeddedPostgres
from storage.migrate import upgrade
from storage.pool import Database
from storage.writer_lock import PostgresWriterLock
from tests.integration.commands.console import new_console
from tests.kit.database import TEMPLATE, run_apart
from tests.kit.desk_host import (
    TICK,
    Desk,
    Exchange,
    Option,
    comes_to,
    eventually,
    filled,
    live_chain,
    new_desk,
    record_of,
    say,
    short_data_folder,
    until,
)
from workstation.assembly import open_host
from workstation.cli.exit_codes import ExitCode

CONNECTIONS = 60
SOON_S = 1.5
"""Half a second until the journal counts as away, and what a loaded machine needs for the rest."""
LINGER_S = 30.0
END_WRITERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'workstation writer'"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A database server that a test may stop and kill."""
    with short_data_folder() as folder:
        made = EmbeddedPostgres(folder / "pg", max_connections=CONNECTIONS, test_mode=True)
        made.start()
        try:
            run_apart(_make_template(made))
            yield made
        finally:
            made.stop()


async def _make_template(server: EmbeddedPostgres) -> None:
    await ensure_database(server.dsn(), TEMPLATE)
    await upgrade(server.dsn(TEMPLATE))


@pytest.fixture
def desk(server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A desk on that server; it runs when the test ends."""
    with new_desk(server, request.node.nodeid) as made:
        made.changed(orders={"spool": SpoolSettings()})
        try:
            yield made
        finally:
            if not server.is_running():
                server.start()


def processes_of(server: EmbeddedPostgres) -> list[int]:
    """The server and its connections' processes, the server first."""
    first = server.process_id()
    assert first is not None
    found = [first]
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == first:
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def hanging(server: EmbeddedPostgres) -> Iterator[None]:
    """The server takes connections and statements, and answers none."""
    stopped = processes_of(server)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def kill_database(server: EmbeddedPostgres) -> None:
    """Kill -9."""
    pid = server.process_id()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not server.is_running(), "the end of the database")


async def posted(exchange: Exchange, record: OrderRecord) -> int:
    """How often the exchange was asked for an order."""
    return (await exchange.posts()).get(record.tag or "", 0)


async def is_whole(client: EngineClient) -> None:
    """Wait until the desk has nothing to complain of."""
    try:
        await until(lambda: client.desk().status.degraded == (), "a whole desk")
    except AssertionError as error:
        raise AssertionError(f"{error}: {client.desk().status.degraded}") from error


async def accepted(client: EngineClient, sentence: str) -> OrderNumber | None:
    """The order a sentence made; ``None`` when it was refused."""
    receipt = await say(client, sentence)
    return receipt.orders[0].number if receipt.accepted else None


async def once(client: EngineClient, number: OrderNumber) -> None:
    """Each line of an order's history is there once."""
    lines = Counter((line.trigger, line.at, line.wall_at, line.detail) for line in await client.order_history(number))
    assert set(lines.values()) == {1}, lines


def in_spool(folder: Path, account: AccountId) -> list[object]:
    """What a spool holds besides its header."""
    records = decode(spool_path(folder, account).read_bytes()).records
    return [record for record in records if not isinstance(record, SpoolHeader)]


async def left_trigger(client: EngineClient, option: Option) -> int:
    """A stop for one lot that the broker keeps; its id."""
    key = (await client.orders())[0].request.instrument
    trigger = option.bid // 2 // TICK * TICK
    order = GttOrder(trigger_price=trigger, side=Side.SELL, quantity=option.lot, price=trigger)
    request = GttRequest(instrument=key, kind=GttKind.SINGLE, orders=(order,))
    left = await client.submit(PlaceGtt(request=request))
    assert left.trigger_id is not None, left.message
    return left.trigger_id


async def triggers(exchange: Exchange) -> dict[int, str]:
    """How the triggers at the exchange stand."""
    return {int(row["id"]): str(row["status"]) for row in await exchange.ask("GET", "/gtt/triggers")}


async def test_db_2_a_database_that_hangs(server: EmbeddedPostgres, desk: Desk) -> None:
    """Within half a second and a little an entry is refused, an exit fills, an order is cancelled, a trigger is taken
    back, and screens are told since when the journal is away; then all is kept.
    """
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        option = Option(await live_chain(client), "ce")
        await filled(client, f"buy 2L {option.words} @ ask+2")
        resting = await accepted(client, f"buy 1L {option.words} @ {option.low}")
        assert resting is not None
        await comes_to(client, resting, OrderState.OPEN)
        trigger_id = await left_trigger(client, option)
        with hanging(server):
            began = time.monotonic()
            refused = await say(client, f"buy 1L {option.words} @ {option.low}")
            assert time.monotonic() - began < SOON_S
            assert not refused.accepted
            assert "journal" in refused.message
            began = time.monotonic()
            receipt = await say(client, f"sell 1L {option.words} @ bid-2")
            assert receipt.accepted, receipt.message
            (leaving,) = receipt.orders
            await eventually(lambda: posted(exchange, leaving), "the exit at the exchange")
            assert time.monotonic() - began < SOON_S
            began = time.monotonic()
            await client.submit(CancelOrders(numbers=(resting,)))
            assert time.monotonic() - began < SOON_S
            await comes_to(client, leaving.number, OrderState.COMPLETE)
            await comes_to(client, resting, OrderState.CANCELLED)
            again = await say(client, f"buy 1L {option.words} @ {option.low}")
            assert {violation.check for violation in again.violations} == {"journal"}
            began = time.monotonic()
            taken = await client.submit(DeleteGtt(trigger_id=trigger_id))
            assert taken.accepted, taken.message
            assert "The journal is away" in taken.message
            assert time.monotonic() - began < SOON_S
            assert await triggers(exchange) == {trigger_id: GttStatus.DELETED}
            (health,) = await client.execution_health()
            (journal,) = (await client.operations()).journals
            assert health.spooled == journal.spooled == 2
            assert journal == health.journal
            assert journal.away_since is not None
            assert journal.is_behind
            assert any("spool" in sentence for sentence in client.desk().status.degraded)
        await is_whole(client)
        await client.submit(Reconcile())
        await is_whole(client)
        number = await eventually(lambda: accepted(client, f"buy 1L {option.words} @ {option.low}"), "an entry again")
        await comes_to(client, number, OrderState.OPEN)
        await once(client, leaving.number)
        await once(client, resting)
        assert in_spool(host.engine.parts.spools or Path(), host.engine.account) == []
        known = {record.number: record for record in await client.orders()}
        posts = await exchange.posts()
        assert set(posts.values()) == {1}
        assert len(posts) == 4
        (journal,) = (await client.operations()).journals
        assert (journal.away_since, journal.is_behind, journal.spooled) == (None, False, 0)
    async with desk.opened() as host:
        receipt = await host.client.submit(Reconcile())
        assert "no open mismatch" in receipt.message, "the deletion is in the journal"
        read = {record.number: record for record in await host.client.orders()}
        assert {key: read[key].state for key in (leaving.number, resting)} == {
            leaving.number: OrderState.COMPLETE,
            resting: OrderState.CANCELLED,
        }
        assert read[leaving.number] == known[leaving.number]
        assert read[leaving.number].tag == leaving.tag


async def test_db_2_a_database_that_dies_and_the_writer_lock_with_it(server: EmbeddedPostgres, desk: Desk) -> None:
    """Exits go out without it; started again, the same engine takes its lock again by itself, and no other gets in."""
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        option = Option(await live_chain(client), "ce")
        await filled(client, f"buy 1L {option.words} @ ask+2")
        await kill_database(server)
        receipt = await say(client, f"sell 1L {option.words} @ {option.high}")
        assert receipt.accepted, receipt.message
        (leaving,) = receipt.orders
        await comes_to(client, leaving.number, OrderState.OPEN)
        changed = await say(client, f"modify o{leaving.number} @ {option.high - 1}")
        assert changed.accepted, changed.message
        await asyncio.to_thread(server.start)
        await is_whole(client)
        dsn = server.dsn(desk.database)
        rival = PostgresWriterLock(dsn)
        assert await rival.acquire(host.engine.account) is None
        await rival.close()
        async with Database(dsn) as database, database.acquire() as session:
            assert await session.fetchval("SELECT epoch FROM writer_epochs") == 1
            stored = await session.fetchrow("SELECT number, state FROM orders WHERE tag = $1", leaving.tag)
        assert stored is not None
        assert stored["number"] == leaving.number
        assert (await accepted(client, f"buy 1L {option.words} @ {option.low}")) is not None
        assert set((await exchange.posts()).values()) == {1}
        await once(client, leaving.number)
        assert (await record_of(client, leaving.number)).request.price == option.high - 1


async def test_db_2_what_left_while_the_database_was_down_cannot_leave_again(
    server: EmbeddedPostgres, desk: Desk
) -> None:
    """An exit fills while the ledger cannot take it: a second one would open a position, and is refused as that."""
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        option = Option(await live_chain(client), "ce")
        await filled(client, f"buy 1L {option.words} @ ask+2")
        await kill_database(server)
        receipt = await say(client, f"sell 1L {option.words} @ {option.low}")
        assert receipt.accepted, receipt.message
        await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
        await until(lambda: any("fill" in words for words in client.desk().status.degraded), "the fill that waits")
        for _ in range(3):
            assert (await accepted(client, f"sell 1L {option.words} @ {option.low}")) is None
            await client.submit(Reconcile())
        await asyncio.to_thread(server.start)
        await is_whole(client)
        net = (await exchange.ask("GET", "/portfolio/positions"))["net"]
        assert [row["quantity"] for row in net if row["instrument_token"] == option.token] == [0]
        assert set((await exchange.posts()).values()) == {1}


async def test_db_2_a_second_engine_stays_out_while_the_first_one_lives(server: EmbeddedPostgres, desk: Desk) -> None:
    """The database has dropped the first one's lock; one of the same machine sees its spool and only looks."""
    desk.changed(orders={"spool": SpoolSettings(lock_watch_s=600.0)})
    async with desk.opened() as host:
        option = Option(await live_chain(host.client), "ce")
        async with Database(server.dsn(desk.database)) as database, database.acquire() as session:
            assert len(await session.fetch(END_WRITERS)) == 1
        async with open_host(desk.configuration, desk.locations, read_only=False, with_door=False) as other:
            refused = await say(other.client, f"buy 1L {option.words} @ {option.low}")
            assert not refused.accepted
            assert any("Another engine is the writer" in words for words in other.client.desk().status.degraded)
        assert (await accepted(host.client, f"buy 1L {option.words} @ {option.low}")) is not None


async def test_db_2_the_engine_is_killed_while_the_database_is_down(
    server: EmbeddedPostgres, request: pytest.FixtureRequest
) -> None:
    """Without a database no engine starts, and says so; with it, the exit is there under its number, sent once."""
    with new_console(server, request.node.nodeid, linger_s=LINGER_S) as console:
        engine = await asyncio.to_thread(console.headless)
        exchange = Exchange(engine.ready["exchange_root"])
        client = await RemoteClient.attach(Path(engine.ready["socket"]))
        try:
            option = Option(await live_chain(client), "ce")
            await filled(client, f"buy 1L {option.words} @ ask+2")
            await kill_database(server)
            receipt = await say(client, f"sell 1L {option.words} @ {option.high}")
            assert receipt.accepted, receipt.message
            (leaving,) = receipt.orders
            await eventually(lambda: posted(exchange, leaving), "the exit at the exchange")
        finally:
            os.kill(engine.process.pid, signal.SIGKILL)
            await client.close()
            await asyncio.to_thread(engine.end)
        folder = console.desk.locations.spools(console.desk.venue)
        kept = in_spool(folder, leaving.account)
        assert any(isinstance(record, SpooledIntent) and record.number == leaving.number for record in kept)
        refused = await asyncio.to_thread(console.run, "headless")
        assert refused.code != ExitCode.DONE
        assert "database" in refused.words.casefold()
        assert in_spool(folder, leaving.account) == kept
        await asyncio.to_thread(server.start)
        engine = await asyncio.to_thread(console.headless)
        client = await RemoteClient.attach(Path(engine.ready["socket"]))
        try:
            found = await comes_to(client, leaving.number, OrderState.OPEN)
            assert found.tag == leaving.tag
            assert set((await exchange.posts()).values()) == {1}
            assert len(await exchange.posts()) == 2
            await once(client, leaving.number)
            assert in_spool(folder, leaving.account) == []
        finally:
            await client.close()
            await asyncio.to_thread(engine.end)
