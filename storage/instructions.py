"""The durable record of what is asked of the broker without a tag: triggers and conversions.

Every write is one statement with the fence on the writer epoch in it, so one round trip and one commit.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.core.errors import StorageError
from engine.core.identifiers import AccountId
from engine.core.instructions import Instruction, InstructionEvent, InstructionNumber
from storage.boundary import aware, storable
from storage.instruction_rows import (
    INSTRUCTION_COLUMNS,
    INSTRUCTION_EVENT_COLUMNS,
    instruction_columns,
    instruction_event_columns,
    instruction_event_from_row,
    instruction_from_row,
)
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.writer_epoch import refuse_writer

RECORD = """
WITH fence AS (
    SELECT account_id, epoch FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
)
INSERT INTO instructions (
    account_id, epoch, kind, state, idempotency_key, trigger_id, gtt, conversion, baseline, message, seat,
    created_at, updated_at
)
SELECT
    account_id, epoch, $3::text, $4::text, $5::text, $6::bigint, $7::text, $8::text, $9::text, $10::text, $11::text,
    $12::timestamptz, $13::timestamptz
FROM fence
RETURNING number
"""
# What was asked (account, kind, key, content, baseline, who and when) is never rewritten.
CHANGE = """
WITH fence AS (
    SELECT account_id, epoch FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), changed AS (
    UPDATE instructions SET
        state = $4::text, trigger_id = $5::bigint, message = $6::text, updated_at = $7::timestamptz
    FROM fence
    WHERE instructions.number = $3 AND instructions.account_id = fence.account_id
    RETURNING instructions.number, instructions.account_id, fence.epoch
), noted AS (
    INSERT INTO instruction_events (number, account_id, epoch, from_state, to_state, at, wall_at, detail)
    SELECT number, account_id, epoch, $8::text, $9::text, $10::timestamptz, $11::timestamptz, $12::text FROM changed
)
SELECT EXISTS (SELECT FROM fence) AS is_writer, EXISTS (SELECT FROM changed) AS is_known
"""
# The text put together below is all ours, nothing of it comes from outside. The condition is spelled as the partial
# index has it.
READ_BY_KEY = f"SELECT {INSTRUCTION_COLUMNS} FROM instructions WHERE account_id = $1 AND idempotency_key = $2"  # noqa: S608
READ_SINCE = f"""
SELECT {INSTRUCTION_COLUMNS} FROM instructions
WHERE account_id = $1 AND (
    created_at >= $2 OR updated_at >= $2 OR state IN ('SENDING', 'UNKNOWN')
    OR (state = 'DONE' AND trigger_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM instructions AS ended
        WHERE ended.account_id = $1 AND ended.trigger_id = instructions.trigger_id
            AND ended.kind = 'delete gtt' AND ended.state = 'DONE'
    ))
)
ORDER BY number
"""  # noqa: S608
READ_HISTORY = f"SELECT {INSTRUCTION_EVENT_COLUMNS} FROM instruction_events WHERE number = $1 ORDER BY sequence"  # noqa: S608


class PostgresInstructions:
    """Implements ``InstructionJournal``.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, instruction: Instruction, *, epoch: int) -> Instruction:
        """Write a new one and give it a number.

        Raises:
            StorageConflict: its idempotency key is there already; nothing was written.
            WriterLost: ``epoch`` is not the newest.
            InvalidInput: the account is not known.
        """
        refuse_numbered(instruction)
        with refusals_in_words():
            async with self._database.acquire() as session:
                number = await session.fetchval(RECORD, instruction.account, epoch, *instruction_columns(instruction))
        if number is None:
            refuse_writer(instruction.account)
        return kept_instruction(instruction, InstructionNumber(number))

    async def change(self, instruction: Instruction, event: InstructionEvent, *, epoch: int) -> None:
        """Replace its state, trigger, message and time, and append ``event``: both or neither.

        Raises:
            WriterLost: ``epoch`` is not the newest.
            StorageError: the account has no such one, or nothing could be written.
        """
        refuse_strange_event(instruction, event)
        with refusals_in_words():
            async with self._database.acquire() as session:
                row = await session.fetchrow(
                    CHANGE,
                    instruction.account,
                    epoch,
                    instruction.number,
                    instruction.state,
                    instruction.trigger_id,
                    storable(instruction.message),
                    aware(instruction.updated_at),
                    *instruction_event_columns(event),
                )
        if row is None or not row["is_writer"]:
            refuse_writer(instruction.account)
        if not row["is_known"]:
            raise unknown_instruction(instruction)

    async def by_idempotency_key(self, account: AccountId, key: str) -> Instruction | None:
        """The one a key made, at any time."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_BY_KEY, account, key)
        return None if row is None else instruction_from_row(row)

    async def since(self, account: AccountId, moment: datetime) -> tuple[Instruction, ...]:
        """Those made or changed at or after ``moment``, all that are not over, and those of triggers that still stand,
        oldest first.
        """
        async with self._database.acquire() as session:
            return tuple(instruction_from_row(row) for row in await session.fetch(READ_SINCE, account, aware(moment)))

    async def history(self, number: InstructionNumber) -> tuple[InstructionEvent, ...]:
        """All events of one, in order of their sequence."""
        async with self._database.acquire() as session:
            return tuple(instruction_event_from_row(row) for row in await session.fetch(READ_HISTORY, number))


def refuse_numbered(instruction: Instruction) -> None:
    """Check that an instruction is new.

    Raises:
        ValueError: it has a number already.
    """
    if instruction.number:
        raise ValueError(f"instruction {instruction.number} is in the journal already; change it")


def refuse_strange_event(instruction: Instruction, event: InstructionEvent) -> None:
    """Check that an event is of the instruction that it is written with.

    Raises:
        ValueError: it is of another one.
    """
    if event.number != instruction.number or event.account != instruction.account:
        raise ValueError(f"an event of instruction {event.number} cannot be written with {instruction.number}")


def kept_instruction(instruction: Instruction, number: InstructionNumber) -> Instruction:
    """The instruction as it is read back."""
    return msgspec.structs.replace(
        instruction, number=number, message=storable(instruction.message), seat=storable(instruction.seat)
    )


def unknown_instruction(instruction: Instruction) -> StorageError:
    """The error for a change of what is not there."""
    return StorageError(f"Account {instruction.account} has no instruction {instruction.number}; nothing was written.")
