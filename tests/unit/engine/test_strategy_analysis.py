"""Payoffs and scenarios of strategies: hand arithmetic, what is missing said by leg, bounds in words."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from engine.analysis.strategy_analysis import MOVE_MIN, StrategyAnalysis
from engine.analytics.black import price
from engine.analytics.smile_fit import SmileQuotes, fit_smile
from engine.core.analysis import POINTS_MAX, PayoffView
from engine.core.errors import InvalidInput, UnknownStrategy
from engine.core.identifiers import StrategyNumber
from engine.core.vocabulary import InstrumentKind
from tests.unit.engine.strategy_kit import FAR, LOT, NEAR, RATE, STRIKES, VOLATILITY, World, fill, new_world

ONE = StrategyNumber(1)


async def held(*legs: tuple[str, float, int], expiry: object = NEAR, with_charges: bool = False) -> World:
    """A world with options bought (+) and sold (-) in lots at their mids: ``("ce", 24_000, 1)``."""
    world = await new_world(with_charges=with_charges)
    for number, (kind, strike, lots) in enumerate(legs, 1):
        one = world.market.option(kind, strike, expiry if expiry is FAR else NEAR)
        await world.trade(fill(number, one, lots * LOT, world.market.mid(one)))
    return world


def cost_of(world: World) -> float:
    """Money paid less received, charges to date and of leaving on top."""
    value = world.value(1)
    paid = (
        sum((one.leg.holding.signed_quantity * one.leg.holding.average_price for one in value.legs), Decimal(0))
        - value.realised
    )
    return float(paid + (value.charges_paid or 0) + (value.exit_charges or 0))


async def test_a_straddle_by_hand() -> None:
    """Break-evens at strike ∓ cost a unit, the loss bounded by the cost, the profit unlimited, charges counted."""
    world = await held(("ce", 24_000, 1), ("pe", 24_000, 1), with_charges=True)
    view = await world.analysis.payoff(ONE)
    cost = cost_of(world)
    value = world.value(1)
    assert value.charges_paid is not None
    assert value.exit_charges is not None
    assert view.charges == value.charges_paid + value.exit_charges
    assert view.break_evens == pytest.approx((24_000 - cost / LOT, 24_000 + cost / LOT), abs=1e-9)
    assert view.max_loss == pytest.approx(-cost)
    assert (view.max_profit, view.profit_unlimited, view.loss_unlimited) == (None, True, False)
    assert view.reward_to_risk is None
    assert view.at_expiry == pytest.approx(np.abs(view.prices - 24_000) * LOT - cost)
    assert np.interp(24_000.0, view.prices, view.now) == pytest.approx(-float(view.charges), abs=0.05 * LOT)
    assert (view.forward, view.expiry, view.underlying) == (24_000.0, NEAR, "NIFTY")
    assert view.distribution == "lognormal"
    assert view.reason == ""
    assert len(view.prices) == 161
    assert not view.prices.flags.writeable


async def test_a_spread_by_hand() -> None:
    """A bull call spread: one break-even, both ends bounded, expected value minus the charges and the interest."""
    world = await held(("ce", 24_000, 2), ("ce", 24_200, -2), with_charges=True)
    view = await world.analysis.payoff(ONE)
    cost, width = cost_of(world), 200 * 2 * LOT
    assert view.break_evens == pytest.approx((24_000 + cost / (2 * LOT),))
    assert view.max_profit == pytest.approx(width - cost)
    assert view.max_loss == pytest.approx(-cost)
    assert view.reward_to_risk == pytest.approx((width - cost) / cost)
    assert view.charges is not None
    # Risk neutral it brings the interest on what was paid; each mid is rounded to half a tick.
    interest = (cost - float(view.charges)) * math.expm1(RATE * world.market.years(NEAR))
    assert view.expected_value == pytest.approx(interest - float(view.charges), abs=0.0125 * 2 * 2 * LOT)
    assert view.probability_of_profit is not None
    assert 0.3 < view.probability_of_profit < 0.6


async def test_the_curve_now_moves_with_time_and_volatility() -> None:
    """At the asked moment and shift it is the model's price there; at the expiry it meets the other curve."""
    world = await held(("ce", 24_000, 1))
    later = await world.analysis.payoff(ONE, days_ahead=3.0, volatility_shift=0.02, points=41)
    years = world.market.years(NEAR) - 3 / 365
    paid = float(world.market.mid(world.market.option("ce", 24_000)))
    fair = price(later.prices, 24_000.0, years, RATE, VOLATILITY + 0.02, is_call=True)
    assert later.now == pytest.approx((fair - paid) * LOT)
    end = await world.analysis.payoff(ONE, days_ahead=world.market.years(NEAR) * 365)
    assert end.now == pytest.approx(end.at_expiry, abs=1e-6)
    assert (later.days_ahead, later.volatility_shift) == (3.0, 0.02)


async def test_naked_and_covered() -> None:
    """A short call loses without end; with the future against it nothing is unlimited, and both are said."""
    world = await held(("ce", 24_000, -1))
    naked = await world.analysis.payoff(ONE)
    assert (naked.loss_unlimited, naked.max_loss) == (True, None)
    premium = float(world.market.mid(world.market.option("ce", 24_000))) * LOT
    assert naked.max_profit == pytest.approx(premium)
    world = await new_world(with_charges=False)
    call, future = world.market.option("ce", 24_200, FAR), world.market.future()
    await world.trade(fill(1, call, -LOT, world.market.mid(call)), fill(2, future, LOT, "24100"))
    covered = await world.analysis.payoff(ONE)
    received = float(world.market.mid(call))
    assert covered.profit_unlimited is covered.loss_unlimited is False
    assert covered.max_profit == pytest.approx((100 + received) * LOT)
    assert covered.max_loss == pytest.approx((received - 24_100) * LOT)
    assert covered.break_evens == pytest.approx((24_100 - received,))
    assert covered.sensitivities.delta is not None
    assert 0 < covered.sensitivities.delta < LOT


async def test_realised_money_is_part_of_the_total() -> None:
    """A closed leg's profit shifts the whole picture, and its expiry no longer counts."""
    world = await held(("ce", 24_000, 1))
    before = await world.analysis.payoff(ONE)
    other = world.market.option("pe", 23_500)
    await world.trade(fill(8, other, LOT, "40"), fill(9, other, -LOT, "70"))
    after = await world.analysis.payoff(ONE)
    assert after.at_expiry == pytest.approx(before.at_expiry + 30 * LOT)
    assert after.max_loss == pytest.approx((before.max_loss or 0.0) + 30 * LOT)


async def test_a_calendar_is_valued_by_the_model_at_the_near_expiry() -> None:
    """Mixed expiries: each leg has its own forward and time, the best place is near the strike, the loss is bounded."""
    world = await new_world(with_charges=False)
    near, far = world.market.option("ce", 24_000), world.market.option("ce", 24_000, FAR)
    await world.trade(fill(1, near, -LOT, world.market.mid(near)), fill(2, far, LOT, world.market.mid(far)))
    view = await world.analysis.payoff(ONE)
    debit = float(world.market.mid(far) - world.market.mid(near)) * LOT
    assert view.expiry == NEAR
    assert len(view.break_evens) == 2
    assert view.max_profit is not None
    best = float(view.prices[int(np.argmax(view.at_expiry))])
    assert abs(best - 24_000) < 100
    years = world.market.years(FAR) - world.market.years(NEAR)
    there = price(24_100.0, 24_000.0, years, RATE, VOLATILITY, is_call=True).item() * LOT - debit
    assert np.interp(24_000.0, view.prices, view.at_expiry) == pytest.approx(there, rel=0.02)
    assert view.max_loss is not None
    assert view.max_loss > -debit - 1000
    assert view.sensitivities.vega is not None
    assert view.sensitivities.vega > 0


async def test_sensitivities_are_sums_in_rupees() -> None:
    """Finite differences of the scenario grid: delta a point, vega and vanna a percentage point, theta a day."""
    world = await held(("ce", 24_100, 2), ("pe", 23_800, -1))
    sums = (await world.analysis.payoff(ONE)).sensitivities
    step, tick = 1e-4, 1e-3
    grid = await world.analysis.scenario(ONE, moves=(-step, 0.0, step), shifts=(-tick, 0.0, tick))
    points = 24_000.0 * step
    here, delta = np.array(grid.profit), np.array(grid.delta)
    assert sums.delta == pytest.approx((here[1, 2] - here[1, 0]) / (2 * points), rel=1e-5)
    assert sums.delta == pytest.approx(delta[1, 1])
    assert sums.gamma == pytest.approx((delta[1, 2] - delta[1, 0]) / (2 * points), rel=1e-4)
    assert sums.vega == pytest.approx((here[2, 1] - here[0, 1]) / (2 * tick) / 100, rel=1e-4)
    assert sums.vomma == pytest.approx((here[2, 1] - 2 * here[1, 1] + here[0, 1]) / tick**2 / 1e4, rel=1e-2)
    assert sums.vanna == pytest.approx((delta[2, 1] - delta[0, 1]) / (2 * tick) / 100, rel=1e-3)
    later = await world.analysis.scenario(ONE, days_ahead=0.01, moves=(0.0,), shifts=(0.0,))
    assert sums.theta == pytest.approx(float(later.profit[0][0]) / 0.01, rel=1e-2)
    assert sums.rho is not None


async def test_the_scenario_grid() -> None:
    """Rows are shifts, columns moves; nothing where nothing moves; the default axes are 21 by 11 of five each way."""
    world = await held(("ce", 24_000, 1), with_charges=True)
    grid = await world.analysis.scenario(ONE)
    assert grid.moves.tolist() == pytest.approx(np.linspace(-0.05, 0.05, 21).tolist())
    assert grid.shifts.tolist() == pytest.approx(np.linspace(-0.05, 0.05, 11).tolist())
    assert len(grid.profit) == len(grid.delta) == 11
    assert grid.profit[5][10] == pytest.approx(0.0, abs=1e-9)
    assert (np.diff(grid.profit[5]) > 0).all()
    assert (np.diff(np.array(grid.profit)[:, 10]) > 0).all()
    assert grid.forward == 24_000.0
    own = await world.analysis.scenario(ONE, days_ahead=1.0, moves=(0.02,), shifts=(0.0, 0.01, -0.01))
    years, start = (
        world.market.years(NEAR),
        price(24_000.0, 24_000.0, world.market.years(NEAR), RATE, 0.12, is_call=True),
    )
    there = price(24_480.0, 24_000.0, years - 1 / 365, RATE, 0.13, is_call=True)
    assert own.profit[1][0] == pytest.approx((there.item() - start.item()) * LOT)


async def test_the_smile_gives_the_probabilities_when_there_is_one() -> None:
    """With a fitted smile they come from it; a flat one agrees with the lognormal; a leg may take its volatility."""
    quotes = SmileQuotes(np.full(STRIKES.size, VOLATILITY), np.full(STRIKES.size, 0.0005))
    plain = await held(("ce", 24_000, 1), ("pe", 24_000, 1))
    years = plain.market.years(NEAR)
    world = await new_world(smile=fit_smile(STRIKES, quotes, forward=24_000.0, years=years), with_charges=False)
    for number, kind in enumerate(("ce", "pe"), 1):
        one = world.market.option(kind, 24_000)
        await world.trade(fill(number, one, LOT, world.market.mid(one)))
    fitted, flat = await world.analysis.payoff(ONE), await plain.analysis.payoff(ONE)
    assert (fitted.distribution, flat.distribution) == ("smile", "lognormal")
    assert fitted.probability_of_profit == pytest.approx(flat.probability_of_profit, abs=1e-3)
    for kind in ("ce", "pe"):
        world.market.no_volatility.add(world.market.option(kind, 24_000).token)
    view = await world.analysis.payoff(ONE)
    assert view.now == pytest.approx(fitted.now, rel=1e-3, abs=10.0)
    assert "1.1 NIFTY26D0124000CE is valued at the fitted smile's volatility" in view.reason


async def test_the_other_side_stands_in_for_a_missing_volatility_and_says_so() -> None:
    """A call without one takes the put's at its strike; when both lack it, only what needs none is drawn."""
    world = await held(("ce", 24_000, 1))
    whole = await world.analysis.payoff(ONE)
    world.market.no_volatility.add(world.market.option("ce", 24_000).token)
    view = await world.analysis.payoff(ONE)
    assert view.now == pytest.approx(whole.now)
    assert "is valued at the volatility of the put at its strike: its price holds no time value." in view.reason
    world.market.no_volatility.add(world.market.option("pe", 24_000).token)
    blind = await world.analysis.payoff(ONE)
    assert "1.1 NIFTY26D0124000CE has no volatility" in blind.reason
    assert np.isnan(blind.now).all()
    assert blind.break_evens == pytest.approx(whole.break_evens)
    assert blind.sensitivities.delta is None
    grid = await world.analysis.scenario(ONE)
    assert np.isnan(np.array(grid.profit)).all()
    assert "1.1" in grid.reason


def nothing_known(view: PayoffView) -> bool:
    """No figure at all."""
    figures = (view.max_profit, view.max_loss, view.reward_to_risk, view.probability_of_profit, view.expected_value)
    return figures == (None,) * 5 and not view.break_evens and view.sensitivities.delta is None


async def test_a_leg_without_its_chain_is_named() -> None:
    """Its chain not marked yet, or without a forward: nothing is guessed."""
    world = await held(("ce", 24_000, 1))
    world.market.unwatched.add(NEAR)
    view = await world.analysis.payoff(ONE)
    assert nothing_known(view)
    assert "1.1 NIFTY26D0124000CE: the chain of NIFTY 2026-12-01 is not marked yet." in view.reason
    world.market.unwatched.clear()
    world.market.forward[NEAR] = math.nan
    view = await world.analysis.payoff(ONE)
    assert nothing_known(view)
    assert "no forward: all quotes are stale" in view.reason


async def test_one_leg_missing_of_two_spoils_the_picture_and_not_its_axis() -> None:
    """The near leg is whole, the far one has no chain: curves are NaN, landmarks None, the far leg is named."""
    world = await new_world(with_charges=False)
    near, far = world.market.option("ce", 24_000), world.market.option("ce", 24_000, FAR)
    await world.trade(fill(1, near, -LOT, "150"), fill(2, far, LOT, "300"))
    world.market.unwatched.add(FAR)
    view = await world.analysis.payoff(ONE)
    assert len(view.prices) == 161
    assert np.isnan(view.at_expiry).all()
    assert nothing_known(view)
    assert "1.2" in view.reason
    assert "1.1" not in view.reason


async def test_several_underlyings_have_no_one_picture() -> None:
    """The reason names them and says what to do; the scenario is unknown too."""
    world = await new_world(others=("BANKNIFTY",))
    call, other = world.market.option("ce", 24_000), world.others["BANKNIFTY"].option("pe", 24_000)
    await world.trade(fill(1, call, LOT, "150"), fill(2, other, LOT, "150"))
    view = await world.analysis.payoff(ONE)
    assert nothing_known(view)
    assert view.prices.size == 0
    assert "BANKNIFTY, NIFTY: one picture has one underlying" in view.reason
    grid = await world.analysis.scenario(ONE)
    assert np.isnan(np.array(grid.profit)).all()
    assert grid.forward is None


async def test_nothing_open() -> None:
    """A flat strategy has no picture and says why; its scenario is zero everywhere."""
    world = await held(("ce", 24_000, 1))
    call = world.market.option("ce", 24_000)
    await world.trade(fill(5, call, -LOT, "100"))
    view = await world.analysis.payoff(ONE)
    assert nothing_known(view) or view.sensitivities.delta == 0.0
    assert (view.expiry, view.forward, view.prices.size) == (None, None, 0)
    assert "Nothing is open" in view.reason
    grid = await world.analysis.scenario(ONE, moves=(0.1,), shifts=(0.0,))
    assert grid.profit[0].tolist() == [0.0]


async def test_unknown_charges_leave_the_money_gross_and_say_so() -> None:
    """An exit without a price has no charges: nothing is taken off, and the reason is there."""
    world = await held(("ce", 24_000, 1), with_charges=True)
    world.market.no_price.add(world.market.option("ce", 24_000).token)
    world.market.quote()
    view = await world.analysis.payoff(ONE)
    assert view.charges is None
    paid = float(world.market.mid(world.market.option("ce", 24_000))) * LOT
    assert view.max_loss == pytest.approx(-paid)
    assert "Charges are not taken off: 1.1" in view.reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"points": 1}, "points is 1; it must be 2 to 401."),
        ({"points": POINTS_MAX + 1}, "points is 402; it must be 2 to 401."),
        ({"volatility_shift": 1.5}, "volatility_shift is 1.5; it must be -1 to 1."),
        ({"volatility_shift": math.nan}, "volatility_shift is nan"),
        ({"days_ahead": -0.1}, "days_ahead is -0.1; it must be 0 to 7."),
        ({"days_ahead": 8.0}, "the calendar days to its nearest expiry"),
        ({"days_ahead": math.inf}, "days_ahead is inf"),
    ],
)
async def test_bounds_of_a_payoff(arguments: dict[str, float], words: str) -> None:
    """Each argument beyond its bounds is refused with the allowed range."""
    world = await held(("ce", 24_000, 1))
    with pytest.raises(InvalidInput, match=words.replace(".", r"\.").rstrip("\\.")):
        await world.analysis.payoff(ONE, **arguments)  # type: ignore[arg-type] # the point of the test


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"moves": [MOVE_MIN - 0.01]}, "moves is -0.91; it must be -0.9 to 2"),
        ({"moves": [0.0] * (POINTS_MAX + 1)}, "moves has 402 values; it must have 1 to 401, or none"),
        ({"shifts": [0.0, 2.0]}, "shifts is 2; it must be -1 to 1"),
        ({"shifts": [math.nan]}, "shifts is nan"),
        ({"days_ahead": 20.0}, "days_ahead is 20; it must be 0 to 7"),
    ],
)
async def test_bounds_of_a_scenario(arguments: dict[str, object], words: str) -> None:
    """Each axis beyond its bounds is refused with the allowed range."""
    world = await held(("ce", 24_000, 1))
    with pytest.raises(InvalidInput, match=words):
        await world.analysis.scenario(ONE, **arguments)  # type: ignore[arg-type] # the point of the test


async def test_strategies_that_are_not_there() -> None:
    """An unknown number, and any before the portfolio is loaded, are refused in words."""
    world = await new_world()
    with pytest.raises(UnknownStrategy, match="no strategy 7"):
        await world.analysis.payoff(StrategyNumber(7))
    unloaded = StrategyAnalysis(
        world.reader,
        portfolio=lambda: None,
        clock=world.desk.clock,
        rate=RATE,
        day_of=lambda moment: moment.date(),
        smile_of=lambda _: None,
    )
    with pytest.raises(UnknownStrategy, match="none are loaded"):
        await unloaded.attribution(ONE)
    unloaded.on_entries(())


async def test_an_unlisted_contract_and_an_unmodelled_kind_are_named() -> None:
    """What today's dump lacks, or no model knows, cannot be drawn, and nothing stands in for it."""
    world = await held(("ce", 24_000, 1))
    place = (InstrumentKind.CALL, NEAR, 24_000.0)
    call = world.market.instruments.pop(place)
    view = await world.analysis.payoff(ONE)
    assert nothing_known(view)
    assert "1.1 NIFTY26D0124000CE is not among today's instruments." in view.reason
    world.market.instruments[place] = msgspec.structs.replace(call, kind=InstrumentKind.INDEX)
    view = await world.analysis.payoff(ONE)
    assert nothing_known(view)
    assert "1.1 NIFTY26D0124000CE: no model for" in view.reason
