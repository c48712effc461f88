"""``workstation serve`` as a process of its own: ready, reachable, unshaken by signals, gone in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine.core.orders import OrderState
from engine.core.vocabulary import QuoteState
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import REPOSITORY, Console, Headless, environment, new_console, served_console
from tests.kit.desk_host import Exchange, Option, comes_to, live_chain, say
from tests.kit.local_door import until
from tests.security.certificates import make_pair
from workstation.cli.exit_codes import ExitCode

RESTING = "buy 1L nifty 24250 ce w0 @ bid-10"
STOP_S = 5.0
PATIENCE_S = 20.0
WITNESS = """
import sys
from workstation.cli.main import main
code = main(sys.argv[1:])
loaded = sorted(name for name in sys.modules if name.split(".")[0] == "textual")
print("loaded", loaded, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A configuration file and a data folder."""
    with new_console(postgres_server, request.node.nodeid) as made:
        yield made


@pytest.fixture
def engine(console: Console) -> Iterator[Headless]:
    """An engine with a web door, of the test's own."""
    served = console.serving()
    try:
        yield served
    finally:
        served.end()


@pytest.fixture(scope="module")
def shared(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[tuple[Console, Headless]]:
    """One for all tests that it has to survive."""
    with served_console(postgres_server, request.node.nodeid) as made:
        yield made


def port_of(engine: Headless) -> int:
    """Where it listens."""
    return int(engine.ready["url"].rpartition(":")[2].partition("/")[0])


def get(engine: Headless, path: str, **options: Any) -> httpx.Response:
    """Ask over plain HTTP."""
    root = engine.ready["url"].replace("ws", "http", 1).removesuffix("/v1")
    return httpx.get(root + path, timeout=5.0, trust_env=False, **options)


@contextlib.asynccontextmanager
async def attached(engine: Headless, token: str) -> AsyncIterator[RemoteClient]:
    """A client at the web door."""
    client = await RemoteClient.connect(engine.ready["url"], token=token)
    try:
        yield client
    finally:
        await client.close()


def ended_within(engine: Headless, how: signal.Signals, seconds: float) -> int:
    """End the engine; fail when it takes longer."""
    began = time.monotonic()
    code = engine.end(how, patience_s=2 * seconds)
    taken = time.monotonic() - began
    assert taken < seconds, f"it took {taken:.1f} s"
    return code


def test_it_says_when_it_is_ready(shared: tuple[Console, Headless]) -> None:
    """One line of JSON names process, socket, URL and account; words for a person say how to make a token."""
    console, engine = shared
    assert engine.ready["ready"] is True
    assert engine.ready["pid"] == engine.process.pid
    assert engine.ready["url"] == f"ws://127.0.0.1:{port_of(engine)}/v1"
    assert Path(engine.ready["socket"]).is_socket()
    assert engine.ready["account"]
    assert get(engine, "/health").json() == {"status": "ok"}
    ready = get(engine, "/ready")
    assert (ready.status_code, ready.json()["reasons"]) == (200, [])
    assert engine.ready["account"] not in ready.text
    words = (console.data.parent / "headless.words").read_text()
    assert engine.ready["url"] in words
    assert f"workstation --data {console.data}" in words
    assert "token create --scope read" in words


def test_commands_go_through_it(shared: tuple[Console, Headless]) -> None:
    """The Unix socket is there as ever: commands of this machine need no token."""
    console, engine = shared
    said = console.run("funds", "--json")
    assert said.code == ExitCode.DONE
    assert "through the engine that runs here" in said.words
    assert engine.process.poll() is None


def test_no_screen_is_loaded(console: Console) -> None:
    """From start to end of a served engine, client included, Textual is never imported."""
    words = console.words("serve", "--port", "0")
    process = subprocess.Popen(
        [sys.executable, "-c", WITNESS, *words[words.index("--data") :]],
        cwd=REPOSITORY,
        env=environment(console.data.parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], 40.0)
    assert readable, "it was not ready in time"
    engine = Headless(process, json.loads(process.stdout.readline()))
    console.desk.note_exchange()
    token = console.token("read")
    assert get(engine, "/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert process.returncode == ExitCode.DONE, said
    assert "loaded []" in said


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_time(console: Console, engine: Headless, how: signal.Signals) -> None:
    """SIGTERM and Ctrl-C with a resting order: ended in time with code 0, the order is kept and rests on."""
    assert console.run("order", RESTING, "--yes", "--json").code == ExitCode.DONE
    assert ended_within(engine, how, STOP_S) == ExitCode.DONE
    assert not list(console.desk.locations.run.glob("*.sock"))
    (order,) = console.run("orders", "--json").data
    assert order["state"] in {"OPEN", "ACCEPTED"}


def test_a_hang_up_changes_nothing(shared: tuple[Console, Headless]) -> None:
    """SIGHUP, as when the SSH session that started it goes, leaves it running and reachable."""
    console, engine = shared
    for _ in range(3):
        engine.process.send_signal(signal.SIGHUP)
    assert console.run("funds").code == ExitCode.DONE
    assert get(engine, "/health").status_code == 200
    assert engine.process.poll() is None


async def test_it_ends_in_time_whatever_is_going_on(console: Console, engine: Headless) -> None:
    """Orders that the broker does not answer, clients that froze and half requests: still ended within the time.

    Nothing is sent twice and nothing forgotten: what was on the wire is journalled, and known after the next start.
    """
    token = console.token("trade")
    exchange = Exchange(engine.ready["exchange_root"])
    halves = []
    async with attached(engine, token) as client:
        option = Option(await live_chain(client), "ce")
        await exchange.fault("hold", method="POST", path="/orders", count=10, seconds=30.0)
        receipts = [await say(client, f"buy 1L {option.words} @ {option.low}") for _ in range(3)]
        numbers = [receipt.orders[0].number for receipt in receipts]
        for number in numbers[:1]:
            await comes_to(client, number, OrderState.SENDING)
        for _ in range(20):
            half = socket.create_connection(("127.0.0.1", port_of(engine)))
            half.sendall(b"GET /v1 HTTP/1.1\r\n")
            halves.append(half)
        frozen = [await frozen_client(engine, token) for _ in range(3)]
        await asyncio.to_thread(ended_within, engine, signal.SIGTERM, STOP_S)
        assert engine.process.returncode == ExitCode.DONE
    for half in halves:
        half.close()
    for connection in frozen:
        connection.transport.abort()
        await connection.wait_closed()
    again = await asyncio.to_thread(console.serving)
    try:
        async with attached(again, token) as client:
            for number in numbers:
                settled = (OrderState.OPEN, OrderState.NOT_SENT, OrderState.PRESUMED_ABSENT)
                await comes_to(client, number, *settled, patience_s=PATIENCE_S)
        posts = await Exchange(again.ready["exchange_root"]).posts()
        assert all(count <= 1 for count in posts.values()), posts
    finally:
        await asyncio.to_thread(again.end)


async def frozen_client(engine: Headless, token: str) -> Any:
    """A client that follows the desk and reads nothing."""
    connection = await connect(
        engine.ready["url"],
        additional_headers={"Authorization": f"Bearer {token}"},
        proxy=None,
        compression=None,
        ping_interval=None,
    )
    connection.transport.pause_reading()
    for topic in ("desk", "orders", "events"):
        call = {"jsonrpc": "2.0", "id": 1, "method": "follow", "params": {"topic": topic}}
        await connection.send(msgspec.json.encode(call).decode())
    return connection


def test_killed_it_starts_again_clean(console: Console) -> None:
    """After kill -9 the same command starts on the same port; tokens, orders and the account are as they were."""
    first = console.serving()
    token = console.token("trade")
    assert console.run("order", RESTING, "--yes", "--json").code == ExitCode.DONE
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(5)
    first.end()
    second = console.headless("--port", str(port_of(first)), command="serve")
    try:
        assert second.ready["account"] == first.ready["account"]
        assert get(second, "/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        (order,) = console.run("orders", "--json").data
        assert order["state"] in {"OPEN", "ACCEPTED"}
        assert console.run("order", f"cancel o{order['number']}", "--yes").code == ExitCode.DONE
    finally:
        assert second.end() == ExitCode.DONE


def test_a_port_that_is_taken(console: Console) -> None:
    """Said in words with what to do, code 4, before anything else is started."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        began = time.monotonic()
        said = console.run("serve", "--port", str(port))
        taken = time.monotonic() - began
    assert said.code == ExitCode.SETUP
    assert f"port {port}" in said.words
    assert "--port" in said.words
    assert said.out == ""
    assert not console.desk.exchange_folder.exists()
    assert taken < PATIENCE_S


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--host", "0.0.0.0"), "--tls-certificate"),  # noqa: S104 - what must be refused
        (("--tls-certificate", "nothing.pem"), "tls_key is not set"),
        (("--port", "70000"), "65535"),
        (("--host", "192.0.2.1"), "192.0.2.1"),
    ],
)
def test_what_would_be_unsafe_or_impossible(console: Console, options: tuple[str, ...], words: str) -> None:
    """Refused in words with code 4; no engine is left behind."""
    said = console.run("serve", *options)
    assert said.code == ExitCode.SETUP
    assert words in said.words
    assert not console.engine_processes()


def test_a_second_engine_says_so(shared: tuple[Console, Headless]) -> None:
    """Another served engine on the data folder is refused, whatever its port; the first goes on."""
    console, engine = shared
    said = console.run("serve", "--port", "0")
    assert said.code == ExitCode.SETUP
    assert "already" in said.words
    assert get(engine, "/health").status_code == 200


async def test_over_tls(console: Console) -> None:
    """With a certificate the URL is wss, and a client that trusts it is served."""
    pair = make_pair(console.data.parent)
    files = ("--tls-certificate", str(pair.certificate), "--tls-key", str(pair.key))
    engine = await asyncio.to_thread(console.serving, *files)
    try:
        assert engine.ready["url"].startswith("wss://127.0.0.1:")
        token = console.token("read")
        client = await RemoteClient.connect(engine.ready["url"], token=token, tls=pair.trusting())
        assert client.desk().status.account == engine.ready["account"]
        await client.close()
    finally:
        assert await asyncio.to_thread(engine.end) == ExitCode.DONE


async def test_a_token_from_its_making_to_its_end(console: Console, engine: Headless) -> None:
    """Made, used, held to its scope by the real engine, revoked by a command: the attached client is closed at once."""
    made = await asyncio.to_thread(console.run, "token", "create", "--scope", "read", "--expires", "1h")
    token = made.out.strip()
    listed = await asyncio.to_thread(console.run, "token", "list", "--json")
    (record,) = listed.data
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        connect(engine.ready["url"], additional_headers=headers, proxy=None) as raw,
        attached(engine, token) as client,
    ):
        view = await live_chain(client)
        assert QuoteState.LIVE in set(view.calls.state.tolist())
        order = {"type": "cancel_orders", "everything": True}
        call = {"jsonrpc": "2.0", "id": 1, "method": "submit", "params": {"command": order}}
        await raw.send(msgspec.json.encode(call).decode())
        refusal = msgspec.json.decode(await asyncio.wait_for(raw.recv(), 5))
        assert "needs the scope kill or trade" in refusal["error"]["message"]
        revoked = await asyncio.to_thread(console.run, "token", "revoke", record["id"])
        assert revoked.code == ExitCode.DONE
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(raw.recv(), PATIENCE_S)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1008, "this token was revoked")
        await until(lambda: client.link_lost, "the other client's end")
    with pytest.raises(InvalidStatus) as refused:
        await connect(engine.ready["url"], additional_headers=headers, proxy=None)
    assert refused.value.response.status_code == 401
    audit = console.desk.locations.audit(console.desk.venue).read_text()
    kinds = [json.loads(line)["kind"] for line in audit.splitlines()]
    assert {"token_created", "door_opened", "attached", "forbidden", "token_revoked", "ended", "unauthorized"} <= set(
        kinds
    )
    assert token not in audit
    logged = "".join(path.read_text() for path in console.desk.locations.logs.glob("*.log"))
    assert token not in logged
    assert token.rpartition(".")[2] not in logged


async def test_two_terminals_see_the_same(shared: tuple[Console, Headless]) -> None:
    """An order placed by one is seen by the other and by a command of this machine, with one number and one tag."""
    console, engine = shared
    token = console.token("trade")
    async with attached(engine, token) as first, attached(engine, token) as second:
        option = Option(await live_chain(first), "ce")
        await live_chain(second)
        receipt = await say(first, f"buy 1L {option.words} @ {option.low}")
        number = receipt.orders[0].number
        await comes_to(first, number, OrderState.OPEN)
        await until(lambda: any(row.number == number for row in second.desk().orders), "the order at the other")
        here = await asyncio.to_thread(console.run, "orders", "--json")
        assert [order["number"] for order in here.data] == [number]
        assert first.seat != second.seat
