"""Plans for screens and scripts: their steps, how far they are, and what they lost or gained on the way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.money import ZERO
from engine.core.orders import OrderRecord
from engine.core.plans import PlanRecord, PlanStep, PlanView
from engine.execution.plans.picture import numbers_of
from engine.execution.plans.running import RunningPlan

NAKED_QUANTITY, NAKED_SINCE = "naked_quantity", "naked_since"
"""Facts of plans that can leave something uncovered: units, and the moment since when."""
SLIPPAGE, ELAPSED = "slippage", "elapsed_s"
"""Facts of plans that reckon these from the broker's trades at their end: rupees, and market seconds."""


def plan_view(plan: RunningPlan, steps: Sequence[PlanStep], *, now: datetime, eta_s: float | None) -> PlanView:
    """One plan as it stands.

    Args:
        plan: With its orders.
        steps: As its algorithm tells them.
        now: Market time.
        eta_s: Until the last of its queued orders may leave.
    """
    record, orders = plan.record, tuple(plan.orders.values())
    started = min((order.created_at for order in orders), default=None)
    ended = record.finished_at or now
    facts = record.progress.facts
    naked = int(facts.get(NAKED_QUANTITY) or 0)
    since = facts.get(NAKED_SINCE)
    return PlanView(
        record=_with_waiting(record, plan.waiting),
        steps=tuple(steps),
        orders=numbers_of(plan.orders),
        eta_s=eta_s,
        slippage=Decimal(facts[SLIPPAGE]) if SLIPPAGE in facts else slippage(steps, orders),
        naked_quantity=naked,
        naked_s=(ended - datetime.fromisoformat(since)).total_seconds() if naked and since else None,
        elapsed_s=float(facts[ELAPSED])
        if ELAPSED in facts
        else None
        if started is None
        else (ended - started).total_seconds(),
        started_at=started,
    )


def kept_view(record: PlanRecord) -> PlanView:
    """A plan as the database has it, for who only looks."""
    return PlanView(record=record)


def slippage(steps: Sequence[PlanStep], orders: Sequence[OrderRecord]) -> Decimal | None:
    """Rupees against the decided prices, + is better than decided; ``None`` before the first fill."""
    decided = {number: step.decided_price for step in steps for number in step.orders}
    total: Decimal | None = None
    for order in orders:
        price = decided.get(order.number)
        if price is None or order.average_price is None or not order.filled_quantity:
            continue
        better = (price - order.average_price) * order.request.side.sign * order.filled_quantity
        total = (total or ZERO) + better
    return total


def _with_waiting(record: PlanRecord, waiting: str) -> PlanRecord:
    """The record with what keeps it from going on, if anything does."""
    if not waiting or record.state.is_over:
        return record
    note = f"{record.progress.note} {waiting}".strip()
    return msgspec.structs.replace(record, progress=msgspec.structs.replace(record.progress, note=note))
