"""Unknown outcomes: looked up by tag, never sent again, presumed absent only after the window, adopted when late."""

from __future__ import annotations

import pytest

from engine.core.errors import BrokerUnavailable
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import Severity
from engine.execution.settings import ExecutionSettings
from tests.kit.fake_broker import Call, Fault
from tests.unit.execution.desk import Desk, settle


async def lose(desk: Desk, fault: Fault) -> OrderNumber:
    """Place an order whose answer is lost; reads of the book wait at their gate."""
    await desk.clock.advance(2)
    desk.broker.arm(Call.PLACE, fault)
    desk.broker.close_gate(Call.ORDERS)
    receipt = await desk.place()
    number = receipt.orders[0].number
    assert desk.state(number) is OrderState.UNKNOWN
    assert desk.journalled(number).state is OrderState.UNKNOWN
    return number


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.BROKEN_ROAD])
async def test_an_accepted_order_is_found_by_its_tag(fault: Fault) -> None:
    """The answer was lost, even by a mistake of the road: the book has it, and it was sent once."""
    async with Desk() as desk:
        number = await lose(desk, fault)
        assert desk.ear.heard("o1 is UNKNOWN", Severity.DANGER)
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.OPEN
        assert desk.order(number).broker_order_id == desk.broker.of_tag(desk.order(number).tag).order_id
        await desk.clock.advance(60)
        assert list(desk.broker.posts.values()) == [1]
        assert OrderTrigger.PRESUME_ABSENT not in {event.trigger for event in desk.history(number)}


async def test_an_absent_order_is_presumed_so_after_the_window_and_not_before() -> None:
    """29 s of reads are not enough, the whole window is; a person is told; nothing is sent again."""
    async with Desk() as desk:
        number = await lose(desk, Fault.LOSE_REQUEST)
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(29)
        assert desk.state(number) is OrderState.UNKNOWN
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.PRESUMED_ABSENT
        assert desk.journalled(number).state is OrderState.PRESUMED_ABSENT
        assert desk.ear.heard("PRESUMED ABSENT", Severity.DANGER)
        await desk.clock.advance(120)
        assert list(desk.broker.posts.values()) == [1]


async def test_failed_reads_do_not_count() -> None:
    """While the book cannot be read nothing is presumed, however long."""
    async with Desk() as desk:
        number = await lose(desk, Fault.LOSE_REQUEST)
        desk.broker.break_reads(BrokerUnavailable("no connection"))
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(300)
        assert desk.state(number) is OrderState.UNKNOWN
        assert desk.executor.snapshot().degraded
        desk.broker.heal()
        await desk.clock.advance(15)
        assert desk.state(number) is OrderState.UNKNOWN
        await desk.clock.advance(20)
        assert desk.state(number) is OrderState.PRESUMED_ABSENT


async def test_a_book_that_has_shrunk_proves_nothing() -> None:
    """A read without today's known orders is not a good one."""
    async with Desk() as desk:
        await desk.resting()
        number = await lose(desk, Fault.LOSE_REQUEST)
        desk.broker.books.extend([()] * 100)
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(60)
        assert desk.state(number) is OrderState.UNKNOWN
        assert desk.ear.heard("lacks 1 of today's orders")
        desk.broker.books.clear()
        await desk.clock.advance(35)
        assert desk.state(number) is OrderState.PRESUMED_ABSENT
        assert desk.state(1) is OrderState.OPEN


async def test_a_late_appearance_is_adopted_and_rings() -> None:
    """The broker accepted after we had given up: the order is ours again, with danger."""
    async with Desk() as desk:
        number = await lose(desk, Fault.HOLD)
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(40)
        assert desk.state(number) is OrderState.PRESUMED_ABSENT
        (order_id,) = desk.broker.release_held()
        desk.broker.fill(order_id)
        await desk.clock.advance(20)
        assert desk.state(number) is OrderState.COMPLETE
        assert desk.order(number).broker_order_id == order_id
        assert desk.ear.heard("had been given up and has appeared", Severity.DANGER)
        assert [trade.broker_order_id for trade in desk.fills.trades] == [order_id]
        assert len(desk.executor.orders()) == 1


async def test_acceptance_within_the_window_is_found() -> None:
    """Held for 20 s and then accepted: found, not presumed absent."""
    async with Desk() as desk:
        number = await lose(desk, Fault.HOLD)
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(20)
        desk.broker.release_held()
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.OPEN
        assert desk.ear.heard("was found at the broker", Severity.INFO)


async def test_the_book_may_be_faster_than_the_answer() -> None:
    """The order rests in the book while its answer is still out; the answer changes nothing more."""
    async with Desk() as desk:
        await desk.clock.advance(2)
        desk.broker.close_gate(Call.PLACE, "after")
        await desk.place()
        desk.executor.on_order_update()
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        desk.broker.open_gate(Call.PLACE, "after")
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        assert not [event for event in desk.history(1) if not event.applied]


async def test_a_lost_answer_of_an_order_the_book_has_shown_changes_nothing() -> None:
    """It is known where it rests: it does not become unknown again."""
    async with Desk() as desk:
        await desk.clock.advance(2)
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        desk.broker.close_gate(Call.PLACE, "after")
        await desk.place()
        desk.executor.on_order_update()
        await desk.clock.advance(2)
        desk.broker.open_gate(Call.PLACE, "after")
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN


async def test_resolve_looks_now() -> None:
    """A person asks: the book is read at once and the answer says how it stands."""
    async with Desk() as desk:
        number = await lose(desk, Fault.LOSE_ANSWER)
        desk.broker.open_gate(Call.ORDERS)
        receipt = await desk.executor.resolve(number)
        assert receipt.accepted
        assert receipt.orders[0].state is OrderState.OPEN
        absent = await desk.executor.resolve(OrderNumber(99))
        assert [violation.check for violation in absent.violations] == ["order"]


async def test_resolve_says_when_the_book_cannot_be_read() -> None:
    """No pretending."""
    async with Desk() as desk:
        number = await lose(desk, Fault.LOSE_ANSWER)
        desk.broker.break_reads(BrokerUnavailable("no connection"))
        desk.broker.open_gate(Call.ORDERS)
        await settle()
        receipt = await desk.executor.resolve(number)
        assert not receipt.accepted
        assert receipt.orders[0].state is OrderState.UNKNOWN


async def test_a_refused_order_that_rests_after_all_is_adopted_with_danger() -> None:
    """A no that was not one: the order at the broker gets a number of its own, so that it can be cancelled."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.REFUSE)
        await desk.place()
        tag = desk.order(1).tag
        resting = desk.broker.place_outside(desk.order(1).request, tag)
        await desk.clock.advance(20)
        assert desk.state(1) is OrderState.REJECTED
        assert desk.order(2).broker_order_id == resting.order_id
        assert desk.state(2) is OrderState.OPEN
        assert desk.ear.heard("o1 is REJECTED here, yet the broker's book has it", Severity.DANGER)
        await desk.cancel(OrderNumber(2))
        await desk.clock.advance(3)
        assert desk.state(2) is OrderState.CANCELLED


async def test_a_refused_order_that_the_book_lists_as_rejected_is_no_news() -> None:
    """The broker lists what it refused at the door."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.REFUSE)
        await desk.place()
        listed = desk.broker.place_outside(desk.order(1).request, desk.order(1).tag)
        desk.broker.set_status(listed.order_id, "REJECTED", "Insufficient funds.")
        await desk.clock.advance(20)
        assert len(desk.executor.orders()) == 1
        assert desk.order(1).broker_order_id == listed.order_id


async def test_two_orders_with_one_tag_ring() -> None:
    """A duplicate at the broker, however it came about, is adopted and shown as danger and mismatch."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.place_outside(desk.order(number).request, desk.order(number).tag)
        await desk.clock.advance(4)
        assert desk.ear.heard("Two orders at the broker carry the tag of o1", Severity.DANGER)
        assert len(desk.executor.orders()) == 2
        report = await desk.executor.reconcile()
        assert any("carry the tag of o1" in sentence for sentence in report.mismatches)


async def test_a_shorter_window_can_be_set() -> None:
    """The window is a setting."""
    async with Desk(ExecutionSettings(unknown_window_s=6.0)) as desk:
        number = await lose(desk, Fault.LOSE_REQUEST)
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(8)
        assert desk.state(number) is OrderState.PRESUMED_ABSENT
