"""The record of triggers and conversions in memory."""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.core.identifiers import AccountId
from engine.core.instructions import Instruction, InstructionEvent, InstructionKind, InstructionNumber, InstructionState
from storage.boundary import aware, storable
from storage.instruction_rows import instruction_columns, instruction_event_columns
from storage.instructions import kept_instruction, refuse_numbered, refuse_strange_event, unknown_instruction
from storage.memory.store import MemoryStore, require
from storage.refusals import conflict

OPEN = frozenset({InstructionState.SENDING, InstructionState.UNKNOWN})


class MemoryInstructions:
    """Implements ``InstructionJournal``.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def record(self, instruction: Instruction, *, epoch: int) -> Instruction:
        """Write a new one and give it a number."""
        refuse_numbered(instruction)
        instruction_columns(instruction)
        self._store.require_writer(instruction.account, epoch)
        self._store.require_account(instruction.account)
        require(instruction.idempotency_key != "", "instructions_idempotency_key_check")
        if await self.by_idempotency_key(instruction.account, instruction.idempotency_key) is not None:
            raise conflict("instructions_idempotency_key_key")
        kept = kept_instruction(instruction, InstructionNumber(len(self._store.instructions) + 1))
        self._store.instructions[kept.number] = kept
        return kept

    async def change(self, instruction: Instruction, event: InstructionEvent, *, epoch: int) -> None:
        """Replace its state, trigger, message and time, and append ``event``: both or neither."""
        refuse_strange_event(instruction, event)
        instruction_columns(instruction)
        instruction_event_columns(event)
        self._store.require_writer(instruction.account, epoch)
        kept = self._store.instructions.get(instruction.number)
        if kept is None or kept.account != instruction.account:
            raise unknown_instruction(instruction)
        self._store.instructions[kept.number] = msgspec.structs.replace(
            kept,
            state=instruction.state,
            trigger_id=instruction.trigger_id,
            message=storable(instruction.message),
            updated_at=instruction.updated_at,
        )
        sequence = len(self._store.instruction_events) + 1
        detail = storable(event.detail)
        self._store.instruction_events.append(msgspec.structs.replace(event, sequence=sequence, detail=detail))

    async def by_idempotency_key(self, account: AccountId, key: str) -> Instruction | None:
        """The one a key made, at any time."""
        return next((found for found in self._of(account) if found.idempotency_key == key), None)

    async def since(self, account: AccountId, moment: datetime) -> tuple[Instruction, ...]:
        """Those made or changed at or after ``moment``, all that are not over, and those of triggers that still stand,
        oldest first.
        """
        first, done = aware(moment), InstructionState.DONE
        ended = {
            found.trigger_id
            for found in self._of(account)
            if found.kind is InstructionKind.DELETE_GTT and found.state is done
        }
        return tuple(
            found
            for found in self._of(account)
            if found.created_at >= first
            or found.updated_at >= first
            or found.state in OPEN
            or (found.state is done and found.trigger_id is not None and found.trigger_id not in ended)
        )

    async def history(self, number: InstructionNumber) -> tuple[InstructionEvent, ...]:
        """All events of one, in order of their sequence."""
        self._store.require_running()
        return tuple(event for event in self._store.instruction_events if event.number == number)

    def _of(self, account: AccountId) -> list[Instruction]:
        self._store.require_running()
        return [found for found in self._store.instructions.values() if found.account == account]
