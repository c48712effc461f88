"""Curves and points drawn with characters: braille dots, or plain signs where the terminal has no others.

What is drawn later lies above what was drawn before. A value that is not known is a gap in its curve: neighbours are
joined only with neighbours, and nothing is drawn that was not given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from engine.core.views import Floats
from workstation.formatting import Glyphs, decimal_text
from workstation.presenters.lines import Line, filled, merged, right

DOTS_ACROSS = 2
DOTS_DOWN = 4
"""Dots of one braille cell."""
BRAILLE = 0x2800
BRAILLE_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""By column and row of the dot in its cell."""
NICE_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
HEIGHT_LEAST = 3
WIDTH_LEAST = 12
"""Below these there is no picture, only the figures beside it."""
MARGIN_SHARE = 0.05
"""Free room above and below the values, of their range."""
DECIMALS_MAX = 4


class Span(msgspec.Struct, frozen=True):
    """The values of one axis, low below high."""

    low: float
    high: float

    def place(self, value: float, steps: int) -> int | None:
        """The step of ``steps`` a value falls on; ``None`` outside."""
        if not math.isfinite(value) or not self.low <= value <= self.high:
            return None
        return min(int((value - self.low) / (self.high - self.low) * steps), steps - 1)


def span_of(*values: Floats, margin: float = MARGIN_SHARE) -> Span | None:
    """The range of all known values, with some room; ``None`` when none is known."""
    known = np.concatenate([part[np.isfinite(part)] for part in values]) if values else np.empty(0)
    if not known.size:
        return None
    low, high = float(known.min()), float(known.max())
    room = (high - low) * margin
    if high <= low:
        room = max(abs(high) * margin, margin)
    return Span(low - room, high + room)


def nice_values(span: Span, most: int) -> list[float]:
    """At most ``most`` round values inside a span, evenly apart; at least one whenever a round one lies inside."""
    if most < 1:
        return []
    raw = (span.high - span.low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    for step in (factor * power for factor in (*NICE_STEPS, 2 * NICE_STEPS[-1])):
        first = math.ceil(span.low / step)
        last = math.floor(span.high / step)
        if last - first + 1 <= most:
            return [place * step for place in range(first, last + 1)]
    return []


def tick_texts(values: Sequence[float]) -> list[str]:
    """Texts of evenly spaced values with as many decimals as tell them apart."""
    if len(values) < 2:
        return [decimal_text(value, 2) for value in values]
    step = values[1] - values[0]
    places = 0
    while places < DECIMALS_MAX and abs(round(step, places) - step) > abs(step) / 100:
        places += 1
    return [decimal_text(value, places) for value in values]


class Canvas:
    """A rectangle of cells with an axis to the right (x) and one upwards (y)."""

    def __init__(self, width: int, height: int, x: Span, y: Span, glyphs: Glyphs) -> None:
        """``width`` and ``height`` in cells, at least one each."""
        self._width = width
        self._height = height
        self._x = x
        self._y = y
        self._glyphs = glyphs
        self._across = DOTS_ACROSS if glyphs.dots else 1
        self._down = DOTS_DOWN if glyphs.dots else 1
        self._dots: dict[tuple[int, int], int] = {}
        self._cells: dict[tuple[int, int], tuple[str, str]] = {}

    def vertical(self, x: float, tone: str) -> None:
        """A line from top to bottom."""
        column = self._x.place(x, self._width)
        if column is not None:
            for row in range(self._height):
                self._put(column, row, self._glyphs.bar, tone)

    def horizontal(self, y: float, tone: str) -> None:
        """A line from left to right."""
        place = self._y.place(y, self._height)
        if place is not None:
            for column in range(self._width):
                self._put(column, self._height - 1 - place, self._glyphs.rule, tone)

    def curve(self, xs: Floats, ys: Floats, tone: str, sign: str) -> None:
        """Join neighbouring known points; ``sign`` stands for dots on a plain terminal. A lone point is one dot."""
        before: tuple[float, float] | None = None
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            place = self._place(x, y)
            if place is None:
                before = None
                continue
            if before is not None:
                self._join(before, place, tone, sign)
            self._dot(int(place[0]), int(place[1]), tone, sign)
            before = place

    def points(self, xs: Floats, ys: Floats, tone: str, sign: str) -> None:
        """A sign at each known point."""
        for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
            column, place = self._x.place(x, self._width), self._y.place(y, self._height)
            if column is not None and place is not None:
                self._put(column, self._height - 1 - place, sign, tone)

    def lines(self) -> list[Line]:
        """The rows from the top."""
        blank = (" ", "")
        return [
            merged(self._cells.get((column, row), blank) for column in range(self._width))
            for row in range(self._height)
        ]

    def _place(self, x: float, y: float) -> tuple[float, float] | None:
        """A point in dots from the top left; ``None`` outside."""
        column = self._x.place(x, self._width * self._across)
        row = self._y.place(y, self._height * self._down)
        return None if column is None or row is None else (column, self._height * self._down - 1 - row)

    def _join(self, start: tuple[float, float], end: tuple[float, float], tone: str, sign: str) -> None:
        steps = int(max(abs(end[0] - start[0]), abs(end[1] - start[1])))
        for step in range(1, steps):
            share = step / steps
            column = start[0] + (end[0] - start[0]) * share
            row = start[1] + (end[1] - start[1]) * share
            self._dot(round(column), round(row), tone, sign)

    def _dot(self, column: int, row: int, tone: str, sign: str) -> None:
        cell = (column // self._across, row // self._down)
        if not self._glyphs.dots:
            self._put(*cell, sign, tone)
            return
        bit = BRAILLE_BITS[column % DOTS_ACROSS][row % DOTS_DOWN]
        self._dots[cell] = self._dots.get(cell, 0) | bit
        self._cells[cell] = (chr(BRAILLE + self._dots[cell]), tone)

    def _put(self, column: int, row: int, sign: str, tone: str) -> None:
        self._dots.pop((column, row), None)
        self._cells[column, row] = (sign, tone)


def y_labels(span: Span, height: int, text: Callable[[Sequence[float]], list[str]] = tick_texts) -> dict[int, str]:
    """Texts beside the rows of a picture, by row from the top, about every third row."""
    values = nice_values(span, max(2, height // 3))
    found = {}
    for value, words in zip(values, text(values), strict=True):
        place = span.place(value, height)
        if place is not None:
            found[height - 1 - place] = words
    return found


def framed(body: Sequence[Line], labels: dict[int, str], label_width: int, glyphs: Glyphs) -> list[Line]:
    """A picture with its values at the left and a rule between."""
    return [
        merged(((right(labels.get(row, ""), label_width), "muted"), (glyphs.bar, "rule"), *line))
        for row, line in enumerate(body)
    ]


def x_line(span: Span, width: int, values: Sequence[float], texts: Sequence[str], indent: int) -> Line:
    """Texts below a picture, centred under their values; one that would touch its neighbour is left out."""
    cells = [" "] * width
    free = 0
    for value, text in zip(values, texts, strict=True):
        column = span.place(value, width)
        if column is None:
            continue
        start = min(max(0, column - len(text) // 2), width - len(text))
        if start < free or start < 0:
            continue
        cells[start : start + len(text)] = text
        free = start + len(text) + 2
    return filled(((" " * indent, ""), ("".join(cells), "muted")), indent + width)
