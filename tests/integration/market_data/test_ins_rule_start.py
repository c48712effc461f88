"""INS-1, INS-2, RULE-1 and START-3: instruments, dated facts and the preflight of a running engine, and commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from engine.core.vocabulary import InstrumentKind
from engine.server.remote_client import RemoteClient
from storage.databases import ensure_database, with_database
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, new_console
from tests.integration.market_data.engines import attached_to
from tests.kit.database import TEMPLATE
from tests.kit.desk_host import Desk, Exchange, eventually
from workstation.assembly import open_host
from workstation.cli.exit_codes import ExitCode

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINGER_S = 4.0
"""The exchange has to outlive one engine until the other is there."""
AGE_BY_A_DAY = "UPDATE instrument_dumps SET day = day - 1"
CONTRADICTION = """checked = 2026-11-19
[[lot]]
underlying = "NIFTY"
from = 2026-11-01
units = 60
source = "a circular of a test"
"""


@dataclass(frozen=True)
class Running:
    """A headless engine, a client at its door, and the commands beside it."""

    console: Console
    client: RemoteClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(postgres_server: EmbeddedPostgres) -> AsyncIterator[Running]:
    """For all tests of this module that do not disturb each other."""
    with new_console(postgres_server, "ins rule start") as console:
        engine = await asyncio.to_thread(console.headless)
        try:
            async with attached_to(engine) as client:
                yield Running(console, client)
        finally:
            await asyncio.to_thread(engine.end)


@pytest.mark.parametrize(
    ("words", "name", "kind"),
    [
        ("nifty 24000 ce w0", "NIFTY", InstrumentKind.CALL),
        ("24000 pe nifty", "NIFTY", InstrumentKind.PUT),
        ("banknifty fut", "BANKNIFTY", InstrumentKind.FUTURE),
        ("NIFTY 50", "NIFTY 50", InstrumentKind.INDEX),
        ("NIFTY BANK", "NIFTY BANK", InstrumentKind.INDEX),
    ],
)
async def test_ins_1_free_text_finds_what_is_meant(
    running: Running, words: str, name: str, kind: InstrumentKind
) -> None:
    """By strike, type, expiry label and alias, best first; the ticket's own words lead to the same contract."""
    (best, *_) = await running.client.search(words, 5)
    assert (best.name, best.kind) == (name, kind) or (best.tradingsymbol, best.kind) == (name, kind)
    if best.strike is not None:
        assert best.strike == 24_000
    if words.endswith("w0"):
        (label, *_) = await running.client.expiries("NIFTY")
        assert best.expiry == label.expiry


async def test_ins_2_labels_come_from_the_dump(running: Running) -> None:
    """Nearest first; a monthly is one without a later expiry in its month; a label nobody has is refused in words."""
    for underlying in ("NIFTY", "BANKNIFTY"):
        listed = await running.client.expiries(underlying)
        days = [item.expiry for item in listed]
        assert days == sorted(days)
        assert [f"w{place}" in item.labels for place, item in enumerate(listed)] == [True] * len(listed)
        months = sorted({(day.year, day.month): day for day in days}.values())
        assert [item.expiry for item in listed if any(label.startswith("m") for label in item.labels)] == months
    refused = await running.client.interpret("buy 1L nifty 24000 ce w99")
    assert refused.command is None
    assert refused.error is not None
    assert "w99" in refused.error.message


async def test_rule_1_a_loaded_file_is_in_force_in_the_running_engine(running: Running, tmp_path: Path) -> None:
    """What is in force, since when, on whose word; a file is laid over it at once, and its contradiction is shown."""
    console, client = running.console, running.client
    shipped = await client.rules()
    (lot,) = [row for row in shipped.rows if (row.topic, row.subject) == ("lot", "NIFTY")]
    assert lot.origin == "shipped"
    assert lot.since is not None
    assert lot.source
    file = tmp_path / "mine.toml"
    file.write_text(CONTRADICTION, encoding="utf-8")
    loaded = await asyncio.to_thread(console.run, "rules", "--load", str(file))
    assert loaded.code == ExitCode.DONE, loaded.words
    changed = await client.rules()
    (own,) = [row for row in changed.rows if (row.topic, row.subject) == ("lot", "NIFTY")]
    assert (own.origin, own.source) == ("mine.toml", "a circular of a test")
    assert own.value.startswith("60")
    told = [item for item in changed.contradictions if (item.topic, item.subject) == ("lot", "NIFTY")]
    assert told
    assert all("60" in item.rule and "60" not in item.dump for item in told)
    assert len(told) > len([item for item in shipped.contradictions if (item.topic, item.subject) == ("lot", "NIFTY")])
    said = await asyncio.to_thread(console.run, "rules", "--json")
    rows = {(row["topic"], row["subject"]): row for row in said.data["rows"]}
    assert rows["lot", "NIFTY"]["origin"] == "mine.toml"
    future = await asyncio.to_thread(console.run, "rules", "--on", "2031-03-03", "--json")
    assert any("2031" in sentence for sentence in future.data["unknown"]), "an unknown year is not guessed"
    doctor = {check.name: check for check in (await client.doctor()).checks}
    assert doctor["rules"].outcome == "note"
    assert "60" in doctor["rules"].message
    await asyncio.to_thread(console.run, "rules", "--unload", "mine.toml")
    assert [row for row in (await client.rules()).rows if row.topic == "lot"] == [
        row for row in shipped.rows if row.topic == "lot"
    ]


async def test_start_3_all_is_well_and_each_line_has_its_number(running: Running) -> None:
    """The preflight of a healthy engine blocks nothing; the command says the same and ends well."""
    view = await running.client.doctor()
    checks = {check.name: check for check in view.checks}
    assert not [check for check in view.checks if check.outcome == "block"]
    for name in ("login", "clock", "instruments", "calendar", "database", "disk", "feed", "expiries", "ban list"):
        assert checks[name].message
    said = await asyncio.to_thread(running.console.run, "doctor", "--json")
    assert said.code == ExitCode.DONE, said.words
    assert {row["name"] for row in said.data["checks"]} == set(checks)


async def test_start_3_a_database_that_may_only_be_read_blocks(running: Running) -> None:
    """A server switched to reading alone is named: no order could be journalled."""
    desk = running.console.desk
    connection = await asyncpg.connect(with_database(desk.server_dsn, desk.database))
    try:
        await connection.execute(f"ALTER DATABASE {desk.database} SET default_transaction_read_only = on")

        async def comes_to(outcome: str) -> bool:
            # The setting counts for new connections only: those that are there must go.
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() "
                "AND application_name = 'workstation' AND state = 'idle'",
                desk.database,
            )
            checks = {check.name: check for check in (await running.client.doctor()).checks}
            return checks["database"].outcome == outcome

        await eventually(lambda: comes_to("block"), "a blocked database", poll_s=0.5)
    finally:
        await connection.execute(f"ALTER DATABASE {desk.database} RESET default_transaction_read_only")
        await eventually(lambda: comes_to("ok"), "a database that takes writes again", poll_s=0.5)
        await connection.close()


async def test_start_3_instruments_of_yesterday_are_said_with_their_age(desk: Desk) -> None:
    """A start without a new dump goes on with the last one; preflight, engine room and screen name its day."""
    desk.changed(venue={"linger_s": LINGER_S})
    await ensure_database(desk.server_dsn, desk.database, template=TEMPLATE)
    async with open_host(desk.configuration, desk.locations, read_only=False, with_door=False) as host:
        today, exchange = host.engine.day.today(), Exchange(host.exchange.root)
        rows = (await host.client.operations()).instruments_rows
    connection = await asyncpg.connect(with_database(desk.server_dsn, desk.database))
    await connection.execute(AGE_BY_A_DAY)
    await connection.close()
    await exchange.fault("error_503", path="/instruments", count=50)
    async with desk.opened() as host:
        client, day = host.client, today - timedelta(days=1)
        view = await client.operations()
        assert (view.instruments_day, view.instruments_rows) == (day, rows)
        assert f"is of {day:%d %b}" in view.instruments_note
        check = next(check for check in (await client.doctor()).checks if check.name == "instruments")
        assert check.outcome == "note"
        assert f"of {day:%d %b %Y}" in check.message
        assert any(f"{day:%d %b}" in sentence for sentence in client.desk().status.degraded)
        assert await client.search("nifty 24000 ce w0"), "what is known can still be found"
