"""What the market of this moment asks of an order: its price, the quote it goes by, the book it would meet. Pure."""

from __future__ import annotations

from decimal import Decimal

from engine.core.commands import Violation
from engine.core.money import ZERO
from engine.core.orders import OrderRequest
from engine.core.quotes import Quote
from engine.core.vocabulary import OrderType, QuoteState, Side, Variety
from engine.execution.facts import CheckContext
from engine.execution.impact import Advice, market_impact
from engine.execution.risk import is_risky
from engine.execution.words import grouped_decimal

UNTRUSTED_QUOTES = frozenset({QuoteState.UNKNOWN, QuoteState.STALE, QuoteState.CROSSED})


def price_range(request: OrderRequest, context: CheckContext) -> Violation | None:
    """An entry's limit lies within the exchange's band."""
    message = _beyond_range(request, context)
    if not message or not is_risky(request, context):
        return None
    return Violation(check="band", message=message)


def range_note(request: OrderRequest, context: CheckContext) -> str:
    """The same of an order that only reduces: the band is reckoned from a price that we only know nearly."""
    return "" if is_risky(request, context) else _beyond_range(request, context)


def _beyond_range(request: OrderRequest, context: CheckContext) -> str:
    band, limit = context.price_range, request.price
    # A stop is held against the band when it has been triggered, by the prices of then.
    if band is None or limit is None or request.order_type is not OrderType.LIMIT or band.low <= limit <= band.high:
        return ""
    return (
        f"{limit} is outside the exchange's band, about {grouped_decimal(band.low)} to {grouped_decimal(band.high)} "
        f"around {band.reference}; it would be rejected there."
    )


def distance_through(side: Side, price: Decimal, reference: Decimal | None) -> Decimal | None:
    """Rupees by which ``price`` lies through ``reference`` for an order of ``side``; ``None`` without a reference."""
    if reference is None or reference <= 0:
        return None
    return max(ZERO, (price - reference) * side.sign)


def allowed_distance(reference: Decimal, context: CheckContext) -> Decimal:
    """How far through the market is never too far, rupees."""
    return max(reference * context.limits.price_distance_percent / 100, context.limits.price_distance_floor)


def distance(request: OrderRequest, context: CheckContext) -> Violation | None:
    """A limit is not absurdly far through the market."""
    if context.quote is None or request.price is None or request.order_type is not OrderType.LIMIT:
        return None
    if context.quote.state in UNTRUSTED_QUOTES:
        return None  # an old price says nothing; entries are refused for the quote itself
    reference = context.quote.touch(request.side) or context.quote.last
    through = distance_through(request.side, request.price, reference)
    if reference is None or through is None or through <= allowed_distance(reference, context):
        return None
    edge = "above the market" if request.side is Side.BUY else "below the market"
    return Violation(
        check="distance",
        message=f"{request.price} is {grouped_decimal(through)} {edge}, {reference}; at most "
        f"{context.limits.price_distance_percent} percent or {context.limits.price_distance_floor} is allowed.",
    )


def resting_note(request: OrderRequest, context: CheckContext) -> str:
    """A limit far behind the market is worth a word."""
    quote = context.quote
    if quote is None or request.price is None or request.order_type is not OrderType.LIMIT:
        return ""
    away = distance_through(request.side.opposite, request.price, quote.touch(request.side) or quote.last)
    if away is None or away <= allowed_distance(request.price, context):
        return ""
    return f"{request.price} is {grouped_decimal(away)} away from the market; it will rest."


def quote(request: OrderRequest, context: CheckContext) -> Violation | None:
    """An entry goes by a quote that can be trusted, and is young enough."""
    if context.instrument is None or request.variety is Variety.AMO:
        return None
    state = QuoteState.UNKNOWN if context.quote is None else context.quote.state
    age = context.quote.age_s if context.quote is not None else None
    oldest = context.limits.quote_age_s_max
    if state in UNTRUSTED_QUOTES:
        aged = "" if age is None else f", {age:.1f} s old"
        message = f"The quote of {request.instrument} is {state.name}{aged}; an entry waits for a LIVE one."
    elif oldest is not None and (age is None or age > oldest):
        aged = "of unknown age" if age is None else f"{age:.1f} s old"
        message = f"The quote of {request.instrument} is {aged}; an entry goes by one of at most {oldest:g} s."
    else:
        return None
    return Violation(check="quote", message=message) if is_risky(request, context) else None


def spread(request: OrderRequest, context: CheckContext) -> Violation | None:
    """An entry does not cross a spread that is too wide."""
    widest, found = context.limits.spread_percent_max, context.quote
    if widest is None or found is None or context.instrument is None or not _crosses(request, found):
        return None
    mid = found.mid
    if mid is None or mid <= 0 or found.bid is None or found.ask is None:
        return None
    width = found.ask - found.bid
    if width <= context.limits.spread_ticks_min * context.instrument.tick_size or width * 100 <= widest * mid:
        return None
    if not is_risky(request, context):
        return None
    return Violation(
        check="spread",
        message=f"The spread is {width}, {width * 100 / mid:.0f} percent of the mid; an entry crosses at most {widest} "
        f"percent. A limit near {mid} rests in it.",
    )


def impact(request: OrderRequest, context: CheckContext) -> Violation | None:
    """An entry does not walk further through the book than allowed."""
    most, found = context.limits.impact_percent_max, context.instrument
    if most is None or found is None or context.quote is None or context.quote.mid is None:
        return None
    told = market_impact(request, context.quote, found, note_percent=context.limits.impact_percent_note)
    if told is None:
        return None
    mid = context.quote.mid
    far = abs(told.worst - mid) * 100 / mid
    if (far <= most and not told.beyond) or not is_risky(request, context):
        return None
    return Violation(
        check="impact",
        message=f"The last unit would trade {far:.1f} percent from the mid, at most {most} percent is allowed. "
        f"{told.words}",
    )


def impact_note(request: OrderRequest, context: CheckContext) -> str:
    """What the book makes of it, when it is dear."""
    if context.instrument is None or context.quote is None or context.quote.state in UNTRUSTED_QUOTES:
        return ""
    told = market_impact(request, context.quote, context.instrument, note_percent=context.limits.impact_percent_note)
    return "" if told is None or told.advice is Advice.SEND else f"{told.advice.capitalize()}: {told.words}"


def _crosses(request: OrderRequest, found: Quote) -> bool:
    touch = found.touch(request.side)
    if touch is None:
        return False
    if request.order_type is OrderType.MARKET:
        return True
    if request.order_type is not OrderType.LIMIT or request.price is None:
        return False
    return (request.price - touch) * request.side.sign >= 0
