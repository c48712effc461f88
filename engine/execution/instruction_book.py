"""How triggers and conversions that were asked for stand, in memory, with the journal behind them.

Written before the wire, or nothing is sent; except what may be asked twice without harm and must not wait for a
database. After the wire the fact has happened whether or not it can be written: it stands in memory and is tried again
in order. Nobody waits long for the journal. A step that the table does not list is said and not applied.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import msgspec

from engine.core.errors import InvalidInput, StorageConflict, StorageError, StorageUnavailable, WriterLost
from engine.core.events import EventKind
from engine.core.identifiers import AccountId
from engine.core.instructions import (
    TRANSITIONS,
    Instruction,
    InstructionEvent,
    InstructionNumber,
    InstructionState,
)
from engine.core.ports import Clock
from engine.core.repositories import InstructionJournal
from engine.core.vocabulary import Severity
from engine.execution.notices import Health, Notice
from engine.execution.patience import Patience

logger = logging.getLogger(__name__)

BEHIND = "instructions"
NOT_NUMBERED = InstructionNumber(0)


class InstructionBook:
    """What was asked, by number.

    Args:
        account: Whose.
        journal: The durable record.
        epoch: The writer epoch every write names.
        clock: Market time of changes.
        health: Where falling behind is declared.
        notify: For what a person should read.
        patience: How long the journal is waited for.
    """

    def __init__(
        self,
        account: AccountId,
        journal: InstructionJournal,
        *,
        epoch: int,
        clock: Clock,
        health: Health,
        notify: Callable[[Notice], None],
        patience: Patience,
    ) -> None:
        self.account = account
        self._journal = journal
        self._epoch = epoch
        self._clock = clock
        self._health = health
        self._notify = notify
        self._patience = patience
        self._known: dict[InstructionNumber, Instruction] = {}
        # Bounded by the triggers the broker keeps: only what takes one back is asked while the journal is away.
        self._owed: list[tuple[Instruction, InstructionEvent | None]] = []
        """Changes in their order; without an event it is a new one."""
        self._paying = asyncio.Lock()
        self._numbers: dict[InstructionNumber, InstructionNumber] = {}
        """The journal's number of what was made while it was away: here that keeps the one below 0 that it got."""
        self._unnumbered = 0

    async def load(self, since: datetime) -> None:
        """Take in what earlier engines asked for.

        Raises:
            StorageError: the journal cannot be read.
        """
        for instruction in await self._journal.since(self.account, since):
            self._known[instruction.number] = instruction

    def all(self) -> tuple[Instruction, ...]:
        """All that are known, oldest first."""
        # Not by number: one that the journal could not number yet has one below 0, and is no older for that.
        return tuple(sorted(self._known.values(), key=lambda item: (item.created_at, item.number < 0, item.number)))

    def get(self, number: InstructionNumber) -> Instruction:
        """One that is known."""
        return self._known[number]

    async def by_key(self, key: str) -> Instruction | None:
        """What a key has asked for, at any time.

        Raises:
            StorageError: the journal cannot be read.
        """
        found = next((item for item in self._known.values() if item.idempotency_key == key), None)
        if found is not None:
            return found
        read = await self._patience.ask(self._journal.by_idempotency_key(self.account, key))
        # What has happened to it during the read is newer than what was read.
        return None if read is None else self._known.setdefault(read.number, read)

    async def record(self, instruction: Instruction) -> Instruction:
        """Write a new one; returning means committed.

        Raises:
            StorageConflict: its key is there already.
            StorageError: nothing is known to have been written.
        """
        made = await self._patience.ask(self._journal.record(instruction, epoch=self._epoch))
        self._known[made.number] = made
        return made

    async def record_or_owe(self, instruction: Instruction) -> Instruction:
        """Write a new one that may be asked twice without harm: a journal that is away gets it later.

        Its number is below 0 as long as the journal has given none.

        Raises:
            StorageConflict: its key is there already.
            WriterLost: another engine is the writer.
        """
        try:
            return await self.record(instruction)
        except (StorageConflict, WriterLost):
            raise
        except StorageError as error:
            self._unnumbered += 1
            made = msgspec.structs.replace(instruction, number=InstructionNumber(-self._unnumbered))
            self._known[made.number] = made
            self._owed.append((made, None))
            self._declare(error)
            return made

    @property
    def is_behind(self) -> bool:
        """Whether the journal lacks something."""
        return bool(self._owed)

    async def settle(
        self, number: InstructionNumber, state: InstructionState, words: str, *, trigger_id: int | None = None
    ) -> Instruction:
        """Let one stand differently, because something has happened; the journal may follow later."""
        before = self._known[number]
        if (before.state, state) not in TRANSITIONS:
            self.tell(Severity.ATTENTION, f"{name_of(before)} is {before.state}; that it is {state} is not applied.")
            return before
        now = self._clock.market_now()
        after = msgspec.structs.replace(
            before,
            state=state,
            message=words,
            updated_at=now,
            trigger_id=before.trigger_id if trigger_id is None else trigger_id,
        )
        event = InstructionEvent(
            number=number,
            account=self.account,
            from_state=before.state,
            to_state=state,
            at=now,
            wall_at=self._clock.wall_now(),
            detail=words,
        )
        self._known[number] = after
        self._owed.append((after, event))
        await self.pay()
        return after

    async def pay(self) -> bool:
        """Write what is owed, in order; whether nothing is owed any more."""
        async with self._paying:  # or two would write the first of them, and strike out the second
            while self._owed:
                if self._patience.has_late:
                    return False  # a write that was given up may still come, and must not come after this one
                try:
                    await self._write(*self._owed[0])
                except WriterLost as error:
                    logger.warning("%d changes of instructions are left to the new writer: %s", len(self._owed), error)
                    self._owed.clear()
                    return False
                except StorageError as error:
                    self._declare(error)
                    return False
                del self._owed[:1]
        self._health.clear(BEHIND, "Triggers and conversions are written again.", EventKind.STORAGE)
        return True

    async def _write(self, instruction: Instruction, event: InstructionEvent | None) -> None:
        if event is None:
            self._numbers[instruction.number] = await self._number_of(instruction)
            return
        number = self._numbers.get(instruction.number, instruction.number)
        change = self._journal.change(
            msgspec.structs.replace(instruction, number=number),
            msgspec.structs.replace(event, number=number),
            epoch=self._epoch,
        )
        await self._patience.ask(change)

    async def _number_of(self, instruction: Instruction) -> InstructionNumber:
        """Write what was made while the journal was away; it may have it after all."""
        new = msgspec.structs.replace(instruction, number=NOT_NUMBERED)
        try:
            return (await self._patience.ask(self._journal.record(new, epoch=self._epoch))).number
        except InvalidInput as error:
            raise StorageUnavailable(f"the journal does not take {name_of(instruction)}: {error}") from error
        except StorageConflict:
            kept = await self._patience.ask(self._journal.by_idempotency_key(self.account, new.idempotency_key))
        if kept is None:
            raise StorageUnavailable(f"the journal has the key of {name_of(instruction)} and does not show it")
        return kept.number

    def _declare(self, error: StorageError) -> None:
        self._health.declare(
            BEHIND,
            f"What became of triggers and conversions cannot be written ({error}); nothing is forgotten.",
            EventKind.STORAGE,
        )

    def tell(self, severity: Severity, text: str, *, subject: str = "", seat: str = "") -> None:
        """Say something a person should read."""
        self._notify(Notice(kind=EventKind.ORDER, severity=severity, text=text, subject=subject, seat=seat))


def name_of(instruction: Instruction) -> str:
    """How a sentence calls it."""
    if instruction.conversion is not None:
        return f"The conversion of {instruction.conversion.instrument.tradingsymbol}"
    if instruction.trigger_id is not None:
        return f"Trigger {instruction.trigger_id}"
    symbol = "" if instruction.gtt is None else f" of {instruction.gtt.instrument.tradingsymbol}"
    return f"The trigger{symbol}"
