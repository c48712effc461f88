"""N18 on the practice exchange: an exit and its guard both fill; what is too much is taken off at once, once."""

from __future__ import annotations

import msgspec

from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import Side
from engine.execution.housekeeping import HOUSEKEEPING
from engine.execution.overshoot import REVERSAL_PREFIX
from tests.integration.execution.phone import Phone
from tests.kit.desk_host import BROKER_POLL_S, Desk, Exchange, Option, comes_to, eventually, filled, live_chain, say
from workstation.assembly import Host

NEVER_S = 600.0
"""Housekeeping looks when the test says so."""


async def reversals(host: Host) -> list[OrderRecord]:
    """Orders that took an overshoot off, as far as they have traded."""
    return [
        order
        for order in await host.client.orders()
        if (order.idempotency_key or "").startswith(REVERSAL_PREFIX) and order.state is OrderState.COMPLETE
    ]


async def test_n_18_both_fill_and_the_overshoot_is_taken_off_once(desk: Desk) -> None:
    """The guard trades a second after the exit, before anybody looks: one reversal, flat at the broker, explained, and
    none after it.
    """
    keeping = msgspec.structs.replace(desk.configuration.orders.housekeeping, settle_s=NEVER_S, look_s=NEVER_S)
    desk.changed(orders={"housekeeping": keeping})
    async with desk.opened() as host:
        client, phone, exchange = host.client, Phone(host), Exchange(host.exchange.root)
        option = Option(await live_chain(client), "ce", 1)
        key = (await filled(client, f"sell 1L {option.words} @ bid-2")).request.instrument
        both = []
        for _ in range(2):
            receipt = await say(client, f"buy 1L {option.words} @ {option.low}")
            assert receipt.accepted, receipt.message
            both.append(await comes_to(client, receipt.orders[0].number, OrderState.OPEN))
        guard, leaving = both
        await phone.reprice(leaving.broker_order_id, option.high)
        began = (await exchange.ask("GET", "/practice/status"))["market_epoch"]

        async def has_passed() -> bool:
            return bool((await exchange.ask("GET", "/practice/status"))["market_epoch"] >= began + 1.1)

        await eventually(has_passed, "another second of the exchange")
        await phone.reprice(guard.broker_order_id, option.high)
        for record in both:
            await comes_to(client, record.number, OrderState.COMPLETE)
        house = host.engine.desks.default.upkeep

        async def taken_off() -> list[OrderRecord]:
            await house.look()
            return await reversals(host)

        (reversal,) = await eventually(taken_off, "the reversal", poll_s=BROKER_POLL_S)
        assert (reversal.request.side, reversal.request.quantity) == (Side.SELL, option.lot)

        async def is_flat() -> bool:
            return await phone.net(key) == 0

        await eventually(is_flat, "flat at the broker", poll_s=BROKER_POLL_S)
        explained = await client.why(reversal.number)
        assert explained.decision is not None
        assert explained.decision.by == HOUSEKEEPING
        assert f"o{guard.number} went too far" in explained.decision.words
        texts = [event.text for event in await client.events()]
        assert sum(text.startswith("Overshoot taken off") for text in texts) == 1
        await house.look()
        made = [order for order in await client.orders() if (order.idempotency_key or "").startswith(REVERSAL_PREFIX)]
        assert [order.number for order in made] == [reversal.number]
