"""A change whose outcome is not known counts at its larger size: the same exit must not seem possible twice."""

from __future__ import annotations

import asyncio

import pytest

from engine.core.decisions import EventFacts
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderEvent, OrderState, OrderTrigger
from engine.execution.recovery import units_asked
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import ACCOUNT, OPENING, Desk, buy, settle

SHORT = -195


async def test_an_order_that_rests_is_spoken_for() -> None:
    """Of 195 units short, 65 are being bought back: 130 more still reduce, 195 more would not."""
    async with Desk() as desk:
        desk.facts.held = {option().key: SHORT}
        await desk.resting(buy(65))
        assert desk.executor.check(buy(130))[2] is False
        assert desk.executor.check(buy(195))[2] is True


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.LOSE_REQUEST])
async def test_a_growing_change_without_an_answer_is_counted_as_made(fault: Fault) -> None:
    """The order may rest for all 195 by now: another 130 could open a position, and adds risk."""
    async with Desk() as desk:
        desk.facts.held = {option().key: SHORT}
        number = await desk.resting(buy(65))
        desk.broker.close_gate(Call.ORDERS)
        desk.broker.arm(Call.MODIFY, fault)
        receipt = await desk.modify(number, quantity=195)
        assert receipt.accepted, receipt.message
        assert desk.state(number) is OrderState.MODIFYING
        assert desk.executor.check(buy(130))[2] is True


@pytest.mark.parametrize("is_cancelled", [False, True])
@pytest.mark.parametrize("point", ["before", "after"])
async def test_after_a_kill_the_larger_change_counts_before_the_book_is_read(point: str, is_cancelled: bool) -> None:
    """It is in the journal: neither the first read nor a cancellation that overtook it is needed to count it."""
    async with Desk() as desk:
        desk.facts.held = {option().key: SHORT}
        number = await desk.resting(buy(65))
        desk.broker.close_gate(Call.MODIFY, point)
        desk.broker.close_gate(Call.CANCEL, "before")
        assert (await desk.modify(number, quantity=195)).accepted
        if is_cancelled:
            await desk.cancel(number)
        assert desk.executor.check(buy(130))[2] is True
        desk.broker.close_gate(Call.ORDERS)
        await desk.crash()
        opening = asyncio.ensure_future(desk.open(settle_second=False))
        await settle()
        state = OrderState.CANCELLING if is_cancelled else OrderState.MODIFYING
        assert desk.state(number) is state
        assert desk.executor.check(buy(130))[2] is True
        desk.broker.heal()
        await opening
        await desk.clock.advance(40)
        assert desk.state(number) is OrderState.OPEN
        # Once the book has told, the order counts as it rests.
        assert desk.order(number).request.quantity == (195 if point == "after" else 65)
        assert desk.executor.check(buy(130))[2] is (point == "after")


@pytest.mark.parametrize(
    ("lines", "asked"),
    [
        ((), None),
        (((OrderTrigger.MODIFY_SENT, OrderState.MODIFYING, 195),), 195),
        (((OrderTrigger.MODIFY_SENT, OrderState.MODIFYING, None),), None),
        (
            (
                (OrderTrigger.MODIFY_SENT, OrderState.MODIFYING, 195),
                (OrderTrigger.HELD_BACK, OrderState.MODIFYING, None),
                (OrderTrigger.CANCEL_SENT, OrderState.CANCELLING, None),
            ),
            195,
        ),
        (
            (
                (OrderTrigger.MODIFY_SENT, OrderState.MODIFYING, 195),
                (OrderTrigger.MODIFY_SETTLED, OrderState.ACCEPTED, None),
                (OrderTrigger.CANCEL_SENT, OrderState.CANCELLING, None),
            ),
            None,
        ),
        (
            (
                (OrderTrigger.MODIFY_SENT, OrderState.MODIFYING, 260),
                (OrderTrigger.MODIFY_SETTLED, OrderState.ACCEPTED, None),
                (OrderTrigger.MODIFY_SENT, OrderState.MODIFYING, 130),
            ),
            130,
        ),
    ],
)
def test_only_a_change_that_is_in_flight_asks_for_more(
    lines: tuple[tuple[OrderTrigger, OrderState, int | None], ...], asked: int | None
) -> None:
    """What has settled is in the record; what has not is in the history."""
    history = [
        OrderEvent(
            number=OrderNumber(1),
            account=ACCOUNT,
            trigger=trigger,
            from_state=OrderState.OPEN,
            to_state=state,
            applied=True,
            at=OPENING,
            facts=EventFacts(asked=units),
        )
        for trigger, state, units in lines
    ]
    assert units_asked(history) == asked
