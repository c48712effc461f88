"""N7 on the practice exchange: the phone makes an exit smaller, a deadline counts backwards, a cap asks."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from engine.client import EngineClient
from engine.core.commands import ExitPositions, SteerPlan
from engine.core.plans import ExitManner, ExitScope, ExitTarget, PlanNumber, PlanState, PlanTurn, PlanView
from engine.core.vocabulary import Side
from tests.integration.execution.official_book import INDIA, filled_at, fills, net
from tests.integration.execution.phone import Phone
from tests.kit.desk_host import Exchange, Option, eventually, filled, live_chain, say, stand_still
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")

AHEAD_S = 60
"""Of market time, to the deadline of an exit."""
SPEED = 8.0


async def plan_in(client: EngineClient, number: PlanNumber | None, *states: PlanState) -> PlanView:
    """Wait until a plan is in one of ``states``."""

    async def there() -> PlanView | None:
        view = next((one for one in await client.plans() if one.record.number == number), None)
        return view if view is not None and view.record.state in states else None

    return await eventually(there, f"p{number} at {states}")


async def held_short(client: EngineClient, name: str, kind: str, row: int, lots: int) -> tuple[ExitTarget, Option, str]:
    """A short option in a strategy of its own: what leaves it, the option and its symbol."""
    made = await say(client, f"new {name}")
    assert made.strategy is not None, made.message
    option = Option(await live_chain(client), kind, row)
    record = await filled(client, f"sell {lots}L {option.words} @ bid-1.5 into {made.strategy}")
    target = ExitTarget(scope=ExitScope.STRATEGY, strategy=made.strategy)
    return target, option, record.request.instrument.tradingsymbol


async def test_n_7_the_phone_takes_half_and_the_net_never_crosses_zero(shared_host: Host) -> None:
    """An exit of four lots rests; the phone buys two of them back: together exactly four, and flat is flat."""
    client, phone, exchange = shared_host.client, Phone(shared_host), Exchange(shared_host.exchange.root)
    target, option, symbol = await held_short(client, "phone-half", "ce", 5, 4)
    await stand_still(client, exchange)
    try:
        receipt = await client.submit(ExitPositions(target=target, manner=ExitManner.PATIENT))
        assert receipt.accepted, receipt.message

        async def rests() -> bool:
            rows = [row for row in await exchange.orders() if row["tradingsymbol"] == symbol]
            return any(row["status"] == "OPEN" and row["transaction_type"] == "BUY" for row in rows)

        await eventually(rests, "the exit at rest", poll_s=0.1)
        await phone.place(symbol, Side.BUY, 2 * option.lot)
    finally:
        await exchange.speed(1)
    # The phone's two lots are not the strategy's own, so that the net alone says what is left to buy.
    for _ in range(3):
        await client.submit(SteerPlan(number=receipt.plan or PlanNumber(0), turn=PlanTurn.HURRY))
    view = await plan_in(client, receipt.plan, PlanState.DONE)
    rows = [row for row in await exchange.orders() if row["tradingsymbol"] == symbol]
    bought = sum(row["filled_quantity"] for row in rows if row["transaction_type"] == "BUY")
    sold = sum(row["filled_quantity"] for row in rows if row["transaction_type"] == "SELL")
    assert bought == sold, view.record.progress.note
    assert not [row for row in rows if row["status"] == "OPEN"]


async def test_n_7_flat_by_a_time_is_flat_by_then(shared_host: Host) -> None:
    """An exit with a deadline rests first, acts by itself before it, and its last fill comes before it too."""
    client, root = shared_host.client, shared_host.exchange.root
    exchange = Exchange(root)
    target, _, symbol = await held_short(client, "by-then", "pe", 5, 2)
    await stand_still(client, exchange)
    deadline = (shared_host.engine.clock.market_now() + timedelta(seconds=AHEAD_S)).astimezone(INDIA)
    try:
        receipt = await client.submit(ExitPositions(target=target, flat_by=deadline.time(), manner=ExitManner.PATIENT))
        assert receipt.accepted, receipt.message
    finally:
        await exchange.speed(SPEED)
    try:
        view = await plan_in(client, receipt.plan, PlanState.DONE)
    finally:
        await exchange.speed(1)
    own = {record.broker_order_id for record in await client.orders() if record.number in view.orders}
    trades = [trade for trade in await asyncio.to_thread(fills, root) if trade["order_id"] in own]
    assert sum(trade["quantity"] for trade in trades if trade["tradingsymbol"] == symbol)
    assert max(filled_at(trade) for trade in trades) <= deadline
    assert symbol not in await asyncio.to_thread(net, root)


async def test_n_7_beyond_its_slippage_an_exit_asks_and_goes_on_when_told(shared_host: Host) -> None:
    """With no rupee to give it says so and pays nothing; told to hurry it ends, and says what that cost."""
    client = shared_host.client
    target, _, symbol = await held_short(client, "with-cap", "pe", 7, 2)
    receipt = await client.submit(ExitPositions(target=target, manner=ExitManner.NOW, slippage_max=Decimal(0)))
    assert receipt.accepted, receipt.message
    number = receipt.plan or PlanNumber(0)

    async def asks() -> PlanView | None:
        view = next(one for one in await client.plans() if one.record.number == number)
        return view if view.record.state.is_over or "allowed" in view.record.progress.note else None

    view = await eventually(asks, "the question of the exit")
    assert view.slippage is None or view.slippage >= 0, "it paid more than was allowed"
    if not view.record.state.is_over:  # or the market came to it
        assert "Hurry goes on" in view.record.progress.note
        assert (await client.submit(SteerPlan(number=number, turn=PlanTurn.HURRY))).accepted
        view = await plan_in(client, number, PlanState.DONE)
    assert view.slippage is not None
    assert symbol not in await asyncio.to_thread(net, shared_host.exchange.root)
