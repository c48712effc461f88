"""Which price takes a position off at each step of the written schedule, from one quote: pure arithmetic.

The steps go from resting at the own side of the book to the edge of what the exchange takes. A later step is never
less aggressive than an earlier one. Where no quote may be trusted the price is the broker's: at market, protected.
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

import msgspec

from engine.core.money import nearest_ticks
from engine.core.quotes import Quote, walk_depth
from engine.core.vocabulary import QuoteState, Side
from engine.execution.plans.bounds import PERCENT_MAX

TRUSTED = frozenset({QuoteState.LIVE, QuoteState.ONE_SIDED})
"""Quotes that may be priced on; of a one-sided one only what is there is used."""


class PriceStep(IntEnum):
    """How far a price goes to be filled."""

    JOIN = 1
    """Rest at the best price of the own side."""
    MID = 2
    """Half way."""
    TOUCH = 3
    """Meet the other side's best."""
    THROUGH = 4
    """A little beyond it: what moves away in the meantime is met too."""
    SWEEP = 5
    """As deep as the visible book needs."""
    EDGE = 6
    """The edge of the price band, or of what a price may lie away from the market."""

    @property
    def words(self) -> str:
        """``price 3 of 6, meets the other side``."""
        return f"price {self.value} of {len(PriceStep)}, {_WORDS[self]}"


_WORDS = {
    PriceStep.JOIN: "rests at its own side",
    PriceStep.MID: "half way",
    PriceStep.TOUCH: "meets the other side",
    PriceStep.THROUGH: "a little through the other side",
    PriceStep.SWEEP: "through the visible book",
    PriceStep.EDGE: "at the edge of what is taken",
}


class PriceReach(msgspec.Struct, frozen=True, kw_only=True):
    """How far prices may go."""

    through_percent: Decimal = Decimal("0.5")
    """Of the touch, for ``THROUGH``; a tick at least."""
    edge_percent: Decimal = Decimal(18)
    """Of the touch: the edge lies no further away, so that no check refuses a price that the market has just left."""
    edge_floor: Decimal = Decimal("1.8")
    """Rupees: the edge of a cheap option lies at least so far away."""

    def __post_init__(self) -> None:
        """Refuse what is no distance.

        Raises:
            ValueError: a distance is not above 0, the edge lies before the step through the touch, or beyond 100 %.
        """
        figures = (self.through_percent, self.edge_percent, self.edge_floor)
        is_known = all(figure.is_finite() for figure in figures)
        if not is_known or not 0 < self.through_percent <= self.edge_percent <= PERCENT_MAX or self.edge_floor <= 0:
            raise ValueError(
                "distances are above 0: through_percent at most edge_percent, edge_percent at most 100, "
                f"not {self.through_percent}, {self.edge_percent} and {self.edge_floor}"
            )


def trusted(quote: Quote | None) -> Quote | None:
    """The quote, if it may be priced on."""
    return quote if quote is not None and quote.state in TRUSTED else None


def step_price(
    step: PriceStep,
    side: Side,
    quote: Quote,
    *,
    tick: Decimal,
    quantity: int,
    band: tuple[Decimal, Decimal] | None,
    reach: PriceReach,
) -> Decimal | None:
    """The limit of an order of ``side`` at ``step``; ``None`` when the quote names no price at all.

    Args:
        step: Of the schedule.
        side: BUY to take a short off.
        quote: One that may be trusted.
        tick: Of the contract.
        quantity: Units that are to go, for the depth.
        band: Lowest and highest price the exchange takes.
        reach: How far prices may go.
    """
    prices = [
        found
        for each in PriceStep
        if each <= step and (found := _price(each, side, quote, Terms(tick, quantity, reach))) is not None
    ]
    if not prices:
        return None
    price = max(prices) if side is Side.BUY else min(prices)
    return _within(price, side, tick, band)


class Terms(NamedTuple):
    """What a price is made with besides the quote."""

    tick: Decimal
    quantity: int
    reach: PriceReach


def _price(step: PriceStep, side: Side, quote: Quote, terms: Terms) -> Decimal | None:
    tick, quantity, reach = terms
    own, other = quote.touch(side.opposite), quote.touch(side)
    match step:
        case PriceStep.JOIN:
            return own
        case PriceStep.MID:
            return None if quote.mid is None else _passive(quote.mid, side, tick)
        case PriceStep.TOUCH:
            return other
        case PriceStep.THROUGH:
            if other is None:
                return None
            more = max(tick, other * reach.through_percent / 100)
            return _eager(other + side.sign * more, side, tick)
        case PriceStep.SWEEP:
            levels = quote.asks if side is Side.BUY else quote.bids
            worst = walk_depth(levels, quantity).worst_price if levels and quantity > 0 else None
            return None if worst is None else worst + side.sign * tick
        case PriceStep.EDGE:
            reference = other if other is not None else quote.last if quote.last is not None else own
            if reference is None or reference <= 0:
                return None
            more = max(reach.edge_floor, reference * reach.edge_percent / 100)
            return _passive(reference + side.sign * more, side, tick)


def _passive(price: Decimal, side: Side, tick: Decimal) -> Decimal:
    below, above = nearest_ticks(price, tick)
    return below if side is Side.BUY else above


def _eager(price: Decimal, side: Side, tick: Decimal) -> Decimal:
    below, above = nearest_ticks(price, tick)
    return above if side is Side.BUY else below


def _within(price: Decimal, side: Side, tick: Decimal, band: tuple[Decimal, Decimal] | None) -> Decimal:
    if band is not None:
        low, high = band
        price = (
            min(price, _passive(high, Side.BUY, tick))
            if side is Side.BUY
            else max(price, _passive(low, Side.SELL, tick))
        )
    return max(price, tick)


def mark_of(quote: Quote | None) -> Decimal | None:
    """The price something is decided at: the mid, or where one side is missing the last trade."""
    known = trusted(quote)
    if known is None:
        return None
    return known.mid if known.mid is not None else known.last
