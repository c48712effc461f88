"""Where a tape stands, in a small file of its own that survives a kill of the process.

Invariant: the file is overwritten in one piece and in place; what it says was true of the process that wrote it last.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import NamedTuple

_FORM = struct.Struct(">qqq")
_MODE = 0o600


class Position(NamedTuple):
    """A place on a tape; times are market time in nanoseconds since the epoch."""

    market_ns: int
    """The last instant that was played."""
    frames: int
    """Frames played from the beginning."""
    unmatched_ns: int
    """Up to here orders have met the tape; it lies ahead of the place after a seek back."""


class PositionFile:
    """The position of one tape.

    Args:
        path: The file; created when the first position is written.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)

    def read(self) -> Position | None:
        """Return where the tape stands; None for one that was never played."""
        content = os.pread(self._file, _FORM.size, 0)
        return Position(*_FORM.unpack(content)) if len(content) == _FORM.size else None

    def write(self, position: Position) -> None:
        """Say where the tape stands. It survives the death of the process, not that of the machine."""
        os.pwrite(self._file, _FORM.pack(*position), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
