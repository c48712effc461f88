"""Where each candle stands: one place per candle, one per candle that is missing, a line between two days.

Pure. A place that nobody traded in is blank, one whose minutes are missing is a gap; long runs of either are shortened,
for the times below them tell how long they were. The cursor is the start of a candle, not a place: it stays on its
candle when others come.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import msgspec
import numpy as np

from engine.core.bars import BarsView
from engine.core.views import Floats, Integers

MINUTE_S = 60
DAY_S = 86_400
IST_OFFSET_S = 19_800
"""India is five and a half hours ahead, the year round."""
QUIET_MOST = 12
"""Blank places of a time nobody traded in, at most."""
GAP_MOST = 12
"""Places of a gap, at most."""


class SlotKind(Enum):
    """What stands in a place."""

    CANDLE = "candle"
    QUIET = "quiet"
    """Nobody traded."""
    GAP = "gap"
    """Minutes are missing."""
    DAY = "day"
    """The line before the first place of another day."""


class Slot(NamedTuple):
    """One place of the time axis."""

    kind: SlotKind
    row: int
    """Of the candle in the view; -1 where there is none."""
    start: int
    """Epoch seconds."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Which part is looked at, by starts of candles in epoch seconds; ``None`` follows the newest."""

    cursor: int | None = None
    edge: int | None = None
    """The last candle that is seen."""


class Window(NamedTuple):
    """Places that are seen, from ``first`` to before ``end``, and the candle under the cursor."""

    first: int
    end: int
    cursor: int
    """Its place; -1 where there is no candle at all."""


def joined(whole: BarsView, tail: BarsView | None) -> BarsView:
    """The newest candles of ``tail`` in place of those of ``whole``, which was asked for earlier.

    What ``whole`` has from the first candle of ``tail`` on is dropped, so a market that was set back in time shows no
    candle of its future.
    """
    if tail is None or not len(tail.start) or tail.instrument != whole.instrument or tail.interval != whole.interval:
        return whole
    cut = int(tail.start[0])
    before = whole.start < cut

    def both(old: Floats, new: Floats) -> Floats:
        return np.concatenate([old[before], new])

    unknown = np.full(len(tail.start), np.nan)
    start: Integers = np.concatenate([whole.start[before], tail.start])
    return msgspec.structs.replace(
        tail,
        start=start,
        open=both(whole.open, tail.open),
        high=both(whole.high, tail.high),
        low=both(whole.low, tail.low),
        close=both(whole.close, tail.close),
        volume=both(whole.volume, tail.volume),
        open_interest=both(whole.open_interest, tail.open_interest),
        source=np.concatenate([whole.source[before], tail.source]),
        columns={name: both(values, tail.columns.get(name, unknown)) for name, values in whole.columns.items()},
        gaps=(*((begin, min(end, cut)) for begin, end in whole.gaps if begin < cut), *_from(tail.gaps, cut)),
        note=tail.note or whole.note,
    )


def missing_minutes(view: BarsView) -> int:
    """Minutes that should be there and are not."""
    return sum(end - begin for begin, end in view.gaps) // MINUTE_S


def slots_of(view: BarsView) -> tuple[Slot, ...]:
    """All places of a view, oldest first."""
    length = view.interval.minutes * MINUTE_S
    starts = [int(start) for start in view.start]
    rows = {start: row for row, start in enumerate(starts)}
    first_of_day: dict[int, int] = {}
    for start in starts:
        first_of_day.setdefault(_day(start), start)
    missing = {
        start
        for begin, end in view.gaps
        for start in _grid(begin, end, first_of_day.get(_day(begin), begin), length)
        if start not in rows
    }
    slots: list[Slot] = []
    run = 0
    before: int | None = None
    for start in sorted({*starts, *missing}):
        if before is not None and _day(start) != _day(before):
            slots.append(Slot(SlotKind.DAY, -1, start))
            run = 0
        elif before is not None:
            quiet = min((start - before) // length - 1, QUIET_MOST)
            slots += [Slot(SlotKind.QUIET, -1, before + step * length) for step in range(1, quiet + 1)]
        before = start
        if start in rows:
            slots.append(Slot(SlotKind.CANDLE, rows[start], start))
            run = 0
        elif run < GAP_MOST:
            slots.append(Slot(SlotKind.GAP, -1, start))
            run += 1
    return tuple(slots)


def window_of(slots: Sequence[Slot], room: int, sight: Sight) -> Window:
    """What is seen in ``room`` places; the cursor always is."""
    candles = [place for place, slot in enumerate(slots) if slot.kind is SlotKind.CANDLE]
    if not candles or room < 1:
        return Window(max(0, len(slots) - max(0, room)), len(slots), -1)
    cursor = candles[-1] if sight.cursor is None else _at_or_before(slots, candles, sight.cursor)
    last = len(slots) - 1 if sight.edge is None else _at_or_before(slots, candles, sight.edge)
    last = max(last, cursor, min(room, len(slots)) - 1)
    last = min(last, cursor + room - 1)
    return Window(max(0, last - room + 1), last + 1, cursor)


def moved(slots: Sequence[Slot], room: int, sight: Sight, candles_on: int) -> Sight:
    """The cursor so many candles on or back; the picture goes along only where the cursor would leave it."""
    window = window_of(slots, room, sight)
    candles = [place for place, slot in enumerate(slots) if slot.kind is SlotKind.CANDLE]
    if window.cursor < 0:
        return sight
    wanted = min(max(candles.index(window.cursor) + candles_on, 0), len(candles) - 1)
    return _placed(slots, candles, window, candles[wanted])


def moved_by_day(slots: Sequence[Slot], room: int, sight: Sight, days_on: int) -> Sight:
    """The cursor on the first candle of so many days back, or of a later one; past the last day on the newest."""
    window = window_of(slots, room, sight)
    candles = [place for place, slot in enumerate(slots) if slot.kind is SlotKind.CANDLE]
    if window.cursor < 0:
        return sight
    firsts = [
        place for place, before in zip(candles, [None, *candles], strict=False) if _is_first(slots, place, before)
    ]
    here = max(index for index, place in enumerate(firsts) if place <= window.cursor)
    # The first step back from within a day leads to that day's own first candle.
    wanted = here + days_on + (1 if days_on < 0 and window.cursor > firsts[here] else 0)
    target = candles[-1] if wanted >= len(firsts) else firsts[max(0, wanted)]
    return _placed(slots, candles, window, target)


def is_at_oldest(slots: Sequence[Slot], room: int, sight: Sight) -> bool:
    """Whether the oldest place there is can be seen: to go back farther more has to be loaded."""
    return window_of(slots, room, sight).first == 0


def _placed(slots: Sequence[Slot], candles: Sequence[int], window: Window, place: int) -> Sight:
    cursor = None if place == candles[-1] else slots[place].start
    if place >= window.end - 1 or cursor is None:
        return Sight(cursor=cursor, edge=cursor)
    room = window.end - window.first
    last = window.end - 1 if place >= window.first else place + room - 1
    edge = next((slots[candle].start for candle in reversed(candles) if candle <= last), None)
    return Sight(cursor=cursor, edge=None if last >= len(slots) - 1 else edge)


def _at_or_before(slots: Sequence[Slot], candles: Sequence[int], start: int) -> int:
    """The candle that begins at ``start`` or is the last before; the oldest where none is."""
    found = candles[0]
    for place in candles:
        if slots[place].start > start:
            break
        found = place
    return found


def _is_first(slots: Sequence[Slot], place: int, before: int | None) -> bool:
    return before is None or _day(slots[place].start) != _day(slots[before].start)


def _grid(begin: int, end: int, anchor: int, length: int) -> range:
    """Starts of the candles that a span touches."""
    return range(anchor + (begin - anchor) // length * length, end, length)


def _from(gaps: Sequence[tuple[int, int]], cut: int) -> list[tuple[int, int]]:
    return [(max(begin, cut), end) for begin, end in gaps if end > cut]


def _day(start: int) -> int:
    """Number of the Indian date."""
    return (start + IST_OFFSET_S) // DAY_S
