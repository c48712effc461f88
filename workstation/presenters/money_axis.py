"""Money beside a picture and in a grid: short, but never so short that two marks of an axis read the same.

``lakh`` and ``cr`` are written out on axes; in the cells of a grid they are ``lk`` and ``cr``, and ``k`` is a thousand.
"""

from __future__ import annotations

from collections.abc import Sequence

from workstation.formatting import CRORE, LAKH, Glyphs, Number, decimal_text, exact, known, money, rounded
from workstation.presenters.text_plot import Span, nice_values

THOUSAND = 1000
LABEL_WIDTH = 11
"""Cells of a label at an axis: ``-9.99 lakh`` and ``+1,20,000``, and a blank."""
CELL_WIDTH = 6
"""Cells of a short figure: ``-99.9k``, ``+2.6lk``."""
DECIMALS_MAX = 3
LABELS_LEAST = 4
"""Round sums beside a low picture, at most."""
ROWS_OF_A_LABEL = 3
UNITS = ((1, "", 0, 1000), (THOUSAND, "k", 1, 100), (LAKH, "lk", 1, 100), (CRORE, "cr", 1, 10_000))
"""Unit, its word, decimals at most, and from where the next unit is taken."""
DECIMAL_BELOW = {"": 0, "k": 100, "lk": 10, "cr": 10}
"""A figure of so many units has no decimal: six cells are all it gets."""


def money_ticks(values: Sequence[float]) -> list[str]:
    """Texts of evenly spaced sums, in one unit, with as many decimals as tell them apart."""
    largest = max((abs(value) for value in values), default=0.0)
    unit, word = (CRORE, " cr") if largest >= CRORE else (LAKH, " lakh") if largest >= LAKH else (1, "")
    step = abs(values[1] - values[0]) / unit if len(values) > 1 else 1.0
    places = 0
    while places < DECIMALS_MAX and abs(round(step, places) - step) > step / THOUSAND:
        places += 1
    texts = []
    for value in values:
        number = rounded(exact(value) / unit, places)
        texts.append("0" if number == 0 else f"{decimal_text(number, places, sign=True)}{word}")
    return texts


def money_labels(span: Span, rows: int) -> dict[int, str]:
    """Sums beside the rows of a picture, by row from the top: at least three where round ones lie inside."""
    values = nice_values(span, max(LABELS_LEAST, rows // ROWS_OF_A_LABEL))
    found = {}
    for value, text in zip(values, money_ticks(values), strict=True):
        place = span.place(value, rows)
        if place is not None:
            found[rows - 1 - place] = text
    return found


def short_money(value: Number | None, glyphs: Glyphs) -> str:
    """A sum in at most six cells, sign included: ``+850``, ``-17.7k``, ``+2.6lk``, ``-12lk``, ``-1.2cr``."""
    if value is None or not known(value):
        return glyphs.unknown
    number = exact(value)
    for unit, word, most, below in UNITS:
        places = most if abs(rounded(number / unit, most)) < DECIMAL_BELOW[word] else 0
        part = rounded(number / unit, places)
        # What rounds up to the next unit is written in it: 999.6 is 1.0k, 99,960 is 1.0lk.
        if abs(part) < below:
            return decimal_text(part, places, sign=True, group=False) + (word if part else "")
    return money(number, glyphs)


def tone_of(value: Number | None) -> str:
    """Gain, loss or neither."""
    if value is None or not known(value):
        return "old"
    whole = rounded(value, 0)
    return "gain" if whole > 0 else "loss" if whole < 0 else ""
