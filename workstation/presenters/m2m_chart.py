"""Minute candles of a strategy's money as text. A minute nobody sampled is a dotted column, never a joined line.

``#`` is a body that rose, ``x`` one that fell (full and shaded blocks where there are more than plain signs), ``|`` the
way from low to high. One column is one candle of one or more minutes; what does not fit is older and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.strategies import M2mCandle
from workstation.formatting import Glyphs, india, money
from workstation.presenters.lines import EMPTY, Line, filled, merged, right, wrapped
from workstation.presenters.money_axis import LABEL_WIDTH, money_labels
from workstation.presenters.text_plot import Span

MINUTE = timedelta(minutes=1)
STEPS = (1, 3, 5, 15)
"""Minutes of one candle that can be chosen."""
ROWS_LEAST = 3
TIME_LABEL_EVERY = 10
"""Cells that one time below the candles may take, at least."""
NICE_MINUTES = (1, 5, 10, 15, 30, 60, 120, 240)
MARGIN = 0.04
ZERO_NEAR = 0.5
"""Zero is near when it lies no farther outside than this share of the range."""
PLAIN = {"rose": "#", "fell": "x", "same": "-", "wick": "|", "gap": "."}
BLOCKS = {"rose": "█", "fell": "▒", "same": "━", "wick": "│", "gap": "·"}


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One column: so many minutes from ``start``; ``None`` where none of them was sampled."""

    start: datetime
    candle: M2mCandle | None


class Extremes(msgspec.Struct, frozen=True, kw_only=True):
    """Highest and lowest money seen, and in which minute."""

    high: Decimal
    high_at: datetime
    low: Decimal
    low_at: datetime


def extremes(candles: Sequence[M2mCandle]) -> Extremes | None:
    """Of all candles; ``None`` for none."""
    if not candles:
        return None
    high = max(candles, key=lambda candle: candle.high)
    low = min(candles, key=lambda candle: candle.low)
    return Extremes(high=high.high, high_at=high.minute, low=low.low, low_at=low.minute)


def bars(candles: Sequence[M2mCandle], minutes: int, most: int, end: datetime) -> list[Bar]:
    """At most ``most`` columns of ``minutes`` each, oldest first, up to the one that ``end`` falls into.

    Columns begin at whole multiples of ``minutes`` of Indian time, so that they do not shift as time passes. True
    candles are merged: first open, last close, extremes of all.
    """
    if not candles or most < 1:
        return []
    step = timedelta(minutes=minutes)
    found: dict[datetime, M2mCandle] = {}
    for candle in candles:
        start = _floor(candle.minute, minutes)
        before = found.get(start)
        found[start] = candle if before is None else _merged(before, candle)
    last = max(_floor(end, minutes), *found)
    first = max(min(found), last - (most - 1) * step)
    count = (last - first) // step + 1
    return [Bar(start=first + place * step, candle=found.get(first + place * step)) for place in range(count)]


def gap_minutes(candles: Sequence[M2mCandle]) -> int:
    """Minutes without a sample between the first candle and the last."""
    if not candles:
        return 0
    minutes = {candle.minute for candle in candles}
    return (max(minutes) - min(minutes)) // MINUTE + 1 - len(minutes)


def chart_title(candles: Sequence[M2mCandle], minutes: int) -> list[Line]:
    """What is drawn, and how much of it is missing."""
    parts: list[Line] = [((f"gross at last, {minutes} min", "muted"),)]
    missing = gap_minutes(candles)
    return [*parts, ((f"{missing} min missing", "attention"),)] if missing else parts


def chart_lines(
    candles: Sequence[M2mCandle], minutes: int, size: tuple[int, int], glyphs: Glyphs, *, end: datetime
) -> list[Line]:
    """The newest candles in exactly ``size`` (width, height): money at the left, time below."""
    width, height = size
    across, rows = width - LABEL_WIDTH - 1, height - 1
    shown = bars(candles, minutes, across, end)
    with_money = [bar.candle for bar in shown if bar.candle is not None]
    if not with_money or rows < ROWS_LEAST:
        words = "No minute of this strategy's money has been recorded today." if not candles else ""
        words = (
            words or f"Nothing was recorded in the last {len(shown) * minutes} minutes." if not with_money else words
        )
        lines: list[Line] = [((f"  {part}", "muted"),) for part in wrapped(words, max(1, width - 2))] if words else []
        return [*lines, *[EMPTY] * height][:height]
    span = _span(with_money)
    signs = BLOCKS if glyphs.dots else PLAIN
    columns = [_column(bar.candle, span, rows, signs) for bar in shown]
    labels = money_labels(span, rows)
    zero = span.place(0.0, rows)
    lines = []
    for row in range(rows):
        blank = (glyphs.rule, "rule") if zero is not None and row == rows - 1 - zero else (" ", "")
        cells = merged(column.get(row, blank) for column in columns)
        rest = (blank[0] * (across - len(columns)), blank[1])
        label = (right(labels.get(row, ""), LABEL_WIDTH), "muted")
        lines.append(merged((label, (glyphs.bar, "rule"), *cells, rest)))
    lines.append(_times(shown, minutes, across))
    return [filled(line, width) for line in lines]


def extremes_words(candles: Sequence[M2mCandle], glyphs: Glyphs) -> tuple[str, ...]:
    """``high +5,915 12:50  low -423 09:20``, then the same without times; nothing before the first minute."""
    seen = extremes(candles)
    if seen is None:
        return ()
    high, low = money(seen.high, glyphs), money(seen.low, glyphs)
    at_high, at_low = (f"{india(at):%H:%M}" for at in (seen.high_at, seen.low_at))
    return f"high {high} {at_high}  low {low} {at_low}", f"high {high}  low {low}"


def _floor(moment: datetime, minutes: int) -> datetime:
    local = india(moment)
    past = (local.hour * 60 + local.minute) % minutes
    return moment.replace(second=0, microsecond=0) - timedelta(minutes=past)


def _merged(before: M2mCandle, after: M2mCandle) -> M2mCandle:
    return msgspec.structs.replace(
        before,
        high=max(before.high, after.high),
        low=min(before.low, after.low),
        close=after.close,
        samples=before.samples + after.samples,
    )


def _span(candles: Sequence[M2mCandle]) -> Span:
    """From the lowest to the highest; zero is taken in when it is near, for the money's sign turns there."""
    low, high = float(min(candle.low for candle in candles)), float(max(candle.high for candle in candles))
    near = (high - low) * ZERO_NEAR
    low, high = (0.0 if 0.0 < low <= near else low), (0.0 if -near <= high < 0.0 else high)
    room = (high - low) * MARGIN or 1.0
    return Span(low - room, high + room)


def _column(candle: M2mCandle | None, span: Span, rows: int, signs: dict[str, str]) -> dict[int, tuple[str, str]]:
    """Signs by row from the top."""
    if candle is None:
        return dict.fromkeys(range(rows), (signs["gap"], "faint"))
    tone = "gain" if candle.close > candle.open else "loss" if candle.close < candle.open else ""
    body = signs["rose"] if tone == "gain" else signs["fell"] if tone == "loss" else signs["same"]
    low, high = _row(candle.low, span, rows), _row(candle.high, span, rows)
    first, last = sorted((_row(candle.open, span, rows), _row(candle.close, span, rows)))
    column = dict.fromkeys(range(high, low + 1), (signs["wick"], tone))
    return column | dict.fromkeys(range(first, last + 1), (body, tone))


def _row(value: Decimal, span: Span, rows: int) -> int:
    place = span.place(float(value), rows)
    return rows - 1 - (place or 0)


def _times(shown: Sequence[Bar], minutes: int, across: int) -> Line:
    """Round times below their columns."""
    least = TIME_LABEL_EVERY * minutes
    every = next((nice for nice in NICE_MINUTES if nice >= least), NICE_MINUTES[-1])
    cells = [" "] * across
    free = 0
    for place, bar in enumerate(shown):
        local = india(bar.start)
        if (local.hour * 60 + local.minute) % every:
            continue
        text = f"{local:%H:%M}"
        start = min(max(0, place - len(text) // 2), across - len(text))
        if start >= free:
            cells[start : start + len(text)] = text
            free = start + len(text) + 2
    return ((" " * (LABEL_WIDTH + 1), ""), ("".join(cells), "muted"))
