"""Which bids and asks changed a moment ago, and which way. Flashes are times per cell; the frame lets them fade."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.core.views import ChainView

CALL_BID, CALL_ASK, PUT_BID, PUT_ASK = range(4)
CELLS = 4


class Flashes:
    """Compares each picture of a chain with the one before. Times are monotonic seconds."""

    def __init__(self, duration_s: float) -> None:
        """Cells stay coloured for ``duration_s``; 0 means never."""
        self._duration_s = duration_s
        self._before = np.empty((0, CELLS))
        self._until = np.empty((0, CELLS))
        self._direction: npt.NDArray[np.int8] = np.empty((0, CELLS), dtype=np.int8)

    def reset(self, view: ChainView) -> None:
        """Start from ``view``: nothing has changed yet."""
        self._before = self._prices(view)
        self._until = np.zeros(self._before.shape)
        self._direction = np.zeros(self._before.shape, dtype=np.int8)

    def accept(self, view: ChainView, now: float) -> None:
        """Mark what changed since the last picture. A price that appears or goes away does not flash."""
        after = self._prices(view)
        with np.errstate(invalid="ignore"):
            difference = after - self._before
            moved = np.isfinite(difference) & (difference != 0)
        if self._duration_s > 0 and moved.any():
            self._until[moved] = now + self._duration_s
            self._direction[moved] = np.sign(difference[moved]).astype(np.int8)
        self._before = after

    def faded(self, now: float) -> npt.NDArray[np.intp]:
        """Rows of which a flash has ended; each is told once."""
        over = (self._direction != 0) & (self._until <= now)
        if not over.any():
            return np.empty(0, dtype=np.intp)
        self._direction[over] = 0
        return np.flatnonzero(over.any(axis=1))

    def tone(self, row: int, cell: int) -> str:
        """``up``, ``down`` or nothing."""
        direction = int(self._direction[row, cell])
        return "up" if direction > 0 else "down" if direction < 0 else ""

    @staticmethod
    def _prices(view: ChainView) -> npt.NDArray[np.float64]:
        return np.column_stack((view.calls.bid, view.calls.ask, view.puts.bid, view.puts.ask))
