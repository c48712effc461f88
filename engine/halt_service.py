"""Watches for a market that stands still on a living path, and tells the day, so that entries wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from engine.core.ports import Clock
from engine.core.views import Integers
from engine.market.halts import SEGMENT_MASK, HaltSettings, HaltWatch, sights
from engine.market.minute_columns import Flags
from engine.market_day import MarketDay

NAMES: Final = {2: "NSE F&O", 5: "BSE F&O"}
"""Segments that are watched, by the low byte of their tokens. Indices are not: the closing auction freezes them."""


class HaltService:
    """Looks once a second.

    Args:
        day: The market; told which segments stand still.
        clock: Market time.
        settings: When stillness is worth a word.
        suspect: Which of some paths cannot be trusted now.
        declare: Shows a condition under a name; no words end it.
    """

    def __init__(
        self,
        day: MarketDay,
        clock: Clock,
        settings: HaltSettings,
        *,
        suspect: Callable[[Integers], Flags],
        declare: Callable[[str, str], None],
    ) -> None:
        self._day = day
        self._clock = clock
        self._settings = settings
        self._suspect = suspect
        self._declare = declare
        self._watch = HaltWatch(settings, NAMES, day.calendar.zone)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self._clock.sleep(self._settings.look_s)
            self.look()

    def look(self) -> None:
        """Take one look at every segment."""
        board, trusted = self._day.board, []
        for segment in NAMES:
            slots = np.flatnonzero(
                ((board.tokens & SEGMENT_MASK) == segment) & (board.tokens != 0) & (board.kinds != 0)
            )
            if not len(slots) or not self._day.is_open():
                self._watch.forget(segment)
            elif self._suspect(board.paths[slots]).any():
                self._watch.interrupt(segment)
            else:
                trusted.append(segment)
        found = self._watch.observe(self._clock.market_now(), sights(board, trusted))
        halts = {suspicion.segment: suspicion.words for suspicion in found}
        self._day.set_halts(halts)
        for segment, name in NAMES.items():
            words = halts.get(segment)
            self._declare(f"halt {name}", "" if words is None else f"{words}. Entries wait; exits are sent.")
