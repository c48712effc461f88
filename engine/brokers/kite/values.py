"""Single values of Kite's JSON and CSV to the domain's: prices, quantities, times, words.

Invariants: every time that leaves is aware UTC; every price is exact (binary noise of the wire is taken off); nothing
is guessed: what cannot be read raises ``ValueError`` with the field's name.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from typing import TypeVar

from engine.core.money import PAISA

INDIA = timezone(timedelta(hours=5, minutes=30), "IST")
"""The broker's wall clock. India has no daylight saving."""
_NEVER_YEAR = 1
_FINEST = Decimal("0.000001")
"""Averages and currency prices have up to six places."""
_NOISE = Decimal("0.0000005")
_TIME_LENGTH = len("HH:MM:SS")

_Word = TypeVar("_Word", bound=StrEnum)


def exact(value: Decimal, field: str) -> Decimal:
    """The number a JSON float stands for: paise where it is within noise of them, else six places.

    Raises:
        ValueError: not a finite number of a size money has.
    """
    try:
        paise = value.quantize(PAISA, rounding=ROUND_HALF_UP)
        if abs(value - paise) <= _NOISE:
            return paise
        return value.quantize(_FINEST, rounding=ROUND_HALF_UP)
    except InvalidOperation:
        raise ValueError(f"{field} is {value}, which is no amount") from None


def price_or_none(value: Decimal | None, field: str) -> Decimal | None:
    """A price; Kite writes 0 (or null) where there is none."""
    if value is None or not value:
        return None
    return exact(value, field)


def whole(value: Decimal | None, field: str) -> int:
    """A quantity; null is 0.

    Raises:
        ValueError: it has a fraction.
    """
    if value is None:
        return 0
    if value != value.to_integral_value():
        raise ValueError(f"{field} is {value}, which is not a whole number")
    return int(value)


def word(vocabulary: type[_Word], text: str | None, field: str) -> _Word:
    """A word of a closed list.

    Raises:
        ValueError: it is not in the list.
    """
    try:
        return vocabulary(text or "")
    except ValueError:
        raise ValueError(f'{field} is "{text}", known are {", ".join(vocabulary)}') from None


def moment(text: str | None, field: str, day: date | None = None) -> datetime | None:
    """A time of the wire as aware UTC; null, empty and the year 1 are ``None``.

    Args:
        text: ``YYYY-MM-DD HH:MM:SS`` or ``HH:MM:SS`` of India's clock, or an ISO time with its offset.
        field: Name for the error.
        day: India's date for a time of day alone.

    Raises:
        ValueError: none of these.
    """
    if not text:
        return None
    try:
        if len(text) == _TIME_LENGTH and day is not None:
            value = datetime.combine(day, time.fromisoformat(text))
        else:
            value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'{field} is "{text}", which is no time') from None
    if value.year == _NEVER_YEAR:
        return None
    return (value if value.tzinfo else value.replace(tzinfo=INDIA)).astimezone(UTC)


def indian_day(now: datetime) -> date:
    """India's date at a moment."""
    return now.astimezone(INDIA).date()


def plain(value: Decimal) -> str:
    """A number as the broker's forms want it: digits and at most one point, no exponent, no trailing zeros."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
