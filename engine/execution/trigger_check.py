"""Standing triggers against the broker's list, for reconciliations.

What we left there, and what was done with it here, is in the journal. Whatever else the list shows was done outside: on
the phone, by another program, by the market. A trigger from outside is adopted and follows the list; one of ours that
is gone, or that says something else, is a difference until a person has said why, and is then taken as it is. One that
fired has done what it was left for. Nothing is sent from here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

from engine.core.errors import BrokerError, StorageError
from engine.core.instructions import Baseline, Instruction, InstructionKind, InstructionState
from engine.core.reconciling import Mismatch, MismatchKind
from engine.core.standing_triggers import Gtt, GttRequest, GttStatus
from engine.core.vocabulary import Severity
from engine.execution.gtt_desk import GttDesk, plain
from engine.execution.gtt_words import trigger_words
from engine.execution.instruction_book import InstructionBook
from engine.execution.mismatches import Finding
from engine.execution.reconciliation import Comparison

logger = logging.getLogger(__name__)

COMPARED = frozenset({MismatchKind.TRIGGER})
ENDED = frozenset({GttStatus.TRIGGERED, GttStatus.EXPIRED, GttStatus.REJECTED})
"""Its own end, which nobody has to explain."""
NONE = "none"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger that stands at the broker by our journal."""

    trigger_id: int
    request: GttRequest
    is_ours: bool
    """Left by this desk, rather than adopted from the list."""
    is_doubtful: bool = False
    """A change of it was presumed not to have been made, and may still show."""


def standing(instructions: Iterable[Instruction]) -> dict[int, Standing]:
    """What stands at the broker after all that was done, by its id.

    Args:
        instructions: All that are known, oldest first.
    """
    found: dict[int, Standing] = {}
    for item in instructions:
        trigger_id = item.trigger_id
        if trigger_id is None:
            continue
        known = found.get(trigger_id)
        if item.state is InstructionState.PRESUMED_ABSENT and known is not None:
            found[trigger_id] = msgspec.structs.replace(known, is_doubtful=True)
        if item.state is not InstructionState.DONE:
            continue
        if item.kind is InstructionKind.DELETE_GTT:
            found.pop(trigger_id, None)
        elif item.gtt is not None:
            is_ours = not item.baseline.outside if known is None else known.is_ours
            found[trigger_id] = Standing(trigger_id=trigger_id, request=plain(item.gtt), is_ours=is_ours)
    return found


class TriggerCheck:
    """Compares what stands with what the broker lists.

    Args:
        desk: Reads the list.
        book: What was done here; takes what was done outside.
        explained: What a person has said of a difference, by its subject; ``None`` while nobody has.
    """

    def __init__(self, desk: GttDesk, book: InstructionBook, explained: Callable[[str], Mismatch | None]) -> None:
        self._desk = desk
        self._book = book
        self._explained = explained

    async def compare(self) -> Comparison:
        """One reading; not compared while something of ours has no answer, or was done during the reading."""
        before = self._book.all()
        try:
            rows = {row.trigger_id: row for row in await self._desk.listed()}
        except BrokerError as error:
            logger.warning("triggers could not be compared: %s", error)
            return Comparison(kinds=COMPARED, found=None)
        known = self._book.all()
        if known != before or any(not item.state.is_over for item in known if item.kind is not InstructionKind.CONVERT):
            return Comparison(kinds=COMPARED, found=None)
        expected = standing(known)
        try:
            found = [await self._of(trigger, rows.get(trigger.trigger_id)) for trigger in expected.values()]
            for row in rows.values():
                if row.status is GttStatus.ACTIVE and row.trigger_id not in expected and not self._desk.is_awaited(row):
                    await self._adopt(row)
        except StorageError as error:
            logger.warning("what became of triggers could not be written, they are compared again: %s", error)
            return Comparison(kinds=COMPARED, found=None)
        return Comparison(kinds=COMPARED, found=tuple(finding for finding in found if finding is not None))

    async def _of(self, trigger: Standing, row: Gtt | None) -> Finding | None:
        """What differs of one that stands by our journal; what it became is taken in where that needs no person."""
        if trigger.is_doubtful:
            return None  # it is looked for
        name, ours = f"trigger {trigger.trigger_id}", trigger_words(trigger.request)
        if row is not None and row.status is GttStatus.ACTIVE and plain(row.request) == trigger.request:
            return None
        if row is not None and row.status in ENDED:
            await self._note_end(trigger, _end_words(name, row), _end_severity(row))
            return None
        theirs = NONE if row is None else trigger_words(row.request) if row.status is GttStatus.ACTIVE else row.status
        is_there = row is not None and row.status is GttStatus.ACTIVE
        words = f"{name} is {theirs} at the broker, and {ours} by our journal"
        if row is None or not is_there:
            gone = "does not stand at the broker any more" if row is None else f"is {row.status} at the broker"
            words = f"{name} ({ours}) {gone}, and nobody here took it back"
        finding = Finding(kind=MismatchKind.TRIGGER, subject=name, words=words, ours=ours, theirs=theirs)
        said = self._explained(name)
        if trigger.is_ours and (said is None or said.difference != finding.gist):
            return finding
        why = "outside" if said is None else f"explained by {said.explained_by}: {said.explanation}"
        if row is not None and is_there:
            told = f"{name.capitalize()} was changed outside to {theirs}; it was {ours}"
            await self._note(InstructionKind.MODIFY_GTT, trigger.trigger_id, row.request, f"{told} ({why})")
            self._tell(Severity.ATTENTION if said is None else Severity.INFO, f"{told}.", trigger.trigger_id)
        else:
            told = f"{name.capitalize()} ({ours}) was taken back outside"
            await self._note_end(trigger, f"{told} ({why})", Severity.ATTENTION if said is None else Severity.INFO)
        return None

    async def _adopt(self, row: Gtt) -> None:
        words = f"Trigger {row.trigger_id} was left outside this desk: {trigger_words(row.request)}"
        await self._note(InstructionKind.PLACE_GTT, row.trigger_id, row.request, words)
        self._tell(Severity.ATTENTION, f"{words}. It is watched from now on.", row.trigger_id)

    async def _note_end(self, trigger: Standing, words: str, severity: Severity) -> None:
        await self._note(InstructionKind.DELETE_GTT, trigger.trigger_id, None, words)
        self._tell(severity, f"{words}.", trigger.trigger_id)

    async def _note(self, kind: InstructionKind, trigger_id: int, request: GttRequest | None, words: str) -> None:
        gtt = None if request is None else plain(request)
        baseline = Baseline(outside=True)
        await self._book.record(
            self._desk.instruction(kind, trigger_id=trigger_id, gtt=gtt, baseline=baseline, done_words=words)
        )

    def _tell(self, severity: Severity, text: str, trigger_id: int) -> None:
        self._book.tell(severity, text, subject=f"trigger {trigger_id}")


def _end_words(name: str, row: Gtt) -> str:
    orders = [
        f"{order.result_order_id or 'no order'}{f' ({order.result_words})' if order.result_words else ''}"
        for order in row.request.orders
        if order.result_order_id is not None or order.result_words
    ]
    became = f", it became {', '.join(orders)}" if orders else ""
    verb = "fired" if row.status is GttStatus.TRIGGERED else f"is {row.status}"
    return f"{name.capitalize()} ({trigger_words(plain(row.request))}) {verb}{became}"


def _end_severity(row: Gtt) -> Severity:
    """One that fired without an order protects nothing, and nobody would see it."""
    fired = row.status is GttStatus.TRIGGERED
    has_order = any(order.result_order_id is not None for order in row.request.orders)
    return Severity.DANGER if row.status is GttStatus.REJECTED or (fired and not has_order) else Severity.ATTENTION
