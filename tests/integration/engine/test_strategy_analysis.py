"""Payoff, scenario, attribution and charges of real strategies, from fills on the practice exchange to the API."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest

from engine.client import EngineClient
from engine.core.analysis import AttributionView
from engine.core.commands import MoveQuantity
from engine.core.errors import InvalidInput, UnknownStrategy
from engine.core.identifiers import StrategyNumber
from engine.core.orders import Trade
from engine.core.strategies import StrategyValue
from engine.core.vocabulary import Mark, Side
from storage.embedded import EmbeddedPostgres
from tests.kit.desk_host import (
    Desk,
    Exchange,
    Option,
    attached,
    filled,
    live_chain,
    new_desk,
    say,
    stand_still,
    until,
)

PAISA = Decimal("0.01")
EXPIRY_DAY = "2026-12-01T11:00:00+05:30"
"""A Tuesday on which NIFTY options end."""
NOBODY = StrategyNumber(404)


def by_hand(side: Side, value: Decimal) -> Decimal:
    """Charges of one executed NSE option order of ``value`` rupees on the test's day."""

    def paise(amount: Decimal) -> Decimal:
        return amount.quantize(PAISA, ROUND_HALF_UP)

    exchange, fund, regulator = (value * Decimal(rate) for rate in ("0.000355299", "0.000000001", "0.000001"))
    tax = value * Decimal("0.0015") if side is Side.SELL else Decimal(0)
    stamp = value * Decimal("0.00003") if side is Side.BUY else Decimal(0)
    services = (20 + exchange + fund + regulator) * Decimal("0.18")
    return 20 + sum(map(paise, (exchange, fund, regulator, tax, stamp, services)), Decimal(0))


def paid_by_hand(fills: Iterable[Trade]) -> Decimal:
    """Charges of the orders that made the fills, each on its whole value."""
    orders: dict[tuple[str, Side], Decimal] = {}
    for fill in fills:
        key = (fill.broker_order_id, fill.side)
        orders[key] = orders.get(key, Decimal(0)) + fill.quantity * fill.price
    return sum((by_hand(side, value) for (_, side), value in orders.items()), Decimal(0))


def exit_by_hand(value: StrategyValue) -> Decimal:
    """Charges of selling what is long and buying what is short, at the exit marks that the value shows."""
    total = Decimal(0)
    for one in value.legs:
        held, price = one.leg.holding.signed_quantity, one.marks[Mark.EXIT]
        assert price is not None, one.reason
        total += by_hand(Side.SELL if held > 0 else Side.BUY, abs(held) * price)
    return total


async def strategy_of(client: EngineClient, number: StrategyNumber) -> StrategyValue:
    """One strategy valued now."""
    return next(value for value in await client.strategies() if value.strategy.number == number)


async def opened(client: EngineClient, name: str) -> StrategyNumber:
    """A new strategy."""
    receipt = await say(client, f"new {name}")
    assert receipt.strategy is not None, receipt.message
    return receipt.strategy


def debit_of(fills: Iterable[Trade]) -> Decimal:
    """Money paid for the fills, less received."""
    return sum((fill.signed_quantity * fill.price for fill in fills), Decimal(0))


def parts_of(view: AttributionView) -> Decimal:
    """All parts of an attribution together."""
    parts = (view.delta, view.gamma, view.theta, view.vega, view.vanna, view.vomma, view.rate, view.spread)
    rest = (view.unexplained, view.residual, view.charges or Decimal(0))
    return sum((*parts, *rest), Decimal(0))


async def explained(client: EngineClient, number: StrategyNumber) -> AttributionView:
    """The attribution of a strategy whose market stands still: whole, and what its money says."""
    view, value = await client.attribution(number), await strategy_of(client, number)
    net = value.net[Mark.MID]
    assert net is not None
    assert parts_of(view) == view.total
    assert abs(view.total - net) < PAISA, (view, value)
    return view


async def test_a_straddle_and_a_spread(desk: Desk) -> None:
    """Break-evens, extrema, charges and attribution agree with the fills by hand; a restart changes no charge."""
    async with desk.opened(with_door=True) as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        chain = await live_chain(client)
        straddle, spread = await opened(client, "straddle-one"), await opened(client, "spread-one")
        call, put, wing = Option(chain, "ce"), Option(chain, "pe"), Option(chain, "ce", 4)
        lot, strike = call.lot, float(chain.header.atm_strike or 0.0)
        width = float(chain.strikes[int(np.flatnonzero(chain.calls.token == wing.token)[0])]) - strike
        meant = await client.interpret(f"sell 2L {call.words} @ {call.high}")
        assert meant.command is not None
        preview = await client.preview(meant.command)
        assert preview.charges == by_hand(Side.SELL, 2 * lot * call.high)
        assert preview.charge_notes == ()
        assert preview.quote is not None
        assert preview.quote.ask is not None
        assert preview.round_trip_charges == preview.charges + by_hand(Side.BUY, 2 * lot * preview.quote.ask)
        await filled(client, f"buy 1L {call.words} @ ask+2 into straddle-one")
        await filled(client, f"buy 1L {put.words} @ ask+2 into straddle-one")
        await filled(client, f"buy 2L {call.words} @ ask+2 into spread-one")
        await filled(client, f"sell 2L {wing.words} @ bid-2 into spread-one")
        await stand_still(client, exchange)
        fills = await client.trades()
        of_straddle = [fill for fill in fills if fill.strategy == straddle]
        of_spread = [fill for fill in fills if fill.strategy == spread]

        value = await strategy_of(client, straddle)
        assert value.charges_paid == paid_by_hand(of_straddle)
        assert value.exit_charges == exit_by_hand(value)
        assert value.net[Mark.LAST] == value.profit[Mark.LAST] - value.charges_paid
        assert value.net_at_exit == value.profit[Mark.EXIT] - value.charges_paid - value.exit_charges
        view = await client.payoff(straddle)
        assert view.charges == value.charges_paid + value.exit_charges
        cost = float(debit_of(of_straddle) + view.charges)
        assert view.break_evens == pytest.approx((strike - cost / lot, strike + cost / lot), abs=1e-6)
        assert view.max_loss == pytest.approx(-cost, abs=1e-6)
        assert (view.profit_unlimited, view.loss_unlimited, view.reason) == (True, False, "")
        assert view.at_expiry == pytest.approx(np.abs(view.prices - strike) * lot - cost, abs=1e-6)
        assert view.underlying == "NIFTY"
        assert view.expiry == chain.key.expiry
        assert view.probability_of_profit is not None
        assert 0.0 < view.probability_of_profit < 1.0
        assert view.expected_value is not None
        assert view.distribution == "smile"
        assert view.sensitivities.delta is not None
        assert value.delta == pytest.approx(view.sensitivities.delta, abs=0.01)
        assert view.forward is not None
        here = await client.payoff(straddle, points=3)
        mid = value.profit[Mark.MID] - view.charges
        at_the_forward = np.interp(view.forward, view.prices, view.now)
        assert at_the_forward == pytest.approx(float(mid), abs=0.1 * lot)
        assert len(here.prices) == 3

        held = await strategy_of(client, spread)
        assert held.charges_paid == paid_by_hand(of_spread)
        assert held.exit_charges == exit_by_hand(held)
        view = await client.payoff(spread)
        assert view.charges is not None
        cost = float(debit_of(of_spread) + view.charges)
        assert view.break_evens == pytest.approx((strike + cost / (2 * lot),), abs=1e-6)
        assert view.max_loss == pytest.approx(-cost, abs=1e-6)
        assert view.max_profit == pytest.approx(width * 2 * lot - cost, abs=1e-6)
        assert view.reward_to_risk == pytest.approx((width * 2 * lot - cost) / cost)

        grid = await client.scenario(spread)
        assert (grid.moves.size, grid.shifts.size) == (21, 11)
        assert grid.moves[[0, -1]] == pytest.approx([-0.05, 0.05])
        assert grid.shifts[[0, -1]] == pytest.approx([-0.05, 0.05])
        assert grid.profit[5][10] == pytest.approx(0.0, abs=1e-6)
        assert grid.profit[5][20] > 0.0 > grid.profit[5][0]
        assert grid.forward is not None

        first = await explained(client, straddle)
        await explained(client, spread)
        assert first.charges == -value.charges_paid
        assert first.spread < 0
        await exchange.speed(60)
        began = host.engine.clock.market_now()
        await until(lambda: (host.engine.clock.market_now() - began).total_seconds() > 300, "five market minutes")
        await stand_still(client, exchange)
        moved = await explained(client, straddle)
        assert moved.theta < first.theta
        assert moved.delta != first.delta
        assert moved.since == first.since
        await explained(client, spread)

        receipt = await client.submit(MoveQuantity(strategy=straddle, leg=2, to_strategy=spread))
        assert receipt.accepted, receipt.message
        given, taken = await explained(client, straddle), await explained(client, spread)
        assert given.charges == moved.charges
        assert "moved between strategies" in given.reason
        assert "moved between strategies" in taken.reason

        async with attached(host) as afar:
            far, near = await afar.payoff(spread), await client.payoff(spread)
            assert far.prices.tolist() == near.prices.tolist()
            assert far.at_expiry.tolist() == near.at_expiry.tolist()
            assert (far.break_evens, far.charges) == (near.break_evens, near.charges)
            with pytest.raises(InvalidInput, match="points is 402; it must be 2 to 401"):
                await afar.payoff(spread, points=402)
        with pytest.raises(InvalidInput, match="the calendar days to its nearest expiry"):
            await client.payoff(spread, days_ahead=300)
        for ask in (client.payoff, client.scenario, client.attribution):
            with pytest.raises(UnknownStrategy, match="404"):
                await ask(NOBODY)
        before = {one.strategy.number: one.charges_paid for one in await client.strategies()}
        status = client.desk().status
        assert set(before) == {straddle, spread, *(one for one in before if before[one] == 0)}
        for mark in Mark:
            if not status.day_profit_partial[mark]:
                assert status.day_net[mark] == status.day_profit[mark] - sum(paid or 0 for paid in before.values())
    async with desk.opened() as host:
        after = {one.strategy.number: one.charges_paid for one in await host.client.strategies()}
        assert after == before
        # The watch of another engine begins with that engine, and what was paid before is not counted again.
        again = await host.client.attribution(straddle)
        assert again.charges == 0
        assert again.since > moved.since
        assert parts_of(again) == again.total


async def test_on_the_last_day_a_buy_is_told_what_exercise_pays(
    postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest
) -> None:
    """The day's own expiry: 0.15 % of 100 points and the brokerage of a settlement; a later expiry says nothing."""
    with new_desk(postgres_server, request.node.nodeid, start=EXPIRY_DAY) as desk:
        async with desk.opened() as host:
            client = host.client
            chain = await live_chain(client)
            assert chain.key.expiry == host.engine.day.today()
            call = Option(chain, "ce")
            bought = await client.interpret(f"buy 2L {call.words} @ {call.high}")
            assert bought.command is not None
            preview = await client.preview(bought.command)
            paid = (2 * call.lot * 100 * Decimal("0.0015") + 20 * Decimal("1.18")).quantize(PAISA)
            (words,) = [note for note in preview.notes if "expires today" in note]
            assert f"{2 * call.lot} units left to expire 100 points in the money pay {paid} in charges" in words
            assert "with NIFTY at" in words
            sold = await client.interpret(f"sell 2L {call.words} @ {call.high}")
            assert sold.command is not None
            assert not [note for note in (await client.preview(sold.command)).notes if "expires" in note]
            later = Option(await live_chain(client, expiry=1), "ce")
            next_week = await client.interpret(f"buy 2L {later.words} @ {later.high}")
            assert next_week.command is not None
            assert not [note for note in (await client.preview(next_week.command)).notes if "expires" in note]
