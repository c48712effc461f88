"""The loop of an account's plans: which are to be looked at now, each in its own task, none oftener than needed.

A slow or broken plan keeps no other waiting. What a plan's own orders do is looked at at once; quotes, market time and
what others did on the grid of ``poll_s``.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from datetime import date, datetime

import msgspec

from engine.core.errors import InvariantBroken, StorageError, WriterLost
from engine.core.plans import BasketPlan, OrderPlan, PlanProgress, PlanState, TimedPlan
from engine.core.ports import Clock
from engine.execution.plans.algorithm import Advance
from engine.execution.plans.picture import PictureMaker, PlanOrders
from engine.execution.plans.running import RunningPlan
from engine.execution.plans.settings import PlanSettings
from engine.execution.plans.stepping import PlanStepper
from engine.execution.plans.table import PlanTable
from engine.execution.waiting import Wakeup

logger = logging.getLogger(__name__)


class PlanLoop:
    """Looks at plans until it is closed.

    Args:
        table: The plans.
        stepper: Carries one on.
        pictures: Sees whether a quote has changed.
        orders: Whether the broker's book has been read.
        clock: Time.
        day_of: The exchange's day of a moment.
        settings: Intervals.
    """

    def __init__(
        self,
        *,
        table: PlanTable,
        stepper: PlanStepper,
        pictures: PictureMaker,
        orders: PlanOrders,
        clock: Clock,
        day_of: Callable[[datetime], date],
        settings: PlanSettings,
    ) -> None:
        self._table = table
        self._stepper = stepper
        self._pictures = pictures
        self._orders = orders
        self._clock = clock
        self._day_of = day_of
        self._settings = settings
        self._wakeup = Wakeup(clock)
        self._failure: BaseException | None = None
        self.uncertain: deque[str] = deque(maxlen=settings.running_max)
        """Keys of plans that the database may have taken without saying so."""
        self.is_closed = False
        """Nothing more is looked at."""

    def wake(self) -> None:
        """Something has happened."""
        self._wakeup.set()

    def close(self) -> None:
        """Look at nothing more."""
        self.is_closed = True
        self._wakeup.set()

    async def finish(self) -> None:
        """Close, and wait for the looks that are under way."""
        self.close()
        busy = [plan.busy for plan in self._table.running.values() if plan.busy is not None]
        if busy:
            await asyncio.wait(busy)

    async def run(self) -> None:
        """Look for ever.

        Raises:
            InvariantBroken: a state that must not exist; no plan does anything more.
        """
        while not self.is_closed:
            self._wakeup.clear()
            delay = await self._look()
            if self._failure is not None:
                self.is_closed = True
                raise self._failure
            if not self.is_closed:
                await self._wakeup.wait(delay)

    async def _look(self) -> float | None:
        """Begin the looks that are due; the seconds until more may be, ``None`` when nothing waits."""
        if not self._orders.is_reconciled:
            return self._settings.poll_s if self._table.running or self.uncertain else None
        delay: float | None = None
        if self.uncertain and not await self._settle_uncertain():
            delay = self._settings.look_max_s
        for plan in tuple(self._table.running.values()):
            if plan.busy is not None:
                continue
            if plan.record.state.is_over:
                wait = 0.0 if await self._retire(plan) else self._settings.poll_s
                if not wait:
                    continue
            elif self._is_due(plan):
                self._begin_look(plan)
                continue
            else:
                wait = self._pause_of(plan)
            delay = wait if delay is None else min(delay, wait)
        self._table.watch_all()
        return delay

    def _is_due(self, plan: RunningPlan) -> bool:
        if plan.due:
            return True
        since = self._clock.monotonic() - plan.looked_at
        if since < self._settings.poll_s:
            return False
        if plan.look_at is not None and plan.look_at <= self._clock.market_now().timestamp():
            return True
        if plan.stirred or plan.owed or plan.waiting or plan.refusals or since >= self._settings.look_max_s:
            return True
        return dict(self._pictures.marks(self._table.watched_by(plan))) != plan.marks

    def _pause_of(self, plan: RunningPlan) -> float:
        waits = (
            plan.look_at is not None
            or plan.stirred
            or plan.owed
            or plan.waiting
            or plan.refusals
            or plan.record.state is PlanState.CANCELLING
            or self._table.watched_by(plan)
        )
        return self._settings.poll_s if waits else self._settings.look_max_s

    def _begin_look(self, plan: RunningPlan) -> None:
        plan.due = plan.stirred = False
        plan.look_at = None
        plan.looked_at = self._clock.monotonic()
        plan.marks = dict(self._pictures.marks(self._table.watched_by(plan)))
        plan.busy = asyncio.get_running_loop().create_task(self._look_at(plan), name=f"plan {plan.record.name}")
        plan.busy.add_done_callback(lambda task: self._looked(plan, task))

    async def _look_at(self, plan: RunningPlan) -> None:
        words = self._too_late(plan)
        if words:
            async with plan.lock:
                progress = msgspec.structs.replace(plan.record.progress, note=words)
                state = PlanState.FAILED if plan.orders else PlanState.DROPPED
                await self._stepper.keep(plan, Advance(progress=progress, state=state, alarm=words))
            return
        await self._stepper.step(plan)

    def _looked(self, plan: RunningPlan, task: asyncio.Task[None]) -> None:
        plan.busy = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, InvariantBroken):
            self._failure = error
        elif error is not None and not isinstance(error, WriterLost):
            logger.error("%s could not be carried on", plan.record.name, exc_info=error)
        self._wakeup.set()

    def _too_late(self, plan: RunningPlan) -> str:
        """Why a plan is not carried on though it is not over; empty when it is."""
        record, now = plan.record, self._clock.market_now()
        if isinstance(record.spec, OrderPlan | TimedPlan) and self._day_of(now) > self._day_of(record.created_at):
            return "Its day is over; its orders were good for that day alone."
        begun = plan.orders or record.progress != PlanProgress() or plan.refusals or plan.waiting
        if begun or not isinstance(record.spec, OrderPlan | BasketPlan) or record.state is not PlanState.RUNNING:
            return ""
        late = (now - record.created_at).total_seconds()
        if late <= self._settings.begin_s:
            return ""
        return f"The engine stopped before it was begun, {late:.0f} s ago; its prices were meant for another moment."

    async def _retire(self, plan: RunningPlan) -> bool:
        """A plan is over: it is kept for the screens once its end is written; whether it is."""
        if plan.owed:
            try:
                async with plan.lock:
                    if not await self._stepper.pay(plan):
                        return False
            except WriterLost:
                return False
        self._table.retire(plan)
        return True

    async def _settle_uncertain(self) -> bool:
        """End plans that the database took though it did not say so; whether none is left to be asked about."""
        while self.uncertain:
            try:
                await self._stepper.end_unwanted(self.uncertain[0])
            except StorageError as error:
                logger.warning("a plan that may have been written cannot be looked up: %s", error)
                return False
            self.uncertain.popleft()
        return True
