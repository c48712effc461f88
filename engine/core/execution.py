"""Pictures of the order executor for screens and scripts: its health, its dead letters, and why an order happened.

Durations are seconds of this machine; moments are aware UTC, of the market's clock unless they say otherwise.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.core.decisions import LetterState, OrderDecision, UnsentCause
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderRecord
from engine.core.views import BudgetGauge


class QueuedView(msgspec.Struct, frozen=True, kw_only=True):
    """One errand that waits to be sent."""

    number: OrderNumber
    errand: str
    """``place``, ``modify`` or ``cancel``."""
    lane: str
    waited_s: float
    eta_s: float
    """Until it may leave, if nothing more urgent comes in between."""


class BreakerView(msgspec.Struct, frozen=True, kw_only=True):
    """A circuit breaker of one class of the broker's endpoints."""

    endpoint: str
    """``orders`` or ``book``."""
    state: str
    """``closed`` (all is well), ``open`` (not tried) or ``half-open`` (being tried)."""
    failures: int
    """Requests in a row that did not reach the broker."""
    retry_in_s: float | None
    """Until it is tried again; ``None`` unless it is open."""
    opened: int
    """How often it has opened since the start."""
    last_error: str


class LatencyView(msgspec.Struct, frozen=True, kw_only=True):
    """How long one step took, over all orders since the start; ``None`` without any."""

    step: str
    """``queue``, ``send``, ``acknowledge`` or ``fill``."""
    count: int
    mean_s: float | None
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    max_s: float | None


class JournalView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an account's orders can be journalled."""

    account: AccountId
    away_since: datetime | None = None
    """When the first write failed; ``None`` while it is there."""
    why: str = ""
    """Why it is away."""
    is_behind: bool = False
    """It is away, or back without everything, or not compared with the broker's book since."""
    spooled: int = 0
    """Orders that the spool holds something of."""


class ExecutionHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The executor of one account now."""

    account: AccountId
    at: datetime
    budget: BudgetGauge
    queue: tuple[QueuedView, ...]
    """In the order in which they will leave."""
    on_wire: int
    """Requests whose answer is awaited."""
    working: int
    unknown: int
    rate_limited: int
    """Refusals for speed since the start."""
    breakers: tuple[BreakerView, ...]
    latencies: tuple[LatencyView, ...]
    dead_letters: int
    """That nobody has closed or replayed."""
    is_writer: bool
    is_reconciled: bool
    mismatches: tuple[str, ...]
    degraded: tuple[str, ...]
    spooled: int = 0
    """Orders that the spool holds something of: the journal is away, or has been and was not compared since."""
    journal: JournalView | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried with an order."""

    at: datetime
    words: str


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An order that somebody wanted and that will not come, unless a person sends it again."""

    number: OrderNumber
    account: AccountId
    order: OrderRecord
    state: LetterState
    cause: UnsentCause
    why: str
    """One sentence."""
    advice: str
    """What to look at before it is sent again."""
    died_at: datetime
    attempts: tuple[Attempt, ...]
    """What was tried, oldest first."""
    closed_by: str = ""
    """The seat that closed or replayed it."""
    replayed_as: OrderNumber | None = None


class OrderTimings(msgspec.Struct, frozen=True, kw_only=True):
    """How long each step of an order took; ``None`` where it has not come so far, or nobody measured it."""

    queue_s: float | None = None
    """From the receipt to being chosen for the wire."""
    send_s: float | None = None
    """The durable write before the first byte; nothing for an order that was written as leaving at once."""
    acknowledge_s: float | None = None
    """From the first byte to the broker's answer."""
    first_fill_s: float | None = None
    """From the broker's answer to the first fill we learnt of."""
    fill_s: float | None = None
    """From the broker's answer to the last fill."""


class OrderWhy(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order exists and how it went."""

    order: OrderRecord
    decision: OrderDecision | None
    """``None`` for an order from outside, and for one made before decisions were kept."""
    timings: OrderTimings
    history: tuple[OrderEvent, ...]
