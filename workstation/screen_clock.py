"""The venue's time as a screen shows it: run on from the newest picture, whichever door it came through."""

from __future__ import annotations

from datetime import datetime, timedelta

from engine.client import EngineClient
from engine.clocks import SystemClock
from engine.core.vocabulary import Venue


class ScreenClock(SystemClock):
    """Market time of an engine, near or remote. Never runs backwards, but for a tape that is moved back."""

    def __init__(self, engine: EngineClient) -> None:
        """Reads the session of ``engine``'s desk."""
        self._engine = engine
        self._seen: datetime | None = None
        self._seen_at = 0.0
        self._newest: datetime | None = None

    def market_now(self) -> datetime:
        """Aware UTC of the venue."""
        status = self._engine.desk().status
        session = status.session
        if status.venue is Venue.REPLAY:
            return session.market_time  # the tape's own: it stands still, jumps and goes back as it is told
        if session.market_time != self._seen:
            self._seen, self._seen_at = session.market_time, self.monotonic()
        now = session.market_time + timedelta(seconds=(self.monotonic() - self._seen_at) * session.speed)
        self._newest = now if self._newest is None else max(self._newest, now)
        return self._newest
