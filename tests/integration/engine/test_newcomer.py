"""What a newcomer does first: look at a live chain, buy, and watch the money move; in process and through the door."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal

import numpy as np
import pytest
import pytest_asyncio

from engine.client import EngineClient
from engine.core.orders import OrderState
from engine.core.strategies import Leg, M2mCandle
from engine.core.vocabulary import Mark, QuoteState, Side, Venue
from tests.kit.desk_host import (
    Exchange,
    Option,
    attached,
    booked,
    comes_to,
    eventually,
    filled,
    live_chain,
    main_strategy,
    say,
    until,
)
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")
NEAR_MONEY_ROWS = 5


@contextlib.asynccontextmanager
async def client_of(kind: str, host: Host) -> AsyncIterator[EngineClient]:
    """The same engine by either road."""
    if kind == "local":
        yield host.client
        return
    async with attached(host) as remote:
        yield remote


@pytest_asyncio.fixture(params=["local", "remote"], loop_scope="module")
async def client(request: pytest.FixtureRequest, shared_host: Host) -> AsyncIterator[EngineClient]:
    """A client of the module's engine."""
    async with client_of(request.param, shared_host) as made:
        yield made


async def test_the_chain_is_live_and_complete(client: EngineClient) -> None:
    """Around the money each contract has prices, open interest, volatility and Greeks of the right sign and size."""
    view = await live_chain(client)
    header = view.header
    assert header.spot is not None
    assert header.forward is not None
    assert header.forward_source == "parity"
    assert header.atm_strike is not None
    assert abs(header.forward / header.spot - 1) < 0.01
    assert abs(header.atm_strike - header.forward) <= 50
    assert header.straddle is not None
    assert header.straddle > 0
    assert header.pcr_open_interest is not None
    assert header.pcr_open_interest > 0
    assert header.pcr_volume is not None
    assert header.max_pain in view.strikes
    # Thursday 11:00 to the close of Monday.
    assert 3 * 86_400 < header.seconds_to_expiry < 5 * 86_400
    middle = int(np.argmin(np.abs(view.strikes - header.atm_strike)))
    rows = slice(middle - NEAR_MONEY_ROWS, middle + NEAR_MONEY_ROWS + 1)
    for side, sign in ((view.calls, 1), (view.puts, -1)):
        assert (side.state[rows] == QuoteState.LIVE).all()
        assert (side.bid[rows] > 0).all()
        assert (side.bid[rows] < side.ask[rows]).all()
        assert (side.last[rows] > 0).all()
        assert (side.open_interest[rows] > 0).all()
        assert (side.open_interest[rows] % header.lot_size == 0).all()
        assert ((side.implied_volatility[rows] > 0.03) & (side.implied_volatility[rows] < 0.6)).all()
        assert ((sign * side.delta[rows] > 0) & (sign * side.delta[rows] < 1)).all()
        assert (side.gamma[rows] > 0).all()
        assert (side.theta[rows] < 0).all()
        assert (side.vega[rows] > 0).all()
    delta = float(view.calls.delta[middle] - view.puts.delta[middle])
    assert delta == pytest.approx(1, abs=0.02)


async def test_the_chain_keeps_updating(client: EngineClient) -> None:
    """The picture's sequence grows, rows that changed are named, and prices move."""
    first = await live_chain(client)
    before = first.calls.bid.copy(), first.sequence

    def has_moved() -> bool:
        view = client.chain(first.key, before[1])
        return (
            view is not None
            and view.sequence > before[1]
            and not np.array_equal(view.calls.bid, before[0], equal_nan=True)
        )

    await until(has_moved, "a moving price")
    changed = client.chain(first.key, before[1])
    assert changed is not None
    assert changed.changed.size


async def test_status_says_what_this_is(client: EngineClient) -> None:
    """Venue, session, feed and strip are those of the practice exchange, live, with nothing degraded."""
    await until(lambda: all(item.last is not None for item in client.desk().strip), "the index strip")
    desk = client.desk()
    assert desk.status.venue is Venue.PRACTICE
    assert desk.status.session.state == "open"
    assert desk.status.feed.state is QuoteState.LIVE
    assert desk.status.writer
    assert desk.status.degraded == ()
    assert [item.label for item in desk.strip] == ["NIFTY", "BANKNIFTY", "SENSEX", "VIX"]


async def test_an_order_from_words_to_money(client: EngineClient, shared_host: Host) -> None:
    """Interpret, preview, submit: COMPLETE, one trade, the broker's position, and an M2M that moves with the ticks."""
    view = await live_chain(client)
    strike = view.header.atm_strike
    sentence = f"buy 2L nifty {strike:.0f} ce w0 @ ask+1"
    interpretation = await client.interpret(sentence)
    assert interpretation.error is None, interpretation.error
    assert interpretation.command is not None
    preview = await client.preview(interpretation.command)
    assert preview.violations == ()
    assert preview.request is not None
    assert preview.request.quantity == 2 * view.header.lot_size
    assert preview.quote is not None
    assert preview.cash is not None
    assert preview.cash < 0
    receipt = await client.submit(interpretation.command)
    assert receipt.accepted, receipt.message
    record = await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
    assert record.filled_quantity == record.request.quantity == 2 * view.header.lot_size
    assert record.request.price is not None
    assert record.average_price is not None
    assert record.average_price <= record.request.price
    fills = await booked(client, record)
    assert {fill.side for fill in fills} == {Side.BUY}
    position = next(item for item in await client.positions() if item.instrument == record.request.instrument)

    async def leg_in_main() -> Leg | None:
        legs = [item.leg for item in (await main_strategy(client)).legs]
        return next((leg for leg in legs if leg.instrument == record.request.instrument), None)

    leg = await eventually(leg_in_main, "the leg")
    assert leg.holding.signed_quantity == position.signed_quantity
    seen: set[Decimal] = set()

    def money() -> int:
        for item in client.desk().strategies:
            if item.strategy.is_default and not item.partial.get(Mark.LAST):
                seen.add(item.profit[Mark.LAST])
        return len(seen)

    await until(lambda: money() >= 3, "an M2M that moves")
    token = leg.token
    await client.watch([token])
    await until(lambda: client.quote(token) is not None, "a quote")
    await client.unwatch([token])
    value = await main_strategy(client)
    assert value.delta is not None
    assert value.theta is not None
    history = await client.order_history(record.number)
    assert [event.to_state for event in history][-1] is OrderState.COMPLETE
    assert all(event.applied for event in history)


async def test_minute_candles_are_stored(client: EngineClient, shared_host: Host) -> None:
    """Whole minutes of market time leave candles with a true range, adjacent and made of many samples."""
    view = await live_chain(client)
    await filled(client, f"buy 1L nifty {view.header.atm_strike:.0f} pe w0 @ ask+2")
    value = await main_strategy(client)
    started = client.desk().status.session.market_time
    exchange = Exchange(shared_host.exchange.root)
    await exchange.speed(60)
    try:
        await until(
            lambda: (client.desk().status.session.market_time - started).total_seconds() > 200, "some market minutes"
        )
    finally:
        await exchange.speed(1)
    ended = client.desk().status.session.market_time

    async def stored() -> tuple[M2mCandle, ...]:
        candles = await client.candles(value.strategy.number, started, ended)
        return candles if len(candles) >= 3 else ()

    found = await eventually(stored, "three stored candles")
    for candle in found:
        assert candle.low <= min(candle.open, candle.close)
        assert candle.high >= max(candle.open, candle.close)
        assert candle.samples >= 1
    assert len({candle.minute for candle in found}) == len(found)
    assert any(candle.high > candle.low for candle in found)


async def test_search_and_doctor(client: EngineClient) -> None:
    """Free text finds the contract, and the preflight blocks nothing."""
    found = await client.search("nifty 24200 ce w0", 5)
    assert found[0].strike == 24_200
    assert found[0].kind.value == "CE"
    report = await client.doctor()
    blocked = [check for check in report.checks if check.outcome == "block"]
    assert blocked == []
    names = {check.name for check in report.checks}
    assert {"login", "clock", "instruments", "calendar", "feed", "database", "disk", "writer", "funds"} <= names


async def test_two_clients_see_one_desk(shared_host: Host) -> None:
    """What one seat does, the other reads: the order, and the event that says who did it."""
    async with attached(shared_host) as first, attached(shared_host) as second:
        option = Option(await live_chain(first), "ce")
        receipt = await say(first, f"buy 1L {option.words} @ {option.low}")
        assert receipt.accepted, receipt.message
        number = receipt.orders[0].number
        await until(lambda: any(item.number == number for item in second.desk().orders), "the other's order")
        await comes_to(first, number, OrderState.OPEN)
        await say(second, f"cancel o{number}")
        await comes_to(first, number, OrderState.CANCELLED)
