"""Triggers that stand at the broker (GTT): one price, or two of which one cancels the other."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey
from engine.core.vocabulary import Product, Side


class GttKind(StrEnum):
    """As Kite spells it."""

    SINGLE = "single"
    OCO = "two-leg"


class GttOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent when its trigger is reached; always a limit."""

    trigger_price: Decimal
    side: Side
    quantity: int
    """Units."""
    price: Decimal
    product: Product = Product.NRML
    result_order_id: BrokerOrderId | None = None
    """The order it became."""
    result_words: str = ""
    """What the broker said when it was sent."""


class GttRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to stand at the broker."""

    instrument: InstrumentKey
    kind: GttKind
    orders: tuple[GttOrder, ...]
    """One; for OCO two, the lower trigger first."""


class GttStatus(StrEnum):
    """As Kite spells it; ``UNKNOWN`` and ``PRESUMED_ABSENT`` are ours."""

    ACTIVE = "active"
    TRIGGERED = "triggered"
    DISABLED = "disabled"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    DELETED = "deleted"
    UNKNOWN = "unknown"
    """Sent, no trustworthy answer; looked for by its condition, orders and time of making."""
    PRESUMED_ABSENT = "presumed absent"


class Gtt(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger as the broker tells it."""

    trigger_id: int
    """The broker's; 0 while it is not known."""
    account: AccountId
    request: GttRequest
    status: GttStatus
    created_at: datetime | None
    """Aware UTC."""
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    last_price: Decimal | None = None
    """Of the instrument when it was made."""
    message: str = ""
    is_outside: bool = False
    """An active one that was not left by this desk."""
