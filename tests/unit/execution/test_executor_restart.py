"""Kill and start again at every point of an order's way: nothing doubled, nothing lost, entries never sent late."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine.core.commands import PlaceOrder
from engine.core.errors import BrokerUnavailable
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import Severity
from engine.execution.settings import BudgetLimits, ExecutionSettings
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import Desk, buy, sell, settle


async def test_an_order_that_was_journalled_and_not_sent_is_closed() -> None:
    """QUEUED at the start was never sent: it is not sent late."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0))
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        assert desk.journalled(2).state is OrderState.QUEUED
        await desk.restart()
        assert desk.state(2) is OrderState.NOT_SENT
        assert desk.order(2).message == "Not sent: the engine stopped before it was sent."
        await desk.clock.advance(120)
        assert sum(desk.broker.posts.values()) == 1


async def test_a_crash_after_the_commit_and_before_the_receipt_sends_nothing() -> None:
    """The intent is durable and may have left, for all the journal knows: looked for, found absent, never sent."""
    async with Desk() as desk:
        desk.journal.gate = asyncio.Event()
        placing = asyncio.ensure_future(desk.executor.place(PlaceOrder(request=buy(), idempotency_key="k")))
        await settle()
        await desk.restart()
        await asyncio.gather(placing, return_exceptions=True)
        assert desk.state(1) is OrderState.UNKNOWN
        desk.journal.gate = None
        await desk.clock.advance(40)
        assert desk.state(1) is OrderState.PRESUMED_ABSENT
        repeated = await desk.place(key="k")
        assert repeated.repeated
        assert not desk.broker.posts


@pytest.mark.parametrize(("point", "state"), [("before", OrderState.PRESUMED_ABSENT), ("after", OrderState.OPEN)])
async def test_a_crash_while_sending_is_looked_up(point: str, state: OrderState) -> None:
    """SENDING at the start may rest at the broker: the book decides, it is never sent again."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE, point)
        await desk.place()
        assert desk.journalled(1).state is OrderState.SENDING
        desk.broker.close_gate(Call.ORDERS)
        await desk.crash()
        desk.broker.open_gate(Call.PLACE, point)
        opening = asyncio.ensure_future(desk.open(settle_second=False))
        await settle()
        assert desk.journalled(1).state is OrderState.UNKNOWN
        desk.broker.open_gate(Call.ORDERS)
        await opening
        await desk.clock.advance(40)
        assert desk.state(1) is state
        assert sum(desk.broker.posts.values()) == (1 if point == "after" else 0)


async def test_a_crash_after_the_answer_and_before_its_commit_finds_the_order() -> None:
    """The broker's id was lost with the process, the tag was not."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE)
        await desk.place()
        desk.journal.fail()
        desk.broker.open_gate(Call.PLACE)
        await settle()
        assert desk.state(1).is_working
        assert desk.journalled(1).state is OrderState.SENDING
        await desk.restart()
        assert desk.state(1) is OrderState.OPEN
        assert list(desk.broker.posts.values()) == [1]


async def test_an_unknown_order_goes_on_being_looked_for() -> None:
    """The window begins again with the new engine; absence is presumed only after it."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.LOSE_REQUEST)
        await desk.place()
        await desk.clock.advance(25)
        await desk.restart()
        await desk.clock.advance(25)
        assert desk.state(1) is OrderState.UNKNOWN
        await desk.clock.advance(10)
        assert desk.state(1) is OrderState.PRESUMED_ABSENT


async def test_a_late_appearance_is_adopted_by_a_later_engine() -> None:
    """Presumed absent yesterday's engine, accepted meanwhile."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.HOLD)
        await desk.place()
        await desk.clock.advance(40)
        assert desk.state(1) is OrderState.PRESUMED_ABSENT
        await desk.crash()
        desk.broker.release_held()
        await desk.open()
        assert desk.state(1) is OrderState.OPEN
        assert desk.ear.heard("had been given up and has appeared", Severity.DANGER)


@pytest.mark.parametrize(("point", "price"), [("before", "105"), ("after", "106")])
async def test_a_crash_during_a_modification_is_settled_by_the_book(point: str, price: str) -> None:
    """The new engine does not know what was asked; the book shows what is."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.close_gate(Call.MODIFY, point)
        await desk.modify(number, price="106")
        assert desk.journalled(number).state is OrderState.MODIFYING
        await desk.crash()
        desk.broker.open_gate(Call.MODIFY, point)
        await desk.open()
        await desk.clock.advance(40)
        assert desk.state(number) is OrderState.OPEN
        assert desk.order(number).request.price == Decimal(price)


@pytest.mark.parametrize(("point", "state"), [("before", OrderState.OPEN), ("after", OrderState.CANCELLED)])
async def test_a_crash_during_a_cancellation_is_settled_by_the_book(point: str, state: OrderState) -> None:
    """Cancelled or resting, as the book says."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.close_gate(Call.CANCEL, point)
        await desk.cancel(number)
        await desk.crash()
        desk.broker.open_gate(Call.CANCEL, point)
        await desk.open()
        await desk.clock.advance(10)
        assert desk.state(number) is state


async def test_the_wish_to_cancel_an_unknown_order_survives() -> None:
    """It was journalled as said; the next engine cancels the order when it finds it."""
    async with Desk() as desk:
        await desk.clock.advance(2)
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        desk.broker.close_gate(Call.ORDERS)
        await desk.place()
        await desk.cancel(OrderNumber(1))
        assert desk.state(1) is OrderState.UNKNOWN
        await desk.crash()
        desk.broker.heal()
        await desk.open()
        await desk.clock.advance(3)
        assert desk.state(1) is OrderState.CANCELLED


async def test_what_happened_while_the_engine_was_down_is_seen_at_the_start() -> None:
    """Fills and cancellations of the meantime are merged before commands are taken, fills are handed over."""
    async with Desk() as desk:
        first = await desk.resting()
        second = await desk.resting()
        await desk.crash()
        desk.broker.fill(desk.broker.of_tag(desk.order(first).tag).order_id)
        desk.broker.set_status(desk.broker.of_tag(desk.order(second).tag).order_id, "CANCELLED")
        await desk.open(settle_second=False)
        assert desk.state(first) is OrderState.COMPLETE
        assert desk.state(second) is OrderState.CANCELLED
        assert len(desk.fills.trades) == 1


async def test_fills_are_handed_over_again_after_a_restart() -> None:
    """At least once: booking exactly once is the listener's part."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(4)
        await desk.restart()
        assert [trade.trade_id for trade in desk.fills.trades] == ["1", "1"]


async def test_entries_wait_for_the_first_good_book() -> None:
    """An engine that cannot see the broker takes exits and no entries; it says so."""
    async with Desk() as desk:
        await desk.crash()
        desk.broker.break_reads(BrokerUnavailable("no connection"))
        await desk.open()
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["book"]
        assert not desk.executor.snapshot().is_reconciled
        desk.facts.held = {option().key: 65}
        assert (await desk.place(sell())).accepted
        desk.facts.held = {}
        desk.broker.heal()
        await desk.clock.advance(5)
        assert (await desk.place()).accepted


async def test_orders_of_an_earlier_day_lapse_when_the_book_is_cleared() -> None:
    """A day order of yesterday that the new book does not list is closed with words."""
    async with Desk() as desk:
        number = await desk.resting()
        await desk.crash()
        desk.broker.orders_by_id.clear()
        desk.clock.elapsed += 86_400
        await desk.open()
        await desk.clock.advance(20)
        assert desk.state(number) is OrderState.CANCELLED
        assert desk.ear.heard("has lapsed", Severity.ATTENTION)


async def test_the_first_second_is_not_used() -> None:
    """The engine that was killed may have used it up."""
    async with Desk() as desk:
        for _ in range(8):
            await desk.place(settle_after=False)
        await settle()
        before = desk.clock.elapsed
        await desk.crash()
        await desk.open(settle_second=False)
        await desk.place()
        assert sum(desk.broker.posts.values()) == 8
        await desk.clock.advance(1.2)
        assert sum(desk.broker.posts.values()) == 9
        assert desk.clock.elapsed - before < 3


async def test_the_day_budget_counts_what_the_book_shows() -> None:
    """Orders of the day, the phone's too, are charged after a restart."""
    async with Desk() as desk:
        for _ in range(3):
            await desk.place()
        desk.broker.place_outside(buy())
        await desk.clock.advance(2)
        await desk.restart()
        assert desk.executor.snapshot().budget.day_used == 4


async def test_many_crashes_at_any_write_never_double_an_order() -> None:
    """Kill after the first, second, third … write of an order's way, each time with the same key."""
    for writes in range(1, 8):
        async with Desk() as desk:
            command = PlaceOrder(request=buy(), idempotency_key="once")
            gate = asyncio.Event()
            placing = asyncio.ensure_future(desk.executor.place(command))
            for _ in range(400):
                if desk.journal.writes >= writes - 1:
                    desk.journal.gate = gate
                await asyncio.sleep(0)
            await desk.clock.advance(1)
            await desk.restart()
            await asyncio.gather(placing, return_exceptions=True)
            await desk.place(key="once")
            await desk.clock.advance(45)
            assert sum(desk.broker.accepted.values()) <= 1, writes
            assert len(desk.executor.orders()) == 1, writes
            state = desk.state(1)
            assert state is (OrderState.OPEN if desk.broker.accepted else state)
            assert state in {OrderState.OPEN, OrderState.NOT_SENT, OrderState.PRESUMED_ABSENT}, writes
            events = desk.history(1)
            assert all(event.applied for event in events if event.trigger is not OrderTrigger.CANCEL_SENT)
