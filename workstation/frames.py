"""The one frame: what the screens draw from. Pulled at a fixed rate, synchronously, and total: it never raises.

Prices change thousands of times a second; a frame takes only the newest picture. How late frames come is measured here
and shown as the age of the screen.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from engine.client import EngineClient
from engine.core.errors import WorkstationError
from engine.core.ports import Clock
from engine.core.views import ChainKey, ChainView, DeskView

LAG_WINDOW_S = 1.0
"""The age of the screen is the worst lag of this window."""
MILLISECONDS = 1000.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment for the screens."""

    desk: DeskView | None
    """``None`` until the engine has given a picture."""
    chain: ChainView | None
    market_now: datetime
    monotonic: float
    picture_age_s: float
    """How long ``desk`` has been the same object."""
    screen_lag_ms: float
    trouble: str
    """Why the engine could not be looked at in this frame; empty when it could."""


@runtime_checkable
class TakesFrames(Protocol):
    """A screen that draws from frames."""

    def take_frame(self, frame: Frame) -> None:
        """Draw what changed. Must not raise and must not wait."""
        ...


class FrameSource:
    """Pulls pictures from the engine for one terminal."""

    def __init__(self, engine: EngineClient, clock: Clock, *, fps: int) -> None:
        """``fps`` frames a second are expected; what comes later than that is lag."""
        self._engine = engine
        self._clock = clock
        self._interval_s = 1.0 / fps
        self._desk: DeskView | None = None
        self._desk_since = 0.0
        self._key: ChainKey | None = None
        self._sequence = 0
        self._market_now = clock.wall_now()
        self._previous: float | None = None
        self._lags: deque[tuple[float, float]] = deque(maxlen=max(1, int(fps * LAG_WINDOW_S) + 1))

    def take(self, key: ChainKey | None) -> Frame:
        """The newest picture; ``key`` names the chain that is looked at."""
        now = self._clock.monotonic()
        self._measure(now)
        trouble = ""
        chain: ChainView | None = None
        try:
            # The venue's time comes through the same door as everything else and may fail with it.
            self._market_now = self._clock.market_now()
            desk = self._engine.desk()
            if desk is not self._desk:
                self._desk, self._desk_since = desk, now
            chain = self._chain(key)
        except WorkstationError as error:
            trouble = str(error)
        return Frame(
            desk=self._desk,
            chain=chain,
            market_now=self._market_now,
            monotonic=now,
            picture_age_s=now - self._desk_since,
            screen_lag_ms=max((lag for _, lag in self._lags), default=0.0) * MILLISECONDS,
            trouble=trouble,
        )

    def _chain(self, key: ChainKey | None) -> ChainView | None:
        if key is None:
            return None
        if key != self._key:
            self._key, self._sequence = key, 0
        view = self._engine.chain(key, self._sequence)
        if view is not None:
            self._sequence = view.sequence
        return view

    def _measure(self, now: float) -> None:
        if self._previous is not None:
            self._lags.append((now, max(0.0, now - self._previous - self._interval_s)))
        self._previous = now
        while self._lags and now - self._lags[0][0] > LAG_WINDOW_S:
            self._lags.popleft()
