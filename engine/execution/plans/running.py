"""One plan as the desk keeps it: its record, the orders that carry its keys, and what came in since the last look."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.orders import OrderRecord
from engine.core.plans import PlanRecord
from engine.core.vocabulary import QuoteState

QuoteMark = tuple[QuoteState, Decimal | None, Decimal | None, Decimal | None]
"""State, bid, ask and last: another mark is a reason to look again."""


class RunningPlan:
    """What is known of one plan. Whoever changes ``record`` holds ``lock`` until it is journalled."""

    __slots__ = (
        "busy", "due", "given_up", "is_kept", "lock", "look_at", "looked_at", "marks", "orders", "owed", "record",
        "refusals", "said", "stirred", "stop_wished", "turns", "waiting", "withdrawn",
    )  # fmt: skip

    def __init__(self, record: PlanRecord, *, is_kept: bool = True) -> None:
        self.record = record
        self.is_kept = is_kept
        """The database has it; an exit begun while there is none is kept in memory alone."""
        self.lock = asyncio.Lock()
        self.orders: dict[str, OrderRecord] = {}
        """By the move's key."""
        self.refusals: dict[str, str] = {}
        self.turns: list[str] = []
        self.said: set[str] = set()
        """Words that a person has been told."""
        self.due = True
        """Look at it now."""
        self.stirred = False
        """Something that it did not make has changed: look at the next turn of the clock."""
        self.look_at: float | None = None
        """Market time, seconds since 1970, at which to look at the latest."""
        self.looked_at = 0.0
        """When it was looked at last, monotonic."""
        self.busy: asyncio.Task[None] | None = None
        """The look that is under way."""
        self.marks: dict[InstrumentKey, QuoteMark] = {}
        """The watched quotes as they were seen last."""
        self.stop_wished = False
        """It is being cancelled or paused: nothing new from now on, not even the rest of the moves under way."""
        self.owed = False
        """Its record stands in memory and is still to be written."""
        self.waiting = ""
        """What keeps it from sending now, which is neither its own nor a refusal."""
        self.withdrawn: dict[OrderNumber, float] = {}
        """When each order was last asked to be cancelled, monotonic."""
        self.given_up: set[OrderNumber] = set()
        """Orders that were presumed absent and are to be cancelled if they are found."""

    def take(self, move: str, order: OrderRecord) -> None:
        """An order of this plan stands so."""
        self.orders[move] = order
        self.refusals.pop(move, None)
        self.due = True
