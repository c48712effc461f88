"""Things that happened, as a lasting numbered list. Prices are not events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from engine.core.identifiers import AccountId
from engine.core.vocabulary import Severity


class EventKind(StrEnum):
    """What an event is about."""

    ORDER = "order"
    TRADE = "trade"
    STRATEGY = "strategy"
    FEED = "feed"
    SESSION = "session"
    STORAGE = "storage"
    SYSTEM = "system"


class EngineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the event list. Sequences have no holes; a reader that sees one takes a new snapshot."""

    sequence: int
    at: datetime
    """Aware UTC, market clock."""
    kind: EventKind
    severity: Severity
    text: str
    """One sentence for a person."""
    subject: str = ""
    """What it is about in a person's words: ``o40``, ``#3``, ``NIFTY``."""
    seat: str = ""
    """Which attached terminal or script caused it; empty for the engine itself."""
    account: AccountId | None = None
    """Whose it is; ``None``: it concerns everybody."""
