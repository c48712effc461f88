"""Orders of an exit that the broker accepts only after they were given up: whatever of them rests is taken back."""

from __future__ import annotations

from engine.core.identifiers import BrokerOrderId
from engine.core.orders import OrderState
from engine.core.plans import ExitGoal, ExitPlan, ExitScope, ExitTarget, PlanNumber, PlanState
from engine.core.vocabulary import Product, Severity
from engine.execution.plans.exit import ExitAlgorithm
from engine.execution.plans.exit_schedule import ExitSettings
from tests.kit.fake_broker import LOT, Call, Fault, option
from tests.unit.execution.desk import settle
from tests.unit.execution.plan_desk import PlansDesk

KEY = option().key
GIVEN_UP_S = 45.0
"""More than the window in which an order without an answer is looked for."""
SOON_S = 20.0
"""More than the pause between two reads of a book in which nothing works."""
WORDS = "had been given up and has appeared at the broker"


def new_desk() -> PlansDesk:
    """A desk whose account holds one lot."""
    desk = PlansDesk(others={ExitPlan: ExitAlgorithm(ExitSettings())})
    desk.facts.held = {KEY: LOT}
    return desk


async def exit_with_order_given_up(desk: PlansDesk) -> PlanNumber:
    """Begin to leave: the first order is held at the broker until nobody waits for it, and another has its place."""
    desk.broker.arm(Call.PLACE, Fault.HOLD)
    goal = ExitGoal(instrument=KEY, product=Product.NRML, signed_quantity=LOT, held=LOT)
    number = await desk.begin(ExitPlan(target=ExitTarget(scope=ExitScope.ACCOUNT), goals=(goal,)))
    assert [order.state for order in desk.executor.orders()] == [OrderState.UNKNOWN]
    await desk.clock.advance(GIVEN_UP_S)
    first, second = desk.executor.orders()
    assert (first.state, second.state) == (OrderState.PRESUMED_ABSENT, OrderState.OPEN)
    return number


async def fill(desk: PlansDesk, order_id: BrokerOrderId, *, held: int) -> None:
    """The exchange fills an order wholly, and the ledger has so many units then."""
    desk.broker.fill(order_id)
    desk.facts.held = {KEY: held}
    await desk.clock.advance(SOON_S)


async def fill_second(desk: PlansDesk) -> None:
    """The order that went in the place of the first one is filled: nothing is held any more."""
    order_id = desk.executor.orders()[1].broker_order_id
    assert order_id is not None
    await fill(desk, order_id, held=0)


async def test_what_rests_late_is_cancelled_though_its_exit_is_over() -> None:
    """The position is flat and the plan done; an order of it that comes to rest then would open the other side."""
    async with new_desk() as desk:
        number = await exit_with_order_given_up(desk)
        await fill_second(desk)
        assert desk.plan_state(number) is PlanState.DONE
        (late,) = desk.broker.release_held()
        await desk.clock.advance(SOON_S)
        assert desk.broker.orders_by_id[late].status == "CANCELLED"
        assert desk.executor.orders()[0].state is OrderState.CANCELLED
        assert desk.ear.heard(WORDS, Severity.DANGER)
        assert desk.placed() == 2 * LOT


async def test_what_rests_late_never_works_beside_what_went_in_its_place() -> None:
    """Both rest at once: the late one is cancelled, and in the end exactly what was held has gone."""
    async with new_desk() as desk:
        number = await exit_with_order_given_up(desk)
        (late,) = desk.broker.release_held()
        await desk.clock.advance(SOON_S)
        assert desk.broker.orders_by_id[late].status == "CANCELLED"
        (working,) = desk.executor.working()
        assert working.broker_order_id is not None
        await fill(desk, working.broker_order_id, held=0)
        assert desk.plan_state(number) is PlanState.DONE
        assert sum(order.filled for order in desk.broker.orders_by_id.values()) == LOT


async def test_the_next_engine_cancels_it_too() -> None:
    """The engine that gave it up is killed after its exit was done; the late order meets the next one."""
    async with new_desk() as desk:
        await exit_with_order_given_up(desk)
        await fill_second(desk)
        await desk.crash()
        await desk.open()
        (late,) = desk.broker.release_held()
        await desk.clock.advance(GIVEN_UP_S)
        assert desk.broker.orders_by_id[late].status == "CANCELLED"


async def test_its_cancellation_is_wished_once() -> None:
    """However often the plan looks, the history has one line that says so, before the other order is made."""
    async with new_desk() as desk:
        await exit_with_order_given_up(desk)
        first, second = desk.executor.orders()
        await desk.clock.advance(GIVEN_UP_S)
        wishes = [event for event in desk.history(first.number) if "cancelled as soon as" in event.detail]
        assert len(wishes) == 1
        assert wishes[0].at <= second.created_at


async def test_what_has_filled_late_is_adopted_and_alarmed() -> None:
    """Nothing can be taken back of it here: a person hears of it, and the exit sends nothing more."""
    async with new_desk() as desk:
        number = await exit_with_order_given_up(desk)
        await fill_second(desk)
        (late,) = desk.broker.release_held()
        await fill(desk, late, held=-LOT)
        await settle()
        assert desk.executor.orders()[0].state is OrderState.COMPLETE
        assert desk.ear.heard(WORDS, Severity.DANGER)
        assert desk.plan_state(number) is PlanState.DONE
        assert len(desk.broker.orders_by_id) == 2
