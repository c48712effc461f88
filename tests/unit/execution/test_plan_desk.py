"""The desk of plans: journal first, one order for one key, restarts, faults, journal outages, and a person's hand."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import PlaceOrder
from engine.core.decisions import LetterState
from engine.core.errors import BrokerUnavailable, StorageTimeout, StorageUnavailable
from engine.core.orders import OrderRequest, OrderState
from engine.core.plans import (
    BasketPlan,
    Chase,
    ExitPlan,
    ExitScope,
    ExitTarget,
    Iceberg,
    OrderPlan,
    PlanNumber,
    PlanProgress,
    PlanRecord,
    PlanState,
    PlanStep,
    PlanTurn,
    Slice,
    Twap,
)
from engine.core.quotes import DepthLevel
from engine.core.vocabulary import Mode, QuoteState, Severity
from engine.execution.plans.algorithm import Advance, Place, PlanPicture
from engine.execution.plans.desk import UNKEPT_BASE
from engine.execution.plans.keys import plan_key
from engine.execution.plans.settings import PlanSettings
from engine.execution.settings import CheckLimits, ExecutionSettings
from tests.kit.fake_broker import LOT, Call, Fault, option
from tests.unit.execution.desk import ACCOUNT, buy, live_quote, settle
from tests.unit.execution.plan_desk import PlansDesk

LIMITS = ExecutionSettings(checks=CheckLimits(order_value_max=None))
P1 = PlanNumber(1)


def sliced(lots: int = 82) -> OrderPlan:
    """An order of three whole pieces and one lot."""
    return OrderPlan(request=buy(lots * LOT), manner=Slice())


def iceberg(lots: int = 20, pieces: int = 4) -> OrderPlan:
    """Pieces one after the other."""
    return OrderPlan(request=buy(lots * LOT), manner=Iceberg(pieces=pieces))


def twap(lots: int = 8, *, pieces: int = 4, duration_s: float = 40) -> OrderPlan:
    """Pieces by the clock."""
    return OrderPlan(request=buy(lots * LOT), manner=Twap(duration_s=duration_s, pieces=pieces))


class Faulty:
    """An algorithm that breaks; it sends one exit when told to."""

    def __init__(self, *, exits: OrderRequest | None = None) -> None:
        self.exits = exits
        self.looks = 0

    def advance(self, picture: PlanPicture) -> Advance:
        self.looks += 1
        if self.exits is None:
            raise KeyError("a slip of the programmer")
        note = PlanProgress(step=picture.plan.progress.step + 1, note="goes on")
        move = Place(key="x0/0", request=self.exits, words="an exit")
        return Advance(progress=note if not picture.orders else picture.plan.progress, moves=(move,))

    def stop(self, picture: PlanPicture) -> Advance:
        raise KeyError("a slip of the programmer")

    def watched(self, plan: PlanRecord) -> tuple[()]:
        return ()

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        return ()


async def fill_all(desk: PlansDesk) -> None:
    """Everything that rests at the broker fills, and the desk hears of it."""
    for order_id, order in desk.broker.orders_by_id.items():
        if order.status == "OPEN":
            desk.broker.fill(order_id)
    await desk.clock.advance(4)


async def test_a_large_order_is_sliced_exactly() -> None:
    """82 lots in four orders, each with the plan's key and reason, all done; the broker got exactly what was asked."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(sliced())
        await desk.clock.advance(2)
        orders = desk.executor.orders()
        assert [order.request.quantity // LOT for order in orders] == [27, 27, 27, 1]
        assert [order.idempotency_key for order in orders] == [plan_key(number, f"piece{n}") for n in range(4)]
        intent = await desk.journal.intent(orders[0].number)
        assert intent is not None
        assert intent.decision is not None
        assert intent.decision.by == "plan p1"
        assert intent.decision.words
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE
        assert desk.placed() == 82 * LOT
        assert desk.ear.heard("p1 begins")
        assert desk.ear.heard("p1 DONE")
        view = desk.view(number)
        assert view.orders == tuple(order.number for order in orders)
        assert sum(step.filled for step in view.steps) == 82 * LOT
        assert view.slippage == Decimal(0)


async def test_the_journal_knows_before_the_first_order() -> None:
    """A plan is written before its receipt, and what it must remember before the move that follows from it."""
    async with PlansDesk(LIMITS) as desk:
        receipt = await desk.plans.submit(iceberg(), sentence="a plan")
        assert receipt.plan == P1
        assert desk.store.plans[P1].state is PlanState.RUNNING
        desk.records.down = StorageUnavailable("the database is gone")
        await desk.clock.advance(3)
        assert not desk.executor.orders()
        desk.records.down = None
        await desk.clock.advance(3)
        assert desk.store.plans[P1].progress.note
        assert len(desk.executor.orders()) == 1


async def test_a_key_makes_one_plan() -> None:
    """Again it says so; for something else it is refused; over a restart too."""
    async with PlansDesk(LIMITS) as desk:
        await desk.begin(iceberg(), key="mine")
        again = await desk.plans.submit(iceberg(), sentence="a plan", key="mine")
        other = await desk.plans.submit(sliced(), sentence="a plan", key="mine")
        assert (again.accepted, again.repeated, again.plan) == (True, True, P1)
        assert (other.accepted, other.repeated, other.plan) == (False, True, P1)
        await desk.restart()
        later = await desk.plans.submit(iceberg(), sentence="a plan", key="mine")
        assert (later.accepted, later.repeated, later.plan) == (True, True, P1)
        await desk.clock.advance(5)
        assert len(desk.broker.orders_by_id) == 1


@pytest.mark.parametrize("crash_after", [0.0, 1.2, 3.1, 11.0, 21.0])
async def test_a_killed_schedule_goes_on_where_it_was(crash_after: float) -> None:
    """Killed at any moment of its slots the pieces add up to exactly what was asked, none of them twice."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(twap(8))
        await desk.clock.advance(crash_after)
        await desk.restart()
        await desk.clock.advance(60)
        await fill_all(desk)
        await desk.clock.advance(10)
        assert desk.plan_state(number) is PlanState.DONE, desk.note(number)
        assert desk.placed() == 8 * LOT
        assert set(desk.broker.accepted.values()) == {1}


async def test_a_lost_answer_is_not_sent_again() -> None:
    """A piece whose answer was lost is found by its tag; the next one waits for it."""
    async with PlansDesk(LIMITS) as desk:
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        number = await desk.begin(iceberg(4, 2))
        await desk.clock.advance(10)
        await fill_all(desk)
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE
        assert desk.placed() == 4 * LOT


async def test_what_was_never_found_pauses_and_is_never_repeated() -> None:
    """Presumed absent: a person is told, and even resumed the plan does not send that quantity again."""
    async with PlansDesk(LIMITS) as desk:
        desk.broker.arm(Call.PLACE, Fault.LOSE_REQUEST)
        number = await desk.begin(iceberg(4, 2))
        await desk.clock.advance(60)
        assert desk.plan_state(number) is PlanState.PAUSED
        assert "may still turn up" in desk.note(number)
        await desk.plans.steer(number, PlanTurn.RESUME)
        await desk.clock.advance(5)
        await fill_all(desk)
        await desk.clock.advance(5)
        assert desk.plan_state(number) is PlanState.FAILED
        assert desk.placed() == 2 * LOT
        assert desk.ear.heard("p1 FAILED", Severity.DANGER)


async def test_unsent_pieces_are_the_plans_own_letters() -> None:
    """An order that the broker was not reached for is closed as a letter by the plan, and sent again by it, once."""
    async with PlansDesk(LIMITS) as desk:
        desk.broker.arm(Call.PLACE, Fault.UNAVAILABLE)
        number = await desk.begin(iceberg(4, 2))
        await desk.clock.advance(12)
        assert desk.state(1) is OrderState.NOT_SENT
        assert desk.order(1).letter is LetterState.CLOSED
        await fill_all(desk)
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE
        assert desk.placed() == 4 * LOT


async def test_a_rejected_piece_asks_and_the_rest_waits() -> None:
    """The plan pauses with the broker's words; nothing more is sent until a person resumes it."""
    async with PlansDesk(LIMITS) as desk:
        desk.broker.arm(Call.PLACE, Fault.REFUSE)
        number = await desk.begin(iceberg(4, 2))
        await desk.clock.advance(10)
        assert desk.plan_state(number) is PlanState.PAUSED
        assert len(desk.executor.orders()) == 1
        assert desk.ear.heard("o1 is rejected", Severity.ATTENTION)
        await desk.plans.steer(number, PlanTurn.RESUME)
        for _ in range(3):
            await desk.clock.advance(2)
            await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE
        assert desk.placed() == 4 * LOT


async def test_cancelled_it_takes_back_what_rests() -> None:
    """The resting piece is cancelled, nothing new is sent, and the plan ends when the broker has confirmed."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(iceberg())
        await desk.clock.advance(3)
        receipt = await desk.plans.cancel(number)
        assert receipt.accepted
        assert desk.plan_state(number) is PlanState.CANCELLING
        await desk.clock.advance(5)
        assert desk.plan_state(number) is PlanState.CANCELLED
        assert desk.state(1) is OrderState.CANCELLED
        assert not (await desk.plans.cancel(number)).accepted
        assert not (await desk.plans.steer(number, PlanTurn.PAUSE)).accepted
        assert desk.store.plans[number].finished_at is not None


async def test_a_cancellation_holds_over_a_kill() -> None:
    """A plan that was being cancelled when the engine died is cancelled by the next one; it sends nothing new."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(iceberg())
        await desk.clock.advance(3)
        desk.broker.close_gate(Call.CANCEL)
        await desk.plans.cancel(number)
        await settle()
        desk.broker.open_gate(Call.CANCEL)
        await desk.restart()
        await desk.clock.advance(20)
        assert desk.plan_state(number) is PlanState.CANCELLED
        assert len(desk.executor.orders()) == 1


async def test_paused_it_sends_nothing_and_resumed_it_goes_on() -> None:
    """What rests, rests; a fill while it is paused brings no next piece, but the end is seen."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(iceberg(4, 2))
        await desk.clock.advance(2)
        assert (await desk.plans.steer(number, PlanTurn.PAUSE)).accepted
        await fill_all(desk)
        assert len(desk.executor.orders()) == 1
        await desk.restart()
        await desk.clock.advance(5)
        assert desk.plan_state(number) is PlanState.PAUSED
        assert (await desk.plans.steer(number, PlanTurn.RESUME)).accepted
        await desk.clock.advance(2)
        assert len(desk.executor.orders()) == 2
        await desk.plans.steer(number, PlanTurn.PAUSE)
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE


async def test_a_fault_pauses_its_plan_and_no_other() -> None:
    """The words say what broke; the neighbour is done; cancelled, the broken one ends all the same."""
    faulty = Faulty()
    async with PlansDesk(LIMITS, others={BasketPlan: faulty}) as desk:
        broken = await desk.begin(BasketPlan(legs=(buy(),)))
        whole = await desk.begin(sliced(30))
        await desk.clock.advance(2)
        await fill_all(desk)
        assert desk.plan_state(broken) is PlanState.PAUSED
        assert "a slip of the programmer" in desk.note(broken)
        assert desk.ear.heard("has a fault and is paused", Severity.ATTENTION)
        assert desk.plan_state(whole) is PlanState.DONE
        looks = faulty.looks
        await desk.clock.advance(30)
        assert faulty.looks - looks <= 30 / desk.plan_settings.look_max_s + 1
        await desk.plans.cancel(broken)
        await desk.clock.advance(2)
        assert desk.plan_state(broken) is PlanState.FAILED


async def test_without_a_journal_entries_wait_and_go_on_after_it() -> None:
    """Neither the plan's progress nor an order is invented while the database is away; no attempt is counted."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(twap(8, duration_s=80))
        await desk.clock.advance(5)
        assert len(desk.broker.orders_by_id) == 1
        desk.records.down = StorageUnavailable("the database is gone")
        desk.journal.fail()
        await desk.clock.advance(25)
        assert len(desk.broker.orders_by_id) == 1
        assert "could not be journalled" in desk.note(number)
        desk.records.down = None
        desk.journal.heal()
        await desk.clock.advance(60)
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE
        assert desk.placed() == 8 * LOT


async def test_without_a_journal_an_exit_goes_on() -> None:
    """What brings flat does not wait for the plan's record: it is owed, and written when the database is back."""
    exits = Faulty(exits=buy(LOT, side=buy().side.opposite))
    spec = ExitPlan(target=ExitTarget(scope=ExitScope.ACCOUNT))
    async with PlansDesk(LIMITS, others={ExitPlan: exits}) as desk:
        desk.facts.held = {option().key: LOT}
        await settle()
        desk.records.down = StorageUnavailable("the database is gone")
        receipt = await desk.plans.submit(spec, sentence="out")
        assert receipt.accepted
        assert receipt.plan is not None
        assert receipt.plan > UNKEPT_BASE
        await desk.clock.advance(2)
        assert len(desk.broker.orders_by_id) == 1
        desk.records.down = None
        kept = await desk.begin(spec)
        desk.records.down = StorageUnavailable("the database is gone")
        await desk.clock.advance(2)
        desk.records.down = None
        await desk.clock.advance(2)
        assert desk.store.plans[kept].progress.step == desk.view(kept).record.progress.step


async def test_a_plan_that_was_taken_too_late_is_ended() -> None:
    """Whoever wanted it was told that it was not taken: it must not begin later, nor after a restart."""
    async with PlansDesk(LIMITS) as desk:
        desk.records.lie_once = StorageTimeout("the database did not answer in time")
        receipt = await desk.plans.submit(sliced(), sentence="a plan")
        assert not receipt.accepted
        assert desk.store.plans[P1].state is PlanState.RUNNING
        await desk.clock.advance(6)
        assert desk.store.plans[P1].state is PlanState.DROPPED
        await desk.restart()
        await desk.clock.advance(5)
        assert not desk.broker.orders_by_id


async def test_an_entry_that_was_never_begun_is_not_begun_late() -> None:
    """A plan whose engine died before its first look goes on within seconds, and is dropped after more."""
    async with PlansDesk(LIMITS) as desk:
        await desk.plans.submit(sliced(), sentence="a plan")
        await desk.crash()
        desk.clock.elapsed += 60
        await desk.open()
        await desk.clock.advance(2)
        assert desk.plan_state(P1) is PlanState.DROPPED
        assert not desk.broker.orders_by_id
        await desk.plans.submit(sliced(30), sentence="a plan")
        await desk.restart()
        await desk.clock.advance(3)
        assert desk.placed() == 30 * LOT


async def test_a_plan_ends_with_its_day() -> None:
    """The next day nothing of it is sent; it says that its day is over."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(iceberg())
        await desk.clock.advance(2)
        await desk.crash()
        desk.clock.elapsed += 86_400
        await desk.open()
        await desk.clock.advance(10)
        assert desk.plan_state(number) is PlanState.FAILED
        assert "day is over" in desk.note(number)
        assert len(desk.broker.orders_by_id) == 1


async def test_a_lost_writer_decides_nothing_more() -> None:
    """When another engine is the writer this one sends nothing more and takes no plan."""
    async with PlansDesk(LIMITS) as desk:
        await desk.begin(iceberg(4, 2))
        await desk.clock.advance(2)
        desk.store.epochs[ACCOUNT] += 1
        await fill_all(desk)
        assert len(desk.broker.orders_by_id) == 1
        refused = await desk.plans.submit(sliced(), sentence="a plan")
        assert not refused.accepted
        assert "writer" in refused.message


async def test_nothing_is_decided_before_the_book_is_read() -> None:
    """After a restart with the broker out of reach a plan waits until its orders are known to stand as they do."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(iceberg(4, 2))
        await desk.clock.advance(2)
        await desk.crash()
        order_id = next(iter(desk.broker.orders_by_id))
        desk.broker.fill(order_id)
        desk.broker.break_reads(BrokerUnavailable("no connection"))
        await desk.open()
        await desk.clock.advance(10)
        assert len(desk.broker.orders_by_id) == 1
        desk.broker.heal()
        await desk.clock.advance(20)
        assert len(desk.broker.orders_by_id) == 2
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE


async def test_more_plans_than_may_run_are_refused_in_words() -> None:
    """The bound is named; an exit is taken all the same."""
    exits = Faulty(exits=buy(LOT, side=buy().side.opposite))
    async with PlansDesk(LIMITS, others={ExitPlan: exits}, plan_settings=PlanSettings(running_max=2)) as desk:
        await desk.begin(iceberg())
        await desk.begin(iceberg())
        refused = await desk.plans.submit(iceberg(), sentence="a plan")
        assert not refused.accepted
        assert "2 plans are not over" in refused.message
        taken = await desk.plans.submit(ExitPlan(target=ExitTarget(scope=ExitScope.ACCOUNT)), sentence="out")
        assert taken.accepted


async def test_equal_pieces_are_no_duplicates() -> None:
    """With the duplicate check refusing, the equal pieces of one plan are still all sent."""
    strict = ExecutionSettings(checks=CheckLimits(order_value_max=None, duplicate_refuses=True))
    async with PlansDesk(strict) as desk:
        await desk.begin(sliced(81))
        await desk.clock.advance(2)
        assert desk.placed() == 81 * LOT


async def test_a_chase_follows_the_market_at_the_broker() -> None:
    """The resting order's price is changed at the broker when the bid moves; the watched instrument is asked for."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(OrderPlan(request=buy(price="104.95"), manner=Chase(ticks=10)))
        await desk.clock.advance(3)
        assert desk.watched == (option().key,)
        (order,) = desk.broker.orders_by_id.values()
        assert order.price == Decimal("104.95")
        quote = live_quote(option().token)
        moved = msgspec.structs.replace(
            quote,
            bids=(DepthLevel(Decimal("105.15"), 650, 3),),
            asks=(DepthLevel(Decimal("105.25"), 650, 3),),
        )
        desk.facts.quotes[option().key] = moved
        await desk.clock.advance(4)
        assert order.price == Decimal("105.15")
        desk.facts.quotes[option().key] = msgspec.structs.replace(moved, state=QuoteState.STALE)
        await desk.clock.advance(1)
        assert desk.ear.heard("is not moved", Severity.ATTENTION)
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE
        assert not desk.watched


async def test_a_refused_piece_is_seen_by_its_plan() -> None:
    """With the mode at READ the words of the refusal reach a person after a few attempts; armed again it goes on."""
    async with PlansDesk(LIMITS) as desk:
        number = await desk.begin(iceberg(4, 2))
        await desk.clock.advance(2)
        desk.facts.current_mode = Mode.READ
        await fill_all(desk)
        await desk.clock.advance(40)
        assert desk.plan_state(number) is PlanState.PAUSED
        assert "Mode is READ" in desk.note(number)
        assert len(desk.executor.orders()) == 1
        desk.facts.current_mode = Mode.CONFIRM
        await desk.plans.steer(number, PlanTurn.RESUME)
        await desk.clock.advance(5)
        await fill_all(desk)
        assert desk.plan_state(number) is PlanState.DONE


async def test_one_road_for_plain_and_large_orders() -> None:
    """A plain order is one order; above the freeze quantity it is a plan; a key is good for one of the two only."""
    async with PlansDesk(LIMITS) as desk:
        plain = await desk.road.place(PlaceOrder(request=buy(), idempotency_key="a"))
        large = await desk.road.place(PlaceOrder(request=buy(30 * LOT), idempotency_key="b"))
        assert plain.orders
        assert plain.plan is None
        assert large.accepted
        assert large.plan is not None
        assert not large.orders
        again = await desk.road.place(PlaceOrder(request=buy(30 * LOT), idempotency_key="b"))
        assert again.repeated
        assert again.accepted
        assert again.plan == large.plan
        small_after_large = await desk.road.place(PlaceOrder(request=buy(), idempotency_key="b"))
        large_after_small = await desk.road.place(PlaceOrder(request=buy(30 * LOT), idempotency_key="a"))
        assert not small_after_large.accepted
        assert small_after_large.plan == large.plan
        assert not large_after_small.accepted
        assert [order.number for order in large_after_small.orders] == [order.number for order in plain.orders]
        foreign = await desk.road.place(PlaceOrder(request=buy(), idempotency_key="p1/piece0"))
        assert not foreign.accepted
        await desk.clock.advance(2)
        assert desk.placed() == 31 * LOT


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (PlaceOrder(request=buy(30 * LOT, price="0.03")), "tick"),
        (PlaceOrder(request=buy(30 * LOT + 1)), "multiple of the lot"),
        (PlaceOrder(request=buy(4 * LOT), manner=Iceberg(pieces=1)), "at least 2"),
        (PlaceOrder(request=buy(4 * LOT), manner=Iceberg(pieces=9)), "cannot be cut"),
        (PlaceOrder(request=buy(90 * LOT), manner=Iceberg(pieces=2)), "more than 2"),
        (PlaceOrder(request=buy(4 * LOT), manner=Twap(duration_s=0)), "above 0"),
        (PlaceOrder(request=buy(90 * LOT), manner=Twap(duration_s=10)), "longer time"),
        (PlaceOrder(request=buy(30 * LOT), manner=Chase(ticks=3)), "at most"),
        (PlaceOrder(request=buy(LOT), manner=Chase(ticks=0)), "at least one tick"),
        (PlaceOrder(request=buy(4 * LOT), manner=Slice(size=10)), "multiple of the lot"),
    ],
)
async def test_the_whole_order_is_judged_before_a_plan(command: PlaceOrder, words: str) -> None:
    """Every check but the freeze quantity with the whole order, and the manner's own; nothing is sent or journalled."""
    async with PlansDesk(LIMITS) as desk:
        violations, _ = desk.road.check(command)
        receipt = await desk.road.place(command)
        assert not receipt.accepted
        assert words in receipt.message
        assert receipt.violations == violations
        assert not any(violation.check == "freeze" for violation in violations)
        await desk.clock.advance(2)
        assert not desk.store.plans
        assert not desk.broker.orders_by_id
