"""ORD-5 on the practice exchange: all violations at once with their numbers, and a dry run that says the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.commands import PlaceOrder, Preview, Receipt
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.vocabulary import OrderType, Product, Side, Validity
from tests.kit.desk_host import TICK, Exchange, Option, live_chain, preview_with_margin, stand_still
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def option_of(host: Host, rows_out: int = 2) -> tuple[Option, Instrument]:
    """A call of the watched chain and its row of the dump."""
    option = Option(await live_chain(host.client), "ce", rows_out)
    return option, host.engine.day.index.by_token(option.token)


def order(instrument: Instrument, quantity: int, price: Decimal | None, **fields: Any) -> OrderRequest:
    """A buy."""
    base = OrderRequest(instrument=instrument.key, side=Side.BUY, quantity=quantity, price=price)
    return msgspec.structs.replace(base, **fields)


async def both(host: Host, request: OrderRequest) -> tuple[Preview, Receipt]:
    """The dry run and the real thing."""
    command = PlaceOrder(request=request)
    return await host.client.preview(command), await host.client.submit(command)


async def test_a_thoroughly_wrong_order_names_everything_at_once(shared_host: Host) -> None:
    """Lot, tick, product, minutes, band and distance, each with its figure; the dry run has the same list."""
    await stand_still(shared_host.client, Exchange(shared_host.exchange.root))
    option, instrument = await option_of(shared_host)
    price = option.ask * 3 // TICK * TICK + Decimal("0.01")
    request = order(instrument, 1_003, price, product=Product.CNC, validity=Validity.TTL)
    preview, receipt = await both(shared_host, request)
    assert preview.violations == receipt.violations
    assert not receipt.accepted
    names = [violation.check for violation in receipt.violations]
    assert names == ["validity", "product", "lot", "tick", "band", "distance"]
    said = {violation.check: violation.message for violation in receipt.violations}
    assert str(instrument.lot_size) in said["lot"]
    assert str(price) in said["band"]
    assert "percent" in said["distance"]


async def test_the_brokers_own_margin_refuses_what_cannot_be_paid(shared_host: Host) -> None:
    """The preview asks the broker; what it needs and what is free stand in the refusal of both."""
    option, instrument = await option_of(shared_host, 3)
    free = (await shared_host.client.funds()).net
    freeze = shared_host.engine.day.rules.freeze_quantity(instrument.name, shared_host.engine.day.today())
    assert freeze is not None
    most = freeze // option.lot * option.lot
    request = order(instrument, most, option.bid, side=Side.SELL)
    await preview_with_margin(shared_host.client, PlaceOrder(request=request))
    preview, receipt = await both(shared_host, request)
    assert preview.margin is not None
    if preview.margin > free:
        assert "margin" in [violation.check for violation in receipt.violations]
    assert preview.violations == receipt.violations
    assert preview.request == request


async def test_a_dear_book_is_told_in_rupees_and_ticks(shared_host: Host) -> None:
    """More than the five levels hold: how much is beyond them is said, with what to do instead."""
    option, instrument = await option_of(shared_host, 12)
    quote = shared_host.client.quote(option.token)
    assert quote is not None
    shown = sum(level.quantity for level in quote.asks)
    lots = shown // option.lot + 2
    request = order(instrument, lots * option.lot, None, order_type=OrderType.MARKET, market_protection=Decimal(-1))
    preview = await shared_host.client.preview(PlaceOrder(request=request))
    (note,) = [note for note in preview.notes if "touch" in note]
    assert note.split(":")[0] in {"Limit", "Slice", "Reduce"}
    assert "their price is not known" in note


async def test_the_same_order_twice_within_seconds_is_said(shared_host: Host) -> None:
    """The second of two equal orders is noted in its dry run."""
    option, instrument = await option_of(shared_host)
    request = order(instrument, option.lot, option.low)
    preview, receipt = await both(shared_host, request)
    assert receipt.accepted, receipt.message
    assert not any("the same order" in note for note in preview.notes)
    again = await shared_host.client.preview(PlaceOrder(request=request))
    assert any(f"o{receipt.orders[0].number} is the same order" in note for note in again.notes)
