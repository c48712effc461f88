"""What breaks in a day: database, exchange, port, session. Each is said in words, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from engine.brokers.kite.session import KiteCredentials
from engine.client import EngineClient
from engine.core.errors import SetupError
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState
from engine.core.vocabulary import QuoteState, Severity
from storage.databases import ensure_database
from storage.embedded import EmbeddedPostgres
from storage.migrate import upgrade
from tests.kit.database import TEMPLATE, run_apart
from tests.kit.desk_host import (
    BROKER_POLL_S,
    Desk,
    Exchange,
    Option,
    comes_to,
    eventually,
    filled,
    live_chain,
    main_strategy,
    new_desk,
    processes_naming,
    record_of,
    say,
    short_data_folder,
    until,
)
from tests.kit.practice_process import PracticeProcess
from workstation import assembly, venue_parts


async def make_template(server: EmbeddedPostgres) -> None:
    """A migrated database for new ones to be copied from."""
    await ensure_database(server.dsn(), TEMPLATE)
    await upgrade(server.dsn(TEMPLATE))


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A database server that a test may kill."""
    server = EmbeddedPostgres(folder / "pg", max_connections=40, test_mode=True)
    server.start()
    try:
        run_apart(make_template(server))
        yield server
    finally:
        server.stop()


async def test_an_exchange_that_dies_comes_back(desk: Desk) -> None:
    """Kill -9 of the exchange: the feed is STALE and entries are refused; then it is LIVE and all orders are there."""
    async with desk.opened() as host:
        client = host.client
        option = Option(await live_chain(client), "ce")
        held = await filled(client, f"buy 1L {option.words} @ ask+2")
        receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
        resting = await comes_to(client, receipt.orders[0].number, OrderState.OPEN)
        os.kill(host.exchange.pid, signal.SIGKILL)
        await until(lambda: client.desk().status.feed.state is QuoteState.STALE, "a stale feed")
        refused = await say(client, f"buy 1L {option.words} @ {option.low}")
        assert not refused.accepted
        assert "STALE" in refused.message
        await until(lambda: client.desk().status.feed.state is QuoteState.LIVE, "a live feed again")
        desk.note_exchange()
        await until(
            lambda: (
                (quote := client.quote(option.token)) is not None
                and quote.state is QuoteState.LIVE
                and quote.bid is not None
            ),
            "a live quote with its book",
        )
        await until(lambda: client.desk().status.degraded == (), "a whole desk")
        orders = {record.number: record for record in await client.orders()}
        assert orders[held.number] == held
        assert orders[resting.number].state is OrderState.OPEN
        again = await filled(client, f"sell 1L {option.words} @ bid-2")
        assert again.filled_quantity == option.lot
        posts = await Exchange(host.exchange.root).posts()
        assert set(posts.values()) == {1}
        feed = [event.severity for event in await client.events() if event.subject == "feed"]
        # Connected, lost, connected again.
        assert feed == [Severity.INFO, Severity.ATTENTION, Severity.INFO]


async def test_a_database_that_goes_and_comes() -> None:
    """Without the database entries are refused in words and fills are kept; with it everything is written."""
    with short_data_folder() as folder, own_server(folder) as server, new_desk(server, "own database") as desk:
        async with desk.opened() as host:
            client = host.client
            exchange = Exchange(host.exchange.root)
            option = Option(await live_chain(client), "ce")
            held = await filled(client, f"buy 2L {option.words} @ ask+2")
            working = [
                (await say(client, sentence)).orders[0]
                for sentence in (f"buy 1L {option.words} @ bid-5", f"sell 1L {option.words} @ ask+5")
            ]
            for record in working:
                await comes_to(client, record.number, OrderState.OPEN)
            posts = await exchange.posts()
            before = (await exchange.ask("GET", "/practice/status"))["trades"]
            pid = server.process_id()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(lambda: not server.is_running(), "the end of the database")
            refused = await say(client, f"buy 1L {option.words} @ {option.low}")
            assert not refused.accepted
            assert "journal" in refused.message
            assert "not sent" in refused.message or "nothing sent" in refused.message or "wait" in refused.message
            assert await exchange.posts() == posts
            # The picture goes on: prices, orders and money are in memory.
            assert client.desk().status.feed.state is QuoteState.LIVE
            assert (await main_strategy(client)).open_legs == 1

            async def one_has_filled() -> bool:
                return bool((await exchange.ask("GET", "/practice/status"))["trades"] > before)

            # A fill happens meanwhile.
            await exchange.speed(60)
            await eventually(one_has_filled, "a fill without a database")
            await exchange.speed(1)
            await until(lambda: client.desk().status.degraded != (), "the word that something is wrong")
            await asyncio.to_thread(server.start)
            number = await eventually(lambda: _accepted(client, f"sell 1L {option.words} @ bid-2"), "an accepted order")
            await comes_to(client, number, OrderState.COMPLETE)

            async def agrees() -> bool:
                theirs = sum(position.signed_quantity for position in await client.positions())
                legs = (await main_strategy(client)).legs
                return sum(item.leg.holding.signed_quantity for item in legs) == theirs

            await eventually(agrees, "a ledger that agrees with the broker", poll_s=BROKER_POLL_S)
            await until(lambda: client.desk().status.degraded == (), "a whole desk")
            assert (await record_of(client, held.number)).state is OrderState.COMPLETE
            trades = await client.trades()
        async with desk.opened() as host:
            assert await host.client.trades() == trades
            assert host.client.desk().status.degraded == ()


async def _accepted(client: EngineClient, sentence: str) -> OrderNumber | None:
    receipt = await say(client, sentence)
    return receipt.orders[0].number if receipt.accepted else None


async def test_a_session_that_is_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the broker ended the session the desk says so, sends no entry, and loses nothing."""
    with PracticeProcess(desk.exchange_folder, seed=desk.configuration.venue.seed) as exchange:
        async with httpx.AsyncClient(base_url=exchange.root) as http:
            page = await http.get("/connect/login", params={"api_key": "practice", "v": "3"}, follow_redirects=True)
            request_token = page.json()["data"]["request_token"]
            checksum = hashlib.sha256(f"practice{request_token}practice".encode()).hexdigest()
            form = {"api_key": "practice", "request_token": request_token, "checksum": checksum}
            token = (await http.post("/session/token", data=form)).json()["data"]["access_token"]
            monkeypatch.setattr(venue_parts, "practice_credentials", lambda _: KiteCredentials("practice", token))
            async with assembly.open_host(desk.configuration, desk.locations, read_only=False, with_door=False) as host:
                client = host.client
                option = Option(await live_chain(client), "ce")
                receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
                resting = await comes_to(client, receipt.orders[0].number, OrderState.OPEN)
                await http.delete("/session/token", params={"api_key": "practice", "access_token": token})
                posts = await Exchange(exchange.root).posts()

                def says_so() -> bool:
                    return any("log in again" in text.casefold() for text in client.desk().status.degraded)

                await until(says_so, "the word that the session is over")
                refused = await say(client, f"buy 1L {option.words} @ {option.low}")
                assert not refused.accepted
                assert "login" in {violation.check for violation in refused.violations}
                assert await Exchange(exchange.root).posts() == posts
                assert (await record_of(client, resting.number)).state is OrderState.OPEN
                checks = {check.name: check for check in (await client.doctor()).checks}
                assert checks["login"].outcome == "block"
                assert "log in" in checks["login"].message.casefold()


async def test_a_port_of_ones_own_that_is_taken(desk: Desk) -> None:
    """A configured port that somebody else has is named; with no port set another is taken without a word."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        desk.changed(venue={"port": port})
        with pytest.raises(SetupError, match=f"Port {port} on 127.0.0.1 is in use"):
            async with desk.opened():
                pass
        desk.changed(venue={"port": 0})
        (desk.exchange_folder / "exchange.json").write_text(f'{{"port": {port}, "pid": 1}}')
        # Somebody answers at the port of last time, and it is not the exchange.
        async with desk.opened() as host:
            assert host.exchange.port != port
            await live_chain(host.client)


async def test_a_missing_file_is_named(desk: Desk, tmp_path: Path) -> None:
    """A snapshot that is not there keeps the desk from starting, by its name; no process is left."""
    desk.changed(venue={"snapshot": str(tmp_path / "chain.json"), "start": "auto"})
    with pytest.raises(SetupError, match=r"no file .*chain\.json"):
        async with assembly.open_host(desk.configuration, desk.locations, read_only=False, with_door=False):
            pass
    assert processes_naming(desk.locations.data) == []
    desk.changed(venue={"snapshot": ""})
