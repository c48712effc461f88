"""``connect`` and the examples: scripts that use the desk's engine, or one of their own for the moment."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.client import EngineClient
from engine.core.errors import SetupError
from engine.core.orders import OrderState
from engine.local_client import LocalClient
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import REPOSITORY, Console, environment, new_console
from tests.integration.engine import made_chain
from tests.kit.desk_host import Desk, Option, comes_to, live_chain, say, short_data_folder
from workstation.scripting import connect

EXAMPLE_S = 90.0


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A configuration file and a data folder for scripts."""
    with new_console(postgres_server, request.node.nodeid) as made:
        yield made


async def test_connect_uses_the_engine_that_runs(console: Console) -> None:
    """With an engine on the data folder the script is its client, and what it did stays with that engine."""
    engine = await asyncio.to_thread(console.headless)
    try:
        async with connect(data=console.data, config=console.configuration) as client:
            assert isinstance(client, RemoteClient)
            number = await rest_one(client)
        assert [order["number"] for order in console.run("orders", "--json").data] == [number]
        assert engine.process.poll() is None
    finally:
        await asyncio.to_thread(engine.end)


async def test_connect_opens_one_for_the_moment(console: Console) -> None:
    """Without an engine the script has its own, which commands can use meanwhile and which is gone afterwards."""
    async with connect(data=console.data, config=console.configuration) as client:
        console.desk.note_exchange()
        assert isinstance(client, LocalClient)
        number = await rest_one(client)
        orders = await asyncio.to_thread(console.run, "orders", "--json")
        assert [order["number"] for order in orders.data] == [number]
        assert orders.words.startswith("through the engine that runs here")
        async with connect(data=console.data, config=console.configuration) as second:
            assert isinstance(second, RemoteClient)
    await console.desk.exchange_ended()
    assert not list(console.desk.locations.run.glob("*.sock"))


async def rest_one(client: EngineClient) -> int:
    """Place an order that rests; its number."""
    option = Option(await live_chain(client), "ce")
    receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
    return int((await comes_to(client, receipt.orders[0].number, OrderState.OPEN)).number)


async def test_two_scripts_at_once_share_one_engine(console: Console) -> None:
    """Both are served, by the engine of the one that was faster."""
    ready = asyncio.Barrier(2)

    async def script() -> type[EngineClient]:
        async with connect(data=console.data, config=console.configuration) as client:
            console.desk.note_exchange()
            await client.expiries("NIFTY")
            await ready.wait()
            return type(client)

    kinds = await asyncio.gather(script(), script())
    assert set(kinds) == {LocalClient, RemoteClient}
    await console.desk.exchange_ended()


async def test_what_is_wrong_is_said(desk: Desk, tmp_path: Path) -> None:
    """A configuration that is not there, and a snapshot that is not there, are named."""
    with pytest.raises(SetupError, match="no configuration file"):
        async with connect(data=desk.locations.data, config=tmp_path / "no.toml"):
            pass
    (tmp_path / "empty.toml").touch()
    with pytest.raises(SetupError, match=r"no file .*no\.json"):
        async with connect(
            data=desk.locations.data, config=tmp_path / "empty.toml", snapshot=tmp_path / "no.json", start="auto"
        ):
            pass


def run_example(name: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of ``examples`` as a person would."""
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "examples" / name), *arguments],
        cwd=home,
        env={**environment(home), "WORKSTATION_VENUE_LINGER_S": "0.5"},
        capture_output=True,
        text=True,
        timeout=EXAMPLE_S,
        check=False,
    )


def test_the_examples_from_an_empty_home() -> None:
    """With their own database: a chain around the money; an order watched to COMPLETE, once for one key; an alert."""
    with short_data_folder() as home:
        place = ("--data", str(home / "d"))
        chain = run_example("print_chain.py", home, *place)
        assert chain.returncode == 0, chain.stderr
        assert "max pain" in chain.stdout
        said = run_example("place_and_watch.py", home, *place)
        assert said.returncode == 0, said.stderr
        made = re.search(r"o\d+ COMPLETE: 65 units", said.stdout)
        assert made is not None, said.stdout
        assert "CE +65 at" in said.stdout
        assert said.stderr == ""
        again = run_example("place_and_watch.py", home, *place)
        assert again.returncode == 0, again.stderr
        assert made[0] in again.stdout, "the same key must not make a second order"
        assert "used before" in again.stdout
        alert = run_example("straddle_alert.py", home, "--above", "1", *place)
        assert alert.returncode == 0, alert.stderr
        assert "straddle" in alert.stdout


def test_the_report_on_made_files(tmp_path: Path) -> None:
    """The report of the real-input example says that all agrees, and fills an order."""
    chain = made_chain.write_snapshot(tmp_path / "chain.json", "older", made_chain.CLOSE)
    dump = made_chain.write_dump(tmp_path / "instruments.csv")
    with short_data_folder() as home:
        said = run_example("real_input_report.py", home, str(dump), str(chain))
    assert said.returncode == 0, said.stderr
    printed = sum(made.volatility > 0 for made in made_chain.chain())
    assert f"{printed} of {printed} printed agree within 0.006" in said.stdout
    assert re.search(r"o\d+ COMPLETE: BUY 65", said.stdout) is not None
    assert "extended" in said.stdout
