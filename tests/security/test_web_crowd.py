"""Many clients, clients that never speak, and clients that stop listening: bounds hold, and the others go on."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import msgspec
from websockets.exceptions import InvalidStatus

from engine.server import protocol
from tests.kit.local_door import PATIENCE_S, RawClient, until
from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import SETTINGS, Site, ended, opened_site, unharmed

SMALL_BUFFER = 4096
PROMPT_S = 0.5
"""An answer that takes longer was held up by somebody else."""


def altered(**fields: Any) -> Any:
    """The settings of the tests with some of their own."""
    return msgspec.structs.replace(SETTINGS, **fields)


async def test_two_hundred_connections(tmp_path: Path) -> None:
    """Of two hundred good clients at once as many as the limit are let in; each other is told so and when to try."""
    async with opened_site(PlainEngine(), tmp_path, altered(connections_max=20)) as site, unharmed(site):
        token = site.token()
        knocking = [site.attach(token) for _ in range(200)]
        outcomes = await asyncio.gather(*knocking, return_exceptions=True)
        inside = [outcome for outcome in outcomes if isinstance(outcome, RawClient)]
        refused = [outcome for outcome in outcomes if isinstance(outcome, InvalidStatus)]
        assert len(inside) == 19
        assert len(refused) == 181
        for refusal in refused:
            assert refusal.response.status_code == 503
            assert int(refusal.response.headers["Retry-After"]) > 0
            assert b"20 clients are attached already" in bytes(refusal.response.body)
        for client in inside:
            assert "result" in await client.call("hello")
        assert site.audited_kinds().count("limit") == 1
        await asyncio.gather(*(client.connection.close() for client in inside))
        await until(lambda: site.door.clients == 1, "their leaving")


async def test_a_place_is_free_again(tmp_path: Path) -> None:
    """However a client goes, politely or not, the next one finds its place."""
    async with opened_site(PlainEngine(), tmp_path, altered(connections_max=1)) as site:
        token = site.token()
        for _ in range(5):
            async with await site.attach(token) as client:
                assert (await site.refusal(token)).status_code == 503
                assert "result" in await client.call("hello")
                client.connection.transport.abort()
            await until(lambda: site.door.clients == 0, "its leaving")
        polite = await site.attach(token)
        await polite.connection.close()
        await until(lambda: site.door.clients == 0, "its leaving")
        async with await site.attach(token) as client:
            assert "result" in await client.call("hello")


async def test_connections_that_never_speak(tmp_path: Path) -> None:
    """More idle connections than there may be drop the oldest of themselves; honest clients come and go among them."""
    async with opened_site(PlainEngine(), tmp_path, altered(handshakes_max=10)) as site, unharmed(site) as bystander:
        idle = []
        for _ in range(60):
            idle.append(await asyncio.open_connection("127.0.0.1", site.port))
            if len(idle) % 20 == 0:
                await bystander.is_unharmed()
        await until(lambda: site.door.waiting <= 10, "the bound")
        assert site.figure("refusals_total", door="web", reason="crowded") >= 50
        async with asyncio.timeout(PATIENCE_S):
            ends = await asyncio.gather(*(reader.read(-1) for reader, _ in idle[:40]), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ends)
        for _, writer in idle:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in idle), return_exceptions=True)
        await until(lambda: site.door.waiting == 0, "nobody waits")


async def test_half_requests_are_bounded_too(tmp_path: Path) -> None:
    """Two hundred requests that stop in the middle hold no more places than idle connections do."""
    async with opened_site(PlainEngine(), tmp_path, altered(handshakes_max=10)) as site, unharmed(site):
        halves = []
        for _ in range(200):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nX: ")
            halves.append((reader, writer))
        await until(lambda: site.door.waiting <= 10, "the bound")
        for _, writer in halves:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in halves), return_exceptions=True)


async def test_attached_clients_are_not_dropped_for_newcomers(tmp_path: Path) -> None:
    """Whoever was let in has left the count of those who wait, however old the connection is."""
    async with opened_site(PlainEngine(), tmp_path, altered(handshakes_max=3)) as site:
        clients = [await site.attach(site.token()) for _ in range(6)]
        crowd = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(20)]
        for client in clients:
            assert "result" in await client.call("hello")
            await client.connection.close()
        for _, writer in crowd:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in crowd), return_exceptions=True)


async def frozen_client(site: Site) -> RawClient:
    """A client that asks for much and reads nothing of it, with buffers as small as the system makes them."""
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    connected.connect(("127.0.0.1", site.port))
    client = await site.attach(site.token(name="frozen"), sock=connected, max_queue=1)
    for _ in range(16):
        await client.connection.send(client.request("rpc.discover"))
    return client


async def test_a_frozen_client(tmp_path: Path) -> None:
    """A client that takes nothing is closed with a reason, and meanwhile every other is answered promptly."""
    limits = msgspec.structs.replace(SETTINGS.limits, send_timeout_s=0.5)
    async with opened_site(PlainEngine(), tmp_path, altered(limits=limits)) as site, unharmed(site):
        loop = asyncio.get_running_loop()
        frozen = await frozen_client(site)
        asked, slowest = 0, 0.0
        async with await site.attach(site.token(name="other")) as other:
            while not site.figure("slow_clients_closed_total"):
                for _ in range(16):
                    await frozen.connection.send(frozen.request("rpc.discover"))
                before = loop.time()
                assert "result" in await other.call("funds")
                slowest = max(slowest, loop.time() - before)
                asked += 1
        assert asked > 1
        assert slowest < PROMPT_S
        end = await ended(frozen)
        assert end.rcvd is not None
        words = "too slow: attach again for a fresh snapshot"
        assert (end.rcvd.code, end.rcvd.reason) == (protocol.CLOSE_TRY_LATER, words)
        await until(lambda: site.figure("disconnections_total", door="web", reason="slow") == 1, "its end")
        line = next(line for line in site.audited() if line["kind"] == "detached" and line["name"] == "frozen")
        assert line["detail"] == "slow"


async def test_a_client_that_answers_no_ping(tmp_path: Path) -> None:
    """A link that died without a word is found by its silence, and the place is free."""
    async with opened_site(PlainEngine(), tmp_path, altered(ping_s=0.1, silence_s=0.2)) as site:
        client = await site.attach(site.token())
        client.connection.transport.pause_reading()
        await until(lambda: site.figure("disconnections_total", door="web", reason="silent") == 1, "its end")
        assert site.door.clients == 0
        client.connection.transport.abort()
        await client.connection.wait_closed()


async def test_closing_is_not_held_up(tmp_path: Path) -> None:
    """Frozen clients, idle connections and half requests do not keep the door from closing in time."""
    loop = asyncio.get_running_loop()
    async with opened_site(PlainEngine(), tmp_path, altered(open_timeout_s=60.0)) as site:
        idle = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(30)]
        for _, writer in idle[::2]:
            writer.write(b"GET /v1 HTTP/1.1\r\n")
        frozen = [await frozen_client(site) for _ in range(3)]
        for client in frozen:
            client.connection.transport.pause_reading()
        before = loop.time()
        await site.door.close()
        taken = loop.time() - before
        assert taken < 4.0
        for client in frozen:
            client.connection.transport.abort()
            await client.connection.wait_closed()
        for _, writer in idle:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in idle), return_exceptions=True)


async def test_coming_while_it_closes(tmp_path: Path) -> None:
    """A client that comes while calls are being waited for is told to try later; probes see that it is not ready."""
    engine = PlainEngine()
    async with opened_site(engine, tmp_path) as site:
        client = await site.attach(site.token())
        site.door._ending = True
        response = await site.refusal(site.token())
        assert response.status_code == 503
        assert b"ending" in bytes(response.body)
        assert (await site.get("/ready")).status == 503
        assert (await site.get("/health")).data == {"status": "ending"}
        await client.connection.close()
