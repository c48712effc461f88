"""Candles of 3, 5, 15 and 60 minutes made of minutes.

A longer candle begins where its session does: with an open at 09:15 those of an hour begin at 09:15, 10:15 and so on,
and the last one of a session may be shorter. Candles never reach over two sessions.

Volume is the sum, unknown (-1) when that of any minute is; open interest that of the last minute. The source is that of
the least certain minute, and a longer candle with a gap in it is partial, its volume unknown. Minutes in which nothing
traded are no gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from engine.core.bars import BarInterval, BarSource
from engine.core.views import Codes, Integers
from engine.market.bar_batches import read_only

MINUTE_S: Final = 60
UNKNOWN: Final = -1


class Bars(NamedTuple):
    """Candles of one instrument, oldest first, in wire integers; shape (n,) each, -1 for what is not known."""

    start: Integers
    """Epoch seconds."""
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers
    open_interest: Integers
    source: Codes


def longer_bars(minutes: Bars, opens: Integers, interval: BarInterval, *, gaps: Sequence[tuple[int, int]] = ()) -> Bars:
    """Make longer candles of minutes.

    Args:
        minutes: each minute once, oldest first.
        opens: the open of each minute's session, epoch seconds, shape (n,).
        interval: how long.
        gaps: spans [from, to) of missing minutes, epoch seconds.
    """
    length = interval.minutes * MINUTE_S
    if interval is BarInterval.MINUTE or not len(minutes.start):
        return minutes
    begins = opens + (minutes.start - opens) // length * length
    first = np.flatnonzero((np.diff(begins, prepend=begins[:1] - 1) != 0) | (np.diff(opens, prepend=opens[:1]) != 0))
    last = np.append(first[1:], len(begins)) - 1
    start = begins[first]
    volume = np.add.reduceat(minutes.volume, first)
    volume[np.minimum.reduceat(minutes.volume, first) < 0] = UNKNOWN
    source = np.minimum.reduceat(minutes.source, first)
    for begin, end in gaps:
        # No candle of the next session can be touched: a gap lies within one session.
        holed = (start < end) & (start + length > begin)
        volume[holed] = UNKNOWN
        source[holed] = BarSource.PARTIAL
    return Bars(
        start=read_only(start),
        open=read_only(minutes.open[first]),
        high=read_only(np.maximum.reduceat(minutes.high, first)),
        low=read_only(np.minimum.reduceat(minutes.low, first)),
        close=read_only(minutes.close[last]),
        volume=read_only(volume),
        open_interest=read_only(minutes.open_interest[last]),
        source=read_only(source),
    )
