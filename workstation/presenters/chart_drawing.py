"""The drawn parts of a chart: candles with what lies over them, strips below, marks and times.

Pure. Candles lie over everything else, so that each shows exactly its own levels; studies fill the cells between them
and carry their letter at the right edge. What is missing is dotted, never joined over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.core.bars import BarSource, BarsView
from engine.core.views import Floats
from engine.core.vocabulary import QuoteState
from workstation.formatting import LAKH, Glyphs, decimal_text, lakh_units
from workstation.presenters.candle_plot import Candle, Cell, Cells, bar_cells, body_column, candle_cells
from workstation.presenters.chart_axis import price_labels, price_places, price_span, time_line
from workstation.presenters.chart_choice import OPEN_INTEREST, ChartChoice, Curve, Study
from workstation.presenters.chart_slots import Slot, SlotKind, Window
from workstation.presenters.lines import EMPTY, Line, Span, merged, right, width_of
from workstation.presenters.seen import Seen
from workstation.presenters.text_plot import Canvas, span_of
from workstation.presenters.text_plot import Span as Scale

PRICE_ROWS_LEAST = 6
STRIP_FROM = 11
"""Rows below the figures from which there is a strip under the candles."""
STRIP_SHARE = 7
"""One part in so many of the rows is a strip."""
STRIP_LEAST = 2
STRIP_MOST = 8
EDGE_CELLS = 1
"""The column of the letters of studies."""
GAP_SIGNS = ("·", ".")
"""With dots, and on a plain terminal."""
LAST_SIGNS = ("╌", "-")
LAST_AT_AXIS = "<"
CURSOR, PARTIAL, RUNNING = "^", "p", "r"
"""Marks below candles."""


@dataclass(frozen=True, slots=True)
class ChartPicture:
    """Everything that is drawn."""

    name: str
    """Of the instrument; empty before one is chosen."""
    tick: float
    bars: Seen[BarsView]
    slots: tuple[Slot, ...]
    """Of ``bars.value``."""
    feed: QuoteState
    reason: str = ""
    """Why there is nothing to look at."""


class ChartLayout:
    """Rows and columns at a size."""

    def __init__(self, picture: ChartPicture, choice: ChartChoice, width: int, rows: int, label: int) -> None:
        """Share ``rows`` lines of ``width`` cells, with prices of ``label`` cells beside them."""
        view = picture.bars.value
        self.label = label
        self.across = max(0, width - label - 1 - EDGE_CELLS)
        has_volume = view is not None and bool((view.volume > 0).any())
        wanted = [None] if has_volume else []
        strips: list[Study | None] = []
        self.strip_rows = min(max(STRIP_LEAST, rows // STRIP_SHARE), STRIP_MOST)
        left = rows - 2
        for strip in (*wanted, *choice.below()):
            if rows >= STRIP_FROM and left - self.strip_rows - 1 >= PRICE_ROWS_LEAST:
                strips.append(strip)
                left -= self.strip_rows + 1
        self.strips = tuple(strips)
        self.without_room = tuple(study for study in choice.below() if study not in strips)
        self.price_rows = left


def chart_room(width: int, label: int, pitch: int) -> int:
    """Places for candles in so many cells."""
    return max(0, width - label - 1 - EDGE_CELLS) // pitch


class StudyLine(NamedTuple):
    """One line that is drawn."""

    study: Study
    curve: Curve
    values: Floats


class ChartDrawing:
    """The parts below the figures, all with the same columns."""

    def __init__(
        self,
        picture: ChartPicture,
        view: BarsView,
        choice: ChartChoice,
        window: Window,
        *,
        layout: ChartLayout,
        glyphs: Glyphs,
    ) -> None:
        """Draw what ``window`` shows of a view."""
        self._picture, self._view, self._choice = picture, view, choice
        self._layout, self._glyphs = layout, glyphs
        self._slots = picture.slots[window.first : window.end]
        self._cursor = window.cursor - window.first
        self._plain = not glyphs.dots
        self._rows = np.array([slot.row for slot in self._slots if slot.kind is SlotKind.CANDLE], dtype=np.int64)

    # --- parts -------------------------------------------------------------------------------------------------------

    def prices(self) -> list[Line]:
        """Candles with what lies over them, and the prices beside them."""
        rows, view = self._layout.price_rows, self._view
        studies = [
            StudyLine(study, curve, study_values(view, study, name))
            for study in self._choice.over()
            for curve, name in study.columns()
        ]
        span = price_span(
            view.low[self._rows],
            view.high[self._rows],
            [item.values[self._rows] for item in studies],
            self._picture.tick,
        )
        if span is None:
            return [EMPTY] * rows
        last = float(view.close[-1])
        last_place = span.place(last, rows)
        cells = self._ground(rows)
        if last_place is not None:
            sign = LAST_SIGNS[self._plain]
            for column in range(self._layout.across):
                cells.setdefault((column, rows - 1 - last_place), (sign, "rule"))
        letters: dict[int, Cell] = {}
        for item in studies:
            self._curve(cells, letters, item, span, rows)
        self._candles(cells, span, rows)
        labels = {row: (text, "muted") for row, text in price_labels(span, rows, self._picture.tick).items()}
        if last_place is not None:
            text = decimal_text(last, price_places(self._picture.tick))
            labels[rows - 1 - last_place] = (text, "bold")
        return self._lines(cells, rows, labels, letters, None if last_place is None else rows - 1 - last_place)

    def strip_title(self, study: Study | None, width: int) -> Line:
        """A rule with the name of a strip and its figure at the cursor."""
        view, row = self._view, self._slots[self._cursor].row
        stroke = self._glyphs.rule
        if study is None:
            words = f"volume lakh {lakh_units(float(view.volume[row]), self._glyphs)}"
        else:
            value = float(self._values(study, study.columns()[0][1])[row])
            figure = decimal_text(value, 2) if np.isfinite(value) else self._glyphs.unknown
            words = f"{study.title} {figure}"
        start: list[Span] = [(stroke, "rule"), (f" {words} ", "muted")]
        return merged((*start, (stroke * max(0, self._layout.across + EDGE_CELLS - width_of(start)), "rule")))

    def volumes(self) -> list[Line]:
        """Bars of the units traded."""
        rows, pitch = self._layout.strip_rows, self._choice.pitch
        volume = self._view.volume
        known = volume[self._rows][np.isfinite(volume[self._rows])]
        largest = float(known.max()) if known.size else 0.0
        cells = self._ground(rows)
        for place, slot in enumerate(self._slots):
            if slot.kind is SlotKind.CANDLE:
                bar = bar_cells(float(volume[slot.row]), largest, rows, pitch, self._glyphs)
                self._put(cells, bar, place)
        label = (lakh_units(largest, self._glyphs), "muted")
        return self._lines(cells, rows, {0: label} if largest > 0 else {}, {}, None)

    def study(self, study: Study) -> list[Line]:
        """A curve on a scale of its own."""
        rows = self._layout.strip_rows
        curve, name = study.columns()[0]
        values = self._values(study, name)
        scale = Scale(*study.span) if study.span is not None else span_of(values[self._rows])
        cells = self._ground(rows)
        if scale is None:
            return self._lines(cells, rows, {0: (self._glyphs.unknown, "muted")}, {}, None)
        labels: dict[int, Cell] = {}
        for guide in study.guides:
            place = scale.place(guide, rows)
            if place is not None:
                labels[rows - 1 - place] = (decimal_text(guide, 0), "muted")
                for column in range(self._layout.across):
                    cells.setdefault((column, rows - 1 - place), (LAST_SIGNS[self._plain], "rule"))
        if not study.guides:
            known = values[self._rows][np.isfinite(values[self._rows])]
            labels = {0: (decimal_text(float(known.max()), 2), "muted")}
            labels[rows - 1] = (decimal_text(float(known.min()), 2), "muted")
        self._curve(cells, {}, StudyLine(study, curve, values), scale, rows)
        return self._lines(cells, rows, labels, {}, None)

    def marks(self) -> Line:
        """Below each candle what has to be known of it."""
        cells, pitch = [" "] * self._layout.across, self._choice.pitch
        tones = [""] * self._layout.across
        last = len(self._view.start) - 1
        for place, slot in enumerate(self._slots):
            if slot.kind is not SlotKind.CANDLE:
                continue
            is_partial = self._view.source[slot.row] == BarSource.PARTIAL
            sign = PARTIAL if is_partial else RUNNING if self._view.running and slot.row == last else ""
            sign, tone = (CURSOR, "bold") if place == self._cursor else (sign, "attention" if is_partial else "muted")
            column = place * pitch + body_column(pitch)
            if sign and column < len(cells):
                cells[column], tones[column] = sign, tone
        return merged(zip(cells, tones, strict=True))

    def times(self) -> Line:
        """Dates and times, and what the marks mean where there is room."""
        text = time_line(self._slots, self._choice.interval.minutes, self._choice.pitch, self._layout.across)
        return ((text, "muted"), (" IST", "faint"))

    # --- inside ------------------------------------------------------------------------------------------------------

    def _values(self, study: Study, name: str) -> Floats:
        values = study_values(self._view, study, name)
        return values / LAKH if study is OPEN_INTEREST else values

    def _ground(self, rows: int) -> Cells:
        """Gaps and the lines between days."""
        cells, pitch = Cells(), self._choice.pitch
        for place, slot in enumerate(self._slots):
            if slot.kind not in {SlotKind.GAP, SlotKind.DAY}:
                continue
            is_gap = slot.kind is SlotKind.GAP
            sign = GAP_SIGNS[self._plain] if is_gap else self._glyphs.bar
            for row in range(rows):
                cells[place * pitch + body_column(pitch), row] = (sign, "attention" if is_gap else "rule")
        return cells

    def _candles(self, cells: Cells, span: Scale, rows: int) -> None:
        view, pitch = self._view, self._choice.pitch
        for place, slot in enumerate(self._slots):
            if slot.kind is SlotKind.CANDLE:
                at = slot.row
                candle = Candle(float(view.open[at]), float(view.high[at]), float(view.low[at]), float(view.close[at]))
                self._put(cells, candle_cells(candle, span, rows, pitch, self._glyphs), place)

    def _put(self, cells: Cells, own: Cells, place: int) -> None:
        column = place * self._choice.pitch + body_column(self._choice.pitch)
        for (across, row), cell in own.items():
            if 0 <= column + across < self._layout.across:
                cells[column + across, row] = cell

    def _curve(self, cells: Cells, letters: dict[int, Cell], item: StudyLine, scale: Scale, rows: int) -> None:
        """Dots of one line, in cells that hold nothing but the ground; its letter at the edge, at its last figure."""
        pitch, across = self._choice.pitch, self._layout.across
        xs, ys = [], []
        for place, slot in enumerate(self._slots):
            if slot.kind is SlotKind.QUIET:
                continue
            xs.append(place * pitch + body_column(pitch) + 0.5)
            ys.append(float(item.values[slot.row]) if slot.kind is SlotKind.CANDLE else float("nan"))
        canvas = Canvas(across, rows, Scale(0.0, float(across)), scale, self._glyphs)
        canvas.curve(np.array(xs), np.array(ys), item.curve.tone, item.study.letter)
        for row, line in enumerate(canvas.lines()):
            column = 0
            for text, tone in line:
                for sign in text:
                    if sign != " " and cells.get((column, row), ("", "rule"))[1] == "rule":
                        cells[column, row] = (sign, tone)
                    column += 1
        known = [value for value in ys if np.isfinite(value)]
        at = scale.place(known[-1], rows) if known else None
        if at is not None:
            letters[rows - 1 - at] = (item.study.letter, item.curve.tone)

    def _lines(
        self,
        cells: Cells,
        rows: int,
        labels: dict[int, Cell],
        letters: dict[int, Cell],
        last_row: int | None,
    ) -> list[Line]:
        pitch = self._choice.pitch
        at_cursor = self._cursor * pitch + body_column(pitch)
        lines = []
        for row in range(rows):
            spans: list[Span] = []
            for column in range(self._layout.across):
                sign, tone = cells.get((column, row), (" ", ""))
                spans.append((sign, f"beside {tone}".strip() if column == at_cursor else tone))
            text, tone = labels.get(row, ("", "muted"))
            stroke = (LAST_AT_AXIS, "bold") if row == last_row else (self._glyphs.bar, "rule")
            spans += [letters.get(row, (" ", "")), stroke, (right(text, self._layout.label), tone)]
            lines.append(merged(spans))
        return lines


def study_values(view: BarsView, study: Study, name: str) -> Floats:
    """What a line is drawn from; all unknown where the answer lacks it."""
    if study is OPEN_INTEREST:
        return view.open_interest
    return view.columns.get(name, np.full(len(view.start), np.nan))
