"""A dry run and the real thing give the same answer, whatever is asked."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.core.commands import PlaceOrder
from engine.core.funds_margin import MarginSeen
from engine.core.orders import OrderRequest
from engine.core.vocabulary import InstrumentKind, Mode, OrderType, Product, QuoteState, Side, Validity, Variety
from engine.execution.facts import PriceRange
from tests.kit.fake_broker import option
from tests.unit.execution.desk import Desk

KEYS = [row.key for row in (option(), option(24_100), option(24_000, InstrumentKind.PUT), option(9))]
prices = st.none() | st.sampled_from(["0", "-5", "1", "104.95", "105", "105.03", "120", "151.20", "400"]).map(Decimal)
requests = st.builds(
    OrderRequest,
    instrument=st.sampled_from(KEYS),
    side=st.sampled_from(Side),
    quantity=st.sampled_from([-65, 0, 1, 65, 130, 195, 1755, 1820, 5005]),
    order_type=st.sampled_from(OrderType),
    product=st.sampled_from(Product),
    price=prices,
    trigger_price=prices,
    validity=st.sampled_from(Validity),
    variety=st.sampled_from(Variety),
    market_protection=st.none() | st.sampled_from([-1, 0, 2, 101]).map(Decimal),
    validity_ttl=st.none() | st.integers(0, 5),
    iceberg_legs=st.none() | st.integers(1, 3),
    iceberg_quantity=st.none() | st.sampled_from([65, 70]),
    disclosed_quantity=st.none() | st.integers(0, 65),
    auction_number=st.none() | st.just("22"),
)


@given(
    st.lists(requests, min_size=1, max_size=5),
    st.sampled_from([Mode.READ, Mode.CONFIRM, Mode.HOT]),
    st.sampled_from([QuoteState.LIVE, QuoteState.STALE]),
    st.none() | st.dictionaries(st.sampled_from(KEYS[:3]), st.sampled_from([-130, -65, 65, 130]), max_size=3),
    st.booleans(),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_dry_run_says_what_the_real_thing_says(
    wanted: list[OrderRequest],
    mode: Mode,
    state: QuoteState,
    held: dict[object, int] | None,
    constrained: bool,
) -> None:
    """Order for order, with what the earlier ones have left: the same violations, in the same words and order; what
    the dry run finds sound is journalled and its notes are kept with it.
    """

    async def both() -> None:
        async with Desk() as desk:
            desk.facts.current_mode, desk.facts.state = mode, state
            desk.facts.held = held  # type: ignore[assignment]
            if constrained:
                desk.facts.band = PriceRange(Decimal(100), Decimal(110), Decimal(105))
                desk.facts.banned = {"NIFTY"}
                margin = MarginSeen(needed=Decimal(10**9), raises=True, age_s=0.0)
                desk.facts.margins = dict.fromkeys(wanted, margin)
            for request in wanted:
                violations, notes, adds_risk = desk.executor.check(request)
                receipt = await desk.executor.place(PlaceOrder(request=request))
                assert receipt.violations == violations
                assert receipt.accepted is not bool(violations)
                if receipt.accepted:
                    intent = await desk.journal.intent(receipt.orders[0].number)
                    assert intent is not None
                    assert intent.decision is not None
                    assert (intent.decision.notes, intent.decision.adds_risk) == (notes, adds_risk)

    asyncio.run(both())
