"""The two axes of the candles: prices at the right, times of the Indian clock below."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import numpy as np

from engine.core.views import Floats
from workstation.formatting import decimal_text, india
from workstation.presenters.chart_slots import DAY_S, IST_OFFSET_S, MINUTE_S, Slot, SlotKind
from workstation.presenters.text_plot import Span, nice_values

MARGIN: Final = 0.04
"""Free room above and below the prices, of their range."""
FLAT_TICKS: Final = 4
"""Room above and below prices that are all the same, in ticks."""
BEYOND: Final = 0.25
"""How far a study may widen the scale, of the candles' own range; beyond that it leaves the picture."""
PLACES_LEAST: Final = 2
PLACES_MOST: Final = 4
ROWS_OF_A_LABEL: Final = 3
CELLS_OF_A_TIME: Final = 10
NICE_MINUTES: Final = (1, 5, 10, 15, 30, 60, 120, 240, 480)
BETWEEN: Final = 2
"""Free cells between two texts below."""


def price_span(lows: Floats, highs: Floats, studies: Sequence[Floats], tick: float) -> Span | None:
    """The scale of candles and what lies over them; never below zero where no price is. ``None`` without a price."""
    known_lows, known_highs = lows[np.isfinite(lows)], highs[np.isfinite(highs)]
    if not known_lows.size or not known_highs.size:
        return None
    low, high = float(known_lows.min()), float(known_highs.max())
    beyond = (high - low) * BEYOND
    for values in studies:
        known = values[np.isfinite(values)]
        if known.size:
            low = min(low, max(float(known.min()), float(known_lows.min()) - beyond))
            high = max(high, min(float(known.max()), float(known_highs.max()) + beyond))
    room = (high - low) * MARGIN if high > low else FLAT_TICKS * tick
    return Span(max(low - room, min(low, 0.0)), high + room)


def price_places(tick: float) -> int:
    """Decimals of prices with this tick: 2 for 0.05, 4 for 0.0025."""
    places = PLACES_LEAST
    while places < PLACES_MOST and abs(round(tick, places) - tick) > tick / 100:
        places += 1
    return places


def price_labels(span: Span, rows: int, tick: float) -> dict[int, str]:
    """Round prices beside the rows, by row from the top; never closer together than ticks are."""
    places = price_places(tick)
    found: dict[int, str] = {}
    values = nice_values(span, max(2, rows // ROWS_OF_A_LABEL))
    if len(values) > 1 and values[1] - values[0] < tick * (1 - 1e-9):
        first, last = int(np.ceil(span.low / tick - 1e-9)), int(np.floor(span.high / tick + 1e-9))
        values = [step * tick for step in range(first, last + 1)]
    for value in values:
        place = span.place(value, rows)
        if place is not None:
            found[rows - 1 - place] = decimal_text(value, places)
    return found


def time_line(slots: Sequence[Slot], minutes: int, pitch: int, width: int) -> str:
    """Dates where days begin and round times between them, as many as have room."""
    cells = [" "] * width
    taken: list[tuple[int, int]] = []

    def write(place: int, text: str) -> None:
        start = min(place, width - len(text))
        end = start + len(text)
        if start < 0 or any(start < after + BETWEEN and end > before - BETWEEN for before, after in taken):
            return
        cells[start:end] = text
        taken.append((start, end))

    for place, slot in enumerate(slots):
        if slot.kind is SlotKind.DAY:
            write(place * pitch, f"{_local(slot.start):%d %b}")
    least = -(-CELLS_OF_A_TIME * minutes // pitch)
    fitting = (nice for nice in NICE_MINUTES if nice >= least and nice % minutes == 0)
    every = next(fitting, NICE_MINUTES[-1])
    for place, slot in enumerate(slots):
        if slot.kind is not SlotKind.DAY and _has_round_time(slot.start, minutes, every):
            write(max(0, place * pitch - BETWEEN), f"{_local(slot.start):%H:%M}")
    return "".join(cells)


def when(start: int) -> str:
    """``25 Nov 11:05`` of epoch seconds, in India."""
    return f"{_local(start):%d %b %H:%M}"


def _has_round_time(start: int, minutes: int, every: int) -> bool:
    """Whether a multiple of ``every`` minutes of the day falls into the candle."""
    minute = (start + IST_OFFSET_S) % DAY_S // MINUTE_S
    return -(-minute // every) * every < minute + minutes


def _local(start: int) -> datetime:
    return india(datetime.fromtimestamp(start, UTC))
