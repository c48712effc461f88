"""Plans as lines: what a person reads of an errand that works, of one that is over, and of its steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.identifiers import AccountId, OrderNumber
from engine.core.plans import (
    AtTime,
    PlanNumber,
    PlanProgress,
    PlanRecord,
    PlanState,
    PlanStep,
    PlanView,
    TimedPlan,
)
from workstation.presenters.plan_lines import plan_lines, step_line

NOW = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)
RECORD = PlanRecord(
    number=PlanNumber(12),
    account=AccountId("AB1234"),
    spec=TimedPlan(trigger=AtTime(at=NOW), sentence="exit 3"),
    state=PlanState.RUNNING,
    idempotency_key="k",
    sentence="BUY 5,330 in 4 pieces",
    progress=PlanProgress(note="1,755 of 5,330 are filled."),
    created_at=NOW,
    updated_at=NOW,
)


def test_a_plan_that_works() -> None:
    """Number, state and words first, then what it says of itself, its figures in Indian time, and its steps."""
    step = PlanStep(
        words="BUY 1,755 X",
        state="WORKS",
        filled=65,
        quantity=1755,
        orders=(OrderNumber(40),),
        average_price=Decimal("105.10"),
        decided_price=Decimal("105.00"),
    )
    view = PlanView(
        record=RECORD,
        steps=(step,),
        slippage=Decimal("-6.50"),
        naked_quantity=65,
        naked_s=1.25,
        elapsed_s=4.2,
        eta_s=2.0,
    )
    first, note, figures, row = plan_lines(view)
    assert first == "p12 RUNNING  BUY 5,330 in 4 pieces (AB1234)"
    assert note.strip() == "1,755 of 5,330 are filled."
    for words in (
        "made 11:00:00",
        "works for 4s",
        "slippage -6.50",
        "65 units uncovered for 1.2s",
        "next leaves in 2s",
    ):
        assert words in figures
    assert " ".join(row.split()) == "BUY 1,755 X WORKS 65 of 1755 avg 105.10, decided at 105.00 o40"


def test_a_plan_that_is_over() -> None:
    """How long it took, and nothing about what is to come."""
    over = msgspec.structs.replace(RECORD, state=PlanState.DONE, finished_at=NOW + timedelta(seconds=9))
    (figures,) = [line for line in plan_lines(PlanView(record=over, elapsed_s=9.0, eta_s=3.0)) if "made" in line]
    assert "took 9s" in figures
    assert "leaves" not in figures


def test_a_step_without_a_quantity_has_no_count() -> None:
    """What waits for its moment has no units yet."""
    assert step_line(PlanStep(words="exit 3", state="WAITS", filled=0, quantity=0)).split() == ["exit", "3", "WAITS"]
