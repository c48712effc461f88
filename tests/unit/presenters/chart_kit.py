"""Candles for tests of the chart: a few rows in, a view out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.core.bars import BarInterval, BarSource, BarsView
from engine.core.identifiers import InstrumentKey
from engine.core.views import Floats
from engine.core.vocabulary import Exchange, QuoteState
from workstation.presenters.chart_drawing import ChartPicture
from workstation.presenters.chart_slots import slots_of
from workstation.presenters.seen import Seen

KEY = InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE")
OPEN = 1_795_578_300
"""Wednesday 25 November 2026, 09:15 in India."""
DAY_S = 86_400
NAN = float("nan")

Prices = tuple[float, float, float, float]


def view_of(
    rows: Sequence[tuple[int, Prices]],
    *,
    interval: BarInterval = BarInterval.MINUTES_5,
    volume: Sequence[float] | None = None,
    partial: Sequence[int] = (),
    columns: dict[str, Floats] | None = None,
    gaps: tuple[tuple[int, int], ...] = (),
    running: bool = False,
    note: str = "",
) -> BarsView:
    """Candles from their starts and open, high, low, close; ``partial`` names rows."""
    prices = np.array([price for _, price in rows], dtype=np.float64).reshape(len(rows), 4)
    source = np.full(len(rows), BarSource.TICKS, dtype=np.int64)
    source[list(partial)] = BarSource.PARTIAL
    return BarsView(
        instrument=KEY,
        interval=interval,
        start=np.array([start for start, _ in rows], dtype=np.int64),
        open=prices[:, 0],
        high=prices[:, 1],
        low=prices[:, 2],
        close=prices[:, 3],
        volume=np.array(volume if volume is not None else [650.0] * len(rows), dtype=np.float64),
        open_interest=np.full(len(rows), 13_000.0),
        source=source,
        columns=columns or {},
        gaps=gaps,
        running=running,
        note=note,
    )


def steps(count: int, *, first: int = OPEN, minutes: int = 5, price: float = 100.0) -> list[tuple[int, Prices]]:
    """Candles one after the other that rise and fall in turn."""
    made = []
    for place in range(count):
        low, high = price + place % 5, price + place % 5 + 4.0
        prices = (low + 1, high, low, high - 1) if place % 2 else (high - 1, high, low, low + 1)
        made.append((first + place * minutes * 60, prices))
    return made


def picture_of(view: BarsView | None, *, tick: float = 0.05, trouble: str = "", reason: str = "") -> ChartPicture:
    """A picture of a living market."""
    return ChartPicture(
        name="NIFTY 29DEC 24000CE",
        tick=tick,
        bars=Seen(value=view, age_s=None if view is None else 0.2, trouble=trouble),
        slots=() if view is None else slots_of(view),
        feed=QuoteState.LIVE,
        reason=reason,
    )
