"""What a venue says of itself: its clock, whether it trades now, and how its market came about."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from engine.core.vocabulary import Venue


class VenueReading(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a venue."""

    market_time: datetime
    """Aware UTC."""
    speed: float = 1.0
    """Market seconds per second."""
    is_open: bool | None = None
    """``None``: the calendar decides (the live venue)."""
    extended: bool = False
    """A practice session held open after the close of its day."""
    opens_at: datetime | None = None
    """Aware UTC; when a closed venue opens next, where it says so."""
    closes_at: datetime | None = None
    """Aware UTC; when an open venue closes, where it says so."""


class VenueSource(Protocol):
    """Where readings come from."""

    @property
    def venue(self) -> Venue:
        """Which kind of venue; the first word on every screen."""
        ...

    @property
    def note(self) -> str:
        """How its market came about, for a person."""
        ...

    async def read(self) -> VenueReading:
        """Look at the venue now.

        Raises:
            BrokerUnavailable: it does not answer.
        """
        ...
