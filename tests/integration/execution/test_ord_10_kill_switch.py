"""ORD-10 end to end: the kill switch works when half of the system does not, and stays until it is unlocked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.core.commands import HoldRisk, ReleaseHold, SetMode
from engine.core.errors import EngineGone
from engine.core.locks import LockKind
from engine.core.orders import OrderState
from engine.core.vocabulary import Mode
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, Headless, new_console
from tests.kit.desk_host import Exchange, Option, comes_to, eventually, filled, live_chain, say, until
from workstation.cli.exit_codes import ExitCode

LINGER_S = 20.0
WAITING = 24
"""Entries handed over at once: more than two seconds of what may be sent."""
RESTS = frozenset({"OPEN", "TRIGGER PENDING", "OPEN PENDING", "VALIDATION PENDING", "PUT ORDER REQ RECEIVED"})


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console whose exchange outlives everything; unlocking waits for nothing."""
    with new_console(postgres_server, request.node.nodeid, linger_s=LINGER_S) as made:
        made.environment = {"WORKSTATION_LOCKS_UNLOCK_WAIT_S": "0.0", "WORKSTATION_LOCKS_JUDGE_S": "0.2"}
        yield made


@contextlib.asynccontextmanager
async def at_the_door(engine: Headless) -> AsyncIterator[RemoteClient]:
    """A client of a headless engine, which may be stopped or gone when it leaves."""
    client = await RemoteClient.attach(Path(engine.ready["socket"]))
    try:
        yield client
    finally:
        with contextlib.suppress(EngineGone):
            await client.close()


async def ended(engine: Headless, exchange: Exchange) -> None:
    """Stop engine and exchange."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(engine.process.pid, signal.SIGCONT)
    await asyncio.to_thread(engine.end)
    await exchange.ask("POST", "/practice/stop")


async def held(exchange: Exchange) -> dict[str, int]:
    """What the exchange's own book says is held."""
    rows = (await exchange.ask("GET", "/portfolio/positions"))["net"]
    return {row["tradingsymbol"]: row["quantity"] for row in rows if row["quantity"]}


async def resting(exchange: Exchange) -> list[dict[str, Any]]:
    """Orders that rest there."""
    return [row for row in await exchange.orders() if row["status"] in RESTS]


async def a_book(client: RemoteClient) -> Option:
    """A short with its stop and its wing, and an entry that rests; returns an option to queue entries of."""
    view = await live_chain(client)
    short, wing, other = Option(view, "ce", 1), Option(view, "ce", 5), Option(view, "pe", 3)
    entry, *_ = await asyncio.gather(
        say(client, f"buy 1L {other.words} @ {other.low}"),
        filled(client, f"buy 1L {wing.words} @ ask+1"),
        filled(client, f"sell 1L {short.words} @ bid-1"),
    )
    stop = await say(client, f"buy 1L {short.words} stop {short.ask * 2 // 1} @ {short.ask * 2 // 1 + 5}")
    assert stop.accepted, stop.message
    await comes_to(client, stop.orders[0].number, OrderState.TRIGGER_PENDING)
    await comes_to(client, entry.orders[0].number, OrderState.OPEN)
    await client.unwatch_chain(view.key)
    return other


def told(client: RemoteClient) -> bool:
    """Whether the desk says in words that the kill switch was pulled."""
    return any("KILLED" in event.text for event in client.desk().events)


async def test_flat_with_the_engine_stopped_and_the_database_gone(console: Console) -> None:
    """SIGSTOP with a full queue, kill -9 of the database, `workstation kill`: flat. SIGCONT: nothing more is sent."""
    console.desk.changed(database={"url": ""})
    console.write_configuration()
    engine = await asyncio.to_thread(console.headless)
    exchange = Exchange(engine.ready["exchange_root"])
    try:
        async with at_the_door(engine) as client:
            other = await a_book(client)
            entries = [
                say(client, f"buy 1L {other.words} @ {other.low}", idempotency_key=f"k{n}") for n in range(WAITING)
            ]
            receipts = await asyncio.gather(*entries)
            assert all(receipt.accepted for receipt in receipts)
            os.kill(engine.process.pid, signal.SIGSTOP)
            postmaster = console.desk.locations.postgres / "data" / "postmaster.pid"
            os.kill(int(postmaster.read_text(encoding="utf-8").splitlines()[0]), signal.SIGKILL)
            sent = sum((await exchange.posts()).values())
            assert sent < WAITING

            said = await asyncio.to_thread(console.run, "kill", "--json")
            assert said.code == ExitCode.DONE, said.words
            (venue,) = said.data
            (report,) = venue["accounts"]
            assert report["is_done"]
            assert len(report["legs"]) == 2
            assert all(leg["slippage"] is not None and leg["flat_s"] is not None for leg in report["legs"])
            assert "FLAT by the broker's positions" in said.words
            assert await held(exchange) == {}
            assert await resting(exchange) == []
            average = {leg["instrument"]["tradingsymbol"]: float(leg["average_price"]) for leg in report["legs"]}
            own = [row for row in await exchange.orders() if str(row["tag"]).startswith("WK")]
            assert {row["tradingsymbol"]: pytest.approx(row["average_price"]) for row in own} == average
            log = await exchange.posts()

            os.kill(engine.process.pid, signal.SIGCONT)
        async with at_the_door(engine) as client:

            async def is_killed() -> bool:
                return any(lock.kind is LockKind.KILL for lock in client.desk().locks)

            await eventually(is_killed, "KILLED on the desk")
            numbers = {receipt.orders[0].number for receipt in receipts}

            async def all_over() -> bool:
                records = [record for record in await client.orders() if record.number in numbers]
                return all(record.state.is_terminal for record in records)

            await eventually(all_over, "the end of every order that waited")
            states = [record.state for record in await client.orders() if record.number in numbers]
            assert OrderState.NOT_SENT in states
            assert await exchange.posts() == log, "the engine has sent something after SIGCONT"
            # The list of orders is asked for; the desk is a picture that follows it.
            await until(lambda: told(client), "the words on the desk of who attached later")
            assert client.desk().status.mode is Mode.READ
            assert await held(exchange) == {}
    finally:
        await ended(engine, exchange)


async def test_a_restart_stays_locked_and_unlocking_is_deliberate(console: Console) -> None:
    """Killed without flattening: the stop stays; the next engine is locked; the phrase unlocks it."""
    engine = await asyncio.to_thread(console.headless)
    exchange = Exchange(engine.ready["exchange_root"])
    try:
        async with at_the_door(engine) as client:
            other = await a_book(client)
        before = await held(exchange)
        said = await asyncio.to_thread(console.run, "kill", "all", "--no-flatten")
        assert said.code == ExitCode.DONE, said.words
        assert await held(exchange) == before
        assert [row["status"] for row in await resting(exchange)] == ["TRIGGER PENDING"]
        await asyncio.to_thread(engine.end, signal.SIGKILL)

        engine = await asyncio.to_thread(console.headless)
        async with at_the_door(engine) as client:
            await client.submit(SetMode(mode=Mode.CONFIRM))

            async def refused() -> list[str]:
                receipt = await say(client, f"buy 1L {other.words} @ {other.low}")
                assert not receipt.accepted
                return [violation.check for violation in receipt.violations]

            async def read_anew() -> bool:
                # Until what is held has been read from the broker, that is a second reason.
                return await refused() == ["lock"]

            await eventually(read_anew, "the latch as the only reason")
            (lock,) = client.desk().locks
            account = lock.account
            wrong = await asyncio.to_thread(unlock, console, account, "please")
            assert wrong.returncode == ExitCode.REFUSED
            right = await asyncio.to_thread(unlock, console, account, f"unlock {account}")
            assert right.returncode == ExitCode.DONE, right.stderr
            taken = await say(client, f"buy 1L {other.words} @ {other.low}")
            assert taken.accepted, taken.message
            await comes_to(client, taken.orders[0].number, OrderState.OPEN)
            held_now = await client.submit(HoldRisk(), seat="terminal")
            assert "1 of 1 resting" in held_now.message
            await comes_to(client, taken.orders[0].number, OrderState.CANCELLED)
            await client.submit(ReleaseHold(), seat="terminal")
            assert client.desk().status.mode is Mode.READ
        journal = console.desk.locations.latches(console.desk.venue) / f"{account}.journal"
        lines = [json.loads(line)["what"] for line in journal.read_text(encoding="utf-8").splitlines()]
        assert lines[0] == "begin"
        assert lines[-1] == "unlock"
    finally:
        await ended(engine, exchange)


def unlock(console: Console, account: str, phrase: str) -> subprocess.CompletedProcess[str]:
    """Run the command and type the phrase."""
    process = console.start("unlock", account, stdin=subprocess.PIPE)
    out, words = process.communicate(phrase + "\n", timeout=30)
    return subprocess.CompletedProcess(process.args, process.returncode, out, words)


def test_a_kill_without_a_broker_latches_all_the_same(console: Console) -> None:
    """No exchange runs: the command says that nothing was cancelled, and the next engine is locked."""
    said = console.run("kill", "--json")
    assert said.code == ExitCode.UNAVAILABLE
    assert "the latch is set" in said.words
    (venue,) = msgspec.convert(said.data, list[dict[str, Any]])
    assert venue["latched"] == ["ALL"]
    assert console.run("unlock", "ZZ9999").code == ExitCode.USAGE
