"""Leaving: who keeps watching is said first."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.orders import OrderRecord, OrderState
from engine.core.ports import Clock
from workstation.dialogs.base import DeskDialog
from workstation.formatting import Glyphs
from workstation.presenters.lines import EMPTY, Line, wrapped

MILLISECONDS = 1000.0


def farewell_words(orders: Sequence[OrderRecord], after_quit: str) -> list[str]:
    """What goes on when this terminal is gone."""
    working = [order for order in orders if order.state.is_working and order.state is not OrderState.UNKNOWN]
    unknown = [order for order in orders if order.state is OrderState.UNKNOWN]
    words = []
    if working:
        plural = "order stays" if len(working) == 1 else "orders stay"
        words.append(f"{len(working)} working {plural} at the broker and may still fill.")
    if unknown:
        plural = "order is" if len(unknown) == 1 else "orders are"
        words.append(
            f"{len(unknown)} {plural} UNKNOWN: it may rest at the broker and will be looked up, never sent again."
        )
    if not words:
        words.append("No order is working.")
    words.append(after_quit)
    return words


class QuitDialog(DeskDialog[bool]):
    """Answers ``True`` to leave."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        clock: Clock,
        glyphs: Glyphs,
        simulated: bool,
        confirm_delay_ms: int,
    ) -> None:
        """``words`` say what goes on."""
        super().__init__("Quit", glyphs=glyphs, simulated=simulated, agree="Quit", cancel="Stay")
        self._words = list(words)
        self._clock = clock
        self._delay_s = confirm_delay_ms / MILLISECONDS
        self._painted_at: float | None = None

    def on_mount(self) -> None:
        """Count from the first paint."""
        super().on_mount()
        self.call_after_refresh(self._painted)

    def lines(self) -> list[Line]:
        """One paragraph a fact."""
        lines: list[Line] = []
        for sentence in self._words:
            lines += [((part, ""),) for part in wrapped(sentence, self.text_width)]
        return [*lines, EMPTY]

    def action_agree(self) -> None:
        """Leave, if the question has been there long enough to be read."""
        if self._painted_at is not None and self._clock.monotonic() - self._painted_at >= self._delay_s:
            self.dismiss(True)

    def _painted(self) -> None:
        self._painted_at = self._clock.monotonic()
