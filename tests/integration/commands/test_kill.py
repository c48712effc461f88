"""kill -9 of the engine while orders are in flight, then a start: none twice, none lost, money goes on with a gap."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from engine.core.commands import PlaceOrder
from engine.core.errors import EngineGone
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.vocabulary import Side
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, Headless, new_console
from tests.kit.desk_host import Exchange, Option, eventually, filled, live_chain, main_strategy, until

LINGER_S = 20.0
ORDERS = 8
IN_FLIGHT = 2
SETTLED = {OrderState.OPEN, OrderState.COMPLETE, OrderState.NOT_SENT, OrderState.PRESUMED_ABSENT}
MINUTE = timedelta(minutes=1)
FAULTS = {
    "answers are dropped": [("drop_answer", {"count": 4})],
    "requests are held": [("hold", {"count": 4, "seconds": 1.5})],
    "some of each": [("drop_answer", {}), ("hold", {"seconds": 1.0}), ("delay", {"seconds": 3.0, "count": 2})],
}


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console whose exchange outlives a killed engine."""
    with new_console(postgres_server, request.node.nodeid, linger_s=LINGER_S) as made:
        yield made


@contextlib.asynccontextmanager
async def at_the_door(engine: Headless) -> AsyncIterator[RemoteClient]:
    """A client of a headless engine; its end may come before the client's."""
    client = await RemoteClient.attach(Path(engine.ready["socket"]))
    try:
        yield client
    finally:
        await client.close()


async def kill(engine: Headless) -> None:
    """Kill -9, and wait until it is gone."""
    os.kill(engine.process.pid, signal.SIGKILL)
    await asyncio.to_thread(engine.end)


async def wanted(client: RemoteClient) -> list[PlaceOrder]:
    """Orders of different contracts, half of which fill at once, each with its own key."""
    view = await live_chain(client)
    commands = []
    for number in range(ORDERS):
        option = Option(view, "ce" if number % 2 else "pe", 1 + number // 2)
        found = await client.interpret(f"buy 1L {option.words} @ {option.low if number % 4 < 2 else 'ask+2'}")
        assert isinstance(found.command, PlaceOrder)
        commands.append(msgspec.structs.replace(found.command, idempotency_key=f"key-{number}"))
    await client.unwatch_chain(view.key)
    return commands


async def submitted(client: RemoteClient, command: PlaceOrder) -> bool:
    """Submit; whether an answer came."""
    try:
        receipt = await client.submit(command)
    except EngineGone:
        return False
    # Three answers that are lost in a row open the breaker: what comes after them is refused, and not sent.
    assert receipt.accepted or "could not be reached 3 times in a row" in receipt.message, receipt.message
    return True


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
async def test_orders_in_flight(console: Console, faults: list[tuple[str, dict[str, float]]]) -> None:
    """Whatever was on its way when the engine was killed is found or closed by the next one; a key makes one order."""
    first = await asyncio.to_thread(console.headless)
    exchange = Exchange(first.ready["exchange_root"])
    async with at_the_door(first) as client:
        commands = await wanted(client)
        for kind, fields in faults:
            await exchange.fault(kind, method="POST", path="/orders", **fields)
        tries = [asyncio.create_task(submitted(client, command)) for command in commands]

        registered = sum(int(fields.get("count", 1)) for _, fields in faults)

        async def under_way() -> bool:
            left = sum(fault["count"] for fault in await exchange.ask("GET", "/practice/faults"))
            return bool(registered - left >= IN_FLIGHT)

        await eventually(under_way, "orders on their way")
        await kill(first)
        await asyncio.gather(*tries)
    second = await asyncio.to_thread(console.headless)
    try:
        async with at_the_door(second) as client:
            # A caller who heard nothing asks again with the same keys.
            await asyncio.gather(*(submitted(client, command) for command in commands))
            await eventually(lambda: all_settled(client), "the end of every open question", patience_s=30)
            histories = await asyncio.gather(*(client.order_history(r.number) for r in await client.orders()))
            looked_for = [event for history in histories for event in history if event.to_state is OrderState.UNKNOWN]
            assert looked_for, "the kill came at a moment when nothing was in flight"
            await judge(await client.orders(), exchange, [command.request for command in commands])
    finally:
        await asyncio.to_thread(second.end)


async def all_settled(client: RemoteClient) -> bool:
    """Whether nothing is on its way or unknown."""
    return all(record.state in SETTLED for record in await client.orders())


async def judge(records: tuple[OrderRecord, ...], exchange: Exchange, requests: list[OrderRequest]) -> None:
    """Compare what the engine knows with what reached the exchange."""
    assert sorted(record.idempotency_key or "" for record in records) == [f"key-{n}" for n in range(len(requests))]
    posts = await exchange.posts()
    assert set(posts.values()) <= {1}, "an order was sent twice"
    theirs = {row["tag"]: row for row in await exchange.orders()}
    assert posts.keys() == theirs.keys()
    ours = {record.tag: record for record in records}
    assert theirs.keys() <= ours.keys(), "an order was lost"
    for tag, record in ours.items():
        row = theirs.get(str(tag))
        if row is None:
            assert record.state in {OrderState.NOT_SENT, OrderState.PRESUMED_ABSENT}, record
            continue
        assert record.broker_order_id == row["order_id"]
        assert (record.state, record.filled_quantity) == (OrderState(row["status"]), row["filled_quantity"])
        assert record.request.side is Side.BUY


async def test_money_goes_on_with_a_gap(console: Console) -> None:
    """Minute candles of before the kill are kept, those after it continue, and the minutes between are missing."""
    first = await asyncio.to_thread(console.headless)
    exchange = Exchange(first.ready["exchange_root"])

    def market_time(client: RemoteClient) -> datetime:
        return client.desk().status.session.market_time

    async with at_the_door(first) as client:
        option = Option(await live_chain(client), "ce", 1)
        made = await filled(client, f"buy 1L {option.words} @ ask+2")
        number = (await main_strategy(client)).strategy.number
        began = market_time(client)
        await exchange.speed(60)
        await until(lambda: market_time(client) - began > 4 * MINUTE, "some minutes")
        await eventually(lambda: client.candles(number, began, began + 4 * MINUTE), "stored candles")
        killed = market_time(client)
        await kill(first)
    # The market goes on without us.
    await exchange.ask("POST", "/practice/clock", {"advance_seconds": 300})
    second = await asyncio.to_thread(console.headless)
    try:
        async with at_the_door(second) as client:
            started = market_time(client)
            assert started > killed
            await until(lambda: market_time(client) - started > 4 * MINUTE, "some more minutes")
            await exchange.speed(1)

            async def enough() -> bool:
                candles = await client.candles(number, started, started + 4 * MINUTE)
                return len(candles) >= 2

            await eventually(enough, "candles after the kill")
            minutes = [candle.minute for candle in await client.candles(number, began, market_time(client))]
            assert minutes == sorted(set(minutes))
            steps = [later - earlier for earlier, later in itertools.pairwise(minutes)]
            assert max(steps) > MINUTE, "the minutes without an engine must be missing"
            assert steps.count(MINUTE) >= 3
            (record,) = await client.orders()
            assert (record.number, record.state) == (made.number, OrderState.COMPLETE)
            (leg,) = (await main_strategy(client)).legs
            assert leg.leg.holding.signed_quantity == option.lot
    finally:
        await asyncio.to_thread(second.end)
