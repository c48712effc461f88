"""A recorded day played again: where it stands, and what can be asked of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

SPEED_MIN = 0.25
SPEED_MAX = 60.0


class ReplayView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a replay stands. Times are market time, aware UTC."""

    tape: str
    start: datetime
    end: datetime
    now: datetime
    speed: float
    """Market seconds per second while it plays."""
    state: str
    """``paused``, ``playing``, ``seeking`` or ``ended``."""
    target: datetime | None = None
    """Where a seek goes."""
    frames: int = 0
    """Played since the start of the tape."""
    damage: str = ""
    """What of the tape could not be read, in words."""


class ReplayAction(msgspec.Struct, frozen=True, kw_only=True):
    """What to do: one or more of these, in this order: pause, seek, step, speed, play.

    A seek back plays the tape again from its beginning, as fast as it goes; it is refused when orders of this replay
    have traded after its target.
    """

    play: bool | None = None
    """``False`` pauses."""
    speed: float | None = None
    """0.25 to 60."""
    seek: datetime | None = None
    """Aware market time within the tape."""
    step_frames: int | None = None
    """So many frames on, then pause."""
