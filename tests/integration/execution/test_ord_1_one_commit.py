"""ORD-1: what nothing keeps from leaving is durable and on its way in one commit, and a burst of it in few."""

from __future__ import annotations

import asyncio

import pytest

from engine.core.commands import PlaceOrder
from engine.core.orders import OrderState, OrderTrigger
from tests.kit.desk_host import comes_to
from tests.kit.order_requests import in_a_fresh_second, know_its_clock, resting_request
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")
BURST = 4
"""Fewer than a second takes."""


async def test_ord_1_a_burst_within_its_second_is_written_as_leaving(shared_host: Host) -> None:
    """On a clock that runs: every receipt says SENDING and no wait, and the line of SEND is of the intent's moment."""
    client = shared_host.client
    command = PlaceOrder(request=await resting_request(shared_host))
    await know_its_clock(shared_host)
    await in_a_fresh_second()
    receipts = await asyncio.gather(*(client.submit(command) for _ in range(BURST)))
    assert all(receipt.accepted for receipt in receipts), receipts
    assert [receipt.eta_s for receipt in receipts] == [0.0] * BURST
    assert {receipt.orders[0].state for receipt in receipts} == {OrderState.SENDING}
    for receipt in receipts:
        made = receipt.orders[0]
        await comes_to(client, made.number, OrderState.OPEN)
        why = await client.why(made.number)
        sends = [line for line in why.history if line.trigger is OrderTrigger.SEND]
        assert [line.at for line in sends] == [made.created_at]
