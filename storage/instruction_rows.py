"""Instructions as rows: which value goes to which column, and back."""

from __future__ import annotations

from engine.core.identifiers import AccountId
from engine.core.instructions import (
    Baseline,
    Conversion,
    Instruction,
    InstructionEvent,
    InstructionKind,
    InstructionNumber,
    InstructionState,
)
from engine.core.standing_triggers import GttRequest
from storage.boundary import aware, aware_or_none, storable
from storage.order_rows import read_text, text_of
from storage.session import Row

INSTRUCTION_COLUMNS = """
    number, account_id, kind, state, idempotency_key, trigger_id, gtt, conversion, baseline, message, seat,
    created_at, updated_at
"""
INSTRUCTION_EVENT_COLUMNS = "sequence, number, account_id, from_state, to_state, at, wall_at, detail"


def instruction_columns(instruction: Instruction) -> tuple[object, ...]:
    """The columns from ``kind`` on, in the order of ``INSTRUCTION_COLUMNS``."""
    return (
        instruction.kind,
        instruction.state,
        instruction.idempotency_key,
        instruction.trigger_id,
        "" if instruction.gtt is None else text_of(instruction.gtt),
        "" if instruction.conversion is None else text_of(instruction.conversion),
        text_of(instruction.baseline),
        storable(instruction.message),
        storable(instruction.seat),
        aware(instruction.created_at),
        aware(instruction.updated_at),
    )


def instruction_event_columns(event: InstructionEvent) -> tuple[object, ...]:
    """The columns from ``from_state`` on, in the order of ``INSTRUCTION_EVENT_COLUMNS``."""
    return event.from_state, event.to_state, aware(event.at), aware_or_none(event.wall_at), storable(event.detail)


def instruction_from_row(row: Row) -> Instruction:
    """Build an instruction from a row of ``INSTRUCTION_COLUMNS``."""
    return Instruction(
        number=InstructionNumber(row["number"]),
        account=AccountId(row["account_id"]),
        kind=InstructionKind(row["kind"]),
        state=InstructionState(row["state"]),
        idempotency_key=row["idempotency_key"],
        gtt=read_text(row["gtt"], GttRequest),
        trigger_id=row["trigger_id"],
        conversion=read_text(row["conversion"], Conversion),
        baseline=read_text(row["baseline"], Baseline) or Baseline(),
        message=row["message"],
        seat=row["seat"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def instruction_event_from_row(row: Row) -> InstructionEvent:
    """Build an event from a row of ``INSTRUCTION_EVENT_COLUMNS``."""
    return InstructionEvent(
        number=InstructionNumber(row["number"]),
        account=AccountId(row["account_id"]),
        from_state=InstructionState(row["from_state"]),
        to_state=InstructionState(row["to_state"]),
        at=row["at"],
        wall_at=row["wall_at"],
        detail=row["detail"],
        sequence=row["sequence"],
    )
