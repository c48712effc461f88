"""What taking an order's quantity from the book would cost, and what to do instead if that is dear. Pure.

Five levels are shown of each side; what lies behind them is not known and never guessed.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.instruments import Instrument
from engine.core.money import ZERO
from engine.core.orders import OrderRequest
from engine.core.quotes import DEPTH_LEVELS, Quote, walk_depth
from engine.core.vocabulary import OrderType, Side
from engine.execution.words import grouped, grouped_decimal

PIECES_MAX = 10
"""In more pieces than this an order is no longer sliced but too large for the book."""
LIMIT_REACH = 2
"""An order of up to so many times what is near the touch may rest for its remainder."""


class Advice(StrEnum):
    """What to do with an order."""

    SEND = "send"
    LIMIT = "limit"
    """At the touch, and let the rest of it rest."""
    SLICE = "slice"
    """In pieces that the touch can bear."""
    REDUCE = "reduce"
    """There is no market for so much."""


class Impact(msgspec.Struct, frozen=True, kw_only=True):
    """Figures in rupees and ticks against the touch when it was looked at."""

    touch: Decimal
    filled: int
    """Units the shown levels give within the order's price."""
    beyond: int
    """Units that only levels which are not shown, or nobody, can give."""
    average: Decimal
    """Of what is filled."""
    worst: Decimal
    levels: int
    cost: Decimal
    """Rupees that the filled units pay more than at the touch."""
    ticks: Decimal
    """Of the worst price from the touch."""
    near: int
    """Units to be had close to the touch."""
    advice: Advice
    words: str = ""


def market_impact(
    request: OrderRequest, quote: Quote | None, instrument: Instrument, *, note_percent: Decimal
) -> Impact | None:
    """What the order does to the book now; ``None`` when it meets nobody at once, or nothing is quoted.

    Args:
        request: The order; a limit takes what its price allows, a market order whatever is shown.
        quote: With its depth.
        instrument: Its tick and lot.
        note_percent: Up to which distance from the touch a price is near, percent of the touch.
    """
    if quote is None or request.quantity <= 0 or request.order_type not in {OrderType.MARKET, OrderType.LIMIT}:
        return None
    sign = request.side.sign
    shown = quote.asks if request.side is Side.BUY else quote.bids
    within = tuple(
        level
        for level in shown
        if request.price is None or request.order_type is OrderType.MARKET or (level.price - request.price) * sign <= 0
    )
    if not within:
        return None
    walk = walk_depth(within, request.quantity)
    if walk.average_price is None or walk.worst_price is None:
        return None
    touch = within[0].price
    # A limit's remainder rests at its price: what the book holds beyond that does not concern it.
    is_limited = len(within) < len(shown) and request.order_type is OrderType.LIMIT
    beyond = 0 if is_limited else request.quantity - walk.filled
    reach = abs(touch) * note_percent / 100
    near = sum(level.quantity for level in within if abs(level.price - touch) <= reach)
    cost = (walk.average_price - touch) * sign * walk.filled
    ticks = abs(walk.worst_price - touch) / instrument.tick_size
    is_dear = abs(walk.average_price - touch) > reach or beyond > 0
    advice = _advice(request, near, is_dear=is_dear, lot=instrument.lot_size)
    found = Impact(
        touch=touch,
        filled=walk.filled,
        beyond=beyond,
        average=walk.average_price,
        worst=walk.worst_price,
        levels=walk.levels,
        cost=max(ZERO, cost),
        ticks=ticks,
        near=near,
        advice=advice,
    )
    return msgspec.structs.replace(found, words=_words(found, request, len(within), instrument.lot_size))


def _advice(request: OrderRequest, near: int, *, is_dear: bool, lot: int) -> Advice:
    if not is_dear:
        return Advice.SEND
    if request.order_type is OrderType.MARKET and request.quantity <= LIMIT_REACH * near:
        return Advice.LIMIT
    if near >= lot and request.quantity <= PIECES_MAX * near:
        return Advice.SLICE
    return Advice.REDUCE


def _words(impact: Impact, request: OrderRequest, shown: int, lot: int) -> str:
    worst = f"the last unit {impact.ticks.normalize():f} ticks from the touch" if impact.ticks else "all at the touch"
    said = f"{grouped(impact.filled)} units cost {grouped_decimal(impact.cost)} more than at the touch, {worst}"
    if impact.beyond:
        levels = "all five levels" if shown >= DEPTH_LEVELS else f"the {shown} shown"
        said += (
            f"; {grouped(impact.beyond)} of {grouped(request.quantity)} are beyond {levels}, their price is not known"
        )
    piece = grouped(max(lot, impact.near // lot * lot))
    what = {
        Advice.SEND: "",
        Advice.LIMIT: f" A limit at {impact.touch} pays no more and lets the rest wait.",
        Advice.SLICE: f" Pieces of {piece} would stay near the touch.",
        Advice.REDUCE: f" The book bears about {piece} now: send less.",
    }[impact.advice]
    return f"{said}.{what}"
