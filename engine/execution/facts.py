"""What the executor asks of the rest of the engine before an order: the market, the positions, the mode.

One instance serves previews and the real thing, so that both judge by the same figures.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

import msgspec

from engine.core.funds_margin import FundsSeen, MarginSeen
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest
from engine.core.quotes import Quote
from engine.core.vocabulary import Mode, Product
from engine.execution.settings import CheckLimits

ENGINE_SEAT: Final = "(engine)"
"""Stands for what plans and housekeeping do by themselves, where a seat is asked for. No terminal or script has this
name."""


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether orders of an instrument's segment can trade now."""

    is_open: bool
    words: str
    """For example ``closed since 15:40, opens Mon 09:15``; stands in the refusal."""
    halt: str = ""
    """Why the market may be halted, without a full stop: entries wait; empty when nothing speaks for it."""


class PriceRange(NamedTuple):
    """Between which prices the exchange takes an order, rupees."""

    low: Decimal
    high: Decimal
    reference: Decimal
    """From which it is reckoned, as well as we know it."""


class HeldPosition(msgspec.Struct, frozen=True, kw_only=True):
    """One net position of the account, with what the dump knows of its contract."""

    instrument: Instrument
    product: Product
    signed_quantity: int
    """Units, + long, − short; never 0."""


class MarketFacts(Protocol):
    """The figures orders are judged by; synchronous pictures of what is here already."""

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        """The row of today's dump; ``None`` when it has none."""
        ...

    def quote(self, instrument: Instrument) -> Quote | None:
        """The quote now; ``None`` when nothing is known."""
        ...

    def freeze_quantity(self, instrument: Instrument) -> int | None:
        """Largest quantity of one order, units; ``None`` when no rule is known."""
        ...

    def positions(self) -> tuple[HeldPosition, ...] | None:
        """All net positions of the account, fills of this moment included; ``None`` while they are not known."""
        ...

    def session(self, instrument: Instrument) -> SessionState:
        """The session of the instrument's segment; expired contracts are closed."""
        ...

    def mode(self, seat: str) -> Mode:
        """READ, CONFIRM or HOT, of a seat; ``ENGINE_SEAT`` for what plans and housekeeping do by themselves."""
        ...

    def price_range(self, instrument: Instrument, quote: Quote | None) -> PriceRange | None:
        """The exchange's band around the price of a quote; ``None`` when no rule or no price is known."""
        ...

    def is_banned(self, instrument: Instrument) -> bool | None:
        """Whether no new positions may be opened in it today; ``None`` when no list of the day is known."""
        ...

    def funds(self) -> FundsSeen | None:
        """Money at the broker as last read; ``None`` before."""
        ...

    def margin(self, request: OrderRequest) -> MarginSeen | None:
        """What the broker has said of exactly this order lately; ``None`` when it has not."""
        ...


class CheckContext(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one check may look at; nothing else is looked at."""

    instrument: Instrument | None
    quote: Quote | None
    freeze_quantity: int | None
    positions: tuple[HeldPosition, ...] | None
    working: tuple[OrderRecord, ...]
    """Orders of the account that may still trade, unknown ones included; the order being modified is left out."""
    recent: tuple[OrderRecord, ...]
    """Orders made within the duplicate window."""
    working_instruments: dict[InstrumentKey, Instrument]
    """The dump's rows of ``working`` that are of other contracts; a missing one counts as the worst."""
    session: SessionState
    mode: Mode
    limits: CheckLimits
    now: datetime
    """Aware UTC, market clock."""
    price_range: PriceRange | None = None
    is_banned: bool | None = False
    """``None`` when no list of the day is known."""
    funds: FundsSeen | None = None
    margin: MarginSeen | None = None
    adds_risk: bool | None = None
    """Of the very order that is judged, when that is known already."""
