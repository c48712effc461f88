"""Differences between this desk's books and the broker's: items that stay until they are gone or explained."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from engine.core.identifiers import AccountId


class MismatchKind(StrEnum):
    """What differs."""

    ORDER = "order"
    """An order that is at the broker by our book, and not by its own."""
    TWIN = "twin"
    """Two orders at the broker carry one tag of ours."""
    FILLS = "fills"
    """An order's filled quantity and its trades."""
    POSITION = "position"
    """The broker's net of a contract and product, and what the strategies hold together."""
    LEDGER = "ledger"
    """The ledger in any other way."""
    TRIGGER = "trigger"
    """A standing trigger (GTT)."""


class MismatchState(StrEnum):
    """Where an item stands."""

    OPEN = "open"
    EXPLAINED = "explained"
    """A person has said why; open again when the difference becomes another one."""
    GONE = "gone"
    """Both books say the same again."""


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """One difference. Replaced, never mutated."""

    mismatch_id: str
    """The same for the same account, kind and subject, whenever it is seen: ``m1f3c09a2``."""
    account: AccountId
    kind: MismatchKind
    subject: str
    """What it is about: an order, a contract with its product, a trigger."""
    words: str
    """One sentence with both figures, without its full stop."""
    ours: str
    """Our figure."""
    theirs: str
    """The broker's."""
    difference: str
    """What an explanation is about: as long as it is the same, the item stays explained."""
    state: MismatchState
    first_seen: datetime
    """Aware UTC, market clock: of this time round, if it had been gone before."""
    last_seen: datetime
    explained_by: str = ""
    """The seat of the person."""
    explanation: str = ""
    """What the person said."""
    explained_at: datetime | None = None
