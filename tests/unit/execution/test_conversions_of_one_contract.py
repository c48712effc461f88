"""Several conversions of one contract whose answers are lost: what the exchange moved once is never taken for two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from engine.core.commands import ConvertPosition, Receipt
from engine.core.instructions import Baseline, Instruction, InstructionKind, InstructionNumber, InstructionState
from engine.core.positions import BrokerPosition
from engine.core.vocabulary import Product, Severity, Side
from engine.execution.conversion_desk import conversion_of
from engine.execution.conversion_sums import explained
from tests.kit.fake_broker import Call, Fault
from tests.unit.execution.desk import ACCOUNT, OPENING, Desk, buy, settle
from tests.unit.execution.test_instructions import ABSENT, DONE, UNKNOWN, conversion, convert, hold, side_of

WINDOW_S = 33.0
"""After it one that never showed is presumed absent."""
LIST_S = 61.0
"""After it what was presumed absent has been looked for again."""
HELD = 260


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk that holds four lots as NRML."""
    async with Desk() as desk:
        hold(desk, HELD)
        yield desk


def state_of(desk: Desk, receipt: Receipt) -> InstructionState:
    """How it stands in memory, and in the journal."""
    assert receipt.instruction is not None
    found = side_of(desk).book.get(receipt.instruction)
    assert desk.store.instructions[found.number] == found
    return found.state


def accept(desk: Desk, command: ConvertPosition | None = None) -> None:
    """The exchange carries out a request that had long been given up."""
    desk.broker.converted.append(conversion_of(command or conversion()))


def fills_between(desk: Desk) -> None:
    """The phone sells a lot of the old product and buys one of the new: the look of a conversion, and none."""
    for side, product in ((Side.SELL, Product.NRML), (Side.BUY, Product.MIS)):
        desk.broker.fill(desk.broker.place_outside(buy(side=side, product=product)).order_id)


async def lose(desk: Desk, fault: Fault, command: ConvertPosition | None = None) -> Receipt:
    """Ask for one without getting an answer."""
    desk.broker.arm(Call.CONVERT, fault)
    receipt = await convert(desk, command)
    assert receipt.instruction_state is UNKNOWN
    return receipt


async def absent(desk: Desk, command: ConvertPosition | None = None) -> Receipt:
    """One that was lost on its way, looked for and given up."""
    receipt = await lose(desk, Fault.LOSE_REQUEST, command)
    await desk.clock.advance(WINDOW_S)
    assert state_of(desk, receipt) is ABSENT
    return receipt


async def between(desk: Desk, *, restarted: bool, filled: bool) -> None:
    """What else happens meanwhile."""
    if filled:
        fills_between(desk)
    if restarted:
        await desk.restart()


def books_agree(desk: Desk) -> bool:
    """Whether the ledger was told, once each, of just as many units as the exchange has moved."""
    booked = {item.number: item.conversion.quantity for item in desk.converted if item.conversion is not None}
    return sum(booked.values()) == sum(moved.quantity for moved in desk.broker.converted)


meanwhile = pytest.mark.parametrize(
    ("restarted", "filled"),
    [(False, False), (True, False), (False, True), (True, True)],
    ids=["nothing", "a restart", "fills", "fills and a restart"],
)


@meanwhile
async def test_one_that_was_lost_is_not_found_through_its_successor(
    desk: Desk, *, restarted: bool, filled: bool
) -> None:
    """The first never arrived, the second of equal size was done: one is done, as often as it is looked."""
    first = await absent(desk)
    await between(desk, restarted=False, filled=filled)
    second = await convert(desk)
    await between(desk, restarted=restarted, filled=filled)
    await desk.clock.advance(3 * LIST_S)
    assert (state_of(desk, first), state_of(desk, second)) == (ABSENT, DONE)
    assert books_agree(desk)


@meanwhile
async def test_one_that_is_accepted_after_its_successor_is_found(desk: Desk, *, restarted: bool, filled: bool) -> None:
    """Given up, followed by an equal one that was done, and then carried out after all: both are, with an alarm."""
    first = await absent(desk)
    second = await convert(desk)
    await between(desk, restarted=restarted, filled=filled)
    accept(desk)
    await desk.clock.advance(LIST_S)
    assert (state_of(desk, first), state_of(desk, second)) == (DONE, DONE)
    assert desk.ear.heard("presumed absent: look at both", Severity.DANGER)
    assert books_agree(desk)


@meanwhile
async def test_one_that_was_accepted_unseen_is_found_before_the_next_is_sent(
    desk: Desk, *, restarted: bool, filled: bool
) -> None:
    """Carried out late, between two looks: the figures before its successor show it, and it is told there."""
    first = await absent(desk)
    accept(desk)
    await between(desk, restarted=False, filled=filled)
    second = await lose(desk, Fault.LOSE_REQUEST)
    assert state_of(desk, first) is DONE
    await between(desk, restarted=restarted, filled=filled)
    await desk.clock.advance(LIST_S)
    assert (state_of(desk, first), state_of(desk, second)) == (DONE, ABSENT)
    assert books_agree(desk)


@meanwhile
async def test_of_two_without_an_answer_one_movement_answers_one(desk: Desk, *, restarted: bool, filled: bool) -> None:
    """The first is presumed absent, the second's answer is lost: a lot that moved is one of them, two are both."""
    first = await absent(desk)
    second = await lose(desk, Fault.LOSE_ANSWER)
    await between(desk, restarted=restarted, filled=filled)
    await desk.clock.advance(2 * LIST_S)
    assert (state_of(desk, first), state_of(desk, second)) == (ABSENT, DONE)
    assert books_agree(desk)
    accept(desk)
    await desk.clock.advance(LIST_S)
    assert (state_of(desk, first), state_of(desk, second)) == (DONE, DONE)
    assert books_agree(desk)


@pytest.mark.parametrize("restarted", [False, True])
async def test_two_of_different_size_that_show_at_once_are_both_found(desk: Desk, *, restarted: bool) -> None:
    """Neither explains what moved, together they do."""
    first, second = await absent(desk), await absent(desk, conversion(130))
    await between(desk, restarted=restarted, filled=True)
    accept(desk)
    accept(desk, conversion(130))
    await desk.clock.advance(LIST_S)
    assert (state_of(desk, first), state_of(desk, second)) == (DONE, DONE)
    assert books_agree(desk)


async def test_a_movement_that_explains_none_is_nobodys(desk: Desk) -> None:
    """Somebody converts two lots on the phone: neither request for one lot was done."""
    first = await absent(desk)
    accept(desk, conversion(130))
    await desk.clock.advance(LIST_S)
    assert state_of(desk, first) is ABSENT
    assert desk.converted == []


async def test_while_one_is_on_the_wire_an_earlier_one_is_not_judged(desk: Desk) -> None:
    """The second is done and its answer on the way: what moved must not be taken for the first."""
    first = await absent(desk)
    desk.broker.close_gate(Call.CONVERT, "after")
    asking = asyncio.ensure_future(side_of(desk).conversions.convert(conversion()))
    await settle()
    assert len(desk.broker.converted) == 1
    await side_of(desk).look()
    assert state_of(desk, first) is ABSENT
    desk.broker.open_gate(Call.CONVERT, "after")
    assert (await asking).instruction_state is DONE
    await desk.clock.advance(LIST_S)
    assert state_of(desk, first) is ABSENT
    assert books_agree(desk)


async def test_one_that_is_sent_while_figures_are_read_spoils_them(desk: Desk) -> None:
    """The journal lets a second one go in the middle of a look: what moved is not taken for the first."""
    first = await absent(desk)
    stall = desk.instructions.stall = asyncio.Event()
    asking = asyncio.ensure_future(side_of(desk).conversions.convert(conversion()))
    await settle()
    read = desk.broker.positions

    async def positions() -> tuple[BrokerPosition, ...]:
        desk.instructions.stall = None
        stall.set()
        await settle()
        return await read()

    desk.broker.positions = positions  # type: ignore[method-assign]
    await side_of(desk).look()
    assert (await asking).instruction_state is DONE
    assert len(desk.broker.converted) == 1
    await desk.clock.advance(LIST_S)
    assert state_of(desk, first) is ABSENT
    assert books_agree(desk)


def asked(number: int, command: ConvertPosition, state: InstructionState = ABSENT) -> Instruction:
    """One of the day, on figures of nothing traded and everything held as NRML."""
    at = OPENING + timedelta(minutes=number)
    return Instruction(
        number=InstructionNumber(number),
        account=ACCOUNT,
        kind=InstructionKind.CONVERT,
        state=state,
        idempotency_key=f"k{number}",
        conversion=conversion_of(command),
        baseline=Baseline(from_quantity=0 if command.from_product is Product.MIS else HELD),
        created_at=at,
        updated_at=at,
    )


BACK = msgspec.structs.replace(conversion(), from_product=Product.MIS, to_product=Product.NRML)
STILL = Baseline(from_quantity=HELD)
MOVED = Baseline(from_quantity=HELD - 65, to_quantity=65)
STILL_BACK = Baseline(to_quantity=HELD)


def test_two_that_cancel_out_are_not_taken_for_done() -> None:
    """There and back, neither answered, nothing has moved: nothing says that either was done."""
    there, back = asked(1, conversion()), asked(2, BACK)
    assert explained([there, back], [], {there.number: STILL, back.number: STILL_BACK}) == ()


def test_one_that_was_undone_by_a_later_one_is_found() -> None:
    """A later one has taken the lot back, and all stands as before: so the first must have been done."""
    there, back = asked(1, conversion()), asked(2, BACK, DONE)
    assert explained([there], [back], {there.number: STILL}) == (there,)


def test_of_two_equal_ones_the_newer_is_preferred() -> None:
    """One lot moved: the newer one, and only that."""
    older, newer = asked(1, conversion()), asked(2, conversion(), UNKNOWN)
    assert explained([older, newer], [], {older.number: MOVED, newer.number: MOVED}) == (newer,)


@pytest.mark.parametrize("state", [InstructionState.REFUSED, InstructionState.NOT_SENT])
def test_others_that_came_to_nothing_explain_nothing(state: InstructionState) -> None:
    """A refused one has moved nothing: the movement is still the first one's."""
    first, other = asked(1, conversion()), asked(2, conversion(), state)
    assert explained([first], [other], {first.number: MOVED}) == (first,)


def test_one_that_was_done_before_the_figures_explains_nothing_after_them() -> None:
    """Its movement is in the figures before already."""
    before, question = asked(1, conversion(), DONE), asked(2, conversion())
    assert explained([question], [before], {question.number: MOVED}) == (question,)
