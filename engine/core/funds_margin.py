"""What orders would block at the broker, as its own calculator answers. Rupees."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.money import ZERO
from engine.core.positions import Funds


class MarginParts(msgspec.Struct, frozen=True, kw_only=True):
    """Of what a margin is made."""

    span: Decimal = ZERO
    exposure: Decimal = ZERO
    premium: Decimal = ZERO
    """Of options: + paid, − received."""

    @property
    def collateral(self) -> Decimal:
        """What is kept against a loss to come; premium is paid and gone."""
        return self.span + self.exposure


class BasketMargin(msgspec.Struct, frozen=True, kw_only=True):
    """What several orders would block together, beside what the account holds when that was asked for."""

    initial: Decimal
    """While the legs go one after the other, hedges not counted yet."""
    final: Decimal
    """Once all legs are filled."""
    orders: tuple[Decimal, ...]
    """What each would block alone, in the order asked."""
    initial_parts: MarginParts = MarginParts()
    final_parts: MarginParts = MarginParts()


class MarginSeen(msgspec.Struct, frozen=True, kw_only=True):
    """A broker's answer about one order that is kept for a while."""

    needed: Decimal
    """What must be free for it to be taken."""
    raises: bool
    """Whether the margin that the account has to keep grows when it has filled."""
    age_s: float


class FundsSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Money at the broker, as it was last read."""

    funds: Funds
    age_s: float


class MarginAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A basket's margin beside the money that is there, for a person."""

    margin: BasketMargin
    available: Decimal | None
    """Free at the broker; ``None`` while it is not known."""
    at: datetime
    """Aware UTC, market clock."""
