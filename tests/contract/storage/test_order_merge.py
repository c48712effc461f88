"""Orders that were kept elsewhere while the database was away: numbers reserved before, merged afterwards, once."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from engine.core.errors import StorageConflict, UnknownStrategy, WriterLost
from engine.core.identifiers import BrokerOrderId, OrderNumber, StrategyNumber
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderState, OrderTrigger
from engine.core.repositories import Repositories, WriterLock
from storage.order_journal import queued_record
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT, MORNING, event, intent, outside_order, request

BROKER_ID = BrokerOrderId("261120000000001")


async def reserved(store: Repositories, epoch: int) -> OrderNumber:
    """A number for an order to come."""
    (number,) = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    return number


def kept(number: OrderNumber, place: int = 1) -> tuple[OrderIntent, OrderRecord, list[OrderEvent]]:
    """An exit as the spool has it: sent and answered."""
    wanted = intent(place)
    before = queued_record(wanted, number)
    sending = msgspec.structs.replace(before, state=OrderState.SENDING, sent_at=MORNING)
    accepted = msgspec.structs.replace(
        sending,
        state=OrderState.ACCEPTED,
        broker_order_id=BROKER_ID,
        answered_at=MORNING,
        updated_at=MORNING + timedelta(seconds=9),
    )
    lines = [
        msgspec.structs.replace(event(before, OrderTrigger.SEND, OrderState.SENDING), wall_at=MORNING),
        event(sending, OrderTrigger.ANSWERED, OrderState.ACCEPTED),
    ]
    return wanted, accepted, lines


async def test_reserved_numbers_are_nobody_elses(store: Repositories, epoch: int) -> None:
    """Ascending, all different, and no order gets one by itself."""
    numbers = await store.journal.reserve_numbers(ACCOUNT, 5, epoch=epoch)
    more = await store.journal.reserve_numbers(ACCOUNT, 2, epoch=epoch)
    (record,) = await store.journal.record_intents([intent(1)], epoch=epoch)
    assert list(numbers) == sorted(set(numbers))
    assert len({*numbers, *more, record.number}) == 8
    assert await store.journal.reserve_numbers(ACCOUNT, 0, epoch=epoch) == ()


async def test_orders_are_written_under_reserved_numbers(store: Repositories, epoch: int) -> None:
    """Each its own, in their order; an adopted one too; the rows are as any others."""
    first, second, third = await store.journal.reserve_numbers(ACCOUNT, 3, epoch=epoch)
    records = await store.journal.record_intents([intent(1), intent(2)], epoch=epoch, numbers=[second, first])
    assert [record.number for record in records] == [second, first]
    wanted = msgspec.structs.replace(outside_order(), number=third)
    adopted = await store.journal.adopt(wanted, event(wanted, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=epoch)
    assert adopted.number == third
    assert [line.number for line in await store.journal.history(third)] == [third]
    assert await store.journal.by_number(second) == records[0]
    (later,) = await store.journal.record_intents([intent(3)], epoch=epoch)
    assert later.number not in {first, second, third}


async def test_a_number_is_used_once(store: Repositories, epoch: int) -> None:
    """Nothing is written under a number that is taken, and a wrong count of numbers is a mistake."""
    number = await reserved(store, epoch)
    await store.journal.record_intents([intent(1)], epoch=epoch, numbers=[number])
    with pytest.raises(StorageConflict, match="number"):
        await store.journal.record_intents([intent(2)], epoch=epoch, numbers=[number])
    taken = msgspec.structs.replace(outside_order(), number=number)
    with pytest.raises(StorageConflict, match="number"):
        await store.journal.adopt(taken, event(taken, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=epoch)
    with pytest.raises(ValueError, match="2 intents"):
        await store.journal.record_intents([intent(2), intent(3)], epoch=epoch, numbers=[number])
    assert await store.journal.by_idempotency_key(ACCOUNT, "key 2") is None


async def test_an_order_is_merged_whole(store: Repositories, epoch: int) -> None:
    """Intent, standing and history are as if the journal had been there all the time."""
    wanted, record, lines = kept(await reserved(store, epoch))
    await store.journal.merge(wanted, record, lines, epoch=epoch)
    assert await store.journal.by_number(record.number) == record
    assert await store.journal.intent(record.number) == wanted
    assert await store.journal.by_idempotency_key(ACCOUNT, wanted.idempotency_key) == record
    history = await store.journal.history(record.number)
    assert [msgspec.structs.replace(line, sequence=0) for line in history] == lines


async def test_merging_again_changes_nothing(store: Repositories, epoch: int) -> None:
    """A crash in the middle is followed by doing all of it again, with what has come since."""
    wanted, record, lines = kept(await reserved(store, epoch))
    await store.journal.merge(wanted, queued_record(wanted, record.number), [], epoch=epoch)
    await store.journal.merge(wanted, record, lines[:1], epoch=epoch)
    await store.journal.merge(wanted, record, lines, epoch=epoch)
    await store.journal.merge(None, record, lines, epoch=epoch)
    assert await store.journal.by_number(record.number) == record
    assert [line.trigger for line in await store.journal.history(record.number)] == [line.trigger for line in lines]


async def test_a_write_that_came_late_is_the_same_order(store: Repositories, epoch: int) -> None:
    """The journal took the intent after all, under the same number: the spool's copy joins it."""
    wanted, record, lines = kept(await reserved(store, epoch))
    await store.journal.record_intents([wanted], epoch=epoch, numbers=[record.number])
    await store.journal.merge(wanted, record, lines, epoch=epoch)
    assert await store.journal.by_number(record.number) == record
    with pytest.raises(StorageConflict):
        await store.journal.record_intents([wanted], epoch=epoch, numbers=[record.number])
    assert await store.journal.by_number(record.number) == record


async def test_an_order_of_before_is_brought_up_to_date(store: Repositories, epoch: int) -> None:
    """An order whose intent the journal has had since before, and one from outside."""
    (ours,) = await store.journal.record_intents([intent(1)], epoch=epoch)
    theirs = await store.journal.adopt(
        outside_order(), event(outside_order(), OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=epoch
    )
    for before in (ours, theirs):
        after = msgspec.structs.replace(before, state=OrderState.CANCELLED, message="done")
        line = event(before, OrderTrigger.BOOK_CANCELLED, OrderState.CANCELLED)
        await store.journal.merge(None, after, [line], epoch=epoch)
        assert await store.journal.by_number(before.number) == after
        assert (await store.journal.history(before.number))[-1].trigger is OrderTrigger.BOOK_CANCELLED


async def test_nothing_is_taken_from_another_order(store: Repositories, epoch: int) -> None:
    """A number, a key or a broker's id that is another order's: refused, and nothing of it is written."""
    (other,) = await store.journal.record_intents([intent(1)], epoch=epoch)
    await store.journal.record_change(msgspec.structs.replace(other, broker_order_id=BROKER_ID), [], epoch=epoch)
    other = (await store.journal.by_number(other.number)) or other
    wanted, record, lines = kept(await reserved(store, epoch), 2)
    at_rest = msgspec.structs.replace(record, broker_order_id=None)
    with pytest.raises(StorageConflict):
        await store.journal.merge(wanted, record, lines, epoch=epoch)
    same_key = msgspec.structs.replace(wanted, idempotency_key="key 1")
    with pytest.raises(StorageConflict):
        await store.journal.merge(
            same_key, msgspec.structs.replace(at_rest, idempotency_key="key 1"), lines, epoch=epoch
        )
    stolen = msgspec.structs.replace(at_rest, number=other.number)
    with pytest.raises(StorageConflict):
        await store.journal.merge(wanted, stolen, [], epoch=epoch)
    assert await store.journal.by_number(other.number) == other
    assert await store.journal.by_number(record.number) is None
    assert await store.journal.by_idempotency_key(ACCOUNT, "key 2") is None


async def test_an_unknown_strategy_is_named(store: Repositories, epoch: int) -> None:
    """The caller can put it right; nothing was written."""
    wanted = intent(1, wanted=request(strategy=StrategyNumber(987)))
    record = queued_record(wanted, await reserved(store, epoch))
    with pytest.raises(UnknownStrategy):
        await store.journal.merge(wanted, record, [], epoch=epoch)
    assert await store.journal.by_number(record.number) is None


async def test_an_old_writer_merges_nothing(store: Repositories, epoch: int) -> None:
    """Whoever was the writer when the spool was filled and is not any more: refused, numbers too."""
    wanted, record, lines = kept(await reserved(store, epoch))
    with pytest.raises(WriterLost):
        await store.journal.merge(wanted, record, lines, epoch=epoch + 1)
    with pytest.raises(WriterLost):
        await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch + 1)
    assert await store.journal.by_number(record.number) is None


async def test_a_writer_keeps_its_lock_and_its_epoch(engines: TwoEngines, rival_lock: WriterLock) -> None:
    """However often it asks, nothing changes; another engine stays out."""
    lock = engines.first.writer_lock
    assert await lock.keep(ACCOUNT, engines.epoch)
    assert await lock.keep(ACCOUNT, engines.epoch)
    assert await lock.acquire(ACCOUNT) == engines.epoch
    assert await rival_lock.acquire(ACCOUNT) is None


async def test_a_lock_that_fell_is_taken_again_under_the_same_epoch(
    engines: TwoEngines, rival_lock: WriterLock
) -> None:
    """Nobody else came meanwhile, so what is written under the epoch stays valid."""
    lock = engines.first.writer_lock
    await lock.release(ACCOUNT)
    assert await lock.keep(ACCOUNT, engines.epoch)
    assert await rival_lock.acquire(ACCOUNT) is None
    (record,) = await engines.first.journal.record_intents([intent(1)], epoch=engines.epoch)
    assert record.state is OrderState.QUEUED


async def test_a_lock_is_not_taken_again_from_the_next_writer(engines: TwoEngines, rival_lock: WriterLock) -> None:
    """Neither while the other one lives nor after it has gone: the epoch has moved on for good."""
    lock = engines.first.writer_lock
    await lock.release(ACCOUNT)
    newer = await rival_lock.acquire(ACCOUNT)
    assert newer == engines.epoch + 1
    with pytest.raises(WriterLost):
        await lock.keep(ACCOUNT, engines.epoch)
    await rival_lock.release(ACCOUNT)
    with pytest.raises(WriterLost):
        await lock.keep(ACCOUNT, engines.epoch)
    assert await rival_lock.acquire(ACCOUNT) == newer + 1
