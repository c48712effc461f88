"""Whatever fails and in whatever order: an exit never brings the net through zero, and in the end it is flat."""

from __future__ import annotations

from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.identifiers import StrategyNumber
from engine.core.orders import OrderState
from engine.core.plans import ExitGoal, ExitManner, ExitPlan, ExitScope, ExitTarget, PlanState
from engine.core.vocabulary import InstrumentKind, OrderType, Product, QuoteState, Side
from engine.execution.plans.basket_cover import Units, uncovered
from engine.execution.plans.exit import ExitAlgorithm
from engine.execution.plans.exit_goals import part_of
from engine.execution.plans.exit_schedule import ExitSettings
from tests.kit.model_plans import LOT, ModelExchange, contract, limit, quote_of

CALL, PUT = InstrumentKind.CALL, InstrumentKind.PUT
ROWS = (contract(24200, CALL), contract(23800, PUT), contract(24500, CALL), contract(23500, PUT))
SIGNS = (-1, -1, 1, 1)
UNITS = 4 * LOT
FATES = (
    OrderState.OPEN,
    OrderState.OPEN,
    OrderState.OPEN,
    OrderState.UNKNOWN,
    OrderState.PRESUMED_ABSENT,
    OrderState.REJECTED,
    OrderState.NOT_SENT,
)
events = st.lists(
    st.tuples(
        st.sampled_from(
            ["fill", "fill", "fill", "silent", "hear", "end", "restart", "wait", "phone", "move", "blind", "hurry"]
        ),
        st.integers(0, 7),
        st.integers(1, 4),
    ),
    max_size=30,
)


def exit_model(
    percent: int = 100,
    manner: ExitManner = ExitManner.NORMAL,
    *,
    strategy: int | None = None,
    freeze: int | None = None,
) -> ModelExchange:
    """A condor held, and the exit of it."""
    goals = tuple(
        ExitGoal(
            instrument=row.key,
            product=Product.NRML,
            signed_quantity=part_of(sign * UNITS, percent, LOT),
            held=sign * UNITS,
            strategy=None if strategy is None else StrategyNumber(strategy),
        )
        for row, sign in zip(ROWS, SIGNS, strict=True)
    )
    scope = ExitScope.ACCOUNT if strategy is None else ExitScope.STRATEGY
    spec = ExitPlan(target=ExitTarget(scope=scope, strategy=strategy), percent=percent, manner=manner, goals=goals)  # type: ignore[arg-type]
    model = ModelExchange(ROWS, ExitAlgorithm(ExitSettings()), spec)
    model.freeze = freeze
    for row, sign in zip(ROWS, SIGNS, strict=True):
        model.held[row.key, Product.NRML] = sign * UNITS
        if strategy is not None:
            model.allocated[strategy, row.key, Product.NRML] = sign * UNITS
    return model


def _happen(model: ModelExchange, what: str, which: int, how_much: int) -> None:
    orders = list(model.orders.values())
    chosen = orders[which % len(orders)] if orders else None
    row, sign = ROWS[which % 4], SIGNS[which % 4]
    match what:
        case "fill" | "silent" if chosen is not None:
            model.fill(chosen, how_much * LOT, is_known=what == "fill")
        case "hear" if chosen is not None:
            model.learn(chosen)
        case "end" if chosen is not None and chosen.open and chosen.record.state is OrderState.OPEN:
            model.kill_order(chosen)
        case "restart":
            model.restart()
        case "phone":
            # The phone closes what is not at work already: nobody can stop two hands that reach at one moment.
            free = model.net(row.key) * sign - sum(o.open for o in orders if o.record.request.instrument == row.key)
            units = min(how_much * LOT, free)
            if units > 0:
                model.trade_elsewhere(row.key, -sign * units)
        case "move":
            model.quotes[row.key] = quote_of(Decimal(100 + which - how_much), spread=Decimal(how_much) / 5, size=LOT)
        case "blind":
            state = QuoteState.STALE if which % 2 else QuoteState.LIVE
            model.quotes[row.key] = msgspec.structs.replace(model.quotes[row.key], state=state)
        case "hurry":
            model.steer("hurry" if which % 2 else "patient")


def _check(model: ModelExchange) -> None:
    spec = model.plan.spec
    assert isinstance(spec, ExitPlan)
    for index, (row, sign) in enumerate(zip(ROWS, SIGNS, strict=True)):
        own = [order for key, order in model.orders.items() if key.startswith(f"x{index}/")]
        assert model.net(row.key) * sign >= 0, "the net went through zero"
        at_work = sum(order.open for order in own)
        assert at_work <= model.net(row.key) * sign, "more is at work than is held"
        sent = sum(order.record.filled_quantity + order.record.remaining_quantity for order in own)
        assert sent <= abs(spec.goals[index].signed_quantity), "more was sent, and not known dead, than was to go"
    sold = [Units(row, -model.net(row.key)) for row in ROWS[:2]]
    bought = [Units(row, model.net(row.key)) for row in ROWS[2:]]
    if not model.phoned:
        assert uncovered(sold, bought) == 0, "a wing went before its short"


def _settle(model: ModelExchange) -> None:
    """From now on the exchange answers and fills everything at once."""
    for row in ROWS:
        model.quotes[row.key] = quote_of(Decimal(100))
    model.next_fate = lambda _: OrderState.OPEN
    for _ in range(400):
        if model.plan.state.is_over:
            return
        model.look()
        _check(model)
        for order in list(model.orders.values()):
            if order.record.state.is_working:
                model.learn(order)
            model.fill(order, order.open)
        model.pass_time(0.5)


@settings(max_examples=150, deadline=None)
@given(
    events=events,
    fates=st.lists(st.sampled_from(FATES), max_size=10),
    wish=st.tuples(st.sampled_from([25, 50, 100]), st.sampled_from(ExitManner), st.sampled_from([None, 3])),
    freeze=st.sampled_from([None, 2 * LOT]),
)
def test_flat_and_never_beyond(
    events: list[tuple[str, int, int]],
    fates: list[OrderState],
    wish: tuple[int, ExitManner, int | None],
    freeze: int | None,
) -> None:
    """Rejections, lost answers, silent and partial fills, the phone, restarts: never through zero, and flat at last."""
    percent, manner, strategy = wish
    model = exit_model(percent, manner, strategy=strategy, freeze=freeze)
    drawn = iter(fates)
    model.next_fate = lambda _: next(drawn, OrderState.OPEN)
    model.phoned = [what for what, _, _ in events if what == "phone"]
    for what, which, how_much in events:
        if model.plan.state.is_over:
            break
        model.look()
        _check(model)
        _happen(model, what, which, how_much)
        if what != "phone":
            _check(model)
        model.pass_time(which / 2 if what == "wait" else 0.25)
    _settle(model)
    assert model.plan.state is PlanState.DONE, model.plan.progress.note
    stays = UNITS - abs(part_of(UNITS, percent, LOT))
    for row, sign in zip(ROWS, SIGNS, strict=True):
        assert 0 <= model.net(row.key) * sign <= stays
        if not model.phoned:
            assert model.net(row.key) * sign == stays


@settings(max_examples=120, deadline=None)
@given(events=events, late=st.integers(0, 3), stop_first=st.booleans())
def test_what_is_taken_too_much_is_taken_back(events: list[tuple[str, int, int]], late: int, stop_first: bool) -> None:
    """A stop fills beside the exit, before or after it: in the end the net is zero all the same."""
    model = exit_model()
    row, sign = ROWS[late], SIGNS[late]
    side = Side.SELL if sign > 0 else Side.BUY
    request = limit(row, side, UNITS, "120")
    request = msgspec.structs.replace(request, order_type=OrderType.SL, trigger_price=Decimal(119))
    stop = model.add_other(request, state=OrderState.TRIGGER_PENDING)
    model.phoned = ["stop"]
    for what, which, how_much in events:
        if model.plan.state.is_over:
            break
        model.look()
        if what in {"fill", "silent", "hear"}:
            _happen(model, what, which, how_much)
        model.pass_time(0.25)
        if stop_first:
            model.fill(stop, stop.open)
    if not model.plan.state.is_over:
        model.fill(stop, stop.open)
    for _ in range(200):
        if model.plan.state.is_over:
            break
        model.look()
        for order in list(model.orders.values()):
            model.fill(order, order.open)
            model.learn(order)
        model.pass_time(0.5)
    assert model.plan.state is PlanState.DONE, model.plan.progress.note
    assert [model.net(one.key) for one in ROWS] == [0, 0, 0, 0]
    assert not stop.open
