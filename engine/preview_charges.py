"""What an order would cost before it is sent: its charges, those of leaving again, and of being left to expire.

Invariant: a charge that cannot be worked out is ``None`` with the reason in words; nothing is estimated on a price that
nobody quotes now.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from engine.charges.contracts import contract_of
from engine.charges.estimates import PlannedLeg, exercise_charges, planned_charges, round_trip_charges
from engine.charges.rates import ChargeRates
from engine.core.errors import InvalidInput
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.quotes import Quote
from engine.core.vocabulary import InstrumentKind, QuoteState, Side
from engine.execution.words import grouped, grouped_decimal

QUOTED_NOW: Final = frozenset({QuoteState.LIVE, QuoteState.ONE_SIDED})
"""A touch on these is the market's of this moment."""
EXAMPLE_POINTS: Final = Decimal(100)
"""Index points in the money for which an expiring option's charges are told."""

NO_PRICE: Final = "The charges are not known: the book has no price that the order would fill at."


class OrderCharges(NamedTuple):
    """Rupees; ``None`` when not known or when there is no such thing."""

    once: Decimal | None
    round_trip: Decimal | None
    notes: tuple[str, ...] = ()
    """Why one of them is not known."""


def order_charges(rates: ChargeRates, today: date, request: OrderRequest, price: Decimal | None) -> OrderCharges:
    """What the whole order would pay at ``price``, as one order of ``today``; or why that is not known."""
    if price is None:
        return OrderCharges(None, None, (NO_PRICE,))
    try:
        return OrderCharges(planned_charges(rates, _leg(request, price, request.quantity), today).total, None)
    except InvalidInput as error:
        return OrderCharges(None, None, (str(error),))


def charges_and_back(
    rates: ChargeRates, today: date, request: OrderRequest, price: Decimal | None, *, quote: Quote | None, before: int
) -> OrderCharges:
    """The order's charges, and these with leaving what it opens at the present touch.

    Args:
        rates: dated rates.
        today: the exchange's date.
        request: the order.
        price: what it would fill at; ``None`` when that is not known.
        quote: of its instrument now.
        before: signed units of the instrument in the account; an order that only leaves has no way back.
    """
    found = order_charges(rates, today, request, price)
    opened = request.quantity - min(request.quantity, max(0, -before * request.side.sign))
    if found.once is None or price is None or opened <= 0:
        return found
    touch = quote.touch(request.side.opposite) if quote is not None and quote.state in QUOTED_NOW else None
    if touch is None:
        who = "bids for" if request.side is Side.BUY else "offers"
        return found._replace(notes=(f"The charges of the round trip are not known: nobody {who} it now.",))
    try:
        both = round_trip_charges(rates, _leg(request, price, opened), exit_price=touch, day=today)
    except InvalidInput as error:
        return found._replace(notes=(f"The charges of the round trip are not known: {error}",))
    # What the order closes on its way is paid once.
    return found._replace(round_trip=found.once + both.exit.total)


def expiry_notes(
    rates: ChargeRates,
    today: date,
    request: OrderRequest,
    instrument: Instrument,
    after: int,
    *,
    spot: Decimal | None,
    order_quantity_max: int | None,
) -> tuple[str, ...]:
    """On its last day, what a long of a cash-settled option pays that is left to expire in the money; else nothing.

    Args:
        rates: dated rates.
        today: the exchange's date.
        request: the order; only a buy that leaves something long is told.
        instrument: what it is of; an option of an index.
        after: signed units in the account when it has filled.
        spot: the index while it moves, rupees.
        order_quantity_max: the most units one order takes; the settlement counts so many as one.
    """
    strike, held = instrument.strike, min(request.quantity, after)
    if request.side is not Side.BUY or instrument.expiry != today or held <= 0 or strike is None:
        return ()
    inward = 1 if instrument.kind is InstrumentKind.CALL else -1

    def paid(settlement: Decimal) -> str:
        charges = exercise_charges(
            rates,
            contract_of(request.instrument),
            strike=strike,
            settlement=settlement,
            signed_quantity=held,
            day=today,
            cash_settled=True,
            max_order_quantity=order_quantity_max,
        )
        return grouped_decimal(charges.total)

    try:
        words = (
            f"It expires today: {grouped(held)} units left to expire {EXAMPLE_POINTS} points in the money pay "
            f"{paid(strike + inward * EXAMPLE_POINTS)} in charges, on the intrinsic value"
        )
        if spot is not None:
            words += f"; with {instrument.name} at {grouped_decimal(spot)} as now, {paid(spot)}"
    except InvalidInput as error:
        return (f"It expires today; what it pays when left to expire is not known: {error}",)
    return (f"{words}.",)


def _leg(request: OrderRequest, price: Decimal, quantity: int) -> PlannedLeg:
    return PlannedLeg(contract=contract_of(request.instrument), side=request.side, quantity=quantity, price=price)
