"""A market that stands still on a living path: a suspicion of a halt, with its evidence. Not a dead feed, and no proof.

The broker's feed says nothing of halts. What can be seen is a segment that changed in nearly every second, whose every
quote then stays the same while the connection goes on to bring bytes. That is said as a suspicion, and ends with the
first quote that changes. Time is market time, so that a clock that stands still makes no halt; and a stillness was seen
in many looks, so that a clock that leaps (a practice market at sixty times the speed, a machine that slept) makes none.

An interruption of the path is no evidence either way: what was seen of how lively the segment was stays known, what it
stood still so far does not count, and a halt that was said goes on if not one figure is another afterwards.
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
_SEEN_SHARE = 0.5
"""A stillness counts when this part of the looks that fit into it was taken."""


class HaltSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When stillness is worth a word."""

    look_s: float = 1.0
    """From one look to the next, wall seconds."""
    still_s: float = 20.0
    """A lively segment without any change for so long may be halted, market seconds."""
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
        """Whether it had changed, look by look, up to its last change."""
        self.last: Sight | None = None
        self.changed_at: datetime | None = None
        self.quiet = 0
        """Looks since then that showed the same."""
        self.is_interrupted = False
        self.is_suspected = False

    def begin(self, sight: Sight, now: datetime) -> None:
        """From now on it is seen whether this stays."""
        self.last, self.changed_at, self.quiet, self.is_suspected = sight, now, 0, False


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
        self._looks_still = int(settings.still_s / settings.look_s)

    def forget(self, segment: int) -> None:
        """Begin anew: it is closed, or nothing of it is known."""
        self._segments.pop(segment, None)

    def interrupt(self, segment: int) -> None:
        """Its path is suspect: nothing can be said of it, and stillness until it is seen again proves nothing."""
        known = self._segments.get(segment)
        if known is not None:
            known.is_interrupted = True

    def observe(self, now: datetime, seen: Mapping[int, Sight]) -> tuple[Suspicion, ...]:
        """Take one look.

        Args:
            now: Market time.
            seen: The segments that are in session and whose connections are alive.
        """
        suspicions = (self._look(segment, sight, now) for segment, sight in seen.items())
        return tuple(suspicion for suspicion in suspicions if suspicion is not None)

    def _look(self, segment: int, sight: Sight, now: datetime) -> Suspicion | None:
        known = self._segments.setdefault(segment, _Segment(self._settings.looks))
        was_interrupted, known.is_interrupted = known.is_interrupted, False
        if sight != known.last:
            if known.changed_at is not None and now > known.changed_at and not was_interrupted:
                # A quiet second or two belongs to how lively it is; a long stillness does not wash that out.
                known.changes.extend([False] * min(known.quiet, self._looks_still))
                known.changes.append(True)
            known.begin(sight, now)
            return None
        if known.changed_at is None or (was_interrupted and not known.is_suspected):
            known.begin(sight, now)
            return None
        still_s = (now - known.changed_at).total_seconds()
        if still_s > 0:
            known.quiet += 1
        is_still = still_s >= self._settings.still_s and known.quiet >= self._looks_still * _SEEN_SHARE
        known.is_suspected = (
            is_still and sight.instruments >= self._settings.instruments_min and _is_lively(known, self._settings)
        )
        if not known.is_suspected:
            return None
        words = (
            f"{self._names.get(segment, str(segment))} may be HALTED: none of {sight.instruments} quotes has changed "
            f"since {known.changed_at.astimezone(self._zone):%H:%M:%S}, and the connection is alive"
        )
        return Suspicion(segment=segment, since=known.changed_at, words=words)


def _is_lively(known: _Segment, settings: HaltSettings) -> bool:
    looks = len(known.changes)
    return looks >= settings.looks // 2 and sum(known.changes) >= settings.lively_share * looks
