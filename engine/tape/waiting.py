"""What has arrived and is not on the tape yet: from the event loop to the writer's thread.

Overload policy: beyond its bytes the newest records are left out until half of the queue is free again, and the tape
says so with a DOWN and an UP of the recorder around what is missing. The feed never waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from engine.core.instruments import Instrument
from engine.tape.records import RECORDER, RecordKind, TapeHeader, TapeRecord

RECORD_COST: Final = 160
"""Bytes of memory that a waiting record takes beside its payload."""
TOO_SLOW: Final = b"The disk does not keep up: what arrives from here is left out."
GOES_ON: Final = "The disk keeps up again: %d records were left out."


class NewTape(NamedTuple):
    """What follows belongs to another tape, or to a further sitting of the one that fits."""

    name: str
    """For its folder."""
    header: TapeHeader
    instruments: Sequence[Instrument]
    """Never changed afterwards: another thread reads it."""


Waiting: TypeAlias = TapeRecord | NewTape


class WaitingRecords:
    """A queue with one thread at each end.

    Attributes:
        dropped: Records left out so far.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.dropped = 0
        self._items: deque[Waiting] = deque()
        # Each counter is written at one end only: nothing is lost between two threads.
        self._bytes_in = 0
        self._bytes_out = 0
        self._left_out = 0
        self._is_leaving_out = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._items)

    @property
    def bytes(self) -> int:
        """Memory of what waits."""
        return self._bytes_in - self._bytes_out

    @property
    def oldest_ns(self) -> int | None:
        """When the one that waits longest was received."""
        try:
            item = self._items[0]
        except IndexError:
            return None
        return item.received_ns if isinstance(item, TapeRecord) else None

    def offer(self, record: TapeRecord) -> bool:
        """Take a record, or leave it out; says which. At the entrance."""
        size = len(record.payload) + RECORD_COST
        if self._is_leaving_out:
            if self.bytes > self.limit_bytes // 2:
                self._leave_out()
                return False
            self._is_leaving_out = False
            words = (GOES_ON % self._left_out).encode()
            self.put(TapeRecord(RecordKind.UP, RECORDER, record.market_ns, record.received_ns, words))
        elif self.bytes + size > self.limit_bytes:
            self._is_leaving_out = True
            self._left_out = 0
            self.put(TapeRecord(RecordKind.DOWN, RECORDER, record.market_ns, record.received_ns, TOO_SLOW))
            self._leave_out()
            return False
        self._bytes_in += size
        self._items.append(record)
        return True

    def put(self, item: Waiting) -> None:
        """Take something small whatever the limit. At the entrance."""
        self._bytes_in += _size(item)
        self._items.append(item)

    def take(self) -> list[Waiting]:
        """Everything that waits now, oldest first. At the exit."""
        return [self._items.popleft() for _ in range(len(self._items))]

    def release(self, items: Sequence[Waiting]) -> None:
        """What was taken is written, or lost: its memory counts no more. At the exit."""
        self._bytes_out += sum(map(_size, items))

    def _leave_out(self) -> None:
        self._left_out += 1
        self.dropped += 1


def _size(item: Waiting) -> int:
    return RECORD_COST + (len(item.payload) if isinstance(item, TapeRecord) else 0)
