"""What is asked of the broker that is no order and carries no tag of ours: triggers that stand there, and conversions.

Journalled before it is sent, like an order. An answer that is lost leaves it UNKNOWN: a trigger is looked for by its
condition, its orders and the time it was made, a conversion by comparing what is held in both products before and
after. It is never sent again. The table of states is data; what it does not list is recorded and changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NewType

import msgspec

from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.standing_triggers import GttRequest
from engine.core.vocabulary import Product, Side

InstructionNumber = NewType("InstructionNumber", int)
"""An identity for good; given by the journal."""


class InstructionKind(StrEnum):
    """What is asked."""

    PLACE_GTT = "place gtt"
    MODIFY_GTT = "modify gtt"
    DELETE_GTT = "delete gtt"
    CONVERT = "convert"


class InstructionState(StrEnum):
    """Where it is on its way."""

    SENDING = "SENDING"
    """Journalled; it may be on the wire from now on."""
    UNKNOWN = "UNKNOWN"
    """It may have been done. Looked for; never sent again."""
    DONE = "DONE"
    REFUSED = "REFUSED"
    """The broker's definite no."""
    NOT_SENT = "NOT_SENT"
    """Provably nothing left."""
    PRESUMED_ABSENT = "PRESUMED_ABSENT"
    """Looked for over the whole window without its effect showing. A late one is still adopted, and alarmed."""

    @property
    def is_over(self) -> bool:
        """Nothing more is expected."""
        return self not in {InstructionState.SENDING, InstructionState.UNKNOWN}


TRANSITIONS = frozenset(
    {
        (InstructionState.SENDING, InstructionState.DONE),
        (InstructionState.SENDING, InstructionState.REFUSED),
        (InstructionState.SENDING, InstructionState.NOT_SENT),
        (InstructionState.SENDING, InstructionState.UNKNOWN),
        (InstructionState.UNKNOWN, InstructionState.DONE),
        (InstructionState.UNKNOWN, InstructionState.PRESUMED_ABSENT),
        # A late appearance: the broker did it after we had given it up.
        (InstructionState.PRESUMED_ABSENT, InstructionState.DONE),
    }
)
"""(from, to). What is not listed is illegal."""


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """Quantity of a position that changes its product."""

    instrument: InstrumentKey
    side: Side
    """Of the position: BUY for a long one."""
    quantity: int
    """Units, > 0."""
    from_product: Product
    to_product: Product
    overnight: bool = False
    """Carried from an earlier day, rather than of today."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the broker told before it was asked: the effect is what differs from this."""

    outside: bool = False
    """It was not asked here: it was done on the phone, by another program or by the market, and read off the list."""
    triggers: tuple[int, ...] = ()
    """Ids of all triggers it listed."""
    has_triggers: bool = False
    """Whether they could be read."""
    from_quantity: int = 0
    """Signed units held in the old product."""
    to_quantity: int = 0
    from_traded: int = 0
    """Signed units of the day's fills in the old product by then: fills in between are no conversion."""
    to_traded: int = 0


class Instruction(msgspec.Struct, frozen=True, kw_only=True):
    """One of them as it stands. Replaced, never mutated."""

    number: InstructionNumber
    """0 before the journal has given one."""
    account: AccountId
    kind: InstructionKind
    state: InstructionState = InstructionState.SENDING
    idempotency_key: str
    gtt: GttRequest | None = None
    """What the trigger is to say."""
    trigger_id: int | None = None
    """The broker's; of a new one as soon as it is known."""
    conversion: Conversion | None = None
    baseline: Baseline = Baseline()
    message: str = ""
    """The broker's words, or ours, about its last change."""
    seat: str = ""
    created_at: datetime
    """Aware UTC, market clock; also when it was sent."""
    updated_at: datetime


class InstructionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of its history."""

    number: InstructionNumber
    account: AccountId
    from_state: InstructionState
    to_state: InstructionState
    at: datetime
    """Aware UTC, market clock."""
    wall_at: datetime | None = None
    """Aware UTC, this machine's clock."""
    detail: str = ""
    sequence: int = 0
    """Given by the journal."""
