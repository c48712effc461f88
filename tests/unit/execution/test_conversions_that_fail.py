"""Conversions and what stands in their way: figures that move, a ledger that is away, a broker out of reach."""

from __future__ import annotations

import pytest

from engine.core.commands import ConvertPosition
from engine.core.errors import BrokerUnavailable, StorageUnavailable
from engine.core.instructions import Instruction, InstructionState
from engine.core.positions import BrokerPosition
from engine.core.vocabulary import Product, Severity, Side
from engine.execution.breaker import Endpoint, Reach
from tests.kit.fake_broker import Call, Fault
from tests.unit.execution.desk import Desk, buy
from tests.unit.execution.test_instructions import CALL, asked, conversion, convert, hold, stands


class DeskWithLedger(Desk):
    """A desk whose ledger may be away."""

    ledger_error: StorageUnavailable | None = None
    tries = 0

    async def _book_conversion(self, instruction: Instruction) -> None:
        self.tries += 1
        if self.ledger_error is not None:
            raise self.ledger_error
        await super()._book_conversion(instruction)


def fill_with_every_read(desk: Desk) -> None:
    """From now on an order of the phone is filled whenever positions are read."""
    read = desk.broker.positions

    async def positions() -> tuple[BrokerPosition, ...]:
        found = await read()
        desk.broker.fill(desk.broker.place_outside(buy(side=Side.BUY)).order_id)
        return found

    desk.broker.positions = positions  # type: ignore[method-assign]


async def test_a_conversion_waits_for_the_ledger_and_is_booked_once() -> None:
    """Done at the broker while the ledger is away: said once, tried again by itself, and told no more after."""
    async with DeskWithLedger() as desk:
        hold(desk)
        desk.ledger_error = StorageUnavailable("the database is gone")
        receipt = await convert(desk)
        assert receipt.instruction_state is InstructionState.DONE
        assert desk.converted == []
        assert desk.ear.heard("could not be booked (the database is gone); it is tried again", Severity.ATTENTION)
        await desk.clock.advance(5)
        assert len(desk.ear.heard("could not be booked")) == 1
        desk.ledger_error = None
        await desk.clock.advance(2)
        assert [done.number for done in desk.converted] == [receipt.instruction]
        before = desk.tries
        await desk.clock.advance(90)
        assert desk.tries == before
        assert asked(desk, Call.CONVERT) == 1


async def test_a_conversion_is_booked_behind_the_fills_that_it_moves() -> None:
    """Asked for while the ledger has not taken the fills yet: it has nothing to move, and is told when it has."""
    async with Desk() as desk:
        number = await desk.resting(buy(quantity=130))
        desk.fills.keeps = True
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(3)
        assert desk.executor.unbooked() != ()
        desk.broker.held = {(CALL.key, Product.NRML): 130}
        receipt = await convert(desk)
        assert receipt.instruction_state is InstructionState.DONE, receipt.message
        await desk.clock.advance(3)
        assert desk.converted == []
        desk.fills.book_kept()
        await desk.clock.advance(3)
        assert [done.number for done in desk.converted] == [receipt.instruction]
        await desk.clock.advance(90)
        assert len(desk.converted) == 1
        assert asked(desk, Call.CONVERT) == 1


async def test_a_ledger_that_was_away_at_the_end_is_told_by_the_next_engine() -> None:
    """Killed before it was booked: the start tells everything that was done lately again."""
    async with DeskWithLedger() as desk:
        hold(desk)
        desk.ledger_error = StorageUnavailable("the database is gone")
        receipt = await convert(desk)
        await desk.crash()
        desk.ledger_error = None
        await desk.open()
        assert [done.number for done in desk.converted] == [receipt.instruction]


async def test_fills_that_come_faster_than_positions_can_be_read_stop_a_conversion() -> None:
    """Without figures of one moment nobody could tell afterwards whether it was done: nothing is sent."""
    async with Desk() as desk:
        hold(desk)
        fill_with_every_read(desk)
        refusal = await convert(desk)
        assert [violation.check for violation in refusal.violations] == ["positions"]
        assert "Fills come in faster" in refusal.message
        assert (asked(desk, Call.CONVERT), desk.store.instructions) == (0, {})


async def test_an_unknown_one_is_not_judged_on_figures_that_move() -> None:
    """Reads with fills in between prove neither way: it stays UNKNOWN past its window, until they stand still."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.LOSE_ANSWER)
        receipt = await convert(desk)
        read = desk.broker.positions
        fill_with_every_read(desk)
        await desk.clock.advance(40)
        assert stands(desk, receipt).state is InstructionState.UNKNOWN
        desk.broker.positions = read  # type: ignore[method-assign]
        await desk.clock.advance(2)
        assert stands(desk, receipt).state is InstructionState.DONE
        assert asked(desk, Call.CONVERT) == 1


async def test_figures_that_contradict_each_other_stop_a_conversion() -> None:
    """The broker's trades lag behind its positions: a baseline read now would hide the conversion for good."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.fill(desk.broker.place_outside(buy(side=Side.SELL)).order_id)
        desk.broker.fills_hidden = True
        refusal = await convert(desk)
        assert [violation.check for violation in refusal.violations] == ["positions"]
        assert "65 held, 130 carried over and 0 traded today" in refusal.message
        assert "nothing was sent" in refusal.message
        assert (asked(desk, Call.CONVERT), desk.store.instructions) == (0, {})
        desk.broker.fills_hidden = False
        receipt = await convert(desk, conversion(quantity=65))
        assert receipt.instruction_state is InstructionState.DONE, receipt.message


async def test_an_unknown_one_is_not_judged_on_figures_that_contradict_each_other() -> None:
    """A fill after the request that the trades do not show yet proves neither way; found when they do."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.LOSE_ANSWER)
        receipt = await convert(desk)
        desk.broker.fill(desk.broker.place_outside(buy(side=Side.SELL)).order_id)
        desk.broker.fills_hidden = True
        await desk.clock.advance(40)
        assert stands(desk, receipt).state is InstructionState.UNKNOWN
        desk.broker.fills_hidden = False
        await desk.clock.advance(2)
        assert stands(desk, receipt).state is InstructionState.DONE
        assert asked(desk, Call.CONVERT) == 1


async def test_a_conversion_is_refused_in_the_words_of_an_open_breaker() -> None:
    """The broker's triggers and conversions cannot be reached: nothing is read, journalled or sent."""
    async with Desk() as desk:
        hold(desk)
        breaker = desk.executor._sending.breakers[Endpoint.TRIGGERS]
        for _ in range(desk.settings.breaker.failures):
            breaker.begin()
            breaker.end(Reach.FAILED, "no route")
        refusal = await convert(desk)
        assert [violation.check for violation in refusal.violations] == ["breaker"]
        assert "no route" in refusal.message
        assert desk.store.instructions == {}


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (conversion(), ["session"]),
        (conversion(70), ["session", "lot"]),
        (conversion(0), ["session", "lot"]),
        (conversion(-65), ["session", "lot"]),
    ],
)
async def test_a_closed_market_and_strange_sizes_are_named_together(command: ConvertPosition, names: list[str]) -> None:
    """All that forbids it, at once."""
    async with Desk() as desk:
        hold(desk)
        desk.facts.is_open = False
        refusal = await convert(desk, command)
        checks = [violation.check for violation in refusal.violations]
        assert [name for name in checks if name != "position"] == names


async def test_a_contract_that_is_not_in_the_dump_cannot_be_converted() -> None:
    """Neither lot nor kind is known."""
    async with Desk() as desk:
        hold(desk)
        del desk.facts.instruments[CALL.key]
        desk.facts.held = {}
        refusal = await convert(desk)
        assert [violation.check for violation in refusal.violations] == ["instrument"]


async def test_unknown_holdings_leave_the_judgement_to_the_broker() -> None:
    """Our own figure is missing, the broker's is read: a conversion takes no new risk, so it is asked for."""
    async with Desk() as desk:
        hold(desk)
        desk.facts.held = None
        assert (await convert(desk)).instruction_state is InstructionState.DONE
        assert desk.broker.converted[0].to_product is Product.MIS


async def test_a_definite_no_of_the_broker_moves_nothing() -> None:
    """REFUSED, in the broker's words, and nothing is booked."""
    async with DeskWithLedger() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.REFUSE)
        receipt = await convert(desk)
        assert stands(desk, receipt).state is InstructionState.REFUSED
        assert (receipt.accepted, desk.tries) == (False, 0)


async def test_positions_that_cannot_be_read_afterwards_prove_nothing() -> None:
    """Its answer is lost and the broker's book with it: UNKNOWN until something can be compared."""
    async with Desk() as desk:
        hold(desk)
        desk.broker.arm(Call.CONVERT, Fault.LOSE_REQUEST)
        receipt = await convert(desk)
        desk.broker.break_reads(BrokerUnavailable("no connection"), Call.POSITIONS)
        await desk.clock.advance(60)
        assert stands(desk, receipt).state is InstructionState.UNKNOWN
        desk.broker.heal()
        await desk.clock.advance(40)
        assert stands(desk, receipt).state is InstructionState.PRESUMED_ABSENT
