"""An engine behind its URL: commands, scripts and the desk use it as they use one that runs here."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from engine.core.commands import SetMode
from engine.core.errors import EngineGone, Forbidden, InvalidInput, SetupError, Unauthorized
from engine.core.orders import OrderState
from engine.core.vocabulary import Mode
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import REPOSITORY, Console, Headless, environment, new_console, served_console
from tests.kit.desk_host import Option, comes_to, live_chain, say
from tests.kit.local_door import until
from workstation.cli.exit_codes import ExitCode
from workstation.scripting import connect

EXAMPLE_S = 60.0


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A configuration file and a data folder of the test's own."""
    with new_console(postgres_server, request.node.nodeid) as made:
        yield made


@pytest.fixture(scope="module")
def shared(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[tuple[Console, Headless]]:
    """A served engine for all tests that do not disturb each other."""
    with served_console(postgres_server, request.node.nodeid) as made:
        yield made


def test_commands_use_the_engine_at_a_url(shared: tuple[Console, Headless]) -> None:
    """Looking needs a read token, acting a trade token; each says through which engine it went."""
    console, engine = shared
    url, reading, trading = engine.ready["url"], console.token("read"), console.token("trade")
    before = console.orders()
    chain = console.run("--connect", url, "chain", "NIFTY", "--json", token=reading)
    assert chain.code == 0, chain.words
    assert f"through the engine at {url}" in chain.words
    assert chain.data["header"]["underlying"] == "NIFTY"
    order = ("order", "buy 1L nifty atm ce w0 @ ask+2", "--yes", "--json")
    refused = console.run("--connect", url, *order, token=reading)
    assert refused.code == ExitCode.REFUSED
    assert "needs the scope trade" in refused.words
    done = console.run("--connect", url, *order, token=trading)
    assert done.code == 0, done.words
    new = {order["number"] for order in console.run("orders", "--json").data} - {order.number for order in before}
    assert new == {order["number"] for order in done.data["receipt"]["orders"]}, "the refused one must not be there"
    assert len(new) == 1


def test_what_does_not_go_with_a_url_is_refused_in_words(console: Console) -> None:
    """A token on the command line does not exist; markets and secrets are this machine's."""
    for words, said in (
        (("--connect", "http://127.0.0.1:1", "orders"), "not a URL"),
        (("--connect", "ws://desk.example:8642", "orders"), "SSH tunnel"),
        (("--connect", "ws://127.0.0.1:1?token=x", "orders"), "no query"),
        (("--connect", "ws://127.0.0.1:1", "--seed", "8", "orders"), "own market"),
        (("--connect", "ws://127.0.0.1:1", "token", "list"), "about this machine"),
    ):
        refused = console.run(*words, token="x")
        assert refused.code == ExitCode.USAGE, refused.words
        assert said in refused.words
    assert console.run("--connect", "ws://127.0.0.1:1", "orders").code == ExitCode.SETUP
    nobody = console.run("--connect", "ws://127.0.0.1:1", "orders", token="x")
    assert nobody.code == ExitCode.UNAVAILABLE
    assert "No engine answers" in nobody.words


def test_a_token_file_others_may_read_is_refused(shared: tuple[Console, Headless]) -> None:
    """And one of mode 600 is taken."""
    console, engine = shared
    file = console.data.parent / "token"
    file.write_text(console.token("read"), encoding="ascii")
    file.chmod(0o644)
    words = ("--connect", engine.ready["url"], "--token-file", str(file), "funds")
    refused = console.run(*words)
    assert refused.code == ExitCode.SETUP
    assert "chmod 600" in refused.words
    file.chmod(0o600)
    assert console.run(*words).code == 0


async def test_a_script_connects_by_url_with_the_same_types(shared: tuple[Console, Headless]) -> None:
    """An order placed by one client is watched by another, and both see the same events."""
    console, engine = shared
    url, token = engine.ready["url"], console.token("trade")
    async with connect(url, token=token) as first, connect(url, token=token) as second:
        assert isinstance(first, RemoteClient)
        assert isinstance(second, RemoteClient)
        assert first.seat != second.seat
        orders, events = (await second.next_orders()).sequence, (await second.next_events()).sequence
        option = Option(await live_chain(first), "ce")
        receipt = await say(first, f"buy 1L {option.words} @ {option.low}")
        changes = await asyncio.wait_for(second.next_orders(orders), 10)
        assert changes.orders[0].number == receipt.orders[0].number
        mode = first.desk().status.mode
        await first.submit(SetMode(mode=Mode.READ), seat="somebody else")
        seen = await asyncio.wait_for(second.next_events(events), 10)
        assert first.seat in {event.seat for event in seen.events}, "nobody acts under another's name"
        await first.submit(SetMode(mode=mode))


async def test_what_is_wrong_with_a_url_is_said(shared: tuple[Console, Headless]) -> None:
    """A bad token, a data folder beside a URL, no token at all."""
    console, engine = shared
    url = engine.ready["url"]
    with pytest.raises(Unauthorized):
        async with connect(url, token="ey.no.token"):
            pass
    with pytest.raises(InvalidInput, match="one or the other"):
        async with connect(url, token="x", data=console.data):
            pass
    with pytest.raises(SetupError, match="no token"):
        async with connect(url):
            pass
    foreign = console.token("trade", ["ZZ9999"])
    async with connect(url, token=foreign) as client:
        assert (await client.search("nifty atm"))[:0] == ()
        with pytest.raises(Forbidden):
            client.desk()
        with pytest.raises(Forbidden):
            await client.orders()


async def test_killed_and_started_again_the_engine_is_found_again(console: Console) -> None:
    """After kill -9 and a start on the same port a script that kept its link goes on; the order is still there."""
    engine = await asyncio.to_thread(console.serving)
    url, token = engine.ready["url"], console.token("trade")
    async with connect(url, token=token) as client:
        assert isinstance(client, RemoteClient)
        option = Option(await live_chain(client), "ce")
        receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
        number = receipt.orders[0].number
        await comes_to(client, number, OrderState.OPEN)
        await asyncio.to_thread(engine.end, signal.SIGKILL)
        with pytest.raises(EngineGone):
            await client.orders()
        port = url.rpartition(":")[2].partition("/")[0]
        engine = await asyncio.to_thread(console.headless, "--port", port, command="serve")
        try:
            await until(lambda: not client.link_lost, "the link up")
            assert (await comes_to(client, number, OrderState.OPEN)).number == number
        finally:
            await asyncio.to_thread(engine.end)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("print_chain.py", (), "max pain"),
        ("place_and_watch.py", ("--key", "afar"), "COMPLETE: 65 units"),
        ("straddle_alert.py", ("--above", "1"), "straddle"),
    ],
)
def test_the_examples_run_on_an_engine_elsewhere(
    shared: tuple[Console, Headless], name: str, arguments: tuple[str, ...], says: str
) -> None:
    """Nothing in them knows where the engine lives."""
    console, engine = shared
    home = console.data.parent
    said = subprocess.run(
        [sys.executable, str(REPOSITORY / "examples" / name), *arguments, "--connect", engine.ready["url"]],
        cwd=home,
        env={**environment(home), "WORKSTATION_TOKEN": console.token("trade"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=EXAMPLE_S,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert says in said.stdout
