"""Stored minutes as a chart: one figure of an expiry over its latest day, with an indicator beside it.

A minute nobody saw is a gap in the curve and is counted in words. An indicator that has its own scale (RSI) gets its
own strip below, where there is room for one.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np

from engine.core.analysis import SeriesView
from engine.core.views import Floats, Integers
from workstation.formatting import LAKH, Glyphs, decimal_text, india
from workstation.presenters.lines import EMPTY, Line
from workstation.presenters.text_plot import (
    HEIGHT_LEAST,
    WIDTH_LEAST,
    Canvas,
    Span,
    framed,
    span_of,
    tick_texts,
    x_line,
    y_labels,
)
from workstation.presenters.volatility import flowing

PERCENT = 100.0
MINUTE_S = 60
SHORTEST_S = 30 * MINUTE_S
"""A younger day is drawn as if it had this much, so that its first minutes do not fill the picture."""
LABEL_WIDTH = 8
TICK_STEPS_MIN = (5, 10, 15, 30, 60, 120, 180)
CELLS_PER_TIME = 11
STRIP_SHARE = 3
"""One part in so many of the picture is the strip of an indicator with its own scale."""
STRIP_LEAST = 3
OSCILLATOR = Span(0.0, 100.0)
OSCILLATOR_GUIDES = (30.0, 70.0)
INDICATOR_SIGN = "-"
DAY_S = 86_400
IST_OFFSET_S = 19_800
"""India is five and a half hours ahead, the year round."""


class ChartLine(msgspec.Struct, frozen=True, kw_only=True):
    """One curve of a chart: the column it shows."""

    column: str
    name: str
    tone: str
    sign: str
    """Stands for its dots on a plain terminal."""


class ChartSeries(msgspec.Struct, frozen=True, kw_only=True):
    """What can be charted."""

    id: str
    title: str
    lines: tuple[ChartLine, ...]
    scale: float = 1.0
    """Stored figures are multiplied by this."""
    places: int = 2


class BesideLine(msgspec.Struct, frozen=True, kw_only=True):
    """One curve of an indicator."""

    column: str
    name: str
    tone: str


class ChartIndicator(msgspec.Struct, frozen=True, kw_only=True):
    """What can stand beside a chart, by the words the engine's ``series`` understands."""

    id: str
    title: str
    word: str = ""
    """``ema_20``; the column it is of is put before it."""
    parts: tuple[tuple[str, str], ...] = ()
    """Names of its parts, each with the tone it is drawn in; an empty name for an indicator that is one curve."""
    own_scale: bool = False

    def asked(self, series: ChartSeries) -> tuple[str, ...]:
        """What to ask the engine for, of every curve of a series."""
        return tuple(f"{line.column}_{self.word}" for line in series.lines) if self.word else ()

    def lines(self, series: ChartSeries) -> list[BesideLine]:
        """The curves that are then in the answer."""
        many = len(series.lines) > 1
        found = []
        for line in series.lines:
            for part, tone in self.parts:
                column = "_".join(filter(None, (line.column, self.word, part)))
                name = " ".join(filter(None, (line.name if many else "", part or self.title)))
                found.append(BesideLine(column=column, name=name, tone=tone))
        return found


def _single(name: str, title: str, *, scale: float = 1.0, places: int = 2) -> ChartSeries:
    line = ChartLine(column=name, name=title, tone="bold", sign="*")
    return ChartSeries(id=name, title=title, lines=(line,), scale=scale, places=places)


SERIES = (
    _single("atm_volatility", "ATM IV", scale=PERCENT),
    _single("straddle", "straddle"),
    _single("pcr_open_interest", "PCR oi"),
    _single("pcr_volume", "PCR vol"),
    ChartSeries(
        id="open_interest",
        title="OI lakh",
        lines=(
            ChartLine(column="call_open_interest", name="calls", tone="bold", sign="c"),
            ChartLine(column="put_open_interest", name="puts", tone="simulated", sign="p"),
        ),
        scale=1.0 / LAKH,
        places=1,
    ),
    _single("forward", "forward", places=1),
)
"""In the order of the key."""
NO_INDICATOR = ChartIndicator(id="none", title="no indicator")
INDICATORS = (
    NO_INDICATOR,
    ChartIndicator(id="ema", title="EMA 20", word="ema_20", parts=(("", "key"),)),
    ChartIndicator(
        id="bollinger",
        title="Bollinger 20",
        word="bollinger_20",
        parts=(("upper", "muted"), ("middle", "key"), ("lower", "muted")),
    ),
    ChartIndicator(id="rsi", title="RSI 14", word="rsi_14", parts=(("", "key"),), own_scale=True),
)
"""In the order of the key."""


class ChartChoice(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has chosen to see."""

    series: ChartSeries = SERIES[0]
    indicator: ChartIndicator = NO_INDICATOR


class _Day(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The latest day of an answer, with a NaN wherever minutes are missing."""

    seconds: Floats
    columns: dict[str, Floats]
    missing: int
    """Minutes between the first and the last that nobody saw."""


def series_lines(view: SeriesView | None, choice: ChartChoice, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """The chart in exactly ``height`` lines."""
    series, indicator = choice.series, choice.indicator
    day = _latest_day(view) if view is not None else None
    curves = _curves(day, series) if day is not None else []
    if day is None or not any(np.isfinite(values).any() for _, values in curves):
        return _padded([((f" {glyphs.unknown}  no minute of {series.title} is stored", "muted"),)], height)
    figures = flowing(_figures(day, series, indicator, glyphs), width, glyphs)
    across, down = width - LABEL_WIDTH - 1, height - 1 - len(figures)
    if across < WIDTH_LEAST or down < HEIGHT_LEAST:
        return _padded(figures, height)
    x = Span(float(day.seconds[0]), float(max(day.seconds[-1], day.seconds[0] + SHORTEST_S)))
    beside = [(day.columns[line.column], line.tone) for line in indicator.lines(series) if line.column in day.columns]
    strip = down // STRIP_SHARE if indicator.own_scale and beside else 0
    strip = strip if strip >= STRIP_LEAST else 0
    drawn = [] if indicator.own_scale else [(values * series.scale, tone) for values, tone in beside]
    y = span_of(*(values for _, values in curves), *(values for values, _ in drawn))
    body: list[Line] = []
    if y is not None:
        canvas = Canvas(across, down - strip, x, y, glyphs)
        for values, tone in drawn:
            canvas.curve(day.seconds, values, tone, INDICATOR_SIGN)
        for line, values in curves:
            canvas.curve(day.seconds, values, line.tone, line.sign)
        body = framed(canvas.lines(), y_labels(y, down - strip, tick_texts), LABEL_WIDTH, glyphs)
    if strip:
        body += _strip(day, beside, Canvas(across, strip, x, OSCILLATOR, glyphs), strip, glyphs)
    times, texts = _time_ticks(x, across)
    return _padded([*body, x_line(x, across, times, texts, LABEL_WIDTH + 1), *figures], height)


def _figures(day: _Day, series: ChartSeries, indicator: ChartIndicator, glyphs: Glyphs) -> list[tuple[str, str]]:
    """What the chart says in figures: the latest of each curve with its change over the day, its range, the gaps."""
    items = []
    single = len(series.lines) == 1
    for curve, values in _curves(day, series):
        known = values[np.isfinite(values)]
        if not known.size:
            items.append((curve.name, glyphs.unknown))
            continue
        change = decimal_text(float(known[-1] - known[0]), series.places, sign=True)
        items.append((curve.name, f"{decimal_text(float(known[-1]), series.places)} {change}"))
        if single:
            low, high = (decimal_text(float(value), series.places) for value in (known.min(), known.max()))
            items.append(("range", f"{low} to {high}"))
    for line in indicator.lines(series) if single or len(indicator.parts) == 1 else ():
        found = day.columns.get(line.column)
        latest = found[np.isfinite(found)] if found is not None else np.empty(0)
        scale = 1.0 if indicator.own_scale else series.scale
        text = decimal_text(float(latest[-1]) * scale, series.places) if latest.size else glyphs.unknown
        items.append((line.name, text))
    start, end = (f"{india(datetime.fromtimestamp(day.seconds[place], UTC)):%H:%M}" for place in (0, -1))
    date_words = f"{india(datetime.fromtimestamp(day.seconds[-1], UTC)):%d %b}"
    items.append(("minutes", f"{date_words} {start} to {end}"))
    if day.missing:
        items.append(("missing", str(day.missing)))
    return items


def _latest_day(view: SeriesView) -> _Day | None:
    """The minutes of the last Indian date, with a NaN between minutes that are not neighbours."""
    if not view.minute.size:
        return None
    dates = (view.minute + IST_OFFSET_S) // DAY_S
    rows = np.flatnonzero(dates == dates[-1])
    minute: Integers = view.minute[rows]
    steps = np.diff(minute)
    breaks = np.flatnonzero(steps > MINUTE_S) + 1
    seconds = np.insert(minute.astype(np.float64), breaks, minute[breaks - 1] + MINUTE_S)
    columns = {name: np.insert(values[rows], breaks, np.nan) for name, values in view.columns.items()}
    missing = int((minute[-1] - minute[0]) // MINUTE_S) + 1 - minute.size
    return _Day(seconds=seconds, columns=columns, missing=missing)


def _curves(day: _Day, series: ChartSeries) -> list[tuple[ChartLine, Floats]]:
    return [(line, day.columns[line.column] * series.scale) for line in series.lines if line.column in day.columns]


def _strip(day: _Day, beside: list[tuple[Floats, str]], canvas: Canvas, height: int, glyphs: Glyphs) -> list[Line]:
    """An oscillator between 0 and 100 with its two guides."""
    for guide in OSCILLATOR_GUIDES:
        canvas.horizontal(guide, "rule")
    for values, tone in beside:
        canvas.curve(day.seconds, values, tone, INDICATOR_SIGN)
    labels = {}
    for guide in OSCILLATOR_GUIDES:
        place = OSCILLATOR.place(guide, height)
        if place is not None:
            labels[height - 1 - place] = decimal_text(guide, 0)
    return framed(canvas.lines(), labels, LABEL_WIDTH, glyphs)


def _time_ticks(x: Span, across: int) -> tuple[list[float], list[str]]:
    """Round times of the Indian clock, no more than have room."""
    most = max(1, across // CELLS_PER_TIME)
    values: list[float] = []
    for step in (minutes * MINUTE_S for minutes in TICK_STEPS_MIN):
        first = -(-(int(x.low) + IST_OFFSET_S) // step) * step - IST_OFFSET_S
        values = [float(second) for second in range(first, int(x.high) + 1, step)]
        if len(values) <= most:
            break
    return values, [f"{india(datetime.fromtimestamp(value, UTC)):%H:%M}" for value in values]


def _padded(lines: list[Line], height: int) -> list[Line]:
    return [*lines, *[EMPTY] * height][:height]
