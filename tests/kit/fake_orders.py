"""One of each thing the Orders screen shows, made up: a plan, a dead letter, a trigger, a difference."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from engine.core.decisions import LetterState, UnsentCause
from engine.core.execution import Attempt, DeadLetter
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, OrderTag, StrategyNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.plans import (
    ExitGoal,
    ExitPlan,
    ExitScope,
    ExitTarget,
    PlanNumber,
    PlanProgress,
    PlanRecord,
    PlanState,
    PlanStep,
    PlanView,
)
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.standing_triggers import Gtt, GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Exchange, Product, Side

ACCOUNT = AccountId("AB1234")
PUT = InstrumentKey(Exchange.NFO, "NIFTY26DEC24400PE")
WING = InstrumentKey(Exchange.NFO, "NIFTY26DEC23800PE")


def exit_plan(now: datetime, state: PlanState = PlanState.RUNNING, number: int = 12) -> PlanView:
    """An exit of two legs: the short is bought back, the wing is being sold."""
    target = ExitTarget(scope=ExitScope.STRATEGY, strategy=StrategyNumber(3))
    goals = (
        ExitGoal(instrument=PUT, product=Product.NRML, signed_quantity=-650),
        ExitGoal(instrument=WING, product=Product.NRML, signed_quantity=650),
    )
    record = PlanRecord(
        number=PlanNumber(number),
        account=ACCOUNT,
        spec=ExitPlan(target=target, goals=goals),
        state=state,
        idempotency_key=f"key-{number}",
        sentence="exit #3 fly-0920, flat by 15:12",
        progress=PlanProgress(step=2, note="price 2 of 6, crosses one tick in 1s"),
        seat="terminal",
        created_at=now - timedelta(seconds=2),
        updated_at=now,
    )
    steps = (
        PlanStep(
            words="BUY NIFTY26DEC24400PE",
            state="DONE",
            filled=650,
            quantity=650,
            orders=(OrderNumber(51),),
            average_price=Decimal("120.25"),
            decided_price=Decimal("120.05"),
        ),
        PlanStep(words="SELL NIFTY26DEC23800PE", state="WORKS", filled=390, quantity=650, orders=(OrderNumber(53),)),
    )
    return PlanView(
        record=record,
        steps=steps,
        orders=(OrderNumber(51), OrderNumber(53)),
        eta_s=0.2,
        slippage=Decimal(-130),
        elapsed_s=2.0,
        started_at=record.created_at,
    )


def dead_letter(now: datetime, number: int = 44) -> DeadLetter:
    """An entry that waited too long."""
    order = OrderRecord(
        number=OrderNumber(number),
        intent_id=None,
        account=ACCOUNT,
        tag=OrderTag("WSLETTER"),
        request=OrderRequest(instrument=WING, side=Side.BUY, quantity=65, price=Decimal("15.45")),
        state=OrderState.NOT_SENT,
        message="it waited more than 15 s to be sent, its price is too old",
        created_at=now - timedelta(seconds=40),
        updated_at=now - timedelta(seconds=20),
        letter=LetterState.OPEN,
    )
    return DeadLetter(
        number=order.number,
        account=ACCOUNT,
        order=order,
        state=LetterState.OPEN,
        cause=UnsentCause.EXPIRED,
        why=order.message,
        advice="No byte of it left. Look at the market first.",
        died_at=order.updated_at,
        attempts=(Attempt(at=order.updated_at, words="DROP"),),
    )


def trigger(now: datetime, trigger_id: int = 7001) -> Gtt:
    """A stop and a target of which one cancels the other."""
    legs = tuple(
        GttOrder(trigger_price=Decimal(level), side=Side.BUY, quantity=650, price=Decimal(price))
        for level, price in (("80", "84"), ("190", "196"))
    )
    return Gtt(
        trigger_id=trigger_id,
        account=ACCOUNT,
        request=GttRequest(instrument=PUT, kind=GttKind.OCO, orders=legs),
        status=GttStatus.ACTIVE,
        created_at=now,
        last_price=Decimal("120.25"),
    )


def difference(now: datetime) -> Mismatch:
    """The broker holds a lot more than our ledger."""
    return Mismatch(
        mismatch_id="m1f3c09a2",
        account=ACCOUNT,
        kind=MismatchKind.POSITION,
        subject=f"{WING} NRML",
        words="NIFTY26DEC23800PE NRML: strategies hold 650 together, the broker's net is 715",
        ours="650",
        theirs="715",
        difference="65",
        state=MismatchState.OPEN,
        first_seen=now - timedelta(seconds=30),
        last_seen=now,
    )
