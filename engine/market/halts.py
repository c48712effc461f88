"""A market that stands still on a living path: a suspicion of a halt, with its evidence. Not a dead feed, and no proof.

The broker's feed says nothing of halts. What can be seen is a segment that changed in nearly every second, whose every
quote then stays the same while the connection goes on to bring bytes. That is said as a suspicion, and ends with the
first quote that changes. Time is market time, so that a clock that stands still makes no halt.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from engine.brokers.kite.packets import EXCHANGE_TIME, LAST_TRADE_TIME, WORDS
from engine.market.quotes_board import QuotesBoard

SEGMENT_MASK = 0xFF
_FIGURES = np.array([column for column in range(WORDS) if column not in {EXCHANGE_TIME, LAST_TRADE_TIME}], np.intp)
"""Everything of a packet but its stamps: those may go on while nothing is traded."""


class HaltSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When stillness is worth a word; durations in market seconds."""

    look_s: float = 1.0
    still_s: float = 20.0
    """A lively segment without any change for so long may be halted."""
    lively_share: float = 0.9
    """Lively is a segment that changed in this part of the looks before it stood still."""
    looks: int = 60
    """How many looks that is judged by."""
    instruments_min: int = 5
    """With fewer instruments of a segment on the board nothing is said of it."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """One segment at one moment."""

    instruments: int
    fingerprint: int
    """Another one whenever any figure of any of its quotes is."""


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that may be halted."""

    segment: int
    since: datetime
    """Aware UTC, market clock: when it last changed."""
    words: str


def sights(board: QuotesBoard, segments: Sequence[int]) -> dict[int, Sight]:
    """What the board shows of each segment (the low byte of its tokens)."""
    tokens = board.tokens
    slots_of = tokens & SEGMENT_MASK
    found = {}
    for segment in segments:
        slots = np.flatnonzero((slots_of == segment) & (tokens != 0) & (board.kinds != 0))
        figures = np.ascontiguousarray(board.words[slots][:, _FIGURES])
        found[segment] = Sight(instruments=len(slots), fingerprint=zlib.crc32(figures.tobytes()))
    return found


class _Segment:
    """What is remembered of one segment."""

    def __init__(self, looks: int) -> None:
        self.changes: deque[bool] = deque(maxlen=looks)
        self.last: Sight | None = None
        self.changed_at: datetime | None = None


class HaltWatch:
    """Remembers how lively segments were, and says which stand still.

    Args:
        settings: When.
        names: What a segment is called.
        zone: The exchange's, for times in words.
    """

    def __init__(self, settings: HaltSettings, names: Mapping[int, str], zone: ZoneInfo) -> None:
        self._zone = zone
        self._settings = settings
        self._names = names
        self._segments: dict[int, _Segment] = {}

    def forget(self, segment: int) -> None:
        """Begin anew: it is closed, or its path was interrupted, and stillness would prove nothing."""
        self._segments.pop(segment, None)

    def observe(self, now: datetime, seen: Mapping[int, Sight]) -> tuple[Suspicion, ...]:
        """Take one look.

        Args:
            now: Market time.
            seen: The segments that are in session and whose connections are alive.
        """
        found = []
        for segment, sight in seen.items():
            known = self._segments.setdefault(segment, _Segment(self._settings.looks))
            is_same = known.last is not None and known.last.instruments == sight.instruments
            has_changed = known.last is None or known.last.fingerprint != sight.fingerprint
            if has_changed or not is_same or known.changed_at is None:
                if known.last is not None and known.changed_at is not None and now > known.changed_at:
                    known.changes.append(has_changed)
                known.last, known.changed_at = sight, now
                continue
            still_s = (now - known.changed_at).total_seconds()
            if still_s < self._settings.still_s:
                # A quiet second or two belongs to how lively it is; a long stillness does not wash that out.
                if still_s > 0:
                    known.changes.append(False)
                continue
            if sight.instruments >= self._settings.instruments_min and self._was_lively(known):
                name = self._names.get(segment, str(segment))
                words = (
                    f"{name} may be HALTED: none of {sight.instruments} quotes has changed since "
                    f"{known.changed_at.astimezone(self._zone):%H:%M:%S}, and the connection is alive"
                )
                found.append(Suspicion(segment=segment, since=known.changed_at, words=words))
        return tuple(found)

    def _was_lively(self, known: _Segment) -> bool:
        looks, still = self._settings.looks, int(self._settings.still_s / self._settings.look_s)
        before = list(known.changes)
        while before and still and not before[-1]:
            before.pop()
            still -= 1
        return len(before) >= looks // 2 and sum(before) >= self._settings.lively_share * len(before)
