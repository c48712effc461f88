"""The order lane against a server at its worst: nothing twice, nothing believed in part, nothing kept in doubt."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.kite.answer_reader import AnswerReader
from engine.brokers.kite.errors import NOT_SENT
from engine.brokers.kite.order_lane import LaneLimits, OrderLane
from tests.kit.scripted_kite import closed_port_root
from tests.security.certificates import make_pair

LIMITS = LaneLimits(connections=2, connect_s=3.0, silence_s=3.0, room_s=3.0, keepalive_s=30.0, answer_max_bytes=100_000)
BODY = b'{"status":"success","data":{"order_id":"250000001"}}'
PATIENCE_S = 10.0


def answer(*headers: str, body: bytes = BODY, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


Behaviour = Callable[["Line", bytes], Awaitable[None]]


class Line:
    """One connection as the server has it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        """Write pieces, one by one."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()

    def cut(self) -> None:
        """Break the connection."""
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection in order."""
        self._writer.close()


class Server:
    """Reads whole requests and does with each what the test says; the last word stays."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.behaviours: list[Behaviour] = []
        self.ended = asyncio.Event()
        self.came = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    (
                        int(row.split(b":")[1])
                        for row in head.lower().split(b"\r\n")
                        if row.startswith(b"content-length")
                    ),
                    0,
                )
                request = head + await reader.readexactly(length)
                self.requests.append(request)
                self.came.set()
                behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
                await behaviour(Line(writer), request)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.ended.set()
            writer.close()


def sends(*pieces: bytes) -> Behaviour:
    """Answer with these bytes."""

    async def behave(line: Line, _request: bytes) -> None:
        await line.send(*pieces)

    return behave


def sends_and_closes(*pieces: bytes) -> Behaviour:
    """Answer with these bytes and end the connection in order."""

    async def behave(line: Line, _request: bytes) -> None:
        await line.send(*pieces)
        line.close()

    return behave


def sends_and_cuts(*pieces: bytes) -> Behaviour:
    """Answer with these bytes and break the connection."""

    async def behave(line: Line, _request: bytes) -> None:
        await line.send(*pieces)
        line.cut()

    return behave


@contextlib.asynccontextmanager
async def lane(*behaviours: Behaviour, limits: LaneLimits = LIMITS) -> AsyncIterator[tuple[OrderLane, Server]]:
    """A lane to a server on this machine."""
    played = Server()
    played.behaviours = list(behaviours)
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = OrderLane(f"http://127.0.0.1:{port}", limits, tls=None, headers={"User-Agent": "tests"})
    try:
        yield made, played
    finally:
        await made.aclose()
        server.close()
        await server.wait_closed()


async def ask(made: OrderLane, method: str = "POST", body: bytes | None = b"tag=WSA") -> bytes:
    """One order call; the body of its answer."""
    return (await made.ask(method, "/orders/regular", {"Authorization": "token a:b"}, body)).body


async def test_a_request_is_as_http_wants_it_and_the_connection_is_kept() -> None:
    """Host, length and headers are there; the second order leaves on the same connection."""
    async with lane(sends(answer())) as (made, server):
        assert await ask(made) == BODY
        assert await ask(made, "DELETE", None) == BODY
        assert server.connections == 1
        first, second = server.requests
        assert first.startswith(b"POST /orders/regular HTTP/1.1\r\nHost: 127.0.0.1:")
        assert b"\r\nAuthorization: token a:b\r\n" in first
        assert first.endswith(b"\r\nContent-Length: 7\r\n\r\ntag=WSA")
        assert second.startswith(b"DELETE /orders/regular HTTP/1.1\r\n")
        assert second.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_nothing_is_sent_twice_when_a_kept_connection_breaks_under_it(method: str) -> None:
    """The server takes the second request and breaks: it may have acted, so the call fails and is not repeated."""
    async with lane(sends(answer()), sends_and_cuts()) as (made, server):
        await ask(made)
        with pytest.raises(httpx.HTTPError) as caught:
            await ask(made, method)
        assert not isinstance(caught.value, NOT_SENT)
        assert len(server.requests) == 2
        server.behaviours = [sends(answer())]
        assert await ask(made, method) == BODY
        assert server.connections == 2


async def test_a_kept_connection_that_was_hung_up_is_not_written_to() -> None:
    """The server ended it while it was idle: the next order takes another, and is no unknown outcome."""
    async with lane(sends_and_closes(answer())) as (made, server):
        for count in range(1, 4):
            assert await ask(made) == BODY
            await asyncio.wait_for(server.ended.wait(), PATIENCE_S)
            server.ended.clear()
            assert (server.connections, len(server.requests)) == (count, count)


async def test_a_connection_idle_for_too_long_is_not_used_again() -> None:
    """Nobody knows what routers on the way have forgotten."""
    impatient = LaneLimits(
        connections=2, connect_s=3.0, silence_s=3.0, room_s=3.0, keepalive_s=-1.0, answer_max_bytes=100_000
    )
    async with lane(sends(answer()), limits=impatient) as (made, server):
        await ask(made)
        await ask(made)
        assert server.connections == 2


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
    b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (BODY[:5], BODY[5:], b"")
)


@pytest.mark.parametrize(
    "pieces",
    [
        [answer()],
        [bytes([byte]) for byte in answer("Date: Thu, 19 Nov 2026 05:30:00 GMT")],
        [CHUNKED],
        [b"HTTP/1.1 100 Continue\r\n\r\n", answer()],
        [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer()],
        [answer("Content-Encoding: gzip", body=gzip.compress(BODY))],
        [answer("Connection: close")],
    ],
    ids=["plain", "byte by byte", "chunked", "continue", "hints", "gzip", "closing"],
)
async def test_every_lawful_answer_is_read(pieces: list[bytes]) -> None:
    """However it is cut into packets, framed or compressed; the next order is answered as well."""
    async with lane(sends(*pieces)) as (made, server):
        assert await ask(made) == BODY
        assert await ask(made) == BODY
        assert len(server.requests) == 2


async def test_a_body_without_a_length_lasts_until_the_end_of_the_connection() -> None:
    """Old proxies answer so."""
    async with lane(sends_and_closes(b"HTTP/1.0 502 Bad Gateway\r\n\r\n", b"<html>", b"</html>")) as (made, _):
        found = await made.ask("POST", "/orders/regular", {}, b"")
        assert (found.status, found.body) == (502, b"<html></html>")


@pytest.mark.parametrize(
    "behaviour",
    [
        sends_and_closes(answer()[:-1]),
        sends_and_cuts(answer()[:30]),
        sends_and_closes(CHUNKED[:-5]),
        sends_and_closes(),
        sends(b"order accepted\r\n\r\n"),
        sends(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        sends(answer(body=b"x" * 100_001)),
        sends(answer("Content-Encoding: gzip", body=gzip.compress(b"0" * 1_000_000))),
        sends(answer("Content-Encoding: gzip", body=gzip.compress(BODY)[:-9])),
        sends(answer("Content-Encoding: gzip")),
    ],
    ids=["short", "cut head", "cut chunks", "nothing", "words", "upgrade", "long", "bomb", "cut gzip", "no gzip"],
)
async def test_an_answer_that_is_not_whole_is_none(behaviour: Behaviour) -> None:
    """The request left, so the outcome is in doubt; the connection is not used again."""
    async with lane(behaviour) as (made, server):
        with pytest.raises(httpx.HTTPError) as caught:
            await ask(made)
        assert not isinstance(caught.value, NOT_SENT)
        server.behaviours = [sends(answer())]
        assert await ask(made) == BODY
        assert (server.connections, len(server.requests)) == (2, 2)


@pytest.mark.parametrize("extra", [answer(body=b"{}"), b"HTTP/1.1 200", b"\x00garbage"])
async def test_a_second_answer_is_never_taken_for_that_of_the_next_order(extra: bytes) -> None:
    """The first is whole and stands; the connection with the rest in it is thrown away."""
    async with lane(sends(answer() + extra), sends(answer(body=b'{"order_id":"2"}'))) as (made, server):
        assert await ask(made) == BODY
        assert await ask(made) == b'{"order_id":"2"}'
        assert server.connections == 2


async def test_bytes_that_come_later_end_an_idle_connection() -> None:
    """An answer nobody asked for comes after the first one: the next order does not read it as its own."""
    go = asyncio.Event()

    async def late(line: Line, _request: bytes) -> None:
        await line.send(answer())
        await go.wait()
        await line.send(answer(body=b'{"order_id":"1"}'))

    async with lane(late, sends(answer(body=b'{"order_id":"2"}'))) as (made, server):
        assert await ask(made) == BODY
        go.set()
        await asyncio.wait_for(server.ended.wait(), PATIENCE_S)
        assert await ask(made) == b'{"order_id":"2"}'


async def test_silence_has_a_limit() -> None:
    """A stop in the middle is a lost answer, and the connection goes with it."""
    quick = LaneLimits(connections=1, connect_s=3.0, silence_s=0.2, room_s=3.0, keepalive_s=30.0, answer_max_bytes=999)
    async with lane(sends(answer()[:40]), limits=quick) as (made, server):
        with pytest.raises(httpx.ReadTimeout):
            await ask(made)
        await asyncio.wait_for(server.ended.wait(), PATIENCE_S)


async def test_an_order_that_is_given_up_takes_its_connection_with_it() -> None:
    """Its answer may still come; no later order may read it."""
    async with lane(sends(), sends(answer())) as (made, server):
        lost = asyncio.create_task(ask(made))
        await asyncio.wait_for(server.came.wait(), PATIENCE_S)
        lost.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lost
        assert await ask(made) == BODY
        assert server.connections == 2


async def test_with_every_connection_busy_an_order_waits_and_then_says_that_nothing_was_sent() -> None:
    """The bound is the overload policy: no third connection, no third request."""
    tight = LaneLimits(connections=2, connect_s=3.0, silence_s=9.0, room_s=0.05, keepalive_s=30.0, answer_max_bytes=999)
    go = asyncio.Event()

    async def waits(line: Line, _request: bytes) -> None:
        await go.wait()
        await line.send(answer())

    async with lane(waits, limits=tight) as (made, server):
        busy = [asyncio.create_task(ask(made)) for _ in range(2)]
        async with asyncio.timeout(PATIENCE_S):
            while len(server.requests) < len(busy):
                server.came.clear()
                await server.came.wait()
        with pytest.raises(httpx.PoolTimeout):
            await ask(made)
        go.set()
        assert await asyncio.gather(*busy) == [BODY, BODY]
        assert (server.connections, len(server.requests)) == (2, 2)
        assert await ask(made) == BODY


async def test_a_server_that_cannot_be_trusted_is_sent_nothing(tmp_path: Path) -> None:
    """With its certificate in the list of those trusted the order goes through TLS; without, nothing was sent."""
    pair = make_pair(tmp_path)
    played = Server()
    played.behaviours = [sends(answer())]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.certificate, pair.key)
    server = await asyncio.start_server(played.serve, "127.0.0.1", 0, ssl=context)
    root = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    wary = OrderLane(root, LIMITS, tls=ssl.create_default_context(), headers={})
    with pytest.raises(httpx.ConnectError):
        await ask(wary)
    assert not played.requests
    trusting = OrderLane(root, LIMITS, tls=pair.trusting(), headers={})
    assert await ask(trusting) == BODY
    assert await ask(trusting) == BODY
    assert len(played.requests) == 2
    assert played.connections == 1  # a handshake that failed is none
    await wary.aclose()
    await trusting.aclose()
    server.close()
    await server.wait_closed()


async def test_an_address_where_nobody_listens_is_told_apart() -> None:
    """Nothing was sent, and that is certain."""
    made = OrderLane(closed_port_root(), LIMITS, tls=None, headers={})
    with pytest.raises(httpx.ConnectError):
        await ask(made)
    await made.aclose()


@pytest.mark.parametrize("value", ["token a:b\r\nX-Evil: 1", "token ä:b", " token", ""])
async def test_a_header_cannot_begin_another_one(value: str) -> None:
    """Such a token ends the call before a byte leaves, and is not repeated in the words."""
    async with lane(sends(answer())) as (made, server):
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await made.ask("POST", "/orders/regular", {"Authorization": value}, b"")
        assert value.strip() not in str(caught.value) or not value.strip()
        with pytest.raises(httpx.LocalProtocolError):
            await made.ask("POST", "/orders/regular HTTP/1.1\r\nX: ", {}, b"")
        assert server.connections == 0


@given(cuts=st.lists(st.integers(1, 400), max_size=12), chunked=st.booleans())
def test_how_an_answer_is_cut_changes_nothing(cuts: list[int], chunked: bool) -> None:
    """Any cutting of the bytes gives the same answer, and none is there before the last byte."""
    data = CHUNKED if chunked else answer("Date: Thu, 19 Nov 2026 05:30:00 GMT", "X-A: 1", "x-a: 2")
    reader = AnswerReader(len(data))
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for begin, end in pairwise(edges):
        assert not reader.is_complete
        reader.feed(data[begin:end])
    assert reader.is_complete
    assert reader.may_keep
    found = reader.answer()
    assert (found.status, found.body) == (200, BODY)
    assert chunked or found.headers["x-a"] == "1, 2"


@given(at=st.integers(0, 400), noise=st.binary(max_size=40), tail=st.booleans())
def test_damaged_bytes_are_an_answer_or_a_failure_by_name(at: int, noise: bytes, tail: bool) -> None:
    """Whatever stands in the stream, nothing else comes out than an answer or one of the declared failures."""
    data = answer("Content-Type: application/json")
    at = min(at, len(data))
    damaged = data[:at] + noise + (data[at + len(noise) :] if tail else b"")
    reader = AnswerReader(10_000)
    with contextlib.suppress(httpx.RemoteProtocolError, httpx.DecodingError):
        reader.feed(damaged)
        if not reader.is_complete:
            reader.end()
        assert reader.answer().status >= 200
