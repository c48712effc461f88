"""The Charts screen as lines: title, the candle under the cursor in figures, candles, volume, studies, times.

Pure. What is missing or old is said in words where it is looked at, with the reason one key away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.core.bars import BarSource, BarsView
from engine.core.vocabulary import QuoteState
from workstation.formatting import Glyphs, age, decimal_text, lakh_units, signed_percent
from workstation.presenters.chart_axis import price_places, when
from workstation.presenters.chart_choice import ChartChoice
from workstation.presenters.chart_drawing import (
    PARTIAL,
    PRICE_ROWS_LEAST,
    ChartDrawing,
    ChartLayout,
    ChartPicture,
    chart_room,
    study_values,
)
from workstation.presenters.chart_slots import Sight, SlotKind, Window, missing_minutes, window_of
from workstation.presenters.lines import EMPTY, Line, Span, clean, cut, filled, rule, width_of, wrapped
from workstation.presenters.names import STATE_WORDS

LABEL_LEAST = 6
TEXT_MOST = 76
RULE_CELLS = 3
"""Cells of a title line between two parts."""


def label_width(picture: ChartPicture) -> int:
    """Cells of a price at the axis."""
    view = picture.bars.value
    known = view.high[np.isfinite(view.high)] if view is not None else np.empty(0)
    largest = float(known.max()) if known.size else 0.0
    return max(LABEL_LEAST, len(decimal_text(largest, price_places(picture.tick))))


def chart_page(
    picture: ChartPicture,
    choice: ChartChoice,
    sight: Sight,
    size: tuple[int, int],
    glyphs: Glyphs,
    *,
    simulated: bool,
) -> list[Line]:
    """Everything in exactly ``size`` (width, height)."""
    width, height = size
    view = picture.bars.value
    label = label_width(picture)
    window = window_of(picture.slots, chart_room(width, label, choice.pitch), sight)
    if view is None or window.cursor < 0:
        title = rule(_title(picture, choice, window, None, width), width, glyphs, simulated=simulated)
        return _whole([title, *_empty(picture, width)], width, height)
    figures = _figures(picture, choice, picture.slots[window.cursor].row, width, glyphs)
    layout = ChartLayout(picture, choice, width, height - 1 - len(figures), label)
    title = rule(_title(picture, choice, window, layout, width), width, glyphs, simulated=simulated)
    if layout.price_rows < PRICE_ROWS_LEAST or window.end - window.first < 1:
        return _whole([title, *figures], width, height)
    draw = ChartDrawing(picture, view, choice, window, layout=layout, glyphs=glyphs)
    lines = [title, *figures, *draw.prices()]
    for strip in layout.strips:
        lines += [draw.strip_title(strip, width), *(draw.volumes() if strip is None else draw.study(strip))]
    lines += [draw.marks(), draw.times()]
    return _whole(lines, width, height)


def why_sentences(picture: ChartPicture, choice: ChartChoice) -> list[str]:
    """Why something is missing or old, and what the marks mean."""
    found = [picture.reason] if picture.reason else []
    seen, view = picture.bars, picture.bars.value
    if seen.trouble:
        found.append(seen.trouble)
    elif view is None and picture.name:
        found.append("The engine has been asked and has not answered yet.")
    elif seen.is_stale and seen.age_s is not None:
        found.append(f"The answer is {age(seen.age_s)} old and a newer one has not come.")
    if view is not None:
        found += [view.note] if view.note else []
        if missing := missing_minutes(view):
            found.append(f"{missing} minutes of what is loaded are missing; they are dotted.")
        found += _partial_words(view)
        for study in (*choice.over(), *choice.below()):
            if not any(np.isfinite(study_values(view, study, name)).any() for _, name in study.columns()):
                found.append(f"{study.title} has no figure: too few candles, or none with what it is made of.")
    found.append("A full body rose, a hollow one fell; blank places are times in which nobody traded.")
    return list(dict.fromkeys(found))


def _partial_words(view: BarsView) -> list[str]:
    partial = int((view.source == BarSource.PARTIAL).sum())
    if not partial:
        return []
    many = "candle is" if partial == 1 else "candles are"
    return [f"{partial} {many} marked {PARTIAL}: the path of the prices was suspect or not there for a part of it."]


def _title(
    picture: ChartPicture, choice: ChartChoice, window: Window, layout: ChartLayout | None, width: int
) -> list[Line]:
    parts: list[Line] = [(("Charts", "title"),)]
    if picture.name:
        parts.append((((clean(picture.name)), "bold"),))
    parts.append(((f"{choice.interval.minutes}m", "key"),))
    seen, view = picture.bars, picture.bars.value
    if seen.is_stale and seen.age_s is not None:
        parts.append(((f"~ {age(seen.age_s)} old", "attention"),))
    if view is not None and window.cursor >= 0:
        if view.running:
            parts.append((("running", "muted"),))
        if picture.feed is not QuoteState.LIVE:
            parts.append(((f"prices {STATE_WORDS[picture.feed]}", "attention"),))
        if missing := missing_minutes(view):
            parts.append(((f"{missing} min missing", "attention"),))
        if layout is not None and layout.without_room:
            words = ", ".join(study.title for study in layout.without_room)
            parts.append(((f"no room for {words}", "attention"),))
    if seen.trouble:
        parts.append(((clean(seen.trouble), "attention"),))
    elif view is not None and window.cursor >= 0:
        shown = [slot for slot in picture.slots[window.first : window.end] if slot.kind is SlotKind.CANDLE]
        span = (f"{when(shown[0].start)} to {when(shown[-1].start)}", "muted")
        if sum(width_of(part) + RULE_CELLS for part in (*parts, (span,))) <= width:
            parts.append((span,))
        if view.note:
            parts.append(((clean(view.note), "muted"),))
    return parts


def _empty(picture: ChartPicture, width: int) -> list[Line]:
    """Why there is no candle."""
    view = picture.bars.value
    if picture.reason:
        words = picture.reason
    elif picture.bars.trouble:
        words = picture.bars.trouble
    elif view is None:
        words = "Asked; waiting for the candles."
    else:
        words = " ".join(filter(None, (f"No candle of {picture.name} in the days that were asked for.", view.note)))
    return [EMPTY, *(((f"  {part}", "muted"),) for part in wrapped(words, min(TEXT_MOST, max(1, width - 4))))]


def _figures(picture: ChartPicture, choice: ChartChoice, row: int, width: int, glyphs: Glyphs) -> list[Line]:
    """The candle under the cursor, and what its studies say."""
    view = picture.bars.value
    if view is None:
        return []
    places = price_places(picture.tick)

    def price(value: float) -> str:
        return decimal_text(value, places) if np.isfinite(value) else glyphs.unknown

    close, before = float(view.close[row]), float(view.close[row - 1]) if row else float("nan")
    change = close - before
    percent = change / before * 100 if before else float("nan")
    tone = "gain" if change > 0 else "loss" if change < 0 else ""
    change_words = decimal_text(change, places, sign=True) if np.isfinite(change) else glyphs.unknown
    items: list[list[Span]] = [[(when(int(view.start[row])), "bold")]]
    items += [
        [(f"{letter} ", "muted"), (price(float(values[row])), "bold")]
        for letter, values in (("O", view.open), ("H", view.high), ("L", view.low), ("C", view.close))
    ]
    percent_words = f" {signed_percent(percent, glyphs)}" if np.isfinite(percent) else ""
    items.append([(f"{change_words}{percent_words}", tone)])
    items += [
        [
            (f"{name} ", "muted"),
            (lakh_units(float(values[row]), glyphs), "bold"),
            (" lk" if np.isfinite(values[row]) else "", "muted"),
        ]
        for name, values in (("vol", view.volume), ("OI", view.open_interest))
        if np.isfinite(values).any()
    ]
    marks = ["PARTIAL"] if view.source[row] == BarSource.PARTIAL else []
    marks += ["RUNNING"] if view.running and row == len(view.start) - 1 else []
    items += [[(word, "attention")] for word in marks]
    for study in choice.over():
        told = [(curve, name) for curve, name in study.columns() if curve.name]
        spans: list[Span] = [(f"{study.letter} ", "key")]
        for place, (curve, name) in enumerate(told):
            gap = " " if place else ""
            spans += [(f"{gap}{curve.name} ", "muted"), (price(float(study_values(view, study, name)[row])), "bold")]
        items.append(spans)
    return _flowing(items, width)


def _flowing(items: Sequence[Sequence[Span]], width: int) -> list[Line]:
    lines: list[list[Span]] = [[]]
    for item in items:
        if lines[-1] and width_of(lines[-1]) + 2 + width_of(item) > width:
            lines.append([])
        lines[-1] += [("  " if lines[-1] else " ", ""), *item]
    return [cut(line, width) for line in lines]


def _whole(lines: Sequence[Line], width: int, height: int) -> list[Line]:
    return [filled(line, width) for line in [*lines, *[EMPTY] * height][:height]]
