"""Numbers and times as a trader reads them. Pure functions; every text of a figure on a screen is made here.

Rules: ASCII ``+`` and ``-`` so that a copied figure parses; Indian grouping; prices with two decimals; money in whole
rupees on screens and with paise in dialogs; ``L`` means lots and nothing else; unknown (``None``, NaN, infinity) is
``Glyphs.unknown`` and never a number. Rounding is half away from zero, as a contract note does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal

import msgspec

IST = timezone(timedelta(hours=5, minutes=30), "IST")
"""India has one zone and no summer time."""

Number = int | float | Decimal

LAKH = 100_000
CRORE = 10_000_000
PAISA = Decimal("0.01")
SECONDS_PER_MINUTE = 60
SECONDS_PER_HOUR = 3600
SECONDS_PER_DAY = 86_400
AGE_WHOLE_SECONDS_FROM = 10.0
"""Ages below this are shown with a tenth."""
FLOAT_NOISE = 1e-6
"""Sums of floats fall just short of a tenth; the tenth is meant."""
BYTES_STEP = 999.95
"""From here the next unit, so that a rounded size never has four digits before its point."""
AGE_MINUTES_FROM = 120.0
"""Ages below this are shown in seconds."""


class Glyphs(msgspec.Struct, frozen=True, kw_only=True):
    """The signs that are not plain ASCII, so that a terminal without them can have others."""

    rule: str = "─"
    dotted: str = "┄"
    """Rules of a simulated venue."""
    bar: str = "│"
    tee_down: str = "┬"
    tee_up: str = "┴"
    tee_right: str = "├"
    delta: str = "Δ"
    theta: str = "Θ"
    gamma: str = "Γ"
    rupee: str = "₹"
    at_least: str = "≥"
    at_most: str = "≤"
    unknown: str = "—"
    leads: str = "↳"
    above: str = "↑"
    below: str = "↓"
    ellipsis: str = "…"
    plus_minus: str = "±"
    dots: str = "⣿"
    """A full braille cell, where curves may be drawn with its dots; empty where they may not."""


UNICODE = Glyphs()
ASCII = Glyphs(
    rule="-",
    dotted=".",
    bar="|",
    tee_down="+",
    tee_up="+",
    tee_right="+",
    delta="D",
    theta="T",
    gamma="G",
    rupee="Rs",
    at_least=">=",
    at_most="<=",
    unknown="n/a",
    leads="->",
    above="^",
    below="v",
    ellipsis="..",
    plus_minus="+-",
    dots="",
)


def glyphs_named(name: str) -> Glyphs:
    """The glyphs of the setting ``glyphs``."""
    return ASCII if name == "ascii" else UNICODE


def known(value: Number | None) -> bool:
    """Whether there is a finite number to show."""
    if value is None:
        return False
    return value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)


def exact(value: Number) -> Decimal:
    """The decimal a number prints as; floats by their shortest text, so 0.1 is 0.1."""
    if isinstance(value, Decimal):
        return value
    return Decimal(repr(float(value))) if isinstance(value, float) else Decimal(int(value))


def rounded(value: Number, places: int) -> Decimal:
    """Half away from zero to ``places`` decimals; a zero is never negative."""
    result = exact(value).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return abs(result) if result == 0 else result


def group_digits(digits: str) -> str:
    """Indian grouping of a string of digits: ``12345678`` is ``1,23,45,678``."""
    head, tail = digits[:-3], digits[-3:]
    if not head:
        return tail
    first = len(head) % 2
    pairs = [head[:first]] if first else []
    pairs += [head[index : index + 2] for index in range(first, len(head), 2)]
    return ",".join([*pairs, tail])


def decimal_text(value: Number, places: int, *, sign: bool = False, group: bool = True) -> str:
    """A finite number with ``places`` decimals; with ``sign`` a positive one carries ``+`` and zero none."""
    number = rounded(value, places)
    whole, _, fraction = f"{abs(number):f}".partition(".")
    text = group_digits(whole) if group else whole
    if fraction:
        text = f"{text}.{fraction}"
    if number < 0:
        return f"-{text}"
    return f"+{text}" if sign and number > 0 else text


def money(value: Number | None, glyphs: Glyphs = UNICODE) -> str:
    """Whole rupees with a sign: ``-2,01,386``, ``+4,592``, ``0``."""
    return decimal_text(value, 0, sign=True) if value is not None and known(value) else glyphs.unknown


def money_exact(value: Number | None, glyphs: Glyphs = UNICODE) -> str:
    """Rupees and paise with a sign, for dialogs: ``+1,89,117.50``."""
    return decimal_text(value, 2, sign=True) if value is not None and known(value) else glyphs.unknown


def money_words(value: Number | None, glyphs: Glyphs = UNICODE) -> str:
    """Large money in lakh and crore words, unsigned when positive: ``14.63 lakh``, ``-2.57 lakh``, ``1.20 cr``."""
    if value is None or not known(value):
        return glyphs.unknown
    size = abs(exact(value))
    if size >= CRORE:
        return f"{decimal_text(exact(value) / CRORE, 2)} cr"
    if size >= LAKH:
        return f"{decimal_text(exact(value) / LAKH, 2)} lakh"
    return decimal_text(value, 0)


def price(value: Number | None, glyphs: Glyphs = UNICODE, *, group: bool = True) -> str:
    """A price, always two decimals: ``24,381.05``."""
    return decimal_text(value, 2, group=group) if value is not None and known(value) else glyphs.unknown


def price_cell(value: Number | None, width: int, glyphs: Glyphs = UNICODE) -> str:
    """A price right-aligned in ``width`` cells; grouping gives way before a digit does."""
    text = price(value, glyphs)
    if len(text) > width:
        text = price(value, glyphs, group=False)
    return text.rjust(width)


def price_width(largest: Number | None, least: int) -> int:
    """Cells a price column needs for its largest value, at least ``least``."""
    return max(least, len(price(largest, group=False))) if known(largest) else least


def signed_price(value: Number | None, glyphs: Glyphs = UNICODE) -> str:
    """A difference of prices: ``+0.10``, ``-3.00``, ``0.00``."""
    return decimal_text(value, 2, sign=True) if value is not None and known(value) else glyphs.unknown


def strike(value: Number | None, glyphs: Glyphs = UNICODE, *, group: bool = True) -> str:
    """A strike without needless decimals: ``24,400``, ``102.50``."""
    if value is None or not known(value):
        return glyphs.unknown
    number = exact(value)
    return decimal_text(number, 0 if number == number.to_integral_value() else 2, group=group)


def option_delta(value: float | None, glyphs: Glyphs = UNICODE) -> str:
    """An option's delta in four cells: ``-.49``, ``+1.0``, ``.00``."""
    if value is None or not known(value):
        return glyphs.unknown
    number = rounded(value, 2)
    if abs(number) >= 1:
        return decimal_text(number, 1, sign=True)
    return decimal_text(number, 2, sign=True).replace("0.", ".", 1)


def ratio(value: float | None, glyphs: Glyphs = UNICODE) -> str:
    """A ratio without a leading zero: ``.94``, ``1.02``."""
    if value is None or not known(value):
        return glyphs.unknown
    text = decimal_text(value, 2)
    return text.removeprefix("0") if text.startswith("0.") else text


def volatility(value: float | None, glyphs: Glyphs = UNICODE) -> str:
    """An annual volatility in percent with one decimal: 0.122 is ``12.2``; from 100 % on without one."""
    if value is None or not known(value):
        return glyphs.unknown
    percent = exact(value) * 100
    return decimal_text(percent, 0 if rounded(percent, 1) >= 100 else 1)


def volatility_points(value: float | None, glyphs: Glyphs = UNICODE, *, places: int = 2) -> str:
    """A difference of annual volatilities in percentage points: -0.012 is ``-1.20``."""
    if value is None or not known(value):
        return glyphs.unknown
    return decimal_text(exact(value) * 100, places, sign=True)


def signed_percent(value: Number | None, glyphs: Glyphs = UNICODE, *, places: int = 2) -> str:
    """A change in percent: ``+0.21%``."""
    return f"{decimal_text(value, places, sign=True)}%" if value is not None and known(value) else glyphs.unknown


def whole_percent(value: Number | None, glyphs: Glyphs = UNICODE) -> str:
    """A share (1 is all) in whole percent: ``61%``."""
    return f"{decimal_text(exact(value) * 100, 0)}%" if value is not None and known(value) else glyphs.unknown


def lakh_units(value: Number | None, glyphs: Glyphs = UNICODE) -> str:
    """A count of units in lakh, in at most five cells: ``62.9``, ``0.04``, ``1,204``; zero is ``0``."""
    if value is None or not known(value):
        return glyphs.unknown
    lakhs = exact(value) / LAKH
    if lakhs == 0:
        return "0"
    if lakhs < Decimal("0.95"):
        return decimal_text(lakhs, 2)
    return decimal_text(lakhs, 0 if rounded(lakhs, 1) >= 1000 else 1)


def compact(value: float | None, width: int, glyphs: Glyphs = UNICODE, *, places: int = 2, sign: bool = False) -> str:
    """A figure with as many decimals, ``places`` at most, as fit into ``width`` cells."""
    if value is None or not known(value):
        return glyphs.unknown
    text = ""
    for count in range(places, -1, -1):
        text = decimal_text(value, count, sign=sign, group=False)
        if len(text) <= width:
            return text
    return text


def lots(units: int, lot_size: int | None, *, sign: bool = False) -> str:
    """Units as lots, ``10L``, when they are whole ones; otherwise as units, ``650u``. Unknown lot: units."""
    mark = "+" if sign and units > 0 else ""
    if lot_size and units % lot_size == 0:
        return f"{mark}{decimal_text(units // lot_size, 0)}L"
    return f"{mark}{decimal_text(units, 0)}u"


def quantity(units: int, lot_size: int | None, *, as_units: bool, sign: bool = False) -> str:
    """Lots or bare units, as the terminal is switched."""
    if as_units:
        return decimal_text(units, 0, sign=sign)
    return lots(units, lot_size, sign=sign)


def age(seconds: float | None, glyphs: Glyphs = UNICODE) -> str:
    """How old something is: ``0.2s``, ``47s``, ``3m``, ``2h 05m``."""
    if seconds is None or not known(seconds):
        return glyphs.unknown
    seconds = max(0.0, seconds)
    if seconds < AGE_WHOLE_SECONDS_FROM:
        return f"{math.floor(seconds * 10 + FLOAT_NOISE) / 10:.1f}s"
    if seconds < AGE_MINUTES_FROM:
        return f"{int(seconds)}s"
    if seconds < SECONDS_PER_HOUR:
        return f"{int(seconds // SECONDS_PER_MINUTE)}m"
    return f"{int(seconds // SECONDS_PER_HOUR)}h {int(seconds % SECONDS_PER_HOUR // SECONDS_PER_MINUTE):02d}m"


def milliseconds(value: float, glyphs: Glyphs = UNICODE) -> str:
    """A short delay: ``31ms``, ``1.2s``."""
    if not known(value):
        return glyphs.unknown
    return f"{round(value)}ms" if value < 1000 else f"{value / 1000:.1f}s"


def data_size(count: int | None, glyphs: Glyphs = UNICODE) -> str:
    """Bytes in at most seven cells: ``812 B``, ``23.9 MB``; thousands of thousands, as disks are sold."""
    if count is None or count < 0:
        return glyphs.unknown
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < BYTES_STEP:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def whole(value: float | None, glyphs: Glyphs = UNICODE) -> str:
    """A count in Indian grouping: ``1,28,430``."""
    return decimal_text(value, 0) if value is not None and known(value) else glyphs.unknown


def countdown(seconds: float | None, glyphs: Glyphs = UNICODE) -> str:
    """Time left: ``4:12:19``; from a day on ``1d 4h``; what has passed is ``0:00:00``."""
    if seconds is None or not known(seconds):
        return glyphs.unknown
    left = max(0, math.ceil(seconds))
    if left >= SECONDS_PER_DAY:
        return f"{left // SECONDS_PER_DAY}d {left % SECONDS_PER_DAY // SECONDS_PER_HOUR}h"
    return f"{left // SECONDS_PER_HOUR}:{left % SECONDS_PER_HOUR // SECONDS_PER_MINUTE:02d}:{left % 60:02d}"


def time_to_expiry(seconds: float | None, glyphs: Glyphs = UNICODE, *, short: bool = False) -> str:
    """``6d 4h 37m`` (short ``6d 4h``), within a day ``4h 37m``, within an hour ``37m 12s``; then ``expired``."""
    if seconds is None or not known(seconds):
        return glyphs.unknown
    left = math.floor(seconds)
    if left <= 0:
        return "expired"
    days, hours = left // SECONDS_PER_DAY, left % SECONDS_PER_DAY // SECONDS_PER_HOUR
    minutes = left % SECONDS_PER_HOUR // SECONDS_PER_MINUTE
    if days:
        return f"{days}d {hours}h" if short else f"{days}d {hours}h {minutes}m"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {left % 60}s"


def india(moment: datetime) -> datetime:
    """An aware moment in Indian time."""
    return moment.astimezone(IST)


def clock_time(moment: datetime) -> str:
    """``11:02:41`` in Indian time."""
    return f"{india(moment):%H:%M:%S}"


def full_time(moment: datetime) -> str:
    """``Wed 25 Nov 11:02:41 IST``."""
    return f"{india(moment):%a %d %b %H:%M:%S} IST"


def expiry_day(day: date, *, spaced: bool = False) -> str:
    """``01DEC``, or ``01 DEC`` in titles."""
    return f"{day:%d %b}".upper() if spaced else f"{day:%d%b}".upper()


def round_parts(parts: Sequence[Decimal], *, places: int = 0) -> tuple[tuple[Decimal, ...], Decimal]:
    """Round parts and their total so that the shown parts add up to the shown total.

    The total is the exact sum, rounded; the smallest part takes the difference, so no large figure is bent.
    """
    total = rounded(sum(parts, Decimal(0)), places)
    shown = [rounded(part, places) for part in parts]
    difference = total - sum(shown, Decimal(0))
    if shown and difference:
        smallest = min(range(len(parts)), key=lambda index: abs(parts[index]))
        shown[smallest] += difference
    return tuple(shown), total
