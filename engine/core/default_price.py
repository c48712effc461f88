"""At which price an option is ordered when nobody says: at the touch while the spread is narrow, else in its middle.

A market order walks through whatever the book holds. A limit at the touch is filled at once as far as the touch
reaches and never pays more; in a wide book even the touch is dear, and the middle waits for somebody to meet it.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.money import nearest_ticks
from engine.core.quotes import Quote
from engine.core.vocabulary import Side


class SpreadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Up to which spread an option without a price is ordered at the touch, and not in the middle: either is enough."""

    ticks: int = 4
    percent: Decimal = Decimal(1)
    """Of the mid."""


class PriceBasis(StrEnum):
    """Where a default price comes from."""

    TOUCH = "touch"
    MID = "mid"


class DefaultPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A limit, and where it comes from."""

    limit: Decimal
    basis: PriceBasis

    @property
    def crosses(self) -> bool:
        """Whether it meets the other side at once."""
        return self.basis is PriceBasis.TOUCH


def default_price(quote: Quote, side: Side, tick: Decimal, limits: SpreadLimits) -> DefaultPrice | None:
    """The limit for an order of ``side`` now; ``None`` when nobody quotes the side it would meet.

    The mid is moved to a tick on the side that pays less: down for a buy, up for a sell. Whether the quote may be
    trusted is for the caller to know.
    """
    touch, mid = quote.touch(side), quote.mid
    if touch is None:
        return None
    if mid is None or quote.bid is None or quote.ask is None:
        return DefaultPrice(limit=touch, basis=PriceBasis.TOUCH)
    spread = quote.ask - quote.bid
    if spread <= limits.ticks * tick or spread * 100 <= limits.percent * mid:
        return DefaultPrice(limit=touch, basis=PriceBasis.TOUCH)
    below, above = nearest_ticks(mid, tick)
    return DefaultPrice(limit=below if side is Side.BUY else above, basis=PriceBasis.MID)
