"""A change whose outcome is not known counts at its larger size: the same exit must not seem possible twice."""

from __future__ import annotations

import pytest

from engine.core.orders import OrderState
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import Desk, buy

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
