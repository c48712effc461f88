"""Charges of executed orders to the paisa: worked examples, brokerage per order, what is refused, and speed."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal

import pytest

from engine.charges.arithmetic import NO_CHARGES, Charges, Fill, charges_of, order_charges
from engine.charges.contracts import Contract
from engine.charges.rates import ChargeRates, read_charge_rates
from engine.core.errors import InvalidInput
from engine.core.vocabulary import Exchange, InstrumentKind, Side
from tests.unit.charges.samples import NIFTY_CALL, NIFTY_FUTURE, NIFTY_PUT, OCTOBER, SENSEX_FUTURE, SENSEX_PUT, fill

LEG_BUDGET_S = 50e-6
LEGS_TIMED = 500
ROUNDS = 7
LINES = ("brokerage", "stt", "transaction", "ipft", "sebi", "stamp", "gst")


@pytest.fixture(scope="module")
def rates() -> ChargeRates:
    """The rates shipped."""
    return read_charge_rates()


def lines(amounts: str) -> Charges:
    """Charges from seven amounts: brokerage, STT, transaction, ipft, sebi, stamp, GST."""
    return Charges(**dict(zip(LINES, map(Decimal, amounts.split()), strict=True)))


@pytest.mark.parametrize(
    ("leg", "expected", "total"),
    [
        (fill(NIFTY_CALL, Side.SELL, 65, "120"), "20 11.70 2.77 0 0.01 0 4.10", "38.58"),
        (fill(NIFTY_CALL, Side.BUY, 65, "120"), "20 0 2.77 0 0.01 0.23 4.10", "27.11"),
        (fill(SENSEX_PUT, Side.SELL, 20, "200"), "20 6.00 1.30 0.02 0 0 3.84", "31.16"),
        (fill(SENSEX_PUT, Side.BUY, 20, "200"), "20 0 1.30 0.02 0 0.12 3.84", "25.28"),
        (fill(NIFTY_FUTURE, Side.SELL, 65, "24500"), "20 796.25 29.14 0 1.59 0 9.13", "856.11"),
        (fill(NIFTY_FUTURE, Side.BUY, 65, "24500"), "20 0 29.14 0 1.59 31.85 9.13", "91.71"),
    ],
)
def test_worked_examples(rates: ChargeRates, leg: Fill, expected: str, total: str) -> None:
    """Each charge of the six worked legs of October 2026 is right to the paisa, and so is their sum."""
    charges = charges_of(rates, leg)
    assert charges == lines(expected)
    assert charges.total == Decimal(total)


@pytest.mark.parametrize(
    ("day", "stt", "transaction", "ipft"),
    [
        (date(2024, 10, 1), "78.00", "27.32", "0.39"),
        (date(2026, 2, 28), "78.00", "27.32", "0.39"),
        (date(2026, 3, 1), "78.00", "27.71", "0.00"),
        (date(2026, 3, 31), "78.00", "27.71", "0.00"),
        (date(2026, 4, 1), "117.00", "27.71", "0.00"),
    ],
)
def test_the_rates_of_the_day(rates: ChargeRates, day: date, stt: str, transaction: str, ipft: str) -> None:
    """A sale of options pays by the rates of its own day, the last old one and the first new one included."""
    charges = charges_of(rates, fill(NIFTY_CALL, Side.SELL, 650, "120", day))
    assert (charges.stt, charges.transaction, charges.ipft) == (Decimal(stt), Decimal(transaction), Decimal(ipft))


def test_the_split_of_march_2026_left_the_total_as_it_was(rates: ChargeRates) -> None:
    """Moving most of the fund's share into the transaction charge changed the lines, not what is paid."""
    for contract, price in ((NIFTY_CALL, "120"), (NIFTY_FUTURE, "24500")):
        before = charges_of(rates, fill(contract, Side.BUY, 6500, price, date(2026, 2, 28)))
        after = charges_of(rates, fill(contract, Side.BUY, 6500, price, date(2026, 3, 1)))
        assert before.transaction + before.ipft == after.transaction + after.ipft
        assert before.transaction < after.transaction
        assert before.total == after.total


def test_options_pay_brokerage_by_the_order_whatever_its_size(rates: ChargeRates) -> None:
    """Neither lots nor value change the flat brokerage of an option order, small ones included."""
    for quantity, price in ((65, "0.05"), (65, "120"), (1755, "900")):
        assert charges_of(rates, fill(NIFTY_PUT, Side.BUY, quantity, price)).brokerage == 20


def test_futures_pay_a_share_of_their_value_up_to_the_flat_amount(rates: ChargeRates) -> None:
    """0.03 % of the order's value until that comes to 20 rupees, and 20 from there on."""
    assert charges_of(rates, fill(SENSEX_FUTURE, Side.BUY, 1, "10000")).brokerage == Decimal("3.00")
    assert charges_of(rates, fill(SENSEX_FUTURE, Side.BUY, 2, "33333.30")).brokerage == Decimal("20.00")
    assert charges_of(rates, fill(SENSEX_FUTURE, Side.BUY, 2, "33300")).brokerage == Decimal("19.98")
    assert charges_of(rates, fill(SENSEX_FUTURE, Side.BUY, 20, "80000")).brokerage == 20


def test_futures_of_bse_pay_no_transaction_charge(rates: ChargeRates) -> None:
    """Only the investor protection fund is left of the exchange's share."""
    charges = charges_of(rates, fill(SENSEX_FUTURE, Side.SELL, 20, "80000"))
    assert charges == lines("20 800.00 0 0.80 1.60 0 4.03")


@pytest.mark.parametrize(("underlying", "transaction"), [("BANKEX", "32.50"), ("SENSEX50", "5.00"), ("FOCIT", "0")])
def test_the_underlying_decides_on_bse(rates: ChargeRates, underlying: str, transaction: str) -> None:
    """On 100,000 rupees of premium: the full rate, the old low one, and none for the newest index."""
    contract = Contract(exchange=Exchange.BFO, kind=InstrumentKind.CALL, underlying=underlying)
    charges = charges_of(rates, fill(contract, Side.BUY, 1000, "100"))
    assert charges.transaction == Decimal(transaction)
    assert charges.ipft == Decimal("0.50")


def test_half_a_paisa_goes_up(rates: ChargeRates) -> None:
    """A tax of exactly half a paisa is rounded up, not to the even neighbour."""
    # 0.15 % of 30 is 4.5 paise, of 10 is 1.5 paise.
    assert charges_of(rates, fill(NIFTY_CALL, Side.SELL, 1, "30")).stt == Decimal("0.05")
    assert charges_of(rates, fill(NIFTY_CALL, Side.SELL, 1, "10")).stt == Decimal("0.02")


def test_several_fills_of_one_order_pay_one_brokerage(rates: ChargeRates) -> None:
    """Three fills cost what the whole order costs; the first carries the brokerage."""
    fills = [fill(NIFTY_CALL, Side.SELL, quantity, "120.05") for quantity in (65, 130, 455)]
    whole = charges_of(rates, fill(NIFTY_CALL, Side.SELL, 650, "120.05"))
    assert order_charges(rates, fills) == whole
    first = charges_of(rates, fills[0])
    second = charges_of(rates, fills[1], order_value_before=fills[0].value)
    assert first.brokerage == 20
    assert second.brokerage == 0
    assert second.total > 0


def test_a_future_filled_in_parts_reaches_the_most_once(rates: ChargeRates) -> None:
    """Parts that would stay below the flat amount by themselves do not pay it together more than once."""
    parts = [fill(NIFTY_FUTURE, Side.BUY, 1, "24500")] * 65
    assert sum((charges_of(rates, part).brokerage for part in parts), Decimal(0)) == Decimal("477.75")
    assert order_charges(rates, parts).brokerage == 20


def test_nothing_was_done_nothing_is_paid(rates: ChargeRates) -> None:
    """An order without fills pays nothing, no brokerage either."""
    assert order_charges(rates, []) == NO_CHARGES
    assert NO_CHARGES.total == 0


@pytest.mark.parametrize(
    "other",
    [
        fill(NIFTY_PUT, Side.SELL, 65, "120"),
        fill(NIFTY_CALL, Side.BUY, 65, "120"),
        fill(NIFTY_CALL, Side.SELL, 65, "120", date(2026, 10, 6)),
    ],
)
def test_fills_of_two_orders_are_not_one(rates: ChargeRates, other: Fill) -> None:
    """Another contract, side or day cannot share an order's brokerage."""
    with pytest.raises(InvalidInput, match="One order has one contract, side and day"):
        order_charges(rates, [fill(NIFTY_CALL, Side.SELL, 65, "120"), other])


@pytest.mark.parametrize(
    ("quantity", "price", "field"),
    [(0, "120", "quantity"), (-65, "120", "quantity"), (65, "0", "price"), (65, "-5", "price"), (65, "NaN", "price")],
)
def test_what_cannot_be_traded_is_refused(rates: ChargeRates, quantity: int, price: str, field: str) -> None:
    """No quantity, no price, or none that is a number: refused, with the field."""
    with pytest.raises(InvalidInput) as caught:
        charges_of(rates, fill(NIFTY_CALL, Side.BUY, quantity, price))
    assert caught.value.field == field


@pytest.mark.parametrize("value", ["-0.05", "NaN", "Infinity"])
def test_an_impossible_earlier_value_is_refused(rates: ChargeRates, value: str) -> None:
    """What the order traded before is 0 or more."""
    with pytest.raises(InvalidInput) as caught:
        charges_of(rates, fill(NIFTY_CALL, Side.BUY, 65, "120"), order_value_before=Decimal(value))
    assert caught.value.field == "order_value_before"


def test_charges_add_subtract_and_repeat() -> None:
    """Line by line, and the total follows."""
    one = lines("20 11.70 2.77 0.03 0.01 0.23 4.10")
    assert (one + one) == one.times(2)
    assert (one + one) - one == one
    assert one.times(3).total == 3 * one.total == Decimal("116.52")


def test_a_leg_is_fast(rates: ChargeRates) -> None:
    """One leg is worked out within fifty microseconds, the best of several rounds on a shared machine."""
    leg = fill(NIFTY_CALL, Side.SELL, 65, "120", OCTOBER)
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(LEGS_TIMED):
            charges_of(rates, leg)
        best = min(best, (time.perf_counter() - began) / LEGS_TIMED)
    assert best < LEG_BUDGET_S
