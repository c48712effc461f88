"""The last look: on a connection that stands, before the first byte, and again before the body."""

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
            head, end, body = self.heard.partition(b"\r\n\r\n")
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


async def test_nothing_leaves_when_the_first_look_says_no() -> None:
    """The connection is there, the latch came meanwhile: not one byte of the order was written."""
    look, _ = looks(0)
    async with road() as (orders, listener):
        with pytest.raises(Withheld):
            await orders.place_order(buy(), OrderTag("WSA"), last_look=look)
        await asyncio.wait_for(listener.gone.wait(), 5)
        assert listener.connections == 1
        assert listener.heard == b""


async def test_an_order_without_its_body_is_none() -> None:
    """The latch comes between head and body: the broker gets a request that it cannot act on."""
    look, _ = looks(1)
    async with road() as (orders, listener):
        with pytest.raises(Withheld):
            await orders.place_order(buy(), OrderTag("WSA"), last_look=look)
        await asyncio.wait_for(listener.gone.wait(), 5)
        assert b"tag=" not in listener.heard


async def test_an_order_that_may_go_is_looked_at_twice_and_goes_once() -> None:
    """Both looks pass, on a new connection and on a kept one."""
    look, taken = looks(99)
    async with road() as (orders, listener):
        assert await orders.place_order(buy(), OrderTag("WSA"), last_look=look) == "250000001"
        assert len(taken) == 2
        assert listener.heard.count(b"POST /orders") == 1
