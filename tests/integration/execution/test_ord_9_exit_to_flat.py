"""ORD-9 end to end: flat on a thin book, with the time and the slippage that the exchange's own records give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from engine.client import EngineClient
from engine.core.commands import ExitPositions, SteerPlan
from engine.core.errors import InvalidInput
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.orders import OrderState
from engine.core.plans import ExitManner, ExitScope, ExitTarget, PlanNumber, PlanState, PlanTurn, PlanView
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import new_console
from tests.integration.execution.official_book import Running, filled_at, fills, net, slippage
from tests.kit.desk_host import (
    BROKER_POLL_S,
    Exchange,
    Option,
    comes_to,
    eventually,
    filled,
    live_chain,
    say,
    stand_still,
)
from workstation.assembly import Host

CLOSE = (("buy", "ask+1.5", 6), ("sell", "bid-1.5", 3))
FREEZE_LOTS = 27
"""The most lots of one order."""
THIN = {ExitManner.NOW: (FREEZE_LOTS, 3), ExitManner.NORMAL: (8, 1)}
"""Lots and orders that are more than is taken at once: three of the largest, mostly; at the mid, any."""
THIN_S = 40.0
"""How long a moment is waited for at which the book shows less than those: it is deep now and then."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def over(client: EngineClient, number: PlanNumber | None) -> PlanView:
    """Wait until a plan is over."""

    async def ended() -> PlanView | None:
        view = next((one for one in await client.plans() if one.record.number == number), None)
        return view if view is not None and view.record.state.is_over else None

    return await eventually(ended, f"the end of p{number}")


async def paid(client: EngineClient, number: OrderNumber) -> Decimal:
    """Rupees of an order's fills."""
    order = next(record for record in await client.orders() if record.number == number)
    fills = [trade for trade in await client.trades() if trade.broker_order_id == order.broker_order_id]
    return sum((trade.quantity * trade.price for trade in fills), Decimal(0))


async def new_strategy(client: EngineClient, name: str) -> StrategyNumber:
    """A strategy of the test's own."""
    receipt = await say(client, f"new {name}")
    assert receipt.strategy is not None, receipt.message
    return receipt.strategy


async def quoted(client: EngineClient, row: int, expiry: int) -> Option:
    """A call so many strikes out, once both sides of its book have a price: a thin one may just have been emptied."""

    async def found() -> Option | None:
        view = await live_chain(client, expiry=expiry)
        try:
            return Option(view, "ce", row)
        except InvalidInput:
            return None

    return await eventually(found, f"a call {row} strikes out with a bid and an offer")


async def stop_when_thin(client: EngineClient, exchange: Exchange, symbol: str, units: int) -> None:
    """Stop the market at a moment at which fewer than ``units`` of a contract are offered.

    How deep the book is changes from moment to moment, and how long it took until now depends on the machine.
    """

    async def is_thin() -> bool:
        await stand_still(client, exchange)
        key = f"NFO:{symbol}"
        depth = (await exchange.ask("GET", f"/quote?i={key}"))[key]["depth"]
        if sum(int(level["quantity"]) for level in depth["sell"]) < units:
            return True
        await exchange.speed(1)
        return False

    await eventually(is_thin, f"a book with fewer than {units} of {symbol}", patience_s=THIN_S, poll_s=BROKER_POLL_S)


async def spread(
    client: EngineClient, name: str, *, lots: int, times: int = 1, expiry: int = 0
) -> tuple[StrategyNumber, list[str]]:
    """A credit spread held in a strategy of its own: its number, and the symbols of its short and its wing."""
    number = await new_strategy(client, name)
    symbols = []
    for verb, price, row in (("buy", "ask+1.5", 12), ("sell", "bid-1.5", 10)) if expiry else CLOSE:
        option = await quoted(client, row, expiry)
        sentence = f"{verb} {lots}L {option.words} @ {price} into {number}"
        records = await asyncio.gather(*(filled(client, sentence) for _ in range(times)))
        symbols.append(records[0].request.instrument.tradingsymbol)
    return number, symbols[::-1]


async def agrees(client: EngineClient, root: str, view: PlanView) -> list[dict[str, Any]]:
    """The plan's time and slippage are those of the exchange's own records; returns its fills there."""
    orders = {record.broker_order_id for record in await client.orders() if record.number in view.orders}
    trades = [trade for trade in await asyncio.to_thread(fills, root) if trade["order_id"] in orders]
    decided = {}
    for step in view.steps:
        assert step.decided_price is not None
        decided[step.words.rsplit(" ", 1)[1]] = step.decided_price
        assert step.filled == step.quantity
    assert view.slippage == slippage(trades, decided)
    began = datetime.fromisoformat(view.record.progress.facts["began"])
    last = max(filled_at(trade) for trade in trades)
    assert view.elapsed_s == pytest.approx(max(0.0, (last - began).total_seconds()), abs=0.01)
    return trades


def units_at(rows: list[dict[str, Any]], symbol: str, side: str, *fields: str) -> int:
    """Units of a contract and a side in a book, summed over fields of its rows."""
    own = [row for row in rows if (row["tradingsymbol"], row["transaction_type"]) == (symbol, side)]
    return sum(int(row[field]) for row in own for field in fields)


@pytest.mark.parametrize("manner", [ExitManner.NOW, ExitManner.NORMAL])
async def test_flat_on_a_thin_book_with_residuals(shared_host: Host, manner: ExitManner) -> None:
    """More than a far, thin book shows: what is not taken at once rests, protected, and is worked until all is flat."""
    client, root = shared_host.client, shared_host.exchange.root
    lots, times = THIN[manner]
    number, (short, wing) = await spread(client, f"thin-{manner}", lots=lots, times=times, expiry=4)
    target = ExitTarget(scope=ExitScope.STRATEGY, strategy=number)
    command = ExitPositions(target=target, manner=manner, idempotency_key=f"thin-{manner}")
    preview = await client.preview(command)
    assert not preview.violations, preview.violations
    exchange = Exchange(root)
    try:
        if manner is ExitManner.NOW:
            held = -(await asyncio.to_thread(net, root))[short]
            await stop_when_thin(client, exchange, short, held)
        else:
            await stand_still(client, exchange)
        receipt = await client.submit(command)
        assert receipt.accepted, receipt.message

        async def rests() -> list[dict[str, Any]]:
            rows = [row for row in await exchange.orders() if row["tradingsymbol"] == short]
            return [row for row in rows if row["status"] == "OPEN" and row["pending_quantity"]]

        residuals = await eventually(rests, "a rest on the thin book", poll_s=0.1)
        assert all((row["order_type"], row["transaction_type"]) == ("LIMIT", "BUY") for row in residuals)
        at_once = await exchange.orders()
        taken = units_at(at_once, short, "BUY", "filled_quantity")
        assert units_at(at_once, wing, "SELL", "filled_quantity", "pending_quantity") <= taken, "a wing is ahead"
    finally:
        await exchange.speed(1)
    view = await over(client, receipt.plan)
    assert view.record.state is PlanState.DONE, view.record.progress.note
    assert not {short, wing} & (await asyncio.to_thread(net, root)).keys()
    trades = await agrees(client, root, view)
    bought = sold = 0
    for trade in trades:
        bought += int(trade["quantity"]) if trade["tradingsymbol"] == short else 0
        sold += int(trade["quantity"]) if trade["tradingsymbol"] == wing else 0
        assert sold <= bought, "a wing went before its short"
    value = next(value for value in await client.strategies() if value.strategy.number == number)
    assert value.open_legs == 0
    again = await client.submit(command)
    assert (again.repeated, again.plan) == (True, receipt.plan)


async def test_a_stop_shrinks_with_the_exit_and_goes_when_flat(shared_host: Host) -> None:
    """A part of a leg goes and its stop shrinks to the rest; the whole goes and the stop goes with it, never first."""
    client, root = shared_host.client, shared_host.exchange.root
    view = await live_chain(client)
    number = await new_strategy(client, "guarded-one")
    option = Option(view, "pe", 2)
    await filled(client, f"sell 4L {option.words} @ bid-1.5 into {number}")
    trigger = option.ask * 3 // 2
    receipt = await say(client, f"buy 4L {option.words} stop {trigger} @ {trigger + 2} into {number}")
    assert receipt.accepted, receipt.message
    stop = receipt.orders[0].number
    await comes_to(client, stop, OrderState.TRIGGER_PENDING)
    receipt = await say(client, f"exit {number} 50% now")
    assert receipt.accepted, receipt.message
    done = await over(client, receipt.plan)
    assert done.record.state is PlanState.DONE, done.record.progress.note

    async def shrunk() -> bool:
        record = next(record for record in await client.orders() if record.number == stop)
        return record.request.quantity == 2 * option.lot and record.state is OrderState.TRIGGER_PENDING

    await eventually(shrunk, "the smaller stop")
    receipt = await say(client, f"exit {number}.pe now")
    done = await over(client, receipt.plan)
    assert done.record.state is PlanState.DONE, done.record.progress.note
    assert (await comes_to(client, stop, OrderState.CANCELLED)).filled_quantity == 0
    await agrees(client, root, done)


async def test_the_net_is_never_enlarged_and_the_hand_over_is_offered(shared_host: Host) -> None:
    """Two strategies hold both sides of one contract: leaving one would open the net: refused, and moved instead."""
    client, root = shared_host.client, shared_host.exchange.root
    view = await live_chain(client)
    long, short = await new_strategy(client, "long-side"), await new_strategy(client, "short-side")
    option = Option(view, "ce", 1)
    record = await filled(client, f"buy 2L {option.words} @ ask+1.5 into {long}")
    opposite = await filled(client, f"sell 2L {option.words} @ bid-1.5 into {short}")
    before = await asyncio.to_thread(net, root)
    posts = sum((await Exchange(root).posts()).values())
    refused = await say(client, f"exit {long}")
    assert not refused.accepted
    assert [violation.check for violation in refused.violations] == ["net"]
    assert f"bring the broker's net to -{2 * option.lot}" in refused.message
    sentence = f"move {long}.1 2L to {short} at mark"
    assert f'"{sentence}"' in refused.message
    command = (await client.interpret(sentence)).command
    assert command is not None
    preview = await client.preview(command)
    assert not preview.violations
    assert "at its mid" in preview.sentence
    moved = await say(client, sentence)
    assert moved.accepted, moved.message
    assert sum((await Exchange(root).posts()).values()) == posts, "something was sent"
    values = {value.strategy.number: value for value in await client.strategies()}
    assert (values[long].open_legs, values[short].open_legs) == (0, 0)
    gained = [values[number].realised for number in (long, short)]
    assert any(f"to {short}." in event.text and " at its mid " in event.text for event in await client.events())
    assert sum(gained) == await paid(client, opposite.number) - await paid(client, record.number)
    assert await asyncio.to_thread(net, root) == before
    assert record.request.instrument.tradingsymbol not in before


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    """An engine of its own process, whose exchange outlives it."""
    with new_console(postgres_server, f"{request.node.nodeid} killed", linger_s=20.0) as made:
        started = await asyncio.to_thread(Running, made)
        try:
            yield started
        finally:
            await started.end()


async def traded(root: str, symbol: str) -> dict[str, int]:
    """Units bought and sold of a contract at the exchange."""
    return units_of(await asyncio.to_thread(fills, root), symbol)


def units_of(trades: list[dict[str, Any]], symbol: str) -> dict[str, int]:
    """Units bought and sold of a contract."""
    total = {"BUY": 0, "SELL": 0}
    for trade in trades:
        if trade["tradingsymbol"] == symbol:
            total[trade["transaction_type"]] += int(trade["quantity"])
    return total


async def test_across_a_kill(running: Running) -> None:
    """Kill -9 amid a patient exit: the next engine goes on and is flat; every unit went exactly once."""
    client = await running.client()
    earlier = await asyncio.to_thread(fills, running.root)
    number, symbols = await spread(client, "killed-one", lots=6)
    held = await asyncio.to_thread(net, running.root)
    target = ExitTarget(scope=ExitScope.STRATEGY, strategy=number)
    receipt = await client.submit(ExitPositions(target=target, manner=ExitManner.PATIENT))
    assert receipt.accepted, receipt.message

    async def sent() -> bool:
        view = next(view for view in await client.plans() if view.record.number == receipt.plan)
        return bool(view.orders)

    await eventually(sent, "the first order of the exit")
    await client.close()
    await running.killed_and_back()
    client = await running.client()
    for _ in range(4):
        await client.submit(SteerPlan(number=receipt.plan or PlanNumber(0), turn=PlanTurn.HURRY))
    view = await over(client, receipt.plan)
    await client.close()
    assert view.record.state is PlanState.DONE, view.record.progress.note
    assert await asyncio.to_thread(net, running.root) == {}
    for symbol in symbols:
        units = abs(held[symbol])
        # The tests of this file share an exchange, and may meet in a contract.
        before = units_of(earlier, symbol)
        after = await traded(running.root, symbol)
        assert {side: after[side] - before[side] for side in after} == {"BUY": units, "SELL": units}


async def test_from_the_shell(running: Running) -> None:
    """`workstation exit all --now --yes --json` waits until flat and says how long it took and what it cost."""
    client = await running.client()
    await spread(client, "shell-one", lots=2)
    await client.close()
    said = await asyncio.to_thread(running.console.run, "exit", "all", "--now", "--yes", "--json")
    assert said.code == 0, said.words
    (plan,) = said.data["plans"]
    assert plan["record"]["state"] == "DONE"
    assert f"slippage {Decimal(plan['slippage']):+f}" in said.words
    assert await asyncio.to_thread(net, running.root) == {}
