"""Between gross and net: a day of one strategy, orders in parts, and what cannot be known."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from engine.charges.arithmetic import NO_CHARGES
from engine.charges.rates import ChargeRates, read_charge_rates
from engine.charges.strategy_costs import (
    Costs,
    OpenLeg,
    StrategyCosts,
    exit_charges,
    order_key,
    paid_by_strategy,
    trade_charges,
)
from engine.core.identifiers import InstrumentKey, StrategyNumber
from engine.core.orders import Trade
from engine.core.positions import Holding
from engine.core.vocabulary import Exchange
from tests.unit.charges.samples import INDIA, MORNING, TODAY, nfo, paid_charges, strategy_costs, trade

FLY = (
    trade("NIFTY26D0124950CE", 650, "14.30", order="1"),
    trade("NIFTY26D0123800PE", 650, "15.45", order="2"),
    trade("NIFTY26D0124350CE", -650, "171.35", order="3"),
    trade("NIFTY26D0124350PE", -650, "149.35", order="4"),
    trade("NIFTY26D0124350PE", 650, "128.40", order="5", at=datetime(2026, 11, 25, 5, 33, 10, tzinfo=UTC)),
    trade("NIFTY26D0124400PE", -650, "151.20", order="6", at=datetime(2026, 11, 25, 5, 33, 10, tzinfo=UTC)),
    trade("NIFTY26D0124350CE", 650, "214.85", order="7", at=datetime(2026, 11, 25, 7, 39, 39, tzinfo=UTC)),
)
"""A straddle with wings: sold at 09:20, its put rolled at 11:03, its call stopped at 13:09."""
LAST = {"NIFTY26D0124950CE": "19.15", "NIFTY26D0123800PE": "7.75", "NIFTY26D0124400PE": "123.95"}
TOUCH = {"NIFTY26D0124950CE": "19.10", "NIFTY26D0123800PE": "7.65", "NIFTY26D0124400PE": "124.10"}


@pytest.fixture(scope="module")
def rates() -> ChargeRates:
    """The rates shipped."""
    return read_charge_rates()


def holdings(trades: tuple[Trade, ...]) -> dict[str, Holding]:
    """What fills leave held, by symbol."""
    held: dict[str, Holding] = {}
    for fill in trades:
        symbol = fill.instrument.tradingsymbol
        held[symbol] = held.get(symbol, Holding()).after_fill(fill.signed_quantity, fill.price)
    return held


def gross(trades: tuple[Trade, ...], prices: dict[str, Decimal]) -> Decimal:
    """Realised plus unrealised at prices by symbol; what is flat needs none."""
    return sum(
        (
            holding.profit(prices[symbol]) if holding.signed_quantity else holding.realised
            for symbol, holding in holdings(trades).items()
        ),
        Decimal(0),
    )


def legs(trades: tuple[Trade, ...], prices: dict[str, Decimal]) -> list[OpenLeg]:
    """Every leg, flat ones too, with the price of leaving it."""
    return [
        OpenLeg(
            name=f"3.{number}",
            instrument=nfo(symbol),
            signed_quantity=holding.signed_quantity,
            exit_price=prices.get(symbol),
        )
        for number, (symbol, holding) in enumerate(holdings(trades).items(), start=1)
    ]


def decimals(prices: dict[str, str]) -> dict[str, Decimal]:
    """Prices as numbers."""
    return {symbol: Decimal(price) for symbol, price in prices.items()}


def test_a_strategy_of_the_desk_in_whole_rupees(rates: ChargeRates) -> None:
    """Gross +1,202, charges −863, net +339 on the last mark, with realised −14,658 and open +15,860."""
    costs = strategy_costs(rates, FLY, legs(FLY, decimals(TOUCH)), day=TODAY, zone=INDIA)
    on_last = gross(FLY, decimals(LAST))
    assert costs.paid.total == Decimal("863.47")
    assert on_last == Decimal("1202.50")
    assert costs.net(on_last) == Decimal("339.03")
    realised = sum((holding.realised for holding in holdings(FLY).values()), Decimal(0))
    assert (realised, on_last - realised) == (Decimal("-14657.50"), Decimal("15860.00"))


def test_what_flattening_leaves(rates: ChargeRates) -> None:
    """Gross on the exit mark, less what was paid, less the three exit orders; a walk of 970 ticks makes it −45."""
    at_touch = decimals(TOUCH)
    costs = strategy_costs(rates, FLY, legs(FLY, at_touch), day=TODAY, zone=INDIA)
    assert costs.exit.total == Decimal("140.52")
    assert costs.net_at_exit(gross(FLY, at_touch)) == Decimal("1007.50") - Decimal("863.47") - Decimal("140.52")
    walked = {
        "NIFTY26D0124950CE": Decimal("19.10") - Decimal("0.05") * 320 / 650,
        "NIFTY26D0123800PE": Decimal("7.65") - Decimal("0.05") * 325 / 650,
        "NIFTY26D0124400PE": Decimal("124.10") + Decimal("0.05") * 325 / 650,
    }
    deep = strategy_costs(rates, FLY, legs(FLY, walked), day=TODAY, zone=INDIA)
    left = deep.net_at_exit(gross(FLY, walked))
    assert left is not None
    assert round(left) == -45


def test_the_entry_alone(rates: ChargeRates) -> None:
    """Before the roll the four entry orders have cost 503 rupees."""
    assert paid_charges(rates, FLY[:4], zone=INDIA).total == Decimal("503.44")


def test_one_order_in_three_fills_pays_one_brokerage(rates: ChargeRates) -> None:
    """Parts of an order cost what the order costs, in whatever order they arrive."""
    parts = [
        trade("NIFTY26D0124350CE", -quantity, "171.35", order="3", number=str(number))
        for number, quantity in enumerate((65, 260, 325), start=1)
    ]
    whole = paid_charges(rates, [FLY[2]], zone=INDIA)
    assert paid_charges(rates, parts, zone=INDIA) == whole
    assert paid_charges(rates, parts[::-1], zone=INDIA) == whole
    assert whole.charges.brokerage == 20


def test_a_fill_given_twice_is_paid_once(rates: ChargeRates) -> None:
    """The broker's book repeats fills at every look."""
    assert paid_charges(rates, (*FLY, *FLY), zone=INDIA) == paid_charges(rates, FLY, zone=INDIA)


def test_fills_of_the_same_number_in_two_orders_are_two(rates: ChargeRates) -> None:
    """A trade id is unique only together with its order."""
    twins = [trade("NIFTY26D0124350CE", -65, "100", order=order, number="9") for order in ("1", "2")]
    assert paid_charges(rates, twins, zone=INDIA).charges.brokerage == 40


def test_the_running_sum_agrees_with_the_whole(rates: ChargeRates) -> None:
    """Adding each fill as it comes, knowing only its order's earlier value, ends at the same charges."""
    fills = [
        trade("NIFTY26D0124350CE", -quantity, price, order="3", number=str(number))
        for number, (quantity, price) in enumerate(((65, "171.35"), (260, "171.30"), (325, "171.25")), start=1)
    ]
    values: dict[object, Decimal] = {}
    running = NO_CHARGES
    for fill in fills:
        key = order_key(fill, INDIA)
        before = values.get(key, Decimal(0))
        running += trade_charges(rates, fill, zone=INDIA, order_value_before=before)
        values[key] = before + fill.quantity * fill.price
    assert paid_charges(rates, fills, zone=INDIA) == Costs(charges=running)


def test_one_order_in_two_strategies_pays_one_brokerage(rates: ChargeRates) -> None:
    """The earlier fill carries it; both strategies together pay what the order pays."""
    first = trade("NIFTY26D0124350CE", -260, "171.35", order="3", number="1", strategy=3)
    second = trade("NIFTY26D0124350CE", -390, "171.35", order="3", number="2", strategy=4)
    split = paid_by_strategy(rates, [second, first], zone=INDIA)
    three, four = split[StrategyNumber(3)].charges, split[StrategyNumber(4)].charges
    assert three.brokerage == 20
    assert four.brokerage == 0
    assert three + four == paid_charges(rates, [first, second], zone=INDIA).charges


def test_a_fill_without_a_strategy_stands_apart(rates: ChargeRates) -> None:
    """It is counted, under no number."""
    loose = trade("NIFTY26D0124350CE", -65, "171.35", order="8", strategy=None)
    split = paid_by_strategy(rates, [*FLY, loose], zone=INDIA)
    assert set(split) == {StrategyNumber(3), None}
    assert split[StrategyNumber(3)].total == Decimal("863.47")


def test_the_day_is_the_exchanges(rates: ChargeRates) -> None:
    """A fill of 31 March 20:00 UTC is of 1 April in India and pays by the new rates."""
    late = trade("NIFTY26APR24000CE", -650, "120", order="1", at=datetime(2026, 3, 31, 20, 0, tzinfo=UTC))
    assert order_key(late, INDIA).day == date(2026, 4, 1)
    assert paid_charges(rates, [late], zone=INDIA).charges.stt == Decimal("117.00")


def test_a_strategy_without_legs_has_paid_nothing(rates: ChargeRates) -> None:
    """Zero, not unknown; its net is its gross."""
    costs = strategy_costs(rates, [], [], day=TODAY, zone=INDIA)
    assert costs == StrategyCosts(paid=Costs(), exit=Costs())
    assert costs.net(Decimal(0)) == costs.net_at_exit(Decimal(0)) == 0


def test_a_leg_without_an_exit_price_leaves_the_net_known(rates: ChargeRates) -> None:
    """Only the exit figure is unknown, and it names the leg."""
    prices = decimals(TOUCH)
    del prices["NIFTY26D0123800PE"]
    costs = strategy_costs(rates, FLY, legs(FLY, prices), day=TODAY, zone=INDIA)
    assert costs.net(Decimal(0)) == Decimal("-863.47")
    assert costs.net_at_exit(Decimal(0)) is None
    assert costs.exit.total is None
    assert costs.exit.unknown == ("3.2 NFO:NIFTY26D0123800PE has no exit price.",)
    assert costs.exit.charges.brokerage == 40


def test_a_charge_that_is_unknown_makes_the_net_unknown(rates: ChargeRates) -> None:
    """A commodity fill has no rates: the sum of the rest is kept, the net is not shown, the reason is said once."""
    crude = [
        trade("CRUDEOIL26DEC6000CE", 100, "50", order="9", number=number, exchange=Exchange.MCX)
        for number in ("1", "2")
    ]
    costs = paid_charges(rates, [*FLY, *crude], zone=INDIA)
    assert costs.total is None
    assert costs.charges.total == Decimal("863.47")
    assert len(costs.unknown) == 1
    assert "Order 9, MCX:CRUDEOIL26DEC6000CE: Charges on MCX are not known" in costs.unknown[0]
    assert StrategyCosts(paid=costs, exit=Costs()).net(Decimal(1000)) is None
    assert StrategyCosts(paid=costs, exit=Costs()).net_at_exit(Decimal(1000)) is None
    assert paid_by_strategy(rates, [*FLY, *crude], zone=INDIA)[StrategyNumber(3)] == costs


def test_a_fill_older_than_the_rates_is_unknown(rates: ChargeRates) -> None:
    """It is not priced by the first row that comes after it."""
    old = trade("NIFTY24SEP24000CE", -25, "120", order="1", at=datetime(2024, 9, 2, 5, 0, tzinfo=UTC))
    assert paid_charges(rates, [old], zone=INDIA).total is None


def test_an_exit_in_another_segment_is_unknown(rates: ChargeRates) -> None:
    """The leg is named with the reason."""
    leg = OpenLeg(
        name="1.4",
        instrument=InstrumentKey(Exchange.MCX, "CRUDEOIL26DEC6000CE"),
        signed_quantity=100,
        exit_price=Decimal(50),
    )
    costs = exit_charges(rates, [leg], day=TODAY)
    assert costs.total is None
    assert costs.unknown[0].startswith("1.4 MCX:CRUDEOIL26DEC6000CE: Charges on MCX are not known")


def test_an_exit_beyond_the_largest_order_is_several(rates: ChargeRates) -> None:
    """6,500 units leave by four orders, a short by buying: four brokerages and no transaction tax."""
    leg = OpenLeg(
        name="3.1",
        instrument=nfo("NIFTY26D0124350CE"),
        signed_quantity=-6500,
        exit_price=Decimal(100),
        max_order_quantity=1755,
    )
    costs = exit_charges(rates, [leg], day=MORNING.date())
    assert costs.charges.brokerage == 80
    assert costs.charges.stt == 0
