"""One candle as signs: a full body rose, a hollow one fell, a cross is where it opened and closed at one price.

Pure. With block signs a cell has two levels, on a plain terminal one. Each level that a body or wick spans is drawn and
no other; a candle with a figure that is not known is not drawn at all. ``#`` rose and ``x`` fell on a plain terminal.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from workstation.formatting import Glyphs
from workstation.presenters.text_plot import Span

Cell = tuple[str, str]
"""A sign and its tone."""
Cells = dict[tuple[int, int], Cell]
"""By column from the left and row from the top."""

NONE, WICK, BODY = range(3)
"""What a level of a cell shows."""
FULL: Final = {
    (BODY, BODY): "█",
    (BODY, WICK): "▀",
    (BODY, NONE): "▀",
    (WICK, BODY): "▄",
    (NONE, BODY): "▄",
}
"""A body that rose, by the upper and the lower level of a cell."""
HOLLOW: Final = {
    (BODY, BODY): "┃",
    (BODY, WICK): "╿",
    (BODY, NONE): "╹",
    (WICK, BODY): "╽",
    (NONE, BODY): "╻",
}
"""A body that fell."""
WICKS: Final = {(WICK, WICK): "│", (WICK, NONE): "╵", (NONE, WICK): "╷"}
CROSS, DASH = "┼", "─"
PLAIN: Final = {"rose": "#", "fell": "x", "same": "-", "wick": "|"}
EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
WIDE_FROM: Final = 4
"""Cells from candle to candle from which a body is three cells wide."""


class Candle(NamedTuple):
    """The four prices."""

    open: float
    high: float
    low: float
    close: float

    @property
    def is_known(self) -> bool:
        """Whether all four are numbers."""
        return all(math.isfinite(value) for value in self)

    @property
    def tone(self) -> str:
        """Gain, loss or neither."""
        return "gain" if self.close > self.open else "loss" if self.close < self.open else ""


class Levels(NamedTuple):
    """A candle in steps of the scale, counted from below."""

    low: int
    bottom: int
    """Of the body."""
    top: int
    high: int

    def at(self, level: int) -> int:
        """What stands there."""
        if self.bottom <= level <= self.top:
            return BODY
        return WICK if self.low <= level <= self.high else NONE


def levels_of(candle: Candle, span: Span, steps: int) -> Levels | None:
    """Where a candle stands on a scale of ``steps``; ``None`` where a price is not known or lies outside."""
    if not candle.is_known:
        return None
    places = [span.place(value, steps) for value in candle]
    known = [place for place in places if place is not None]
    if len(known) < len(places):
        return None
    first, high, low, last = known
    return Levels(low, min(first, last), max(first, last), high)


def candle_cells(candle: Candle, span: Span, rows: int, pitch: int, glyphs: Glyphs) -> Cells:
    """The signs of one candle; column 0 is where its wick stands."""
    if not glyphs.dots:
        return _plain_cells(candle, span, rows)
    levels = levels_of(candle, span, 2 * rows)
    if levels is None:
        return {}
    tone, cells = candle.tone, Cells()
    for cell in range(levels.low // 2, levels.high // 2 + 1):
        parts = (levels.at(2 * cell + 1), levels.at(2 * cell))
        cells[0, rows - 1 - cell] = (_sign(parts, levels, cell, tone), tone)
    if pitch >= WIDE_FROM:
        _widen(cells, levels, rows, tone)
    return cells


def body_column(pitch: int) -> int:
    """Column of the wick in the cells of a candle."""
    return 1 if pitch >= WIDE_FROM else 0


def bar_cells(value: float, largest: float, rows: int, pitch: int, glyphs: Glyphs) -> Cells:
    """A bar from below whose full height is ``largest``; what is not known has none, what is not zero is seen."""
    if not math.isfinite(value) or value <= 0 or not largest > 0:
        return {}
    steps = 8 if glyphs.dots else 1
    height = min(max(1, math.ceil(value / largest * rows * steps - 1e-9)), rows * steps)
    cells = Cells()
    columns = (-1, 0, 1) if pitch >= WIDE_FROM else (0,)
    for cell in range(-(-height // steps)):
        part = min(steps, height - cell * steps)
        for column in columns:
            cells[column, rows - 1 - cell] = (EIGHTHS[part] if glyphs.dots else PLAIN["rose"], "muted")
    return cells


def _sign(parts: tuple[int, int], levels: Levels, cell: int, tone: str) -> str:
    if BODY not in parts:
        return WICKS[parts]
    if tone:
        return (FULL if tone == "gain" else HOLLOW)[parts]
    return DASH if levels.low == levels.high or levels.high // 2 == levels.low // 2 == cell else CROSS


def _widen(cells: Cells, levels: Levels, rows: int, tone: str) -> None:
    """The body one cell wider on either side, with an outline where it is hollow."""
    bottom, top = rows - 1 - levels.bottom // 2, rows - 1 - levels.top // 2
    for row in range(top, bottom + 1):
        if tone == "gain":
            level = 2 * (rows - 1 - row)
            sides = tuple(BODY if levels.at(part) == BODY else NONE for part in (level + 1, level))
            cells[-1, row] = cells[1, row] = (FULL[sides[0], sides[1]], tone)
        elif not tone:
            cells[-1, row] = cells[1, row] = (DASH, tone)
        else:
            ends = ("┣", "┫") if top == bottom else ("┏", "┓") if row == top else ("┗", "┛")
            inside = top < row < bottom
            cells[-1, row], cells[1, row] = ("┃" if inside else ends[0], tone), ("┃" if inside else ends[1], tone)
            cells[0, row] = (" " if inside else "━", tone)


def _plain_cells(candle: Candle, span: Span, rows: int) -> Cells:
    levels = levels_of(candle, span, rows)
    if levels is None:
        return {}
    body = {"gain": PLAIN["rose"], "loss": PLAIN["fell"]}.get(candle.tone, PLAIN["same"])
    return {
        (0, rows - 1 - level): (body if levels.at(level) == BODY else PLAIN["wick"], candle.tone)
        for level in range(levels.low, levels.high + 1)
    }
