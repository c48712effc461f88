"""The last look: on a connection that stands, right before the first byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from engine.brokers.kite.rest import KiteOrderRoad
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.transport import KiteTransport
from engine.core.errors import Withheld
from engine.core.identifiers import OrderTag
from tests.unit.execution.desk import buy

ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 51\r\n\r\n"
    b'{"status":"success","data":{"order_id":"250000001"}}'
)


class Listener:
    """A server that keeps every byte and answers whole requests."""

    def __init__(self) -> None:
        self.heard = b""
        self.connections = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        while data := await reader.read(65_536):
            self.heard += data
            head, end, body = self.heard[self.heard.rindex(b"POST") :].partition(b"\r\n\r\n")
            if end and b"tag=" in body and head.startswith(b"POST"):
                writer.write(ANSWER[: ANSWER.index(b"51")] + b"52" + ANSWER[ANSWER.index(b"51") + 2 :])
                await writer.drain()
        writer.close()
        self.gone.set()


@contextlib.asynccontextmanager
async def road() -> AsyncIterator[tuple[KiteOrderRoad, Listener]]:
    """An order road to a listener on this machine."""
    listener = Listener()
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = KiteTransport(f"http://127.0.0.1:{port}", KiteCredentials("key", "token"))
    try:
        yield KiteOrderRoad(transport), listener
    finally:
        await transport.aclose()
        if listener.connections:
            await asyncio.wait_for(listener.gone.wait(), 5)
        server.close()
        await server.wait_closed()


def looks(allowed: int) -> tuple[Callable[[], None], list[int]]:
    """A last look that lets so many through and then says no."""
    taken: list[int] = []

    def look() -> None:
        taken.append(1)
        if len(taken) > allowed:
            raise Withheld("the kill switch is on")

    return look, taken


async def test_nothing_leaves_when_the_look_says_no() -> None:
    """The connection is there, the latch came meanwhile: not one byte of the order is written; the next may use it."""
    look, _ = looks(0)
    async with road() as (orders, listener):
        with pytest.raises(Withheld):
            await orders.place_order(buy(), OrderTag("WSA"), last_look=look)
        assert listener.heard == b""
        assert await orders.place_order(buy(), OrderTag("WSB")) == "250000001"
        assert listener.connections == 1
    assert b"WSA" not in listener.heard


async def test_nothing_happens_between_the_look_and_the_first_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look is followed by one write of the whole request: no turn of the event loop lies between."""
    steps: list[str] = []
    taken: list[bytes] = []
    write = asyncio.selector_events._SelectorSocketTransport.write  # type: ignore[attr-defined]

    def noted(self: object, data: bytes) -> None:
        if data.startswith(b"POST"):
            steps.append("write")
            taken.append(data)
        write(self, data)

    monkeypatch.setattr("asyncio.selector_events._SelectorSocketTransport.write", noted)

    def look() -> None:
        steps.append("look")
        asyncio.get_running_loop().call_soon(steps.append, "turn")

    async with road() as (orders, listener):
        await orders.place_order(buy(), OrderTag("WSA"), last_look=look)
        await orders.place_order(buy(), OrderTag("WSB"), last_look=look)
        assert listener.heard.count(b"POST /orders") == 2
    assert steps == ["look", "write", "turn"] * 2
    assert all(b"tag=" in request for request in taken)


async def test_an_order_that_may_go_is_looked_at_and_goes_once() -> None:
    """On a new connection and on a kept one."""
    look, taken = looks(99)
    async with road() as (orders, listener):
        for count in (1, 2):
            assert await orders.place_order(buy(), OrderTag("WSA"), last_look=look) == "250000001"
            assert len(taken) == count
            assert listener.heard.count(b"POST /orders") == count
        assert listener.connections == 1
