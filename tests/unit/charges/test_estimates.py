"""What orders would cost: baskets, round trips, slices, and options left to expire."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from engine.charges.arithmetic import NO_CHARGES, Charges, charges_of
from engine.charges.estimates import (
    PlannedLeg,
    exercise_charges,
    planned_charges,
    round_trip_charges,
)
from engine.charges.rates import ChargeRates, read_charge_rates
from engine.core.errors import InvalidInput
from engine.core.vocabulary import Side
from tests.unit.charges.samples import NIFTY_CALL, NIFTY_FUTURE, NIFTY_PUT, OCTOBER, TODAY, fill

LARGEST = 1755
"""27 lots of 65: the most whole lots within a freeze quantity of 1,800."""


@pytest.fixture(scope="module")
def rates() -> ChargeRates:
    """The rates shipped."""
    return read_charge_rates()


def leg(side: Side, quantity: int, price: str, most: int | None = None) -> PlannedLeg:
    """An option leg."""
    return PlannedLeg(contract=NIFTY_CALL, side=side, quantity=quantity, price=Decimal(price), max_order_quantity=most)


def test_one_order_costs_what_its_fill_will(rates: ChargeRates) -> None:
    """The estimate of a leg is the charge of the order it becomes."""
    planned = planned_charges(rates, leg(Side.SELL, 650, "151.20"), TODAY)
    assert planned == charges_of(rates, fill(NIFTY_CALL, Side.SELL, 650, "151.20", TODAY))
    assert planned.total == Decimal("212.34")


@pytest.mark.parametrize(
    ("quantity", "orders"), [(65, 1), (LARGEST, 1), (LARGEST + 65, 2), (2 * LARGEST, 2), (6500, 4)]
)
def test_every_slice_pays_its_own_brokerage(rates: ChargeRates, quantity: int, orders: int) -> None:
    """Beyond the largest order a leg is several orders, each rounded and charged by itself."""
    planned = planned_charges(rates, leg(Side.BUY, quantity, "100.05", LARGEST), TODAY)
    sizes = [LARGEST] * (quantity // LARGEST) + ([quantity % LARGEST] if quantity % LARGEST else [])
    each = [charges_of(rates, fill(NIFTY_CALL, Side.BUY, size, "100.05", TODAY)) for size in sizes]
    assert len(each) == orders
    assert planned == sum(each, NO_CHARGES)
    assert planned.brokerage == 20 * orders


@pytest.mark.parametrize(
    ("legs", "total"),
    [
        # The straddle with wings, sold at 09:20: 503 rupees of charges on a credit of 1,89,117.50.
        ([(Side.BUY, "14.30"), (Side.BUY, "15.45"), (Side.SELL, "171.35"), (Side.SELL, "149.35")], "503.44"),
        # The roll of its put by fifty points: 274 rupees.
        ([(Side.BUY, "128.35"), (Side.SELL, "151.20")], "273.51"),
    ],
)
def test_the_legs_of_a_basket_add_up(rates: ChargeRates, legs: list[tuple[Side, str]], total: str) -> None:
    """The figures of the desk's reviews, leg by leg and together."""
    each = [planned_charges(rates, leg(side, 650, price), TODAY) for side, price in legs]
    assert sum(each, NO_CHARGES).total == sum((charges.total for charges in each), Decimal(0)) == Decimal(total)


def test_the_condor_of_the_command_bar(rates: ChargeRates) -> None:
    """Five lots a leg: 155 rupees."""
    legs = [(Side.BUY, "14.95"), (Side.BUY, "18.85"), (Side.SELL, "40.35"), (Side.SELL, "48.30")]
    each = [planned_charges(rates, leg(side, 325, price), TODAY) for side, price in legs]
    assert sum(each, NO_CHARGES).total == Decimal("154.69")


def test_a_round_trip_is_both_ways(rates: ChargeRates) -> None:
    """65 options bought at 120 and sold at 121: 27.11 in, 38.70 out; the rupee a unit does not pay for it."""
    trip = round_trip_charges(rates, leg(Side.BUY, 65, "120"), exit_price=Decimal(121), day=OCTOBER)
    assert trip.entry.total == Decimal("27.11")
    assert trip.exit == charges_of(rates, fill(NIFTY_CALL, Side.SELL, 65, "121"))
    assert trip.total.total == Decimal("65.81")


def test_a_round_trip_of_a_short_buys_back(rates: ChargeRates) -> None:
    """The tax is paid going in, the stamp coming out."""
    trip = round_trip_charges(rates, leg(Side.SELL, 65, "120"), exit_price=Decimal(20), day=OCTOBER)
    assert trip.entry.stt == Decimal("11.70")
    assert trip.entry.stamp == 0
    assert trip.exit.stt == 0
    assert trip.exit.stamp == Decimal("0.04")


def test_a_round_trip_over_a_change_pays_each_day_by_its_rates(rates: ChargeRates) -> None:
    """Bought before the tax rose, sold after."""
    trip = round_trip_charges(
        rates,
        leg(Side.BUY, 650, "120"),
        exit_price=Decimal(120),
        day=date(2026, 3, 31),
        exit_day=date(2026, 4, 1),
    )
    assert trip.exit.stt == Decimal("117.00")


def test_an_exit_before_its_entry_is_refused(rates: ChargeRates) -> None:
    """Time runs one way."""
    with pytest.raises(InvalidInput, match="lies before the entry"):
        round_trip_charges(
            rates, leg(Side.BUY, 65, "120"), exit_price=Decimal(1), day=TODAY, exit_day=date(2026, 11, 24)
        )


@pytest.mark.parametrize(
    ("day", "stt"), [(date(2026, 3, 31), "81.25"), (date(2026, 4, 1), "97.50"), (date(2026, 12, 1), "97.50")]
)
def test_a_long_call_left_to_expire_pays_on_its_intrinsic_value(rates: ChargeRates, day: date, stt: str) -> None:
    """65 calls a thousand points in the money: 0.15 % of 65,000, before April 2026 0.125 %."""
    charges = exercise_charges(
        rates,
        NIFTY_CALL,
        strike=Decimal(24000),
        settlement=Decimal(25000),
        signed_quantity=65,
        day=day,
        cash_settled=True,
    )
    assert charges.stt == Decimal(stt)
    assert charges == Charges(brokerage=Decimal(20), stt=Decimal(stt), gst=Decimal("3.60"))


def test_the_trap_is_the_base_not_the_rate(rates: ChargeRates) -> None:
    """Bought at 3 rupees, settling 400 in the money: the tax is on the 400, a fifth of the whole premium once paid."""
    kept = exercise_charges(
        rates,
        NIFTY_PUT,
        strike=Decimal(24400),
        settlement=Decimal(24000),
        signed_quantity=65,
        day=TODAY,
        cash_settled=True,
    )
    assert kept.stt == Decimal("39.00")
    assert kept.stt == 65 * 400 * Decimal("0.0015")
    assert kept.stt / (65 * 3) == Decimal("0.2")


def test_a_short_that_settles_pays_no_transaction_tax(rates: ChargeRates) -> None:
    """The writer was taxed when the option was sold; brokerage and the tax on it are left."""
    charges = exercise_charges(
        rates,
        NIFTY_PUT,
        strike=Decimal(24400),
        settlement=Decimal(24000),
        signed_quantity=-3250,
        day=TODAY,
        cash_settled=True,
        max_order_quantity=LARGEST,
    )
    assert charges == Charges(brokerage=Decimal(40), gst=Decimal("7.20"))


@pytest.mark.parametrize(("settlement", "quantity"), [("24000", 65), ("23000", 65), ("23000", -65), ("25000", 0)])
def test_what_expires_worthless_pays_nothing(rates: ChargeRates, settlement: str, quantity: int) -> None:
    """At or out of the money, or not held: no charge at all."""
    charges = exercise_charges(
        rates,
        NIFTY_CALL,
        strike=Decimal(24000),
        settlement=Decimal(settlement),
        signed_quantity=quantity,
        day=TODAY,
        cash_settled=True,
    )
    assert charges == NO_CHARGES


def test_delivery_is_refused_in_words(rates: ChargeRates) -> None:
    """Options on stocks settle in shares, whose charges are others."""
    with pytest.raises(InvalidInput, match="settles by delivery"):
        exercise_charges(
            rates,
            NIFTY_CALL,
            strike=Decimal(1),
            settlement=Decimal(2),
            signed_quantity=1,
            day=TODAY,
            cash_settled=False,
        )


def test_a_future_has_no_exercise(rates: ChargeRates) -> None:
    """It is refused before any number is looked at."""
    with pytest.raises(InvalidInput, match="only options"):
        exercise_charges(
            rates,
            NIFTY_FUTURE,
            strike=Decimal(1),
            settlement=Decimal(2),
            signed_quantity=1,
            day=TODAY,
            cash_settled=True,
        )


@pytest.mark.parametrize(("strike", "settlement", "field"), [("0", "1", "strike"), ("1", "NaN", "settlement")])
def test_an_impossible_level_is_refused(rates: ChargeRates, strike: str, settlement: str, field: str) -> None:
    """Strikes and settlements are positive numbers."""
    with pytest.raises(InvalidInput) as caught:
        exercise_charges(
            rates,
            NIFTY_CALL,
            strike=Decimal(strike),
            settlement=Decimal(settlement),
            signed_quantity=65,
            day=TODAY,
            cash_settled=True,
        )
    assert caught.value.field == field


@pytest.mark.parametrize("most", [0, -65])
def test_an_impossible_largest_order_is_refused(rates: ChargeRates, most: int) -> None:
    """One order takes at least one unit."""
    with pytest.raises(InvalidInput) as caught:
        planned_charges(rates, leg(Side.BUY, 65, "120", most), TODAY)
    assert caught.value.field == "max_order_quantity"


def test_an_impossible_quantity_is_refused_with_slices_too(rates: ChargeRates) -> None:
    """Zero units make no order, however large an order may be."""
    with pytest.raises(InvalidInput) as caught:
        planned_charges(rates, leg(Side.BUY, 0, "120", LARGEST), TODAY)
    assert caught.value.field == "quantity"
