"""Says once when a budget comes near its end, once when entries end, and once when there is room again."""

from __future__ import annotations

from collections.abc import Callable

from engine.core.events import EventKind
from engine.core.views import BudgetGauge
from engine.core.vocabulary import Severity
from engine.execution.notices import Notice
from engine.execution.words import grouped

CLEAR_SHARE = 0.9
"""Room again means less than this part of the level: a figure that wavers around it makes one notice."""


class BudgetWatch:
    """Compares gauges with levels.

    Args:
        near_share: Part of a limit that is near it.
        notify: For the events.
    """

    def __init__(self, near_share: float, notify: Callable[[Notice], None]) -> None:
        self._near_share = near_share
        self._notify = notify
        self._said: set[str] = set()

    def look(self, gauge: BudgetGauge) -> None:
        """See whether a level was passed since the last look."""
        self._judge("minute", gauge.minute_used, gauge.minute_limit, gauge.minute_entries)
        self._judge("day", gauge.day_used, gauge.day_limit, gauge.day_entries)

    def _judge(self, window: str, used: int, limit: int, entries: int) -> None:
        left = f"{grouped(used)} of the {window}'s {grouped(limit)} orders are used"
        near = limit * self._near_share
        until = "they wait for the next minute" if window == "minute" else "none is taken before midnight"
        rest = grouped(max(0, limit - used))
        self._level(f"{window} near", used >= near, used < near * CLEAR_SHARE, f"{left}.", Severity.ATTENTION)
        self._level(
            f"{window} entries",
            used >= entries,
            used < entries * CLEAR_SHARE,
            f"{left}: entries end here, {until}. The last {rest} are kept for exits.",
            Severity.DANGER if window == "day" else Severity.ATTENTION,
        )

    def _level(self, name: str, reached: bool, cleared: bool, sentence: str, severity: Severity) -> None:
        if reached and name not in self._said:
            self._said.add(name)
            self._notify(Notice(kind=EventKind.ORDER, severity=severity, text=sentence, subject="budget"))
        elif cleared:
            self._said.discard(name)
