"""What orders would cost before they are sent: one leg, a basket, a round trip, an option left to expire.

Each leg becomes one executed order, or as many as the largest quantity of one order makes of it: every slice pays its
own brokerage. Estimates are at the given prices; what is paid in the end is worked out from the fills.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from engine.charges.arithmetic import NO_CHARGES, Charges, Fill, charges_of
from engine.charges.contracts import Contract
from engine.charges.rates import ChargeRates
from engine.core.errors import InvalidInput
from engine.core.money import ZERO, round_to_paisa
from engine.core.vocabulary import InstrumentKind, Side


class PlannedLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg as it would be sent."""

    contract: Contract
    side: Side
    quantity: int
    """Units, > 0."""
    price: Decimal
    """Rupees a unit, > 0."""
    max_order_quantity: int | None = None
    """The most units one order takes (whole lots within the freeze quantity); ``None``: one order takes them all."""


class RoundTripCharges(msgspec.Struct, frozen=True, kw_only=True):
    """The charges of getting in and out again."""

    entry: Charges
    exit: Charges

    @property
    def total(self) -> Charges:
        """Both ways."""
        return self.entry + self.exit


def planned_charges(rates: ChargeRates, leg: PlannedLeg, day: date) -> Charges:
    """What a leg would pay on ``day``, the exchange's date.

    Raises:
        InvalidInput: segment, contract or day without rates, or a quantity or price that cannot be.
    """
    total = NO_CHARGES
    for quantity, orders in _orders(leg.quantity, leg.max_order_quantity):
        fill = Fill(contract=leg.contract, side=leg.side, quantity=quantity, price=leg.price, day=day)
        total += charges_of(rates, fill).times(orders)
    return total


def round_trip_charges(
    rates: ChargeRates, leg: PlannedLeg, *, exit_price: Decimal, day: date, exit_day: date | None = None
) -> RoundTripCharges:
    """What entering with ``leg`` on ``day`` and leaving at ``exit_price`` would pay.

    Args:
        rates: dated rates.
        leg: the entry.
        exit_price: rupees a unit, > 0.
        day: the exchange's date of the entry.
        exit_day: of the exit; the same day when not given. Rates may change in between.

    Raises:
        InvalidInput: as ``planned_charges``, or an exit before the entry.
    """
    if exit_day is not None and exit_day < day:
        raise InvalidInput(f"The exit on {exit_day} lies before the entry on {day}.", field="exit_day")
    back = msgspec.structs.replace(leg, side=leg.side.opposite, price=exit_price)
    return RoundTripCharges(entry=planned_charges(rates, leg, day), exit=planned_charges(rates, back, exit_day or day))


def exercise_charges(
    rates: ChargeRates,
    contract: Contract,
    *,
    strike: Decimal,
    settlement: Decimal,
    signed_quantity: int,
    day: date,
    cash_settled: bool,
    max_order_quantity: int | None = None,
) -> Charges:
    """What an option pays that is left to expire on ``day``.

    Out of the money it pays nothing. In the money the holder pays transaction tax on the *intrinsic* value, which for
    a deep option is far more than the premium once paid; holder and writer both pay brokerage and the tax on it. No
    exchange charge, regulator's fee or stamp duty is levied on the settlement.

    Args:
        rates: dated rates.
        contract: a call or put.
        strike: rupees.
        settlement: the underlying's final settlement value, rupees.
        signed_quantity: units held, + long, − short.
        day: the expiry, the exchange's date.
        cash_settled: true for index options. Options on stocks settle by delivery, whose charges are not kept here.
        max_order_quantity: the most units one order takes; a larger position counts as several.

    Raises:
        InvalidInput: no option, one settled by delivery, segment or day without rates, or numbers that cannot be.
    """
    exercise = rates.exercise(contract, day)
    if not cash_settled:
        raise InvalidInput(
            f"{contract} settles by delivery of the shares; only charges of cash settlement are known. "
            "Close it before it expires, or ask the broker.",
            field="contract",
        )
    for field, value in (("strike", strike), ("settlement", settlement)):
        if not (value.is_finite() and value > ZERO):
            raise InvalidInput(f"The {field} is {value}; it must be greater than 0.", field=field)
    gain = settlement - strike if contract.kind is InstrumentKind.CALL else strike - settlement
    if gain <= ZERO or not signed_quantity:
        return NO_CHARGES
    orders = sum(count for _, count in _orders(abs(signed_quantity), max_order_quantity))
    brokerage = exercise.brokerage * orders
    return Charges(
        brokerage=round_to_paisa(brokerage),
        stt=round_to_paisa(gain * signed_quantity * exercise.stt) if signed_quantity > 0 else ZERO,
        gst=round_to_paisa(brokerage * exercise.gst),
    )


def _orders(quantity: int, max_order_quantity: int | None) -> list[tuple[int, int]]:
    """Units of one order and how many such orders: the largest ones, then one for what is left over."""
    if max_order_quantity is None:
        return [(quantity, 1)]
    if max_order_quantity <= 0:
        raise InvalidInput(
            f"The most units of one order is {max_order_quantity}; it must be 1 or more, or none.",
            field="max_order_quantity",
        )
    if quantity <= max_order_quantity:
        return [(quantity, 1)]
    whole, rest = divmod(quantity, max_order_quantity)
    return [(max_order_quantity, whole), (rest, 1)] if rest else [(max_order_quantity, whole)]
