"""Modify and cancel: in-flight states, lost answers settled by the book, races with fills."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.commands import CancelOrders, OrderChange
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState, OrderTrigger
from engine.core.vocabulary import Severity
from engine.execution.settings import BudgetLimits, ExecutionSettings
from tests.kit.fake_broker import Call, Fault
from tests.unit.execution.desk import Desk, buy


async def test_a_modification_is_confirmed_by_the_book() -> None:
    """MODIFYING until the book shows the new price; then OPEN with the new fields and one modification counted."""
    async with Desk() as desk:
        number = await desk.resting()
        receipt = await desk.modify(number, price="106")
        assert receipt.accepted
        assert [order.state for order in receipt.orders] == [OrderState.MODIFYING]
        await desk.clock.advance(3)
        record = desk.order(number)
        assert (record.state, record.request.price, record.modifications) == (OrderState.OPEN, Decimal(106), 1)
        assert desk.journalled(number) == record


async def test_the_journal_has_the_modification_before_the_broker() -> None:
    """MODIFYING is committed when the request leaves."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.close_gate(Call.MODIFY)
        await desk.modify(number, price="106")
        assert desk.broker.waiting_at(Call.MODIFY) == 1
        assert desk.journalled(number).state is OrderState.MODIFYING


async def test_a_lost_modification_that_was_made_is_seen_in_the_book() -> None:
    """Never repeated; counted, because the broker counts it."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.MODIFY, Fault.LOSE_ANSWER)
        await desk.modify(number, price="106", quantity=130)
        await desk.clock.advance(3)
        record = desk.order(number)
        assert (record.state, record.request.price, record.request.quantity) == (OrderState.OPEN, Decimal(106), 130)
        assert record.modifications == 1
        assert sum(1 for call, _ in desk.broker.sequence if call is Call.MODIFY) == 1


async def test_a_lost_modification_that_was_not_made_is_given_up_after_the_window() -> None:
    """The order rests as it was; a person is told; nothing is repeated."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.MODIFY, Fault.LOSE_REQUEST)
        await desk.modify(number, price="106")
        await desk.clock.advance(25)
        assert desk.state(number) is OrderState.MODIFYING
        await desk.clock.advance(10)
        record = desk.order(number)
        assert (record.state, record.request.price, record.modifications) == (OrderState.OPEN, Decimal(105), 0)
        assert desk.ear.heard("did not take effect", Severity.ATTENTION)
        assert sum(1 for call, _ in desk.broker.sequence if call is Call.MODIFY) == 1


async def test_a_refused_modification_leaves_the_order_resting() -> None:
    """The broker's words, and OPEN again by the book."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.MODIFY, Fault.REFUSE)
        await desk.modify(number, price="106")
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.OPEN
        assert desk.order(number).request.price == Decimal(105)
        assert desk.ear.heard("The change (price 106) was refused: Insufficient funds.")


async def test_the_second_modification_is_sent_too() -> None:
    """Two modifications of one order are two requests with two results."""
    async with Desk() as desk:
        number = await desk.resting()
        await desk.modify(number, price="106")
        await desk.clock.advance(3)
        await desk.modify(number, price="106.5")
        await desk.clock.advance(3)
        assert desk.order(number).request.price == Decimal("106.5")
        assert desk.order(number).modifications == 2


@pytest.mark.parametrize(
    ("prepare", "check"), [("missing", "order"), ("modifying", "state"), ("unsound", "tick"), ("empty", "change")]
)
async def test_modifications_are_refused_with_their_reason(prepare: str, check: str) -> None:
    """Unknown numbers, orders with a command in flight, and unsound changes."""
    async with Desk() as desk:
        number = await desk.resting()
        fields: dict[str, object] = {"price": "106"}
        if prepare == "missing":
            number = OrderNumber(77)
        elif prepare == "modifying":
            desk.broker.close_gate(Call.MODIFY)
            await desk.modify(number, price="106")
        elif prepare == "unsound":
            fields = {"price": "106.03"}
        else:
            fields = {}
        receipt = await desk.modify(number, **fields)
        assert not receipt.accepted
        assert [violation.check for violation in receipt.violations] == [check]


async def test_a_cancellation_is_confirmed_by_the_book() -> None:
    """CANCELLING until the book says so."""
    async with Desk() as desk:
        number = await desk.resting()
        receipt = await desk.cancel(number)
        assert receipt.accepted
        assert [order.state for order in receipt.orders] == [OrderState.CANCELLING]
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.CANCELLED
        assert [event.trigger for event in desk.history(number)][-2:] == [
            OrderTrigger.CANCEL_SENT,
            OrderTrigger.BOOK_CANCELLED,
        ]


async def test_an_order_that_waits_is_withdrawn_and_never_sent() -> None:
    """Cancelling a queued order closes it here."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0))
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        await desk.cancel(OrderNumber(2))
        assert desk.state(2) is OrderState.NOT_SENT
        assert desk.journalled(2).message == "Not sent: withdrawn before it was sent."
        await desk.clock.advance(90)
        assert sum(desk.broker.posts.values()) == 1


async def test_an_order_that_waits_after_a_refusal_for_speed_is_withdrawn() -> None:
    """It is SENDING in the journal and provably not sent."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE, Fault.TOO_FAST)
        await desk.place()
        assert desk.state(1) is OrderState.SENDING
        await desk.cancel(OrderNumber(1))
        assert desk.state(1) is OrderState.NOT_SENT
        await desk.clock.advance(10)
        assert not desk.broker.accepted


async def test_an_unknown_order_is_cancelled_as_soon_as_it_is_found() -> None:
    """The wish is kept, journalled as said and not applied, and carried out."""
    async with Desk() as desk:
        await desk.clock.advance(2)
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        desk.broker.close_gate(Call.ORDERS)
        await desk.place()
        receipt = await desk.cancel(OrderNumber(1))
        assert "as soon as it is found" in receipt.message
        desk.broker.open_gate(Call.ORDERS)
        await desk.clock.advance(4)
        assert desk.state(1) is OrderState.CANCELLED


async def test_an_order_on_the_wire_is_cancelled_when_its_answer_comes() -> None:
    """The cancellation follows the answer."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE)
        await desk.place()
        await desk.cancel(OrderNumber(1))
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(3)
        assert desk.state(1) is OrderState.CANCELLED


async def test_a_lost_cancellation_that_worked_is_seen_in_the_book() -> None:
    """One request, CANCELLED."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.CANCEL, Fault.LOSE_ANSWER)
        await desk.cancel(number)
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.CANCELLED
        assert sum(1 for call, _ in desk.broker.sequence if call is Call.CANCEL) == 1


async def test_a_lost_cancellation_that_did_not_work_is_told() -> None:
    """The order rests again here, so that it can be cancelled again by whoever wanted it."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.CANCEL, Fault.LOSE_REQUEST)
        await desk.cancel(number)
        await desk.clock.advance(8)
        assert desk.state(number) is OrderState.OPEN
        assert desk.ear.heard("cancellation did not take effect", Severity.ATTENTION)
        assert sum(1 for call, _ in desk.broker.sequence if call is Call.CANCEL) == 1
        await desk.cancel(number)
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.CANCELLED


async def test_a_fill_that_beats_the_cancellation_wins() -> None:
    """The order completes while the cancellation is on its way: COMPLETE, and the refusal does no harm."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.close_gate(Call.CANCEL)
        await desk.cancel(number)
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        desk.broker.open_gate(Call.CANCEL)
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.COMPLETE
        assert desk.order(number).filled_quantity == 65
        assert sum(trade.quantity for trade in desk.fills.trades) == 65


async def test_a_partial_fill_before_the_cancellation_counts() -> None:
    """CANCELLED with a position."""
    async with Desk() as desk:
        number = await desk.resting(buy(130))
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id, 65)
        await desk.cancel(number)
        await desk.clock.advance(3)
        record = desk.order(number)
        assert (record.state, record.filled_quantity, record.remaining_quantity) == (OrderState.CANCELLED, 65, 0)
        assert sum(trade.quantity for trade in desk.fills.trades) == 65


async def test_a_cancellation_overtakes_a_modification() -> None:
    """The order is pulled while its change is out; the late answer of the change revives nothing."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.close_gate(Call.MODIFY)
        await desk.modify(number, price="106")
        await desk.cancel(number)
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.CANCELLED
        desk.broker.open_gate(Call.MODIFY)
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.CANCELLED


async def test_a_waiting_modification_is_dropped_by_a_cancellation() -> None:
    """What has not left does not leave."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.MODIFY, Fault.TOO_FAST)
        await desk.modify(number, price="106")
        await desk.cancel(number)
        await desk.clock.advance(5)
        assert desk.state(number) is OrderState.CANCELLED
        assert desk.broker.of_tag(desk.order(number).tag).price == Decimal(105)


async def test_cancelling_everything_withdraws_first_and_asks_for_the_rest() -> None:
    """Waiting orders do not leave while resting ones are being cancelled."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=2, reserve_per_minute=0))
    async with Desk(settings) as desk:
        for _ in range(4):
            await desk.place()
        await desk.clock.advance(2)
        receipt = await desk.executor.cancel(CancelOrders(everything=True))
        assert len(receipt.orders) == 4
        await desk.clock.advance(3)
        assert [desk.state(number) for number in (1, 2, 3, 4)] == [
            OrderState.CANCELLED,
            OrderState.CANCELLED,
            OrderState.NOT_SENT,
            OrderState.NOT_SENT,
        ]


async def test_cancelling_what_is_over_or_unknown_says_so() -> None:
    """Done orders are answered in words, numbers nobody has are refused."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.close_gate(Call.CANCEL)
        await desk.cancel(number)
        again = await desk.cancel(number)
        assert "is being cancelled already" in again.message
        desk.broker.open_gate(Call.CANCEL)
        await desk.clock.advance(2)
        assert "is CANCELLED already" in (await desk.cancel(number)).message
        refused = await desk.cancel(OrderNumber(50))
        assert [violation.check for violation in refused.violations] == ["order"]


async def test_a_cancellation_that_was_not_sent_says_so() -> None:
    """The order rests on, and can be cancelled again."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.broker.arm(Call.CANCEL, Fault.NO_SESSION)
        await desk.cancel(number)
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.OPEN
        assert desk.ear.heard("o1: cancel was not sent: Incorrect `api_key`", Severity.DANGER)
        await desk.cancel(number)
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.CANCELLED


async def test_changes_on_the_phone_are_followed_and_told() -> None:
    """The record shows what really rests."""
    async with Desk() as desk:
        number = await desk.resting()
        order_id = desk.broker.of_tag(desk.order(number).tag).order_id
        desk.broker.change_outside(order_id, OrderChange(price=Decimal(99)))
        await desk.clock.advance(4)
        assert desk.order(number).request.price == Decimal(99)
        assert desk.ear.heard("o1 was changed at the broker: price 105 > 99", Severity.ATTENTION)
