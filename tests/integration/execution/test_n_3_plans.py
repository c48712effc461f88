"""N3 end to end: what waits for a time or a price fires once, in its window, on figures of that moment, over a kill."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from engine.client import EngineClient
from engine.core.commands import MakePlan, Receipt
from engine.core.orders import OrderRecord
from engine.core.plans import AtTime, PlanNumber, PlanState, PlanView
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, Headless, new_console
from tests.kit.desk_host import BROKER_POLL_S, Exchange, Option, eventually, live_chain, say
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")

INDIA = timezone(timedelta(hours=5, minutes=30))
LINGER_S = 20.0


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console whose exchange outlives a killed engine."""
    with new_console(postgres_server, request.node.nodeid, linger_s=LINGER_S) as made:
        yield made


def number_of(receipt: Receipt) -> PlanNumber:
    """The plan that a receipt names."""
    assert receipt.accepted, receipt.message
    assert receipt.plan is not None
    return receipt.plan


async def ended(client: EngineClient, number: PlanNumber) -> PlanView:
    """Wait for the end of a plan."""

    async def over() -> PlanView | None:
        view = next(view for view in await client.plans() if view.record.number == number)
        return view if view.record.state.is_over else None

    return await eventually(over, f"the end of p{number}")


async def own(client: EngineClient, number: PlanNumber) -> list[OrderRecord]:
    """The orders of a plan."""
    return [record for record in await client.orders() if (record.idempotency_key or "").startswith(f"p{number}/")]


def soon(client: EngineClient, seconds: float) -> AtTime:
    """A moment of market time from now."""
    return AtTime(at=client.desk().status.session.market_time + timedelta(seconds=seconds))


async def test_at_its_time_the_strike_is_chosen(shared_host: Host) -> None:
    """The sentence names no strike; at its moment it becomes one order at the money, under the plan's key."""
    client = shared_host.client
    view = await live_chain(client)
    clock = (client.desk().status.session.market_time + timedelta(seconds=3)).astimezone(INDIA)
    number = number_of(await say(client, f"at {clock:%H:%M:%S} within 20s buy 1L nifty atm ce w0 @ ask+1"))
    waiting = next(view for view in await client.plans() if view.record.number == number)
    assert waiting.record.state is PlanState.WAITING
    done = await ended(client, number)
    assert done.record.state is PlanState.DONE, done.record.progress.note
    (order,) = await own(client, number)
    assert order.created_at.astimezone(INDIA) >= clock.replace(microsecond=0)
    assert order.request.quantity == view.header.lot_size
    why = await client.why(order.number)
    assert why.decision is not None
    assert why.decision.by == f"plan p{number}"


async def test_when_a_price_is_reached(shared_host: Host) -> None:
    """A level that the index stands above fires at once; one far away waits, and cancelled it never fires."""
    client = shared_host.client
    await live_chain(client)
    far = number_of(await say(client, "when nifty > 90,000 then buy 1L nifty atm ce w0 @ ask+1"))
    near = number_of(await say(client, "when nifty > 1,000 for 1s then buy 1L nifty atm pe w0 @ ask+1"))
    assert (await ended(client, near)).record.state is PlanState.DONE
    assert len(await own(client, near)) == 1
    assert (await say(client, f"cancel p{far}")).accepted
    assert (await ended(client, far)).record.state is PlanState.CANCELLED
    assert not await own(client, far)


async def test_a_floor_that_is_not_met_drops_it(shared_host: Host) -> None:
    """No spread is narrower than a hundredth of a percent: nothing is sent, and the figure stands in the words."""
    client = shared_host.client
    await live_chain(client)
    found = await client.interpret("at 09:15 spread 0.01% buy 1L nifty atm ce w0 @ ask+1")
    assert isinstance(found.command, MakePlan)
    receipt = await client.submit(
        MakePlan(trigger=soon(client, 1), sentence=found.command.sentence, window_s=2.0, floors=found.command.floors)
    )
    number = number_of(receipt)
    dropped = await ended(client, number)
    assert dropped.record.state is PlanState.DROPPED
    assert "spread" in dropped.record.progress.note
    assert not await own(client, number)


async def test_a_time_that_is_over_is_refused(shared_host: Host) -> None:
    """The preview says it as the submission does."""
    client = shared_host.client
    found = await client.interpret("at 09:15 cancel all")
    assert found.command is not None
    preview = await client.preview(found.command)
    receipt = await client.submit(found.command)
    assert [violation.message for violation in preview.violations] == [v.message for v in receipt.violations]
    assert "is over" in receipt.message


@contextlib.asynccontextmanager
async def at_the_door(engine: Headless) -> AsyncIterator[RemoteClient]:
    """A client of a headless engine; its end may come before the client's."""
    client = await RemoteClient.attach(Path(engine.ready["socket"]))
    try:
        yield client
    finally:
        await client.close()


async def test_over_a_kill_it_fires_in_its_window_alone(console: Console) -> None:
    """Of two plans that an engine took before kill -9 the late one still fires, the missed one is dropped in words."""
    first = await asyncio.to_thread(console.headless)
    exchange = Exchange(first.ready["exchange_root"])
    async with at_the_door(first) as client:
        view = await live_chain(client)
        option = Option(view, "ce", 1)
        sentence = f"buy 1L {option.words} @ {option.low}"
        missed = number_of(await client.submit(MakePlan(trigger=soon(client, 0.8), sentence=sentence, window_s=0.01)))
        kept = number_of(await client.submit(MakePlan(trigger=soon(client, 1.5), sentence=sentence, window_s=120)))
        os.kill(first.process.pid, signal.SIGKILL)
        await asyncio.to_thread(first.end)
    second = await asyncio.to_thread(console.headless)
    async with at_the_door(second) as client:
        assert (await ended(client, kept)).record.state is PlanState.DONE
        assert (await ended(client, missed)).record.state is PlanState.DROPPED
        assert len(await own(client, kept)) == 1
        assert not await own(client, missed)
        await eventually(exchange.posts, "the order at the exchange", poll_s=BROKER_POLL_S)
        assert sum((await exchange.posts()).values()) == 1
        said = await asyncio.to_thread(console.run, "plans", "--all", "--json")
        assert {row["record"]["state"] for row in json.loads(said.out)} == {"DONE", "DROPPED"}
        words = await asyncio.to_thread(console.run, "plans", "--all")
        assert f"p{missed} DROPPED" in words.out
    await asyncio.to_thread(second.end)
