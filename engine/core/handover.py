"""What to say to the broker's dealing desk by telephone when orders cannot be sent."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from engine.core.identifiers import AccountId


class HandoverKind(StrEnum):
    """What a sentence is about."""

    POSITION = "position"
    """Something held that would be closed."""
    ORDER = "order"
    """Something working that would be cancelled."""


class HandoverLine(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence to read out."""

    kind: HandoverKind
    subject: str
    """``o40``, or the contract with its product."""
    sentence: str
    note: str = ""
    """For the one who reads it, not to be read out: where the figure is from, and what speaks against it."""
    age_s: float | None = None
    """How old the broker's own figure is; ``None`` when there is none."""


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one account, positions first."""

    account: AccountId
    name: str
    at: datetime
    """Aware UTC, market clock."""
    lines: tuple[HandoverLine, ...]
    notes: tuple[str, ...] = ()
    """What should be known before the first sentence."""
