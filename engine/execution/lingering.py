"""Orders that rest where nothing will come of them, and intraday positions the broker will take off: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.orders import OrderRecord
from engine.core.quotes import Quote
from engine.core.vocabulary import OrderType, Product, QuoteState, Side
from engine.execution.facts import HeldPosition
from engine.execution.housekeeping import RESTING
from engine.execution.words import grouped, grouped_decimal

PERCENT = Decimal(100)
HOUR_S = 3600


class Lingering(msgspec.Struct, frozen=True, kw_only=True):
    """An order that a person may want to cancel."""

    number: OrderNumber
    has_expired: bool
    """Its contract has ended; otherwise it is old and far from the market."""
    words: str


def expired_orders(
    working: Iterable[OrderRecord], now: datetime, ended_at: Callable[[InstrumentKey], datetime | None]
) -> tuple[Lingering, ...]:
    """Orders that rest on a contract whose last moment is over.

    Args:
        working: Orders that may still trade.
        now: Market time.
        ended_at: A contract's last moment; ``None`` when it is not known.
    """
    found = []
    for record in working:
        end = ended_at(record.request.instrument)
        if record.state in RESTING and end is not None and now >= end:
            words = f"o{record.number} rests on {record.request.instrument.tradingsymbol}, which has ended"
            found.append(Lingering(number=record.number, has_expired=True, words=words))
    return tuple(found)


def stale_orders(
    working: Iterable[OrderRecord],
    now: datetime,
    quote: Callable[[InstrumentKey], Quote | None],
    *,
    after_s: float,
    distance_percent: Decimal,
) -> tuple[Lingering, ...]:
    """Limit orders that have rested for long and lie far from the market; only LIVE quotes are judged by.

    Args:
        working: Orders that may still trade, protective ones left out.
        now: Market time.
        quote: An instrument's quote.
        after_s: How long one must have rested unchanged.
        distance_percent: How far from the touch it must lie, percent of the touch.
    """
    found = []
    for record in working:
        price = record.request.price
        rested_s = (now - record.updated_at).total_seconds()
        if record.state not in RESTING or record.request.order_type is not OrderType.LIMIT or price is None:
            continue
        if rested_s < after_s:
            continue
        seen = quote(record.request.instrument)
        touch = None if seen is None or seen.state is not QuoteState.LIVE else seen.touch(record.request.side)
        if touch is None or touch <= 0:
            continue
        away = (touch - price) * record.request.side.sign / touch * PERCENT
        if away >= distance_percent:
            words = (
                f"o{record.number} has rested for {rested_s / HOUR_S:.1f} h at {price}, {away:.0f} percent from the "
                f"market at {touch}"
            )
            found.append(Lingering(number=record.number, has_expired=False, words=words))
    return tuple(found)


class SquareOffWarning(msgspec.Struct, frozen=True, kw_only=True):
    """The broker will take intraday positions off."""

    step: timedelta
    """Which warning it is: so long before."""
    words: str


def square_off_warning(
    now: datetime,
    at: datetime,
    steps: Sequence[timedelta],
    said: frozenset[timedelta],
    *,
    positions: Sequence[HeldPosition],
    quotes: Mapping[InstrumentKey, Quote | None],
    fee: Decimal,
) -> SquareOffWarning | None:
    """The warning that is due now and has not been said today; ``None`` when none is, or nothing is held as MIS.

    Args:
        now: Market time.
        at: When the broker begins, today.
        steps: How long before, any order.
        said: Those said today.
        positions: What is held.
        quotes: Quotes of what is held.
        fee: What the broker takes for each position, rupees.
    """
    intraday = [position for position in positions if position.product is Product.MIS and position.signed_quantity]
    left = at - now
    if not intraday or left <= timedelta(0):
        return None
    due = [step for step in steps if left <= step]
    if not due or min(due) in said:
        return None
    held = ", ".join(
        f"{'+' if position.signed_quantity > 0 else '-'}{grouped(abs(position.signed_quantity))} "
        f"{position.instrument.tradingsymbol}"
        for position in intraday
    )
    minutes = max(1, round(left.total_seconds() / 60))
    cost = _crossing_cost(intraday, quotes)
    crossing = "what crossing the spread costs is not known" if cost is None else f"{grouped_decimal(cost)} of spread"
    taken = grouped_decimal(fee * len(intraday))
    return SquareOffWarning(
        step=min(due),
        words=f"The broker squares MIS positions off in about {minutes} min: {held}. Leaving now costs {crossing}; the "
        f"broker's own square-off takes {taken} more.",
    )


def _crossing_cost(positions: Sequence[HeldPosition], quotes: Mapping[InstrumentKey, Quote | None]) -> Decimal | None:
    """Rupees between the mids and the touches at which everything would leave; ``None`` when a quote lacks one."""
    total = Decimal(0)
    for position in positions:
        quote = quotes.get(position.instrument.key)
        side = Side.SELL if position.signed_quantity > 0 else Side.BUY
        touch = None if quote is None or quote.state is not QuoteState.LIVE else quote.touch(side)
        if quote is None or touch is None or quote.mid is None:
            return None
        total += abs(position.signed_quantity) * abs(quote.mid - touch)
    return total.quantize(Decimal("0.01"))
