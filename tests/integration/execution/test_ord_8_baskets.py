"""ORD-8 end to end: a condor whose legs fail one by one, and across a kill, never stands naked at the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from engine.client import EngineClient
from engine.core.commands import PlaceBasket
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.plans import LegFailure, LegPlan, PlanNumber, PlanState, PlanView
from engine.core.vocabulary import Side
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import new_console
from tests.integration.execution.official_book import Running, fills, most_naked, net
from tests.kit.desk_host import Exchange, Option, eventually, live_chain, preview_with_margin
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEGS = 4
DEEP = Decimal("1.5")
"""Rupees through the market: filled at once at whatever is shown."""
FILL_TIMEOUT_S = 3.0
"""Long enough for a busy machine to hear of a fill: the leg that is stuck is to be the one that is named."""


async def instrument_of(client: EngineClient, option: Option) -> Instrument:
    """The row of an option by its token."""
    found = await client.search(option.words.rsplit(" ", 1)[0], 20)
    return next(row for row in found if row.token == option.token)


async def condor(
    client: EngineClient, outward: int, *, stuck: int | None = None
) -> tuple[list[OrderRequest], dict[str, Instrument]]:
    """Four legs that fill at once, hedges first, and the rows of their contracts; ``outward`` strikes out.

    The leg ``stuck`` has a price at which it rests and does not fill.
    """
    view = await live_chain(client)
    plan = [("ce", 4, Side.BUY), ("pe", 4, Side.BUY), ("ce", 1, Side.SELL), ("pe", 1, Side.SELL)]
    legs, rows = [], {}
    for index, (kind, out, side) in enumerate(plan):
        option = Option(view, kind, out + outward)
        row = await instrument_of(client, option)
        price = option.ask + DEEP if side is Side.BUY else max(Decimal("0.05"), option.bid - DEEP)
        if index == stuck:
            price = option.low if side is Side.BUY else option.high
        legs.append(OrderRequest(instrument=row.key, side=side, quantity=option.lot, price=price))
        rows[row.tradingsymbol] = row
    return legs, rows


async def over(client: EngineClient, number: PlanNumber | None) -> PlanView:
    """Wait until a plan is over, or asks."""

    async def ended() -> PlanView | None:
        view = next((one for one in await client.plans() if one.record.number == number), None)
        return (
            view if view is not None and (view.record.state.is_over or view.record.state is PlanState.PAUSED) else None
        )

    return await eventually(ended, f"the end of p{number}")


async def own_fills(client: EngineClient, root: str, view: PlanView) -> list[dict[str, Any]]:
    """Fills at the exchange of a plan's own orders: condors of other tests may stand in the same strikes."""
    key = f"{view.record.name}/"
    ours = {order.broker_order_id for order in await client.orders() if (order.idempotency_key or "").startswith(key)}
    return [trade for trade in await asyncio.to_thread(fills, root) if trade["order_id"] in ours]


def net_of(trades: list[dict[str, Any]]) -> dict[str, int]:
    """Symbol → signed units of these fills."""
    units: dict[str, int] = {}
    for trade in trades:
        sign = 1 if trade["transaction_type"] == "BUY" else -1
        units[trade["tradingsymbol"]] = units.get(trade["tradingsymbol"], 0) + sign * int(trade["quantity"])
    return units


async def test_hedges_first_and_shorts_behind_their_fills(shared_host: Host) -> None:
    """All four legs fill; at the exchange no sold unit ever stood before its cover; the report is the exchange's."""
    client, root = shared_host.client, shared_host.exchange.root
    legs, rows = await condor(client, 0)
    before = await asyncio.to_thread(net, root)
    command = PlaceBasket(legs=tuple(legs), idempotency_key="condor-once")
    preview = await preview_with_margin(client, command)
    assert not preview.violations, preview.violations
    assert preview.margin_paths is not None
    assert preview.margin_paths.shorts_first is not None
    assert preview.margin_paths.chosen.peak <= preview.margin_paths.shorts_first.peak
    receipt = await client.submit(command)
    assert receipt.accepted, receipt.message
    view = await over(client, receipt.plan)
    assert view.record.state is PlanState.DONE, view.record.progress.note
    trades = await own_fills(client, root, view)
    assert most_naked(trades, rows) == 0
    wanted = {leg.instrument.tradingsymbol: leg.side.sign * leg.quantity for leg in legs}
    assert net_of(trades) == wanted
    held = await asyncio.to_thread(net, root)
    assert {symbol: held.get(symbol, 0) - before.get(symbol, 0) for symbol in rows} == wanted
    again = await client.submit(command)
    assert again.repeated
    assert again.plan == receipt.plan
    after = await asyncio.to_thread(net, root)
    assert {symbol: after.get(symbol, 0) for symbol in rows} == {symbol: held.get(symbol, 0) for symbol in rows}
    assert await own_fills(client, root, view) == trades, "the same key traded twice"


@pytest.mark.parametrize("failing", range(LEGS))
async def test_whatever_leg_fails_all_is_taken_back_covered(shared_host: Host, failing: int) -> None:
    """A leg that cannot fill: the others go again, shorts first, and nothing of it was ever naked at the exchange."""
    client, root = shared_host.client, shared_host.exchange.root
    legs, rows = await condor(client, 1 + failing, stuck=failing)
    before = await asyncio.to_thread(net, root)
    plan = LegPlan(fill_timeout_s=FILL_TIMEOUT_S, on_failure=LegFailure.UNWIND)
    receipt = await client.submit(PlaceBasket(legs=tuple(legs), leg_plan=plan))
    assert receipt.accepted, receipt.message
    view = await over(client, receipt.plan)
    assert view.record.state is PlanState.FAILED, view.record.progress.note
    assert f"leg {failing + 1}" in view.record.progress.note
    assert most_naked(await own_fills(client, root, view), rows) == 0
    after = await asyncio.to_thread(net, root)
    assert {symbol: after.get(symbol, 0) for symbol in rows} == {symbol: before.get(symbol, 0) for symbol in rows}


async def test_a_rejected_leg_holds_and_asks(shared_host: Host) -> None:
    """A leg that the exchange rejects under HOLD: what is covered stays, nothing more is sent, a person is asked."""
    client, exchange = shared_host.client, Exchange(shared_host.exchange.root)
    legs, rows = await condor(client, 6)
    await exchange.fault("reject")
    plan = LegPlan(on_failure=LegFailure.HOLD)
    receipt = await client.submit(PlaceBasket(legs=tuple(legs), leg_plan=plan))
    assert receipt.accepted, receipt.message
    view = await over(client, receipt.plan)
    assert view.record.state is PlanState.PAUSED, view.record.progress.note
    assert "rejected" in view.record.progress.note
    assert "Resume goes on" in view.record.progress.note
    seen = await own_fills(client, shared_host.exchange.root, view)
    assert seen
    assert most_naked(seen, rows) == 0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """An engine of its own process, whose exchange outlives it."""
    with new_console(postgres_server, f"{request.node.nodeid} killed", linger_s=20.0) as made:
        started = await asyncio.to_thread(Running, made)
        try:
            yield started
        finally:
            await started.end()


async def test_across_a_kill(running: Running) -> None:
    """Kill -9 between the hedges and a short that cannot fill: the next engine takes all back; never naked."""
    root = running.root
    client = await running.client()
    legs, rows = await condor(client, 0, stuck=3)
    plan = LegPlan(fill_timeout_s=1.0, on_failure=LegFailure.UNWIND)
    receipt = await client.submit(PlaceBasket(legs=tuple(legs), leg_plan=plan, idempotency_key="killed"))
    assert receipt.accepted, receipt.message

    async def hedged() -> bool:
        return len(await asyncio.to_thread(net, root)) >= 2

    await eventually(hedged, "the hedges at the exchange", poll_s=0.1)
    await client.close()
    await running.killed_and_back()
    client = await running.client()
    view = await over(client, receipt.plan)
    await client.close()
    assert view.record.state is PlanState.FAILED, view.record.progress.note
    assert await asyncio.to_thread(net, root) == {}
    assert most_naked(await asyncio.to_thread(fills, root), rows) == 0
