"""Batches of minute candles put together: joined, merged to one candle per minute, and cut.

Invariant: of two candles of one instrument and minute the one with the greater ``BarSource`` is kept, the newer of two
equal ones; the same rule as the database's.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from engine.core.bars import MinuteBars
from engine.core.identifiers import InstrumentKey

_Item = TypeVar("_Item", bound=np.generic)

FIGURES = ("start", "open", "high", "low", "close", "volume", "open_interest", "source")
"""Columns with one element per candle, beside ``place``."""


def no_bars() -> MinuteBars:
    """A batch without candles."""
    nothing = read_only(np.zeros(0, np.int64))
    codes = read_only(np.zeros(0, np.uint8))
    return MinuteBars(
        instruments=(),
        place=nothing,
        start=nothing,
        open=nothing,
        high=nothing,
        low=nothing,
        close=nothing,
        volume=nothing,
        open_interest=nothing,
        source=codes,
        decimals=codes,
    )


def joined(batches: Sequence[MinuteBars]) -> MinuteBars:
    """All candles of several batches, as they come, over one list of instruments.

    Raises:
        ValueError: two batches have an instrument's prices with different decimal places.
    """
    if len(batches) == 1:
        return batches[0]
    if not batches:
        return no_bars()
    numbers: dict[InstrumentKey, int] = {}
    decimals: list[int] = []
    places = []
    for batch in batches:
        mine = np.empty(len(batch.instruments), np.int64)
        for index, (key, of_price) in enumerate(zip(batch.instruments, batch.decimals.tolist(), strict=True)):
            number = numbers.setdefault(key, len(numbers))
            if number == len(decimals):
                decimals.append(of_price)
            elif decimals[number] != of_price:
                raise ValueError(f"prices of {key} have {decimals[number]} and {of_price} decimal places")
            mine[index] = number
        places.append(mine[batch.place])
    columns = {name: read_only(np.concatenate([getattr(batch, name) for batch in batches])) for name in FIGURES}
    return MinuteBars(
        instruments=tuple(numbers),
        place=read_only(np.concatenate(places)),
        decimals=read_only(np.array(decimals, np.uint8)),
        **columns,
    )


def merged(batches: Sequence[MinuteBars]) -> MinuteBars:
    """One candle per instrument and minute, by instrument (in order of first appearance) and then by time.

    Args:
        batches: older ones first.
    """
    bars = joined(batches)
    count = len(bars.place)
    if not count:
        return bars
    order = np.lexsort((np.arange(count), bars.source, bars.start, bars.place))
    place, start = bars.place[order], bars.start[order]
    is_last = np.append((np.diff(place) != 0) | (np.diff(start) != 0), True)
    return chosen(bars, order[is_last])


def chosen(bars: MinuteBars, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> MinuteBars:
    """Some candles of a batch, over the same list of instruments."""
    columns = {name: read_only(getattr(bars, name)[rows]) for name in FIGURES}
    return MinuteBars(
        instruments=bars.instruments, place=read_only(bars.place[rows]), decimals=bars.decimals, **columns
    )


def of_instrument(bars: MinuteBars, key: InstrumentKey) -> MinuteBars:
    """The candles of one instrument alone; none when the batch has none of it."""
    if key not in bars.instruments:
        return no_bars()
    number = bars.instruments.index(key)
    rows = np.flatnonzero(bars.place == number)
    columns = {name: read_only(getattr(bars, name)[rows]) for name in FIGURES}
    return MinuteBars(
        instruments=(key,),
        place=read_only(np.zeros(len(rows), np.int64)),
        decimals=read_only(bars.decimals[number : number + 1].copy()),
        **columns,
    )


def of_instruments(bars: MinuteBars, keys: Container[InstrumentKey]) -> MinuteBars:
    """The candles of some instruments alone; the list of instruments is theirs too."""
    numbers = [number for number, key in enumerate(bars.instruments) if key in keys]
    renumbered = np.full(len(bars.instruments), -1, np.int64)
    renumbered[numbers] = np.arange(len(numbers))
    rows = np.flatnonzero(renumbered[bars.place] >= 0)
    columns = {name: read_only(getattr(bars, name)[rows]) for name in FIGURES}
    return MinuteBars(
        instruments=tuple(bars.instruments[number] for number in numbers),
        place=read_only(renumbered[bars.place[rows]]),
        decimals=read_only(bars.decimals[numbers]),
        **columns,
    )


def read_only(array: npt.NDArray[_Item]) -> npt.NDArray[_Item]:
    """The same array, which nobody can change through it any more."""
    view = array.view()
    view.flags.writeable = False
    return view
