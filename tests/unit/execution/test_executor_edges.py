"""Rare turns of the executor: expiring changes, contradicting answers, hanging requests, lying writes."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine.core.commands import CancelOrders, PlaceOrder
from engine.core.errors import BrokerUnavailable, InvariantBroken, StorageError, StorageTimeout, StorageUnavailable
from engine.core.identifiers import BrokerOrderId, OrderNumber, StrategyNumber
from engine.core.orders import OrderState
from engine.core.vocabulary import Severity
from engine.execution.settings import BudgetLimits, ExecutionSettings
from tests.kit.fake_broker import Call, Fault
from tests.unit.execution.desk import Desk, buy, settle


async def test_a_modification_that_waited_too_long_is_not_sent() -> None:
    """Its price was meant for another moment: the order rests as it was, and the reason is told."""
    settings = ExecutionSettings(queue_expiry_s=3.0, budget=BudgetLimits(rate_limited_pause_s=10.0))
    async with Desk(settings) as desk:
        number = await desk.resting()
        desk.broker.arm(Call.PLACE, Fault.TOO_FAST)
        await desk.place()
        desk.broker.arm(Call.MODIFY, *[Fault.TOO_FAST] * 9)
        await desk.modify(number, price="106")
        await desk.clock.advance(6)
        assert desk.state(number) is OrderState.OPEN
        assert desk.order(number).request.price == Decimal(105)
        assert desk.ear.heard("o1: modify was not sent", Severity.ATTENTION)


async def test_a_request_refused_for_speed_keeps_its_turn() -> None:
    """The first order stays before the second."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.TOO_FAST)
        await desk.place()
        await desk.place()
        await desk.clock.advance(3)
        tags = [tag for call, tag in desk.broker.sequence if call is Call.PLACE]
        assert tags == [desk.order(1).tag, desk.order(1).tag, desk.order(2).tag]


async def test_a_cancellation_refused_for_speed_too_often_is_told_as_danger() -> None:
    """The order rests on; whoever wanted it gone must know."""
    async with Desk(ExecutionSettings(rate_limited_attempts=2)) as desk:
        number = await desk.resting()
        desk.broker.arm(Call.CANCEL, *[Fault.TOO_FAST] * 2)
        await desk.cancel(number)
        await desk.clock.advance(6)
        assert desk.state(number) is OrderState.OPEN
        assert desk.ear.heard("o1: cancel was not sent: the broker refused it for speed 2 times", Severity.DANGER)


async def test_an_answer_with_another_id_than_the_book_rings() -> None:
    """The book has our tag under one id, the answer brings another: two orders may rest."""
    async with Desk() as desk:
        await desk.clock.advance(2)
        desk.broker.close_gate(Call.PLACE, "before")
        await desk.place()
        desk.broker.place_outside(buy(), desk.order(1).tag)
        desk.executor.on_order_update()
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        desk.broker.open_gate(Call.PLACE, "before")
        await desk.clock.advance(3)
        assert desk.ear.heard("under the same tag. Look at both", Severity.DANGER)
        assert len(desk.executor.orders()) == 2


async def test_a_no_for_an_order_that_rests_is_recorded_and_not_believed() -> None:
    """The book has shown it; the refusal that comes afterwards is written down only."""
    async with Desk() as desk:
        await desk.clock.advance(2)
        desk.broker.arm(Call.PLACE, Fault.REFUSE)
        desk.broker.close_gate(Call.PLACE, "before")
        await desk.place()
        desk.broker.place_outside(buy(), desk.order(1).tag)
        desk.executor.on_order_update()
        await desk.clock.advance(2)
        desk.broker.open_gate(Call.PLACE, "before")
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        assert [event.applied for event in desk.history(1) if "Insufficient" in event.detail] == [False]


async def test_stopping_leaves_a_hanging_request_to_the_next_start() -> None:
    """After its patience is over the engine ends; the journal says SENDING, the next engine looks."""
    async with Desk(ExecutionSettings(stop_timeout_s=5.0, unknown_window_s=6.0)) as desk:
        desk.broker.close_gate(Call.PLACE, "after")
        await desk.place()
        await desk.close()
        assert desk.journalled(1).state is OrderState.SENDING
        desk.broker.open_gate(Call.PLACE, "after")
        await desk.open()
        await desk.clock.advance(3)
        assert desk.state(1) is OrderState.OPEN
        assert sum(desk.broker.posts.values()) == 1


async def test_a_queued_order_in_the_brokers_book_stops_before_it_could_be_sent_twice() -> None:
    """The tag is there already: whatever the reason, it is not sent."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0), queue_expiry_s=300.0)
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        desk.broker.place_outside(buy(), desk.order(2).tag)
        desk.executor.on_order_update()
        await desk.clock.advance(2)
        assert isinstance(await desk.failure(), InvariantBroken)
        await desk.clock.advance(120)
        assert sum(desk.broker.posts.values()) == 1
        await desk.executor.stop()


async def test_waiting_orders_are_withdrawn_before_resting_ones_are_asked_for() -> None:
    """While the journal is slow with the first cancellation nothing else leaves."""
    async with Desk() as desk:
        await desk.resting()
        desk.broker.arm(Call.PLACE, Fault.TOO_FAST)
        await desk.place()
        desk.journal.gate = asyncio.Event()
        cancelling = asyncio.ensure_future(desk.executor.cancel(CancelOrders(everything=True)))
        await desk.clock.advance(5)
        assert len(desk.broker.accepted) == 1
        desk.journal.gate.set()
        await cancelling
        await desk.clock.advance(3)
        assert desk.state(2) is OrderState.NOT_SENT
        assert desk.state(1) is OrderState.CANCELLED


async def test_a_change_whose_commit_timed_out_is_put_right_in_the_journal() -> None:
    """The write was made although it was reported as failed: the journal is told how the order stands."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.journal.lie_once = True
        receipt = await desk.modify(number, price="106")
        assert [violation.check for violation in receipt.violations] == ["journal"]
        assert desk.journalled(number).state is OrderState.MODIFYING
        await desk.clock.advance(2)
        assert desk.journalled(number).state is OrderState.OPEN
        assert not [call for call, _ in desk.broker.sequence if call is Call.MODIFY]


async def test_an_adoption_whose_write_timed_out_is_found_in_the_journal() -> None:
    """It was written: the next read takes it from there, once."""
    async with Desk() as desk:
        desk.journal.lie_once = True
        outside = desk.broker.place_outside(buy(130))
        desk.broker.fill(outside.order_id, 65)
        await desk.clock.advance(40)
        assert [record.broker_order_id for record in desk.executor.orders()] == [outside.order_id]
        assert desk.order(1).filled_quantity == 65
        assert len(desk.fills.trades) == 1


async def test_entries_are_refused_while_the_journal_is_behind_though_intents_could_be_written() -> None:
    """Only changes fail: the health decides, not the luck of the next write."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.journal.fail_changes()
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(4)
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["journal"]


@pytest.mark.parametrize("error", [StorageTimeout("slow"), StorageUnavailable("gone")])
async def test_a_key_that_cannot_be_looked_up_refuses(error: StorageError) -> None:
    """Without knowing whether the key has made an order nothing is sent."""
    async with Desk() as desk:
        desk.journal.down = error
        receipt = await desk.executor.place(PlaceOrder(request=buy(), idempotency_key="k"))
        assert [violation.check for violation in receipt.violations] == ["journal"]
        assert not desk.broker.posts


async def test_a_presumed_absent_order_can_be_looked_for_again() -> None:
    """The answer says that it is still not there, and how it stands."""
    async with Desk(ExecutionSettings(unknown_window_s=4.0)) as desk:
        desk.broker.arm(Call.PLACE, Fault.HOLD)
        await desk.place()
        await desk.clock.advance(8)
        receipt = await desk.executor.resolve(OrderNumber(1))
        assert receipt.message == "o1 is still not in the broker's book."
        desk.broker.release_held()
        receipt = await desk.executor.resolve(OrderNumber(1))
        assert receipt.message == "o1 is OPEN."


async def test_a_presumed_absent_order_that_was_to_be_cancelled_is_cancelled_when_it_appears() -> None:
    """The wish outlives the search."""
    async with Desk(ExecutionSettings(unknown_window_s=4.0)) as desk:
        desk.broker.arm(Call.PLACE, Fault.HOLD)
        await desk.place()
        await desk.clock.advance(8)
        await desk.cancel(OrderNumber(1))
        desk.broker.release_held()
        await desk.clock.advance(20)
        assert desk.state(1) is OrderState.CANCELLED


async def test_trades_that_cannot_be_read_are_told_and_read_later() -> None:
    """The book works, the trades do not."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.TRADES)
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(5)
        assert desk.fills.trades == []
        assert any("trades cannot be read" in sentence for sentence in desk.executor.snapshot().degraded)
        desk.broker.heal()
        await desk.clock.advance(5)
        assert len(desk.fills.trades) == 1
        assert desk.executor.snapshot().degraded == ()


async def test_fills_of_a_new_day_are_handed_over_although_their_ids_repeat() -> None:
    """Trade ids are unique within a day only."""
    async with Desk() as desk:
        number = await desk.resting()
        order_id = desk.broker.of_tag(desk.order(number).tag).order_id
        desk.broker.fill(order_id)
        await desk.clock.advance(4)
        assert len(desk.fills.trades) == 1
        desk.clock.elapsed += 86_400
        await desk.clock.advance(70)
        assert [trade.broker_order_id for trade in desk.fills.trades] == [order_id] * 2


async def test_the_strategy_of_an_order_is_the_strategy_of_its_fills() -> None:
    """Also after a restart, from the journal."""
    async with Desk() as desk:
        receipt = await desk.place(buy(strategy=desk.strategy))
        await desk.clock.advance(2)
        await desk.crash()
        desk.broker.fill(desk.broker.of_tag(receipt.orders[0].tag).order_id)
        await desk.open()
        assert [trade.strategy for trade in desk.fills.trades] == [desk.strategy]
        assert desk.strategy != StrategyNumber(0)
        assert desk.order(1).broker_order_id != BrokerOrderId("")


async def test_run_can_be_started_again_by_its_supervisor() -> None:
    """A service that failed is run again on the same executor: orders go on."""
    async with Desk() as desk:
        await desk.place()
        await desk.cancel_run()
        await settle()
        await desk.place()
        assert sum(desk.broker.posts.values()) == 1
        desk.run_again()
        await desk.clock.advance(3)
        assert sum(desk.broker.posts.values()) == 2
