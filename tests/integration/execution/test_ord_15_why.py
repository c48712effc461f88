"""ORD-15 on the practice exchange: what a machine did to an order names its rule, its quotes and its times."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.client import EngineClient
from engine.core.decisions import PERSON, OrderDecision
from engine.core.execution import OrderWhy
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderState
from engine.core.plans import PlanNumber, PlanState, PlanView
from engine.execution.housekeeping import HOUSEKEEPING
from tests.integration.execution.official_book import filled_at, fills
from tests.kit.desk_host import TICK, Option, comes_to, eventually, filled, live_chain, say
from workstation.assembly import Host

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def done(client: EngineClient, number: PlanNumber | None) -> PlanView:
    """Wait until a plan has reached its goal."""

    async def ended() -> PlanView | None:
        view = next((one for one in await client.plans() if one.record.number == number), None)
        return view if view is not None and view.record.state is PlanState.DONE else None

    return await eventually(ended, f"the end of p{number}")


def machines(why: OrderWhy) -> list[OrderDecision]:
    """Decisions about an order that no person took, its own first."""
    later = [event.facts.decision for event in why.history]
    return [decision for decision in (why.decision, *later) if decision is not None and decision.by != PERSON]


def is_proven(decision: OrderDecision) -> bool:
    """The rule has a version and words, and at least one quote with a price stands beside them."""
    seen = any(quote.bid is not None or quote.ask is not None for quote in decision.quotes)
    return bool(decision.version) and bool(decision.words) and seen


def timed(why: OrderWhy) -> None:
    """Every step of an order that was filled was measured."""
    took = why.timings
    for seconds in (took.queue_s, took.send_s, took.acknowledge_s, took.first_fill_s, took.fill_s):
        assert seconds is not None
        assert seconds >= 0
    assert took.acknowledge_s
    assert took.fill_s is not None
    assert took.first_fill_s is not None
    assert took.fill_s >= took.first_fill_s


async def test_ord_15_every_order_of_an_exit_names_its_plan_and_its_quotes(shared_host: Host) -> None:
    """An exit's orders and the stop that went with it: rule, version, quotes, times; a person's says person."""
    client, root = shared_host.client, shared_host.exchange.root
    view = await live_chain(client)
    made = await say(client, "new told-why")
    assert made.strategy is not None, made.message
    option = Option(view, "ce", 3)
    entry = await filled(client, f"sell 2L {option.words} @ bid-1.5 into {made.strategy}")
    own = await client.why(entry.number)
    assert own.decision is not None
    assert (own.decision.by, machines(own)) == (PERSON, [])
    assert own.decision.quotes[-1].bid is not None
    timed(own)
    trigger = option.ask * 3 // 2 // TICK * TICK
    stop = await say(client, f"buy 2L {option.words} stop {trigger} @ {trigger + Decimal(2)} into {made.strategy}")
    assert stop.accepted, stop.message
    guard = stop.orders[0].number
    await comes_to(client, guard, OrderState.TRIGGER_PENDING)
    receipt = await say(client, f"exit {made.strategy} now")
    assert receipt.accepted, receipt.message
    ended = await done(client, receipt.plan)
    assert ended.orders
    trades = {str(trade["order_id"]): trade for trade in fills(root)}
    for number in ended.orders:
        why = await client.why(OrderNumber(number))
        (decision, *_) = machines(why)
        assert decision.by == f"plan p{receipt.plan}"
        assert is_proven(decision), decision
        timed(why)
        # What we say of the last fill is what the exchange has recorded.
        (fill,) = [event for event in why.history if event.trigger == "BOOK_COMPLETE" and event.applied]
        assert fill.wall_at is not None
        assert fill.wall_at >= filled_at(trades[str(why.order.broker_order_id)])
    await comes_to(client, guard, OrderState.CANCELLED)
    about = machines(await client.why(guard))
    assert about, "the stop went and nobody says why"
    assert all(decision.by.startswith("plan p") or decision.by == HOUSEKEEPING for decision in about)
    assert all(decision.version and decision.words for decision in about)
