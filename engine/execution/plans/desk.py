"""The plans of one account: takes them in, carries them on, lets a person steer them, and goes on after any kill.

A plan is journalled before its receipt is given. What it has done is read off the orders that carry its keys, so that
a start after a kill is a start: it looks at its orders and decides as if nothing had happened. Nothing is decided
before the broker's book has been read.

Overload policy: above ``running_max`` a new plan is refused in words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta

import msgspec

from engine.core.commands import Receipt
from engine.core.errors import InvalidInput, StorageError, WriterLost
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.orders import OrderEvent, OrderRecord, OrderState
from engine.core.plans import (
    ExitPlan,
    PlanNumber,
    PlanRecord,
    PlanSpec,
    PlanState,
    PlanTurn,
    PlanView,
    TimedPlan,
)
from engine.core.ports import Clock
from engine.core.repositories import OrderJournal, PlanRepository
from engine.core.vocabulary import Severity
from engine.execution.intake import MADE_KEY_PREFIX, refused
from engine.execution.notices import Notice
from engine.execution.plans.loop import PlanLoop
from engine.execution.plans.picture import PictureMaker, PlanOrders
from engine.execution.plans.plan_views import plan_view
from engine.execution.plans.registry import PlanAlgorithms
from engine.execution.plans.running import RunningPlan
from engine.execution.plans.settings import PlanSettings
from engine.execution.plans.stepping import PlanStepper
from engine.execution.plans.table import PlanTable
from engine.execution.plans.timed import WAITS, TimedPlans, timed_steps

logger = logging.getLogger(__name__)

KEY_BYTES = 16
UNKEPT_BASE = 900_000_000_000_000
"""Added to the milliseconds of this machine's clock it is the number of an exit that is begun while the database is
away: the database never gives it, and no two are the same."""
MS = 1000


class PlanDesk:
    """``start`` it after the executor, then ``run`` it as a service; ``stop`` it before the executor.

    Args:
        account: Whose plans.
        repository: The record of plans.
        journal: Orders of plans that are older than what the executor keeps in memory.
        epoch: The writer epoch of this engine.
        orders: The executor.
        pictures: Takes what algorithms look at.
        algorithms: Decide.
        timed: Decides for plans that wait.
        clock: Time.
        day_of: The exchange's day of a moment.
        random_bytes: Makes keys for callers that give none.
        notify: Told what a person should read.
        watch: Told which instruments' quotes plans need, whenever they are others.
        eta_s: Seconds until the last of some queued orders may leave.
        settings: Limits and intervals.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        repository: PlanRepository,
        journal: OrderJournal,
        epoch: int,
        orders: PlanOrders,
        pictures: PictureMaker,
        algorithms: PlanAlgorithms,
        timed: TimedPlans,
        clock: Clock,
        day_of: Callable[[datetime], date],
        random_bytes: Callable[[int], bytes],
        notify: Callable[[Notice], None],
        watch: Callable[[tuple[InstrumentKey, ...]], None],
        eta_s: Callable[[tuple[OrderRecord, ...]], float | None],
        settings: PlanSettings,
    ) -> None:
        self.account = account
        self._repository = repository
        self._journal = journal
        self._epoch = epoch
        self._orders = orders
        self._pictures = pictures
        self._algorithms = algorithms
        self._clock = clock
        self._day_of = day_of
        self._random_bytes = random_bytes
        self._notify = notify
        self._eta_s = eta_s
        self._settings = settings
        self._table = PlanTable(algorithms=algorithms, watch=watch, kept_max=settings.kept_max)
        self._stepper = PlanStepper(
            account,
            repository=repository,
            epoch=epoch,
            orders=orders,
            pictures=pictures,
            algorithms=algorithms,
            timed=timed,
            clock=clock,
            notify=notify,
            on_lost=self._lose,
            settings=settings,
        )
        self._loop = PlanLoop(
            table=self._table,
            stepper=self._stepper,
            pictures=pictures,
            orders=orders,
            clock=clock,
            day_of=day_of,
            settings=settings,
        )
        self._is_loaded = False

    # ---- life

    async def start(self) -> None:
        """Load the plans that are not over and those of the day, each with its orders.

        Raises:
            StorageError: they cannot be read.
        """
        now = self._clock.market_now()
        records = [
            record
            for record in await self._repository.since(self.account, now - timedelta(days=1))
            if not record.state.is_over or self._day_of(record.updated_at) == self._day_of(now)
        ]
        for record in records:
            self._table.add(record)
        if records:
            oldest = min(record.created_at for record in records)
            for order in (*await self._journal.since(self.account, oldest), *self._orders.orders()):
                self._table.take(order)
        self._is_loaded = True
        self._table.watch_all()

    async def run(self) -> None:
        """Carry plans on until ``stop``.

        Raises:
            InvariantBroken: a state that must not exist; no plan sends anything more.
        """
        await self._loop.run()

    async def stop(self) -> None:
        """Decide nothing more; looks that are under way are waited for."""
        await self._loop.finish()

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...] = ()) -> None:
        """An order of the account stands differently."""
        self._table.take(record)
        for plan in self._table.running.values():
            plan.stirred = True
        self._loop.wake()

    # ---- commands

    async def submit(
        self, spec: PlanSpec, *, sentence: str, key: str | None = None, seat: str = "", by: str = "person"
    ) -> Receipt:
        """Journal a plan and begin it; the same key never makes a second one.

        Args:
            spec: What is to be done.
            sentence: The same in words, without a full stop.
            key: Of the caller; ``None``: each call is its own plan.
            seat: Who confirmed it.
            by: What made it.
        """
        refusal = self._refusal(spec, key)
        if refusal is not None:
            return refusal
        now = self._clock.market_now()
        wanted = PlanRecord(
            number=PlanNumber(0),
            account=self.account,
            spec=spec,
            state=PlanState.WAITING if isinstance(spec, TimedPlan) else PlanState.RUNNING,
            idempotency_key=key or f"{MADE_KEY_PREFIX}{self._random_bytes(KEY_BYTES).hex()}",
            sentence=sentence,
            seat=seat,
            by=by,
            created_at=now,
            updated_at=now,
        )
        try:
            known = None if key is None else await self.made_by(key)
            kept = known or await self._repository.record(wanted, epoch=self._epoch)
        except WriterLost as error:
            self._lose()
            return refused("writer", str(error))
        except InvalidInput as error:
            return refused(error.field or "plan", str(error))
        except StorageError as error:
            self._loop.uncertain.append(wanted.idempotency_key)
            self._loop.wake()
            if isinstance(spec, ExitPlan):
                return self._begin_unkept(wanted, error)
            return refused("journal", f"The plan could not be journalled ({error}); nothing was sent.")
        if known is not None or self._table.find(kept.number) is not None:
            return _repeated(kept, spec)
        return self._begin(self._table.add(kept))

    async def cancel(self, number: PlanNumber, *, seat: str = "") -> Receipt:
        """End a plan: nothing new is sent, what rests is cancelled; positions stay."""
        plan = self._table.running.get(number)
        if plan is None:
            return self._not_running(number)
        plan.stop_wished = True
        async with plan.lock:
            if plan.record.state.is_over:
                return self._not_running(number)
            if plan.record.state is not PlanState.CANCELLING:
                await self._turn_to(plan, PlanState.CANCELLING, "It is being cancelled.")
        said = f"p{number} is being cancelled; positions stay."
        self._tell(plan, said, seat)
        return Receipt(accepted=True, message=said, plan=number)

    async def steer(self, number: PlanNumber, turn: PlanTurn, *, seat: str = "") -> Receipt:
        """Pause, resume, hurry or slow a plan."""
        plan = self._table.running.get(number)
        if plan is None:
            return self._not_running(number)
        if turn is PlanTurn.PAUSE:
            plan.stop_wished = True
        async with plan.lock:
            state = plan.record.state
            plan.stop_wished = state is PlanState.CANCELLING
            if state.is_over or state is PlanState.CANCELLING:
                return refused("plan", f"p{number} is {state}: {plan.record.progress.note}")
            if turn is PlanTurn.PAUSE:
                await self._turn_to(plan, PlanState.PAUSED, "Paused by a person; what rests, rests.")
            elif turn is PlanTurn.RESUME:
                if state is not PlanState.PAUSED:
                    return refused("plan", f"p{number} is {state}, not paused.")
                waits = isinstance(plan.record.spec, TimedPlan) and plan.record.progress.step == WAITS
                await self._turn_to(plan, PlanState.WAITING if waits else PlanState.RUNNING, "It goes on.")
                plan.said.clear()
            if turn is not PlanTurn.PAUSE:
                plan.turns.append(turn)
                plan.due = True
        self._loop.wake()
        words = {PlanTurn.PAUSE: "is paused", PlanTurn.RESUME: "goes on", PlanTurn.HURRY: "hurries"}
        said = f"p{number} {words.get(turn, 'takes its time')}."
        self._tell(plan, said, seat)
        return Receipt(accepted=True, message=said, plan=number)

    # ---- pictures

    @property
    def is_busy(self) -> bool:
        """A plan is not over."""
        return bool(self._table.running)

    def views(self) -> tuple[PlanView, ...]:
        """Plans that are not over, and the newest that are, by number."""
        return tuple(self._view(plan) for plan in self._table)

    def view(self, number: PlanNumber) -> PlanView | None:
        """One plan, if it is not over or among the newest that are."""
        plan = self._table.find(number)
        return None if plan is None else self._view(plan)

    async def made_by(self, key: str) -> PlanRecord | None:
        """The plan that a key has made, at any time.

        Raises:
            StorageError: the database cannot tell.
        """
        for plan in self._table:
            if plan.record.idempotency_key == key:
                return plan.record
        return await self._repository.by_idempotency_key(self.account, key)

    # ---- parts

    def _refusal(self, spec: PlanSpec, key: str | None) -> Receipt | None:
        """Why no such plan is taken now."""
        if self._loop.is_closed or not self._is_loaded:
            return refused("engine", "No plan is taken now: the engine is stopping, or is not the writer any more.")
        if key is not None and not 0 < len(key) <= self._settings.key_length_max:
            return refused("key", f"An idempotency key has 1 to {self._settings.key_length_max} characters.")
        if not isinstance(spec, TimedPlan) and not self._algorithms.knows(spec):
            return refused("plan", f"This engine cannot work a {type(spec).__name__}.")
        running = len(self._table.running)
        if running >= self._settings.running_max and not isinstance(spec, ExitPlan):
            return refused("plans", f"{running} plans are not over, the most there may be; cancel one or wait.")
        return None

    def _begin(self, plan: RunningPlan) -> Receipt:
        record = plan.record
        self._table.watch_all()
        self._tell(plan, f"{record.name} begins: {record.sentence}.", record.seat)
        self._loop.wake()
        return Receipt(accepted=True, message=f"{record.name}: {record.sentence}.", plan=record.number)

    def _begin_unkept(self, wanted: PlanRecord, error: StorageError) -> Receipt:
        """An exit goes on without the database: its orders are kept by the executor, the plan in memory alone."""
        number = UNKEPT_BASE + int(self._clock.wall_now().timestamp() * MS)
        while self._table.find(PlanNumber(number)) is not None:
            number += 1
        record = msgspec.structs.replace(wanted, number=PlanNumber(number))
        receipt = self._begin(self._table.add(record, is_kept=False))
        words = f"{receipt.message} The database is away ({error}): this exit lives in memory and ends with the engine."
        return msgspec.structs.replace(receipt, message=words)

    async def _turn_to(self, plan: RunningPlan, state: PlanState, note: str) -> None:
        """Change the state for a person; it holds at once, and is written when it can be. The plan's lock is held."""
        progress = msgspec.structs.replace(plan.record.progress, note=note)
        now = self._clock.market_now()
        plan.record = msgspec.structs.replace(plan.record, state=state, progress=progress, updated_at=now)
        plan.owed, plan.due = True, True
        try:
            await self._stepper.pay(plan)
        except WriterLost as error:
            logger.warning("%s: %s", plan.record.name, error)
        self._loop.wake()

    def _not_running(self, number: PlanNumber) -> Receipt:
        ended = self._table.find(number)
        if ended is None:
            return refused("plan", f"There is no plan p{number} that is not over.")
        return refused("plan", f"p{number} is {ended.record.state} already: {ended.record.progress.note}")

    def _view(self, plan: RunningPlan) -> PlanView:
        record = plan.record
        if isinstance(record.spec, TimedPlan):
            steps = timed_steps(record)
        elif self._algorithms.knows(record.spec):
            steps = self._algorithms.of(record).steps(self._pictures.take(plan))
        else:
            steps = ()
        queued = tuple(order for order in plan.orders.values() if order.state is OrderState.QUEUED)
        eta_s = self._eta_s(queued) if queued else None
        return plan_view(plan, steps, now=self._clock.market_now(), eta_s=eta_s)

    def _tell(self, plan: RunningPlan, text: str, seat: str) -> None:
        self._notify(
            Notice(kind=EventKind.ORDER, severity=Severity.INFO, text=text, subject=plan.record.name, seat=seat)
        )

    def _lose(self) -> None:
        """Another engine is the writer: nothing more is decided here."""
        self._loop.close()


def _repeated(kept: PlanRecord, spec: PlanSpec) -> Receipt:
    if kept.spec != spec:
        message = f"This key made another plan, {kept.name}: {kept.sentence}. Use a new key for a new plan."
        return msgspec.structs.replace(refused("key", message), plan=kept.number, repeated=True)
    message = f"This key made {kept.name} before, which is {kept.state}; nothing new was begun."
    return Receipt(accepted=True, message=message, plan=kept.number, repeated=True)
