"""ORD-4: connectivity opens the breaker of an endpoint, an answer closes it."""

from __future__ import annotations

import asyncio

from engine.core.commands import PlaceOrder
from engine.core.orders import OrderState
from tests.kit.desk_host import Desk, Exchange, comes_to
from tests.kit.order_requests import resting_request


async def test_ord_4_gateway_errors_open_the_breaker_and_an_answer_closes_it(desk: Desk) -> None:
    """Three 503 in a row: entries are refused at once in words; after the pause the next order is the try."""
    async with desk.opened() as host:
        client, exchange = host.client, Exchange(host.exchange.root)
        command = PlaceOrder(request=await resting_request(host))
        await exchange.fault("error_503", method="POST", path="/orders", count=3)
        for _ in range(3):
            receipt = await client.submit(command)
            await comes_to(client, receipt.orders[0].number, OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT)
        refused = await client.submit(command)
        assert [violation.check for violation in refused.violations] == ["breaker"]
        assert "tried again in" in refused.message
        preview = await client.preview(command)
        assert "breaker" in {violation.check for violation in preview.violations}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 15
        while not (taken := await client.submit(command)).accepted:
            assert loop.time() < deadline, taken.message
            await asyncio.sleep(0.1)
        await comes_to(client, taken.orders[0].number, OrderState.OPEN)
        (health,) = await client.execution_health()
        orders = next(breaker for breaker in health.breakers if breaker.endpoint == "orders")
        assert (orders.state, orders.opened) == ("closed", 1)
