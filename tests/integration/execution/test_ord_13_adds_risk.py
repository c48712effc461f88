"""ORD-13 on the practice exchange: in READ what reduces goes, and what could raise the worst case does not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.commands import PlaceOrder, SetMode
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest, OrderState
from engine.core.vocabulary import Mode, Side
from tests.kit.desk_host import TICK, Option, comes_to, filled, live_chain, say
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def option_of(host: Host, kind: str, rows_out: int) -> tuple[Option, Instrument]:
    """An option of the watched chain and its row of the dump."""
    option = Option(await live_chain(host.client), kind, rows_out)
    return option, host.engine.day.index.by_token(option.token)


def order(instrument: Instrument, side: Side, quantity: int, price: Decimal) -> OrderRequest:
    """A limit."""
    return OrderRequest(instrument=instrument.key, side=side, quantity=quantity, price=price)


async def refusals(host: Host, request: OrderRequest) -> list[str]:
    """Checks that refuse an order now, by the dry run."""
    return [violation.check for violation in (await host.client.preview(PlaceOrder(request=request))).violations]


async def test_in_read_exits_and_covers_go_and_hedges_stay(shared_host: Host) -> None:
    """A spread: buying back the short needs no arming, selling its wing does until the short is gone."""
    client = shared_host.client
    short, sold = await option_of(shared_host, "ce", 2)
    wing, bought = await option_of(shared_host, "ce", 6)
    await filled(client, f"buy 1L {wing.words} @ ask+2")
    await filled(client, f"sell 1L {short.words} @ bid-4")
    await client.submit(SetMode(mode=Mode.READ))
    try:
        lot = short.lot
        sell_wing = order(bought, Side.SELL, lot, wing.bid)
        assert await refusals(shared_host, sell_wing) == ["mode"]
        assert await refusals(shared_host, order(sold, Side.SELL, lot, short.bid)) == ["mode"]
        assert await refusals(shared_host, order(sold, Side.BUY, 2 * lot, short.ask)) == ["mode"]
        executor = shared_host.engine.desks.default.executor
        assert executor is not None
        back = order(sold, Side.BUY, lot, short.ask + 4 * TICK)
        assert executor.basket_adds_risk((back, sell_wing)) is False
        assert executor.basket_adds_risk((sell_wing, back)) is True
        receipt = await client.submit(PlaceOrder(request=back))
        assert receipt.accepted, receipt.message
        # While the buy only works, the short may still need its wing.
        await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
        receipt = await say(client, f"sell 1L {wing.words} @ bid-2")
        assert receipt.accepted, receipt.message
        await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
    finally:
        await client.submit(SetMode(mode=Mode.CONFIRM))


async def test_in_read_a_naked_short_may_be_covered(shared_host: Host) -> None:
    """A wing that bounds the loss for less than it takes off goes without arming; twice as much does not."""
    client = shared_host.client
    short, sold = await option_of(shared_host, "pe", 3)
    lower, cover = await option_of(shared_host, "pe", 5)
    await filled(client, f"sell 1L {short.words} @ bid-4")
    await client.submit(SetMode(mode=Mode.READ))
    try:
        assert await refusals(shared_host, order(cover, Side.BUY, 2 * short.lot, lower.ask)) == ["mode"]
        receipt = await say(client, f"buy 1L {lower.words} @ ask+2")
        assert receipt.accepted, receipt.message
        await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
        assert await refusals(shared_host, order(cover, Side.BUY, short.lot, lower.ask)) == ["mode"]
        receipt = await say(client, f"buy 1L {short.words} @ ask+2")
        assert receipt.accepted, receipt.message
        await comes_to(client, receipt.orders[0].number, OrderState.COMPLETE)
    finally:
        await client.submit(SetMode(mode=Mode.CONFIRM))
    assert sold.key != cover.key
