"""Whatever becomes of the pieces, a plan never sends more than was asked, and it never gets stuck in silence."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.decisions import LetterState
from engine.core.orders import OrderRequest, OrderState
from engine.core.plans import Chase, Iceberg, Manner, PlanState, Slice, Twap
from engine.core.vocabulary import QuoteState, Side, Validity
from tests.kit.fake_broker import LOT
from tests.unit.execution.plan_world import PlanWorld, request

manners = st.one_of(
    st.builds(Slice, size=st.one_of(st.none(), st.integers(1, 27).map(lambda lots: lots * LOT))),
    st.builds(Iceberg, pieces=st.integers(2, 9)),
    st.builds(Twap, duration_s=st.floats(1, 300), pieces=st.one_of(st.none(), st.integers(1, 9))),
    st.builds(Chase, ticks=st.integers(1, 5)),
)
EVENTS = (
    "fill", "fill some", "reject", "cancel by hand", "answer", "refuse answer", "lose", "absent", "absent but there",
    "late", "unsent", "unsent, letter closed", "withdrawn", "replayed", "wait", "wait long", "quote up", "quote down",
    "stale", "live", "refuse", "take", "resume", "restart", "hurry", "patient",
)  # fmt: skip
events = st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 50)), min_size=3, max_size=60)
orders = st.builds(
    request, st.integers(1, 80), side=st.sampled_from(Side), validity=st.sampled_from([Validity.DAY, Validity.IOC])
)


def happen(world: PlanWorld, event: str, pick: int) -> None:
    """One thing that can happen out there."""
    keys = list(world.orders)
    key = keys[pick % len(keys)] if keys else ""
    working = bool(key) and world.orders[key].state.is_working
    match event:
        case "fill" if working and world.orders[key].state is not OrderState.UNKNOWN:
            world.fill(key)
        case "fill some" if working:
            world.fill(key, (pick % 3 + 1) * LOT)
        case "reject" if working:
            world.end(key, OrderState.REJECTED)
        case "cancel by hand" if working:
            world.end(key, OrderState.CANCELLED)
        case "answer" if key:
            world.answer(key)
        case "refuse answer" if key:
            world.answer(key, yes=False)
        case "lose":
            world.lose = not world.lose
        case "absent" if key:
            world.lose_for_good(key, arrived=False)
        case "absent but there" if key:
            world.lose_for_good(key, arrived=True)
        case "late" if key and world.orders[key].state is OrderState.PRESUMED_ABSENT:
            world.answer(key)
        case "unsent" if key:
            world.never_sent(key, letter=LetterState.OPEN)
        case "withdrawn" if key:
            world.never_sent(key, letter=LetterState.NONE)
        case "replayed" if key and world.orders[key].letter is LetterState.OPEN:
            # A person sends it again: as many units are out under a key that is not the plan's.
            world.set(key, letter=LetterState.REPLAYED)
            world.truth[key].exists = True
        case "unsent, letter closed" if key and world.orders[key].letter is LetterState.OPEN:
            world.set(key, letter=LetterState.CLOSED)
        case "wait":
            world.wait(1.5)
        case "wait long":
            world.wait(40)
        case "quote up" | "quote down":
            step = Decimal("0.15") if event == "quote up" else Decimal("-0.15")
            world.bid, world.ask = world.bid + step, world.ask + step
        case "stale" | "live":
            world.state = QuoteState.STALE if event == "stale" else QuoteState.LIVE
        case "refuse" | "take":
            world.refuse = "no" if event == "refuse" else ""
        case "resume":
            world.resume()
        case "restart":
            world.restart()
        case "hurry" | "patient":
            world.turns.append(event)
        case _:
            pass


@settings(max_examples=1200, deadline=None)
@given(manner=manners, asked=orders, lost=st.booleans(), happens=events)
def test_never_more_than_asked(manner: Manner, asked: OrderRequest, lost: bool, happens: list[tuple[str, int]]) -> None:
    """Fills, losses, refusals, restarts, hands on the phone, in any order: the worst case stays within the order."""
    if isinstance(manner, Chase):
        asked = request(min(27, asked.quantity // LOT), side=asked.side)
    world = PlanWorld(manner, asked)
    world.lose = lost
    for event, pick in happens:
        if not world.record.state.is_over:
            world.look()
        assert world.at_most <= asked.quantity
        happen(world, event, pick)
        assert world.at_most <= asked.quantity
    world.run()
    assert world.at_most <= asked.quantity
    if world.record.state is PlanState.DONE and asked.validity is not Validity.IOC:
        assert sum(order.filled_quantity for order in world.orders.values()) >= asked.quantity


@settings(max_examples=60, deadline=None)
@given(manner=manners, lots=st.integers(1, 80), restarts=st.sets(st.integers(0, 40)), waits=st.floats(2, 30))
def test_a_patient_market_fills_exactly_what_was_asked(
    manner: Manner, lots: int, restarts: set[int], waits: float
) -> None:
    """When everything fills sooner or later and a person says resume where asked, the end is the very quantity."""
    lots = min(lots, 27) if isinstance(manner, Chase) else lots
    world = PlanWorld(manner, request(lots))
    for step in range(400):
        if world.record.state.is_over:
            break
        world.look()
        if step in restarts:
            world.restart()
        for key in world.open_keys:
            world.fill(key)
        world.resume()
        world.wait(waits)
    assert world.record.state is PlanState.DONE
    assert world.filled == world.asked.quantity


@settings(max_examples=60, deadline=None)
@given(manner=manners, happens=events)
def test_a_cancelled_plan_ends_and_nothing_rests(manner: Manner, happens: list[tuple[str, int]]) -> None:
    """From wherever it is: nothing new is placed after the cancellation, and it ends once all is answered."""
    world = PlanWorld(manner, request(20))
    for event, pick in happens:
        if not world.record.state.is_over:
            world.look()
        happen(world, event, pick)
    world.cancel()
    made = len(world.orders)
    for _ in range(10):
        if world.record.state.is_over:
            break
        world.look()
        for key in world.open_keys:
            if world.orders[key].state is OrderState.UNKNOWN:
                world.answer(key)
            world.answer(key)
    assert world.record.state.is_over
    assert not world.open_keys
    assert len(world.orders) == made
