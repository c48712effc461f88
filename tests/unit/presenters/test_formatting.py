"""Figures as text: the rules of signs, grouping, decimals and the unknown."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workstation import formatting as f

NOTHING = [None, float("nan"), float("inf"), Decimal("NaN"), Decimal("Infinity")]


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("0", "0"),
        ("12", "12"),
        ("999", "999"),
        ("1000", "1,000"),
        ("12345", "12,345"),
        ("123456", "1,23,456"),
        ("1234567", "12,34,567"),
        ("123456789", "12,34,56,789"),
    ],
)
def test_indian_grouping(digits: str, expected: str) -> None:
    """Three digits, then pairs."""
    assert f.group_digits(digits) == expected


@given(st.integers(min_value=0, max_value=10**15))
def test_grouping_loses_no_digit(number: int) -> None:
    """Without its commas the text is the number again."""
    assert f.group_digits(str(number)).replace(",", "") == str(number)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal(4592), "+4,592"),
        (Decimal(-201386), "-2,01,386"),
        (Decimal("0.49"), "0"),
        (Decimal("-0.49"), "0"),
        (Decimal("0.5"), "+1"),
        (Decimal("-0.5"), "-1"),
        (Decimal("1234.5"), "+1,235"),
        (0, "0"),
        (-1e-12, "0"),
        (12345678.4, "+1,23,45,678"),
    ],
)
def test_money(value: Decimal | float, expected: str) -> None:
    """Whole rupees with a sign, half away from zero, and never a minus zero."""
    assert f.money(value) == expected


@given(st.decimals(min_value=-(10**10), max_value=10**10, places=4))
def test_money_parses_back_within_half_a_rupee(value: Decimal) -> None:
    """A copied figure is a number again, off by half a rupee at most, with the right sign."""
    shown = Decimal(f.money(value).replace(",", ""))
    assert abs(shown - value) <= Decimal("0.5")
    assert shown == 0 or (shown > 0) == (value > 0)


@pytest.mark.parametrize("nothing", NOTHING)
def test_the_unknown_is_never_a_number(nothing: float | Decimal | None) -> None:
    """Missing, NaN and infinite figures are the unknown sign in every form."""
    assert f.money(nothing) == "—"
    assert f.money_exact(nothing) == "—"
    assert f.money_words(nothing) == "—"
    assert f.price(nothing) == "—"
    assert f.price_cell(nothing, 7) == "      —"
    assert f.strike(nothing) == "—"
    assert f.signed_price(nothing) == "—"
    assert f.signed_percent(nothing) == "—"
    assert f.whole_percent(nothing) == "—"
    assert f.lakh_units(nothing) == "—"
    assert f.money(nothing, f.ASCII) == "n/a"


@pytest.mark.parametrize("nothing", [None, math.nan, math.inf, -math.inf])
def test_unknown_floats(nothing: float | None) -> None:
    """The same for figures that are floats only."""
    texts = [f.option_delta(nothing), f.ratio(nothing), f.volatility(nothing), f.compact(nothing, 5)]
    texts += [f.age(nothing), f.countdown(nothing), f.time_to_expiry(nothing)]
    assert set(texts) == {"—"}


def test_money_with_paise_and_in_words() -> None:
    """Dialogs show paise; large sums have the words lakh and cr, and L stays free for lots."""
    assert f.money_exact(Decimal("189117.5")) == "+1,89,117.50"
    assert f.money_words(Decimal(1463000)) == "14.63 lakh"
    assert f.money_words(Decimal(-257134)) == "-2.57 lakh"
    assert f.money_words(Decimal(12000000)) == "1.20 cr"
    assert f.money_words(Decimal(-4159)) == "-4,159"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("0.05"), "0.05"),
        (151.2, "151.20"),
        (24381.05, "24,381.05"),
        (0.1 + 0.2, "0.30"),
        (29151.225000000002, "29,151.23"),
    ],
)
def test_prices_have_two_decimals(value: float | Decimal, expected: str) -> None:
    """Always two, grouped."""
    assert f.price(value) == expected


def test_a_price_gives_up_grouping_before_digits() -> None:
    """In a narrow cell the comma goes; no digit ever does."""
    assert f.price_cell(Decimal("1234.5"), 8) == "1,234.50"
    assert f.price_cell(Decimal("1234.5"), 7) == "1234.50"
    assert f.price_cell(Decimal("12345.5"), 7) == "12345.50"
    assert f.price_width(12345.5, 7) == 8
    assert f.price_width(None, 7) == 7


@pytest.mark.parametrize(
    ("value", "expected"), [(24400.0, "24,400"), (102.5, "102.50"), (Decimal(100000), "1,00,000"), (5, "5")]
)
def test_strikes(value: float, expected: str) -> None:
    """No needless decimals."""
    assert f.strike(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.4949, "+.49"), (-0.25, "-.25"), (1.0, "+1.0"), (-0.996, "-1.0"), (0.001, ".00"), (0.0, ".00")],
)
def test_option_delta_fits_four_cells(value: float, expected: str) -> None:
    """A sign, a point, two digits."""
    assert f.option_delta(value) == expected
    assert len(expected) <= 4


@pytest.mark.parametrize(
    ("value", "expected"), [(0.122, "12.2"), (0.9994, "99.9"), (0.9999, "100"), (1.234, "123"), (0.0, "0.0")]
)
def test_volatility_fits_four_cells(value: float, expected: str) -> None:
    """Percent with one decimal, whole from 100 on."""
    assert f.volatility(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.94, ".94"), (1.02, "1.02"), (0.0, ".00"), (12.345, "12.35")])
def test_ratio(value: float, expected: str) -> None:
    """Two decimals, no leading zero."""
    assert f.ratio(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (1500, "0.02"), (94_000, "0.94"), (95_000, "1.0"), (6_290_000, "62.9"), (490_000_000, "4,900")],
)
def test_open_interest_in_lakh(value: float, expected: str) -> None:
    """A small one is not shown as none."""
    assert f.lakh_units(value) == expected


@pytest.mark.parametrize(
    ("value", "width", "expected"),
    [(-11.03, 5, "-11.0"), (-1234.5, 5, "-1235"), (0.00234, 6, "0.00"), (7.159, 5, "7.16")],
)
def test_compact_figures(value: float, width: int, expected: str) -> None:
    """As many decimals as fit, two at most."""
    assert f.compact(value, width) == expected


def test_quantities() -> None:
    """Whole lots as L, anything else as units; signed where a position is meant."""
    assert f.lots(650, 65) == "10L"
    assert f.lots(-650, 65, sign=True) == "-10L"
    assert f.lots(65, 65, sign=True) == "+1L"
    assert f.lots(100, 65) == "100u"
    assert f.lots(650, None) == "650u"
    assert f.quantity(-1300, 65, as_units=True, sign=True) == "-1,300"
    assert f.quantity(1300, 65, as_units=False) == "20L"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0.0s"),
        (0.19, "0.1s"),
        (4.2 - 1e-12, "4.2s"),
        (9.99, "9.9s"),
        (10.0, "10s"),
        (119.9, "119s"),
        (120, "2m"),
        (7500, "2h 05m"),
        (-3, "0.0s"),
    ],
)
def test_ages(seconds: float, expected: str) -> None:
    """Ages are never rounded up: nothing looks older or younger than its figure."""
    assert f.age(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(15139, "4:12:19"), (59, "0:00:59"), (0.2, "0:00:01"), (-5, "0:00:00"), (100_000, "1d 3h")],
)
def test_countdowns(seconds: float, expected: str) -> None:
    """What is left, the last second included."""
    assert f.countdown(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "long", "short"),
    [
        (534_000, "6d 4h 20m", "6d 4h"),
        (16_620, "4h 37m", "4h 37m"),
        (2232, "37m 12s", "37m 12s"),
        (0, "expired", "expired"),
    ],
)
def test_time_to_expiry(seconds: float, long: str, short: str) -> None:
    """Days, then hours, then minutes."""
    assert f.time_to_expiry(seconds) == long
    assert f.time_to_expiry(seconds, short=True) == short


def test_times_are_indian() -> None:
    """UTC inside, IST on the screen."""
    moment = datetime(2027, 1, 14, 18, 45, 1, tzinfo=UTC)
    assert f.clock_time(moment) == "00:15:01"
    assert f.full_time(moment) == "Fri 15 Jan 00:15:01 IST"
    assert f.expiry_day(date(2026, 12, 1)) == "01DEC"
    assert f.expiry_day(date(2026, 12, 1), spaced=True) == "01 DEC"


def test_short_delays() -> None:
    """Milliseconds below a second."""
    assert f.milliseconds(31.4) == "31ms"
    assert f.milliseconds(1250) == "1.2s"


@given(st.lists(st.decimals(min_value=-(10**7), max_value=10**7, places=2), min_size=1, max_size=12))
def test_shown_parts_add_up_to_the_shown_total(parts: list[Decimal]) -> None:
    """The total is the rounded sum; the parts shown add up to it, and only the smallest one is bent."""
    shown, total = f.round_parts(parts)
    assert sum(shown) == total
    assert total == f.rounded(sum(parts, Decimal(0)), 0)
    bent = [place for place, part in enumerate(parts) if shown[place] != f.rounded(part, 0)]
    assert len(bent) <= 1
    assert all(abs(parts[place]) == min(abs(part) for part in parts) for place in bent)


def test_no_parts() -> None:
    """Nothing adds up to nothing."""
    assert f.round_parts([]) == ((), Decimal(0))


def test_ascii_glyphs_are_ascii() -> None:
    """Every sign of the plain set can be shown anywhere."""
    assert all(getattr(f.ASCII, name).isascii() for name in f.ASCII.__struct_fields__)
    assert f.glyphs_named("ascii") is f.ASCII
    assert f.glyphs_named("unicode") is f.UNICODE
