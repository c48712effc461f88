"""Where orders come from: compared with what is registered, never guessed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from workstation.preflight import order_address
from workstation.settings import LiveSettings


@contextlib.asynccontextmanager
async def page(status: str, body: str) -> AsyncIterator[str]:
    """A page that answers every request so."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        raw = body.encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n\r\n".encode() + raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("status", "body", "outcome", "words"),
    [
        ("200 OK", "203.0.113.7\n", "ok", "203.0.113.7 is registered"),
        ("200 OK", "198.51.100.1", "block", "198.51.100.1 is not registered"),
        ("200 OK", "<html>", "note", "does not answer"),
        ("500 Oops", "203.0.113.7", "note", "does not answer"),
    ],
)
async def test_the_address_of_orders_is_compared(status: str, body: str, outcome: str, words: str) -> None:
    """The registered one passes, another blocks, and a page that says nothing of use is only noted."""
    async with page(status, body) as url:
        check = await order_address(LiveSettings(registered_addresses=("203.0.113.7",), address_echo_url=url))
    assert (check.outcome, words in check.message) == (outcome, True)


async def test_without_a_page_to_ask_nothing_is_claimed() -> None:
    """It says that it was not compared."""
    check = await order_address(LiveSettings(registered_addresses=("203.0.113.7",)))
    assert (check.outcome, "not compared" in check.message) == ("note", True)
