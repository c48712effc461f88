"""The ticker of a tape or a relay: frames as they came, slow sockets, limits. Over real sockets on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.practice.bench import Bench
from engine.practice.frame_packets import PacketBoard, read_runs
from engine.practice.frame_stream import FrameHub
from engine.practice.settings import ExchangeSettings, ServiceSettings
from engine.practice.wire_faults import FRAMES
from tests.kit.frame_bytes import INDEX, OTHER, TRADABLE, frame, packet

DEADLINE_S = 20.0
KEY = "practice"
SETTINGS = replace(ServiceSettings(), frame_queue_bytes=200_000, stalled_socket_seconds=0.4, heartbeat_seconds=0.1)
BIG = [TRADABLE + 256 * number for number in range(500)]


class Served:
    """A hub behind a server of its own."""

    def __init__(self, hub: FrameHub, address: str) -> None:
        self.hub = hub
        self.address = address

    def send(self, data: bytes) -> None:
        """Bring a frame as the feed does."""
        runs, _ = read_runs(data)
        slots = self.hub.board.apply(runs)
        self.hub.frame(data, runs, slots)

    async def until(self, met: Any) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(DEADLINE_S):
            while not met():  # noqa: ASYNC110 - what is waited for is seen only by looking
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def served(tmp_path: Any, *, conflates: bool = False, tokens_limit: int = 0) -> AsyncIterator[Served]:
    """A hub that listens."""
    hub = FrameHub(SETTINGS, PacketBoard(), conflates=conflates, tokens_limit=tokens_limit)

    async def serve(request: web.Request) -> web.WebSocketResponse:
        return await hub.serve(request, KEY)

    app = web.Application()
    app[FRAMES] = Bench(ExchangeSettings(state=tmp_path)).frames
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert runner.addresses
    port = runner.addresses[0][1]
    try:
        yield Served(hub, f"http://127.0.0.1:{port}/")
    finally:
        await hub.close_all()
        await runner.cleanup()


@contextlib.asynccontextmanager
async def client(own: Served, tokens: list[int], mode: str = "full") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A subscribed client."""
    async with aiohttp.ClientSession() as session, session.ws_connect(own.address, max_msg_size=0) as socket:
        await socket.send_str(json.dumps({"a": "subscribe", "v": tokens}))
        await socket.send_str(json.dumps({"a": "mode", "v": [mode, tokens]}))
        wanted = set(tokens)
        await own.until(lambda: own.hub.wanted() >= wanted)
        # The mode follows its subscription on the same socket; an answered request says that both are done.
        await socket.send_str('{"a": "ready?"}')
        while (await socket.receive(DEADLINE_S)).type is not aiohttp.WSMsgType.TEXT:
            pass
        yield socket


async def data(socket: aiohttp.ClientWebSocketResponse) -> bytes:
    """The next frame that is no heartbeat."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.BINARY, message
            if len(message.data) > 1:
                return bytes(message.data)


async def test_a_frame_that_is_wanted_whole_passes_byte_for_byte(tmp_path: Any) -> None:
    """Also one that is damaged: the recorded feed's damage is part of the recording."""
    whole = frame(packet(INDEX, 32), packet(TRADABLE, 184), packet(TRADABLE, 44))
    async with served(tmp_path) as own, client(own, [INDEX, TRADABLE]) as socket:
        own.send(whole)
        own.send(whole[:-10])
        assert await data(socket) == whole
        assert await data(socket) == whole[:-10]


async def test_a_frame_is_put_together_of_what_is_wanted(tmp_path: Any) -> None:
    """In its order, cut to the mode; a frame of nothing that is wanted is not sent at all."""
    async with served(tmp_path) as own, client(own, [OTHER, INDEX], "quote") as socket:
        own.send(frame(packet(TRADABLE, 184)))
        own.send(frame(packet(OTHER, 184), packet(TRADABLE, 184), packet(INDEX, 32), packet(OTHER, 8)))
        assert await data(socket) == frame(packet(OTHER, 44), packet(INDEX, 28), packet(OTHER, 8))


async def test_nothing_comes_after_an_unsubscription(tmp_path: Any) -> None:
    """And a subscription anew is answered with the newest packet."""
    async with served(tmp_path) as own, client(own, [TRADABLE, OTHER]) as socket:
        await socket.send_str(json.dumps({"a": "unsubscribe", "v": [TRADABLE]}))
        await own.until(lambda: own.hub.wanted() == {OTHER})
        own.send(frame(packet(TRADABLE, 184, 77)))
        own.send(frame(packet(OTHER, 184)))
        assert await data(socket) == frame(packet(OTHER, 184))
        await socket.send_str(json.dumps({"a": "subscribe", "v": [TRADABLE]}))
        assert await data(socket) == frame(packet(TRADABLE, 44, 77))


@pytest.mark.parametrize(("limit", "taken"), [(0, 4000), (3000, 3000)])
async def test_how_many_instruments_a_connection_takes(limit: int, taken: int, tmp_path: Any) -> None:
    """Any number on a tape; the broker's three thousand on a relay, and what is refused is said."""
    tokens = [TRADABLE + 256 * number for number in range(4000)]
    async with (
        served(tmp_path, tokens_limit=limit) as own,
        aiohttp.ClientSession() as session,
        session.ws_connect(own.address) as socket,
    ):
        await socket.send_str(json.dumps({"a": "subscribe", "v": tokens}))
        await own.until(lambda: len(own.hub.wanted()) == taken)
        if limit:
            message = await socket.receive(DEADLINE_S)
            while message.type is not aiohttp.WSMsgType.TEXT:
                message = await socket.receive(DEADLINE_S)
            assert "1000 instruments were not subscribed" in json.loads(message.data)["data"]


async def dead_client(own: Served) -> asyncio.StreamWriter:
    """A client that subscribes to everything and then reads nothing more."""
    port = int(own.address.rsplit(":", 1)[1].rstrip("/"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    text = json.dumps({"a": "subscribe", "v": BIG}).encode()
    # A masked text frame with a mask of zeros.
    writer.write(b"\x81\xfe" + struct.pack(">H", len(text)) + bytes(4) + text)
    await writer.drain()
    await own.until(lambda: own.hub.wanted() >= set(BIG))
    return writer


async def test_a_tape_waits_for_a_slow_socket_and_cuts_a_dead_one(tmp_path: Any) -> None:
    """Whoever reads gets every frame; the dead one is closed with a reason."""
    async with served(tmp_path) as own, client(own, BIG) as socket:
        writer = await dead_client(own)
        sent = [frame(*(packet(token, 44, number) for token in BIG)) for number in range(400)]
        received: list[bytes] = []

        async def read() -> None:
            while len(received) < len(sent):
                received.append(await data(socket))

        reading = asyncio.create_task(read())
        async with asyncio.timeout(DEADLINE_S):
            for each in sent:
                await own.hub.room()
                assert all(one.queued <= SETTINGS.frame_queue_bytes + len(each) for one in own.hub._connections)
                own.send(each)
            await reading
        assert received == sent
        await own.until(lambda: own.hub.connections == 1)
        assert list(own.hub.cut_sockets) == ["it took no data for 0.4 s"]
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_relay_skips_for_a_slow_socket_and_ends_with_the_newest(tmp_path: Any) -> None:
    """Its queue stays bounded, texts are all there in their order, and the last packet of each instrument is right."""
    async with served(tmp_path, conflates=True) as own, client(own, BIG) as socket:
        last = 300
        for number in range(last + 1):
            own.send(frame(*(packet(token, 184, number) for token in BIG)))
            if number % 100 == 0:
                own.hub.order_update({"user_id": "PR0001", "order_id": str(number)})
            assert all(one.queued <= 2 * SETTINGS.frame_queue_bytes for one in own.hub._connections)
        texts: list[str] = []
        frames = newest = 0
        async with asyncio.timeout(DEADLINE_S):
            while newest != last or len(texts) < 4:
                message = await socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    texts.append(json.loads(message.data)["data"]["order_id"])
                elif message.type is aiohttp.WSMsgType.BINARY and len(message.data) > 1:
                    frames += 1
                    newest = struct.unpack(">I", message.data[8:12])[0]
        assert texts == ["0", "100", "200", "300"]
        assert frames < last
        assert own.hub.connections == 1


async def test_heartbeats_come_only_while_the_feed_lives(tmp_path: Any) -> None:
    """A relay does not speak for an upstream that is silent, and answers no subscription with old packets."""
    async with served(tmp_path, conflates=True) as own, client(own, [TRADABLE]) as socket:
        assert (await socket.receive(DEADLINE_S)).data == b"\x00"
        own.send(frame(packet(OTHER, 184)))
        own.hub.beats, own.hub.tells_newest = (lambda _: False), (lambda: False)
        await silence(socket)
        await socket.send_str(json.dumps({"a": "subscribe", "v": [OTHER]}))
        await silence(socket)


async def silence(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Wait until nothing has come for several heartbeats; what was under way may still come."""
    try:
        while True:
            assert (await socket.receive(5 * SETTINGS.heartbeat_seconds)).data == b"\x00"
    except TimeoutError:
        return
