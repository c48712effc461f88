"""The charges of executed orders, to the paisa.

One executed order in one contract pays each charge once, on its whole traded value, rounded half up to the paisa
charge by charge; the tax on services is taken on the exact sums, before their rounding. A fill pays what it adds to its
order: so brokerage is paid once however many fills an order has, and the fills' charges sum to the order's exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

import msgspec

from engine.charges.contracts import Contract
from engine.charges.rates import ChargeRates, LegRates
from engine.core.errors import InvalidInput
from engine.core.money import ZERO, round_to_paisa
from engine.core.vocabulary import Side


class Charges(msgspec.Struct, frozen=True, kw_only=True):
    """Every charge, rupees, each a whole number of paise; paid, so never negative."""

    brokerage: Decimal = ZERO
    stt: Decimal = ZERO
    """Securities transaction tax."""
    transaction: Decimal = ZERO
    """The exchange's own charge."""
    ipft: Decimal = ZERO
    """The exchange's investor protection fund."""
    sebi: Decimal = ZERO
    """The regulator's turnover fee."""
    stamp: Decimal = ZERO
    gst: Decimal = ZERO
    """On brokerage, transaction, ipft and sebi."""

    @property
    def total(self) -> Decimal:
        """All of them together."""
        return self.brokerage + self.stt + self.transaction + self.ipft + self.sebi + self.stamp + self.gst

    def __add__(self, other: Charges) -> Charges:
        return Charges(
            brokerage=self.brokerage + other.brokerage,
            stt=self.stt + other.stt,
            transaction=self.transaction + other.transaction,
            ipft=self.ipft + other.ipft,
            sebi=self.sebi + other.sebi,
            stamp=self.stamp + other.stamp,
            gst=self.gst + other.gst,
        )

    def __sub__(self, other: Charges) -> Charges:
        return self + other.times(-1)

    def times(self, count: int) -> Charges:
        """The charges of ``count`` orders like this one."""
        return Charges(
            brokerage=self.brokerage * count,
            stt=self.stt * count,
            transaction=self.transaction * count,
            ipft=self.ipft * count,
            sebi=self.sebi * count,
            stamp=self.stamp * count,
            gst=self.gst * count,
        )


NO_CHARGES = Charges()


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """A quantity of one contract bought or sold at one price."""

    contract: Contract
    side: Side
    quantity: int
    """Units, > 0."""
    price: Decimal
    """Rupees a unit, > 0: the premium of an option."""
    day: date
    """The exchange's date."""

    @property
    def value(self) -> Decimal:
        """Traded value, rupees: what the charges are fractions of."""
        return self.quantity * self.price


def charges_of(rates: ChargeRates, fill: Fill, *, order_value_before: Decimal = ZERO) -> Charges:
    """What a fill pays: what it adds to the charges of its order.

    Args:
        rates: dated rates.
        fill: the fill, or a whole order at its average price.
        order_value_before: traded value of the same order's earlier fills of that day, rupees; 0 for the first, which
            carries the brokerage.

    Raises:
        InvalidInput: segment, contract or day without rates, or a quantity, price or earlier value that cannot be.
    """
    _check_fill(fill)
    if not (order_value_before.is_finite() and order_value_before >= ZERO):
        raise InvalidInput(
            f"The order's earlier value is {order_value_before}; it is 0 or more rupees.", field="order_value_before"
        )
    leg = rates.leg(fill.contract, fill.day)
    charges = _charges_on(leg, fill.side, order_value_before + fill.value)
    return charges - _charges_on(leg, fill.side, order_value_before) if order_value_before else charges


def order_charges(rates: ChargeRates, fills: Iterable[Fill]) -> Charges:
    """What one executed order pays, given its fills; nothing without any.

    Raises:
        InvalidInput: as ``charges_of``; or fills of another contract, side or day, which are another order's.
    """
    total, value = NO_CHARGES, ZERO
    first: Fill | None = None
    for fill in fills:
        first = first or fill
        if (fill.contract, fill.side, fill.day) != (first.contract, first.side, first.day):
            raise InvalidInput(
                f"One order has one contract, side and day: {fill.side} {fill.contract} of {fill.day} is not of the "
                f"order {first.side} {first.contract} of {first.day}.",
                field="fills",
            )
        total += charges_of(rates, fill, order_value_before=value)
        value += fill.value
    return total


def _check_fill(fill: Fill) -> None:
    if fill.quantity <= 0:
        raise InvalidInput(f"The quantity is {fill.quantity}; it must be 1 unit or more.", field="quantity")
    if not (fill.price.is_finite() and fill.price > ZERO):
        raise InvalidInput(f"The price is {fill.price}; it must be greater than 0.", field="price")


def _charges_on(leg: LegRates, side: Side, value: Decimal) -> Charges:
    """The charges of an executed order of ``value`` rupees, > 0."""
    brokerage = leg.brokerage_most
    if leg.brokerage_rate is not None:
        brokerage = min(value * leg.brokerage_rate, brokerage)
    transaction, ipft, sebi = value * leg.transaction, value * leg.ipft, value * leg.sebi
    is_sale = side is Side.SELL
    return Charges(
        brokerage=round_to_paisa(brokerage),
        stt=round_to_paisa(value * leg.stt_sell) if is_sale else ZERO,
        transaction=round_to_paisa(transaction),
        ipft=round_to_paisa(ipft),
        sebi=round_to_paisa(sebi),
        stamp=ZERO if is_sale else round_to_paisa(value * leg.stamp_buy),
        gst=round_to_paisa((brokerage + transaction + ipft + sebi) * leg.gst),
    )
