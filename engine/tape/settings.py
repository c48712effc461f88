"""What the recorder may use: time, memory and disk."""

from __future__ import annotations

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]


class RecorderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Tapes of what the feed brings. A crash loses at most ``flush_s`` + ``sync_s``."""

    at_start: bool = False
    """Begin a tape as soon as the engine runs."""
    flush_s: Annotated[float, msgspec.Meta(gt=0, le=0.5)] = 0.5
    """What has arrived waits at most so long in memory before it is written."""
    sync_s: Annotated[float, msgspec.Meta(ge=0, le=0.5)] = 0.4
    """What is written waits at most so long before it is forced to the disk."""
    compression: Annotated[int, msgspec.Meta(ge=0, le=9)] = 1
    """zlib's level: 1 takes half the processor time of 6 for a file a tenth larger; 0 stores."""
    block_kb: Annotated[int, msgspec.Meta(ge=16, le=16384)] = 4096
    """A block is closed before its time when it holds so much; a reader needs memory for one."""
    segment_mb: Annotated[int, msgspec.Meta(ge=1, le=2048)] = 256
    """A segment of a tape is followed by another when it has this size"""
    segment_minutes: Positive = 60
    """or holds so many minutes."""
    queue_mb: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64
    """Most that waits for a slow disk; beyond it frames are left out of the tape, which the tape and the screen say."""
    keep_days: Positive = 30
    """Tapes not written to for longer are deleted."""
    keep_gb: Positive = 50
    """Most that all tapes may take. The oldest are deleted first; recording stops when there is nothing to delete."""
    disk_free_min_mb: Annotated[int, msgspec.Meta(ge=0)] = 2000
    """Recording stops when the disk has less free: the database needs it more."""
