"""Why money moved: the parts sum to the change of the money on the mid, whatever happens to marks, legs and book."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from engine.analysis.strategy_attribution import REASONS_MAX, WATCH_S, bounded
from engine.core.analysis import AttributionView
from engine.core.commands import MoveQuantity
from engine.core.errors import UnknownStrategy
from engine.core.identifiers import StrategyNumber
from tests.unit.engine.strategy_kit import LOT, NEAR, World, fill, new_world
from tests.unit.portfolio.fakes import OPENING, settle

PAISA = Decimal("0.01")
ONE, TWO = StrategyNumber(1), StrategyNumber(2)


def report(world: World, number: int = 1) -> AttributionView:
    """The answer now; its parts always sum to its total."""
    view = world.attribution.report(world.desk.service, StrategyNumber(number))
    parts = (view.delta, view.gamma, view.theta, view.vega, view.vanna, view.vomma, view.rate, view.spread)
    rest = (view.unexplained, view.residual, view.charges or Decimal(0))
    assert sum((*parts, *rest), Decimal(0)) == view.total
    return view


def agree(one: Decimal, other: Decimal) -> bool:
    """Equal to the paisa: an answer is rounded to it."""
    return abs(one - other) <= PAISA


async def move(world: World, *, points: float = 0.0, volatility: float = 0.0, seconds: float = 0.0) -> None:
    """Move the market, and look at it."""
    for expiry in world.market.forward:
        world.market.forward[expiry] += points
    world.market.volatility += volatility
    await world.pass_time(seconds)
    world.attribution.look()


async def test_the_parts_say_what_moved() -> None:
    """A long call gains by delta and gamma when the forward rises, by vega with volatility, and loses theta."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    world.attribution.look()
    await world.trade(fill(1, call, LOT, world.market.mid(call)))
    start = report(world)
    assert start.total == start.charges
    assert start.charges is not None
    assert start.charges < 0
    assert start.spread == 0
    await move(world, points=40.0)
    up = report(world)
    assert up.delta > 0
    assert up.gamma > 0
    assert up.theta == up.vega == 0
    await move(world, volatility=0.01)
    dear = report(world)
    assert dear.vega > 0
    assert dear.delta == up.delta
    await move(world, seconds=3600)
    late = report(world)
    assert late.theta < 0
    assert late.unexplained == 0
    assert abs(late.residual) < abs(late.total) / 20
    assert late.charges is not None
    assert agree(late.total - late.charges, world.mid_profit(1))
    assert late.reason == ""


async def test_a_long_day_loses_no_paisa() -> None:
    """Over a random market with trades both ways, closed legs and a future, the total is the books' own change."""
    world = await new_world()
    draw = np.random.default_rng(11)
    ones = [
        world.market.option("ce", 24_000),
        world.market.option("pe", 23_800),
        world.market.option("ce", 24_200),
        world.market.future(),
    ]
    world.attribution.look()
    for step in range(400):
        await move(
            world,
            points=float(draw.normal(0.0, 6.0)),
            volatility=float(draw.normal(0.0, 0.0004)),
            seconds=1.0,
        )
        if step % 7 == 0:
            one = ones[int(draw.integers(len(ones)))]
            away = Decimal(int(draw.integers(-4, 5))) * Decimal("0.05")
            quantity = LOT * int(draw.choice((-2, -1, 1, 2)))
            price = max(world.market.mid(one) // Decimal("0.05") * Decimal("0.05") + away, Decimal("0.05"))
            await world.trade(fill(step + 1, one, quantity, price, at=world.desk.clock.market_now()))
        if step % 40 == 0:
            view, value = report(world), world.value(1)
            assert value.charges_paid is not None
            assert agree(view.total, world.mid_profit(1) - value.charges_paid)
    final = report(world)
    assert final.reason == ""
    assert final.unexplained == 0
    assert abs(final.residual) < 200


async def test_what_a_trade_pays_against_the_mid_is_the_spread() -> None:
    """A buy 0.50 above the mid and a sale 0.25 below it pay 65 × 0.75, and nothing else moves."""
    world = await new_world()
    put = world.market.option("pe", 23_900)
    world.attribution.look()
    mid = world.market.mid(put)
    await world.trade(fill(1, put, LOT, mid + Decimal("0.5")))
    await world.trade(fill(2, put, -LOT, mid - Decimal("0.25")))
    view = report(world)
    assert view.spread == -LOT * Decimal("0.75")
    assert view.charges is not None
    assert view.total == view.spread + view.charges


async def test_the_watch_says_since_when() -> None:
    """What is held when it begins starts at its mid then, charges paid; a strategy made later begins later."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    await world.trade(fill(1, call, LOT, world.market.mid(call) - 20))
    await world.pass_time(100)
    world.attribution.look()
    before = world.mid_profit(1)
    assert before != 0
    view = report(world)
    assert view.since == OPENING + timedelta(seconds=100)
    assert view.total == view.charges == 0
    await move(world, points=10.0, seconds=5)
    await world.desk.service.create("fly-0920")
    view = report(world)
    assert agree(view.total, world.mid_profit(1) - before)
    assert report(world, 2).since == OPENING + timedelta(seconds=105)
    assert report(world, 2).total == 0
    with pytest.raises(UnknownStrategy):
        report(world, 9)


async def test_a_new_day_begins_anew() -> None:
    """At the exchange's next date the figures start again at that day's first mids."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    world.attribution.look()
    await world.trade(fill(1, call, LOT, world.market.mid(call)))
    await move(world, points=50.0, seconds=10)
    assert report(world).total > 1000
    await move(world, seconds=86_400)
    view = report(world)
    assert view.since == OPENING + timedelta(seconds=86_410)
    assert view.total == view.charges == 0
    # The first fill of a day that nobody has looked at yet is part of where that day begins.
    await world.pass_time(86_400)
    await world.trade(fill(2, call, LOT, "100", at=world.desk.clock.market_now()))
    view = report(world)
    assert view.total == 0
    await move(world, points=10.0)
    assert report(world).total > 0


async def test_what_was_held_before_the_first_mid_waits_for_it() -> None:
    """Without a mid nothing is counted, and the leg is named; from its first mid on it is, exactly."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    await world.trade(fill(1, call, LOT, "200"))
    world.market.no_price.add(call.token)
    world.market.quote()
    world.attribution.look()
    view = report(world)
    assert view.total == 0
    assert "1.1 has had no mid yet" in view.reason
    world.market.no_price.clear()
    await move(world)
    begun = world.mid_profit(1)
    await move(world, points=15.0)
    view = report(world)
    assert agree(view.total, world.mid_profit(1) - begun)
    assert view.reason == ""


async def test_a_trade_before_the_first_mid_is_where_its_leg_begins() -> None:
    """More of a leg that has had no mid yet: its figures begin at the price of that trade."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    await world.trade(fill(1, call, LOT, "200"))
    world.market.no_price.add(call.token)
    world.market.quote()
    world.attribution.look()
    await world.trade(fill(2, call, -LOT, "210"))
    view = report(world)
    assert view.charges is not None
    assert view.total == view.charges


async def test_a_mark_that_goes_and_comes_back() -> None:
    """Without a mid the leg is held at its last one and says so; what moved meanwhile is explained afterwards."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    world.attribution.look()
    await world.trade(fill(1, call, LOT, world.market.mid(call)))
    await move(world, points=5.0, seconds=1)
    known = report(world)
    world.market.no_price.add(call.token)
    await move(world, points=20.0, seconds=1)
    blind = report(world)
    assert blind.total == known.total
    assert "has no mid now" in blind.reason
    world.market.no_price.clear()
    await move(world, seconds=1)
    view = report(world)
    assert view.delta > known.delta
    assert view.unexplained == 0
    assert view.reason == ""


async def test_a_move_without_a_forward_is_unexplained_with_its_reason() -> None:
    """While the leg's chain is not marked its money still counts, as unexplained; a trade then settles it so."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    world.attribution.look()
    await world.trade(fill(1, call, LOT, world.market.mid(call)))
    world.market.unwatched.add(NEAR)
    await move(world, points=20.0, seconds=1)
    view = report(world)
    assert view.unexplained > 0
    assert "1.1 NIFTY26D0124000CE had no forward" in view.reason
    await world.trade(fill(2, call, -LOT, world.market.mid(call), at=world.desk.clock.market_now()))
    world.market.unwatched.clear()
    await move(world, points=-50.0, seconds=1)
    flat = report(world)
    assert flat.unexplained == view.unexplained
    assert flat.charges is not None
    assert agree(flat.total, world.mid_profit(1) + flat.charges)


async def test_moved_legs_change_hands_at_the_given_price() -> None:
    """What a moved leg had made is unexplained in both strategies, and both totals are the books' own."""
    world = await new_world()
    await world.desk.service.create("fly-0920")
    call = world.market.option("ce", 24_000)
    world.attribution.look()
    await world.trade(fill(1, call, 2 * LOT, world.market.mid(call)))
    await move(world, points=30.0, seconds=1)
    made = report(world).total - (report(world).charges or 0)
    await world.desk.service.move(MoveQuantity(strategy=ONE, leg=1, to_strategy=TWO, quantity=LOT))
    given, taken = report(world), report(world, 2)
    assert agree(taken.total, world.mid_profit(2))
    assert agree(taken.unexplained, taken.total)
    assert given.unexplained == -taken.unexplained
    assert agree(taken.total, made / 2)
    assert given.spread == taken.charges == 0
    assert given.charges is not None
    assert agree(given.total - given.charges, world.mid_profit(1))
    assert "moved between strategies" in taken.reason


async def test_an_instrument_that_is_listed_no_more_is_unexplained() -> None:
    """A leg that today's dump lacks has no model; its money is counted all the same."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    world.market.instruments = {place: one for place, one in world.market.instruments.items() if one != call}
    world.desk.marks.put(call.token, "100")
    world.attribution.look()
    await world.trade(fill(1, call, LOT, "100"))
    world.desk.marks.put(call.token, "103")
    view = report(world)
    assert view.charges is not None
    assert view.total == 3 * LOT + view.charges
    assert view.unexplained == 3 * LOT


async def test_unknown_charges_are_left_out_and_said() -> None:
    """Without rates the total is gross, the charges are None, and the reason says it."""
    world = await new_world(with_charges=False)
    call = world.market.option("ce", 24_000)
    world.attribution.look()
    await world.trade(fill(1, call, LOT, world.market.mid(call)))
    await move(world, points=10.0)
    view = report(world)
    assert view.charges is None
    assert agree(view.total, world.mid_profit(1))
    assert "before charges" in view.reason


async def test_missed_entries_and_a_reloaded_book_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    """A book that holds something else than was seen to come starts the watch again rather than a wrong figure."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    world.attribution.look()
    world.desk.service._keeper._listeners.clear()
    await world.trade(fill(1, call, LOT, "50"))
    await world.pass_time(3)
    view = report(world)
    assert view.total == 0
    assert view.since == OPENING + timedelta(seconds=3)
    assert "begins anew" in caplog.text
    await world.pass_time(4)
    await world.desk.service.start()
    assert report(world).since == OPENING + timedelta(seconds=7)


async def test_it_looks_once_a_second() -> None:
    """The service looks at once and then every second of the machine, by the clock it was given."""
    world = await new_world()
    call = world.market.option("ce", 24_000)
    await world.trade(fill(1, call, LOT, world.market.mid(call)))
    looks: list[float] = []
    look, clock = world.attribution.look, world.desk.clock

    def counted() -> None:
        looks.append(clock.monotonic())
        look()

    world.attribution.look = counted  # type: ignore[method-assign] # counts, and does it all the same
    task = asyncio.create_task(world.attribution.run())
    await settle()
    for _ in range(3):
        await clock.advance(WATCH_S)
    assert looks == [0.0, 1.0, 2.0, 3.0]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_reasons_are_bounded() -> None:
    """Many sentences become a few and a count."""
    words = [f"{number} is missing." for number in range(20)]
    assert bounded(words[:REASONS_MAX]) == " ".join(words[:REASONS_MAX])
    assert bounded(words).endswith(f"And {20 - REASONS_MAX} more.")
