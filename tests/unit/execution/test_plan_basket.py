"""Baskets, case by case: what is sent when, and what the chosen answer to a failing leg does."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.orders import OrderState
from engine.core.plans import BasketPlan, LegFailure, LegPlan, PlanState
from engine.core.vocabulary import InstrumentKind, OrderType, Side
from engine.execution.lanes import Lane
from engine.execution.plans.algorithm import Place
from engine.execution.plans.basket import BasketAlgorithm, BasketSettings
from tests.kit.model_plans import LOT, ModelExchange, contract, limit, quote_of

CALL, PUT = InstrumentKind.CALL, InstrumentKind.PUT
WING, BODY = contract(24500, CALL), contract(24200, CALL)
PUT_BODY = contract(23800, PUT)
UNITS = 4 * LOT


def spread(**plan: object) -> ModelExchange:
    """A short call behind a bought one, the short named first."""
    legs = (limit(BODY, Side.SELL, UNITS), limit(WING, Side.BUY, UNITS))
    return ModelExchange(
        (WING, BODY),
        BasketAlgorithm(BasketSettings()),
        BasketPlan(legs=legs, leg_plan=LegPlan(**plan)),  # type: ignore[arg-type]
    )


def test_the_hedge_goes_first_in_its_lane_and_the_short_by_what_is_filled() -> None:
    """Nothing is sold while the hedge rests; then exactly the units that are filled."""
    model = spread()
    advance = model.look()
    assert [(move.key, move.lane) for move in advance.moves if isinstance(move, Place)] == [("leg1/0", Lane.HEDGE)]
    model.fill(model.orders["leg1/0"], LOT, is_known=False)
    model.look()
    assert set(model.orders) == {"leg1/0"}, "a fill that nobody has heard of covers nothing"
    model.learn(model.orders["leg1/0"])
    model.look()
    assert model.orders["leg0/0"].record.request.quantity == LOT


def test_a_large_leg_is_sent_in_pieces_that_the_exchange_takes() -> None:
    """Pieces within the freeze quantity, together the leg."""
    model = spread()
    model.freeze = 3 * LOT + 10
    model.look()
    assert [order.record.request.quantity for order in model.orders.values()] == [3 * LOT, LOT]


def test_a_straddle_is_uncovered_by_design() -> None:
    """What the finished basket leaves uncovered is no leg risk: both shorts go at once, and it ends well."""
    legs = (limit(BODY, Side.SELL, UNITS), limit(PUT_BODY, Side.SELL, UNITS))
    spec = BasketPlan(legs=legs)
    model = ModelExchange((BODY, PUT_BODY), BasketAlgorithm(BasketSettings()), spec)
    model.look()
    assert len(model.orders) == 2
    for order in list(model.orders.values()):
        model.fill(order, UNITS)
    advance = model.look()
    assert advance.state is PlanState.DONE
    assert "nothing stood uncovered" in advance.progress.note


@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.CANCELLED, OrderState.PRESUMED_ABSENT])
def test_hold_keeps_what_is_covered_and_asks(state: OrderState) -> None:
    """A dead short under HOLD: the hedge stays, a person is asked, and resume sends only what may be sent again."""
    model = spread(on_failure=LegFailure.HOLD)
    model.look()
    model.fill(model.orders["leg1/0"], UNITS)
    model.look()
    model.kill_order(model.orders["leg0/0"], state)
    advance = model.look()
    assert advance.state is PlanState.PAUSED
    assert "leg 1" in advance.progress.note
    model.steer("resume")
    advance = model.look()
    if state is OrderState.PRESUMED_ABSENT:
        assert "leg0/1" not in model.orders, "what may still turn up is never sent again"
    else:
        assert model.orders["leg0/1"].record.request.quantity == UNITS


def test_unwind_takes_the_short_back_before_its_hedge() -> None:
    """A hedge and a part of the short are on; both go, the hedge only as the short is known to be back."""
    model = spread(on_failure=LegFailure.UNWIND)
    model.look()
    model.fill(model.orders["leg1/0"], UNITS)
    model.look()
    model.fill(model.orders["leg0/0"], LOT)
    model.kill_order(model.orders["leg0/0"])
    model.look()
    assert model.orders["undo0/0"].record.request.quantity == LOT
    assert model.orders["undo1/0"].record.request.quantity == UNITS - LOT
    model.fill(model.orders["undo0/0"], LOT)
    model.look()
    assert sum(order.record.request.quantity for key, order in model.orders.items() if key.startswith("undo1")) == UNITS


def test_chase_follows_the_touch_within_its_ticks_and_then_holds() -> None:
    """The resting leg follows the ask by three ticks at most; further on it asks."""
    model = spread(on_failure=LegFailure.CHASE, chase_ticks=3, fill_timeout_s=1.0)
    model.quotes[WING.key] = quote_of(Decimal("100.10"))
    model.look()
    model.pass_time(1.1)
    model.look()
    assert model.orders["leg1/0"].record.request.price == Decimal("100.15")
    model.quotes[WING.key] = quote_of(Decimal("101.10"))
    for _ in range(3):
        model.pass_time(0.6)
        advance = model.look()
    assert model.orders["leg1/0"].record.request.price == Decimal("100.15")
    assert advance.state is PlanState.PAUSED


def test_a_cap_on_slippage_pauses_before_a_market_leg_is_sent() -> None:
    """The market leg has moved away by more than the cap: it is not sent, a person is asked, resume sends it."""
    legs = (
        limit(WING, Side.BUY, UNITS),
        msgspec.structs.replace(
            limit(BODY, Side.SELL, UNITS), order_type=OrderType.MARKET, price=None, market_protection=Decimal(-1)
        ),
    )
    spec = BasketPlan(legs=legs, leg_plan=LegPlan(slippage_max=Decimal(1)))
    model = ModelExchange((WING, BODY), BasketAlgorithm(BasketSettings()), spec)
    model.look()
    model.fill(model.orders["leg0/0"], UNITS)
    model.quotes[BODY.key] = quote_of(Decimal(97))
    advance = model.look()
    assert advance.state is PlanState.PAUSED
    assert "3.00 a unit" in advance.progress.note
    model.steer("resume")
    model.look()
    assert "leg1/0" in model.orders


def test_what_is_refused_for_a_moment_is_tried_again_and_then_fails() -> None:
    """After a restart quotes come back in seconds: a refusal waits; one that stays fails the leg."""
    model = spread()
    model.refuses = lambda move: "" if move.key.startswith("undo") else "the quote is UNKNOWN"
    for _ in range(12):
        model.look()
        model.pass_time(0.5)
    states = [model.plan.state]
    for _ in range(20):
        if not model.plan.state.is_over:
            model.look()
        model.pass_time(0.5)
    states.append(model.plan.state)
    assert states == [PlanState.RUNNING, PlanState.FAILED]
    assert "was refused" in model.plan.progress.note


def test_cancelling_withdraws_shorts_first_and_keeps_what_is_on() -> None:
    """What rests goes, the sold leg before its cover; what is filled stays."""
    model = spread()
    model.look()
    model.fill(model.orders["leg1/0"], LOT)
    model.look()
    model.plan = msgspec.structs.replace(model.plan, state=PlanState.CANCELLING)
    advance = model.look()
    assert [move.number for move in advance.moves if hasattr(move, "number")] == [
        model.orders["leg0/0"].number,
        model.orders["leg1/0"].number,
    ]
    advance = model.look()
    assert advance.state is PlanState.CANCELLED
    assert f"{LOT} of {WING.tradingsymbol}" in advance.progress.note


def test_steps_tell_role_state_and_prices() -> None:
    """A row a leg with its role; the waiting short says so."""
    model = spread()
    model.look()
    model.fill(model.orders["leg1/0"], UNITS)
    rows = model.algorithm.steps(model.picture())
    assert [(row.words.split(" ")[0], row.state, row.filled) for row in rows] == [
        ("short", "WAITS", 0),
        ("hedge", "DONE", UNITS),
    ]
