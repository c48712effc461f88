"""The price of an order that names none: the touch of a narrow book, the middle of a wide one."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.default_price import PriceBasis, SpreadLimits, default_price
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import QuoteState, Side

TICK = Decimal("0.05")
LIMITS = SpreadLimits(ticks=4, percent=Decimal(1))


def quote(bid: str | None, ask: str | None) -> Quote:
    """A quote of one level a side."""

    def levels(price: str | None) -> tuple[DepthLevel, ...]:
        return () if price is None else (DepthLevel(Decimal(price), 65, 1),)

    return Quote(token=1, state=QuoteState.LIVE, bids=levels(bid), asks=levels(ask))


@pytest.mark.parametrize(
    ("bid", "ask", "side", "limit", "basis"),
    [
        ("10.00", "10.20", Side.BUY, "10.20", PriceBasis.TOUCH),
        ("10.00", "10.20", Side.SELL, "10.00", PriceBasis.TOUCH),
        ("10.00", "10.25", Side.BUY, "10.10", PriceBasis.MID),
        ("10.00", "10.25", Side.SELL, "10.15", PriceBasis.MID),
        ("200.00", "202.00", Side.BUY, "202.00", PriceBasis.TOUCH),
        ("200.00", "202.10", Side.BUY, "201.05", PriceBasis.MID),
        (None, "10.20", Side.BUY, "10.20", PriceBasis.TOUCH),
        ("10.30", "10.20", Side.BUY, "10.20", PriceBasis.TOUCH),
    ],
)
def test_touch_or_middle(bid: str | None, ask: str, side: Side, limit: str, basis: PriceBasis) -> None:
    """Narrow by ticks or by share is the touch; else the middle, on a tick, on the side that pays less."""
    found = default_price(quote(bid, ask), side, TICK, LIMITS)
    assert found is not None
    assert (found.limit, found.basis) == (Decimal(limit), basis)
    assert found.crosses is (basis is PriceBasis.TOUCH)


def test_without_anybody_to_meet_there_is_no_price() -> None:
    """A buy where nobody offers."""
    assert default_price(quote("10.00", None), Side.BUY, TICK, LIMITS) is None
