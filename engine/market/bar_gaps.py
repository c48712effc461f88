"""Which minutes of an instrument are missing, told from the candles that are there.

A minute without a candle is *not* missing when nothing traded in it. That is known of minutes

* watched on a sound path (``sound_from``),
* of which the broker's history was asked (``answered``),
* with the broker's candles on both sides, or before the day's first candle when that is the broker's: whoever asks the
  broker asks from a day's first missing minute to its last, so an answer leaves no hole that it does not know of.

A partial candle is missing too: the broker may have the whole one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.core.bars import BarSource
from engine.core.views import Codes, Integers
from engine.market.bar_sessions import SessionHours

MINUTE_S: Final = 60
Spans = tuple[tuple[int, int], ...]
"""[from, to) in epoch seconds."""


def expected_minutes(hours: SessionHours, until: int, *, is_index: bool) -> Integers:
    """Starts of a session's minutes that have ended by ``until`` (epoch seconds)."""
    first = hours.open_s // MINUTE_S * MINUTE_S
    last = min(hours.closes(is_index=is_index), until - MINUTE_S + 1)
    minutes = np.arange(first, last, MINUTE_S, dtype=np.int64)
    if hours.pause_s is None:
        return minutes
    rests, goes_on = hours.pause_s
    return minutes[(minutes + MINUTE_S <= rests) | (minutes >= goes_on)]


def missing_minutes(
    expected: Integers,
    start: Integers,
    source: Codes,
    *,
    sound_from: int | None = None,
    answered: Sequence[tuple[int, int]] = (),
) -> Integers:
    """Which minutes of one session are missing.

    Args:
        expected: the session's minutes so far.
        start: minutes of which there is a candle, ascending; those of other days do no harm.
        source: ``BarSource`` of each.
        sound_from: from this epoch second on everything that traded was seen.
        answered: spans [from, to) that the broker's history answered.
    """
    if not len(expected):
        return expected
    missing = ~np.isin(expected, start[source >= BarSource.TICKS])
    if sound_from is not None:
        missing &= expected < sound_from
    for begin, end in answered:
        missing &= (expected < begin) | (expected >= end)
    of_day = (start >= expected[0]) & (start <= expected[-1])
    start, is_history = start[of_day], source[of_day] == BarSource.HISTORY
    if len(start):
        after = np.searchsorted(start, expected, side="right")
        before = np.searchsorted(start, expected, side="left") - 1
        followed = (after < len(start)) & is_history[np.minimum(after, len(start) - 1)]
        missing &= ~(followed & ((before < 0) | is_history[np.maximum(before, 0)]))
    return expected[missing]


def spans_of(minutes: Integers) -> Spans:
    """Minutes that follow each other as spans [from, to)."""
    if not len(minutes):
        return ()
    breaks = np.flatnonzero(np.diff(minutes) != MINUTE_S)
    firsts = np.append(0, breaks + 1)
    lasts = np.append(breaks, len(minutes) - 1)
    return tuple(
        (begin, end + MINUTE_S) for begin, end in zip(minutes[firsts].tolist(), minutes[lasts].tolist(), strict=True)
    )


def joined_spans(spans: Sequence[tuple[int, int]], span: tuple[int, int], *, most: int) -> Spans:
    """``spans`` and one more, those that touch put together; of more than ``most`` the oldest are forgotten."""
    begin, end = span
    apart = []
    for other in spans:
        if other[1] < begin or other[0] > end:
            apart.append(other)
        else:
            begin, end = min(begin, other[0]), max(end, other[1])
    return tuple(sorted([*apart, (begin, end)])[-most:])
