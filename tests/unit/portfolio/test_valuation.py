"""Live money per leg, strategy, total and day, on three marks, exact, and partial where a mark is missing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import numpy as np

from engine.core.commands import MoveQuantity
from engine.core.identifiers import StrategyNumber
from engine.core.orders import Trade
from engine.core.vocabulary import Mark
from engine.portfolio.columns import EXACT_MAX, exact_last
from engine.portfolio.marks import LegMarks
from tests.unit.portfolio.fakes import OPENING, Desk, fill

ONE, TWO = StrategyNumber(1), StrategyNumber(2)


def all_marks(value: str) -> dict[Mark, Decimal]:
    """The same figure on each mark."""
    return dict.fromkeys(Mark, Decimal(value))


async def test_an_empty_strategy_is_worth_zero_with_no_legs() -> None:
    """Not unknown: 0 on every mark, nothing partial, Greeks 0."""
    desk = await Desk().started()
    (value,) = desk.service.values()
    assert value.profit == all_marks("0")
    assert value.legs == ()
    assert value.open_legs == 0
    assert value.partial == dict.fromkeys(Mark, ())
    assert (value.delta, value.theta) == (0.0, 0.0)


async def test_three_legs_on_three_marks() -> None:
    """The worked example through the ledger: +1,500 on last; mid and exit have their own figures."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 50, "100"), fill(2, -50, "150", token=2), fill(3, 50, "40", token=3)])
    for token, last in ((1, "120"), (2, "130"), (3, "30")):
        price = Decimal(last)
        desk.marks.prices[token] = LegMarks(
            last=price, mid=price + Decimal("0.025"), exit=price - 1 if token != 2 else price + 1
        )
    (value,) = desk.service.values()
    assert value.profit[Mark.LAST] == Decimal(1500)
    assert value.profit[Mark.MID] == Decimal("1501.25")
    assert value.profit[Mark.EXIT] == Decimal(1350)
    assert [leg.profit[Mark.LAST] for leg in value.legs] == [Decimal(1000), Decimal(1000), Decimal(-500)]
    assert desk.service.total().profit == value.profit


async def test_a_leg_without_a_price_makes_the_total_partial_and_is_named() -> None:
    """The sum holds the other leg only, says which is left out on which mark, and why."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 50, "100"), fill(2, -50, "150", token=2)])
    desk.marks.put(1, "120")
    desk.marks.prices[2] = LegMarks(last=Decimal(130), reason="no bid")
    (value,) = desk.service.values()
    assert value.profit == {Mark.LAST: Decimal(2000), Mark.MID: Decimal(1000), Mark.EXIT: Decimal(1000)}
    assert value.partial == {Mark.LAST: (), Mark.MID: ("1.2",), Mark.EXIT: ("1.2",)}
    assert value.legs[1].profit[Mark.MID] is None
    assert value.legs[1].reason == "no bid"
    assert desk.service.total().partial == value.partial


async def test_a_closed_leg_needs_no_price() -> None:
    """Realised money counts on every mark, and a flat leg never makes a total partial."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100"), fill(2, -65, "110")])
    (value,) = desk.service.values()
    assert value.profit == all_marks("650")
    assert value.realised == Decimal(650)
    assert value.partial == dict.fromkeys(Mark, ())
    assert value.open_legs == 0
    assert value.legs[0].marks == dict.fromkeys(Mark)


async def test_greeks_are_signed_and_whole() -> None:
    """Long call Δ .5 × 75 = +37.5, its short −37.5, together 0; one unknown makes the sum unknown."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(1, 75, "100"), fill(2, -75, "100", strategy=2)])
    desk.marks.prices[1] = LegMarks(last=Decimal(100), delta=0.5, theta=-2.0)
    first, second = desk.service.values()
    assert (first.delta, first.theta) == (37.5, -150.0)
    assert (second.delta, second.theta) == (-37.5, 150.0)
    await desk.service.on_trades([fill(3, 75, "100", token=2)])
    first, _ = desk.service.values()
    assert first.delta is None


async def test_the_total_holds_archived_money_too() -> None:
    """What an archived strategy realised does not vanish from the account."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(1, 65, "100", strategy=2), fill(2, -65, "110", strategy=2)])
    await desk.service.archive(TWO)
    assert desk.service.total().profit == all_marks("650")
    assert [value.strategy.number for value in desk.service.values()] == [ONE]
    assert desk.service.value(TWO).profit == all_marks("650")


async def test_the_day_starts_at_the_previous_close() -> None:
    """Held since yesterday @100, closed at 104, now 106: +130 today, +390 since entry."""
    desk = Desk()
    yesterday = OPENING - timedelta(days=1)
    await desk.started()
    await desk.service.on_trades([fill(1, 65, "100", at=yesterday)])
    desk.marks.put(1, "106", previous_close="104")
    assert desk.service.day_profit.profit == all_marks("130")
    assert desk.service.total().profit == all_marks("390")
    again = Desk(desk.database)
    again.marks = desk.marks
    await again.started()
    assert again.service.book.standings(ONE) == desk.service.book.standings(ONE)


async def test_a_leg_opened_today_starts_at_its_fill() -> None:
    """No previous close is needed for what was not held."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106")
    assert desk.service.day_profit.profit == all_marks("390")


async def test_the_day_of_a_position_closed_today() -> None:
    """Yesterday's 65 @100, close 104, sold at 110 today: +390 for the day, +650 since entry."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100", at=OPENING - timedelta(days=1)), fill(2, -65, "110")])
    desk.marks.put(1, "999", previous_close="104")
    assert desk.service.day_profit.profit == all_marks("390")
    assert desk.service.total().profit == all_marks("650")


async def test_a_missing_previous_close_makes_the_day_partial() -> None:
    """The leg is named on every mark; nothing is guessed."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100", at=OPENING - timedelta(days=1))])
    desk.marks.put(1, "106")
    day = desk.service.day_profit
    assert day.profit == all_marks("0")
    assert day.partial == dict.fromkeys(Mark, ("1.1",))


async def test_a_new_exchange_day_begins_by_market_time() -> None:
    """At 18:30 UTC the exchange's date changes: what is held then is what the new day starts with."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106", previous_close="105")
    desk.clock.set(OPENING + timedelta(hours=14, minutes=44))
    assert desk.service.day_profit.profit == all_marks("390")
    desk.clock.set(OPENING + timedelta(hours=14, minutes=45))
    assert desk.service.day_profit.profit == all_marks("65")


async def test_a_fill_of_yesterday_that_arrives_late_belongs_to_yesterday() -> None:
    """It changes what the day started with, not the day's figure."""
    desk = await Desk().started()
    desk.clock.set(OPENING + timedelta(days=1))
    assert desk.service.day_profit.profit == all_marks("0")
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.marks.put(1, "106", previous_close="106")
    assert desk.service.day_profit.profit == all_marks("0")
    assert desk.service.total().profit == all_marks("390")


async def many_strategies(strategies: int, legs: int) -> Desk:
    """Strategies with long, short and closed legs at prices from a seeded source."""
    random = np.random.default_rng(20261124)
    desk = await Desk().started()
    trades: list[Trade] = []
    for number in range(2, strategies + 2):
        await desk.service.create(f"book-{number}")
        for leg in range(legs):
            token = 1 + (number * legs + leg) % 97
            for _ in range(int(random.integers(1, 4))):
                quantity = int(random.integers(1, 40)) * 65 * int(random.choice([-1, 1]))
                price = Decimal(int(random.integers(1, 20_000))) * Decimal("0.05")
                trades.append(fill(len(trades) + 1, quantity, str(price), token=token, strategy=number))
    await desk.service.on_trades(trades)
    for token in range(1, 98):
        last = Decimal(int(random.integers(1, 20_000))) * Decimal("0.05")
        desk.marks.prices[token] = LegMarks(
            last=last, mid=last + Decimal("0.025"), exit=None if token % 10 == 0 else last - Decimal("0.05")
        )
    return desk


async def test_the_fast_path_agrees_with_the_exact_one() -> None:
    """40 strategies × 10 legs: sums within float64 precision, missing legs counted alike, last recovered exactly."""
    desk = await many_strategies(40, 10)
    legs, fast = desk.service.fast_values()
    values = desk.service.values()
    assert legs.numbers == tuple(value.strategy.number for value in values)
    for mark in Mark:
        exact = np.array([float(value.profit[mark]) for value in values])
        np.testing.assert_allclose(fast.profit[mark], exact, rtol=1e-12, atol=1e-6)
        assert fast.missing[mark].tolist() == [len(value.partial[mark]) for value in values]
    recovered = exact_last(legs, fast.last_sum)
    for value, money in zip(values, recovered, strict=True):
        assert money is not None
        assert abs(money - value.profit[Mark.LAST]) < Decimal("1e-18")


async def test_columns_follow_the_ledger() -> None:
    """They are built once per change of the book, not per valuation."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    first, _ = desk.service.fast_values()
    again, _ = desk.service.fast_values()
    assert again is first
    await desk.service.create("fly-0920")
    await desk.service.move(MoveQuantity(strategy=ONE, leg=1, to_strategy=TWO, quantity=65))
    desk.marks.put(1, "106")
    legs, fast = desk.service.fast_values()
    assert legs.open_count.tolist() == [0, 1]
    assert fast.profit[Mark.LAST].tolist() == [0.0, 390.0]


async def test_an_amount_beyond_float64_is_not_recovered_from_it() -> None:
    """The column says it cannot carry the sum exactly, rather than give a rounded one."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    legs, _ = desk.service.fast_values()
    assert exact_last(legs, np.array([EXACT_MAX * 2])) == [None]
