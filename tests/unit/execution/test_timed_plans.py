"""Plans that wait: fired once, in their window or not at all, on figures of that moment, over restarts too."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import CancelOrders, MakePlan, PlaceOrder
from engine.core.plans import (
    AtTime,
    Comparison,
    Floors,
    JoinedTest,
    Joint,
    PlanNumber,
    PlanState,
    PlanTurn,
    PriceTest,
    Trigger,
    WhenPrice,
)
from engine.core.quotes import DepthLevel
from engine.core.vocabulary import Mode, QuoteState
from tests.kit.fake_broker import LOT, option
from tests.unit.execution.desk import buy, live_quote, sell, settle
from tests.unit.execution.plan_desk import PlansDesk
from tests.unit.execution.test_plan_desk import LIMITS

P1 = PlanNumber(1)
BUYS = "buy 1L nifty 24000 ce w0"


def at(desk: PlansDesk, seconds: float) -> AtTime:
    """A moment of market time."""
    return AtTime(at=desk.clock.market_now() + timedelta(seconds=seconds))


def above(level: str, for_s: float = 0.0) -> WhenPrice:
    """The last price of the test contract above a level."""
    test = PriceTest(instrument=option().key, comparison=Comparison.ABOVE, level=Decimal(level), for_s=for_s)
    return WhenPrice(test=test)


def price(desk: PlansDesk, last: str, state: QuoteState = QuoteState.LIVE) -> None:
    """The last price, and how far it may be trusted."""
    desk.facts.quotes[option().key] = msgspec.structs.replace(live_quote(option().token, state), last=Decimal(last))


async def made(
    desk: PlansDesk, trigger: Trigger, *, window_s: float = 30.0, floors: Floors | None = None
) -> PlanNumber:
    """A plan that buys one lot when it is due."""
    desk.sentences.setdefault(BUYS, PlaceOrder(request=buy()))
    receipt = await desk.road.make(
        MakePlan(trigger=trigger, sentence=BUYS, window_s=window_s, floors=floors or Floors())
    )
    assert receipt.accepted, receipt.message
    assert receipt.plan is not None
    await settle()
    return receipt.plan


async def test_it_fires_at_its_time_and_once() -> None:
    """Nothing before; one order under the plan's key at its moment; then it is done."""
    async with PlansDesk(LIMITS) as desk:
        number = await made(desk, at(desk, 10))
        assert desk.plan_state(number) is PlanState.WAITING
        await desk.clock.advance(9.5)
        assert not desk.executor.orders()
        await desk.clock.advance(2)
        (order,) = desk.executor.orders()
        assert order.idempotency_key == "p1/action"
        assert desk.plan_state(number) is PlanState.DONE
        await desk.clock.advance(60)
        assert len(desk.executor.orders()) == 1


async def test_after_its_window_it_is_dropped() -> None:
    """An engine that slept over the window sends nothing, and says so."""
    async with PlansDesk(LIMITS) as desk:
        number = await made(desk, at(desk, 10))
        await desk.crash()
        desk.clock.elapsed += 60
        await desk.open()
        await desk.clock.advance(2)
        assert desk.plan_state(number) is PlanState.DROPPED
        assert not desk.executor.orders()
        assert desk.ear.heard("p1 DROPPED")


async def test_within_its_window_it_fires_after_a_restart() -> None:
    """A restart costs it nothing as long as the window lasts."""
    async with PlansDesk(LIMITS) as desk:
        number = await made(desk, at(desk, 10))
        await desk.crash()
        desk.clock.elapsed += 20
        await desk.open()
        await desk.clock.advance(2)
        assert desk.plan_state(number) is PlanState.DONE
        assert len(desk.broker.orders_by_id) == 1


@pytest.mark.parametrize("moment", [0.1, 0.6, 1.3])
async def test_killed_while_it_fires_it_makes_one_order(moment: float) -> None:
    """Whenever the engine dies around the firing, the key makes one order at most, and the plan ends."""
    async with PlansDesk(LIMITS) as desk:
        number = await made(desk, at(desk, 0.5))
        await desk.clock.advance(moment)
        await desk.restart()
        await desk.clock.advance(40)
        assert desk.plan_state(number).is_over
        assert len(desk.executor.orders()) == 1
        assert sum(desk.broker.accepted.values()) <= 1


def between(low: str, high: str, *, or_below: str, for_s: float = 0.0) -> WhenPrice:
    """The last price between two levels, for so long, or below a third one."""

    def test(comparison: Comparison, level: str, length_s: float = 0.0) -> PriceTest:
        return PriceTest(instrument=option().key, comparison=comparison, level=Decimal(level), for_s=length_s)

    return WhenPrice(
        test=test(Comparison.ABOVE, low, for_s),
        more=(
            JoinedTest(joint=Joint.AND, test=test(Comparison.BELOW, high)),
            JoinedTest(joint=Joint.OR, test=test(Comparison.BELOW, or_below)),
        ),
    )


@pytest.mark.parametrize(
    ("prices", "fires"),
    [(("104",), False), (("106",), True), (("111",), False), (("99",), True), (("104", "111", "104"), False)],
)
async def test_all_of_one_group_must_hold(prices: tuple[str, ...], fires: bool) -> None:
    """Between 105 and 110, or below 100: one half of the first pair is not enough, the other group alone is."""
    async with PlansDesk(LIMITS) as desk:
        price(desk, "104")
        number = await made(desk, between("105", "110", or_below="100"))
        assert "and" in desk.note(number)
        for last in prices:
            price(desk, last)
            await desk.clock.advance(1)
        assert desk.plan_state(number) is (PlanState.DONE if fires else PlanState.WAITING)
        assert len(desk.executor.orders()) == fires


async def test_each_test_has_its_own_length() -> None:
    """The first has to hold for 5 s without a break; the second only when the first is proved."""
    async with PlansDesk(LIMITS) as desk:
        price(desk, "111")
        number = await made(desk, between("105", "110", or_below="100", for_s=5))
        await desk.clock.advance(6)
        assert desk.plan_state(number) is PlanState.WAITING, "beyond the second level"
        price(desk, "106")
        await desk.clock.advance(1)
        assert desk.plan_state(number) is PlanState.DONE, "the first has held all the while"
    async with PlansDesk(LIMITS) as desk:
        price(desk, "106")
        number = await made(desk, between("105", "110", or_below="100", for_s=5))
        await desk.clock.advance(4)
        price(desk, "104")
        await desk.clock.advance(1)
        price(desk, "106")
        await desk.clock.advance(4)
        assert desk.plan_state(number) is PlanState.WAITING, "it was broken"
        await desk.clock.advance(2)
        assert desk.plan_state(number) is PlanState.DONE


async def test_the_sentence_is_read_at_its_moment() -> None:
    """What it means then counts, not what it meant when it was written."""
    async with PlansDesk(LIMITS) as desk:
        await made(desk, at(desk, 5))
        desk.sentences[BUYS] = PlaceOrder(request=buy(3 * LOT, price="104.95"))
        await desk.clock.advance(7)
        (order,) = desk.executor.orders()
        assert order.request.quantity == 3 * LOT


async def test_a_large_order_of_a_plan_is_a_plan() -> None:
    """Above the freeze quantity its order is worked by another plan, made under the first one's key."""
    async with PlansDesk(LIMITS) as desk:
        desk.sentences[BUYS] = PlaceOrder(request=buy(30 * LOT))
        first = await made(desk, at(desk, 5))
        await desk.clock.advance(9)
        assert desk.plan_state(first) is PlanState.DONE
        second = desk.view(PlanNumber(2)).record
        assert second.idempotency_key == "p1/action"
        assert second.by == "plan p1"
        assert desk.placed() == 30 * LOT


@pytest.mark.parametrize(
    ("floors", "words"),
    [
        (Floors(spread_percent_max=Decimal("0.05")), "spread"),
        (Floors(credit_min=Decimal(1_000_000)), "credit"),
    ],
)
async def test_an_unmet_floor_drops_it_at_the_end_of_the_window(floors: Floors, words: str) -> None:
    """Nothing is sent, and the words name the figure and the floor."""
    async with PlansDesk(LIMITS) as desk:
        desk.sentences[BUYS] = PlaceOrder(request=sell())
        number = await made(desk, at(desk, 5), window_s=10, floors=floors)
        await desk.clock.advance(20)
        assert desk.plan_state(number) is PlanState.DROPPED
        assert words in desk.note(number)
        assert not desk.executor.orders()


async def test_a_floor_that_is_met_within_the_window_lets_it_go() -> None:
    """The spread was too wide at first and narrow five seconds later."""
    async with PlansDesk(LIMITS) as desk:
        wide = msgspec.structs.replace(live_quote(option().token), bids=(DepthLevel(Decimal(90), 650, 1),))
        desk.facts.quotes[option().key] = wide
        number = await made(desk, at(desk, 5), floors=Floors(spread_percent_max=Decimal(1)))
        await desk.clock.advance(10)
        assert not desk.executor.orders()
        desk.facts.quotes.clear()
        await desk.clock.advance(2)
        assert desk.plan_state(number) is PlanState.DONE


@pytest.mark.parametrize("state", [QuoteState.STALE, QuoteState.FROZEN, QuoteState.ONE_SIDED, QuoteState.CLOSED])
async def test_it_fires_on_live_quotes_alone(state: QuoteState) -> None:
    """Any other quote is waited for, then the plan is dropped."""
    async with PlansDesk(LIMITS) as desk:
        price(desk, "105", state)
        number = await made(desk, at(desk, 5), window_s=10)
        await desk.clock.advance(20)
        assert desk.plan_state(number) is PlanState.DROPPED
        assert "not LIVE" in desk.note(number)


async def test_a_refusal_is_tried_again_in_the_window() -> None:
    """Mode READ refuses it; armed within the window it goes, and it has gone once."""
    async with PlansDesk(LIMITS) as desk:
        desk.facts.current_mode = Mode.READ
        number = await made(desk, at(desk, 5))
        await desk.clock.advance(10)
        assert not desk.executor.orders()
        desk.facts.current_mode = Mode.CONFIRM
        await desk.clock.advance(2)
        assert desk.plan_state(number) is PlanState.DONE
        assert len(desk.executor.orders()) == 1


async def test_a_sentence_that_means_nothing_any_more_is_dropped_with_its_error() -> None:
    """The error of the language stands in the end's words."""
    async with PlansDesk(LIMITS) as desk:
        desk.sentences[BUYS] = "w0 has no strike 24,000"
        number = await made(desk, at(desk, 1), window_s=5)
        await desk.clock.advance(10)
        assert desk.plan_state(number) is PlanState.DROPPED
        assert "has no strike" in desk.note(number)


async def test_a_cancelled_plan_does_not_fire() -> None:
    """Not even when the cancellation comes while its sentence is being read."""
    async with PlansDesk(LIMITS) as desk:
        early = await made(desk, at(desk, 5))
        await desk.plans.cancel(early)
        await desk.clock.advance(10)
        assert desk.plan_state(early) is PlanState.CANCELLED

        async def slow() -> None:
            await desk.clock.sleep(3)

        desk.interpreting = slow
        late = await made(desk, at(desk, 1))
        await desk.clock.advance(2)
        cancelling = desk.plans.cancel(late)
        await desk.clock.advance(0)
        task = asyncio.ensure_future(cancelling)
        await desk.clock.advance(6)
        assert (await task).accepted
        assert desk.plan_state(late) is PlanState.CANCELLED
        assert not desk.executor.orders()


async def test_a_reading_that_outlasts_the_window_sends_nothing() -> None:
    """The window is asked once more directly before the order."""
    async with PlansDesk(LIMITS) as desk:

        async def slow() -> None:
            await desk.clock.sleep(8)

        desk.interpreting = slow
        number = await made(desk, at(desk, 1), window_s=5)
        await desk.clock.advance(20)
        assert desk.plan_state(number) is PlanState.DROPPED
        assert not desk.executor.orders()


async def test_a_price_fires_it() -> None:
    """Watched while it waits; at the level nothing, above it the order."""
    async with PlansDesk(LIMITS) as desk:
        price(desk, "110")
        number = await made(desk, above("110"))
        assert desk.watched == (option().key,)
        await desk.clock.advance(5)
        assert desk.plan_state(number) is PlanState.WAITING
        price(desk, "110.05")
        await desk.clock.advance(1)
        assert desk.plan_state(number) is PlanState.DONE


@pytest.mark.parametrize("breaker", [("109", QuoteState.LIVE), ("111", QuoteState.STALE)])
async def test_a_condition_has_to_hold_without_a_break(breaker: tuple[str, QuoteState]) -> None:
    """A moment below, or a moment without a LIVE quote, begins the count anew."""
    async with PlansDesk(LIMITS) as desk:
        price(desk, "111")
        number = await made(desk, above("110", for_s=10))
        await desk.clock.advance(8)
        price(desk, *breaker)
        await desk.clock.advance(1)
        price(desk, "111")
        await desk.clock.advance(8)
        assert desk.plan_state(number) is PlanState.WAITING
        await desk.clock.advance(4)
        assert desk.plan_state(number) is PlanState.DONE


async def test_a_condition_does_not_count_what_it_has_not_seen() -> None:
    """After a restart the time of holding begins anew: nobody watched."""
    async with PlansDesk(LIMITS) as desk:
        price(desk, "111")
        number = await made(desk, above("110", for_s=10))
        await desk.clock.advance(8)
        await desk.restart()
        await desk.clock.advance(5)
        assert desk.plan_state(number) is PlanState.WAITING
        await desk.clock.advance(8)
        assert desk.plan_state(number) is PlanState.DONE


async def test_a_condition_ends_with_its_day() -> None:
    """The next day it does not fire, whatever the price."""
    async with PlansDesk(LIMITS) as desk:
        number = await made(desk, above("110"))
        await desk.crash()
        desk.clock.elapsed += 86_400
        price(desk, "120")
        await desk.open()
        await desk.clock.advance(5)
        assert desk.plan_state(number) is PlanState.DROPPED
        assert not desk.executor.orders()


async def test_paused_it_does_not_fire() -> None:
    """Resumed after its window it is dropped; a plan that was resumed in time goes."""
    async with PlansDesk(LIMITS) as desk:
        number = await made(desk, at(desk, 5), window_s=10)
        await desk.plans.steer(number, PlanTurn.PAUSE)
        await desk.clock.advance(8)
        assert not desk.executor.orders()
        await desk.plans.steer(number, PlanTurn.RESUME)
        await desk.clock.advance(2)
        assert desk.plan_state(number) is PlanState.DONE


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (MakePlan(trigger=above("110"), sentence=" "), "needs a sentence"),
        (MakePlan(trigger=above("0"), sentence=BUYS), "level"),
        (MakePlan(trigger=above("110"), sentence=BUYS, window_s=0), "window"),
        (
            MakePlan(trigger=above("110"), sentence=BUYS, floors=Floors(spread_percent_max=Decimal(0))),
            "spread",
        ),
    ],
)
async def test_what_cannot_be_waited_for_is_refused(command: MakePlan, words: str) -> None:
    """Before anything is journalled, with the bound in words."""
    async with PlansDesk(LIMITS) as desk:
        receipt = await desk.road.make(command)
        assert not receipt.accepted
        assert words in receipt.message
        assert not desk.store.plans


async def test_a_time_that_is_over_or_tomorrow_is_refused() -> None:
    """A plan lasts one day."""
    async with PlansDesk(LIMITS) as desk:
        for seconds, words in ((-60.0, "is over"), (90_000.0, "one day")):
            receipt = await desk.road.make(MakePlan(trigger=at(desk, seconds), sentence=BUYS))
            assert not receipt.accepted
            assert words in receipt.message


async def test_what_carries_no_key_is_done_at_most_once() -> None:
    """A cancellation killed in the middle is not repeated by a new engine: a person is told to look."""
    async with PlansDesk(LIMITS) as desk:
        desk.sentences["cancel all"] = CancelOrders(everything=True)
        receipt = await desk.road.make(MakePlan(trigger=at(desk, 5), sentence="cancel all"))
        assert receipt.plan == P1
        await desk.clock.advance(3)
        record = desk.store.plans[P1]
        begun = msgspec.structs.replace(record.progress, step=2, facts={"due": desk.clock.market_now().isoformat()})
        await desk.crash()
        desk.store.plans[P1] = msgspec.structs.replace(record, progress=begun, state=PlanState.RUNNING)
        await desk.open()
        await desk.clock.advance(5)
        assert desk.plan_state(P1) is PlanState.FAILED
        assert "look at the orders" in desk.note(P1)
        assert not desk.acted
