"""The checks of the fake engine: a few, with sentences like the real ones."""

from __future__ import annotations

from decimal import Decimal

from engine.core.commands import Preview, Violation
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.quotes import Quote, walk_depth
from engine.core.vocabulary import Mode, QuoteState, Side

MARGIN_PER_LOT = Decimal(118_000)
LOTS_MAX = 60
CHARGE = Decimal("27.35")
"""What any order of this engine pays."""
CHARGE_BACK = Decimal("31.18")
"""What leaving again pays."""


def preview_order(
    request: OrderRequest, instrument: Instrument, quote: Quote | None, *, mode: Mode, writer: bool, held: int
) -> Preview:
    """What an order would do, and every check it breaks."""
    price = request.price or Decimal(0)
    violations = []
    if request.quantity % instrument.lot_size:
        message = f"{request.quantity} units is not a multiple of the lot, {instrument.lot_size}."
        violations.append(Violation(check="lot", message=message))
    if price % instrument.tick_size:
        violations.append(Violation(check="tick", message=f"{price} is off the tick, {instrument.tick_size}."))
    if request.quantity > LOTS_MAX * instrument.lot_size:
        violations.append(
            Violation(
                check="cap", message=f"{request.quantity // instrument.lot_size}L asked, your cap is {LOTS_MAX}L."
            )
        )
    if mode is Mode.READ:
        violations.append(Violation(check="mode", message="Mode is READ and this adds risk. A c arms CONFIRM."))
    if not writer:
        violations.append(Violation(check="writer", message="Another engine is the writer of AB1234; this one reads."))
    if quote is None or quote.state in {QuoteState.STALE, QuoteState.CLOSED, QuoteState.UNKNOWN}:
        word = "unknown" if quote is None else quote.state.name
        violations.append(Violation(check="quote", message=f"The quote is {word}; wait for a live one."))
    lots = Decimal(request.quantity) / instrument.lot_size
    cash = -request.side.sign * request.quantity * price
    verb, word = f"{request.side.value.capitalize()}s", "receives" if cash > 0 else "pays"
    return Preview(
        sentence=f"{verb} {request.quantity} {instrument.tradingsymbol} and {word} {abs(cash):,.2f}.",
        violations=tuple(violations),
        notes=("The wing is not covered.",) if request.side is Side.SELL else (),
        request=request,
        lots=lots,
        lot_size=instrument.lot_size,
        token=instrument.token,
        quote=quote,
        cash=cash,
        charges=CHARGE,
        round_trip_charges=CHARGE + CHARGE_BACK,
        impact=walk_depth(quote.asks if request.side is Side.BUY else quote.bids, request.quantity) if quote else None,
        margin=MARGIN_PER_LOT * lots if request.side is Side.SELL else Decimal(0),
        position_before=held,
        position_after=held + request.side.sign * request.quantity,
    )
