"""What a plan's algorithm sees and what it may answer. An algorithm decides; it never waits, sends or writes.

``advance`` is a pure function of the picture: the same picture gives the same moves. Whatever it must remember over a
restart is in the plan's progress or in the orders that carry its keys, so a plan that is begun again goes on where it
was. A placement's key is ``p12/`` followed by the move's own; a key that has made an order never makes another, so that
an algorithm may ask for the same move again and again until it sees its order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.core.commands import OrderChange
from engine.core.decisions import QuoteSeen
from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest, Trade
from engine.core.plans import PlanProgress, PlanRecord, PlanState, PlanStep
from engine.core.quotes import Quote
from engine.core.vocabulary import Product
from engine.execution.lanes import Lane


def no_fills(_: OrderRecord) -> tuple[Trade, ...]:
    """Nothing has been read yet."""
    return ()


def no_order(_: OrderNumber) -> OrderRecord | None:
    """Nothing is known of it."""
    return None


class PlanPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an algorithm may look at; taken at one moment."""

    plan: PlanRecord
    now: datetime
    """Aware UTC, market clock."""
    orders: Mapping[str, OrderRecord]
    """Every order this plan has made, by the move's key (without ``p12/``). One that was refused before it was
    journalled is in ``refusals`` instead."""
    refusals: Mapping[str, str]
    """The words of the last refusal of a key that has no order; forgotten over a restart."""
    instrument: Callable[[InstrumentKey], Instrument | None]
    quote: Callable[[Instrument], Quote | None]
    """With its state; only a LIVE one may be priced on."""
    freeze_quantity: Callable[[Instrument], int | None]
    """Units; ``None`` when no rule is known."""
    net: Callable[[InstrumentKey, Product], int | None]
    """The account's signed units with every fill of this moment; ``None`` while it is not known."""
    allocation: Callable[[int, InstrumentKey, Product], int | None]
    """A strategy's signed units of a contract and product; ``None`` while it is not known."""
    working: Callable[[InstrumentKey], tuple[OrderRecord, ...]]
    """Orders of the account in a contract that may still trade, the plan's own included, unknown ones too."""
    price_band: Callable[[Instrument], tuple[Decimal, Decimal] | None]
    """Lowest and highest price that the exchange takes now; ``None`` when it is not known."""
    is_open: Callable[[Instrument], bool]
    """Whether its session is open."""
    fills: Callable[[OrderRecord], tuple[Trade, ...]] = no_fills
    """The broker's trades of an order as last read; they may come a moment later than its filled quantity."""
    order: Callable[[OrderNumber], OrderRecord | None] = no_order
    """Any order of the account that is still in memory, ended ones too."""
    turns: tuple[str, ...] = ()
    """What a person has asked since the last look: ``hurry``, ``patient``, ``resume``."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Send an order, once."""

    key: str
    """Of the move, unique in the plan: ``leg2/0``."""
    request: OrderRequest
    words: str
    """Why, for the record."""
    quotes: tuple[QuoteSeen, ...] = ()
    lane: Lane | None = None
    """``HEDGE`` for a leg that others wait for, ``EXIT`` for one that brings flat."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Change a resting order of the plan; left out while one is under way."""

    number: OrderNumber
    change: OrderChange
    words: str
    quotes: tuple[QuoteSeen, ...] = ()


class Withdraw(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel an order of the plan; left out while one is under way."""

    number: OrderNumber
    words: str


Move = Place | Change | Withdraw


class Advance(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a picture."""

    moves: tuple[Move, ...] = ()
    progress: PlanProgress
    """Journalled before any of the moves is made, if it differs from the plan's."""
    state: PlanState = PlanState.RUNNING
    """RUNNING, or PAUSED (``progress.note`` asks a person), or an end."""
    look_again: datetime | None = None
    """Market time at which to look again at the latest, if neither an order nor a quote it watches changes."""
    alarm: str = ""
    """What a person should read now; the same words are said once."""


class Algorithm(Protocol):
    """Decides for one kind of plan. Holds no state of its own."""

    def advance(self, picture: PlanPicture) -> Advance:
        """What to do next."""
        ...

    def stop(self, picture: PlanPicture) -> Advance:
        """What to do when it is being cancelled: withdraw what rests; an end once nothing rests."""
        ...

    def watched(self, plan: PlanRecord) -> tuple[InstrumentKey, ...]:
        """The instruments whose quotes it needs."""
        ...

    def steps(self, picture: PlanPicture) -> tuple[PlanStep, ...]:
        """How far it is, for a screen."""
        ...
