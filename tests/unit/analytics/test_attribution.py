"""Attribution: sums exact to the last bit, residuals of the right order, trades, gaps and garbage."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.analytics.arrays import FloatArray
from engine.analytics.attribution import (
    Attribution,
    AttributionLedger,
    AttributionReason,
    LegMarks,
    in_money,
    moves,
)
from engine.analytics.black import price
from engine.analytics.greeks import greeks
from engine.analytics.legs import LegKind

RATE = 0.065
FORWARD, YEARS, VOLATILITY = 24_400.0, 6 / 365, 0.12
STRIKES = np.array([23_800.0, 24_350.0, 24_350.0, 24_950.0])
SIDES = np.array([False, False, True, True])
QUANTITIES = [650.0, -650.0, -650.0, 650.0]
SECOND = 1 / (365 * 86_400)


def marks(
    forward: float = FORWARD, years: float = YEARS, volatility: float = VOLATILITY, rate: float = RATE
) -> LegMarks:
    """Four options marked at the model."""
    smile = np.full(4, volatility)
    return LegMarks(
        price(forward, STRIKES, years, rate, smile, is_call=SIDES), np.full(4, forward), smile, np.full(4, years)
    )


def condor(**first: float) -> tuple[AttributionLedger, np.ndarray]:
    """A ledger of four legs, bought at their first marks."""
    ledger = AttributionLedger()
    slots = np.array(
        [
            ledger.add(LegKind.CALL if side else LegKind.PUT, strike=strike)
            for strike, side in zip(STRIKES, SIDES, strict=True)
        ]
    )
    start = marks(**first)
    ledger.mark(slots, start, rate=RATE)
    for slot, quantity, value in zip(slots.tolist(), QUANTITIES, start.price.tolist(), strict=True):
        ledger.trade(slot, quantity, value, mid=value)
    return ledger, slots


def adds_up(result: Attribution) -> bool:
    """Whether the parts sum to the change: in floats, in several orders, and in unlimited decimals."""
    parts = result.parts
    decimals = sum((Decimal(part) for part in parts), Decimal(0))
    orders = (parts, parts[::-1], sorted(parts), sorted(parts, key=abs))
    return all(sum(order) == result.change for order in orders) and decimals == Decimal(result.change)


def test_each_part_is_its_greek_times_its_move() -> None:
    """With one thing moving at a time, only its parts are there, and they are greek times move."""
    calls = np.zeros(4, np.uint8)
    own = greeks(FORWARD, STRIKES, YEARS, RATE, VOLATILITY, is_call=True)
    start = marks()

    def parts(rate: float = RATE, **after: float) -> dict[str, FloatArray]:
        result = moves(calls, STRIKES, start, marks(**after), rate_before=RATE, rate_after=rate)
        return {name: part for name, part in zip(result._fields, result, strict=True) if (part != 0.0).any()}

    forward = parts(forward=FORWARD + 10)
    assert set(forward) == {"delta", "gamma"}
    np.testing.assert_allclose(forward["delta"], own.delta * 10)
    np.testing.assert_allclose(forward["gamma"], 50 * own.gamma)
    time = parts(years=YEARS - 2 / 365)
    assert set(time) == {"theta"}
    np.testing.assert_allclose(time["theta"], 2 * own.theta)
    volatility = parts(volatility=VOLATILITY + 0.015)
    assert set(volatility) == {"vega", "volga"}
    np.testing.assert_allclose(volatility["vega"], 1.5 * own.vega)
    rate = parts(rate=RATE + 0.005)
    assert set(rate) == {"rate"}
    np.testing.assert_allclose(rate["rate"], 0.5 * own.rho)


def test_vanna_and_volga_are_differences_of_vega() -> None:
    """The second-order parts agree with how vega itself changes with forward and volatility."""
    after = marks(forward=FORWARD + 1, volatility=VOLATILITY + 0.01)
    result = moves(np.zeros(4, np.uint8), STRIKES, marks(), after, rate_before=RATE, rate_after=RATE)

    def vega(forward: float, volatility: float) -> FloatArray:
        return greeks(forward, STRIKES, YEARS, RATE, volatility, is_call=True).vega

    step = 1e-5
    vanna = (vega(FORWARD + 0.5, VOLATILITY) - vega(FORWARD - 0.5, VOLATILITY)) / 1.0
    volga = (vega(FORWARD, VOLATILITY + step) - vega(FORWARD, VOLATILITY - step)) / (2 * step) * 0.01
    np.testing.assert_allclose(result.vanna, vanna, rtol=1e-4)
    np.testing.assert_allclose(result.volga, 0.5 * volga, rtol=1e-6)


def test_a_path_is_explained_almost_wholly_when_it_is_watched() -> None:
    """Over an hour of seconds hardly anything remains; of the same hour in one step, the higher orders do."""
    ledger, slots = condor()
    jump, _ = condor()
    random = np.random.default_rng(3)
    forward, years, volatility = FORWARD, YEARS, VOLATILITY
    for _ in range(1_200):
        forward *= math.exp(VOLATILITY * math.sqrt(3 * SECOND) * 2 * random.standard_normal())
        volatility *= math.exp(0.0003 * random.standard_normal())
        years -= 3 * SECOND
        ledger.mark(slots, marks(forward, years, volatility), rate=RATE)
    jump.mark(slots, marks(forward, years, volatility), rate=RATE)
    watched, jumped = ledger.report(), jump.report()
    assert adds_up(watched)
    assert adds_up(jumped)
    assert watched.change == jumped.change
    assert abs(watched.residual) < 1e-3 * sum(abs(part) for part in watched.parts)
    assert abs(watched.residual) < abs(jumped.residual)
    assert watched.reasons == ()
    assert watched.unexplained == 0.0


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_the_parts_always_sum_to_the_change(data: st.DataObject) -> None:
    """Random marks with gaps, random trades with and without a middle, random costs: the sum is exact each time."""
    ledger, slots = condor()
    amounts = st.floats(0.05, 900.0)
    expected = np.zeros(4)
    last = marks().price.copy()
    held = np.array(QUANTITIES)
    for _ in range(data.draw(st.integers(1, 12))):
        now = marks(
            data.draw(st.floats(23_000.0, 26_000.0)), data.draw(st.floats(0.0, 0.03)), data.draw(st.floats(0.01, 0.9))
        )
        gaps = data.draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=4))
        for field, leg in gaps:
            now[field][leg] = data.draw(st.sampled_from([math.nan, math.inf, -1.0] if field else [math.nan, math.inf]))
        rate = data.draw(st.sampled_from([RATE, 0.07, math.nan]))
        ledger.mark(slots, now, rate=rate)
        known = np.isfinite(now.price)
        expected[known] += held[known] * (now.price[known] - last[known])
        last[known] = now.price[known]
        for leg in data.draw(st.lists(st.integers(0, 3), max_size=2)):
            quantity = data.draw(st.sampled_from([-650.0, 65.0, 650.0]))
            fill, cost = data.draw(amounts), data.draw(st.floats(0.0, 100.0))
            mid = data.draw(st.one_of(st.just(math.nan), amounts))
            ledger.trade(leg, quantity, fill, mid=mid, costs=cost)
            if not known[leg] and not math.isnan(mid):
                expected[leg] += held[leg] * (mid - last[leg])
                last[leg] = mid
            held[leg] += quantity
            expected[leg] += quantity * (last[leg] - fill) - cost
        result = ledger.report()
        assert adds_up(result)
        assert result.change == pytest.approx(expected.sum(), abs=1e-3, rel=1e-9)
        singles = [ledger.report([leg]) for leg in range(4)]
        assert all(adds_up(single) for single in singles)
        assert sum(single.change for single in singles) == pytest.approx(result.change, abs=1e-3)


def test_worked_profit_of_a_round_trip() -> None:
    """BUY 75 100 to 105 is +375, and what was paid in spread and costs is named."""
    ledger = AttributionLedger()
    slot = ledger.add(LegKind.FUTURE)
    ledger.trade(slot, 75.0, 100.0, mid=99.5, costs=20.0)
    ledger.trade(slot, -75.0, 105.0, mid=105.25, costs=30.0)
    result = ledger.report()
    assert result.change == 375.0 - 50.0
    assert result.costs == -50.0
    assert result.spread == 75 * -0.5 + 75 * -0.25
    assert adds_up(result)


def test_a_future_is_explained_by_delta_alone() -> None:
    """Its price is its forward: nothing remains, and its multiplier counts."""
    ledger = AttributionLedger()
    slot = ledger.add(LegKind.FUTURE, multiplier=2.0)
    for level in (24_400.0, 24_410.0, 24_375.0):
        at = np.array([level])
        ledger.mark(np.array([slot]), LegMarks(at, at, np.array([math.nan]), np.array([math.nan])), rate=math.nan)
        if level == 24_400.0:
            ledger.trade(slot, -25.0, level, mid=level)
    result = ledger.report()
    assert (result.change, result.delta, result.residual, result.reasons) == (1_250.0, 1_250.0, 0.0, ())


def test_cash_and_empty_ledgers_are_zero() -> None:
    """No legs: zero change, zero parts; cash does not move."""
    ledger = AttributionLedger()
    assert ledger.report() == Attribution(*(0.0,) * 12, ())
    ledger.mark(np.empty(0, np.intp), LegMarks(*(np.empty(0) for _ in range(4))), rate=RATE)
    slot = ledger.add(LegKind.CASH)
    ledger.trade(slot, 100.0, 1.0, mid=1.0)
    nothing = np.array([math.nan])
    ledger.mark(np.array([slot]), LegMarks(np.ones(1), nothing, nothing, nothing), rate=RATE)
    assert ledger.report().parts == (0.0,) * 11
    ledger.charge(slot, 12.5)
    assert (ledger.report().change, ledger.report().costs) == (-12.5, -12.5)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("forward", math.nan, AttributionReason.NO_FORWARD),
        ("volatility", math.nan, AttributionReason.NO_VOLATILITY),
        ("volatility", -0.1, AttributionReason.NO_VOLATILITY),
        ("years", math.nan, AttributionReason.NO_TIME),
        ("years", -0.1, AttributionReason.NO_TIME),
    ],
)
def test_an_incomplete_mark_is_carried_and_explained_later(field: str, value: float, reason: AttributionReason) -> None:
    """While the mark lacks something the move is unexplained, with the reason; a complete mark explains it all."""
    ledger, slots = condor()
    gap = marks(forward=FORWARD + 20)
    getattr(gap, field)[1] = value
    ledger.mark(slots, gap, rate=RATE)
    carried = ledger.report()
    assert carried.reasons == ((1, reason),)
    assert carried.unexplained == pytest.approx(-650 * (gap.price[1] - marks().price[1]), abs=1e-3)
    assert adds_up(carried)
    ledger.mark(slots, marks(forward=FORWARD + 40), rate=RATE)
    healed = ledger.report()
    assert healed.unexplained == 0.0
    assert healed.reasons == ()
    assert abs(healed.residual) < 0.02 * abs(healed.gamma)
    assert adds_up(healed)


def test_a_missing_price_holds_the_leg_at_its_last_one() -> None:
    """The change waits, says so, and catches up with the next price."""
    ledger, slots = condor()
    gap = marks(forward=FORWARD + 20)
    gap.price[3] = math.nan
    ledger.mark(slots, gap, rate=RATE)
    waiting = ledger.report()
    assert waiting.reasons == ((3, AttributionReason.NO_PRICE),)
    assert ledger.report([3]).change == 0.0
    ledger.mark(slots, marks(forward=FORWARD + 20), rate=RATE)
    assert ledger.report([3]).change == pytest.approx(
        650 * (marks(forward=FORWARD + 20).price - marks().price)[3], abs=1e-3
    )
    assert ledger.report().reasons == ()


def test_a_missing_rate_is_a_reason() -> None:
    """Options cannot be explained without the rate; nothing raises."""
    ledger, slots = condor()
    ledger.mark(slots, marks(forward=FORWARD + 5), rate=math.nan)
    assert {reason for _, reason in ledger.report().reasons} == {AttributionReason.NO_RATE}


def test_a_trade_during_a_gap_leaves_the_move_around_it_unexplained() -> None:
    """The old quantity's move, and the new one's to the next complete mark, have no Greeks of their own start."""
    ledger, slots = condor()
    gap, later, end = marks(forward=FORWARD + 20), marks(forward=FORWARD + 60), marks(forward=FORWARD + 70)
    gap.volatility[1] = math.nan
    ledger.mark(slots, gap, rate=RATE)
    ledger.trade(1, 325.0, float(gap.price[1]) + 0.5, mid=float(gap.price[1]), costs=40.0)
    lost = -650 * (gap.price[1] - marks().price[1]) - 325 * (later.price[1] - gap.price[1])
    ledger.mark(slots, later, rate=RATE)
    result = ledger.report([1])
    assert result.unexplained == pytest.approx(lost, abs=1e-3)
    assert (result.spread, result.costs, result.delta) == (-162.5, -40.0, 0.0)
    assert result.change == pytest.approx(lost - 202.5, abs=1e-3)
    assert result.reasons == ((1, AttributionReason.NO_START),)
    assert adds_up(result)
    ledger.mark(slots, end, rate=RATE)
    delta = greeks(FORWARD + 60, STRIKES[1], YEARS, RATE, VOLATILITY, is_call=False).delta
    assert ledger.report([1]).delta == pytest.approx(float(-325 * 10 * delta), abs=1e-3)


def test_a_fill_between_marks_is_valued_from_its_own_mark() -> None:
    """Marked at the fill first, old and new quantity are each explained over their own stretch."""
    ledger, slots = condor()
    at_fill = marks(forward=FORWARD + 10)
    ledger.mark(slots, at_fill, rate=RATE)
    ledger.trade(2, -650.0, float(at_fill.price[2]) - 0.25, mid=float(at_fill.price[2]))
    ledger.mark(slots, marks(forward=FORWARD + 20), rate=RATE)
    result = ledger.report([2])
    first = greeks(FORWARD, STRIKES[2], YEARS, RATE, VOLATILITY, is_call=True).delta
    second = greeks(FORWARD + 10, STRIKES[2], YEARS, RATE, VOLATILITY, is_call=True).delta
    assert result.delta == pytest.approx(float(-650 * 10 * first - 1_300 * 10 * second), abs=1e-3)
    assert result.spread == -162.5
    assert abs(result.residual) < 1.0


def test_without_a_middle_the_spread_is_unexplained() -> None:
    """A fill whose market is unknown is not called spread; opened so, it is valued from its own price."""
    ledger, slots = condor()
    ledger.trade(0, 65.0, float(marks().price[0]) + 2.0)
    result = ledger.report()
    assert (result.spread, result.unexplained) == (0.0, -130.0)
    assert result.reasons == ((0, AttributionReason.NO_MID),)
    fresh = AttributionLedger()
    slot = fresh.add(LegKind.CALL, strike=24_400.0)
    fresh.trade(slot, 65.0, 150.0)
    assert fresh.report().change == 0.0
    one = np.array([slot])
    fresh.mark(one, LegMarks(*(column[:1] for column in marks())), rate=RATE)
    started = fresh.report()
    assert started.unexplained == started.change
    assert started.change != 0.0
    assert slots.size == 4


def test_a_position_older_than_its_first_mark_is_unexplained_until_then() -> None:
    """The move from its opening value to the first complete mark has the reason NO_START; the rest is explained."""
    ledger = AttributionLedger()
    slot = ledger.add(LegKind.CALL, strike=float(STRIKES[2]))
    ledger.trade(slot, 75.0, 140.0, mid=140.0)
    one = np.array([slot])
    for forward in (FORWARD, FORWARD + 5):
        ledger.mark(one, LegMarks(*(column[2:3] for column in marks(forward=forward))), rate=RATE)
    result = ledger.report()
    assert result.unexplained == pytest.approx(75 * (marks().price[2] - 140.0), abs=1e-3)
    assert result.reasons == ((slot, AttributionReason.NO_START),)
    assert result.delta > 0.0
    assert adds_up(result)


def test_greeks_without_a_value_are_a_reason() -> None:
    """From exactly at the money at the expiry instant nothing can be explained, and nothing becomes NaN."""
    ledger, slots = condor(forward=24_350.0, years=0.0)
    ledger.mark(slots, marks(forward=24_360.0, years=0.0), rate=RATE)
    result = ledger.report()
    assert result.reasons == ((2, AttributionReason.NO_GREEKS),)  # the put at that strike stays at zero
    assert result.unexplained == pytest.approx(-6_500.0)
    assert adds_up(result)


def test_a_fill_that_is_no_number_takes_its_leg_out() -> None:
    """The change of the other legs stays right, and the leg is named."""
    ledger, slots = condor()
    ledger.trade(1, 65.0, math.nan, mid=100.0)
    ledger.mark(slots, marks(forward=FORWARD + 10), rate=RATE)
    result = ledger.report()
    assert result.reasons == ((1, AttributionReason.BAD_FILL),)
    assert result.change == pytest.approx(sum(ledger.report([slot]).change for slot in (0, 2, 3)), abs=1e-3)
    assert adds_up(result)


def test_closed_legs_keep_their_money_and_need_no_marks() -> None:
    """After the exit neither moves nor gaps change anything."""
    ledger, slots = condor()
    moved = marks(forward=FORWARD + 30)
    ledger.mark(slots, moved, rate=RATE)
    for slot, quantity, value in zip(slots.tolist(), QUANTITIES, moved.price.tolist(), strict=True):
        ledger.trade(slot, -quantity, value, mid=value)
    before = ledger.report()
    ledger.mark(slots, LegMarks(*(np.full(4, math.nan) for _ in range(4))), rate=RATE)
    ledger.mark(slots, marks(forward=FORWARD - 500), rate=RATE)
    assert ledger.report() == before


def test_columns_must_fit_the_slots() -> None:
    """Too few marks, or a slot twice, is a mistake of the caller."""
    ledger, slots = condor()
    with pytest.raises(ValueError, match="one element per slot"):
        ledger.mark(slots[:2], marks(), rate=RATE)
    with pytest.raises(ValueError, match="every slot once"):
        ledger.mark(np.array([0, 1, 2, 2]), marks(), rate=RATE)


def test_money_parts_add_up_to_the_books_own_change() -> None:
    """Rounded to paise, with the ledger's change or the exact one of the books, the residual takes the rest."""
    ledger, slots = condor()
    ledger.mark(slots, marks(forward=FORWARD + 33, years=YEARS - 1 / 365), rate=RATE)
    result = ledger.report()
    for change in (None, Decimal("414.8175")):
        money = in_money(result, change)
        whole = money.pop("change")
        assert sum(money.values()) == whole
        assert whole == (change if change is not None else Decimal(result.change).quantize(Decimal("0.01")))
        assert all(value == value.quantize(Decimal("0.01")) for name, value in money.items() if name != "residual")
    assert list(in_money(result)) == list(Attribution._fields[:-1])


@pytest.mark.parametrize("order", list(itertools.permutations(range(3)))[:3])
def test_slots_may_be_marked_in_any_order(order: tuple[int, ...]) -> None:
    """A part of the legs, in any order, is marked as told."""
    ledger, _ = condor()
    chosen = np.array(order)
    moved = LegMarks(*(column[chosen] for column in marks(forward=FORWARD + 10)))
    ledger.mark(chosen, moved, rate=RATE)
    straight, slots = condor()
    straight.mark(slots[:3], LegMarks(*(column[:3] for column in marks(forward=FORWARD + 10))), rate=RATE)
    assert ledger.report().change == straight.report().change
    assert ledger.report([3]).change == 0.0
