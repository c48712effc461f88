"""Triggers and conversions: journalled, asked for once, and looked for without a tag when no answer comes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import ConvertPosition, DeleteGtt, ModifyGtt, PlaceGtt, Receipt
from engine.core.errors import BrokerUnavailable, StorageUnavailable
from engine.core.instructions import Instruction, InstructionNumber, InstructionState
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.standing_triggers import GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Mode, Product, Severity, Side
from engine.execution.instruction_side import InstructionSide
from tests.kit.fake_broker import Call, Fault, option
from tests.unit.execution.desk import OPENING, Desk, buy, settle

CALL: Instrument = option()
DONE, UNKNOWN, ABSENT = InstructionState.DONE, InstructionState.UNKNOWN, InstructionState.PRESUMED_ABSENT


def stop(trigger: str = "60", price: str = "58", *, side: Side = Side.SELL, quantity: int = 65) -> GttOrder:
    """One order of a trigger; the last price of the desk is 105."""
    return GttOrder(trigger_price=Decimal(trigger), side=side, quantity=quantity, price=Decimal(price))


def single(order: GttOrder | None = None) -> GttRequest:
    """A stop below the market."""
    return GttRequest(instrument=CALL.key, kind=GttKind.SINGLE, orders=(order or stop(),))


OCO = GttRequest(instrument=CALL.key, kind=GttKind.OCO, orders=(stop(), stop("180", "179")))


def side_of(desk: Desk) -> InstructionSide:
    """The desks of triggers and conversions."""
    assert desk.executor.instructions is not None
    return desk.executor.instructions


async def place(desk: Desk, request: GttRequest = OCO, key: str | None = None) -> Receipt:
    """Place a trigger and let it run as far as it can."""
    receipt = await side_of(desk).triggers.place(PlaceGtt(request=request, idempotency_key=key), seat="one")
    await settle()
    return receipt


def stands(desk: Desk, receipt: Receipt) -> Instruction:
    """How it stands in memory, which is how it is journalled."""
    assert receipt.instruction is not None
    found = side_of(desk).book.get(receipt.instruction)
    assert desk.store.instructions[found.number] == found
    return found


def asked(desk: Desk, call: Call) -> int:
    """How often the broker was asked."""
    return sum(1 for name, _ in desk.broker.sequence if name is call)


async def test_a_trigger_is_journalled_before_it_is_sent() -> None:
    """While the request waits at the broker's door the journal says SENDING already."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE_GTT)
        placing = asyncio.ensure_future(place(desk))
        await settle()
        (before,) = desk.store.instructions.values()
        assert (before.state, before.gtt, before.seat) == (InstructionState.SENDING, OCO, "one")
        desk.broker.open_gate(Call.PLACE_GTT)
        receipt = await placing
        assert (receipt.accepted, receipt.instruction_state, receipt.trigger_id) == (True, DONE, 100_001)
        assert stands(desk, receipt).state is DONE
        (row,) = await side_of(desk).triggers.triggers()
        assert (row.trigger_id, row.request, row.status) == (100_001, OCO, GttStatus.ACTIVE)


async def test_a_lost_answer_is_found_in_the_list_and_not_doubled() -> None:
    """Accepted and unanswered: UNKNOWN, then found by condition, orders and time; asked once."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_ANSWER)
        receipt = await place(desk)
        assert receipt.accepted
        assert stands(desk, receipt).state is UNKNOWN
        assert desk.ear.heard("is UNKNOWN", Severity.DANGER)
        shown = [row.status for row in await side_of(desk).triggers.triggers()]
        assert shown == [GttStatus.ACTIVE, GttStatus.UNKNOWN]
        await desk.clock.advance(2)
        after = stands(desk, receipt)
        assert (after.state, after.trigger_id) == (DONE, 100_001)
        assert asked(desk, Call.PLACE_GTT) == len(desk.broker.triggers) == 1
        states = [event.to_state for event in await desk.instructions.history(after.number)]
        assert states == [UNKNOWN, DONE]


async def test_what_never_arrived_is_presumed_absent_and_never_sent_again() -> None:
    """After thirty seconds and three good reads; when it turns up later it is adopted, with an alarm."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_REQUEST)
        receipt = await place(desk)
        await desk.clock.advance(29)
        assert stands(desk, receipt).state is UNKNOWN
        await desk.clock.advance(3)
        assert stands(desk, receipt).state is ABSENT
        assert desk.ear.heard("PRESUMED ABSENT", Severity.DANGER)
        assert asked(desk, Call.PLACE_GTT) == 1
        late = desk.broker.leave_trigger(OCO)
        await desk.clock.advance(61)
        after = stands(desk, receipt)
        assert (after.state, after.trigger_id) == (DONE, late)
        assert desk.ear.heard("presumed absent: look at both", Severity.DANGER)
        assert asked(desk, Call.PLACE_GTT) == 1


async def test_reads_that_fail_prove_nothing() -> None:
    """While the list cannot be read nothing is presumed, however long it takes."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_REQUEST)
        receipt = await place(desk)
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.GTTS)
        await desk.clock.advance(120)
        assert stands(desk, receipt).state is UNKNOWN
        desk.broker.heal()
        await desk.clock.advance(40)
        assert stands(desk, receipt).state is ABSENT


async def test_an_equal_trigger_that_stood_before_is_not_it() -> None:
    """The same condition and orders from the phone, minutes or seconds ago, answer nothing."""
    async with Desk() as desk:
        desk.broker.leave_trigger(OCO)
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_REQUEST)
        receipt = await place(desk)
        await desk.clock.advance(32)
        assert stands(desk, receipt).state is ABSENT


async def test_without_a_list_before_the_time_alone_tells_a_new_one() -> None:
    """An older one is passed over, the one made since is found."""
    async with Desk() as desk:
        old = desk.broker.leave_trigger(OCO)
        row = desk.broker.triggers[old]
        desk.broker.triggers[old] = msgspec.structs.replace(row, created_at=OPENING - timedelta(minutes=5))
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.GTTS)
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_ANSWER)
        receipt = await place(desk)
        desk.broker.heal()
        await desk.clock.advance(2)
        after = stands(desk, receipt)
        assert (after.state, after.trigger_id) == (DONE, old + 1)


async def test_of_two_equal_ones_without_answers_one_new_trigger_answers_one() -> None:
    """Each new trigger belongs to one request; the other is looked for on."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE_GTT, Fault.LOSE_ANSWER, Fault.LOSE_REQUEST)
        first, second = await place(desk), await place(desk)
        await desk.clock.advance(33)
        assert [stands(desk, receipt).state for receipt in (first, second)] == [DONE, ABSENT]
        assert len(desk.broker.triggers) == 1


async def test_a_kill_between_sending_and_the_answer_is_looked_up() -> None:
    """The next engine finds the journal saying SENDING, and the trigger in the list."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE_GTT, "after")
        placing = asyncio.ensure_future(place(desk, key="k"))
        await settle()
        await desk.crash()
        await asyncio.gather(placing, return_exceptions=True)
        desk.broker.heal()
        await desk.open()
        await desk.clock.advance(2)
        found = await desk.instructions.by_idempotency_key(desk.executor.account, "k")
        assert found is not None
        assert (found.state, found.trigger_id) == (DONE, 100_001)
        again = await place(desk, key="k")
        assert (again.accepted, again.repeated, again.trigger_id) == (True, True, 100_001)
        assert asked(desk, Call.PLACE_GTT) == 1


async def test_a_key_asks_once_over_restarts() -> None:
    """The same key gives the same trigger, now and in the next engine."""
    async with Desk() as desk:
        first = await place(desk, key="k")
        assert (await place(desk, single(), key="k")).trigger_id == first.trigger_id
        await desk.restart()
        assert (await place(desk, key="k")).trigger_id == first.trigger_id
        assert asked(desk, Call.PLACE_GTT) == 1
        refusal = await place(desk, key="")
        assert [violation.check for violation in refusal.violations] == ["key"]


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (Fault.REFUSE, InstructionState.REFUSED),
        (Fault.UNAVAILABLE, InstructionState.NOT_SENT),
        (Fault.NO_SESSION, InstructionState.NOT_SENT),
        (Fault.BROKEN_ROAD, UNKNOWN),
    ],
)
async def test_every_end_of_a_request_has_its_state(fault: Fault, state: InstructionState) -> None:
    """A definite no, nothing sent, and everything else unknown."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE_GTT, fault)
        receipt = await place(desk)
        assert stands(desk, receipt).state is state
        assert receipt.accepted is (state is UNKNOWN)


async def test_a_refusal_for_speed_is_obeyed_and_tried_again() -> None:
    """Nothing was done, so it may be asked again, a few times; then it was not sent."""
    async with Desk() as desk:
        desk.broker.arm(Call.PLACE_GTT, Fault.TOO_FAST)
        placing = asyncio.ensure_future(place(desk))
        await desk.clock.advance(1.5)
        assert (await placing).instruction_state is DONE
        desk.broker.arm(Call.PLACE_GTT, *[Fault.TOO_FAST] * 3)
        placing = asyncio.ensure_future(place(desk, single()))
        await desk.clock.advance(5)
        assert (await placing).instruction_state is InstructionState.NOT_SENT


async def test_changes_and_deletions_without_answers_are_read_off_the_list() -> None:
    """A change that is shown was made, one that is not has had no effect; a deleted trigger is gone."""
    async with Desk() as desk:
        trigger_id = (await place(desk)).trigger_id
        assert trigger_id is not None
        triggers = side_of(desk).triggers
        desk.broker.arm(Call.MODIFY_GTT, Fault.LOSE_ANSWER, Fault.LOSE_REQUEST)
        other = msgspec.structs.replace(OCO, orders=(stop("61"), stop("181", "180")))
        made = await triggers.modify(ModifyGtt(trigger_id=trigger_id, request=other))
        await desk.clock.advance(2)
        assert stands(desk, made).state is DONE
        lost = await triggers.modify(ModifyGtt(trigger_id=trigger_id, request=OCO))
        await desk.clock.advance(33)
        assert stands(desk, lost).state is ABSENT
        desk.broker.arm(Call.DELETE_GTT, Fault.LOSE_ANSWER)
        gone = await triggers.delete(DeleteGtt(trigger_id=trigger_id))
        await desk.clock.advance(2)
        assert stands(desk, gone).state is DONE
        over = await triggers.delete(DeleteGtt(trigger_id=trigger_id))
        assert [violation.check for violation in over.violations] == ["trigger"]
        strange = await triggers.modify(ModifyGtt(trigger_id=7, request=OCO))
        assert "There is no trigger 7" in strange.message
        assert (asked(desk, Call.MODIFY_GTT), asked(desk, Call.DELETE_GTT)) == (2, 1)


async def test_a_trigger_that_fired_meanwhile_was_not_taken_back() -> None:
    """The list says triggered: the deletion had no effect, and that is known at once."""
    async with Desk() as desk:
        trigger_id = (await place(desk)).trigger_id
        assert trigger_id is not None
        desk.broker.arm(Call.DELETE_GTT, Fault.LOSE_REQUEST)
        lost = await side_of(desk).triggers.delete(DeleteGtt(trigger_id=trigger_id))
        row = desk.broker.triggers[trigger_id]
        desk.broker.triggers[trigger_id] = msgspec.structs.replace(row, status=GttStatus.TRIGGERED)
        await desk.clock.advance(2)
        assert stands(desk, lost).state is ABSENT
        assert "triggered" in stands(desk, lost).message


async def test_a_journal_that_is_down_sends_nothing() -> None:
    """Not written, not sent; what is already known to have happened is written as soon as it can be."""
    async with Desk() as desk:
        desk.instructions.down = StorageUnavailable("the database is gone")
        refusal = await place(desk)
        assert [violation.check for violation in refusal.violations] == ["journal"]
        assert asked(desk, Call.PLACE_GTT) == 0
        desk.instructions.down = None
        desk.broker.close_gate(Call.PLACE_GTT)
        placing = asyncio.ensure_future(place(desk))
        await settle()
        desk.instructions.down = StorageUnavailable("the database is gone")
        desk.broker.open_gate(Call.PLACE_GTT)
        receipt = await placing
        assert receipt.instruction_state is DONE
        desk.instructions.down = None
        await side_of(desk).look()
        assert stands(desk, receipt).state is DONE


@pytest.mark.parametrize("is_known_late", [False, True])
async def test_a_trigger_is_taken_back_without_the_journal(is_known_late: bool) -> None:
    """Asked for at once although nothing can be written; journalled once, when it can, also if the record was taken
    after all.
    """
    async with Desk() as desk:
        trigger_id = (await place(desk)).trigger_id
        assert trigger_id is not None
        if is_known_late:
            desk.instructions.lie_once = True
        else:
            desk.instructions.down = StorageUnavailable("the database is gone")
        receipt = await side_of(desk).triggers.delete(DeleteGtt(trigger_id=trigger_id), seat="one")
        assert (receipt.accepted, receipt.instruction_state, receipt.instruction) == (True, DONE, None)
        assert "The journal is away" in receipt.message
        assert desk.broker.triggers[trigger_id].status is GttStatus.DELETED
        desk.instructions.down = None
        await desk.clock.advance(2)
        placed, taken = desk.store.instructions.values()
        assert (taken.state, taken.trigger_id, taken.seat) == (DONE, trigger_id, "one")
        assert [event.to_state for event in await desk.instructions.history(taken.number)] == [DONE]
        assert placed.state is DONE
        assert not side_of(desk).book.is_behind
        await desk.restart()
        assert asked(desk, Call.DELETE_GTT) == 1


async def test_a_journal_that_hangs_keeps_no_trigger_from_being_taken_back() -> None:
    """The deletion goes out after the spool's half second, a new trigger is refused; all is written in its order."""
    async with Desk() as desk:
        first, second = (await place(desk)).trigger_id, (await place(desk, single())).trigger_id
        assert first is not None
        assert second is not None
        desk.instructions.stall = asyncio.Event()
        taking = [
            asyncio.ensure_future(side_of(desk).triggers.delete(DeleteGtt(trigger_id=number)))
            for number in (first, second)
        ]
        placing = asyncio.ensure_future(place(desk))
        await desk.clock.advance(0.6)
        assert [(await task).instruction_state for task in taking] == [DONE, DONE]
        assert [violation.check for violation in (await placing).violations] == ["journal"]
        assert {row.status for row in desk.broker.triggers.values()} == {GttStatus.DELETED}
        desk.instructions.stall.set()
        desk.instructions.stall = None
        await desk.clock.advance(3)
        assert not side_of(desk).book.is_behind
        kept = {item.trigger_id: item.state for item in desk.store.instructions.values() if item.gtt is None}
        assert kept == {first: DONE, second: DONE}
        lines = [event.number for event in desk.store.instruction_events]
        assert len(lines) == len(set(lines)), "each change is written once"


async def test_changes_that_are_owed_together_are_each_written_once() -> None:
    """Two answers come while the journal is away: neither is lost, neither is written twice."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE_GTT)
        placing = [asyncio.ensure_future(place(desk, request)) for request in (OCO, single())]
        await settle()
        desk.instructions.stall = asyncio.Event()
        desk.broker.open_gate(Call.PLACE_GTT)
        await desk.clock.advance(0.1)
        desk.instructions.stall.set()
        desk.instructions.stall = None
        await desk.clock.advance(2)
        assert [(await task).instruction_state for task in placing] == [DONE, DONE]
        assert [item.state for item in desk.store.instructions.values()] == [DONE, DONE]
        assert len(desk.store.instruction_events) == 2


async def test_a_record_that_was_taken_too_late_is_closed() -> None:
    """Reported as not written, found in the database: it is closed as not sent, and its key asks for nothing."""
    async with Desk() as desk:
        desk.instructions.lie_once = True
        refusal = await place(desk, key="k")
        assert [violation.check for violation in refusal.violations] == ["journal"]
        await desk.clock.advance(2)
        (kept,) = desk.store.instructions.values()
        assert kept.state is InstructionState.NOT_SENT
        again = await place(desk, key="k")
        assert (again.accepted, again.repeated) == (False, True)
        assert asked(desk, Call.PLACE_GTT) == 0


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (single(stop(quantity=70)), ["lot"]),
        (single(stop(price="58.03")), ["tick"]),
        (single(stop("105.10")), ["trigger"]),
        (single(stop("60.03")), ["tick"]),
        (GttRequest(instrument=CALL.key, kind=GttKind.OCO, orders=(stop(),)), ["kind"]),
        (GttRequest(instrument=CALL.key, kind=GttKind.OCO, orders=(stop("120"), stop("180"))), ["trigger"]),
        (GttRequest(instrument=CALL.key, kind=GttKind.SINGLE, orders=()), ["kind"]),
        (single(msgspec.structs.replace(stop(), product=Product.MIS)), ["product"]),
        (single(stop("0", "0")), ["price", "trigger"]),
    ],
)
async def test_ill_formed_triggers_are_refused_with_their_numbers(request_: GttRequest, names: list[str]) -> None:
    """All that is wrong is named; nothing is sent."""
    async with Desk() as desk:
        receipt = await place(desk, request_)
        assert sorted({violation.check for violation in receipt.violations}) == names
        assert asked(desk, Call.PLACE_GTT) == 0
        violations, _, _ = side_of(desk).triggers.check(request_)
        assert violations == receipt.violations


async def test_a_protective_trigger_needs_no_arming_and_an_entry_does() -> None:
    """In READ a stop for what is held may be left, one that would open a short may not."""
    async with Desk() as desk:
        desk.facts.current_mode = Mode.READ
        refusal = await place(desk, single())
        assert [violation.check for violation in refusal.violations] == ["mode"]
        desk.facts.held = {CALL.key: 65}
        assert (await place(desk, single())).accepted


async def test_as_many_as_the_broker_keeps_and_no_more() -> None:
    """The 251st active trigger is refused here."""
    async with Desk() as desk:
        for _ in range(250):
            desk.broker.leave_trigger(OCO)
        refusal = await place(desk)
        assert "250 triggers stand already" in refusal.message


# -- conversions -----------------------------------------------------------------------------------------------------


def conversion(quantity: int = 65, key: str | None = None) -> ConvertPosition:
    """NRML to MIS of a long."""
    return ConvertPosition(
        instrument=CALL.key,
        side=Side.BUY,
        quantity=quantity,
        from_product=Product.NRML,
        to_product=Product.MIS,
        idempotency_key=key,
    )


async def convert(desk: Desk, command: ConvertPosition | None = None) -> Receipt:
    """Convert and let it run."""
    receipt = await side_of(desk).conversions.convert(command or conversion())
    await settle()
    return receipt


def hold(desk: Desk, units: int = 130) -> None:
    """The account holds a long, here and at the broker."""
    desk.facts.held = {CALL.key: units}
    desk.broker.held = {(CALL.key, Product.NRML): units}


async def test_a_conversion_is_asked_once_and_booked() -> None:
    """Done at the broker, told to the ledger; the same key asks no second time, over a restart too."""
    async with Desk() as desk:
        hold(desk)
        receipt = await convert(desk, conversion(key="c"))
        assert receipt.instruction_state is DONE
        assert [done.number for done in desk.converted] == [receipt.instruction]
        await desk.restart()
        again = await convert(desk, conversion(key="c"))
        assert (again.repeated, again.instruction) == (True, receipt.instruction)
        assert len(desk.broker.converted) == asked(desk, Call.CONVERT) == 1
        assert {done.number for done in desk.converted} == {receipt.instruction}, "a kill before booking loses nothing"


async def test_a_lost_conversion_is_found_by_comparing_products() -> None:
    """Even while fills come in between: they are no conversion."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.LOSE_ANSWER)
        receipt = await convert(desk)
        assert stands(desk, receipt).state is UNKNOWN
        order = desk.broker.place_outside(_outside())
        desk.broker.fill(order.order_id)
        await desk.clock.advance(2)
        assert stands(desk, receipt).state is DONE
        assert [done.number for done in desk.converted] == [receipt.instruction]
        assert asked(desk, Call.CONVERT) == 1


async def test_a_fill_is_not_taken_for_a_conversion() -> None:
    """The same quantity sold in one product and bought in the other moves no product."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.LOSE_REQUEST)
        receipt = await convert(desk)
        for request in (_outside(side=Side.SELL), _outside(product=Product.MIS)):
            desk.broker.fill(desk.broker.place_outside(request).order_id)
        await desk.clock.advance(33)
        assert stands(desk, receipt).state is ABSENT
        assert desk.converted == []
        assert asked(desk, Call.CONVERT) == 1


async def test_while_one_is_unknown_no_other_of_the_contract_is_sent() -> None:
    """Nobody could tell two of them apart."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.LOSE_REQUEST)
        await convert(desk)
        refusal = await convert(desk)
        assert [violation.check for violation in refusal.violations] == ["unknown"]
        await desk.clock.advance(33)
        assert (await convert(desk)).instruction_state is DONE


async def test_a_conversion_of_an_earlier_day_is_left_to_a_person() -> None:
    """The broker's fills begin anew each day: nothing can be compared."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.LOSE_REQUEST)
        receipt = await convert(desk)
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.POSITIONS)
        desk.clock.elapsed += 86_400
        await side_of(desk).look()
        assert stands(desk, receipt).state is ABSENT
        assert "A day has passed" in stands(desk, receipt).message


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (conversion(195), ["position"]),
        (conversion(70), ["lot"]),
        (msgspec.structs.replace(conversion(), to_product=Product.NRML), ["product"]),
        (msgspec.structs.replace(conversion(), to_product=Product.CNC), ["product"]),
        (msgspec.structs.replace(conversion(), side=Side.SELL), ["position"]),
    ],
)
async def test_conversions_are_checked_against_what_is_held(command: ConvertPosition, names: list[str]) -> None:
    """What cannot be converted is refused with its number, and nothing is sent."""
    async with Desk() as desk:
        hold(desk)
        receipt = await convert(desk, command)
        assert [violation.check for violation in receipt.violations] == names
        assert asked(desk, Call.CONVERT) == 0


async def test_what_is_held_must_be_readable_before() -> None:
    """Without the figures before, nothing could be compared after."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.POSITIONS)
        refusal = await convert(desk)
        assert [violation.check for violation in refusal.violations] == ["positions"]
        assert desk.store.instructions == {}


async def test_a_step_the_table_does_not_list_is_said_and_not_applied() -> None:
    """What is done stays done."""
    async with Desk() as desk:
        receipt = await place(desk)
        assert receipt.instruction is not None
        book = side_of(desk).book
        after = await book.settle(InstructionNumber(receipt.instruction), InstructionState.REFUSED, "no")
        assert after.state is DONE
        assert desk.ear.heard("is not applied")


def _outside(side: Side = Side.BUY, product: Product = Product.NRML) -> OrderRequest:
    """An order of the phone."""
    return buy(side=side, product=product)
