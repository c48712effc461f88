"""One look at one plan: take its picture, let it decide, journal what it must remember, then do what it asks for.

The journal comes first, always. While it cannot be written nothing new is sent, with one exception: what brings flat
and what takes back goes on, and is written when it can be. A plan whose algorithm fails is paused with the words; the
others go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from engine.core.commands import CancelOrders, CloseDeadLetter, ModifyOrder, PlaceOrder, Receipt
from engine.core.decisions import LetterState, Reason
from engine.core.errors import InvariantBroken, StorageError, WriterLost
from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.orders import OrderState
from engine.core.plans import ExitPlan, PlanProgress, PlanRecord, PlanState, TimedPlan
from engine.core.ports import Clock
from engine.core.repositories import PlanRepository
from engine.core.vocabulary import Severity
from engine.execution.gate import RESTING
from engine.execution.lanes import Lane
from engine.execution.notices import Notice
from engine.execution.plans.algorithm import Advance, Change, Move, Place, PlanPicture, Withdraw
from engine.execution.plans.keys import plan_key
from engine.execution.plans.picture import PictureMaker, PlanOrders
from engine.execution.plans.registry import PlanAlgorithms
from engine.execution.plans.running import RunningPlan
from engine.execution.plans.settings import PlanSettings
from engine.execution.plans.timed import DUE, IS_BEGUN, IS_DUE, TimedPlans, timed_plan

logger = logging.getLogger(__name__)

PLANS_VERSION = "plans/1"
"""Kept with every order of a plan: change it whenever an algorithm decides otherwise."""
PASSING = frozenset({"journal", "book", "engine", "writer"})
"""Checks whose refusal says nothing about an order: it waits, and no attempt is counted."""
TAKEN_LATE = "The database took it too late: whoever wanted it was told that it was not taken."
SEVERITIES = {
    PlanState.DONE: Severity.INFO,
    PlanState.CANCELLED: Severity.INFO,
    PlanState.DROPPED: Severity.ATTENTION,
    PlanState.FAILED: Severity.DANGER,
}


class PlanStepper:
    """Carries plans on by one look at a time.

    Args:
        account: Whose plans.
        repository: The record of plans.
        epoch: The writer epoch every write names.
        orders: The executor of the account.
        pictures: Takes the pictures.
        algorithms: Decide.
        timed: Decides for plans that wait, and does what they say.
        clock: Time.
        notify: Told what a person should read.
        on_lost: Called when another engine has become the writer.
        settings: Intervals.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        repository: PlanRepository,
        epoch: int,
        orders: PlanOrders,
        pictures: PictureMaker,
        algorithms: PlanAlgorithms,
        timed: TimedPlans,
        clock: Clock,
        notify: Callable[[Notice], None],
        on_lost: Callable[[], None],
        settings: PlanSettings,
    ) -> None:
        self._account = account
        self._repository = repository
        self._epoch = epoch
        self._orders = orders
        self._pictures = pictures
        self._algorithms = algorithms
        self._timed = timed
        self._clock = clock
        self._notify = notify
        self._on_lost = on_lost
        self._settings = settings
        self._exits = asyncio.Lock()

    async def step(self, plan: RunningPlan) -> None:
        """Look once.

        Raises:
            InvariantBroken: a state that must not exist.
        """
        # Exits look at what is held and at each other's orders: one after the other, or two would take the same units.
        turn = self._exits if isinstance(plan.record.spec, ExitPlan) else contextlib.nullcontext()
        async with turn, plan.lock:
            if plan.record.state.is_over:
                return
            try:
                await self._step(plan)
            except (InvariantBroken, WriterLost):
                raise
            except Exception as error:
                # Whatever broke in one plan, its orders stand and the other plans, above all the exits, must go on.
                logger.exception("%s failed", plan.record.name)
                words = f"{plan.record.name} has a fault and is paused ({type(error).__name__}: {error})"
                progress = msgspec.structs.replace(plan.record.progress, note=f"{words}.")
                if plan.record.state is PlanState.CANCELLING:
                    await self._stop_anyhow(plan, progress)
                    return
                await self.keep(plan, Advance(progress=progress, state=PlanState.PAUSED, alarm=f"{words}."))

    async def keep(self, plan: RunningPlan, advance: Advance) -> bool:
        """Take over what was decided, durably; whether the journal has it.

        When it has not, the plan stands as before, and it is asked again later.
        """
        record, now = plan.record, self._clock.market_now()
        state = advance.state
        if record.state is PlanState.CANCELLING and not state.is_over:
            state = PlanState.CANCELLING
        elif record.state is PlanState.PAUSED and not state.is_over:
            state = PlanState.PAUSED
        changed = msgspec.structs.replace(record, state=state, progress=advance.progress)
        plan.look_at = None if advance.look_again is None else advance.look_again.timestamp()
        if changed == record and not plan.owed:
            self._say(plan, advance.alarm)
            return True
        finished = now if state.is_over else None
        changed = msgspec.structs.replace(changed, updated_at=now, finished_at=finished)
        written = await self._write(plan, changed)
        if written:
            self._adopt(plan, changed, advance.alarm)
        return written

    def adopt_unwritten(self, plan: RunningPlan, advance: Advance) -> None:
        """Take over what was decided though the journal does not have it: it is written when it can be."""
        now = self._clock.market_now()
        state = plan.record.state if plan.record.state is PlanState.CANCELLING else advance.state
        finished = now if advance.state.is_over else None
        plan.owed = True
        self._adopt(
            plan,
            msgspec.structs.replace(
                plan.record,
                state=advance.state if advance.state.is_over else state,
                progress=advance.progress,
                updated_at=now,
                finished_at=finished,
            ),
            advance.alarm,
        )

    async def pay(self, plan: RunningPlan) -> bool:
        """Write a record that stands in memory only; whether it is written now."""
        return await self._write(plan, plan.record)

    async def end_unwanted(self, key: str) -> None:
        """End the plan that a key has made, if it has: whoever wanted it was told that it was not taken.

        Raises:
            StorageError: the database cannot tell.
        """
        found = await self._repository.by_idempotency_key(self._account, key)
        if found is None or found.state.is_over:
            return
        now = self._clock.market_now()
        ended = msgspec.structs.replace(
            found,
            state=PlanState.DROPPED,
            progress=PlanProgress(note=TAKEN_LATE),
            updated_at=now,
            finished_at=now,
        )
        await self._repository.update(ended, epoch=self._epoch)

    async def _write(self, plan: RunningPlan, record: PlanRecord) -> bool:
        if not plan.is_kept:
            plan.owed = False
            return True
        try:
            await self._repository.update(record, epoch=self._epoch)
        except WriterLost:
            self._on_lost()
            raise
        except StorageError as error:
            plan.waiting = f"The plan could not be journalled ({error}); nothing new is sent until it can."
            logger.warning("%s could not be journalled: %s", record.name, error)
            return False
        plan.owed = False
        plan.waiting = ""
        return True

    def _adopt(self, plan: RunningPlan, record: PlanRecord, alarm: str) -> None:
        was = plan.record.state
        plan.record = record
        if record.state.is_over and not was.is_over:
            self._timed.forget(record.number)
            plan.said.add(alarm)
            words = record.progress.note or f"It is {record.state}."
            self._tell(plan, SEVERITIES[record.state], f"{record.name} {record.state}: {words}")
            return
        self._say(plan, alarm)

    def _say(self, plan: RunningPlan, alarm: str) -> None:
        """Tell a person, once."""
        if alarm and alarm not in plan.said:
            plan.said.add(alarm)
            self._tell(plan, Severity.ATTENTION, f"{plan.record.name}: {alarm}")

    def _tell(self, plan: RunningPlan, severity: Severity, text: str) -> None:
        self._notify(
            Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=plan.record.name, seat=plan.record.seat)
        )

    async def _step(self, plan: RunningPlan) -> None:
        await self._close_letters(plan)
        await self._give_up(plan)
        picture = self._pictures.take(plan)
        if isinstance(plan.record.spec, TimedPlan):
            await self._step_timed(plan, picture)
            return
        algorithm = self._algorithms.of(plan.record)
        stops = plan.record.state is PlanState.CANCELLING
        advance = algorithm.stop(picture) if stops else algorithm.advance(picture)
        if plan.record.state is PlanState.PAUSED:
            # It sends nothing; only that all of it has come to its end is taken over.
            if advance.state is PlanState.DONE and not advance.moves:
                await self.keep(plan, advance)
            return
        moves = advance.moves
        if await self.keep(plan, advance):
            del plan.turns[: len(picture.turns)]
        else:
            urgent = tuple(move for move in moves if _is_urgent(move, plan))
            if len(urgent) == len(moves) and (moves or isinstance(plan.record.spec, ExitPlan)):
                self.adopt_unwritten(plan, advance)
            moves = urgent
        for move in moves:
            if plan.stop_wished and isinstance(move, Place | Change):
                return
            await self._make(plan, move)

    async def _stop_anyhow(self, plan: RunningPlan, progress: PlanProgress) -> None:
        """Cancel a plan whose algorithm cannot: its orders are taken back, and it ends when none works any more."""
        working = [order for order in plan.orders.values() if order.state.is_working]
        if not working:
            await self.keep(plan, Advance(progress=progress, state=PlanState.FAILED, alarm=progress.note))
        for order in working:
            await self._withdraw(plan, Withdraw(number=order.number, words="the plan is being cancelled"))

    # ---- moves

    async def _make(self, plan: RunningPlan, move: Move) -> None:
        match move:
            case Place():
                await self._place(plan, move)
            case Change():
                await self._change(plan, move)
            case Withdraw():
                await self._withdraw(plan, move)

    async def _place(self, plan: RunningPlan, move: Place) -> None:
        if move.key in plan.orders:
            return
        record = plan.record
        receipt = await self._orders.place(
            PlaceOrder(request=move.request, idempotency_key=plan_key(record.number, move.key), account=record.account),
            seat=record.seat,
            reason=Reason(by=f"plan {record.name}", version=PLANS_VERSION, words=move.words, quotes=move.quotes),
            lane=move.lane,
        )
        if receipt.orders:
            # Made now, or by an earlier attempt whose answer was lost: its present standing counts.
            plan.orders.setdefault(move.key, receipt.orders[0])
            plan.refusals.pop(move.key, None)
            plan.waiting = ""
        elif receipt.accepted:
            raise InvariantBroken(f"{record.name}/{move.key} was accepted without an order")
        else:
            self._refused(plan, move.key, receipt)
        plan.stirred = True

    def _refused(self, plan: RunningPlan, key: str, receipt: Receipt) -> None:
        if receipt.violations and all(violation.check in PASSING for violation in receipt.violations):
            plan.waiting = receipt.message
        else:
            plan.refusals[key] = receipt.message

    async def _change(self, plan: RunningPlan, move: Change) -> None:
        record = plan.record
        orders = list(plan.orders.values())
        if isinstance(record.spec, ExitPlan):
            # The stops of what is being left shrink with it.
            orders += self._orders.working()
        order = next((order for order in orders if order.number == move.number), None)
        if order is None or order.state not in RESTING:
            return
        receipt = await self._orders.modify(
            ModifyOrder(number=move.number, change=move.change),
            seat=record.seat,
            reason=Reason(by=f"plan {record.name}", version=PLANS_VERSION, words=move.words, quotes=move.quotes),
            lane=Lane.EXIT if isinstance(record.spec, ExitPlan) else Lane.MODIFY,
        )
        if not receipt.accepted:
            logger.info("%s: o%s was not changed: %s", record.name, move.number, receipt.message)
            plan.stirred = True

    async def _withdraw(self, plan: RunningPlan, move: Withdraw) -> None:
        order = next((order for order in plan.orders.values() if order.number == move.number), None)
        if order is not None and (order.state.is_terminal or order.state is OrderState.CANCELLING):
            return
        now = self._clock.monotonic()
        asked = plan.withdrawn.get(move.number)
        if asked is not None and now - asked < self._settings.withdraw_again_s:
            return
        plan.withdrawn[move.number] = now
        record = plan.record
        await self._orders.cancel(
            CancelOrders(numbers=(move.number,)),
            seat=record.seat,
            reason=Reason(by=f"plan {record.name}", version=PLANS_VERSION, words=move.words),
        )

    async def _close_letters(self, plan: RunningPlan) -> None:
        """What a plan sends again by itself is no dead letter: nobody else must send it as well."""
        if isinstance(plan.record.spec, TimedPlan):
            return
        open_ones = tuple(
            order.number
            for order in plan.orders.values()
            if order.state is OrderState.NOT_SENT and order.letter is LetterState.OPEN
        )
        if open_ones:
            reason = f"{plan.record.name} goes on with it"
            await self._orders.close_letters(CloseDeadLetter(numbers=open_ones, reason=reason), seat=plan.record.seat)

    async def _give_up(self, plan: RunningPlan) -> None:
        """An exit goes on without an order that was presumed absent, and may be over when that one comes to rest after
        all: then nobody would look after it, and its fill would open the other side. So it is to be cancelled when it
        is found, which the executor remembers for good, before anything goes in its place.
        """
        if not isinstance(plan.record.spec, ExitPlan):
            return
        for order in tuple(plan.orders.values()):
            if order.state is OrderState.PRESUMED_ABSENT and order.number not in plan.given_up:
                words = "presumed absent: the exit goes on without it"
                receipt = await self._orders.cancel(
                    CancelOrders(numbers=(order.number,)),
                    seat=plan.record.seat,
                    reason=Reason(by=f"plan {plan.record.name}", version=PLANS_VERSION, words=words),
                )
                if receipt.accepted:
                    plan.given_up.add(order.number)

    # ---- plans that wait

    async def _step_timed(self, plan: RunningPlan, picture: PlanPicture) -> None:
        if plan.record.state is PlanState.CANCELLING:
            progress = PlanProgress(step=plan.record.progress.step, note="Cancelled; it had sent nothing.")
            await self.keep(plan, Advance(progress=progress, state=PlanState.CANCELLED))
            return
        if plan.record.state is PlanState.PAUSED:
            return
        advance = self._timed.decide(picture)
        plan.turns.clear()
        while await self.keep(plan, advance):
            step = plan.record.progress.step
            if plan.record.state.is_over or step not in {IS_DUE, IS_BEGUN} or plan.stop_wished:
                return
            picture = self._pictures.take(plan)
            advance = await self._timed.fire(picture, lambda: self._may_fire(plan))
            if advance.progress.step == step and not advance.state.is_over:
                plan.look_at = self._clock.market_now().timestamp()
                return

    def _may_fire(self, plan: RunningPlan) -> bool:
        """Directly before it acts: nobody has taken it back, and its window is not over."""
        due = plan.record.progress.facts.get(DUE)
        if due is None or plan.stop_wished:
            return False
        ends = datetime.fromisoformat(due) + timedelta(seconds=timed_plan(plan.record).window_s)
        return self._clock.market_now() <= ends


def _is_urgent(move: Move, plan: RunningPlan) -> bool:
    """Whether it takes back or brings flat: such a move does not wait for the journal."""
    if isinstance(move, Withdraw) or isinstance(plan.record.spec, ExitPlan):
        return True
    return isinstance(move, Place) and move.lane is Lane.EXIT
