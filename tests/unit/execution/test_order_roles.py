"""What an order was made for, by what was held when it was decided; what waits while a market may be halted."""

from __future__ import annotations

from decimal import Decimal

from engine.core.identifiers import OrderNumber
from engine.core.vocabulary import OrderType
from engine.execution.housekeeping import Protection, Role
from engine.execution.order_roles import OrderRoles
from tests.kit.fake_broker import LOT, option
from tests.unit.execution.desk import Desk, buy, sell

CALL = option().key
HALT = "NSE F&O may be HALTED: none of 50 quotes has changed since 13:43:00, and the connection is alive"


async def protections(desk: Desk) -> dict[OrderNumber, Protection]:
    """Which of all orders are protective."""
    roles = OrderRoles(desk.journal, lambda: desk.strategy)
    return await roles.protections(desk.executor.orders())


async def test_an_order_protects_when_it_could_only_take_away() -> None:
    """A target and a stop of one long stand for each other; a second target would open, and so would a larger one."""
    async with Desk() as desk:
        desk.facts.held = {CALL: 2 * LOT}
        target = await desk.resting(sell(2 * LOT, price="140"))
        stop = await desk.resting(sell(2 * LOT, price="80", order_type=OrderType.SL, trigger_price=Decimal(81)))
        second = await desk.resting(sell(LOT, price="141"))
        entry = await desk.resting(buy(LOT))
        larger = await desk.resting(sell(3 * LOT, price="142"))
        found = await protections(desk)
        assert set(found) == {target, stop}
        assert found[target] == Protection(role=Role.TARGET, strategy=desk.strategy)
        assert not {entry, larger, second} & set(found)


async def test_an_order_that_was_made_larger_protects_only_as_far_as_was_held_then() -> None:
    """Modified beyond what was held it may open; once more is held, a modification up to that protects again."""
    async with Desk() as desk:
        desk.facts.held = {CALL: LOT}
        number = await desk.resting(sell(LOT, price="140"))
        assert set(await protections(desk)) == {number}
        await desk.modify(number, quantity=2 * LOT)
        await desk.clock.advance(3)
        assert await protections(desk) == {}
        desk.facts.held = {CALL: 2 * LOT}
        await desk.modify(number, price="141")
        await desk.clock.advance(3)
        assert desk.order(number).request.quantity == 2 * LOT
        assert set(await protections(desk)) == {number}


async def test_orders_from_outside_and_orders_of_unknown_times_protect_nothing() -> None:
    """Nobody wrote down what they were for."""
    async with Desk() as desk:
        desk.facts.held = {CALL: LOT}
        desk.broker.place_outside(sell(LOT, price="140"))
        await desk.clock.advance(16)
        desk.facts.held = None
        await desk.place(sell(LOT, price="141"))
        await desk.clock.advance(3)
        assert len(desk.executor.orders()) >= 1
        assert await protections(desk) == {}


async def test_a_stop_is_a_stop() -> None:
    """By the type it was made as."""
    async with Desk() as desk:
        desk.facts.held = {CALL: LOT}
        request = sell(LOT, price="80", order_type=OrderType.SL, trigger_price=Decimal(81))
        number = await desk.resting(request)
        assert (await protections(desk))[number].role is Role.STOP


async def test_n_12_entries_wait_in_a_halt_and_exits_are_sent_with_a_word() -> None:
    """The refusal says what speaks for a halt; an exit passes, and is told that it may wait."""
    async with Desk() as desk:
        desk.facts.halt = HALT
        receipt = await desk.place(buy())
        assert [violation.check for violation in receipt.violations] == ["halt"]
        assert HALT in receipt.message
        desk.facts.held = {CALL: LOT}
        violations, notes, adds_risk = desk.executor.check(sell(LOT))
        assert violations == ()
        assert not adds_risk
        assert any("trades when the market moves" in note for note in notes)
        assert (await desk.place(sell(LOT))).accepted
