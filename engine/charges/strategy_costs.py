"""The charges between a strategy's gross money and its net: what its fills have paid, what leaving now would pay.

``net = gross − paid`` on any mark; ``net at exit = gross on the exit mark − paid − exit charges``. A charge that cannot
be known is named with its reason, and every figure that would need it is ``None``: a net that leaves a charge out is
not a net.

Charges follow the fills: quantity moved to another strategy takes no charges along, and fills of one order in two
strategies share its one brokerage, the earlier fill carrying it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from engine.charges.arithmetic import NO_CHARGES, Charges, Fill, charges_of
from engine.charges.contracts import contract_of
from engine.charges.estimates import PlannedLeg, planned_charges
from engine.charges.rates import ChargeRates
from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, StrategyNumber
from engine.core.ledger import trade_reference
from engine.core.money import ZERO
from engine.core.orders import Trade
from engine.core.vocabulary import Side


class OpenLeg(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of one leg, and what leaving it now would get."""

    name: str
    """``3.2``; names the leg where its charges are unknown."""
    instrument: InstrumentKey
    signed_quantity: int
    """Units, + long, − short; 0 pays nothing."""
    exit_price: Decimal | None
    """Average price that an immediate exit of the whole leg would get, rupees; ``None`` when it cannot be had."""
    max_order_quantity: int | None = None
    """The most units one order takes; ``None``: one order takes the leg."""


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """A sum of charges, and what could not be counted into it."""

    charges: Charges = NO_CHARGES
    """Of all that is known."""
    unknown: tuple[str, ...] = ()
    """What is left out and why, one sentence each; empty when the sum is whole."""

    @property
    def total(self) -> Decimal | None:
        """Rupees; ``None`` when something is left out."""
        return None if self.unknown else self.charges.total


class StrategyCosts(msgspec.Struct, frozen=True, kw_only=True):
    """The charges of one strategy now."""

    paid: Costs
    """By its fills, those of closed legs included."""
    exit: Costs
    """By leaving every open leg now."""

    def net(self, gross: Decimal) -> Decimal | None:
        """Gross money on any mark less what was paid; ``None`` while a charge is unknown."""
        return _less(gross, self.paid)

    def net_at_exit(self, gross_at_exit: Decimal) -> Decimal | None:
        """What flattening now would leave, given gross money on the exit mark; ``None`` while a charge is unknown."""
        return _less(gross_at_exit, self.paid, self.exit)


class OrderKey(NamedTuple):
    """What brokerage is paid once for: one broker order on one day of the exchange."""

    account: AccountId
    instrument: InstrumentKey
    broker_order_id: BrokerOrderId
    side: Side
    day: date


def order_key(trade: Trade, zone: ZoneInfo) -> OrderKey:
    """The order that a fill belongs to; ``zone`` is the exchange's."""
    day = trade.filled_at.astimezone(zone).date()
    return OrderKey(trade.account, trade.instrument, trade.broker_order_id, trade.side, day)


def trade_charges(rates: ChargeRates, trade: Trade, *, zone: ZoneInfo, order_value_before: Decimal = ZERO) -> Charges:
    """What one fill adds to the charges of its order (:func:`order_key`).

    Args:
        rates: dated rates.
        trade: the fill.
        zone: the exchange's time zone, which decides its day.
        order_value_before: quantity × price of the order's earlier fills, rupees.

    Raises:
        InvalidInput: the contract or the day has no rates.
    """
    fill = Fill(
        contract=contract_of(trade.instrument),
        side=trade.side,
        quantity=trade.quantity,
        price=trade.price,
        day=order_key(trade, zone).day,
    )
    return charges_of(rates, fill, order_value_before=order_value_before)


def paid_by_strategy(
    rates: ChargeRates, trades: Iterable[Trade], *, zone: ZoneInfo
) -> dict[StrategyNumber | None, Costs]:
    """What each strategy's fills have paid, given all fills of an account in any order, each counted once however often
    it is given.

    Fills that are in no strategy yet stand under ``None``.
    """
    totals: dict[StrategyNumber | None, Charges] = {}
    unknown: dict[StrategyNumber | None, _Unknown] = {}
    for trade, charges in _each_paid(rates, trades, zone):
        reasons = unknown.setdefault(trade.strategy, _Unknown())
        before = totals.setdefault(trade.strategy, NO_CHARGES)
        if isinstance(charges, str):
            reasons.add(charges)
        else:
            totals[trade.strategy] = before + charges
    return {number: Costs(charges=total, unknown=unknown[number].sentences) for number, total in totals.items()}


def exit_charges(rates: ChargeRates, legs: Iterable[OpenLeg], *, day: date) -> Costs:
    """What leaving every leg now would pay, each leg by orders of its own; ``day`` is the exchange's date."""
    total, unknown = NO_CHARGES, _Unknown()
    for leg in legs:
        if not leg.signed_quantity:
            continue
        if leg.exit_price is None:
            unknown.add(f"{leg.name} {leg.instrument} has no exit price.")
            continue
        try:
            planned = PlannedLeg(
                contract=contract_of(leg.instrument),
                side=Side.SELL if leg.signed_quantity > 0 else Side.BUY,
                quantity=abs(leg.signed_quantity),
                price=leg.exit_price,
                max_order_quantity=leg.max_order_quantity,
            )
            total += planned_charges(rates, planned, day)
        except InvalidInput as error:
            unknown.add(f"{leg.name} {leg.instrument}: {error}")
    return Costs(charges=total, unknown=unknown.sentences)


def _less(gross: Decimal, *costs: Costs) -> Decimal | None:
    net = gross
    for cost in costs:
        total = cost.total
        if total is None:
            return None
        net -= total
    return net


def _each_paid(rates: ChargeRates, trades: Iterable[Trade], zone: ZoneInfo) -> Iterator[tuple[Trade, Charges | str]]:
    """Each fill once, oldest first, with what it added to its order, or why that is not known."""
    once = {(trade.account, trade_reference(trade)): trade for trade in trades}
    values: dict[OrderKey, Decimal] = {}
    for trade in sorted(once.values(), key=lambda trade: (trade.filled_at, trade_reference(trade))):
        key = order_key(trade, zone)
        before = values.get(key, ZERO)
        values[key] = before + trade.quantity * trade.price
        try:
            yield trade, trade_charges(rates, trade, zone=zone, order_value_before=before)
        except InvalidInput as error:
            yield trade, f"Order {trade.broker_order_id}, {trade.instrument}: {error}"


class _Unknown:
    """Sentences, each kept once: many fills of one order share one reason."""

    def __init__(self) -> None:
        self._sentences: dict[str, None] = {}

    def add(self, sentence: str) -> None:
        self._sentences[sentence] = None

    @property
    def sentences(self) -> tuple[str, ...]:
        return tuple(self._sentences)
