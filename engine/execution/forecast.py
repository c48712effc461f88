"""When an errand that has just been queued will leave. A row of orders is forecast in one go, each a step further.

Whatever was not to be expected (an errand withdrawn, a refusal for speed, one that overtakes) begins the forecast anew,
and so does its age: what is told is never further from the truth than a second of the queue.
"""

from __future__ import annotations

from engine.execution.budgets import BudgetPlay, OrderBudget
from engine.execution.lanes import Lane
from engine.execution.queue import OrderQueue, QueuedCommand

KEPT_S = 1.0
"""How long a forecast is gone on with."""


class _Row:
    """One lane's forecast up to its newest errand."""

    __slots__ = ("appended", "based_on", "began", "play")

    def __init__(self, play: BudgetPlay, began: float, based_on: tuple[int, int]) -> None:
        self.play = play
        self.began = began
        self.based_on = based_on
        self.appended = 0


class QueueForecast:
    """Tells it, for errands in the order in which they are queued.

    Args:
        queue: What waits.
        budget: What it waits for.
    """

    def __init__(self, queue: OrderQueue, budget: OrderBudget) -> None:
        self._queue = queue
        self._budget = budget
        self._rows: dict[Lane, _Row] = {}
        self.played = 0
        """Errands that were played through the budget in all: the cost."""

    def eta_s(self, queued: QueuedCommand) -> float:
        """Seconds until the last errand of its lane may leave, 0 when it has left; slower lanes do not keep it."""
        if queued.left_at is not None:
            return 0.0
        lane, now = queued.lane, self._budget.now()
        if len(self._queue) == 1:
            return self._budget.wait(lane, placement=queued.is_placement, orders=queued.orders)
        based_on = (self._queue.reordered(lane), self._budget.surprises)
        appended = self._queue.appended(lane)
        row = self._rows.get(lane)
        goes_on = (
            row is not None
            and row.based_on == based_on
            and row.appended == appended - 1
            and 0 <= now - row.began <= KEPT_S
        )
        if row is None or not goes_on:
            row = self._rows[lane] = _Row(BudgetPlay(self._budget), now, based_on)
            weights = self._queue.weights(lane)
        else:
            weights = [(lane, queued.is_placement, queued.orders)]
        row.appended = appended
        self.played += len(weights)
        return max(0.0, row.play.play(weights)[-1] - now)
