"""Charges neither appear nor vanish: however an order is filled, given, split between strategies or sliced."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from engine.charges.arithmetic import NO_CHARGES, Charges, Fill, charges_of, order_charges
from engine.charges.contracts import Contract, contract_of
from engine.charges.estimates import PlannedLeg, planned_charges, round_trip_charges
from engine.charges.rates import read_charge_rates
from engine.charges.strategy_costs import paid_by_strategy
from engine.core.identifiers import InstrumentKey
from engine.core.orders import Trade
from engine.core.vocabulary import Exchange, InstrumentKind, Side
from tests.unit.charges.samples import INDIA, paid_charges, trade

RATES = read_charge_rates()
FIRST_DAY = date(2024, 10, 1)
LINES = ("brokerage", "stt", "transaction", "ipft", "sebi", "stamp", "gst")
NAMES = ("NIFTY", "BANKNIFTY", "NIFTYNXT50", "SENSEX", "SENSEX50", "BANKEX", "M&M", "BAJAJ-AUTO", "360ONE", "NAM-INDIA")
MONTH_CODES = "123456789OND"

days = st.dates(FIRST_DAY, RATES.last_day)
sides = st.sampled_from(Side)
prices = st.integers(1, 1_800_000).map(lambda ticks: ticks * Decimal("0.05"))
quantities = st.integers(1, 5_000)
contracts = st.builds(
    Contract,
    exchange=st.sampled_from((Exchange.NFO, Exchange.BFO)),
    kind=st.sampled_from((InstrumentKind.CALL, InstrumentKind.PUT, InstrumentKind.FUTURE)),
    underlying=st.sampled_from(("NIFTY", "SENSEX", "RELIANCE")),
)
orders = st.builds(Fill, contract=contracts, side=sides, quantity=quantities, price=prices, day=days)
parts = st.lists(st.tuples(quantities, prices), min_size=1, max_size=12)


class Piece(NamedTuple):
    """A fill to be made into a trade."""

    order: int
    signed_quantity: int
    price: Decimal
    strategy: int
    second: int


pieces = st.lists(
    st.builds(
        Piece,
        order=st.integers(1, 4),
        signed_quantity=st.integers(1, 2_000),
        price=prices,
        strategy=st.integers(1, 3),
        second=st.integers(0, 5),
    ),
    max_size=15,
)


def trades_of(pieces: list[Piece]) -> list[Trade]:
    """Trades, each with an identity of its own; odd orders sell."""
    morning = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
    return [
        trade(
            "NIFTY26DEC24000CE",
            piece.signed_quantity * (-1 if piece.order % 2 else 1),
            str(piece.price),
            order=str(piece.order),
            number=str(number),
            strategy=piece.strategy,
            at=morning + timedelta(seconds=piece.second),
        )
        for number, piece in enumerate(pieces)
    ]


def half_up(value: Decimal) -> Decimal:
    """To the paisa."""
    return value.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


@given(contracts, sides, days, parts)
def test_fills_pay_what_their_order_pays(
    contract: Contract, side: Side, day: date, parts: list[tuple[int, Decimal]]
) -> None:
    """The charges of the fills, each no less than nothing, sum to the charges on the order's whole value."""
    fills = [Fill(contract=contract, side=side, quantity=quantity, price=price, day=day) for quantity, price in parts]
    value = sum((fill.value for fill in fills), Decimal(0))
    whole = charges_of(RATES, Fill(contract=contract, side=side, quantity=1, price=value, day=day))
    assert order_charges(RATES, fills) == whole
    before = Decimal(0)
    for fill in fills:
        added = charges_of(RATES, fill, order_value_before=before)
        assert all(getattr(added, line) >= 0 for line in LINES)
        before += fill.value


@given(orders)
def test_each_line_is_its_rate_rounded_once(order: Fill) -> None:
    """Worked out the long way from the day's rates, line by line."""
    leg, value = RATES.leg(order.contract, order.day), order.quantity * order.price
    brokerage = leg.brokerage_most if leg.brokerage_rate is None else min(value * leg.brokerage_rate, Decimal(20))
    services = brokerage + value * (leg.transaction + leg.ipft + leg.sebi)
    expected = Charges(
        brokerage=half_up(brokerage),
        stt=half_up(value * leg.stt_sell) if order.side is Side.SELL else Decimal(0),
        transaction=half_up(value * leg.transaction),
        ipft=half_up(value * leg.ipft),
        sebi=half_up(value * leg.sebi),
        stamp=half_up(value * leg.stamp_buy) if order.side is Side.BUY else Decimal(0),
        gst=half_up(services * Decimal("0.18")),
    )
    charges = charges_of(RATES, order)
    assert charges == expected
    assert charges.total == sum((getattr(charges, line) for line in LINES), Decimal(0))
    assert charges.total == half_up(charges.total)


@given(orders, prices)
def test_more_value_never_pays_less(order: Fill, price: Decimal) -> None:
    """Every line grows with the price or stays."""
    other = msgspec.structs.replace(order, price=price)
    low, high = (charges_of(RATES, fill) for fill in sorted((order, other), key=lambda fill: fill.price))
    assert all(getattr(low, line) <= getattr(high, line) for line in LINES)


@given(orders, st.integers(1, 2_000))
def test_slices_pay_like_the_orders_they_become(order: Fill, most: int) -> None:
    """Cutting a leg by hand and adding the orders gives the same."""
    leg = PlannedLeg(
        contract=order.contract,
        side=order.side,
        quantity=order.quantity,
        price=order.price,
        max_order_quantity=most,
    )
    by_hand, left = NO_CHARGES, order.quantity
    while left:
        size = min(left, most)
        by_hand += charges_of(RATES, msgspec.structs.replace(order, quantity=size))
        left -= size
    assert planned_charges(RATES, leg, order.day) == by_hand


@given(contracts, days, quantities, prices, prices)
def test_a_round_trip_is_the_same_from_either_end(
    contract: Contract, day: date, quantity: int, buy: Decimal, sell: Decimal
) -> None:
    """Buying first or selling first at the same two prices costs the same."""
    long = PlannedLeg(contract=contract, side=Side.BUY, quantity=quantity, price=buy)
    short = PlannedLeg(contract=contract, side=Side.SELL, quantity=quantity, price=sell)
    assert (
        round_trip_charges(RATES, long, exit_price=sell, day=day).total
        == round_trip_charges(RATES, short, exit_price=buy, day=day).total
    )


@given(pieces, st.randoms(use_true_random=False))
def test_strategies_together_pay_what_the_account_pays(pieces: list[Piece], shuffler: random.Random) -> None:
    """However fills of shared orders are allocated, given again or shuffled, nothing is paid twice and nothing lost."""
    trades = trades_of(pieces)
    shuffled = [*trades, *trades[::2]]
    shuffler.shuffle(shuffled)
    paid = paid_charges(RATES, trades, zone=INDIA)
    assert paid_charges(RATES, shuffled, zone=INDIA) == paid
    split = paid_by_strategy(RATES, shuffled, zone=INDIA)
    assert sum((costs.charges for costs in split.values()), NO_CHARGES) == paid.charges
    by_order: dict[str, Decimal] = {}
    for fill in trades:
        by_order[fill.broker_order_id] = by_order.get(fill.broker_order_id, Decimal(0)) + fill.quantity * fill.price
    assert paid.charges.brokerage == 20 * len(by_order)


@given(
    st.sampled_from(NAMES),
    st.dates(date(2020, 1, 1), date(2049, 12, 31)),
    st.integers(1, 9_999_900).map(lambda ticks: Decimal(ticks) / 20),
    st.sampled_from(("CE", "PE")),
    st.booleans(),
)
def test_every_symbol_is_read_back(name: str, expiry: date, strike: Decimal, kind: str, weekly: bool) -> None:
    """Any underlying, expiry and strike written as the exchange's dump writes them gives its underlying and kind."""
    when = f"{MONTH_CODES[expiry.month - 1]}{expiry:%d}" if weekly else f"{expiry:%b}".upper()
    option = contract_of(InstrumentKey(Exchange.NFO, f"{name}{expiry:%y}{when}{strike.normalize():f}{kind}"))
    assert (option.underlying, option.kind) == (name, InstrumentKind(kind))
    future = contract_of(InstrumentKey(Exchange.NFO, f"{name}{expiry:%y}{expiry:%b}FUT".upper()))
    assert (future.underlying, future.kind) == (name, InstrumentKind.FUTURE)
