"""Charges kept as fills come: the figures of the charges' own arithmetic, whatever the order, and net beside gross."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from engine.charges.rates import read_charge_rates
from engine.charges.strategy_costs import paid_by_strategy
from engine.core.commands import MoveQuantity
from engine.core.identifiers import BrokerOrderId, InstrumentKey, StrategyNumber
from engine.core.orders import Trade
from engine.core.positions import Holding
from engine.core.strategies import Leg
from engine.core.vocabulary import Exchange, Mark, Product
from engine.portfolio.charges_book import ChargesBook
from engine.portfolio.marks import LegMarks
from engine.portfolio.service import NO_RATES
from engine.portfolio.valuation import CHARGE_NOTES_MAX
from tests.unit.portfolio.fakes import OPENING, UNAVAILABLE, Desk, fill, key, settle

RATES = read_charge_rates()
INDIA = ZoneInfo("Asia/Kolkata")
DAY = date(2026, 11, 24)
ONE, TWO = StrategyNumber(1), StrategyNumber(2)
BUY_65_AT_120, SELL_65_AT_120 = Decimal("27.11"), Decimal("38.58")
"""Worked examples of an NSE option."""


def made_book(trades: Sequence[Trade] = (), *, order_max: int | None = None) -> ChargesBook:
    """A book of today's rates."""
    book = ChargesBook(RATES, zone=INDIA, order_quantity_max=lambda _: order_max)
    book.add(trades)
    return book


def in_order(trade: Trade, order: str) -> Trade:
    """The fill as one of a named order."""
    return msgspec.structs.replace(trade, broker_order_id=BrokerOrderId(order))


def unknown_contract(trade: Trade, symbol: str = "GOLD26DECFUT") -> Trade:
    """The fill in a segment without rates."""
    return msgspec.structs.replace(trade, instrument=InstrumentKey(Exchange.MCX, symbol))


def leg(quantity: int, number: int = 1) -> Leg:
    """A leg of strategy 1."""
    holding = Holding(signed_quantity=quantity, average_price=Decimal(100))
    return Leg(strategy=ONE, number=number, instrument=key(number), token=number, product=Product.NRML, holding=holding)


def test_the_worked_examples() -> None:
    """A buy and a sale of 65 at 120 pay 27.11 and 38.58, each in its own strategy."""
    book = made_book([fill(1, 65, "120", strategy=1), fill(2, -65, "120", strategy=2)])
    assert book.paid(ONE).total == BUY_65_AT_120
    assert book.paid(TWO).total == SELL_65_AT_120
    assert book.paid_on(DAY).total == BUY_65_AT_120 + SELL_65_AT_120
    assert book.paid(StrategyNumber(9)).total == 0


def test_any_order_and_any_batches_give_the_figures_of_all_fills_at_once() -> None:
    """Fills of shared orders, learned shuffled, one by one, some twice, sum as when worked out from the whole list."""
    draw = np.random.default_rng(7)
    trades = [
        in_order(
            fill(
                number,
                int(draw.choice((65, 130, -65))),
                str(int(draw.integers(1, 4001)) * Decimal("0.05")),
                token=int(draw.integers(1, 4)),
                strategy=int(draw.integers(1, 4)),
                at=OPENING + timedelta(hours=7 * number),
            ),
            f"order-{number // 4}",
        )
        for number in range(1, 60)
    ]
    expected = paid_by_strategy(RATES, trades, zone=INDIA)
    for _ in range(5):
        shuffled = [trades[place] for place in draw.permutation(len(trades))] + trades[:7]
        book = made_book()
        for trade in shuffled:
            book.add([trade])
        for number in (1, 2, 3):
            assert book.paid(StrategyNumber(number)) == expected[StrategyNumber(number)]
        days = {trade.filled_at.astimezone(INDIA).date() for trade in trades}
        by_day = sum((book.paid_on(day).total or Decimal(0) for day in days), Decimal(0))
        assert by_day == sum((costs.total or Decimal(0) for costs in expected.values()), Decimal(0))


def test_brokerage_is_paid_once_an_order() -> None:
    """Two fills of one order pay together what one fill of both would."""
    parts = [in_order(fill(number, 65, "120", strategy=1), "the-order") for number in (1, 2)]
    whole = in_order(fill(3, 130, "120", strategy=1), "the-order")
    assert made_book(parts).paid(ONE) == made_book([whole]).paid(ONE)


def test_what_is_not_known_is_named_until_it_goes() -> None:
    """A fill without rates makes its strategy and its day unknown with the reason, and no other strategy."""
    book = made_book([fill(1, 65, "120", strategy=1), unknown_contract(fill(2, 1, "70000", strategy=1))])
    assert book.paid(ONE).total is None
    assert "GOLD26DECFUT" in book.paid(ONE).unknown[0]
    assert book.paid(ONE).charges.total == BUY_65_AT_120
    assert book.paid_on(DAY).total is None
    book.add([fill(3, 65, "120", strategy=2)])
    assert book.paid(TWO).total == BUY_65_AT_120
    book.restart([fill(1, 65, "120", strategy=1)])
    assert book.paid(ONE).total == BUY_65_AT_120


def test_leaving_pays_for_what_is_open_in_orders_of_the_largest_size() -> None:
    """A long of 65 at 120 pays a sale; 130 in orders of 65 pay two; flat legs nothing; no price is named."""
    book = made_book(order_max=65)
    assert book.leaving([(leg(65), Decimal(120))], DAY).total == SELL_65_AT_120
    assert book.leaving([(leg(130), Decimal(120))], DAY).total == 2 * SELL_65_AT_120
    assert book.leaving([(leg(-65), Decimal(120)), (leg(0, 2), None)], DAY).total == BUY_65_AT_120
    blind = book.leaving([(leg(65), Decimal(120)), (leg(65, 2), None)], DAY)
    assert blind.total is None
    assert blind.charges.total == SELL_65_AT_120
    assert "1.2" in blind.unknown[0]
    assert book.leaving([(leg(65, 2), Decimal(120))], DAY).total == SELL_65_AT_120
    late = book.leaving([(leg(65), Decimal(120))], date(2027, 4, 1))
    assert late.total is None


async def test_net_is_gross_less_charges() -> None:
    """Spec's three legs make 1,500 gross on every mark; the net is less what the fills paid, at exit less the exits."""
    desk = await Desk(charges=made_book()).started()
    await desk.service.on_trades([fill(1, 50, "100"), fill(2, -50, "150", token=2), fill(3, 50, "40", token=3)])
    for token, last in ((1, "120"), (2, "130"), (3, "30")):
        desk.marks.put(token, last)
    (value,) = desk.service.values()
    assert value == desk.service.value(ONE)
    paid = made_book([fill(1, 50, "100"), fill(2, -50, "150", token=2), fill(3, 50, "40", token=3)]).paid_on(DAY).total
    assert paid is not None
    assert value.profit == dict.fromkeys(Mark, Decimal(1500))
    assert value.charges_paid == paid
    assert value.net == dict.fromkeys(Mark, Decimal(1500) - paid)
    assert value.exit_charges is not None
    assert value.net_at_exit == Decimal(1500) - paid - value.exit_charges
    assert value.charge_notes == ()
    assert desk.service.net_of_day(desk.service.day_profit)[Mark.LAST] == Decimal(1500) - paid


async def test_a_leg_without_an_exit_makes_the_exit_unknown_and_not_the_net() -> None:
    """No exit price: no exit charges and no net at exit, with the leg named; what was paid is known all the same."""
    desk = await Desk(charges=made_book()).started()
    await desk.service.on_trades([fill(1, 65, "120")])
    desk.marks.prices[1] = LegMarks(last=Decimal(121), mid=None, exit=None, reason="the book is empty")
    (value,) = desk.service.values()
    assert (value.charges_paid, value.exit_charges, value.net_at_exit) == (BUY_65_AT_120, None, None)
    assert value.net[Mark.LAST] == 65 - BUY_65_AT_120
    assert "1.1" in value.charge_notes[0]


async def test_unknown_charges_make_no_net() -> None:
    """Without a rate for one fill, or without any rates, net is None and says why; the notes are bounded."""
    desk = await Desk(charges=made_book()).started()
    many = [unknown_contract(fill(number, 1, "70000"), f"GOLD{number}FUT") for number in range(1, 12)]
    await desk.service.on_trades([fill(30, 65, "120", token=30), *many])
    (value,) = desk.service.values()
    assert value.charges_paid is None
    assert value.net == dict.fromkeys(Mark, None)
    assert len(value.charge_notes) == CHARGE_NOTES_MAX + 1
    assert set(desk.service.net_of_day(desk.service.day_profit).values()) == {None}
    bare = await Desk().started()
    (value,) = bare.service.values()
    assert value.net == dict.fromkeys(Mark, None)
    assert value.charge_notes == NO_RATES.unknown


async def test_charges_stay_where_the_fills_were() -> None:
    """Moved quantity takes no charges along, and a start from the ledger ends at the same figures."""
    desk = await Desk(charges=made_book()).started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(1, 65, "120"), fill(2, -65, "120", token=2, strategy=2)])
    await desk.service.move(MoveQuantity(strategy=ONE, leg=1, to_strategy=TWO))
    before = [value.charges_paid for value in desk.service.values()]
    assert before == [BUY_65_AT_120, SELL_65_AT_120]
    again = await Desk(desk.database, charges=made_book()).started()
    assert [value.charges_paid for value in again.service.values()] == before


async def test_a_fill_whose_answer_was_lost_is_charged_once() -> None:
    """The book catches up from the ledger, and so do the charges; a fill that waits has paid nothing yet."""
    desk = await Desk(charges=made_book()).started()
    desk.database.fail_with = UNAVAILABLE
    await desk.service.on_trades([fill(1, 65, "120")])
    assert desk.service.charges_paid(ONE).total == 0
    desk.database.fail_with = None
    desk.database.lose_answer = True
    await desk.service.on_trades([])  # written, and the answer lost
    await desk.service.on_trades([fill(1, 65, "120"), fill(2, 65, "120")])
    await settle()
    assert desk.service.charges_paid(ONE).total == 2 * BUY_65_AT_120
