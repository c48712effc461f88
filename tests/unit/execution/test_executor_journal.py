"""A journal that fails: before the wire nothing leaves, after the wire nothing is forgotten; a lost epoch ends all."""

from __future__ import annotations

import pytest

from engine.core.commands import CancelOrders
from engine.core.errors import InvariantBroken, StorageUnavailable
from engine.core.orders import OrderState
from engine.core.vocabulary import Severity
from engine.execution.settings import BudgetLimits, ExecutionSettings
from storage.memory import MemoryRepositories
from tests.kit.fake_broker import Call, option
from tests.unit.execution.desk import ACCOUNT, Desk, buy, sell


async def test_an_intent_that_cannot_be_written_is_not_sent() -> None:
    """The receipt says so."""
    async with Desk() as desk:
        desk.journal.fail()
        receipt = await desk.place()
        assert [violation.check for violation in receipt.violations] == ["journal"]
        assert not desk.broker.posts


async def test_a_commit_that_was_made_although_it_timed_out_is_closed_later() -> None:
    """The caller was told that it was not sent; so it never is, and its key answers with the closed order."""
    async with Desk() as desk:
        desk.journal.lie_once = True
        receipt = await desk.place(key="slow")
        assert not receipt.accepted
        assert desk.journalled(1).state is OrderState.SENDING
        await desk.clock.advance(20)
        assert desk.journalled(1).state is OrderState.NOT_SENT
        again = await desk.place(key="slow")
        assert again.repeated
        assert again.orders[0].state is OrderState.NOT_SENT
        assert not desk.broker.posts


async def test_an_order_waits_while_sending_cannot_be_journalled() -> None:
    """The journal comes back within the queue's patience: sent once. Otherwise not at all."""
    async with Desk(ExecutionSettings(budget=BudgetLimits(per_second=1), queue_expiry_s=5.0)) as desk:
        await desk.place()
        await desk.place()
        desk.journal.fail_changes()
        await desk.clock.advance(3)
        assert sum(desk.broker.posts.values()) == 1
        assert desk.state(2) is OrderState.QUEUED
        desk.journal.heal()
        await desk.clock.advance(2)
        assert sum(desk.broker.posts.values()) == 2
        await desk.clock.advance(2)
        await desk.place()
        await desk.place()
        desk.journal.fail_changes()
        await desk.clock.advance(8)
        assert desk.state(4) is OrderState.NOT_SENT
        desk.journal.heal()
        await desk.clock.advance(2)
        assert desk.journalled(4).state is OrderState.NOT_SENT
        assert sum(desk.broker.posts.values()) == 3


async def test_an_answer_that_cannot_be_written_is_kept_and_written_later() -> None:
    """It stands in memory, entries are refused, the status says why; then everything is in the journal in order."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE)
        await desk.place()
        desk.journal.fail()
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(2)
        assert desk.state(1) is OrderState.OPEN
        assert desk.journalled(1).state is OrderState.SENDING
        assert any("journal cannot be written" in sentence for sentence in desk.executor.snapshot().degraded)
        refused = await desk.place()
        assert [violation.check for violation in refused.violations] == ["journal"]
        desk.journal.heal()
        await desk.clock.advance(2)
        assert desk.journalled(1) == desk.order(1)
        assert [event.to_state for event in desk.history(1)] == [
            OrderState.SENDING,
            OrderState.ACCEPTED,
            OrderState.OPEN,
        ]
        assert desk.executor.snapshot().degraded == ()
        assert (await desk.place()).accepted


async def test_a_write_that_was_made_and_reported_as_failed_leaves_one_line() -> None:
    """The answer's line is in the journal, the engine is told otherwise and writes again: history has it once."""
    async with Desk() as desk:
        desk.broker.close_gate(Call.PLACE)
        await desk.place()
        desk.journal.lie_once = True
        desk.broker.open_gate(Call.PLACE)
        await desk.clock.advance(3)
        assert desk.journal.merges == [1]
        assert [event.to_state for event in desk.history(1)] == [
            OrderState.SENDING,
            OrderState.ACCEPTED,
            OrderState.OPEN,
        ]
        assert desk.journalled(1) == desk.order(1)
        assert desk.executor.snapshot().degraded == ()


async def test_a_cancellation_does_not_wait_for_the_journal() -> None:
    """It reduces risk and can be asked twice without harm: it is sent, and journalled when that is possible."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.journal.fail()
        receipt = await desk.cancel(number)
        assert receipt.accepted
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.CANCELLED
        assert desk.journalled(number).state is OrderState.OPEN
        desk.journal.heal()
        await desk.clock.advance(2)
        assert desk.journalled(number).state is OrderState.CANCELLED


async def test_stopping_writes_what_is_owed() -> None:
    """An orderly end leaves nothing behind."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.journal.fail()
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(4)
        assert desk.journalled(number).state is OrderState.OPEN
        desk.journal.heal()
        await desk.close()
        assert desk.journalled(number).state is OrderState.COMPLETE


async def test_an_exit_is_refused_in_words_when_it_cannot_be_journalled() -> None:
    """Without a durable intent it could be doubled after a crash."""
    async with Desk() as desk:
        desk.facts.held = {option().key: 65}
        desk.journal.fail()
        receipt = await desk.place(sell())
        assert [violation.check for violation in receipt.violations] == ["journal"]


async def take_over(desk: Desk) -> None:
    """Another engine becomes the writer of the account."""
    desk.store.writers.clear()
    assert await MemoryRepositories(desk.store).writer_lock.acquire(ACCOUNT) is not None


async def test_a_lost_writer_sends_nothing_more() -> None:
    """READ only: every command is refused with the reason, nothing leaves, a person is told once."""
    async with Desk() as desk:
        number = await desk.resting()
        await take_over(desk)
        assert not (await desk.place()).accepted
        assert desk.ear.heard("Another engine is the writer", Severity.DANGER)
        refused = await desk.executor.cancel(CancelOrders(numbers=(number,)))
        assert [violation.check for violation in refused.violations] == ["writer"]
        assert not (await desk.modify(number, price="106")).accepted
        assert not desk.executor.snapshot().is_writer
        assert sum(desk.broker.posts.values()) == 1
        assert [call for call, _ in desk.broker.sequence] == [Call.PLACE]


async def test_a_writer_lost_between_queue_and_wire_does_not_send() -> None:
    """The commit of SENDING is the fence."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0), queue_expiry_s=200.0)
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        await take_over(desk)
        await desk.clock.advance(90)
        assert sum(desk.broker.posts.values()) == 1
        assert desk.journalled(2).state is OrderState.QUEUED
        assert not desk.executor.snapshot().is_writer


async def test_a_writer_lost_before_a_cancellation_does_not_send_it() -> None:
    """The first to notice is the cancellation itself."""
    async with Desk() as desk:
        number = await desk.resting()
        await take_over(desk)
        receipt = await desk.cancel(number)
        assert not receipt.accepted
        assert "was not cancelled" in receipt.message
        await desk.clock.advance(3)
        assert desk.state(number) is OrderState.OPEN
        assert [call for call, _ in desk.broker.sequence] == [Call.PLACE]


async def test_a_reading_engine_still_follows_the_book() -> None:
    """What the other engine does is seen, and nothing is written."""
    async with Desk() as desk:
        number = await desk.resting()
        await take_over(desk)
        await desk.place()
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(5)
        assert desk.state(number) is OrderState.COMPLETE
        assert desk.journalled(number).state is OrderState.OPEN


async def test_a_broken_invariant_ends_the_executor() -> None:
    """An order that was never sent and is in the broker's book: going on could cost money."""
    settings = ExecutionSettings(budget=BudgetLimits(per_minute=1, reserve_per_minute=0))
    async with Desk(settings) as desk:
        await desk.place()
        await desk.place()
        assert desk.state(2) is OrderState.QUEUED
        desk.broker.place_outside(buy(), desk.order(2).tag)
        desk.executor.on_order_update()
        await desk.clock.advance(2)
        assert isinstance(await desk.failure(), InvariantBroken)
        assert [violation.check for violation in (await desk.place()).violations] == ["engine"]
        assert sum(desk.broker.posts.values()) == 1
        await desk.executor.stop()


async def test_fills_that_the_ledger_keeps_for_later_count_until_it_has_them_and_once() -> None:
    """Taken by the listener, not in its figures: an exit of the same units must not seem possible again."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.fills.keeps = True
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(20)
        assert len(desk.fills.trades) == 1
        order = desk.order(number)
        signed = order.request.side.sign * order.filled_quantity
        for _ in range(2):
            assert desk.executor.unbooked() == ((order, signed),)
            await desk.executor.reconcile()
            await desk.clock.advance(2)
        desk.fills.book_kept()  # by itself; nobody has told the executor
        assert desk.executor.unbooked() == ()
        await desk.executor.reconcile()
        await desk.clock.advance(2)
        assert desk.executor.unbooked() == ()
        assert len(desk.fills.trades) == 1


@pytest.mark.parametrize("failures", [1, 3])
async def test_fills_that_cannot_be_booked_are_handed_over_again(failures: int) -> None:
    """The listener fails, the fills come again, none twice."""
    async with Desk() as desk:
        number = await desk.resting()
        desk.fills.error = StorageUnavailable("the database is gone")
        desk.broker.fill(desk.broker.of_tag(desk.order(number).tag).order_id)
        await desk.clock.advance(2.0 + failures)
        assert desk.fills.trades == []
        assert any("could not be booked" in sentence for sentence in desk.executor.snapshot().degraded)
        desk.fills.error = None
        await desk.clock.advance(3)
        assert len(desk.fills.trades) == 1
        assert desk.executor.snapshot().degraded == ()
