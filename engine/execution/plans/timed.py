"""Plans that wait: at a time, or when a price is reached, a sentence is read again and done, once.

What the sentence means is decided at that moment, so strikes and prices are those of then. It may be tried again within
the window, because nothing has been sent while it is refused; after the window it is dropped, after a restart too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.commands import (
    CancelOrders,
    Command,
    ExitPositions,
    Interpretation,
    ModifyOrder,
    PlaceBasket,
    PlaceOrder,
    Receipt,
)
from engine.core.decisions import Reason
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.money import ZERO
from engine.core.orders import OrderRequest
from engine.core.plans import (
    AtTime,
    Comparison,
    Floors,
    PlanNumber,
    PlanProgress,
    PlanRecord,
    PlanState,
    PlanStep,
    PriceTest,
    TimedPlan,
    WhenPrice,
)
from engine.core.quotes import Quote
from engine.core.vocabulary import InstrumentKind, QuoteState
from engine.execution.plans.algorithm import Advance, PlanPicture
from engine.execution.plans.keys import plan_key
from engine.execution.words import grouped_decimal

ACTION = "action"
"""The move that does what the sentence says."""
DUE = "due"
"""Fact: the moment of the trigger."""
WAITS, IS_DUE, IS_BEGUN = 0, 1, 2
"""Steps: for its trigger; within its window; what cannot be done twice was begun."""
TIMED_VERSION = "timed/1"

KEYED = (PlaceOrder, PlaceBasket, ExitPositions)
"""Commands that carry a key: asked for twice, they are done once."""
ACTIONS = (*KEYED, CancelOrders, ModifyOrder)
"""What a plan may do by itself."""

Interpreter = Callable[[str], Awaitable[Interpretation]]
Act = Callable[[Command, str, Reason], Awaitable[Receipt]]
"""Carries out a command of a seat, for a reason."""
MadePlan = Callable[[str], Awaitable[PlanRecord | None]]
"""The plan that a key has made."""


class TimedPlans:
    """Decides when waiting plans are due and does what they say.

    Args:
        interpret: Reads a sentence now.
        act: Does a command.
        made_plan: Looks up what a key has made.
    """

    def __init__(self, *, interpret: Interpreter, act: Act, made_plan: MadePlan) -> None:
        self._interpret = interpret
        self._act = act
        self._made_plan = made_plan
        self._held_since: dict[tuple[PlanNumber, int], datetime] = {}
        """By plan and test: since when it holds without a break."""
        self._words: dict[PlanNumber, str] = {}
        """Why it could not be done so far."""
        self._begun: set[PlanNumber] = set()
        """What cannot be done twice was begun by this engine."""

    def forget(self, number: PlanNumber) -> None:
        """A plan is over."""
        for key in [key for key in self._held_since if key[0] == number]:
            del self._held_since[key]
        self._words.pop(number, None)
        self._begun.discard(number)

    def decide(self, picture: PlanPicture) -> Advance:
        """Whether it is due: a new step, an end, or when to look again. Sends nothing."""
        plan, spec, now = picture.plan, timed_plan(picture.plan), picture.now
        if ACTION in picture.orders:
            return _over(plan, PlanState.DONE, f"Done: o{picture.orders[ACTION].number}.")
        if plan.progress.step == WAITS:
            due = self._due(plan, spec, picture)
            if due is None:
                return self._waits(plan, spec, now)
            if now > due + timedelta(seconds=spec.window_s):
                late = (now - due).total_seconds()
                return _over(plan, PlanState.DROPPED, f"Dropped: it was due {late:.0f} s ago; nothing was sent.")
            facts = plan.progress.facts | {DUE: due.isoformat()}
            progress = PlanProgress(step=IS_DUE, note="It is due.", facts=facts)
            return Advance(progress=progress, state=PlanState.RUNNING)
        ends = datetime.fromisoformat(plan.progress.facts[DUE]) + timedelta(seconds=spec.window_s)
        if now > ends and plan.progress.step == IS_DUE:
            why = self._words.get(plan.number, "the engine did not run")
            return _over(
                plan, PlanState.DROPPED, f"Dropped after its window of {spec.window_s:g} s: {why.rstrip('.')}; "
                "nothing was sent.",
            )  # fmt: skip
        return Advance(progress=plan.progress, state=PlanState.RUNNING, look_again=now)

    async def fire(self, picture: PlanPicture, may_act: Callable[[], bool]) -> Advance:
        """Do it, if that is possible now. Call it only when the step of the plan's progress is journalled.

        ``may_act`` is asked directly before it acts: reading the sentence takes a while. The answer's progress is to
        be journalled; when its step is ``IS_BEGUN``, call again after that.
        """
        plan, spec = picture.plan, timed_plan(picture.plan)
        key = plan_key(plan.number, ACTION)
        made = await self._made_plan(key)
        if made is not None:
            return _over(plan, PlanState.DONE, f"Done: {made.name} works it.")
        if plan.progress.step == IS_BEGUN and plan.number not in self._begun:
            words = (
                "The engine stopped while it was being done, and it cannot be told whether it was: look at the orders."
            )
            return _over(plan, PlanState.FAILED, words)
        meaning = await self._interpret(spec.sentence)
        if meaning.error is not None:
            return self._not_now(plan, meaning.error.message)
        command = meaning.command
        if not isinstance(command, ACTIONS):
            return _over(plan, PlanState.FAILED, f'"{spec.sentence}" is nothing that a plan may do by itself.')
        missing = unmet_floors(command, spec.floors, picture.instrument, picture.quote)
        if missing:
            return self._not_now(plan, missing)
        if isinstance(command, KEYED):
            command = msgspec.structs.replace(command, idempotency_key=key, account=plan.account)
        elif plan.number not in self._begun:
            self._begun.add(plan.number)
            progress = PlanProgress(step=IS_BEGUN, note="It is being done.", facts=plan.progress.facts)
            return Advance(progress=progress, state=PlanState.RUNNING)
        if not may_act():
            return Advance(progress=plan.progress, state=PlanState.RUNNING)
        reason = Reason(by=f"plan {plan.name}", version=TIMED_VERSION, words=plan.sentence)
        receipt = await self._act(command, plan.seat, reason)
        if receipt.accepted or receipt.orders or receipt.plan is not None:
            return _over(plan, PlanState.DONE, f"Done: {receipt.message}")
        if isinstance(command, KEYED):
            return self._not_now(plan, receipt.message)
        return _over(plan, PlanState.FAILED, f"Refused: {receipt.message}")

    def _waits(self, plan: PlanRecord, spec: TimedPlan, now: datetime) -> Advance:
        if isinstance(spec.trigger, AtTime):
            progress = PlanProgress(step=WAITS, note="Waits for its time.", facts=plan.progress.facts)
            return Advance(progress=progress, state=PlanState.WAITING, look_again=spec.trigger.at)
        note = f"Waits until {trigger_words(spec.trigger)}."
        progress = PlanProgress(step=WAITS, note=note, facts=plan.progress.facts)
        proofs = [
            since + timedelta(seconds=test.for_s)
            for place, test in enumerate(spec.trigger.tests)
            if (since := self._held_since.get((plan.number, place))) is not None
        ]
        again = min((moment for moment in proofs if moment > now), default=None)
        return Advance(progress=progress, state=PlanState.WAITING, look_again=again)

    def _due(self, plan: PlanRecord, spec: TimedPlan, picture: PlanPicture) -> datetime | None:
        """The moment of the trigger, if it has come."""
        trigger = spec.trigger
        if isinstance(trigger, AtTime):
            return trigger.at if picture.now >= trigger.at else None
        proved = [self._proved(plan, place, test, picture) for place, test in enumerate(trigger.tests)]
        due = [
            max(moments)
            for group in trigger.groups
            if len(moments := [moment for place in group if (moment := proved[place]) is not None]) == len(group)
        ]
        return min(due, default=None)

    def _proved(self, plan: PlanRecord, place: int, test: PriceTest, picture: PlanPicture) -> datetime | None:
        """The moment since which one test has held for as long as it has to; ``None`` while it has not."""
        key = (plan.number, place)
        if not holds(test, picture.instrument, picture.quote):
            self._held_since.pop(key, None)
            return None
        proved = self._held_since.setdefault(key, picture.now) + timedelta(seconds=test.for_s)
        return proved if picture.now >= proved else None

    def _not_now(self, plan: PlanRecord, words: str) -> Advance:
        self._words[plan.number] = words
        return Advance(progress=plan.progress, state=PlanState.RUNNING)


def timed_plan(plan: PlanRecord) -> TimedPlan:
    """The specification of a plan that waits.

    Raises:
        TypeError: it is another kind of plan.
    """
    if not isinstance(plan.spec, TimedPlan):
        raise TypeError(f"{plan.name} does not wait: {type(plan.spec).__name__}")
    return plan.spec


def watched_by_trigger(plan: PlanRecord) -> tuple[InstrumentKey, ...]:
    """The instruments of its condition."""
    trigger = timed_plan(plan).trigger
    return tuple(dict.fromkeys(test.instrument for test in trigger.tests)) if isinstance(trigger, WhenPrice) else ()


def timed_steps(plan: PlanRecord) -> tuple[PlanStep, ...]:
    """One row: what waits."""
    state = {PlanState.WAITING: "WAITS", PlanState.RUNNING: "WORKS"}.get(plan.state, str(plan.state))
    return (PlanStep(words=timed_plan(plan).sentence, state=state, filled=0, quantity=0),)


def holds(
    test: PriceTest,
    instrument: Callable[[InstrumentKey], Instrument | None],
    quote: Callable[[Instrument], Quote | None],
) -> bool:
    """Whether a price is now where a test wants it, on a LIVE quote; what is not known does not hold."""
    row = instrument(test.instrument)
    seen = None if row is None else quote(row)
    if seen is None or seen.state is not QuoteState.LIVE or seen.last is None:
        return False
    match test.comparison:
        case Comparison.BELOW:
            return seen.last < test.level
        case Comparison.AT_MOST:
            return seen.last <= test.level
        case Comparison.ABOVE:
            return seen.last > test.level
        case Comparison.AT_LEAST:
            return seen.last >= test.level


def condition_words(test: PriceTest) -> str:
    """``NSE:NIFTY 50 > 24,500 for 30 s``."""
    length = f" for {test.for_s:g} s" if test.for_s else ""
    return f"{test.instrument} {test.comparison} {grouped_decimal(test.level)}{length}"


def trigger_words(trigger: WhenPrice) -> str:
    """``NSE:NIFTY 50 > 24,500 and NSE:NIFTY 50 < 24,600``."""
    more = (f" {joined.joint} {condition_words(joined.test)}" for joined in trigger.more)
    return condition_words(trigger.test) + "".join(more)


def unmet_floors(
    command: Command,
    floors: Floors,
    instrument: Callable[[InstrumentKey], Instrument | None],
    quote: Callable[[Instrument], Quote | None],
) -> str:
    """Why the orders of a command may not go now, one sentence; empty when they may. Exits have no floors."""
    requests: tuple[OrderRequest, ...] = ()
    if isinstance(command, PlaceOrder):
        requests = (command.request,)
    elif isinstance(command, PlaceBasket):
        requests = command.legs
    credit = ZERO
    for request in requests:
        row = instrument(request.instrument)
        seen = None if row is None else quote(row)
        if row is None or seen is None or seen.state is not QuoteState.LIVE:
            return (
                f"the quote of {request.instrument} is {QuoteState.UNKNOWN if seen is None else seen.state}, not LIVE"
            )
        words, received = _leg(request, row, seen, floors)
        if words:
            return words
        credit += received
    if requests and floors.credit_min is not None and credit < floors.credit_min:
        return f"the credit is {grouped_decimal(credit)}, at least {grouped_decimal(floors.credit_min)} is wanted"
    return ""


def _leg(request: OrderRequest, row: Instrument, seen: Quote, floors: Floors) -> tuple[str, Decimal]:
    """What is wrong with one leg's quote, and the premium that it brings at the touch."""
    widest = floors.spread_percent_max
    if widest is not None:
        if seen.mid is None or seen.bid is None or seen.ask is None:
            return f"{request.instrument} is not quoted on both sides", ZERO
        spread = (seen.ask - seen.bid) / seen.mid * 100
        if spread > widest:
            return f"the spread of {request.instrument} is {spread:.2f} %, at most {widest} % is wanted", ZERO
    if row.kind is InstrumentKind.FUTURE or floors.credit_min is None:
        return "", ZERO
    price = seen.touch(request.side)
    if price is None:
        return f"{request.instrument} has no {'ask' if request.side.sign > 0 else 'bid'}", ZERO
    return "", -request.side.sign * request.quantity * price


def _over(plan: PlanRecord, state: PlanState, words: str) -> Advance:
    progress = PlanProgress(step=plan.progress.step, note=words, facts=plan.progress.facts)
    alarm = words if state in {PlanState.DROPPED, PlanState.FAILED} else ""
    return Advance(progress=progress, state=state, alarm=alarm)
