"""What keeps new risk from being taken: the hold of the panic key, the kill switch, and the locks of the day.

All are latched: they outlive the engine, and only what is said to end one ends it. None of them ever keeps an exit, a
cancellation or a protective stop from being sent.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from engine.core.identifiers import AccountId


class LockKind(StrEnum):
    """Why new risk is blocked."""

    HOLD = "hold"
    """The panic key's first press; a key releases it."""
    KILL = "kill"
    """The kill switch; unlocking is deliberate."""
    DAILY_LOSS = "daily loss"
    DAILY_PROFIT = "daily profit"
    TRADE_COUNT = "trade count"
    COOL_DOWN = "cool-down"
    """After so many losing exits in a row, or one large one: for a time."""


class LockView(msgspec.Struct, frozen=True, kw_only=True):
    """One lock that is on."""

    account: AccountId
    kind: LockKind
    since: datetime
    """Aware UTC, this machine's clock."""
    until: datetime | None = None
    """When it ends by itself (the end of the day, of the cool-down); ``None``: when a person unlocks it."""
    words: str = ""
    """The figure and its limit: ``day net -75,120, limit -75,000``."""
    seat: str = ""
