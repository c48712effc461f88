"""Candles of an instrument's price: open, high, low and close of each minute, and the longer ones made of them.

A candle is named by its start, market time. Minutes nobody traded have none: a gap stays a gap. Prices are wire
integers (``price / 10**decimals`` rupees) in columns, so that the same day gives the same bits each time it is made.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import IntEnum, StrEnum

import msgspec

from engine.core.errors import InvalidInput
from engine.core.identifiers import InstrumentKey
from engine.core.views import Codes, Floats, Integers


class BarInterval(StrEnum):
    """Length of a candle, spelled as on Kite's wire."""

    MINUTE = "minute"
    MINUTES_3 = "3minute"
    MINUTES_5 = "5minute"
    MINUTES_15 = "15minute"
    MINUTES_60 = "60minute"

    @property
    def minutes(self) -> int:
        """How many minutes it spans."""
        return int(self.value.removesuffix("minute") or 1)

    @classmethod
    def parse(cls, text: str) -> BarInterval:
        """Read ``5m``, ``5``, ``5minute``, ``1h`` or ``minute``.

        Raises:
            InvalidInput: names what there is.
        """
        words = {f"{item.minutes}{end}": item for item in cls for end in ("", "m", "min", "minute")}
        words |= {item.value: item for item in cls} | {"1h": cls.MINUTES_60}
        found = words.get(text.strip().lower())
        if found is None:
            listed = ", ".join(f"{item.minutes}m" for item in cls)
            raise InvalidInput(f'"{text}" is no candle length; there are {listed}.', field="interval")
        return found


class BarSource(IntEnum):
    """How a candle came about; the greater one is kept when both are there."""

    TICKS = 1
    """From the feed, the whole minute watched."""
    PARTIAL = 0
    """From the feed, but the path was suspect or not there for a part of the minute."""
    HISTORY = 2
    """From the broker's historical candles."""


class PriceBar(msgspec.Struct, frozen=True, kw_only=True):
    """One candle."""

    start: datetime
    """Aware UTC."""
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int | None
    """Units traded in it; ``None`` where it is not known (an index has none; a day's first packet lacks the base)."""
    open_interest: int | None
    """Units at its end."""
    source: BarSource


class MinuteBars(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Finished minutes of one or many instruments in columns, one element per candle, shape (n,).

    ``place`` says of which of ``instruments`` each is.
    """

    instruments: tuple[InstrumentKey, ...]
    place: Integers
    start: Integers
    """Epoch seconds of the minute."""
    open: Integers
    """Wire integers, see ``decimals``."""
    high: Integers
    low: Integers
    close: Integers
    volume: Integers
    """Units; -1 where it is not known."""
    open_interest: Integers
    """Units; -1 where it is not known."""
    source: Codes
    """``BarSource``."""
    decimals: Codes
    """Decimal places of each instrument's prices, shape (instruments,)."""


class BarsView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Candles of one instrument, oldest first; float64 for charts, NaN for unknown."""

    instrument: InstrumentKey
    interval: BarInterval
    start: Integers
    """Epoch seconds."""
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    open_interest: Floats
    source: Integers
    """``BarSource``; of a longer candle the least certain of its minutes."""
    columns: dict[str, Floats]
    """Indicators asked for, by name."""
    gaps: tuple[tuple[int, int], ...]
    """Spans [from, to) in epoch seconds inside the sessions asked for, in which minutes are not there although the
    instrument was watched or asked for from the broker."""
    running: bool = False
    """The newest candle is not finished."""
    note: str = ""
    """Why something is missing, in words."""


class HistoricalBars(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's candles of one request, oldest first."""

    interval: BarInterval
    bars: tuple[PriceBar, ...]
