"""What the executor shows of itself: one immutable picture for status lines, the blotter and the operations screen."""

from __future__ import annotations

import msgspec

from engine.core.orders import OrderRecord, OrderState
from engine.core.views import BudgetGauge


class ExecutionView(msgspec.Struct, frozen=True, kw_only=True):
    """The executor now."""

    revision: int
    """Grows with every change of an order."""
    orders: tuple[OrderRecord, ...]
    """Unknown first, then working, then the rest, newest first in each."""
    unknown: int
    """Orders whose outcome is not known."""
    working: int
    queued: int
    """Errands waiting to be sent."""
    on_wire: int
    """Requests whose answer is awaited."""
    budget: BudgetGauge
    rate_limited: int
    """Refusals for speed since the start."""
    is_writer: bool
    is_reconciled: bool
    """The broker's book has been read and merged since the start; entries wait for it."""
    mismatches: tuple[str, ...]
    degraded: tuple[str, ...]
    """What does not work as it should, one sentence each."""


def blotter_order(records: tuple[OrderRecord, ...]) -> tuple[OrderRecord, ...]:
    """Unknown first, then working, then the rest; newest first in each."""
    return tuple(sorted(records, key=lambda record: (_urgency(record), -record.number)))


def _urgency(record: OrderRecord) -> int:
    if record.state is OrderState.UNKNOWN:
        return 0
    return 1 if record.state.is_working else 2
