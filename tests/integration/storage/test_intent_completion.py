"""An order's own row is what is durable before it leaves; its intent and its line of SEND are never missing, whoever
reads, and are written from that row before it changes: by a change, by a merge, by the next writer.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec
import pytest

from engine.core.errors import StorageConflict
from engine.core.identifiers import OrderTag
from engine.core.orders import OrderEvent, OrderRecord, OrderState, OrderTrigger
from storage.migrate import downgrade, upgrade
from storage.pool import Database
from storage.repositories import PostgresRepositories
from storage.writer_lock import PostgresWriterLock
from tests.contract.storage.samples import ACCOUNT, account, event, intent, outside_order, request

BEFORE = "0011"
"""The revision in which intents were written with their orders."""
CARRIED = "SELECT count(*) FROM orders WHERE intent_epoch IS NOT NULL"
INTENTS = "SELECT intent_id, epoch, quantity, decision FROM order_intents ORDER BY intent_id"
LINES = "SELECT number, trigger, epoch FROM order_events ORDER BY sequence"


class Writer:
    """An engine's storage; ``die`` leaves everything as it is."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.database = Database(dsn)
        self.lock = PostgresWriterLock(dsn)
        self.store = PostgresRepositories(self.database, self.lock)
        self.epoch = 0

    async def begin(self) -> Writer:
        """Become the writer."""
        await self.database.open()
        await self.store.accounts.save(account())
        self.epoch = await self.lock.acquire(ACCOUNT) or 0
        return self

    async def die(self) -> None:
        """Vanish."""
        await self.lock.close()
        await self.database.close()

    async def leaves(self, number: int, **changes: object) -> OrderRecord:
        """Write an order that is about to leave."""
        wanted = intent(number, wanted=request(**changes))
        made = await self.store.journal.record_intents([wanted], epoch=self.epoch, leaving={wanted.intent_id})
        return made[0]


async def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """What another program sees."""
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


def plain(lines: tuple[OrderEvent, ...]) -> list[OrderEvent]:
    """Lines without their numbers, which the first has only when it is a row of its own."""
    return [msgspec.structs.replace(line, sequence=0) for line in lines]


async def test_what_was_killed_right_after_its_commit_is_whole_and_the_next_writer_finishes_it(
    database_dsn: str,
) -> None:
    """Intent, state and the line of SEND are read before anybody has written them, and are the same afterwards."""
    writer = await Writer(database_dsn).begin()
    sending = await writer.leaves(1)
    (waiting,) = await writer.store.journal.record_intents([intent(2)], epoch=writer.epoch)
    await writer.die()
    assert await rows(database_dsn, INTENTS) == await rows(database_dsn, LINES) == []
    reader = Database(database_dsn)
    await reader.open()
    journal = PostgresRepositories(reader, PostgresWriterLock(database_dsn)).journal
    assert await journal.working(ACCOUNT) == (sending, waiting)
    before = {number: await journal.history(number) for number in (sending.number, waiting.number)}
    intents = {number: await journal.intent(number) for number in before}
    assert [line.trigger for line in before[sending.number]] == [OrderTrigger.SEND]
    assert before[sending.number][0].wall_at == intent(1).wall_at
    assert before[waiting.number] == ()
    assert intents == {sending.number: intent(1), waiting.number: intent(2)}
    after = await Writer(database_dsn).begin()
    assert after.epoch == writer.epoch + 1
    assert await rows(database_dsn, CARRIED) == [(0,)]
    assert [row[:3] for row in await rows(database_dsn, INTENTS)] == [
        (one.intent_id, writer.epoch, one.request.quantity) for one in (intent(1), intent(2))
    ]
    assert await rows(database_dsn, LINES) == [(sending.number, "SEND", writer.epoch)]
    for number, lines in before.items():
        assert plain(await journal.history(number)) == plain(lines)
        assert await journal.intent(number) == intents[number]
    assert await journal.working(ACCOUNT) == (sending, waiting)
    await reader.close()
    await after.die()


async def test_a_first_change_keeps_what_was_wanted_and_the_order_of_the_lines(database_dsn: str) -> None:
    """The order is answered smaller than it was wanted: the intent has the old quantity, SEND comes before ANSWERED."""
    writer = await Writer(database_dsn).begin()
    record = await writer.leaves(1, quantity=130)
    smaller = msgspec.structs.replace(
        record, state=OrderState.ACCEPTED, request=msgspec.structs.replace(record.request, quantity=65)
    )
    answered = event(record, OrderTrigger.ANSWERED, OrderState.ACCEPTED)
    for _ in range(2):  # told twice: nothing of the beginning is written again
        await writer.store.journal.record_change(smaller, [answered], epoch=writer.epoch)
    assert [row[2] for row in await rows(database_dsn, INTENTS)] == [130]
    assert [row[1] for row in await rows(database_dsn, LINES)] == ["SEND", "ANSWERED", "ANSWERED"]
    assert await rows(database_dsn, CARRIED) == [(0,)]
    kept = await writer.store.journal.intent(record.number)
    assert kept == intent(1, wanted=request(quantity=130))
    await writer.die()


async def test_an_order_that_waited_has_the_one_line_of_send_that_its_change_wrote(database_dsn: str) -> None:
    """QUEUED, then SENDING by a change of its own: the intent comes with it, a second line does not."""
    writer = await Writer(database_dsn).begin()
    (record,) = await writer.store.journal.record_intents([intent(1)], epoch=writer.epoch)
    sending = msgspec.structs.replace(record, state=OrderState.SENDING, sent_at=record.created_at)
    send = event(record, OrderTrigger.SEND, OrderState.SENDING)
    await writer.store.journal.record_change(sending, [send], epoch=writer.epoch)
    assert [row[1] for row in await rows(database_dsn, LINES)] == ["SEND"]
    assert await writer.store.journal.intent(record.number) == intent(1)
    await writer.die()


@pytest.mark.parametrize("is_written", [True, False])
async def test_a_merge_finishes_what_the_journal_has_and_brings_what_it_has_not(
    database_dsn: str, *, is_written: bool
) -> None:
    """The write that was reported as failed was made, or was not: the journal is the same after the spool's merge."""
    writer = await Writer(database_dsn).begin()
    (number,) = await writer.store.journal.reserve_numbers(ACCOUNT, 1, epoch=writer.epoch)
    wanted = intent(1)
    record = await writer.leaves(99)  # another one, which the merge leaves alone
    made = msgspec.structs.replace(
        record, number=number, intent_id=wanted.intent_id, tag=wanted.tag, idempotency_key=wanted.idempotency_key,
        created_at=wanted.created_at, updated_at=wanted.created_at, sent_at=wanted.created_at,
    )  # fmt: skip
    if is_written:
        await writer.store.journal.record_intents(
            [wanted], epoch=writer.epoch, numbers=[number], leaving={wanted.intent_id}
        )
    sent = event(msgspec.structs.replace(made, state=OrderState.QUEUED), OrderTrigger.SEND, OrderState.SENDING)
    line = msgspec.structs.replace(sent, at=wanted.created_at, wall_at=wanted.wall_at, detail="")
    for _ in range(2):
        await writer.store.journal.merge(wanted, made, [line], epoch=writer.epoch)
    assert plain(await writer.store.journal.history(number)) == [line]
    assert await writer.store.journal.intent(number) == wanted
    assert await rows(database_dsn, CARRIED) == [(1,)]
    await writer.die()


async def test_two_orders_of_ours_never_share_a_tag_and_others_may(database_dsn: str) -> None:
    """The broker's book is read by tag: ours are unique from the first write on, those of other programs are not."""
    writer = await Writer(database_dsn).begin()
    await writer.leaves(1)
    twin = msgspec.structs.replace(intent(2), tag=intent(1).tag)
    with pytest.raises(StorageConflict, match="tag"):
        await writer.store.journal.record_intents([twin], epoch=writer.epoch)
    for order_id in ("261120000000001", "261120000000002"):
        found = msgspec.structs.replace(outside_order(order_id), tag=OrderTag("theirs"))
        await writer.store.journal.adopt(
            found, event(found, OrderTrigger.BOOK_OPEN, OrderState.OPEN), epoch=writer.epoch
        )
    await writer.die()


async def test_the_step_back_writes_what_was_not_written_yet(database_dsn: str) -> None:
    """An order in flight when the schema goes back one release keeps its intent and its line, there and back again."""
    writer = await Writer(database_dsn).begin()
    record = await writer.leaves(1)
    await writer.die()
    await downgrade(database_dsn, BEFORE)
    assert [row[:2] for row in await rows(database_dsn, INTENTS)] == [(intent(1).intent_id, writer.epoch)]
    assert await rows(database_dsn, LINES) == [(record.number, "SEND", writer.epoch)]
    await upgrade(database_dsn)
    again = await Writer(database_dsn).begin()
    assert await again.store.journal.intent(record.number) == intent(1)
    assert len(await again.store.journal.history(record.number)) == 1
    await again.die()
