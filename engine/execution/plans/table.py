"""The plans of one account in memory: those that are not over, the newest that are, and whose order is whose."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from engine.core.identifiers import InstrumentKey
from engine.core.orders import OrderRecord
from engine.core.plans import PlanNumber, PlanRecord, PlanState, TimedPlan
from engine.execution.plans.keys import read_plan_key
from engine.execution.plans.registry import PlanAlgorithms
from engine.execution.plans.running import RunningPlan
from engine.execution.plans.timed import watched_by_trigger


class PlanTable:
    """Overload policy: of the plans that are over the oldest leave first.

    Args:
        algorithms: Say which quotes a plan needs.
        watch: Told which instruments' quotes all plans need, whenever they are others.
        kept_max: Plans that are over and stay.
    """

    def __init__(
        self,
        *,
        algorithms: PlanAlgorithms,
        watch: Callable[[tuple[InstrumentKey, ...]], None],
        kept_max: int,
    ) -> None:
        self._algorithms = algorithms
        self._watch = watch
        self._watched: tuple[InstrumentKey, ...] = ()
        self.running: dict[PlanNumber, RunningPlan] = {}
        self._ended: deque[RunningPlan] = deque(maxlen=kept_max)

    def __iter__(self) -> Iterator[RunningPlan]:
        """All of them, by number."""
        return iter(sorted((*self.running.values(), *self._ended), key=lambda plan: plan.record.number))

    def add(self, record: PlanRecord, *, is_kept: bool = True) -> RunningPlan:
        """Take in a plan."""
        plan = RunningPlan(record, is_kept=is_kept)
        if record.state.is_over:
            self._ended.append(plan)
        else:
            self.running[record.number] = plan
        return plan

    def retire(self, plan: RunningPlan) -> None:
        """It is over."""
        self.running.pop(plan.record.number, None)
        self._ended.append(plan)

    def find(self, number: PlanNumber) -> RunningPlan | None:
        """The plan with this number, if it is here."""
        plan = self.running.get(number)
        if plan is not None:
            return plan
        return next((ended for ended in self._ended if ended.record.number == number), None)

    def take(self, order: OrderRecord) -> None:
        """An order stands so: the plan that made it learns of it."""
        found = read_plan_key(order.idempotency_key)
        plan = None if found is None else self.find(found[0])
        if found is not None and plan is not None and plan.record.account == order.account:
            plan.take(found[1], order)

    def watched_by(self, plan: RunningPlan) -> tuple[InstrumentKey, ...]:
        """The instruments whose quotes a plan waits for."""
        record = plan.record
        if record.state is PlanState.PAUSED or record.state.is_over:
            return ()
        if isinstance(record.spec, TimedPlan):
            return watched_by_trigger(record)
        return self._algorithms.of(record).watched(record) if self._algorithms.knows(record.spec) else ()

    def watch_all(self) -> None:
        """Say which quotes are needed, if they are others than before."""
        wanted = tuple(sorted({key for plan in self.running.values() for key in self.watched_by(plan)}))
        if wanted != self._watched:
            self._watched = wanted
            self._watch(wanted)
