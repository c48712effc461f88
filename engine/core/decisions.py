"""Why something was done to an order: what decided it, on which figures, and how long each step took.

Kept with the order for good, so that it can be explained months later. Amounts are exact, times aware UTC.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.vocabulary import QuoteState

PERSON = "person"
"""Who decides when no part of the engine does: a terminal, a script, a token."""


class QuoteSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A quote as it was when something was decided on it."""

    instrument: InstrumentKey
    state: QuoteState
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None
    age_s: float | None
    """Seconds since it had last been heard."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of the engine gives as its reason for a command."""

    by: str = PERSON
    """``person``, ``rule r2``, ``plan p1``, ``exit x3``, ``housekeeping`` …"""
    version: str = ""
    """Of that rule or plan: the same name may have meant something else before."""
    words: str = ""
    """What made it act: ``3.1 CE mid 214.22 >= 214.20, three quotes``."""
    quotes: tuple[QuoteSeen, ...] = ()
    """The quotes that proved it, oldest first."""


class OrderDecision(msgspec.Struct, frozen=True, kw_only=True):
    """Why an order was taken, or a change or cancellation asked for: the reason, and what the executor judged by."""

    by: str = PERSON
    version: str = ""
    words: str = ""
    quotes: tuple[QuoteSeen, ...] = ()
    """Of the one who decided; then the quote of the order's own instrument as the checks saw it."""
    seat: str = ""
    """Which attached terminal or script asked; empty for the engine itself."""
    lane: str = ""
    """Priority in the queue: ``EXIT``, ``CANCEL``, ``STOP``, ``HEDGE``, ``MODIFY`` or ``ENTRY``."""
    adds_risk: bool | None = None
    """As judged then; ``None`` when it was not asked (a cancellation never adds)."""
    held_before: int | None = None
    """Signed units of the contract and product that its strategy and the account both held then, as far as no other
    working order of its side and kind (stop, or limit and market) was to take them away; ``None`` when it was not
    known. An order of the other side, and no larger, only takes away."""
    checks: str = ""
    """Version of the checks it passed."""
    notes: tuple[str, ...] = ()
    """What they said without forbidding it."""
    replays: OrderNumber | None = None
    """The dead letter that this order is sent again for."""


class UnsentCause(StrEnum):
    """Why nothing was done: of one request that came back, and of an order that was given up."""

    NONE = ""
    """It was done, or a person took it back."""
    EXPIRED = "expired"
    """It waited too long to be sent."""
    TOO_FAST = "too fast"
    """The broker refused it for speed; an order, until its attempts were used up."""
    UNREACHED = "unreached"
    """No connection could be made."""
    SESSION = "session"
    """The day's login was over."""
    STOPPED = "stopped"
    """The engine ended before it was sent."""
    ABSENT = "absent"
    """Sent, never answered, and not in the broker's book over the whole window."""

    @property
    def is_dead_letter(self) -> bool:
        """Whether somebody who wanted the order must be told that it will not come."""
        return self is not UnsentCause.NONE


class LetterState(StrEnum):
    """Where a dead letter stands."""

    NONE = ""
    """The order is no dead letter, or has turned up after all."""
    OPEN = "open"
    CLOSED = "closed"
    REPLAYED = "replayed"


class EventFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one line of an order's history besides its words. Durations are seconds of this machine."""

    cause: UnsentCause = UnsentCause.NONE
    decision: OrderDecision | None = None
    attempt: int = 0
    """Which request this line is about, from 1; 0 when it is about none."""
    queued_s: float | None = None
    """From being queued to being chosen for the wire."""
    sending_s: float | None = None
    """From being chosen to the first byte: the durable write before it, and what was left of the budget's wait."""
    answer_s: float | None = None
    """From the first byte to the answer, or to giving up waiting for one."""
    filled: int | None = None
    """Units filled in all, on the lines that learnt of a fill."""
    asked: int | None = None
    """Units in all that a modification asks for, on the line of its sending; ``None`` when it leaves them."""
    seat: str = ""
    """Who closed or replayed a dead letter."""
    replayed_as: OrderNumber | None = None


NO_FACTS = EventFacts()
