"""How people write expiry dates and strikes, read and written in one place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Final

LABEL: Final = re.compile(r"[WMQ]\d+")
"""An expiry label in capitals."""

# Spelled out because strftime's month names follow the locale.
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DATE: Final = re.compile(r"(\d{1,2})([A-Z]{3})(\d{2}|\d{4})?")


def day_word(day: date) -> str:
    """``01DEC``, as expiries are shown."""
    return f"{day.day:02}{_MONTHS[day.month - 1]}"


def is_date_word(word: str) -> bool:
    """Whether a word in capitals has the form of a date or month that :func:`dates_meant` reads."""
    found = _DATE.fullmatch(word)
    if found is not None:
        return found[2] in _MONTHS
    return word in _MONTHS or _iso_date(word) is not None


def dates_meant(word: str, days: Iterable[date]) -> list[date]:
    """Those of ``days`` that ``01DEC``, ``1DEC26``, ``2026-12-01`` or ``DEC`` (capitals) names, in their order."""
    found = _DATE.fullmatch(word)
    if found is not None:
        number, month, year = found.groups()
        return [
            day
            for day in days
            if day.day == int(number)
            and _MONTHS[day.month - 1] == month
            and (year is None or str(day.year).endswith(year))
        ]
    if word in _MONTHS:
        return [day for day in days if _MONTHS[day.month - 1] == word]
    exact = _iso_date(word)
    return [day for day in days if day == exact]


def grouped(value: Decimal) -> str:
    """A number with Indian digit groups: ``24,010``, ``1,25,000``, ``62.5``."""
    whole, point, rest = plain(value).partition(".")
    head, tail = whole[:-3], whole[-3:]
    groups = [tail]
    while head:
        head, pair = head[:-2], head[-2:]
        groups.insert(0, pair)
    return ",".join(groups) + point + rest


def plain(value: Decimal) -> str:
    """A number without exponent and without needless zeros: ``24000``, ``62.5``."""
    return f"{value.normalize():f}"


def _iso_date(word: str) -> date | None:
    try:
        return date.fromisoformat(word)
    except ValueError:
        return None
