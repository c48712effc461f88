"""The hours in which candles are made, in epoch seconds."""

from __future__ import annotations

from typing import NamedTuple


class SessionHours(NamedTuple):
    """The hours of one trading day, epoch seconds."""

    day: int
    """The exchange's date as an ordinal; counters start anew with it."""
    day_start_s: int
    """Midnight of the exchange's clock."""
    open_s: int
    close_s: int
    index_close_s: int
    """When indices stop moving continuously."""
    pause_s: tuple[int, int] | None = None
    """A break in the middle: its first second, and when trading goes on."""

    def closes(self, *, is_index: bool) -> int:
        """End of the candles of an index, or of anything else."""
        return self.index_close_s if is_index else self.close_s
