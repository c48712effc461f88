"""ORD-8 by the road of a person: a sentence becomes a basket whose fills are covered at every moment."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import CancelOrders, PlaceBasket, PlaceOrder
from engine.core.orders import OrderState
from engine.core.plans import BasketPlan, LegRole, PlanState
from engine.core.vocabulary import Side
from tests.integration.execution.official_book import most_naked
from tests.integration.execution.test_ord_8_baskets import instrument_of, net_of, over, own_fills
from tests.kit.desk_host import Option, eventually, live_chain, preview_with_margin
from tests.kit.order_requests import know_its_clock, resting_request
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")

OUT_HEDGE, OUT_SHORT = 5, 2
THROUGH = Decimal(2)
"""Rupees through the market: filled at once."""
BURST = 18
"""More orders than two seconds may carry."""
AT_ONCE_S = 0.01


async def test_a_sentence_is_sent_hedge_first_and_ends_on(shared_host: Host) -> None:
    """Short named first in the sentence: the preview turns it round, the exchange fills the hedge first, once."""
    client, root = shared_host.client, shared_host.exchange.root
    view = await live_chain(client)
    hedge, short = Option(view, "ce", OUT_HEDGE), Option(view, "ce", OUT_SHORT)
    rows = {row.tradingsymbol: row for row in [await instrument_of(client, option) for option in (hedge, short)]}
    meaning = await client.interpret(
        f"basket sell 1L {short.words} @ bid-{THROUGH}, buy 1L {hedge.words} @ ask+{THROUGH}, unwind timeout 5s"
    )
    assert meaning.error is None, meaning.error
    assert isinstance(meaning.command, PlaceBasket)
    command = msgspec.structs.replace(meaning.command, idempotency_key="basket-road")

    preview = await preview_with_margin(client, command)
    assert not preview.violations, preview.violations
    assert [(leg.index, leg.role) for leg in preview.legs] == [(1, LegRole.HEDGE), (0, LegRole.SHORT)]
    assert [leg.token for leg in preview.legs] == [hedge.token, short.token]
    assert preview.charges == sum(leg.charges or Decimal("NaN") for leg in preview.legs)
    assert preview.margin_paths is not None
    assert preview.margin_paths.shorts_first is not None
    assert preview.margin_paths.chosen.peak <= preview.margin_paths.shorts_first.peak
    assert preview.eta_s is not None

    receipt = await client.submit(command)
    assert receipt.accepted, receipt.message
    plan = await over(client, receipt.plan)
    assert plan.record.state is PlanState.DONE, plan.record.progress.note
    assert isinstance(plan.record.spec, BasketPlan)
    trades = await own_fills(client, root, plan)
    assert trades[0]["transaction_type"] == Side.BUY
    assert most_naked(trades, rows) == 0
    assert sorted(net_of(trades).values()) == [-short.lot, hedge.lot]


async def test_every_leg_that_refuses_is_told_with_its_number(shared_host: Host) -> None:
    """Two legs whose prices are far off the market: both are named, by the preview and by the real thing."""
    client = shared_host.client
    view = await live_chain(client)
    hedge, short = Option(view, "ce", OUT_HEDGE), Option(view, "ce", OUT_SHORT)
    far = hedge.ask * 3 + 50
    meaning = await client.interpret(f"basket buy 1L {hedge.words} @ {far}, sell 1L {short.words} @ 0.05")
    assert isinstance(meaning.command, PlaceBasket), meaning.error
    preview = await client.preview(meaning.command)
    assert {violation.check.split()[1] for violation in preview.violations} == {"1", "2"}
    receipt = await client.submit(meaning.command)
    assert not receipt.accepted
    assert [violation.check for violation in receipt.violations] == [one.check for one in preview.violations]


async def test_a_used_up_budget_is_told_before_anything_is_sent(shared_host: Host) -> None:
    """Behind a burst an order, and a basket, would wait: the preview says how long, until the burst is over."""
    client = shared_host.client
    request = await resting_request(shared_host)
    order = PlaceOrder(request=request)
    basket = PlaceBasket(legs=(request, request))
    await client.preview(order)
    await know_its_clock(shared_host)
    receipts = await asyncio.gather(*(client.submit(order) for _ in range(BURST)))
    waiting, joined = await asyncio.gather(client.preview(order), client.preview(basket))
    assert waiting.eta_s is not None
    assert waiting.eta_s > 1.0
    assert joined.eta_s is not None
    own = {receipt.orders[0].number for receipt in receipts if receipt.accepted}

    async def sent() -> bool:
        return not any(
            record.number in own and record.state in {OrderState.QUEUED, OrderState.SENDING}
            for record in await client.orders()
        )

    await eventually(sent, "the end of the burst", poll_s=0.1)
    await client.submit(CancelOrders(numbers=tuple(sorted(own))))

    async def free() -> bool:
        return ((await client.preview(order)).eta_s or 0.0) < AT_ONCE_S

    await eventually(free, "a free second", poll_s=0.1)
