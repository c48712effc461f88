"""Protective orders that an exit no longer sees: what they may have taken too much is what their records say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, OrderNumber, TradeId
from engine.core.orders import OrderRecord, OrderRequest, OrderState, Trade
from engine.core.plans import ExitGoal, ExitPlan, PlanState, Slice
from engine.core.vocabulary import Exchange, OrderType, Side
from engine.execution.plans.algorithm import Change
from engine.execution.plans.exit_goals import GoalStanding, heard_of
from engine.execution.plans.exit_guards import gone_units, guard_moves, remember
from engine.execution.plans.plan_facts import Facts
from engine.execution.plans.series import series
from tests.kit.model_plans import LOT, ModelExchange, ModelOrder, limit
from tests.properties.execution.test_exit_never_crosses import ROWS, exit_model
from tests.properties.execution.test_exit_never_crosses import UNITS as MODEL_UNITS
from tests.unit.execution.plan_world import PlanWorld

SHORT_CALL = ROWS[0]

NUMBER, UNITS = OrderNumber(41), 195
FACTS = Facts({"g0": f"{NUMBER}:{UNITS}"})
NOW = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)


def guard(state: OrderState, filled: int, *, quantity: int = UNITS) -> OrderRecord:
    """A stop beside a short leg, as it stands."""
    request = OrderRequest(
        instrument=InstrumentKey(exchange=Exchange.NFO, tradingsymbol="NIFTY26NOV24300CE"),
        side=Side.BUY,
        quantity=quantity,
        order_type=OrderType.SL,
        price=Decimal(92),
        trigger_price=Decimal(91),
    )
    return OrderRecord(
        number=NUMBER,
        intent_id=None,
        account=AccountId("PR0001"),
        tag=None,
        request=request,
        state=state,
        filled_quantity=filled,
        created_at=NOW,
        updated_at=NOW,
    )


def beside(order: OrderRecord) -> GoalStanding:
    """The leg with this stop beside it."""
    goal = ExitGoal(instrument=order.request.instrument, product=order.request.product, signed_quantity=-UNITS)
    return GoalStanding(
        index=0,
        goal=goal,
        instrument=None,
        orders=series({}, "x0"),
        back=series({}, "b0"),
        known=True,
        left=UNITS,
        overshoot=0,
        rivals=(),
        own_rivals=(),
        openers=(),
        guards=(order,),
    )


def heard_units(order: OrderRecord, traded: int) -> int:
    """What is known to be filled of a stop when the broker's trades tell of so many units."""
    trade = Trade(
        account=order.account,
        instrument=order.request.instrument,
        token=1,
        broker_order_id=BrokerOrderId("1"),
        trade_id=TradeId("1"),
        side=Side.BUY,
        product=order.request.product,
        quantity=traded,
        price=Decimal(91),
        filled_at=NOW,
    )
    picture = msgspec.structs.replace(
        PlanWorld(Slice()).picture(),
        fills=lambda _: (trade,) if traded else (),
        order=lambda number: order if number == NUMBER else None,
    )
    assert heard_of(picture, OrderNumber(NUMBER + 1)) is None
    found = heard_of(picture, NUMBER)
    assert found is not None
    return gone_units(FACTS, 0, lambda _: found)


@pytest.mark.parametrize(
    ("state", "filled", "expected"),
    [
        (OrderState.CANCELLED, 0, 0),
        (OrderState.CANCELLED, 65, 65),
        (OrderState.NOT_SENT, 0, 0),
        (OrderState.REJECTED, 0, 0),
        (OrderState.COMPLETE, UNITS, UNITS),
        (OrderState.OPEN, 0, 0),
        (OrderState.OPEN, 65, 65),
        (OrderState.UNKNOWN, 0, 0),
        (OrderState.PRESUMED_ABSENT, 0, 0),
        (OrderState.TRIGGER_PENDING, 0, 0),
        (OrderState.CANCELLING, 65, 65),
    ],
)
def test_a_stop_has_taken_what_is_known_of_its_fills(state: OrderState, filled: int, expected: int) -> None:
    """Nothing is taken back for a stop that was cancelled, rests after it fired, or of which nothing is known."""
    assert gone_units(FACTS, 0, lambda _: guard(state, filled)) == expected


def test_one_that_nobody_knows_any_more_may_have_filled() -> None:
    """Without a record all of it counts."""
    assert gone_units(FACTS, 0) == UNITS


def test_what_it_had_filled_before_it_was_seen_is_not_taken_too_much() -> None:
    """Partly filled when the exit began: what was held then knew of that. Cancelled without more, it took nothing."""
    facts = Facts({})
    remember(facts, beside(guard(OrderState.CANCELLING, 65)))
    later = Facts(dict(facts.text))  # as a new engine reads it
    assert gone_units(later, 0, lambda _: guard(OrderState.CANCELLED, 65)) == 0
    assert gone_units(later, 0, lambda _: guard(OrderState.CANCELLED, 130)) == 65
    assert gone_units(later, 0, lambda _: guard(OrderState.COMPLETE, UNITS)) == UNITS - 65
    assert gone_units(later, 0) == UNITS - 65


def test_one_that_has_shrunk_and_then_filled_has_taken_its_last_size() -> None:
    """Seen with all its units, brought down with its leg, filled: its record says how much."""
    facts = Facts({})
    remember(facts, beside(guard(OrderState.TRIGGER_PENDING, 0)))
    remember(facts, beside(guard(OrderState.TRIGGER_PENDING, 0, quantity=65)))
    filled = guard(OrderState.COMPLETE, 65, quantity=65)
    assert gone_units(facts, 0, lambda _: filled) == 65
    assert gone_units(facts, 0) == UNITS


def test_a_fill_that_the_trades_tell_before_its_row_counts() -> None:
    """The row still says that it was cancelled unfilled; what is held has the fill already."""
    assert heard_units(guard(OrderState.CANCELLED, 0), 65) == 65
    assert heard_units(guard(OrderState.CANCELLED, 65), 65) == 65
    assert heard_units(guard(OrderState.CANCELLED, 0), 0) == 0


@pytest.mark.parametrize(
    ("filled", "left", "expected"),
    [(0, 65, [65]), (33, 65, [130]), (33, 97, [130]), (33, 130, []), (65, 65, [130]), (0, 195, [])],
)
def test_a_stop_shrinks_to_whole_lots(filled: int, left: int, expected: list[int]) -> None:
    """A part of a lot has filled: the broker would refuse what is left beside it, so the stop keeps the whole lot."""
    row = beside(guard(OrderState.TRIGGER_PENDING, filled))
    row = msgspec.structs.replace(row, instrument=SHORT_CALL, left=left)
    assert [move.change.quantity for move in guard_moves(row) if isinstance(move, Change)] == expected


def guarded_exit() -> tuple[ModelExchange, ModelOrder]:
    """An exit of one short leg that has filled, and the stop beside it, whose cancellation is on its way."""
    model = exit_model()
    spec = model.plan.spec
    assert isinstance(spec, ExitPlan)
    model.plan = msgspec.structs.replace(model.plan, spec=msgspec.structs.replace(spec, goals=spec.goals[:1]))
    request = msgspec.structs.replace(
        limit(SHORT_CALL, Side.BUY, MODEL_UNITS, "150"), order_type=OrderType.SL, trigger_price=Decimal(149)
    )
    stop = model.add_other(request, state=OrderState.TRIGGER_PENDING)
    model.look()
    model.fill(model.orders["x0/0"], MODEL_UNITS)
    stop.record = msgspec.structs.replace(stop.record, state=OrderState.CANCELLING)
    model.look()
    return model, stop


def state_later(model: ModelExchange) -> PlanState:
    """How the exit stands when the broker's trades have been waited for."""
    model.look()
    model.pass_time(60)
    return model.look().state


@pytest.mark.parametrize("restarted", [False, True])
def test_a_position_of_others_is_not_taken_back_for_a_stop_that_was_cancelled(*, restarted: bool) -> None:
    """The leg is flat, somebody buys the contract, the stop ends unfilled: before and after, nothing is taken back."""
    model, stop = guarded_exit()
    model.trade_elsewhere(SHORT_CALL.key, 2 * LOT)
    assert state_later(model) is PlanState.RUNNING, "the stop may still fill"
    model.kill_order(stop)
    if restarted:
        model.restart()
    assert state_later(model) is PlanState.DONE
    assert set(model.orders) == {"x0/0"}
    assert model.net(SHORT_CALL.key) == 2 * LOT


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("filled", [LOT, MODEL_UNITS])
def test_what_a_stop_filled_under_its_cancellation_is_taken_back(filled: int, *, restarted: bool) -> None:
    """It fired before its cancellation came: just what it took is sold again, though others hold the contract too."""
    model, stop = guarded_exit()
    model.trade_elsewhere(SHORT_CALL.key, 2 * LOT)
    model.fill(stop, filled)
    if stop.open:
        model.kill_order(stop)
    if restarted:
        model.restart()
    model.look()
    assert model.orders["b0/0"].record.request.quantity == filled
    model.fill(model.orders["b0/0"], filled)
    assert state_later(model) is PlanState.DONE
    assert model.net(SHORT_CALL.key) == 2 * LOT


def test_a_fill_under_a_cancellation_that_has_no_answer_is_taken_back_at_once() -> None:
    """A part of it is known to be filled, the rest may be: the part goes back now, the rest when it is known."""
    model, stop = guarded_exit()
    model.fill(stop, LOT, is_known=False)
    stop.record = msgspec.structs.replace(stop.record, filled_quantity=LOT)
    model.look()
    assert model.orders["b0/0"].record.request.quantity == LOT
    model.fill(model.orders["b0/0"], LOT)
    assert state_later(model) is PlanState.RUNNING
    model.fill(stop, LOT)
    model.kill_order(stop)
    model.look()
    assert model.orders["b0/1"].record.request.quantity == LOT
    model.fill(model.orders["b0/1"], LOT)
    assert state_later(model) is PlanState.DONE
    assert model.net(SHORT_CALL.key) == 0
