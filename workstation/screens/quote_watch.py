"""Which single instruments are subscribed to for ticket and depth. Wishes come with the cursor: the newest counts."""

from __future__ import annotations

from engine.core.errors import WorkstationError
from workstation.screens.context import DeskContext


class QuoteWatch:
    """Holds watches at the engine and moves them to what the screen shows."""

    def __init__(self, context: DeskContext) -> None:
        """Nothing is watched yet."""
        self._context = context
        self._wish: frozenset[int] = frozenset()
        self._held: frozenset[int] = frozenset()
        self._running = False
        self._closed = False

    def wish(self, tokens: frozenset[int]) -> None:
        """Show these instruments; called on every frame, does nothing while nothing changes, nor once given up."""
        if self._closed:
            # A frame may still come while the program takes its screens down: nobody would give that watch back.
            return
        self._wish = tokens
        if tokens != self._held and not self._running:
            self._running = True
            self._context.run(self._settle, "quotes", False)

    async def close(self) -> None:
        """Give the watches up."""
        self._closed = True
        self._wish = frozenset()
        held, self._held = self._held, frozenset()
        try:
            await self._context.engine.unwatch(sorted(held))
        except WorkstationError as error:
            self._context.notify(str(error), "attention")

    async def _settle(self) -> None:
        try:
            while self._wish != self._held:
                wish = self._wish
                try:
                    # New ones first: an instrument that stays is never let go in between.
                    await self._context.engine.watch(sorted(wish - self._held))
                    gone, self._held = self._held - wish, wish
                    await self._context.engine.unwatch(sorted(gone))
                except WorkstationError as error:
                    self._context.notify(str(error), "attention")
                    await self._context.clock.sleep(self._context.settings.retry_s)
        finally:
            self._running = False
