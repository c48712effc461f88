"""What a terminal tells the engine of itself while it is HOT: that keys are pressed, and that its screen is late.

HOT rests on somebody who looks at a living screen. The engine ends it without keys; only the terminal knows how late
its own screen is, so it goes back to CONFIRM by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from engine.core.commands import Command, Receipt, SetMode, TouchSeat
from engine.core.ports import Clock
from engine.core.views import DeskView
from engine.core.vocabulary import Mode
from workstation.frames import Frame

KEY_TOLD_S = 5.0
"""Keys are told at most so often."""


class Presence:
    """One terminal's.

    Args:
        clock: Monotonic time.
        submit: Hands a command over.
        desk: The engine's living picture; ``None`` before the first.
        report: Says what became of a command.
        screen_late_ms: From here the screen is too late for keys that send at once.
    """

    def __init__(
        self,
        clock: Clock,
        submit: Callable[[Command, Callable[[Receipt], None]], None],
        desk: Callable[[], DeskView | None],
        report: Callable[[Receipt], None],
        *,
        screen_late_ms: float,
    ) -> None:
        self._clock = clock
        self._submit = submit
        self._desk = desk
        self._report = report
        self._screen_late_ms = screen_late_ms
        self._told_at = float("-inf")
        self._is_cooling = False

    def key(self) -> None:
        """A key was pressed, whatever it means."""
        now = self._clock.monotonic()
        if self._is_hot() and now - self._told_at >= KEY_TOLD_S:
            self._told_at = now
            self._submit(TouchSeat(), _nothing)

    def take_frame(self, frame: Frame) -> None:
        """A frame was drawn."""
        if not self._is_hot():
            self._is_cooling = False
        elif frame.screen_lag_ms > self._screen_late_ms and not self._is_cooling:
            self._is_cooling = True
            self._submit(SetMode(mode=Mode.CONFIRM), self._cooled)

    def _cooled(self, receipt: Receipt) -> None:
        self._is_cooling = receipt.accepted  # otherwise the next late frame asks again
        self._report(receipt)

    def _is_hot(self) -> bool:
        desk = self._desk()
        return desk is not None and desk.status.mode is Mode.HOT


def _nothing(_: Receipt) -> None:
    """Nobody waits for what a key's telling came to."""
