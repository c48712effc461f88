"""The implementations of ``EngineClient`` that the suite runs over."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from engine.client import EngineClient
from engine.core.commands import PlaceOrder, SetMode
from engine.core.views import ChainKey
from engine.core.vocabulary import Mode
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.contract.client.harness import ClientHarness
from tests.kit.database import postgres_server
from tests.kit.desk_host import Exchange, attached, new_desk
from tests.kit.local_door import opened_door, short_folder
from tests.kit.plain_engine import PlainEngine
from workstation.assembly import Host

__all__ = ["harness", "postgres_server"]

MINUTE_S = 60


def plain_harness(engine: PlainEngine, client: EngineClient) -> ClientHarness:
    """Handles of a plain engine, seen through ``client``."""
    bids = itertools.count(60)

    async def change_row(row: int) -> None:
        engine.set_price(engine.keys[0], row, float(next(bids)))

    async def change_desk() -> None:
        engine.add_event("something happened")

    symbol = engine.instruments[0].tradingsymbol
    return ClientHarness(
        client=client,
        chain_key=engine.keys[0],
        alias="nifty 50",
        request=engine.request(symbol),
        sentence=f"buy {symbol}",
        change_row=change_row,
        change_desk=change_desk,
    )


@contextlib.asynccontextmanager
async def plain() -> AsyncIterator[ClientHarness]:
    """A small engine, called directly."""
    engine = PlainEngine()
    yield plain_harness(engine, engine)


@contextlib.asynccontextmanager
async def remote() -> AsyncIterator[ClientHarness]:
    """The same engine through a real socket."""
    engine = PlainEngine()
    with short_folder() as folder:
        async with opened_door(engine, folder / "engine.sock") as door:
            client = await RemoteClient.attach(door.path)
            try:
                yield plain_harness(engine, client)
            finally:
                await client.close()


async def real_harness(host: Host, client: EngineClient) -> ClientHarness:
    """Handles of a real engine on the practice exchange, whose market stands still until it is moved."""
    exchange = Exchange(host.exchange.root)
    # Not the nearest: a sentence that asks for its money keeps that one watched for a while.
    (_, label, *_) = await client.expiries("NIFTY")
    key = ChainKey("NIFTY", label.expiry)
    found = await client.interpret("buy 1L nifty atm ce w0")
    assert isinstance(found.command, PlaceOrder)

    modes = itertools.cycle([Mode.READ, Mode.CONFIRM])

    async def change_row(_row: int) -> None:
        await exchange.ask("POST", "/practice/clock", {"advance_seconds": MINUTE_S})

    async def change_desk() -> None:
        await client.submit(SetMode(mode=next(modes)))

    return ClientHarness(
        client=client,
        chain_key=key,
        alias="nifty 50",
        request=found.command.request,
        sentence="buy 1L nifty atm ce w0",
        change_row=change_row,
        change_desk=change_desk,
    )


@contextlib.asynccontextmanager
async def local(server: EmbeddedPostgres, name: str) -> AsyncIterator[ClientHarness]:
    """The real engine, in process."""
    with new_desk(server, name, speed=0.0) as desk:
        async with desk.opened() as host:
            yield await real_harness(host, host.client)


@contextlib.asynccontextmanager
async def attached_to_local(server: EmbeddedPostgres, name: str) -> AsyncIterator[ClientHarness]:
    """The real engine through its own door."""
    with new_desk(server, name, speed=0.0) as desk:
        async with desk.opened(with_door=True) as host, attached(host) as client:
            yield await real_harness(host, client)


IN_MEMORY: dict[str, Callable[[], AbstractAsyncContextManager[ClientHarness]]] = {"plain": plain, "remote": remote}
REAL: dict[str, Callable[[EmbeddedPostgres, str], AbstractAsyncContextManager[ClientHarness]]] = {
    "local": local,
    "local-remote": attached_to_local,
}


@pytest.fixture(params=sorted([*IN_MEMORY, *REAL]))
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[ClientHarness]:
    """Each implementation in turn."""
    if request.param in IN_MEMORY:
        async with IN_MEMORY[request.param]() as opened:
            yield opened
        return
    server = await asyncio.to_thread(request.getfixturevalue, "postgres_server")
    async with REAL[request.param](server, request.node.name) as opened:
        yield opened
