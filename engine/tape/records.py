"""What lies on a tape: frames, texts, and the comings and goings of connections, in the order they arrived.

Invariant: within a tape ``market_ns`` never decreases.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

FORMAT: Final = 1
"""The format this program writes, and the only one it reads."""
RECORDER: Final = 0xFFFF
"""As ``TapeRecord.connection`` of UP and DOWN: the recorder itself, not a connection of the feed. What arrived between
its DOWN and its next UP is not on the tape; their payloads say why, and how much where that is known."""


class RecordKind(IntEnum):
    """What a record is."""

    FRAME = 1
    """A binary data frame, exactly as it arrived."""
    TEXT = 2
    """A text frame in UTF-8. Private: order updates of the recording account are among them."""
    UP = 3
    """A connection came up, or the recorder began (see ``RECORDER``)."""
    DOWN = 4
    """A connection was lost (or the recorder paused); the payload is the reason in UTF-8."""


class TapeRecord(NamedTuple):
    """One thing that arrived. Times are nanoseconds since the epoch, UTC."""

    kind: RecordKind
    connection: int
    """Number of the feed's connection, or ``RECORDER``."""
    market_ns: int
    """Market time at receipt; never less than that of the record before."""
    received_ns: int
    """This machine's time at receipt: monotonic within one sitting of the recorder, so differences are true."""
    payload: bytes


class TapeHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """What a tape says of itself (``header.json``)."""

    format: int
    venue: str
    """The venue that was recorded, as its engine names it."""
    note: str
    """Free words of whoever recorded; may be empty."""
    account: str
    """Whose feed it was; may be empty."""
    market_start: datetime
    """Market time when the tape was begun, aware UTC."""
    wall_start: datetime
    """This machine's time then, aware UTC."""
    program: str
    """Name and version of what wrote it."""
