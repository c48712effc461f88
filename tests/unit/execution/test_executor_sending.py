"""The executor's way out: what an open breaker holds, what exits do, budgets over restarts, ETAs and measured times."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.commands import ModifyOrder, OrderChange, PlaceOrder
from engine.core.decisions import PERSON, QuoteSeen, Reason
from engine.core.errors import BrokerUnavailable
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import OrderType, QuoteState, Severity
from engine.execution.intake import lane_of
from engine.execution.lanes import Lane
from engine.execution.settings import BudgetLimits, ExecutionSettings
from engine.execution.why import explain
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import ACCOUNT, Desk, buy, sell, settle

HELD = {option().key: -650}
"""Short ten lots: buying back reduces."""


async def open_breaker(desk: Desk) -> None:
    """Three entries meet no connection."""
    desk.broker.arm(Call.PLACE, *[Fault.UNAVAILABLE] * 3)
    for _ in range(3):
        await desk.place()
    await settle()


def breaker(desk: Desk) -> str:
    """State of the order endpoints' breaker."""
    return next(view.state for view in desk.executor.health().breakers if view.endpoint == "orders")


async def test_an_open_breaker_refuses_entries_at_once_and_says_when_it_tries_again() -> None:
    """Nothing is journalled; afterwards one order is the try, and closes it."""
    async with Desk() as desk:
        await open_breaker(desk)
        assert breaker(desk) == "open"
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["breaker"]
        assert "tried again in 2.0 s" in refused.message
        assert any("could not be reached 3 times" in words for words in desk.executor.snapshot().degraded)
        assert len(desk.store.orders) == 3
        await desk.clock.advance(2.1)
        assert breaker(desk) == "half-open"
        assert (await desk.place()).accepted
        await desk.clock.advance(1)
        assert breaker(desk) == "closed"
        assert desk.ear.heard("The broker's orders can be reached again", Severity.INFO)
        assert desk.state(4) is OrderState.OPEN


async def test_half_open_tries_one_entry_and_holds_the_others() -> None:
    """While the answer of the first is awaited the second waits; exits and cancels do not."""
    async with Desk() as desk:
        resting = await desk.resting()
        await open_breaker(desk)
        await desk.clock.advance(2.1)
        desk.broker.close_gate(Call.PLACE)
        for _ in range(2):
            await desk.place(buy(price="104"))
        await desk.clock.advance(0.2)
        assert desk.broker.waiting_at(Call.PLACE) == 1
        await desk.cancel(resting)
        assert (Call.CANCEL, desk.order(resting).broker_order_id) in desk.broker.sequence
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(3)
        assert [desk.state(number) for number in (5, 6)] == [OrderState.OPEN] * 2


async def test_refusals_never_open_it() -> None:
    """Rejections, speed and an ended session are answers."""
    async with Desk() as desk:
        for fault in (Fault.REFUSE, Fault.TOO_FAST, Fault.NO_SESSION):
            desk.broker.arm(Call.PLACE, *[fault] * 5)
            await desk.place()
            await desk.clock.advance(20)
            desk.broker.heal()
        assert breaker(desk) == "closed"
        assert all(view.opened == 0 for view in desk.executor.health().breakers)


async def test_an_exit_is_taken_while_it_is_open_and_tried_again_until_it_goes() -> None:
    """It waits a second for its next try, and its minute for the broker; nothing is doubled."""
    async with Desk() as desk:
        await open_breaker(desk)
        desk.facts.held = dict(HELD)
        desk.broker.arm(Call.PLACE, *[Fault.UNAVAILABLE] * 4)
        receipt = await desk.place(buy())
        assert receipt.accepted
        assert desk.state(4) is OrderState.QUEUED
        await desk.clock.advance(3.5)
        assert desk.state(4) is OrderState.SENDING
        await desk.clock.advance(4)
        assert desk.state(4) is OrderState.OPEN
        assert sum(desk.broker.posts.values()) == 1
        tries = [event for event in desk.history(4) if event.trigger is OrderTrigger.HELD_BACK]
        assert [event.facts.attempt for event in tries] == [1, 2, 3, 4]
        assert desk.executor.snapshot().budget.day_used == 1  # what never arrived does not count


async def test_an_exit_that_never_arrives_is_given_up_after_its_time() -> None:
    """Told as danger, and a dead letter."""
    async with Desk(ExecutionSettings(urgent_retry_s=5.0)) as desk:
        desk.facts.held = dict(HELD)
        desk.broker.arm(Call.PLACE, *[Fault.UNAVAILABLE] * 50)
        await desk.place(buy())
        await desk.clock.advance(8)
        assert desk.state(1) is OrderState.NOT_SENT
        assert desk.ear.heard("o1 was not sent: no connection could be made", Severity.DANGER)
        assert desk.executor.health().dead_letters == 1


async def test_a_cancellation_that_did_not_arrive_is_tried_again() -> None:
    """The order goes without anybody asking twice."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.CANCEL, Fault.UNAVAILABLE, Fault.UNAVAILABLE)
        await desk.cancel(number)
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.CANCELLED


async def test_a_book_that_cannot_be_read_opens_its_own_breaker_only() -> None:
    """Orders are still taken; an answer closes it."""
    async with Desk() as desk:
        await desk.resting()
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.ORDERS)
        await desk.clock.advance(20)
        states = {view.endpoint: view.state for view in desk.executor.health().breakers}
        assert states["orders"] == "closed"
        assert states["book"] != "closed"
        assert (await desk.place()).accepted
        desk.broker.heal()
        await desk.clock.advance(11)
        assert {view.state for view in desk.executor.health().breakers} == {"closed"}


async def test_what_earlier_engines_sent_counts_after_a_restart() -> None:
    """Kill and start again: the minute and the day go on, cancels and unsent orders not counted."""
    settings = ExecutionSettings(
        budget=BudgetLimits(per_minute=3, reserve_per_minute=0, per_day=4, reserve_per_day=0), queue_expiry_s=300.0
    )
    async with Desk(settings) as desk:
        for _ in range(2):
            await desk.cancel(await desk.resting())
        await desk.restart()
        gauge = desk.executor.snapshot().budget
        assert (gauge.minute_used, gauge.day_used) == (2, 2)
        for _ in range(3):
            await desk.place()
        await desk.clock.advance(2)
        assert sum(desk.broker.posts.values()) == 3
        await desk.clock.advance(65)
        assert sum(desk.broker.posts.values()) == 4
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["budget"]
        assert "4 of the day's 4 orders are used" in refused.message


async def test_orders_of_others_count_for_the_day() -> None:
    """What the phone places is seen in the book and charged, once."""
    async with Desk() as desk:
        for _ in range(3):
            desk.broker.place_outside(buy())
        await desk.clock.advance(40)
        assert desk.executor.snapshot().budget.day_used == 3
        await desk.resting()
        assert desk.executor.snapshot().budget.day_used == 4
        await desk.restart()
        assert desk.executor.snapshot().budget.day_used == 4


async def test_a_receipt_tells_when_the_order_leaves() -> None:
    """Nothing in the way: at once, without a word. Behind others: in seconds, and whether that is too late."""
    settings = ExecutionSettings(budget=BudgetLimits(per_second=3), queue_expiry_s=5.0)
    async with Desk(settings) as desk:
        first = await desk.place(settle_after=False)
        assert first.eta_s == 0.0
        assert "leaves" not in first.message
        receipts = [await desk.place(settle_after=False) for _ in range(11)]
        etas = [receipt.eta_s for receipt in receipts]
        assert etas == sorted(etas, key=lambda eta: eta or 0.0)
        assert etas[-1] == pytest.approx(11, abs=1.2)
        assert "it leaves in about" in receipts[-1].message
        assert "too old (5 s)" in receipts[-1].message
        assert desk.executor.eta_s([Lane.ENTRY] * 2) == pytest.approx(13, abs=1.2)
        assert desk.executor.eta_s([Lane.EXIT]) < 1.0
        assert desk.executor.eta_s([]) == 0.0
        queue = desk.executor.health().queue
        assert [item.number for item in queue] == list(range(2, 13))
        assert queue[-1].eta_s == pytest.approx(11, abs=1.2)
        assert {item.lane for item in queue} == {"ENTRY"}


@pytest.mark.parametrize(
    ("adds_risk", "order_type", "asked", "lane"),
    [
        (True, OrderType.LIMIT, None, Lane.ENTRY),
        (True, OrderType.LIMIT, Lane.HEDGE, Lane.HEDGE),
        (True, OrderType.LIMIT, Lane.EXIT, Lane.HEDGE),
        (False, OrderType.LIMIT, None, Lane.EXIT),
        (False, OrderType.SL, None, Lane.STOP),
        (False, OrderType.SL, Lane.EXIT, Lane.STOP),
        (False, OrderType.LIMIT, Lane.ENTRY, Lane.ENTRY),
    ],
)
def test_no_caller_gets_a_better_lane_than_the_risk_allows(
    adds_risk: bool, order_type: OrderType, asked: Lane | None, lane: Lane
) -> None:
    """What adds risk is never an exit, whoever says so."""
    assert lane_of(buy(order_type=order_type), adds_risk=adds_risk, asked=asked) is lane


async def test_a_change_goes_in_the_lane_of_its_purpose() -> None:
    """An exit that is re-priced overtakes queued entries and never gets too old."""
    async with Desk(ExecutionSettings(budget=BudgetLimits(per_second=3))) as desk:
        number = await desk.resting()
        for _ in range(4):
            await desk.place(settle_after=False)
        command = ModifyOrder(number=number, change=OrderChange(price=Decimal(106)))
        receipt = await desk.executor.modify(command, lane=Lane.EXIT)
        assert receipt.eta_s == 0.0
        await settle()
        assert [call for call, _ in desk.broker.sequence] == [Call.PLACE, Call.PLACE, Call.MODIFY]


async def test_why_an_order_happened_is_kept_with_its_quote_and_its_times() -> None:
    """Who, what version, on which quotes; how long it waited, was written, was answered and filled."""
    async with Desk() as desk:
        proof = QuoteSeen(
            instrument=option().key, state=QuoteState.LIVE, bid=Decimal(1), ask=Decimal(2), last=None, age_s=0.1
        )
        reason = Reason(by="rule r2", version="3", words="mid 214.22 >= 214.20", quotes=(proof,))
        desk.broker.close_gate(Call.PLACE)
        await desk.executor.place(PlaceOrder(request=buy()), seat="engine", reason=reason)
        await settle()
        await desk.clock.advance(0.25)
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(1.5)
        order_id = desk.order(1).broker_order_id
        assert order_id is not None
        desk.broker.fill(order_id, 30)
        await desk.clock.advance(4)
        desk.broker.fill(order_id)
        await desk.clock.advance(4)
        intent = await desk.journal.intent(OrderNumber(1))
        why = explain(desk.order(1), intent, await desk.journal.history(OrderNumber(1)))
        decision = why.decision
        assert decision is not None
        assert (decision.by, decision.version, decision.words) == ("rule r2", "3", "mid 214.22 >= 214.20")
        assert (decision.lane, decision.adds_risk, decision.checks, decision.seat) == ("ENTRY", True, "2", "engine")
        assert decision.quotes[0] == proof
        assert (decision.quotes[1].bid, decision.quotes[1].ask) == (Decimal("104.95"), Decimal("105.05"))
        assert why.timings.queue_s == pytest.approx(0.0)
        assert why.timings.send_s == pytest.approx(0.0)
        assert why.timings.acknowledge_s == pytest.approx(0.25)
        assert why.timings.first_fill_s is not None
        assert why.timings.fill_s is not None
        assert 1.0 < why.timings.first_fill_s < why.timings.fill_s < 10.0
        counts = {view.step: view.count for view in desk.executor.health().latencies}
        assert counts == {"queue": 1, "send": 1, "acknowledge": 1, "fill": 1}
        assert all(event.wall_at is not None for event in why.history)


async def test_changes_and_cancellations_say_who_asked() -> None:
    """A person by default; the executor itself when it cancels what was not known before."""
    async with Desk() as desk:
        number = await desk.resting()
        await desk.modify(number, price="106")
        await desk.clock.advance(3)
        await desk.cancel(number)
        decisions = [event.facts.decision for event in desk.history(number) if event.facts.decision is not None]
        assert [(decision.by, decision.lane) for decision in decisions] == [(PERSON, "MODIFY"), (PERSON, "CANCEL")]
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.ORDERS)
        await desk.place()
        await desk.cancel(OrderNumber(2))
        desk.broker.heal()
        await desk.clock.advance(12)
        (decision,) = [event.facts.decision for event in desk.history(2) if event.facts.decision is not None]
        assert decision.by == "executor"
        assert desk.state(2) is OrderState.CANCELLED


async def test_an_order_from_outside_has_no_decision() -> None:
    """Nobody here decided it, and nothing was measured."""
    async with Desk() as desk:
        desk.broker.place_outside(sell())
        await desk.clock.advance(16)
        assert await desk.journal.intent(OrderNumber(1)) is None
        why = explain(desk.order(1), None, await desk.journal.history(OrderNumber(1)))
        assert why.decision is None
        assert (why.timings.queue_s, why.timings.acknowledge_s, why.timings.fill_s) == (None, None, None)


async def test_the_broker_saying_that_the_day_is_over_ends_entries() -> None:
    """Its own words, loosely: entries are refused from then on, exits are still taken."""
    async with Desk() as desk:
        desk.broker.too_fast_words = "Maximum allowed order requests exceeded"
        desk.broker.arm(Call.PLACE, Fault.TOO_FAST)
        await desk.place()
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["budget"]
        desk.facts.held = dict(HELD)
        assert (await desk.place(buy(130))).accepted


async def test_an_uncertain_broker_clock_slows_sending_down() -> None:
    """Half a second of doubt: ten requests may have been counted in either of two seconds."""
    doubt = 0.45
    async with Desk() as desk:
        executor = desk.executor
        assert executor.account == ACCOUNT
        await desk.crash()
        desk.uncertainty_s = doubt
        await desk.open()
        for _ in range(8):
            await desk.place(settle_after=False)
        await settle()
        first = sum(desk.broker.posts.values())
        await desk.place()
        await desk.clock.advance(0.5)
        assert first == 8
        assert sum(desk.broker.posts.values()) == 8
        await desk.clock.advance(2)
        assert sum(desk.broker.posts.values()) == 9
