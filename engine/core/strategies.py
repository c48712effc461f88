"""Strategies, their legs, and the marks their money is counted at."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.identifiers import AccountId, InstrumentKey, StrategyNumber
from engine.core.positions import Holding
from engine.core.vocabulary import Mark, Product

DEFAULT_STRATEGY_NAME = "main"


class StrategyState(StrEnum):
    """Archiving hides a strategy; it does not close its positions."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """A named bag of legs. Each account has one default strategy that holds what no other claims."""

    number: StrategyNumber
    account: AccountId
    name: str
    is_default: bool
    state: StrategyState = StrategyState.ACTIVE
    created_at: datetime


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument and product inside a strategy. Its number never changes and is never used again there."""

    strategy: StrategyNumber
    number: int
    """``3.2`` is leg 2 of strategy 3."""
    instrument: InstrumentKey
    token: int
    product: Product
    multiplier: Decimal = Decimal(1)
    holding: Holding = Holding()


class LegValue(msgspec.Struct, frozen=True, kw_only=True):
    """A leg valued now. ``None`` means that mark cannot be had; the reason stands beside it."""

    leg: Leg
    marks: dict[Mark, Decimal | None]
    profit: dict[Mark, Decimal | None]
    """Realised plus unrealised, gross of charges, rupees."""
    reason: str = ""


class StrategyValue(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy valued now, gross and net of charges. ``partial`` names legs left out of the total of that mark."""

    strategy: Strategy
    legs: tuple[LegValue, ...]
    profit: dict[Mark, Decimal]
    """Gross: sum over the legs that have the mark; 0 for no legs."""
    realised: Decimal
    partial: dict[Mark, tuple[str, ...]]
    """Leg names (``3.2``) without that mark; empty when the total is whole."""
    delta: float | None = None
    """Rupees per index point; ``None`` when any open leg has none."""
    theta: float | None = None
    """Rupees per calendar day."""
    charges_paid: Decimal | None = None
    """What its fills have paid, rupees; ``None`` when a charge is not known."""
    exit_charges: Decimal | None = None
    """What leaving every open leg now, at the exit mark, would pay; ``None`` when a charge or an exit is not known."""
    charge_notes: tuple[str, ...] = ()
    """Why charges are not known, one sentence each."""
    net: dict[Mark, Decimal | None] = {}
    """``profit`` less the charges paid, partial where it is; ``None`` while those are not known."""
    net_at_exit: Decimal | None = None
    """What leaving now would leave: profit on the exit mark less the charges paid and those of the exit."""

    @property
    def open_legs(self) -> int:
        """Legs with a quantity."""
        return sum(1 for value in self.legs if value.leg.holding.signed_quantity)


class M2mCandle(msgspec.Struct, frozen=True, kw_only=True):
    """One minute of a strategy's money on the last mark: true open, high, low, close. A missing minute is a gap."""

    strategy: StrategyNumber
    minute: datetime
    """Aware UTC, start of the minute of market time."""
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    samples: int
    """How many valuations it was made of."""

    def with_sample(self, value: Decimal) -> M2mCandle:
        """The candle after one more valuation in its minute."""
        return msgspec.structs.replace(
            self, high=max(self.high, value), low=min(self.low, value), close=value, samples=self.samples + 1
        )
