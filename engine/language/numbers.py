"""Numbers as an Indian trader writes them, and as the sentences of this language print them. Exact; nothing rounds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from engine.core.money import nearest_ticks

_NUMBER = re.compile(r"(?P<digits>\d[\d,]*)?(?P<fraction>\.\d+)?(?P<unit>k|lakh|cr)?", re.IGNORECASE | re.ASCII)
_INDIAN_GROUPS = re.compile(r"\d{1,2}(,\d{2})*,\d{3}", re.ASCII)
_WESTERN_GROUPS = re.compile(r"\d{1,3}(,\d{3})+", re.ASCII)
_LOTS = re.compile(r"(?P<count>\d[\d,]*(\.\d+)?)l", re.IGNORECASE | re.ASCII)
_PERCENT = re.compile(r"(?P<number>[\d,.]+)%", re.ASCII)

UNITS: Final = {"": Decimal(1), "k": Decimal(1_000), "lakh": Decimal(100_000), "cr": Decimal(10_000_000)}
NUMBER_LENGTH_MAX: Final = 20
"""Longer runs of digits are a slip of the hand, not an order."""
COUNT_WORDS: Final = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
PLACES_MIN: Final = 2
"""Prices and money show at least paise."""


def read_number(text: str) -> Decimal | None:
    """Read ``24,500``, ``105.5``, ``8k``, ``1.5lakh`` or ``2cr``; ``None`` when it is none of these.

    Commas must stand where Indian (2,00,000) or western (200,000) grouping puts them.
    """
    match = _NUMBER.fullmatch(text)
    if match is None or len(text) > NUMBER_LENGTH_MAX:
        return None
    digits, fraction, unit = match["digits"] or "", match["fraction"] or "", (match["unit"] or "").casefold()
    if not digits and not fraction:
        return None
    if "," in digits and not (_INDIAN_GROUPS.fullmatch(digits) or _WESTERN_GROUPS.fullmatch(digits)):
        return None
    return Decimal(f"{digits.replace(',', '') or '0'}{fraction}") * UNITS[unit]


def read_lots(text: str) -> Decimal | None:
    """Read ``2L`` (also ``2l``): ``L`` is only ever lots. The count may be broken; the caller refuses that in words."""
    match = _LOTS.fullmatch(text)
    return None if match is None else read_number(match["count"])


def read_percent(text: str) -> Decimal | None:
    """Read ``1%`` or ``0.5%``."""
    match = _PERCENT.fullmatch(text)
    return None if match is None else read_number(match["number"])


def plain(value: Decimal) -> str:
    """The number without grouping, exponent or needless zeros: ``24400``, ``102.5``. The parser reads it back."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def price_text(value: Decimal, tick: Decimal = Decimal("0.05")) -> str:
    """A price with at least two places and as many as the tick has; more when the value itself has more."""
    return f"{value:.{max(PLACES_MIN, places(tick), places(value))}f}"


def places(value: Decimal) -> int:
    """Decimal places that matter: 2 for 0.05, 0 for 50.00."""
    _, _, fraction = plain(value).partition(".")
    return len(fraction)


def grouped(value: int) -> str:
    """A whole number in Indian grouping: ``2,01,386``."""
    sign, digits = ("-", str(-value)) if value < 0 else ("", str(value))
    head, tail = digits[:-3], digits[-3:]
    groups = []
    while head:
        groups.append(head[-2:])
        head = head[:-2]
    return sign + ",".join([*reversed(groups), tail])


def strike_text(strike: Decimal) -> str:
    """A strike inside a sentence for a person: ``24,010`` or ``102.5``."""
    whole = strike == strike.to_integral_value()
    return grouped(int(strike)) if whole else plain(strike)


def count_word(count: int) -> str:
    """``Two`` for 2; figures above ten."""
    return COUNT_WORDS[count] if 0 <= count < len(COUNT_WORDS) else str(count)


def tick_words(value: Decimal, tick: Decimal) -> str:
    """The sentence for a price off its tick: ``The tick is 0.05: 151.20 or 151.25.``."""
    below, above = nearest_ticks(value, tick)
    if below <= 0:
        return f"The tick is {price_text(tick, tick)}: {price_text(above, tick)}."
    return f"The tick is {price_text(tick, tick)}: {price_text(below, tick)} or {price_text(above, tick)}."
