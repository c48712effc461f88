"""ORD-6 end to end: large orders in pieces, over a kill, following the market, and taken back at the exchange."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.client import EngineClient
from engine.core.commands import CancelPlan, PlaceOrder, Receipt, SteerPlan
from engine.core.orders import OrderRecord, OrderState
from engine.core.plans import Manner, PlanNumber, PlanState, PlanTurn, PlanView, Twap
from engine.core.vocabulary import Mode
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, Headless, new_console
from tests.kit.desk_host import BROKER_POLL_S, Exchange, Option, eventually, live_chain, say
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINGER_S = 20.0
KEYS = "p{}/"


@pytest.fixture
def console(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> Iterator[Console]:
    """A console whose exchange outlives a killed engine."""
    with new_console(postgres_server, request.node.nodeid, linger_s=LINGER_S) as made:
        yield made


async def plan_of(client: EngineClient, receipt: Receipt) -> PlanNumber:
    """The plan that a receipt names."""
    assert receipt.accepted, receipt.message
    assert receipt.plan is not None
    return receipt.plan


async def view_of(client: EngineClient, number: PlanNumber) -> PlanView:
    """A plan as it stands."""
    return next(view for view in await client.plans() if view.record.number == number)


async def plan_at(client: EngineClient, number: PlanNumber, *states: PlanState, patience_s: float = 20.0) -> PlanView:
    """Wait until a plan is in one of ``states``."""

    async def there() -> PlanView | None:
        view = await view_of(client, number)
        return view if view.record.state in states else None

    return await eventually(there, f"p{number} at {states}", patience_s=patience_s)


async def pieces(client: EngineClient, exchange: Exchange, number: PlanNumber) -> list[dict[str, Any]]:
    """The exchange's own rows of a plan's orders."""
    tags = {
        record.tag for record in await client.orders() if (record.idempotency_key or "").startswith(KEYS.format(number))
    }
    return [row for row in await exchange.orders() if row["tag"] in tags]


async def test_three_times_the_freeze_quantity(shared_host: Host) -> None:
    """One sentence, four orders: none above the freeze quantity, whole lots, together exactly what was asked."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    view = await live_chain(client)
    option = Option(view, "ce", 2)
    freeze = shared_host.engine.day.rules.freeze_quantity("NIFTY", shared_host.engine.day.today())
    assert freeze is not None
    lots = 3 * freeze // option.lot + 1
    sentence = f"buy {lots}L {option.words} @ {option.low}"
    found = await client.interpret(sentence)
    assert found.command is not None
    preview = await client.preview(found.command)
    assert not preview.violations, preview.violations
    assert "pieces" in preview.sentence
    receipt = await say(client, sentence, idempotency_key="thrice")
    number = await plan_of(client, receipt)

    async def rest() -> list[dict[str, Any]] | None:
        rows = await pieces(client, exchange, number)
        return rows if sum(row["quantity"] for row in rows) >= lots * option.lot else None

    rows = await eventually(rest, "all pieces at the exchange", poll_s=BROKER_POLL_S)
    sizes = [row["quantity"] for row in rows]
    assert sum(sizes) == lots * option.lot
    assert max(sizes) <= freeze
    assert not any(size % option.lot for size in sizes)
    assert len(sizes) == -(-lots // (freeze // option.lot))
    again = await say(client, sentence, idempotency_key="thrice")
    assert again.repeated
    assert again.plan == number
    assert (await client.submit(CancelPlan(number=number))).accepted
    ended = await plan_at(client, number, PlanState.CANCELLED, PlanState.DONE)
    assert sum(step.filled for step in ended.steps) == sum(
        row["filled_quantity"] for row in await pieces(client, exchange, number)
    )
    assert {row["status"] for row in await pieces(client, exchange, number)} <= {"CANCELLED", "COMPLETE"}
    assert len(await pieces(client, exchange, number)) == len(sizes)


async def test_one_piece_after_the_other_and_taken_back(shared_host: Host) -> None:
    """An iceberg shows one piece at a time; cancelled on the phone it asks; cancelled by its number it ends."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    view = await live_chain(client)
    option = Option(view, "pe", 2)
    number = await plan_of(client, await say(client, f"buy 6L {option.words} iceberg 3 @ {option.ask + 2}"))
    done = await plan_at(client, number, PlanState.DONE)
    assert [row["quantity"] for row in await pieces(client, exchange, number)] == [2 * option.lot] * 3
    assert done.slippage is not None
    resting = await plan_of(client, await say(client, f"buy 6L {option.words} iceberg 3 @ {option.low}"))

    async def rests() -> dict[str, Any] | None:
        rows = await pieces(client, exchange, resting)
        return rows[0] if rows and rows[0]["status"] == "OPEN" else None

    row = await eventually(rests, "the first piece at rest", poll_s=BROKER_POLL_S)
    await exchange.ask("DELETE", f"/orders/regular/{row['order_id']}")
    asks = await plan_at(client, resting, PlanState.PAUSED)
    assert "is cancelled" in asks.record.progress.note
    assert len(await pieces(client, exchange, resting)) == 1
    assert (await say(client, f"resume p{resting}")).accepted
    await eventually(lambda: _count(client, exchange, resting, 2), "the piece again", poll_s=BROKER_POLL_S)
    assert (await say(client, f"cancel p{resting}")).accepted
    await plan_at(client, resting, PlanState.CANCELLED)
    assert {row["status"] for row in await pieces(client, exchange, resting)} == {"CANCELLED"}


async def _count(client: EngineClient, exchange: Exchange, number: PlanNumber, least: int) -> bool:
    return len(await pieces(client, exchange, number)) >= least


async def test_a_chase_follows_the_market(shared_host: Host) -> None:
    """The order's price at the exchange moves with the market, within its ticks, until it is filled or taken back."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    view = await live_chain(client)
    option = Option(view, "ce", 1)
    ticks = 200
    await exchange.speed(20)
    try:
        for behind in (1, 3, 6, 10):
            sentence = f"buy 1L {option.words} chase {ticks} ticks @ bid-{behind}"
            number = await plan_of(client, await say(client, sentence))
            moved = await eventually(partial(_moved, client, number), f"a change of the price of p{number}, or its end")
            if moved == "changed":
                break
            # The market came down to it before it had a reason to move: further behind, it has to follow first.
    finally:
        await exchange.speed(1)
    assert moved == "changed"
    rows = await pieces(client, exchange, number)
    records = await _orders_of(client, number)
    spec = (await view_of(client, number)).record.spec
    first = getattr(spec, "request", records[0].request).price
    assert first is not None
    assert rows
    for row in rows:
        assert abs(Decimal(str(row["price"])) - first) <= ticks * Decimal("0.05")
    await client.submit(CancelPlan(number=number))
    await plan_at(client, number, PlanState.CANCELLED, PlanState.DONE)
    left = [row for row in await pieces(client, exchange, number) if row["status"] not in {"CANCELLED", "COMPLETE"}]
    assert not left


async def _orders_of(client: EngineClient, number: PlanNumber) -> list[OrderRecord]:
    prefix = KEYS.format(number)
    return [record for record in await client.orders() if (record.idempotency_key or "").startswith(prefix)]


async def _moved(client: EngineClient, number: PlanNumber) -> str | None:
    """Whether a plan has changed the price of its order, or ended before it did."""
    if any(record.modifications for record in await _orders_of(client, number)):
        return "changed"
    return "over" if (await view_of(client, number)).record.state.is_over else None


@contextlib.asynccontextmanager
async def at_the_door(engine: Headless) -> AsyncIterator[RemoteClient]:
    """A client of a headless engine; its end may come before the client's."""
    client = await RemoteClient.attach(Path(engine.ready["socket"]))
    try:
        yield client
    finally:
        await client.close()


async def test_killed_in_the_middle_of_a_schedule(console: Console) -> None:
    """Kill -9 between two slots: the next engine goes on, the exchange has exactly what was asked, no piece twice."""
    first = await asyncio.to_thread(console.headless)
    exchange = Exchange(first.ready["exchange_root"])
    async with at_the_door(first) as client:
        view = await live_chain(client)
        option = Option(view, "ce", 2)
        manner: Manner = Twap(duration_s=4.5, pieces=3)
        found = await client.interpret(f"buy 7L {option.words} @ {option.ask + 2}")
        assert isinstance(found.command, PlaceOrder)
        wanted = msgspec.structs.replace(found.command, manner=manner, idempotency_key="slow")
        number = await plan_of(client, await client.submit(wanted))
        await eventually(lambda: _count(client, exchange, number, 1), "the first piece", poll_s=BROKER_POLL_S)
        os.kill(first.process.pid, signal.SIGKILL)
        await asyncio.to_thread(first.end)
    second = await asyncio.to_thread(console.headless)
    async with at_the_door(second) as client:
        await live_chain(client)
        again = await client.submit(wanted)
        assert again.repeated
        assert again.plan == number

        async def over() -> PlanView | None:
            view = await view_of(client, number)
            if view.record.state is PlanState.PAUSED:
                # The schedule was over before the engine was back: it asks, and a person lets it go on.
                await client.submit(SteerPlan(number=number, turn=PlanTurn.RESUME))
            return view if view.record.state.is_over else None

        ended = await eventually(over, "the end of the plan", poll_s=BROKER_POLL_S)
        assert ended.record.state is PlanState.DONE, ended.record.progress.note
        rows = await pieces(client, exchange, number)
        assert sum(row["filled_quantity"] for row in rows) == 7 * option.lot
        assert set((await exchange.posts()).values()) == {1}
        own = [record for record in await client.orders() if (record.idempotency_key or "").startswith("p")]
        assert all(record.state in {OrderState.COMPLETE, OrderState.NOT_SENT} for record in own)
        assert client.desk().status.mode is not Mode.READ
    await asyncio.to_thread(second.end)
