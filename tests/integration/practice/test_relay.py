"""Paper trading: a second exchange relays the first one's feed, and keeps every order to itself."""

from __future__ import annotations

import ast
import asyncio
import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import engine.practice
from tests.integration.practice.conftest import DEADLINE_SECONDS, eventually
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess

QUERY = "/?api_key=practice&access_token=practice"
NIFTY = 256265
QUIET_SECONDS = 2.5
"""Longer than two heartbeats."""
SENDERS = {"post", "put", "delete", "patch", "request"}


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[PracticeProcess]:
    """The feed: a made-up market on a port that it keeps over a restart."""
    with PracticeProcess(tmp_path / "upstream") as process:
        yield process


def relay_of(
    upstream: PracticeProcess, state: Path, monkeypatch: pytest.MonkeyPatch, token: str = ACCESS_TOKEN
) -> PracticeProcess:
    """An exchange that relays it; not started."""
    monkeypatch.setenv("WORKSTATION_RELAY_KEY", API_KEY)
    monkeypatch.setenv("WORKSTATION_RELAY_TOKEN", token)
    arguments = ["--relay", "--relay-root", upstream.root, "--relay-stream", upstream.websocket, "--step", "0.1"]
    return PracticeProcess(state, arguments=arguments)


@pytest.fixture
def relay(upstream: PracticeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PracticeProcess]:
    """The relay."""
    with relay_of(upstream, tmp_path / "relay", monkeypatch) as process:
        eventually(lambda: process.status()["upstream"]["is_live"], "the upstream's first packet")
        yield process


@pytest.fixture
def paper(relay: PracticeProcess, official: Callable[..., Any]) -> Any:
    """The official client at the relay."""
    return official(relay)


def a_call(kite: Any) -> dict[str, Any]:
    """An at-the-money call of the nearest expiry."""
    spot = kite.ltp("NSE:NIFTY 50")["NSE:NIFTY 50"]["last_price"]
    calls = [row for row in kite.instruments("NFO") if row["name"] == "NIFTY" and row["instrument_type"] == "CE"]
    nearest = min(row["expiry"] for row in calls)
    return min((row for row in calls if row["expiry"] == nearest), key=lambda row: abs(row["strike"] - spot))


def stands_still(process: PracticeProcess) -> None:
    """Let the made-up market of the upstream stand still."""
    process.request("POST", "/practice/clock", {"speed": 0})


def test_the_relay_shows_the_upstreams_market(
    upstream: PracticeProcess, relay: PracticeProcess, paper: Any, official: Callable[..., Any]
) -> None:
    """Instruments byte for byte, market time, quotes of what it carries and of what it does not, candles."""
    stands_still(upstream)
    source = official(upstream)
    assert paper.instruments("NFO") == source.instruments("NFO")
    call = a_call(paper)
    name = f"NFO:{call['tradingsymbol']}"
    eventually(lambda: same_quote(paper, source, name), "the upstream's quote of the call")
    eventually(lambda: same_quote(paper, source, "NSE:NIFTY 50"), "the upstream's quote of the index")
    day = "2026-11-19"
    token = call["instrument_token"]
    assert paper.historical_data(token, day, day, "day") == source.historical_data(token, day, day, "day")
    assert relay.status()["source"] == "relay"
    assert abs(relay.status()["market_epoch"] - upstream.status()["market_epoch"]) < DEADLINE_SECONDS


def same_quote(paper: Any, source: Any, name: str) -> bool:
    """Whether both say the same of an instrument."""
    fields = ("last_price", "ohlc", "volume", "oi", "depth")
    mine, theirs = paper.quote(name)[name], source.quote(name)[name]
    return all(mine.get(field) == theirs.get(field) for field in fields)


def test_orders_are_filled_here_and_never_go_upstream(
    upstream: PracticeProcess, relay: PracticeProcess, paper: Any, official: Callable[..., Any]
) -> None:
    """At the upstream's touch; the upstream's log of orders stays empty; the book survives a kill."""
    stands_still(upstream)
    call = a_call(paper)
    name = f"NFO:{call['tradingsymbol']}"
    eventually(lambda: same_quote(paper, official(upstream), name), "the last move before it stood still")
    ask = paper.quote(name)[name]["depth"]["sell"][0]["price"]
    order_id = paper.place_order(
        "regular",
        exchange="NFO",
        tradingsymbol=call["tradingsymbol"],
        transaction_type="BUY",
        quantity=call["lot_size"],
        order_type="LIMIT",
        product="NRML",
        price=ask,
    )
    eventually(lambda: paper.order_history(order_id)[-1]["status"] == "COMPLETE", "the fill")
    assert [trade["average_price"] for trade in paper.trades()] == [ask]
    assert relay.request("GET", "/practice/log")["order_posts"] == 1
    assert upstream.request("GET", "/practice/log")["order_posts"] == 0
    assert official(upstream).orders() == []
    assert call["instrument_token"] in {row["instrument_token"] for row in paper.positions()["net"]}
    relay.kill()
    relay.start()
    again = official(relay)
    eventually(lambda: again.positions()["net"][0]["quantity"] == call["lot_size"], "the position after the kill")
    assert again.orders()[0]["status"] == "COMPLETE"


async def heard(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> bytes | None:
    """The next binary message within some seconds, heartbeats included."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await socket.receive()
                if message.type is aiohttp.WSMsgType.BINARY:
                    return bytes(message.data)
                assert message.type is aiohttp.WSMsgType.TEXT, message
    except TimeoutError:
        return None


async def test_clients_hear_what_the_upstream_says_and_its_silence(
    upstream: PracticeProcess, relay: PracticeProcess
) -> None:
    """Ticks go on; a dead upstream is silence without heartbeats or old prices; it comes back by itself."""
    async with aiohttp.ClientSession() as session, session.ws_connect(relay.websocket + QUERY) as socket:
        await socket.send_str(json.dumps({"a": "subscribe", "v": [NIFTY]}))
        await socket.send_str(json.dumps({"a": "mode", "v": ["full", [NIFTY]]}))

        async def tick() -> int:
            while True:
                data = await heard(socket, DEADLINE_SECONDS)
                assert data is not None, "the relay fell silent"
                if len(data) > 1:
                    return int(struct.unpack(">I", data[4:8])[0])

        assert await tick() == NIFTY
        port = upstream.port
        await asyncio.to_thread(upstream.kill)
        deadline = time.monotonic() + DEADLINE_SECONDS
        while await heard(socket, QUIET_SECONDS) is not None:
            assert time.monotonic() < deadline, "the relay goes on speaking for a dead upstream"
        assert not (await asyncio.to_thread(relay.status))["upstream"]["is_live"]
        # Who subscribes now is told nothing: what is known is old.
        async with session.ws_connect(relay.websocket + QUERY) as other:
            await other.send_str(json.dumps({"a": "subscribe", "v": [NIFTY]}))
            assert await heard(other, QUIET_SECONDS) is None
        await asyncio.to_thread(restart_at, upstream, port)
        assert await tick() == NIFTY


def restart_at(process: PracticeProcess, port: int) -> None:
    """Start an exchange again where it was."""
    process._arguments[process._arguments.index("--port") + 1] = str(port)
    process.start()


def test_nothing_is_filled_while_the_upstream_is_silent(
    upstream: PracticeProcess, relay: PracticeProcess, paper: Any
) -> None:
    """The newest book is old; an order against it is rejected in words."""
    call = a_call(paper)
    upstream.kill()
    eventually(lambda: not relay.status()["upstream"]["is_live"], "the silence to be noticed")
    order_id = paper.place_order(
        "regular",
        exchange="NFO",
        tradingsymbol=call["tradingsymbol"],
        transaction_type="BUY",
        quantity=call["lot_size"],
        order_type="LIMIT",
        product="NRML",
        price=100,
    )
    eventually(lambda: paper.order_history(order_id)[-1]["status"] == "REJECTED", "the rejection")
    assert "no prices" in paper.order_history(order_id)[-1]["status_message"]


def test_a_token_that_is_not_taken_is_said(
    upstream: PracticeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start when instruments are refused; later in the status."""
    relay = relay_of(upstream, tmp_path / "relay", monkeypatch, token="expired")
    with pytest.raises(RuntimeError, match="log in anew"):
        relay.start()
    with relay_of(upstream, tmp_path / "relay", monkeypatch):
        pass
    # With the day's instruments at hand it starts, and says that the ticker is refused.
    with relay_of(upstream, tmp_path / "relay", monkeypatch, token="expired") as running:
        words = eventually(lambda: running.status()["upstream"]["words"], "the words")
    assert "log in anew" in words
    assert "WORKSTATION_RELAY_TOKEN" in words


def test_without_credentials_there_is_no_relay(
    upstream: PracticeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their variables are named."""
    relay = relay_of(upstream, tmp_path / "relay", monkeypatch, token="")
    with pytest.raises(RuntimeError, match="WORKSTATION_RELAY_TOKEN"):
        relay.start()


def test_the_relay_has_no_way_to_send_an_order() -> None:
    """Its modules call nothing that sends anything but GET, and its reads offer no such method."""
    folder = Path(engine.practice.__path__[0])
    for path in sorted(folder.glob("relay*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        names = {node.func.attr for node in calls if isinstance(node.func, ast.Attribute)}
        assert not names & SENDERS, path.name
