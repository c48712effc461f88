"""The order in which a tape is played: its frames by instant, every whole second between them, and its breaks.

Invariant: the sequence is a function of the tape alone; how fast, in what pieces, or how often it is played changes
nothing in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine.tape.reader import TapeReader
from engine.tape.records import RECORDER, RecordKind, TapeRecord

SECOND_NS = 1_000_000_000
LOST, BACK = "lost", "back"
"""Words of a break: from here on a part of the feed was not recorded; from here on all of it is again."""


class Instant(NamedTuple):
    """One instant of the tape (market time in nanoseconds since the epoch) and the frames that arrived at it."""

    market_ns: int
    frames: tuple[bytes, ...]
    """Empty at a whole second at which nothing arrived."""
    words: tuple[str, ...] = ()
    """What to say of the recorded feed before them: ``LOST``, ``BACK`` or both."""


class _Path:
    """What the tape says of the connections it was recorded from."""

    def __init__(self) -> None:
        self._lost: set[int] = set()
        self._has_played = False
        self._is_broken = False

    def take(self, record: TapeRecord) -> None:
        """Look at a record."""
        if record.kind is RecordKind.FRAME:
            self._has_played = True
        elif record.kind is RecordKind.DOWN:
            self._lost.add(record.connection)
            self._is_broken = True
        elif record.kind is RecordKind.UP:
            if record.connection == RECORDER:
                self._lost.clear()  # recording begins: what was up or down before is not known any more
            self._lost.discard(record.connection)
            # Before the first frame nothing can be stale.
            self._is_broken = self._has_played or bool(self._lost)

    def words(self) -> tuple[str, ...]:
        """What there is to say since the last time."""
        if not self._is_broken or not self._has_played:
            return ()
        self._is_broken = False
        return (LOST,) if self._lost else (LOST, BACK)


def instants(reader: TapeReader) -> Iterator[Instant]:
    """Yield the tape from its beginning.

    Texts are left out: they are the recording account's own order updates. While a part of the recorded feed was down,
    or recording had stopped, the seconds go on, and it is said. A connection that came back has a new life, also where
    the tape does not tell that it was lost (the recording program was killed).
    """
    due = (reader.start_ns // SECOND_NS + 1) * SECOND_NS
    path = _Path()
    waiting: list[bytes] = []
    at = reader.start_ns
    for record in reader.records():
        if record.market_ns != at:
            words = path.words()
            if waiting or words:
                yield Instant(at, tuple(waiting), words)
                due = max(due, (at // SECOND_NS + 1) * SECOND_NS)
                waiting = []
            while due < record.market_ns:
                yield Instant(due, ())
                due += SECOND_NS
            at = record.market_ns
        path.take(record)
        if record.kind is RecordKind.FRAME:
            waiting.append(record.payload)
    words = path.words()
    if waiting or words:
        yield Instant(at, tuple(waiting), words)
