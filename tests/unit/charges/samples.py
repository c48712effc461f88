"""Contracts, fills and trades that the tests of charges share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from engine.charges.arithmetic import Fill
from engine.charges.contracts import Contract
from engine.charges.rates import ChargeRates
from engine.charges.strategy_costs import Costs, OpenLeg, StrategyCosts, exit_charges, paid_by_strategy
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, StrategyNumber, TradeId
from engine.core.orders import Trade
from engine.core.vocabulary import Exchange, InstrumentKind, Product, Side

ACCOUNT = AccountId("AB1234")
INDIA = ZoneInfo("Asia/Kolkata")
OCTOBER = date(2026, 10, 5)
"""A day of the newest rates."""
MORNING = datetime(2026, 11, 25, 3, 50, 4, tzinfo=UTC)
"""09:20:04 IST."""
TODAY = date(2026, 11, 25)

NIFTY_CALL = Contract(exchange=Exchange.NFO, kind=InstrumentKind.CALL, underlying="NIFTY")
NIFTY_PUT = Contract(exchange=Exchange.NFO, kind=InstrumentKind.PUT, underlying="NIFTY")
NIFTY_FUTURE = Contract(exchange=Exchange.NFO, kind=InstrumentKind.FUTURE, underlying="NIFTY")
SENSEX_PUT = Contract(exchange=Exchange.BFO, kind=InstrumentKind.PUT, underlying="SENSEX")
SENSEX_FUTURE = Contract(exchange=Exchange.BFO, kind=InstrumentKind.FUTURE, underlying="SENSEX")


def fill(contract: Contract, side: Side, quantity: int, price: str, day: date = OCTOBER) -> Fill:
    """One fill."""
    return Fill(contract=contract, side=side, quantity=quantity, price=Decimal(price), day=day)


def nfo(symbol: str) -> InstrumentKey:
    """An instrument of NSE's derivatives."""
    return InstrumentKey(Exchange.NFO, symbol)


def trade(
    symbol: str,
    signed_quantity: int,
    price: str,
    *,
    order: str,
    number: str = "1",
    exchange: Exchange = Exchange.NFO,
    strategy: int | None = 3,
    at: datetime = MORNING,
) -> Trade:
    """One fill at the broker."""
    return Trade(
        account=ACCOUNT,
        instrument=InstrumentKey(exchange, symbol),
        token=1,
        broker_order_id=BrokerOrderId(order),
        trade_id=TradeId(number),
        side=Side.BUY if signed_quantity > 0 else Side.SELL,
        product=Product.NRML,
        quantity=abs(signed_quantity),
        price=Decimal(price),
        filled_at=at,
        strategy=None if strategy is None else StrategyNumber(strategy),
    )


def paid_charges(rates: ChargeRates, trades: Iterable[Trade], *, zone: ZoneInfo) -> Costs:
    """What fills have paid, as if one strategy had made them all."""
    of_one = [msgspec.structs.replace(fill, strategy=None) for fill in trades]
    return paid_by_strategy(rates, of_one, zone=zone).get(None, Costs())


def strategy_costs(
    rates: ChargeRates, trades: Iterable[Trade], legs: Iterable[OpenLeg], *, day: date, zone: ZoneInfo
) -> StrategyCosts:
    """Paid and exit charges of one strategy."""
    return StrategyCosts(paid=paid_charges(rates, trades, zone=zone), exit=exit_charges(rates, legs, day=day))
