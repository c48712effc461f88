"""Whatever fails, in any order, killed at any point: a basket stands no longer and no larger naked than planned."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.orders import OrderState
from engine.core.plans import BasketPlan, LegFailure, LegPlan, PlanState
from engine.core.vocabulary import InstrumentKind, Side
from engine.execution.plans.algorithm import Place
from engine.execution.plans.basket import BasketAlgorithm, BasketSettings
from engine.execution.plans.basket_cover import Units, uncovered
from tests.kit.model_plans import LOT, ModelExchange, contract, limit

CALL, PUT = InstrumentKind.CALL, InstrumentKind.PUT
WINGS = (contract(24500, CALL), contract(23500, PUT))
BODY = (contract(24200, CALL), contract(23800, PUT))
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
STEP_S = 0.25
DEAD_S = 3.0
"""So long the engine is gone after a kill."""

events = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.integers(0, 7), st.integers(1, 4)),
        st.tuples(st.just("silent"), st.integers(0, 7), st.integers(1, 4)),
        st.tuples(st.just("hear"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 12), st.just(0)),
        st.tuples(st.just("resume"), st.just(0), st.just(0)),
        st.tuples(st.just("cancel"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


class NakedWatch:
    """Measures at the exchange, fill by fill, what stands uncovered and for how long."""

    def __init__(self, model: ModelExchange) -> None:
        self._model = model
        self.most = 0
        self.longest_s = 0.0
        self._since: datetime | None = None

    def naked(self) -> int:
        """Units now."""
        net = {row: self._model.net(row.key) for row in (*WINGS, *BODY)}
        sold = [Units(row, -units) for row, units in net.items() if units < 0]
        bought = [Units(row, units) for row, units in net.items() if units > 0]
        return uncovered(sold, bought)

    def look(self, _: object = None) -> None:
        """After every fill and every passing of time."""
        naked = self.naked()
        self.most = max(self.most, naked)
        if not naked:
            self._since = None
        elif self._since is None:
            self._since = self._model.now
        else:
            self.longest_s = max(self.longest_s, (self._model.now - self._since).total_seconds())


def _model(plan: LegPlan, fates: list[OrderState], order: list[int]) -> tuple[ModelExchange, NakedWatch]:
    legs = [
        limit(WINGS[0], Side.BUY, UNITS),
        limit(WINGS[1], Side.BUY, UNITS),
        limit(BODY[0], Side.SELL, UNITS),
        limit(BODY[1], Side.SELL, UNITS),
    ]
    spec = BasketPlan(legs=tuple(legs[at] for at in order), leg_plan=plan)
    model = ModelExchange((*WINGS, *BODY), BasketAlgorithm(BasketSettings()), spec)
    drawn = iter(fates)

    def fate(move: Place) -> OrderState:
        # What takes back is filled in this world, or a limit on time could be promised by nobody.
        return OrderState.OPEN if move.key.startswith("undo") else next(drawn, OrderState.OPEN)

    model.next_fate = fate
    watch = NakedWatch(model)
    model.on_fill = watch.look
    return model, watch


def _happen(model: ModelExchange, what: str, which: int, how_much: int) -> None:
    orders = list(model.orders.values())
    chosen = orders[which % len(orders)] if orders else None
    match what:
        case "fill" | "silent" if chosen is not None:
            model.fill(chosen, how_much * LOT, is_known=what == "fill")
        case "hear" if chosen is not None:
            model.learn(chosen)
        case "end" if chosen is not None and chosen.open and chosen.record.state is OrderState.OPEN:
            model.kill_order(chosen)
        case "restart":
            model.restart()
        case "resume":
            if model.plan.state is PlanState.PAUSED:
                model.steer("resume")
        case "cancel":
            if not model.plan.state.is_over:
                model.plan = type(model.plan)(
                    **{name: getattr(model.plan, name) for name in model.plan.__struct_fields__ if name != "state"},
                    state=PlanState.CANCELLING,
                )


def _go_on(model: ModelExchange, watch: NakedWatch, seconds: float) -> None:
    """Time passes in small steps; what takes back is filled at each."""
    for _ in range(max(1, round(seconds / STEP_S))):
        if not model.plan.state.is_over:
            model.look()
        model.pass_time(STEP_S)
        for order in reversed(model.working("undo")):
            model.fill(order, order.open)
        watch.look()


@settings(max_examples=120, deadline=None)
@given(
    events=events,
    fates=st.lists(st.sampled_from(FATES), max_size=8),
    on_failure=st.sampled_from(LegFailure),
    order=st.permutations(range(4)),
    hedge_first=st.booleans(),
)
def test_nothing_is_ever_naked_when_nothing_may_be(
    events: list[tuple[str, int, int]],
    fates: list[OrderState],
    on_failure: LegFailure,
    order: list[int],
    hedge_first: bool,
) -> None:
    """With the default plan no unit is ever sold without cover at the exchange, heard of or not, killed or not."""
    plan = LegPlan(on_failure=on_failure, hedge_first=hedge_first)
    model, watch = _model(plan, fates, order)
    for what, which, how_much in events:
        _happen(model, what, which, how_much)
        watch.look()
        _go_on(model, watch, which * STEP_S if what == "wait" else STEP_S)
    assert watch.most == 0


@settings(max_examples=120, deadline=None)
@given(
    events=events,
    fates=st.lists(st.sampled_from(FATES[:4]), max_size=8),
    on_failure=st.sampled_from(LegFailure),
    naked_lots=st.integers(1, 4),
)
def test_what_may_be_naked_is_so_no_longer_than_planned(
    events: list[tuple[str, int, int]], fates: list[OrderState], on_failure: LegFailure, naked_lots: int
) -> None:
    """What stands uncovered, counted at the exchange, never exceeds the plan's units nor its time."""
    plan = LegPlan(on_failure=on_failure, naked_quantity_max=naked_lots * LOT, naked_s_max=6.0, fill_timeout_s=60.0)
    model, watch = _model(plan, fates, [2, 0, 3, 1])
    died = False
    for what, which, how_much in events:
        if what == "silent" and not died:
            died = True
            # The engine is dead while it fills, and for as long as it takes to come back.
            _happen(model, "silent", which, how_much)
            model.pass_time(DEAD_S)
            watch.look()
            model.restart()
            continue
        # A plan that a person ends is that person's.
        _happen(model, {"cancel": "wait", "end": "hear", "silent": "fill"}.get(what, what), which, how_much)
        watch.look()
        _go_on(model, watch, which * STEP_S if what == "wait" else STEP_S)
    _go_on(model, watch, 7.0)
    assert watch.most <= naked_lots * LOT
    assert watch.longest_s <= plan.naked_s_max


@settings(max_examples=120, deadline=None)
@given(events=events, fates=st.lists(st.sampled_from(FATES), max_size=6), order=st.permutations(range(4)))
def test_an_unwound_basket_leaves_nothing(
    events: list[tuple[str, int, int]], fates: list[OrderState], order: list[int]
) -> None:
    """Once orders answer again, a basket that unwinds ends with all legs on or none, and never sends a unit twice."""
    model, watch = _model(LegPlan(on_failure=LegFailure.UNWIND), fates, order)
    for what, which, how_much in events:
        if what == "cancel":
            continue
        _happen(model, what, which, how_much)
        _go_on(model, watch, STEP_S)
    for _ in range(400):
        if model.plan.state.is_over:
            break
        for one in list(model.orders.values()):
            model.learn(one)
            model.fill(one, one.open)
        _go_on(model, watch, STEP_S)
    assert model.plan.state in {PlanState.DONE, PlanState.FAILED}
    nets = [model.net(row.key) for row in (*WINGS, *BODY)]
    absent = any(one.record.state is OrderState.PRESUMED_ABSENT for one in model.orders.values())
    whole = [UNITS, UNITS, -UNITS, -UNITS]
    assert nets == (whole if model.plan.state is PlanState.DONE else [0, 0, 0, 0]), (nets, absent)
    assert watch.most == 0
