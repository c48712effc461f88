"""The stream: the official ticker in its own process, and raw sockets for what it hides."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.practice.conftest import DEADLINE_SECONDS, Desk
from tests.kit.practice_process import REPOSITORY, PracticeProcess

SCRIPT = Path(__file__).with_name("ticker_script.py")
QUIET_SECONDS = 2.5
"""Longer than two heartbeats."""
QUERY = "/?api_key=practice&access_token=practice"


@pytest.fixture
def ticker(exchange: PracticeProcess, desk: Desk) -> Iterator[subprocess.Popen[str]]:
    """The official ticker, subscribed to the call and the index."""
    tokens = json.dumps([desk.call["instrument_token"], 256265])
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(exchange.port), tokens],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=REPOSITORY,
    )
    with process:
        yield process
        process.kill()


def test_official_ticker_sees_depth_and_its_own_fill(ticker: subprocess.Popen[str], desk: Desk) -> None:
    """Full-mode ticks carry five levels; an order placed meanwhile comes back as an order update."""
    assert ticker.stdout is not None
    seen: dict[int, dict[str, Any]] = {}
    updates: list[dict[str, Any]] = []
    placed = None
    deadline = time.monotonic() + DEADLINE_SECONDS
    for line in ticker.stdout:
        assert time.monotonic() < deadline
        message = json.loads(line)
        if message["kind"] == "order":
            updates.append(message["data"])
            break
        seen |= {tick["instrument_token"]: tick for tick in message["data"]}
        if placed is None and len(seen) == 2:
            placed = desk.place("BUY", desk.lot, desk.quote()["depth"]["sell"][2]["price"])
    tick = seen[desk.call["instrument_token"]]
    assert tick["mode"] == "full"
    assert len(tick["depth"]["buy"]) == 5
    assert tick["depth"]["buy"][0]["price"] < tick["depth"]["sell"][0]["price"]
    assert seen[256265]["tradable"] is False
    assert updates[0]["order_id"] == placed
    assert updates[0]["status"] == "COMPLETE"
    assert updates[0]["user_id"]


async def receive(socket: aiohttp.ClientWebSocketResponse, kind: aiohttp.WSMsgType) -> Any:
    """Return the next frame of a kind that is not a heartbeat."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            message = await socket.receive()
            assert message.type not in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}, "the socket was closed"
            if message.type is kind and not (kind is aiohttp.WSMsgType.BINARY and len(message.data) == 1):
                return message.data


async def drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read what is on its way; raise TimeoutError when nothing comes for longer than two heartbeats."""
    for _ in range(5):
        await socket.receive(timeout=QUIET_SECONDS)


def packets(frame: bytes) -> dict[int, bytes]:
    """Split a frame into packet bodies by token."""
    (count,) = struct.unpack_from(">H", frame)
    offset, found = 2, {}
    for _ in range(count):
        (length,) = struct.unpack_from(">H", frame, offset)
        body = frame[offset + 2 : offset + 2 + length]
        found[struct.unpack_from(">I", body)[0]] = body
        offset += 2 + length
    assert offset == len(frame)
    return found


async def test_modes_and_unsubscription(exchange: PracticeProcess) -> None:
    """A bare subscription is in quote mode; modes change the packet's length; the rest falls silent on unsubscribe."""
    async with aiohttp.ClientSession(exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        await socket.send_json({"a": "subscribe", "v": [256265, 265]})
        assert {len(body) for body in packets(await receive(socket, aiohttp.WSMsgType.BINARY)).values()} == {28}
        await socket.send_json({"a": "mode", "v": ["full", [265]]})
        lengths: dict[int, int] = {}
        while lengths.get(265) != 32:
            lengths |= {t: len(b) for t, b in packets(await receive(socket, aiohttp.WSMsgType.BINARY)).items()}
        await socket.send_json({"a": "unsubscribe", "v": [265]})
        await socket.send_json({"a": "mode", "v": ["ltp", [256265]]})
        while True:
            found = packets(await receive(socket, aiohttp.WSMsgType.BINARY))
            if len(found.get(256265, b"")) == 8:
                break
        assert set(found) == {256265}


async def test_too_many_tokens_and_nonsense_are_told_and_survived(exchange: PracticeProcess) -> None:
    """Beyond 3,000 tokens, and after an unreadable request, an error text comes and the connection lives on."""
    async with aiohttp.ClientSession(exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        await socket.send_json({"a": "subscribe", "v": list(range(1000, 4005))})
        text = json.loads(await receive(socket, aiohttp.WSMsgType.TEXT))
        assert text["type"] == "error"
        assert "3000" in text["data"]
        await socket.send_str("nonsense")
        assert json.loads(await receive(socket, aiohttp.WSMsgType.TEXT))["type"] == "error"
        await socket.send_json({"a": "unsubscribe", "v": list(range(1000, 2000))})
        await socket.send_json({"a": "subscribe", "v": [256265]})
        assert 256265 in packets(await receive(socket, aiohttp.WSMsgType.BINARY))


async def test_heartbeats_when_there_is_nothing_to_send(exchange: PracticeProcess) -> None:
    """An idle connection gets one-byte frames."""
    async with aiohttp.ClientSession(exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await socket.receive_bytes() == b"\x00"


async def test_credentials_and_connections_are_checked_at_the_handshake(exchange: PracticeProcess) -> None:
    """A wrong token is refused with 403; a fourth connection of one key is refused."""
    async with aiohttp.ClientSession(exchange.websocket) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect("/?api_key=practice&access_token=wrong")
        assert refused.value.status == 403
        sockets = [await session.ws_connect(QUERY) for _ in range(3)]
        with pytest.raises(aiohttp.WSServerHandshakeError) as full:
            await session.ws_connect(QUERY)
        assert full.value.status == 429
        for socket in sockets:
            await socket.close()


async def test_a_silent_socket_stays_open(exchange: PracticeProcess) -> None:
    """The silence fault stops ticks and heartbeats without closing; clearing it brings them back; closing closes."""
    async with aiohttp.ClientSession(exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        await socket.send_json({"a": "subscribe", "v": [256265]})
        await receive(socket, aiohttp.WSMsgType.BINARY)
        await asyncio.to_thread(exchange.request, "POST", "/practice/faults", {"kind": "silent_socket"})
        with pytest.raises(TimeoutError):
            await drain(socket)
        assert not socket.closed
        await asyncio.to_thread(exchange.request, "DELETE", "/practice/faults")
        await receive(socket, aiohttp.WSMsgType.BINARY)
        await asyncio.to_thread(exchange.request, "POST", "/practice/faults", {"kind": "close_sockets"})
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not socket.closed:
                await socket.receive()


async def test_instruments_without_news_are_not_sent_again(tmp_path: Path) -> None:
    """With market time standing still every instrument is sent once, and then only heartbeats come."""
    async with (
        PracticeProcess(tmp_path / "state", speed=0.0) as exchange,
        aiohttp.ClientSession(exchange.websocket) as session,
        session.ws_connect(QUERY) as socket,
    ):
        await socket.send_json({"a": "subscribe", "v": [256265, 265, 264969]})
        await socket.send_json({"a": "mode", "v": ["full", [256265, 265, 264969]]})
        frames: list[bytes] = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not frames or frames[-1] != b"\x00":
                frames.append(await socket.receive_bytes())
        sent = [token for frame in frames[:-1] for token in packets(frame)]
        full = [token for frame in frames[:-1] for token, body in packets(frame).items() if len(body) == 32]
        assert sorted(full) == [265, 256265, 264969]
        assert len(sent) <= 6
