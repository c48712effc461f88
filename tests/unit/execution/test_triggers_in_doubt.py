"""Triggers that came to stand while their request was in doubt: whose they are is found, whoever took them back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from engine.core.commands import DeleteGtt
from engine.core.errors import BrokerUnavailable, StorageTimeout
from engine.core.identifiers import AccountId
from engine.core.instructions import Instruction, InstructionState
from engine.core.standing_triggers import GttStatus
from engine.core.vocabulary import Severity
from tests.kit.fake_broker import Call, Fault
from tests.unit.execution.desk import Desk, settle
from tests.unit.execution.test_instructions import ABSENT, DONE, OCO, UNKNOWN, asked, place, side_of, stands
from tests.unit.execution.test_trigger_check import watching

SECOND = 2
WINDOW_S = 33.0
"""After it one that never showed is presumed absent."""
LIST_S = 61.0
"""After it what was presumed absent has been looked for again."""


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk without triggers."""
    async with Desk() as desk:
        yield desk


async def take_back(desk: Desk, trigger_id: int) -> None:
    """A person sees it in the list and deletes it."""
    receipt = await side_of(desk).triggers.delete(DeleteGtt(trigger_id=trigger_id))
    assert receipt.instruction_state is DONE
    await settle()


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_late_one_that_a_person_took_back_is_still_found(desk: Desk, *, restarted: bool) -> None:
    """Given up, carried out late, seen in the list and deleted before it was looked for again: it was ours."""
    desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_REQUEST)
    receipt = await place(desk)
    await desk.clock.advance(WINDOW_S)
    assert stands(desk, receipt).state is ABSENT
    late = desk.broker.leave_trigger(OCO)
    await take_back(desk, late)
    if restarted:
        await desk.restart()
    await desk.clock.advance(LIST_S)
    after = stands(desk, receipt)
    assert (after.state, after.trigger_id) == (DONE, late)
    assert desk.ear.heard("presumed absent: look at both", Severity.DANGER)
    assert [row.status for row in await side_of(desk).triggers.triggers()] == [GttStatus.DELETED]
    assert asked(desk, Call.PLACE_GTT) == 1


async def test_one_that_was_taken_back_while_its_answer_was_lost_is_not_presumed_absent(desk: Desk) -> None:
    """It stands, nobody was told, and somebody deletes it in the same moment: it was done, and is over."""
    desk.broker.close_gate(Call.PLACE_GTT, "after")
    desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_ANSWER)
    placing = asyncio.ensure_future(place(desk))
    await settle()
    (trigger_id,) = desk.broker.triggers
    await take_back(desk, trigger_id)
    desk.broker.open_gate(Call.PLACE_GTT, "after")
    receipt = await placing
    assert receipt.instruction_state is UNKNOWN
    await desk.clock.advance(WINDOW_S)
    after = stands(desk, receipt)
    assert (after.state, after.trigger_id) == (DONE, trigger_id)


async def test_one_that_was_changed_before_is_not_taken_for_a_new_one(desk: Desk) -> None:
    """Without a list before and without times, one that was taken back earlier stood before: it answers nothing."""
    old = desk.broker.leave_trigger(OCO)
    desk.broker.triggers[old] = msgspec.structs.replace(desk.broker.triggers[old], created_at=None)
    await take_back(desk, old)
    await desk.clock.advance(1)
    desk.broker.break_reads(BrokerUnavailable("no connection"), Call.GTTS)
    desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_REQUEST)
    receipt = await place(desk)
    desk.broker.heal()
    await desk.clock.advance(WINDOW_S)
    assert stands(desk, receipt).state is ABSENT


def answer_late(desk: Desk) -> asyncio.Event:
    """The journal has a new one for some moments before it says so."""
    told, record = asyncio.Event(), desk.instructions.record

    async def late(instruction: Instruction, *, epoch: int) -> Instruction:
        made = await record(instruction, epoch=epoch)
        await told.wait()
        return made

    desk.instructions.record = late  # type: ignore[method-assign]
    return told


async def test_a_twin_does_not_close_what_is_just_being_written(desk: Desk) -> None:
    """The same key from two seats: the second finds the first's record before the first is told that it is written."""
    told = answer_late(desk)
    first = asyncio.ensure_future(place(desk, key="k"))
    await settle()
    second = await place(desk, key="k")
    assert (second.repeated, second.instruction_state) == (True, InstructionState.SENDING)
    told.set()
    receipt = await first
    assert receipt.instruction_state is DONE
    assert stands(desk, receipt).state is DONE
    assert asked(desk, Call.PLACE_GTT) == len(desk.broker.triggers) == 1


async def test_what_is_asked_again_after_a_doubtful_write_is_not_closed_on_its_way(desk: Desk) -> None:
    """The journal failed once, the same key is asked again and is on the wire: it is let be."""
    desk.instructions.down = StorageTimeout("the database did not answer in time")
    read, reads = desk.instructions.by_idempotency_key, 0

    async def away_once(account: AccountId, key: str) -> Instruction | None:
        nonlocal reads
        reads += 1
        if reads == SECOND:
            raise StorageTimeout("the database did not answer in time")
        return await read(account, key)

    desk.instructions.by_idempotency_key = away_once  # type: ignore[method-assign]
    assert not (await place(desk, key="k")).accepted
    assert reads == SECOND, "what became of it could not be read: that is owed"
    desk.instructions.down = None
    desk.broker.close_gate(Call.PLACE_GTT)
    again = asyncio.ensure_future(place(desk, key="k"))
    await settle()
    await desk.clock.advance(5)
    desk.broker.open_gate(Call.PLACE_GTT)
    receipt = await again
    assert receipt.instruction_state is DONE
    assert stands(desk, receipt).state is DONE


async def test_an_equal_one_that_stood_before_is_adopted_as_from_outside() -> None:
    """The same was left on the phone before ours was lost: it answers nothing, and is not awaited for ever."""
    async with watching() as watch:
        desk = watch.desk
        outside = desk.broker.leave_trigger(OCO)
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_REQUEST)
        receipt = await place(desk)
        await desk.clock.advance(WINDOW_S)
        assert stands(desk, receipt).state is ABSENT
        await watch.reconcile()
        assert [item.trigger_id for item in watch.written()] == [outside]
        late = desk.broker.leave_trigger(OCO)
        await watch.reconcile()
        assert [item.trigger_id for item in watch.written()] == [outside], "that may be ours"
        await desk.clock.advance(LIST_S)
        assert stands(desk, receipt).trigger_id == late
