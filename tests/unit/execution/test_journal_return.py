"""A journal that comes back, and what may go wrong on the way: the spool's disk, a late call, a ledger that hangs."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import msgspec
import pytest

from engine.core.errors import InvalidInput, StorageConflict, StorageTimeout, StorageUnavailable, WriterLost
from engine.core.identifiers import OrderNumber, StrategyNumber
from engine.core.ledger import trade_reference
from engine.core.orders import OrderIntent, OrderState, Trade
from engine.core.vocabulary import Severity
from engine.execution.journal_merge import SpoolMerger
from engine.execution.patience import Patience
from engine.execution.patient_upkeep import PatientUpkeep
from engine.execution.settings import BudgetLimits, ExecutionSettings
from engine.execution.spool_file import SpoolUnusable
from engine.execution.spool_records import SpooledOrder, queued
from storage.memory import MemoryRepositories
from tests.unit.execution.desk import ACCOUNT, Desk, ManualClock, buy, sell, settle
from tests.unit.execution.test_executor_spool import agree, back, desk_with_spool, in_spool
from tests.unit.execution.test_spool_file import intent


async def test_a_call_within_the_limit_is_answered_and_a_late_one_goes_on() -> None:
    """Who waited is told after the limit; the call ends by itself, and until then it is known to be out."""
    clock, gate, done = ManualClock(), asyncio.Event(), []
    patience = Patience(clock, 0.5)

    async def slow() -> int:
        await gate.wait()
        done.append(1)
        return 7

    asking = asyncio.ensure_future(patience.ask(slow()))
    await clock.advance(0.4)
    gate.set()
    assert await asking == 7
    gate.clear()
    asking = asyncio.ensure_future(patience.ask(slow()))
    await clock.advance(0.6)
    with pytest.raises(StorageTimeout, match=r"within 0\.5 s"):
        await asking
    found = [patience.has_late]
    gate.set()
    await settle()
    found.append(patience.has_late)
    assert found == [True, False]
    assert len(done) == 2


@pytest.mark.parametrize("begun_s", [0.0, 0.22, 0.48])
async def test_a_process_that_stood_still_does_not_blame_the_database(begun_s: float) -> None:
    """The loop stalls for 3 s at any moment of the wait: the answer, which lay there all the time, is still taken."""
    clock = ManualClock()
    patience, answer = Patience(clock, 0.5), asyncio.get_running_loop().create_future()

    async def waiting() -> str:
        found: str = await answer
        return found

    asking = asyncio.ensure_future(patience.ask(waiting()))
    await clock.advance(begun_s)
    clock.elapsed += 3.0
    await clock.advance(0)
    assert not asking.done()
    answer.set_result("written")
    assert await asking == "written"
    assert not patience.has_late


async def test_a_stall_does_not_hide_a_database_that_is_silent() -> None:
    """After 3 s of standing still the rest of the limit is waited, and not a moment longer."""
    clock = ManualClock()
    patience = Patience(clock, 0.5)
    asking = asyncio.ensure_future(patience.ask(asyncio.Event().wait()))
    await clock.advance(0.22)
    clock.elapsed += 3.0
    await clock.advance(0.25)
    assert not asking.done()
    await clock.advance(0.1)
    with pytest.raises(StorageTimeout):
        await asking
    await patience.end()


class LateClock(ManualClock):
    """Every sleep ends so many seconds late: a loop that is always busy."""

    def __init__(self, late_s: float) -> None:
        super().__init__()
        self.late_s = late_s

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.late_s)


@pytest.mark.parametrize(("late_s", "least_s", "most_s"), [(0.0, 0.45, 0.55), (0.04, 0.85, 0.95), (0.2, 4.9, 5.1)])
async def test_a_loop_that_is_always_late_still_comes_to_an_end(late_s: float, least_s: float, most_s: float) -> None:
    """The slower this process, the longer it waits; never more than twice as many looks as on an idle machine."""
    clock = LateClock(late_s)
    patience = Patience(clock, 0.5)
    asking = asyncio.ensure_future(patience.ask(asyncio.Event().wait()))
    await clock.advance(least_s)
    assert not asking.done()
    await clock.advance(most_s - least_s)
    with pytest.raises(StorageTimeout):
        await asking
    await patience.end()


async def test_a_connection_that_is_refused_is_no_matter_of_patience() -> None:
    """What fails is passed on at once, without a moment having gone by."""
    clock = ManualClock()

    async def refused() -> None:
        raise StorageUnavailable("connection refused")

    with pytest.raises(StorageUnavailable, match="connection refused"):
        await Patience(clock, 0.5).ask(refused())
    assert clock.elapsed == 0.0


async def test_who_is_cancelled_takes_the_call_along() -> None:
    """A caller that ends before the limit leaves nothing behind."""
    clock = ManualClock()
    patience = Patience(clock, 0.5)
    asking = asyncio.ensure_future(patience.ask(asyncio.Event().wait()))
    await settle()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not patience.has_late


@pytest.mark.parametrize(
    ("error", "lost"),
    [(WriterLost("gone"), 1), (StorageUnavailable("gone"), 0), (ZeroDivisionError("a mistake"), 0)],
)
async def test_how_a_late_call_ended_is_heard(error: Exception, lost: int, caplog: pytest.LogCaptureFixture) -> None:
    """Another writer ends everything; anything else is for the log."""
    clock, gate, heard = ManualClock(), asyncio.Event(), []
    patience = Patience(clock, 0.5, lambda: heard.append(1))

    async def failing() -> None:
        await gate.wait()
        raise error

    asking = asyncio.ensure_future(patience.ask(failing()))
    await clock.advance(0.6)
    with pytest.raises(StorageTimeout):
        await asking
    with caplog.at_level("INFO"):
        gate.set()
        await settle()
    assert len(heard) == lost
    assert lost or "late call" in caplog.text
    await patience.end()


async def test_what_is_still_out_at_the_end_is_given_up() -> None:
    """No task outlives the executor."""
    clock = ManualClock()
    patience = Patience(clock, 0.5)
    asking = asyncio.ensure_future(patience.ask(asyncio.Event().wait()))
    await clock.advance(0.6)
    with pytest.raises(StorageTimeout):
        await asking
    await patience.end()
    assert not patience.has_late


async def test_upkeep_never_waits_longer_than_the_journal(tmp_path: Path) -> None:
    """What the memory keeps is given through; a database that hangs is given up after the limit."""
    async with desk_with_spool(tmp_path) as desk:
        upkeep = MemoryRepositories(desk.store).upkeep
        patient = PatientUpkeep(upkeep, Patience(desk.clock, 0.5))
        epoch = desk.store.epochs[ACCOUNT]
        await patient.save_mismatches((), epoch=epoch)
        await patient.set_tidied(ACCOUNT, desk.strategy, False, epoch=epoch)
        assert await patient.untidied(ACCOUNT) == (desk.strategy,)
        assert await patient.mismatches(ACCOUNT) == ()


class HangingLedger:
    """Books fills when it is let."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.calls = 0
        self.trades: list[Trade] = []

    async def on_trades(self, trades: tuple[Trade, ...]) -> None:
        """Wait, then book."""
        self.calls += 1
        await self.gate.wait()
        self.trades += trades

    def is_booked(self, reference: str) -> bool:
        """Whether it did."""
        return reference in {trade_reference(trade) for trade in self.trades}


async def test_the_book_is_read_on_while_the_ledger_hangs(tmp_path: Path) -> None:
    """A fill waits to be booked; a cancellation is confirmed all the same; the ledger is asked once at a time."""
    desk = desk_with_spool(tmp_path)
    ledger = HangingLedger()
    desk.fills = ledger  # type: ignore[assignment]
    async with desk:
        resting = await desk.resting(sell(price="106"))
        filled = await desk.resting(sell())
        desk.broker.fill(desk.broker.of_tag(desk.order(filled).tag).order_id)
        await desk.clock.advance(6)
        assert desk.state(filled) is OrderState.COMPLETE
        assert desk.ear.heard("fills could not be booked", Severity.DANGER)
        await desk.cancel(resting)
        await desk.clock.advance(3)
        assert desk.state(resting) is OrderState.CANCELLED
        assert ledger.calls == 1
        ledger.gate.set()
        await desk.clock.advance(0)
        assert {trade.trade_id for trade in ledger.trades} == {"1"}
        assert desk.executor.unbooked() == ()  # somebody looks before the fills are offered again
        await desk.clock.advance(5)
        assert ledger.calls == 1
        assert desk.executor.snapshot().degraded == ()


async def test_a_spool_that_cannot_be_marked_or_emptied_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is back all the same: exits go on, through it; the next time the file is made anew."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        number = (await desk.place(sell())).orders[0].number
        assert desk.spool_file is not None

        def refuse(*_: object, **__: object) -> None:
            raise SpoolUnusable("the disk has failed")

        monkeypatch.setattr(desk.spool_file, "append", refuse)
        monkeypatch.setattr(desk.spool_file, "clear", refuse)
        await back(desk)
        agree(desk)
        assert desk.ear.heard("could not be marked as merged", Severity.DANGER)
        assert any("the disk has failed" in words for words in desk.executor.snapshot().degraded)
        assert (await desk.place(buy(price="104.90"))).accepted
        monkeypatch.undo()
        desk.journal.fail()
        assert (await desk.place(sell(price="106"))).accepted
        await back(desk)
        assert desk.executor.snapshot().degraded == ()
        assert desk.state(number) is OrderState.OPEN
        assert in_spool(desk) == []


async def test_a_disk_that_refuses_the_spool_keeps_an_exit_from_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither journal nor spool: refused in words; what the order's journalled twin could have become is owed."""
    async with desk_with_spool(tmp_path, ExecutionSettings(budget=BudgetLimits(per_second=1))) as desk:
        await desk.place(sell(price="107"))  # all that may leave in this second
        taken = await desk.place(sell())
        desk.journal.fail_changes()

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        number = taken.orders[0].number
        await desk.clock.advance(1.3)
        assert desk.state(number) is OrderState.QUEUED
        assert desk.broker.posts.total() == 1
        refused = await desk.place(sell(price="106"))
        assert "No space left" in refused.message
        monkeypatch.undo()
        await desk.clock.advance(2)
        assert desk.state(number) is OrderState.OPEN
        await back(desk)
        agree(desk)
        assert set(desk.broker.posts.values()) == {1}


async def test_numbers_that_cannot_be_reserved_are_not_missed_while_the_journal_works(tmp_path: Path) -> None:
    """The journal gives them itself; without both, an exit is refused."""
    async with desk_with_spool(tmp_path) as desk:
        await desk.close()
        journal, asked = type(desk.journal).reserve_numbers, []

        async def failing(*_: object, **__: object) -> tuple[OrderNumber, ...]:
            asked.append(1)
            raise StorageUnavailable("not now")

        type(desk.journal).reserve_numbers = failing  # type: ignore[method-assign]
        try:
            await desk.open()
            assert asked
            assert (await desk.place(sell())).accepted
            desk.journal.fail()
            assert "no reserved order number" in (await desk.place(sell(price="106"))).message
        finally:
            type(desk.journal).reserve_numbers = journal  # type: ignore[method-assign]


async def test_clean_starts_make_consecutive_numbers_and_a_kill_leaves_a_gap(tmp_path: Path) -> None:
    """What an engine had in stock and did not use is the next one's; a killed engine gives nothing back."""
    made: list[OrderNumber] = []
    async with desk_with_spool(tmp_path) as desk:
        for _ in range(3):
            made += [(await desk.place(sell(price=price))).orders[0].number for price in ("106", "107")]
            await desk.close()
            await desk.open()
        assert made == list(range(made[0], made[0] + 6))
        await desk.restart()
        after_kill = (await desk.place(sell(price="108"))).orders[0].number
        assert made[-1] + 1 < after_kill <= made[-1] + 1 + 2 * desk.settings.spool.numbers_kept


async def test_numbers_are_kept_back_when_what_is_owed_could_not_be_written(tmp_path: Path) -> None:
    """The end comes while the journal is away: the spool's orders have their numbers, and nothing is given back."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        spooled = (await desk.place(sell())).orders[0].number
        await desk.close()
        assert desk.store.spare_numbers == set()
        await desk.open()
        assert desk.journalled(spooled).request == sell()
        assert (await desk.place(sell(price="106"))).orders[0].number > spooled


async def test_one_order_the_journal_refuses_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """It stays in the spool and is said; entries wait for a person; exits go on."""
    async with desk_with_spool(tmp_path) as desk:
        desk.journal.fail()
        first = (await desk.place(sell())).orders[0].number
        second = (await desk.place(sell(price="106"))).orders[0].number
        original = desk.journal.merge

        async def merge(wanted: OrderIntent | None, *arguments: object, **named: object) -> None:
            if wanted is not None and wanted.request.price == sell().price:
                raise StorageConflict("its row is another one")
            await original(wanted, *arguments, **named)  # type: ignore[arg-type]

        desk.journal.merge = merge  # type: ignore[method-assign, assignment]
        await back(desk)
        assert second in desk.store.orders
        assert first not in desk.store.orders
        assert any(f"o{first} stands differently" in words for words in desk.executor.snapshot().degraded)
        assert not (await desk.place(buy())).accepted
        assert (await desk.place(sell(price="107"))).accepted
        desk.journal.merge = original  # type: ignore[method-assign]
        await desk.clock.advance(3)
        agree(desk)
        assert (await desk.place(buy(price="104.90"))).accepted


async def test_a_late_write_does_not_hide_the_newest_standing(tmp_path: Path) -> None:
    """A write that was given up lands after all others: every order of that time is written once more."""
    async with desk_with_spool(tmp_path) as desk:
        number = await desk.resting(sell())
        old = desk.store.orders[number]
        desk.journal.fail()
        await desk.cancel(number)
        await desk.clock.advance(2)
        original = desk.journal.merge

        async def merge(*arguments: object, **named: object) -> None:
            await original(*arguments, **named)  # type: ignore[arg-type]
            desk.store.orders[number] = old

        desk.journal.merge = merge  # type: ignore[method-assign]
        await back(desk)
        assert desk.journalled(number).state is OrderState.CANCELLED
        agree(desk)


@pytest.mark.parametrize("error", [StorageConflict("taken"), InvalidInput("no such account", field="account")])
async def test_a_refusal_that_nothing_explains_is_passed_on(error: Exception) -> None:
    """The merger puts right what it understands and nothing else."""
    async with Desk() as desk:
        order = SpooledOrder(record=queued(intent(1), OrderNumber(900)), events=(), intent=intent(1))

        async def refusing(*_: object, **__: object) -> None:
            raise error

        desk.journal.merge = refusing  # type: ignore[method-assign]
        merger = SpoolMerger(desk.journal, ACCOUNT, 1, lambda _: None)
        with pytest.raises(type(error)):
            await merger.merge(order, may_renumber=True)


async def test_a_strategy_is_dropped_of_an_old_order_too() -> None:
    """Its intent is in the journal since before; the standing alone named the strategy."""
    async with Desk() as desk:
        number = await desk.resting()
        record = desk.order(number)
        strange = msgspec.structs.replace(record, request=sell(strategy=StrategyNumber(77)))
        told: list[str] = []
        changed = SpooledOrder(record=strange, events=(), intent=None)
        merged = await SpoolMerger(desk.journal, ACCOUNT, 1, told.append).merge(changed)
        assert merged.record.request.strategy is None
        assert desk.journalled(number).request.strategy is None
        assert len(told) == 1
