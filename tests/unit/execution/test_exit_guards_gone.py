"""Protective orders that an exit no longer sees: what they may have taken too much is what their records say."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.vocabulary import Exchange, OrderType, Side
from engine.execution.plans.exit_guards import gone_units
from engine.execution.plans.plan_facts import Facts

NUMBER, UNITS = OrderNumber(41), 195
FACTS = Facts({"g0": f"{NUMBER}:{UNITS}"})
NOW = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)


def guard(state: OrderState, filled: int) -> OrderRecord:
    """A stop beside a short leg, as it ended."""
    request = OrderRequest(
        instrument=InstrumentKey(exchange=Exchange.NFO, tradingsymbol="NIFTY26NOV24300CE"),
        side=Side.BUY,
        quantity=UNITS,
        order_type=OrderType.SL,
        price=Decimal(92),
        trigger_price=Decimal(91),
    )
    return OrderRecord(
        number=NUMBER,
        intent_id=None,
        account=AccountId("PR0001"),
        tag=None,
        request=request,
        state=state,
        filled_quantity=filled,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("state", "filled", "expected"),
    [
        (OrderState.CANCELLED, 0, 0),
        (OrderState.CANCELLED, 65, 65),
        (OrderState.NOT_SENT, 0, 0),
        (OrderState.REJECTED, 0, 0),
        (OrderState.COMPLETE, UNITS, UNITS),
        (OrderState.UNKNOWN, 0, UNITS),
        (OrderState.PRESUMED_ABSENT, 0, UNITS),
    ],
)
def test_one_that_has_ended_has_taken_what_it_filled(state: OrderState, filled: int, expected: int) -> None:
    """A cancelled stop has taken nothing, so nothing is taken back for it; of an unsure one all may have filled."""
    assert gone_units(FACTS, 0, frozenset(), lambda _: guard(state, filled)) == expected


def test_one_that_is_not_known_may_have_filled_and_one_that_waits_has_not() -> None:
    """Without a record all of it counts; while it waits nothing does."""
    assert gone_units(FACTS, 0, frozenset()) == UNITS
    assert gone_units(FACTS, 0, frozenset({int(NUMBER)})) == 0
