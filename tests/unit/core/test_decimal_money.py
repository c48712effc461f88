"""Decimal arithmetic: nothing rounds unless its name says so, and floats are turned into money in one place."""

from __future__ import annotations

from decimal import Decimal, getcontext

import pytest

from engine.core.errors import InvalidInput
from engine.core.money import decimal_from_float, is_multiple, nearest_ticks, parse_decimal, round_to_paisa
from engine.core.positions import unrealised_profit

TICK = Decimal("0.05")


def test_a_product_is_exact_where_a_float_is_not() -> None:
    """(105.10 − 100.05) × 75 is 378.75; the float version only comes near."""
    exact = unrealised_profit(75, Decimal("100.05"), Decimal("105.10"))
    by_float = (105.10 - 100.05) * 75
    assert exact == Decimal("378.75")
    assert type(exact) is Decimal
    assert Decimal(by_float) != exact
    assert abs(Decimal(by_float) - exact) < Decimal("0.01")


def test_a_sum_is_exact() -> None:
    """123.45 + 67.89 + 0.01 is 191.35."""
    assert sum((Decimal("123.45"), Decimal("67.89"), Decimal("0.01")), Decimal(0)) == Decimal("191.35")


def test_a_quotient_has_28_digits() -> None:
    """1000/3 is carried to 28 digits."""
    assert getcontext().prec == 28
    assert Decimal(1000) / 3 == Decimal("333.3333333333333333333333333")


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("378.7567", "378.76"), ("0.005", "0.01"), ("-0.005", "-0.01"), ("2.675", "2.68"), ("1", "1.00")],
)
def test_rounding_to_paise_is_half_up(value: str, rounded: str) -> None:
    """As a contract note rounds, away from zero at the half."""
    assert str(round_to_paisa(Decimal(value))) == rounded


@pytest.mark.parametrize(
    ("text", "value"), [("24,500", "24500"), ("2,00,000.5", "200000.5"), ("-1.25", "-1.25"), ("1E+2", "100")]
)
def test_reading_numbers(text: str, value: str) -> None:
    """Commas are allowed; the value is exact."""
    assert parse_decimal(text, field="price") == Decimal(value)


@pytest.mark.parametrize("text", ["", "abc", "12..5", "--1", "NaN", "Infinity", "-inf", "sNaN"])
def test_what_is_not_a_number_is_refused_with_its_field(text: str) -> None:
    """Words, NaN and infinities name the field they came from."""
    with pytest.raises(InvalidInput) as refusal:
        parse_decimal(text, field="price")
    assert refusal.value.field == "price"


@pytest.mark.parametrize(
    ("value", "tick", "result"),
    [
        (29151.225000000002, "0.0025", "29151.2250"),
        (105.1, "0.05", "105.10"),
        (0.1 + 0.2, "0.05", "0.30"),
        (24350.05, "0.01", "24350.05"),
        (-3.15, "0.05", "-3.15"),
        (0.0, "0.05", "0"),
    ],
)
def test_floats_of_the_wire_become_ticks(value: float, tick: str, result: str) -> None:
    """A float stands for the nearest multiple of the tick."""
    assert decimal_from_float(value, Decimal(tick)) == Decimal(result)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_no_number_is_refused(value: float) -> None:
    """NaN and infinities never become money."""
    with pytest.raises(InvalidInput):
        decimal_from_float(value)


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [
        ("151.23", "151.20", "151.25"),
        ("151.25", "151.25", "151.25"),
        ("0.01", "0", "0.05"),
        ("-0.01", "-0.05", "0"),
        ("-37.63", "-37.65", "-37.60"),
        ("-37.65", "-37.65", "-37.65"),
    ],
)
def test_neighbouring_ticks(value: str, below: str, above: str) -> None:
    """At or below and at or above, for negative prices too."""
    assert nearest_ticks(Decimal(value), TICK) == (Decimal(below), Decimal(above))


@pytest.mark.parametrize(
    ("value", "is_one"), [("151.20", True), ("151.23", False), ("0", True), ("-0.05", True), ("0.050", True)]
)
def test_multiples_of_the_tick(value: str, is_one: bool) -> None:
    """Exact, whatever the trailing zeros."""
    assert is_multiple(Decimal(value), TICK) is is_one
