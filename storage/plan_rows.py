"""Plans as rows: which value goes to which column, and back."""

from __future__ import annotations

import msgspec

from engine.core.identifiers import AccountId
from engine.core.plans import PlanNumber, PlanProgress, PlanRecord, PlanSpec, PlanState
from storage.boundary import aware, aware_or_none, storable
from storage.order_rows import text_of
from storage.session import Row

PLAN_COLUMNS = """
    number, account_id, idempotency_key, spec, state, sentence, progress, seat, made_by,
    created_at, updated_at, finished_at
"""


def plan_columns(plan: PlanRecord) -> tuple[object, ...]:
    """The columns from ``idempotency_key`` on, in the order of ``PLAN_COLUMNS``."""
    return (
        plan.idempotency_key,
        text_of(plan.spec),
        plan.state,
        storable(plan.sentence),
        text_of(plan.progress),
        storable(plan.seat),
        storable(plan.by),
        aware(plan.created_at),
        aware(plan.updated_at),
        aware_or_none(plan.finished_at),
    )


def plan_from_row(row: Row) -> PlanRecord:
    """Build a plan from a row of ``PLAN_COLUMNS``."""
    return PlanRecord(
        number=PlanNumber(row["number"]),
        account=AccountId(row["account_id"]),
        spec=read_spec(row["spec"]),
        state=PlanState(row["state"]),
        idempotency_key=row["idempotency_key"],
        sentence=row["sentence"],
        progress=msgspec.json.decode(row["progress"], type=PlanProgress),
        seat=row["seat"],
        by=row["made_by"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        finished_at=row["finished_at"],
    )


def read_spec(text: str) -> PlanSpec:
    """The specification that ``plan_columns`` wrote."""
    spec: PlanSpec = msgspec.json.decode(text, type=PlanSpec)
    return spec
