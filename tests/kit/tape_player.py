"""Plays a tape straight into the engine's listeners, on a clock that only the tape moves.

What the exchange does over a socket for a person, without socket or pace: for tests of what is made of a feed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.clocks import StreamClock
from engine.market.board_feed import BoardFeed
from engine.tape.reader import TapeReader
from engine.tape.records import RECORDER, RecordKind, TapeRecord

GAP = "The tape has a gap here."


class TapePlayer:
    """Feeds by the number of their connection, and the clock they were made with.

    A connection that was up when the tape began comes up with its first frame. In a gap of the recorder every
    connection counts as lost.
    """

    def __init__(self, feeds: Mapping[int, BoardFeed], clock: StreamClock) -> None:
        self._feeds = feeds
        self._clock = clock
        self._up: set[int] = set()

    def play(
        self, tape: TapeReader, *, from_ns: int | None = None, after: Callable[[TapeRecord], None] | None = None
    ) -> int:
        """Play to the end of the tape; ``after`` is called behind each record. Returns the frames played."""
        frames = 0
        for record in tape.records(from_ns):
            self._clock.tell(record.market_ns)
            self._apply(record)
            frames += record.kind is RecordKind.FRAME
            if after is not None:
                after(record)
        return frames

    def _apply(self, record: TapeRecord) -> None:
        number = record.connection
        if number == RECORDER:
            if record.kind is RecordKind.DOWN:
                for lost in sorted(self._up):
                    self._feeds[lost].disconnected(GAP)
                self._up.clear()
            return
        feed = self._feeds[number]
        if record.kind is RecordKind.DOWN:
            if number in self._up:
                self._up.discard(number)
                feed.disconnected(record.payload.decode())
            return
        if number not in self._up:
            self._up.add(number)
            feed.connected(record.received_ns)
        if record.kind is RecordKind.FRAME:
            feed.heard(record.received_ns)
            feed.frame(record.payload, record.received_ns)
        elif record.kind is RecordKind.TEXT:
            feed.text(record.payload.decode())
