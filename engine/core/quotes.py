"""A quote as an object: made only where a person or a rule looks. The tick path lives in columns."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from engine.core.money import ZERO
from engine.core.vocabulary import QuoteState, Side

DEPTH_LEVELS = 5


class DepthLevel(msgspec.Struct, frozen=True):
    """One price level of the book. ``price`` 0 with ``quantity`` 0 never appears: empty levels are left out."""

    price: Decimal
    quantity: int
    orders: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one instrument at one moment. ``None`` means unknown, never zero."""

    token: int
    state: QuoteState
    last: Decimal | None = None
    bids: tuple[DepthLevel, ...] = ()
    """Best first."""
    asks: tuple[DepthLevel, ...] = ()
    """Best first."""
    volume: int | None = None
    open_interest: int | None = None
    previous_close: Decimal | None = None
    exchange_time: datetime | None = None
    """Aware UTC: the exchange's stamp of the packet."""
    received_time: datetime | None = None
    """Aware UTC: when the bytes reached us."""
    age_s: float | None = None
    """Seconds since any packet about this instrument was received."""

    @property
    def bid(self) -> Decimal | None:
        """Best bid."""
        return self.bids[0].price if self.bids else None

    @property
    def ask(self) -> Decimal | None:
        """Best ask."""
        return self.asks[0].price if self.asks else None

    @property
    def mid(self) -> Decimal | None:
        """Half way between bid and ask; ``None`` unless both are there and not crossed."""
        if self.bid is None or self.ask is None or self.bid >= self.ask:
            return None
        return (self.bid + self.ask) / 2

    def touch(self, side: Side) -> Decimal | None:
        """The price an order of ``side`` would meet: the ask for a buy, the bid for a sell."""
        return self.ask if side is Side.BUY else self.bid


class DepthWalk(msgspec.Struct, frozen=True):
    """What taking a quantity from the book would cost."""

    filled: int
    """Units the visible levels can give."""
    average_price: Decimal | None
    worst_price: Decimal | None
    levels: int


def walk_depth(levels: tuple[DepthLevel, ...], quantity: int) -> DepthWalk:
    """Take ``quantity`` (> 0, units) from ``levels``, best first; partial when the book is too thin."""
    left, paid, used, worst = quantity, ZERO, 0, None
    for level in levels:
        if left <= 0:
            break
        taken = min(left, level.quantity)
        if taken <= 0:
            continue
        paid += taken * level.price
        left -= taken
        used += 1
        worst = level.price
    filled = quantity - left
    return DepthWalk(filled, paid / filled if filled else None, worst, used)
