"""When what is queued will leave: as exact as a forecast of everything, at the cost of a step an order."""

from __future__ import annotations

import itertools

import pytest

from engine.core.identifiers import OrderNumber
from engine.execution.budgets import OrderBudget
from engine.execution.forecast import QueueForecast
from engine.execution.lanes import Lane
from engine.execution.queue import Errand, OrderQueue, QueuedCommand
from engine.execution.settings import BudgetLimits


class ForecastRig:
    """A queue, a budget on a clock that stands until it is moved, and the forecast of both."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.5
        self.budget = OrderBudget(BudgetLimits(), lambda: self.now)
        self.queue = OrderQueue(500, 500)
        self.forecast = QueueForecast(self.queue, self.budget)
        self.numbers = itertools.count(1)

    def put(self, lane: Lane) -> QueuedCommand:
        """One placement more."""
        command = QueuedCommand(Errand.PLACE, OrderNumber(next(self.numbers)), lane, 0.0)
        self.queue.put(command)
        return command

    def whole(self, command: QueuedCommand) -> float:
        """What a forecast of everything says of it."""
        leaves = self.budget.forecast(self.queue.weights())
        return next(eta for waiting, eta in zip(self.queue, leaves, strict=True) if waiting is command)


def test_five_hundred_etas_cost_five_hundred_steps() -> None:
    """Each order is played once, however many wait before it, and is told what a forecast of everything says."""
    rig = ForecastRig()
    for place in range(500):
        command = rig.put(Lane.ENTRY)
        eta = rig.forecast.eta_s(command)
        if place % 50 == 0:
            assert eta == pytest.approx(rig.whole(command))
    assert rig.forecast.played <= 500


def test_an_exit_among_five_hundred_entries_plays_the_exits_alone() -> None:
    """It overtakes them, so they cost nothing and do not keep it."""
    rig = ForecastRig()
    for _ in range(500):
        rig.forecast.eta_s(rig.put(Lane.ENTRY))
    before = rig.forecast.played
    assert rig.forecast.eta_s(rig.put(Lane.EXIT)) == 0.0
    assert rig.forecast.played == before + 1


@pytest.mark.parametrize("surprise", ["overtaken", "withdrawn", "refused for speed", "old", "unheard"])
def test_a_surprise_begins_the_forecast_anew(surprise: str) -> None:
    """Afterwards it says what a forecast of everything says, not what it said before."""
    rig = ForecastRig()
    commands = [rig.put(Lane.ENTRY) for _ in range(40)]
    rig.forecast.eta_s(commands[-1])
    match surprise:
        case "overtaken":
            for _ in range(30):
                rig.put(Lane.STOP)
        case "withdrawn":
            for command in commands[:30]:
                rig.queue.withdraw(command.number, Errand.PLACE)
        case "refused for speed":
            rig.budget.obey(5.0)
        case "old":
            rig.now += 1.5
        case _:
            for _ in range(30):
                rig.put(Lane.ENTRY)
    command = rig.put(Lane.ENTRY)
    assert rig.forecast.eta_s(command) == pytest.approx(rig.whole(command))


def test_what_leaves_as_expected_is_no_surprise() -> None:
    """Eight have left since: the next one is played alone, and leaves when the others let it."""
    rig = ForecastRig()
    commands = [rig.put(Lane.ENTRY) for _ in range(20)]
    rig.forecast.eta_s(commands[-1])
    played = rig.forecast.played
    for command in commands[:8]:
        assert rig.budget.take(command.lane, placement=True) is not None
        rig.queue.remove(command, leaves=True)
    rig.now += 0.1
    command = rig.put(Lane.ENTRY)
    assert rig.forecast.eta_s(command) == pytest.approx(rig.whole(command))
    assert rig.forecast.played == played + 1


def test_what_may_leave_now_leaves_after_exactly_nothing_on_a_clock_that_runs() -> None:
    """Time goes on while it is reckoned; eight still leave at once and the ninth does not."""
    ticks = itertools.count()
    budget = OrderBudget(BudgetLimits(), lambda: 1_800_000_000.5 + next(ticks) * 1e-6)
    leaves = budget.forecast([(Lane.ENTRY, True, 1)] * 9)
    assert leaves[:8] == (0.0,) * 8
    assert leaves[8] > 0
