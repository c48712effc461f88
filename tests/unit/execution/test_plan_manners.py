"""How one large order is worked: in pieces at once, one after the other, by the clock, and following the touch."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.decisions import LetterState
from engine.core.orders import OrderState
from engine.core.plans import Chase, Iceberg, Manner, PlanState, PlanTurn, Slice, Twap
from engine.core.vocabulary import QuoteState, Side, Validity
from engine.execution.intake import TOO_LATE
from engine.execution.plans.algorithm import Change, Withdraw
from engine.execution.plans.chase import CHANGES_MAX
from engine.execution.plans.pieces import TRIES_MAX
from engine.execution.plans.slicing import QUEUED_MAX
from tests.unit.execution.plan_world import FREEZE, TICK, PlanWorld, request


def all_filled(world: PlanWorld) -> None:
    """Everything that rests fills."""
    for key in world.open_keys:
        world.fill(key)


# ---- pieces at once


def test_an_order_above_the_freeze_quantity_goes_at_once_in_whole_lots() -> None:
    """82 lots with 27 in the largest order: 27 + 27 + 27 + 1, all of them before anything fills."""
    world = PlanWorld(Slice(), request(82))
    world.look()
    assert world.sizes == [27, 27, 27, 1]
    assert sum(order.request.quantity for order in world.orders.values()) == 82 * 65
    all_filled(world)
    world.look()
    assert world.is_at(PlanState.DONE)


def test_a_wished_piece_is_never_above_the_freeze_quantity() -> None:
    """Ten lots as asked; 60 lots as asked are cut to what the exchange takes."""
    small, large = PlanWorld(Slice(size=650), request(25)), PlanWorld(Slice(size=60 * 65), request(60))
    small.look()
    large.look()
    assert small.sizes == [10, 10, 5]
    assert large.sizes == [27, 27, 6]


def test_many_pieces_wait_for_a_place_in_the_queue() -> None:
    """No more than a queue's share at one time; the rest follows as they leave."""
    world = PlanWorld(Slice(size=65), request(50))
    world.look()
    assert len(world.orders) == QUEUED_MAX
    for key in world.orders:
        world.set(key, state=OrderState.QUEUED)
    world.look()
    assert len(world.orders) == QUEUED_MAX
    for key in list(world.orders)[:5]:
        world.set(key, state=OrderState.OPEN)
    world.look()
    assert len(world.orders) == QUEUED_MAX + 5


def test_immediate_or_cancel_is_not_sent_again() -> None:
    """What was not taken at once is over by the order's own wish; the plan is done and says how much it got."""
    world = PlanWorld(Slice(), request(54, validity=Validity.IOC))
    world.look()
    first, second = world.orders
    world.fill(first)
    world.end(second, OrderState.CANCELLED)
    world.look()
    assert world.is_at(PlanState.DONE)
    assert "1,755 of 3,510" in world.note
    assert len(world.orders) == 2


# ---- what needs a person


@pytest.mark.parametrize("manner", [Slice(), Iceberg(pieces=3), Twap(duration_s=60, pieces=3)], ids=str)
@pytest.mark.parametrize("state", [OrderState.REJECTED, OrderState.CANCELLED])
def test_a_piece_that_is_refused_or_taken_back_pauses_the_plan(manner: Manner, state: OrderState) -> None:
    """The words name the order and what is left; nothing is sent until a person resumes, then exactly the rest."""
    world = PlanWorld(manner, request(60))
    world.look()
    first = next(iter(world.orders))
    if state is OrderState.CANCELLED:
        world.fill(first, 65)
    world.end(first, state)
    world.look()
    made = len(world.orders)
    assert world.is_at(PlanState.PAUSED)
    assert f"o1 is {state.casefold()}" in world.note
    world.look()
    assert len(world.orders) == made
    for _ in range(40):
        world.resume()
        world.look()
        all_filled(world)
        world.wait(10)
    assert world.is_at(PlanState.DONE)
    assert world.filled == world.asked.quantity


@pytest.mark.parametrize("manner", [Slice(), Iceberg(pieces=3), Twap(duration_s=60, pieces=3)], ids=str)
def test_what_is_not_known_is_never_sent_again(manner: Manner) -> None:
    """An order that vanished keeps its quantity for good: found late, it fills within what was asked."""
    world = PlanWorld(manner, request(60))
    world.lose = True
    world.look()
    world.lose = False
    lost = next(iter(world.orders))
    for _ in range(4):
        world.look()
        world.wait(10)
    world.lose_for_good(lost, arrived=True)
    world.look()
    assert world.is_at(PlanState.PAUSED)
    assert "may still turn up" in world.note
    for _ in range(30):
        world.resume()
        world.look()
        for key in world.open_keys:
            world.answer(key)
            world.fill(key)
        world.wait(10)
    assert world.is_at(PlanState.FAILED)
    assert "o1" in world.note
    world.answer(lost)
    world.fill(lost)
    assert world.filled == world.asked.quantity


def test_an_unsent_piece_is_sent_again_once_nobody_else_may() -> None:
    """While it is an open letter a person could replay it: the plan waits until the letter is its own."""
    world = PlanWorld(Iceberg(pieces=2), request(20))
    world.look()
    world.never_sent("piece0", letter=LetterState.OPEN)
    world.look()
    assert world.sizes == [10, 10]
    world.look()
    assert world.sizes == [10, 10]
    world.set("piece0", letter=LetterState.CLOSED)
    world.fill("piece1")
    world.look()
    assert world.sizes == [10, 10, 10]
    assert world.at_most == world.asked.quantity


def test_a_piece_that_a_person_replayed_counts_as_sent() -> None:
    """The person's order is outside the plan: the plan neither sends it again nor claims that it was filled."""
    world = PlanWorld(Iceberg(pieces=2), request(20))
    world.look()
    world.never_sent("piece0", letter=LetterState.OPEN)
    world.set("piece0", letter=LetterState.REPLAYED)
    world.run()
    all_filled(world)
    world.run()
    assert world.sizes == [10, 10]
    assert world.is_at(PlanState.FAILED)
    assert "o1 is sent again by a person" in world.note


def test_what_the_engine_itself_closed_is_no_question() -> None:
    """An intent that the database took too late was wished away by nobody: the plan goes on; a withdrawn one asks."""
    world = PlanWorld(Iceberg(pieces=2), request(20))
    world.look()
    world.never_sent("piece0", letter=LetterState.NONE)
    world.set("piece0", message=f"Not sent: {TOO_LATE}.")
    world.look()
    assert world.is_at(PlanState.RUNNING)
    assert world.sizes == [10, 10]
    world.never_sent("piece1", letter=LetterState.NONE)
    world.set("piece1", message="Not sent: withdrawn before it was sent.")
    world.look()
    assert world.is_at(PlanState.PAUSED)


def test_refusals_are_repeated_a_few_times_then_a_person_is_asked() -> None:
    """With a growing pause between them, with the words of the refusal, and again after resume."""
    world = PlanWorld(Iceberg(pieces=2), request(20))
    world.refuse = "Mode is READ."
    for _ in range(600):
        world.look()
        world.wait(0.2)
        if world.record.state is PlanState.PAUSED:
            break
    asked = [move for move in world.moves if move.words]
    assert world.is_at(PlanState.PAUSED)
    assert "Mode is READ." in world.note
    assert len(asked) == TRIES_MAX
    world.refuse = ""
    world.resume()
    for _ in range(20):
        world.look()
        world.wait(0.5)
    assert world.orders


# ---- one after the other


def test_the_next_piece_waits_for_the_one_before() -> None:
    """31 lots in five: 7 + 7 + 7 + 7 + 3, never two at one time, and a part of a fill is no fill."""
    world = PlanWorld(Iceberg(pieces=5), request(31))
    for _ in range(5):
        world.look()
        key = list(world.orders)[-1]
        assert world.open_keys == [key]
        world.fill(key, 65)
        world.look()
        assert world.open_keys in ([key], [])
        world.fill(key)
    world.look()
    assert world.sizes == [7, 7, 7, 7, 3]
    assert world.is_at(PlanState.DONE)


# ---- by the clock


def test_equal_pieces_at_equal_distances() -> None:
    """Ten lots in four slots of ten seconds: one order a slot, at its moment and not before."""
    world = PlanWorld(Twap(duration_s=40, pieces=4), request(10))
    for slot in range(4):
        world.look()
        assert len(world.orders) == slot + 1
        world.wait(9.9)
        world.look()
        assert len(world.orders) == slot + 1
        world.wait(0.1)
    assert sum(world.sizes) == 10
    assert max(world.sizes) - min(world.sizes) <= 1


def test_a_pause_is_spread_and_never_a_burst() -> None:
    """An engine that was dead over two slots sends one piece, larger by its share, and ends with the exact sum."""
    world = PlanWorld(Twap(duration_s=60, pieces=6), request(12))
    world.look()
    world.restart()
    world.wait(35)
    world.look()
    assert world.sizes == [2, 3]
    for _ in range(10):
        world.wait(5)
        world.look()
    assert sum(world.sizes) == 12
    assert max(world.sizes) <= 4


def test_after_the_time_a_person_is_asked() -> None:
    """Nothing is sent late by itself; resumed, the rest goes at the pace it had."""
    world = PlanWorld(Twap(duration_s=60, pieces=6), request(12))
    world.look()
    world.wait(600)
    world.look()
    assert world.sizes == [2]
    assert world.is_at(PlanState.PAUSED)
    assert "The time is over" in world.note
    world.resume()
    world.look()
    world.look()
    assert world.sizes == [2, 2]
    world.wait(10)
    world.look()
    assert world.sizes == [2, 2, 2]


def test_a_closed_session_gets_no_piece() -> None:
    """What is missed while the exchange is closed is spread over the slots that are left."""
    world = PlanWorld(Twap(duration_s=40, pieces=4), request(8))
    world.is_open = False
    world.look()
    world.wait(20)
    world.is_open = True
    world.look()
    assert world.sizes == [4]


def test_hurry_brings_the_next_slot_and_patience_moves_all() -> None:
    """A turn moves the schedule by one slot; the sum stays."""
    world = PlanWorld(Twap(duration_s=40, pieces=4), request(8))
    world.look()
    world.turns.append(PlanTurn.HURRY)
    world.look()
    assert len(world.orders) == 2
    world.turns.append(PlanTurn.PATIENT)
    world.look()
    world.wait(15)
    world.look()
    assert len(world.orders) == 2
    world.wait(5)
    world.look()
    assert len(world.orders) == 3


# ---- following the touch


def chasing(side: Side = Side.BUY, *, price: str = "99.90", ticks: int = 4) -> PlanWorld:
    """A chase that rests, with its first look done."""
    world = PlanWorld(Chase(ticks=ticks), request(10, side=side, price=price))
    world.look()
    return world


def moved(world: PlanWorld, by: str) -> None:
    """The market moves, time goes on, and the plan looks."""
    world.bid, world.ask = world.bid + Decimal(by), world.ask + Decimal(by)
    world.wait(1.0)
    world.look()


@pytest.mark.parametrize(("side", "price", "sign"), [(Side.BUY, "99.90", 1), (Side.SELL, "100.10", -1)])
def test_it_follows_its_own_side_of_the_book(side: Side, price: str, sign: int) -> None:
    """A buy follows the bid up and a sell the ask down, tick by tick, and never beyond the room it was given."""
    world = chasing(side, price=price)
    moved(world, str(sign * 2 * TICK))
    world.answer("rest0")
    assert world.orders["rest0"].request.price == Decimal(price) + sign * 2 * TICK
    moved(world, str(sign * 50 * TICK))
    world.answer("rest0")
    assert world.orders["rest0"].request.price == Decimal(price) + sign * 4 * TICK
    moved(world, str(sign * TICK))
    assert world.orders["rest0"].state is OrderState.OPEN


def test_it_does_not_follow_itself() -> None:
    """An order that improves the touch becomes the touch: it stays where it is."""
    world = PlanWorld(Chase(ticks=20), request(10, price="99.95"))
    world.look()
    world.bid = Decimal("99.95")
    for _ in range(5):
        world.wait(2)
        world.look()
    assert not [move for move in world.moves if isinstance(move, Change)]


def test_it_changes_at_most_once_in_its_time() -> None:
    """Several moves within one second are one change."""
    world = chasing(ticks=10)
    world.bid += TICK
    world.look()
    assert world.orders["rest0"].state is OrderState.OPEN
    world.wait(1)
    world.look()
    world.answer("rest0")
    world.bid += TICK
    world.wait(0.5)
    world.look()
    assert len([move for move in world.moves if isinstance(move, Change)]) == 1


def test_a_stale_quote_moves_nothing_and_is_said() -> None:
    """Neither stale, nor one-sided, nor frozen; it says so once, and goes on when the quote lives."""
    world = chasing()
    for state in (QuoteState.STALE, QuoteState.FROZEN, QuoteState.CROSSED):
        world.state = state
        moved(world, "0.05")
        assert f"is {state}" in world.note
        assert "not moved" in world.alarms[-1]
    assert not [move for move in world.moves if isinstance(move, Change)]
    world.state = QuoteState.LIVE
    moved(world, "0.05")
    assert [move for move in world.moves if isinstance(move, Change)]


def test_nothing_is_placed_on_a_quote_that_is_not_live() -> None:
    """The first order waits for a LIVE quote too."""
    world = PlanWorld(Chase(ticks=3), request(10))
    world.state = QuoteState.STALE
    world.look()
    assert not world.orders
    assert "nothing is sent" in world.note


def test_an_unknown_change_is_waited_for() -> None:
    """While a modification is out, nothing else is asked of the order."""
    world = chasing(ticks=20)
    moved(world, "0.05")
    assert world.orders["rest0"].state is OrderState.MODIFYING
    for _ in range(5):
        moved(world, "0.05")
    assert len(world.moves) == 2
    world.answer("rest0", yes=False)
    moved(world, "0.05")
    assert len(world.moves) == 3


def test_after_the_last_change_it_is_cancelled_and_placed_anew() -> None:
    """The new order is for what is left and comes only when the cancellation is confirmed: it may still fill."""
    world = chasing(ticks=200)
    for _ in range(CHANGES_MAX):
        moved(world, "0.05")
        world.answer("rest0")
    assert world.orders["rest0"].modifications == CHANGES_MAX
    moved(world, "0.05")
    assert isinstance(world.moves[-1], Withdraw)
    moved(world, "0.05")
    assert list(world.orders) == ["rest0"]
    world.fill("rest0", 4 * 65)
    world.answer("rest0")
    moved(world, "0.05")
    assert world.sizes == [10, 6]
    assert world.at_most == 10 * 65
    world.fill("rest1")
    world.look()
    assert world.is_at(PlanState.DONE)


def test_refused_changes_count_too() -> None:
    """A broker that takes no change is not asked for ever."""
    world = chasing(ticks=200)
    for _ in range(CHANGES_MAX + 3):
        moved(world, "0.05")
        if world.orders["rest0"].state is OrderState.MODIFYING:
            world.answer("rest0", yes=False)
    assert len([move for move in world.moves if isinstance(move, Change)]) == CHANGES_MAX
    assert world.orders["rest0"].state is OrderState.CANCELLING


def test_cancelled_on_the_phone_it_asks() -> None:
    """What the plan did not cancel itself is a person's wish."""
    world = chasing()
    world.end("rest0", OrderState.CANCELLED)
    world.look()
    assert world.is_at(PlanState.PAUSED)
    assert list(world.orders) == ["rest0"]


# ---- cancelling


@pytest.mark.parametrize("manner", [Slice(), Iceberg(pieces=3), Twap(duration_s=60, pieces=3), Chase(ticks=3)], ids=str)
def test_a_cancelled_plan_takes_back_what_rests(manner: Manner) -> None:
    """It ends when the broker has confirmed, and says what was filled."""
    world = PlanWorld(manner, request(20, price="99.90"))
    world.look()
    first = next(iter(world.orders))
    world.fill(first, 130)
    world.cancel()
    world.look()
    assert world.orders[first].state is OrderState.CANCELLING
    world.look()
    assert not world.record.state.is_over
    for key in world.open_keys:
        world.answer(key)
    world.look()
    assert world.is_at(PlanState.CANCELLED)
    assert "130 of 1,300" in world.note


def test_steps_show_every_piece_and_what_waits() -> None:
    """Filled, working and waiting quantities add up to the order."""
    world = PlanWorld(Iceberg(pieces=4), request(20))
    world.look()
    world.fill("piece0")
    world.look()
    steps = world.algorithm.steps(world.picture())
    assert [step.state for step in steps] == ["COMPLETE", "WORKS", "WAITS"]
    assert sum(step.quantity for step in steps) == world.asked.quantity
    assert world.freeze == FREEZE
