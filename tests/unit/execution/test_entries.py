"""Taking entries back: what was dropped, what is being cancelled, and what could not be asked for."""

from __future__ import annotations

from engine.core.orders import OrderState
from engine.execution.settings import BudgetLimits, ExecutionSettings
from storage.memory import MemoryRepositories
from tests.kit.fake_broker import LOT, Call, Fault, option
from tests.unit.execution.desk import ACCOUNT, Desk, buy, sell

ONE_A_MINUTE = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0))


async def test_entries_go_and_exits_stay() -> None:
    """One rests, one is an exit of what is held: the first is cancelled, the other counted as kept."""
    async with Desk() as desk:
        desk.facts.held = {option(24_100).key: LOT}
        entry = await desk.resting(buy())
        leaving = await desk.resting(sell(instrument=option(24_100).key))
        found = await desk.executor.withdraw_entries(seat="one")
        assert [record.number for record in found.cancelling] == [entry]
        assert (found.dropped, found.failed, found.kept) == ((), (), 1)
        await desk.clock.advance(3)
        assert (desk.state(entry), desk.state(leaving)) == (OrderState.CANCELLED, OrderState.OPEN)


async def test_what_waits_and_has_become_an_entry_is_dropped_too() -> None:
    """It was an exit when it was queued; what it was to close is gone, and it would open now: it never leaves."""
    async with Desk(ONE_A_MINUTE) as desk:
        desk.facts.held = {option().key: LOT}
        await desk.resting(sell())
        waiting = (await desk.place(sell(price="106"))).orders[0].number
        assert desk.state(waiting) is OrderState.QUEUED
        desk.facts.held = {}
        found = await desk.executor.withdraw_entries()
        assert waiting in found.dropped
        assert desk.state(waiting) is OrderState.NOT_SENT
        await desk.clock.advance(120)
        assert sum(desk.broker.posts.values()) == 1


async def test_an_entry_without_an_answer_is_cancelled_when_it_is_found() -> None:
    """Nobody knows yet whether it rests: the wish is noted and done as soon as its number is known."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.ORDERS)
        desk.broker.arm(Call.PLACE, Fault.LOSE_ANSWER)
        lost = (await desk.place(buy())).orders[0].number
        assert desk.state(lost) is OrderState.UNKNOWN
        found = await desk.executor.withdraw_entries()
        assert [record.number for record in found.cancelling] == [lost]
        desk.broker.heal()
        await desk.clock.advance(4)
        assert desk.state(lost) is OrderState.CANCELLED


async def test_what_could_not_be_asked_for_is_named() -> None:
    """Another engine has become the writer: nothing is cancelled from here, and each order is said."""
    async with Desk() as desk:
        entry = await desk.resting(buy())
        desk.store.writers.clear()
        assert await MemoryRepositories(desk.store).writer_lock.acquire(ACCOUNT) is not None
        found = await desk.executor.withdraw_entries()
        (words,) = found.failed
        assert words.startswith(f"o{entry} was not cancelled")
        assert (found.dropped, found.cancelling) == ((), ())
        assert desk.state(entry) is OrderState.OPEN
