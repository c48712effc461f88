"""Exits, case by case: prices on their schedule, what is asked, what is replaced, what is left alone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.identifiers import StrategyNumber
from engine.core.orders import OrderState
from engine.core.plans import ExitGoal, ExitManner, ExitPlan, PlanState
from engine.core.vocabulary import OrderType, Product, QuoteState, Side
from engine.execution.plans.exit_goals import merge_goals, part_of
from engine.execution.plans.exit_prices import PriceReach, PriceStep, step_price
from tests.kit.model_plans import LOT, START, TICK, ModelExchange, limit, quote_of
from tests.properties.execution.test_exit_never_crosses import ROWS, UNITS, exit_model

SHORT_CALL, SHORT_PUT, WING_CALL, WING_PUT = ROWS
REACH = PriceReach()


def alone(model: ModelExchange, keep: int = 0) -> ModelExchange:
    """The same exit with one goal only."""
    spec = model.plan.spec
    assert isinstance(spec, ExitPlan)
    changed = msgspec.structs.replace(spec, goals=(spec.goals[keep],))
    model.plan = msgspec.structs.replace(model.plan, spec=changed)
    return model


def with_spec(model: ModelExchange, **fields: object) -> ModelExchange:
    """The same exit, asked for otherwise."""
    model.plan = msgspec.structs.replace(model.plan, spec=msgspec.structs.replace(model.plan.spec, **fields))
    return model


def price_of(model: ModelExchange, key: str = "x0/0") -> Decimal | None:
    """Of an order as it stands."""
    return model.orders[key].record.request.price


@pytest.mark.parametrize("side", Side)
def test_each_step_is_at_least_as_eager_as_the_one_before(side: Side) -> None:
    """From the own side to the edge: 99.90 > 100 > 100.10 > a little through > through the book > the edge."""
    quote = quote_of(Decimal(100), size=LOT)
    prices = [step_price(step, side, quote, tick=TICK, quantity=LOT, band=None, reach=REACH) for step in PriceStep]
    eager = [price * side.sign for price in prices if price is not None]
    assert len(eager) == len(PriceStep)
    assert eager == sorted(eager)
    assert prices[0] == quote.touch(side.opposite)
    assert prices[2] == quote.touch(side)


def test_the_edge_of_the_band_is_never_passed() -> None:
    """However far the schedule would go, an order lies within what the exchange takes."""
    quote = quote_of(Decimal(100))
    band = (Decimal("97.02"), Decimal("103.03"))
    edge = [step_price(PriceStep.EDGE, side, quote, tick=TICK, quantity=LOT, band=band, reach=REACH) for side in Side]
    assert edge == [Decimal("103.00"), Decimal("97.05")]


def test_the_schedule_goes_on_and_a_person_hurries_or_waits() -> None:
    """Normal: half way, then the touch after its step's time; hurry goes a step ahead, patient a step back."""
    model = alone(exit_model())
    model.look()
    assert price_of(model) == Decimal("100.00")
    model.pass_time(1.6)
    model.look()
    assert price_of(model) == Decimal("100.10")
    model.steer("hurry")
    model.pass_time(0.6)
    model.look()
    assert price_of(model) == Decimal("100.65")


def test_shorts_first_and_the_wing_follows_unit_by_unit() -> None:
    """Nothing is sold until a short is known to be back; then as many units as are."""
    model = exit_model()
    model.look()
    assert {key.split("/")[0] for key in model.orders} == {"x0", "x1"}
    model.fill(model.orders["x0/0"], LOT)
    model.look()
    assert model.orders["x2/0"].record.request.quantity == LOT
    assert not [key for key in model.orders if key.startswith("x3")]


def test_now_is_at_market_protected_and_its_rest_is_repriced() -> None:
    """The first order crosses at market with the broker's protection; what rests of it follows to the edge."""
    model = alone(exit_model(manner=ExitManner.NOW))
    model.look()
    first = model.orders["x0/0"]
    assert first.record.request.order_type is OrderType.MARKET
    assert first.record.request.market_protection == -1
    first.record = msgspec.structs.replace(
        first.record,
        request=msgspec.structs.replace(first.record.request, order_type=OrderType.LIMIT, price=Decimal("100.20")),
    )
    model.fill(first, LOT)
    model.pass_time(2)
    model.look()
    resting = price_of(model)
    assert resting is not None
    assert resting > Decimal("100.20")
    assert len(model.orders) == 1


def test_without_a_quote_it_still_acts_and_says_on_what() -> None:
    """A stale quote is waited for; then the order goes at market with the broker's own protection, and says so."""
    model = alone(exit_model())
    model.quotes[SHORT_CALL.key] = quote_of(Decimal(100), state=QuoteState.STALE)
    model.look()
    assert not model.orders
    model.pass_time(4.5)
    model.look()
    assert model.orders["x0/0"].record.request.order_type is OrderType.MARKET
    assert any("STALE" in alarm and "at market" in alarm for alarm in model.alarms)


def test_the_cap_on_slippage_asks_and_a_person_goes_on() -> None:
    """At the edge of what may be lost the price stands still and asks; hurry lifts the cap."""
    model = with_spec(alone(exit_model()), slippage_max=Decimal(26))
    model.look()
    for _ in range(8):
        model.pass_time(1.6)
        model.look()
    assert price_of(model) == Decimal("100.10"), "26 rupees over 260 units are 0.10"
    assert any("26 allowed" in alarm for alarm in model.alarms)
    model.steer("hurry")
    model.look()
    later = price_of(model)
    assert later is not None
    assert later > Decimal("100.10")


def test_after_25_modifications_the_order_is_replaced_once_it_is_known_dead() -> None:
    """The 25th change is a cancellation, and the new order comes only when that is confirmed."""
    model = alone(exit_model())
    model.look()
    order = model.orders["x0/0"]
    order.record = msgspec.structs.replace(order.record, modifications=24)
    order.is_alive = True
    model.pass_time(1.6)
    model.look()
    assert order.record.state is OrderState.CANCELLED
    assert set(model.orders) == {"x0/0"}
    model.look()
    assert set(model.orders) == {"x0/0", "x0/1"}
    assert model.orders["x0/1"].record.request.quantity == UNITS


def test_rejections_are_answered_with_growing_pauses() -> None:
    """An order that the exchange refuses is followed by another, later and later, and a person hears why."""
    model = alone(exit_model())
    model.next_fate = lambda _: OrderState.REJECTED
    for _ in range(40):
        model.look()
        model.pass_time(0.1)
    assert 2 <= len(model.orders) <= 5
    assert any("no" in alarm for alarm in model.alarms)


def test_a_refusal_is_tried_again_under_the_same_key() -> None:
    """What was refused before it was journalled has no order; its key is asked for again after a pause."""
    model = alone(exit_model())
    asked: list[str] = []

    def refuse(move: object) -> str:
        asked.append(getattr(move, "key", ""))
        return "" if len(asked) > 2 else "the journal is away"

    model.refuses = refuse
    for _ in range(30):
        model.look()
        model.pass_time(0.2)
    assert asked == ["x0/0"] * 3
    assert set(model.orders) == {"x0/0"}


def test_flat_by_counts_backwards() -> None:
    """It begins its span before the time, and its price is at the edge before that time."""
    flat_by = START + timedelta(minutes=20)
    model = with_spec(alone(exit_model()), flat_by=flat_by)
    advance = model.look()
    assert not model.orders
    assert advance.look_again == flat_by - timedelta(seconds=240)
    model.now = flat_by - timedelta(seconds=239)
    model.look()
    assert price_of(model) == Decimal("100.00")
    model.now = flat_by - timedelta(seconds=9)
    model.look()
    assert price_of(model) == Decimal("118.10"), "18 percent through the touch: the edge"


def test_a_stop_shrinks_and_goes_last() -> None:
    """The stop stays whole until a fill is known, shrinks by as much, and goes once nothing is held."""
    model = alone(exit_model())
    request = limit(SHORT_CALL, Side.BUY, UNITS, "150")
    stop = model.add_other(
        msgspec.structs.replace(request, order_type=OrderType.SL, trigger_price=Decimal(149)),
        state=OrderState.TRIGGER_PENDING,
    )
    model.look()
    assert (stop.record.request.quantity, stop.record.state) == (UNITS, OrderState.TRIGGER_PENDING)
    model.fill(model.orders["x0/0"], LOT)
    model.look()
    assert stop.record.request.quantity == UNITS - LOT
    model.fill(model.orders["x0/0"], UNITS)
    model.look()
    assert stop.record.state is OrderState.CANCELLED


def test_others_orders_are_cleared_or_counted() -> None:
    """A resting close of the same position is cancelled first, and only then are its units taken; so is an opener."""
    model = alone(exit_model())
    rival = model.add_other(limit(SHORT_CALL, Side.BUY, LOT, "90"))
    opener = model.add_other(limit(SHORT_CALL, Side.SELL, LOT, "110"))
    model.look()
    assert model.orders["x0/0"].record.request.quantity == UNITS - LOT
    assert rival.record.state is OrderState.CANCELLED
    assert opener.record.state is OrderState.CANCELLED
    model.look()
    assert model.orders["x0/1"].record.request.quantity == LOT


def test_another_exits_orders_are_counted_and_left_alone() -> None:
    """Two exits of one leg take its units once: each sees the other's orders."""
    model = alone(exit_model())
    other = model.add_other(limit(SHORT_CALL, Side.BUY, 3 * LOT))
    other.record = msgspec.structs.replace(other.record, idempotency_key="p7/x0/0")
    model.look()
    assert other.record.state is OrderState.OPEN
    assert model.orders["x0/0"].record.request.quantity == LOT


def test_unknown_positions_and_a_closed_market() -> None:
    """What is held is waited for; a market that closes ends it with what is left."""
    model = alone(exit_model())
    model.positions_known = False
    model.look()
    assert not model.orders
    model.positions_known = True
    model.is_open = False
    advance = model.look()
    assert advance.state is PlanState.FAILED
    assert f"{UNITS} of {SHORT_CALL.tradingsymbol} are left" in advance.progress.note


def test_cancelling_withdraws_and_says_what_is_left() -> None:
    """Positions stay: what rests is cancelled, and the end names what was not reached."""
    model = alone(exit_model())
    model.look()
    model.fill(model.orders["x0/0"], LOT)
    model.plan = msgspec.structs.replace(model.plan, state=PlanState.CANCELLING)
    model.look()
    assert model.orders["x0/0"].record.state is OrderState.CANCELLED
    advance = model.look()
    assert advance.state is PlanState.CANCELLED
    assert f"{3 * LOT} of {SHORT_CALL.tradingsymbol} are left" in advance.progress.note


def test_steps_tell_how_far_it_is() -> None:
    """A row a goal: the short at work with its decided price, the wing waiting for it."""
    model = exit_model(strategy=3)
    model.look()
    model.fill(model.orders["x0/0"], LOT)
    rows = model.algorithm.steps(model.picture())
    assert [row.state for row in rows] == ["WORKS", "WORKS", "WORKS", "WAITS"]
    assert rows[0].words == f"#3 BUY {UNITS} {SHORT_CALL.tradingsymbol}"
    assert (rows[0].filled, rows[0].decided_price, rows[0].average_price) == (LOT, Decimal(100), Decimal("100.00"))


@pytest.mark.parametrize(
    ("held", "percent", "expected"),
    [(10 * LOT, 50, 5 * LOT), (-3 * LOT, 50, -2 * LOT), (LOT, 25, LOT), (-LOT, 1, -LOT), (100, 50, LOT), (30, 100, 30)],
)
def test_a_part_is_whole_lots_rounded_up(held: int, percent: int, expected: int) -> None:
    """Never more than is held; an odd remainder goes with the whole."""
    assert part_of(held, percent, LOT) == expected


def test_two_exits_of_a_leg_are_one_goal_with_the_smaller_remainder() -> None:
    """What a running exit reaches anyway is left out; what goes further is kept; other strategies are others."""

    def goal(units: int, strategy: int = 3) -> ExitGoal:
        return ExitGoal(
            instrument=SHORT_CALL.key,
            product=Product.NRML,
            signed_quantity=-units,
            held=-UNITS,
            strategy=StrategyNumber(strategy),
        )

    half, whole = goal(UNITS // 2), goal(UNITS)
    assert merge_goals([half], [whole]).goals == ()
    assert merge_goals([half], [whole]).covered == (half,)
    assert merge_goals([whole], [half]).goals == (whole,)
    assert merge_goals([goal(UNITS, 4)], [whole]).goals == (goal(UNITS, 4),)


@pytest.mark.parametrize("strategy", [None, 3])
def test_what_the_phone_closes_shrinks_the_goal_at_once(strategy: int | None) -> None:
    """Half is to go; the phone closes a lot: one lot less goes, what rests is made smaller, and the rest stays held."""
    model = alone(exit_model(50, strategy=strategy))
    model.look()
    assert model.orders["x0/0"].record.request.quantity == 2 * LOT
    model.trade_elsewhere(SHORT_CALL.key, LOT)
    if strategy is not None:
        model.allocated[strategy, SHORT_CALL.key, Product.NRML] += LOT
    model.look()
    assert model.orders["x0/0"].record.request.quantity == LOT
    model.fill(model.orders["x0/0"], LOT)
    model.look()
    model.pass_time(6)
    advance = model.look()
    assert advance.state is PlanState.DONE
    assert model.net(SHORT_CALL.key) == -2 * LOT
    assert f"Closed elsewhere meanwhile: {LOT}" in advance.progress.note
