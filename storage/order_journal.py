"""The durable record of orders: intents before anything is sent, how each order stands, and all that happened to it.

Every write is one statement, so one round trip and one commit: the fence on the writer epoch, the rows, and nothing in
between. When the statement returns, the server has it on its disk.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from engine.core.errors import UnknownOrder
from engine.core.identifiers import AccountId, IntentId, OrderNumber
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderState
from storage.accounts import KnownAccounts
from storage.boundary import aware, one_account, storable
from storage.intent_completion import (
    CARRIES_INTENT,
    NOTHING_CARRIED,
    READ_HISTORY,
    READ_INTENT,
    SENT_LINES,
    WRITE_INTENTS,
)
from storage.intent_statements import RECORD_INTENTS, RECORD_ONE_INTENT
from storage.order_merge import merge_order
from storage.order_numbers import give_back_numbers, reserve_numbers
from storage.order_rows import (
    EVENT_COLUMNS_WRITTEN,
    RECORD_COLUMNS,
    event_columns,
    event_from_row,
    intent_columns,
    intent_from_row,
    record_from_row,
    request_columns,
    standing_columns,
    terms_of,
)
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.writer_epoch import refuse_writer, require_newest_epoch


def _change(begun: str, carried: str, lines: str) -> str:
    # What identifies an order (account, intent, tag, key, time of creation) is never rewritten.
    return f"""
WITH fence AS (
    SELECT account_id, epoch FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), {begun} changed AS (
    UPDATE orders SET
        exchange = $4::text, tradingsymbol = $5::text, side = $6::text, quantity = $7::bigint,
        order_type = $8::text, product = $9::text, price = $10::numeric, trigger_price = $11::numeric,
        validity = $12::text, variety = $13::text, market_protection = $14::numeric, strategy = $15::bigint,
        state = $16::text, broker_order_id = $17::text, filled_quantity = $18::bigint, average_price = $19::numeric,
        message = $20::text, updated_at = $21::timestamptz, sent_at = $22::timestamptz,
        answered_at = $23::timestamptz, modifications = $24::integer, letter = $25::text,
        terms = $34::text {carried}
    FROM fence
    WHERE orders.number = $3 AND orders.account_id = fence.account_id
    RETURNING orders.number, orders.account_id, fence.epoch
), noted AS (
    INSERT INTO order_events (
        number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts, epoch
    )
    SELECT number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts, epoch
    FROM (
        {lines}
        SELECT
            changed.number, changed.account_id, given.trigger, given.from_state, given.to_state, given.applied,
            given.at, given.detail, given.wall_at, given.facts, changed.epoch, given.place
        FROM changed, unnest(
            $26::text[], $27::text[], $28::text[], $29::boolean[], $30::timestamptz[], $31::text[],
            $32::timestamptz[], $33::text[]
        ) WITH ORDINALITY AS given (trigger, from_state, to_state, applied, at, detail, wall_at, facts, place)
    ) AS line
    ORDER BY place
)
SELECT EXISTS (SELECT FROM fence) AS is_writer, EXISTS (SELECT FROM changed) AS is_known
"""  # noqa: S608


RECORD_CHANGE = _change("", "", "")
"""Of an order whose intent is written."""
RECORD_FIRST_CHANGE = _change(
    f"""begun AS (
    SELECT orders.* FROM orders JOIN fence ON orders.account_id = fence.account_id
    WHERE orders.number = $3 AND {CARRIES_INTENT}
), intents AS ({WRITE_INTENTS}),""",  # noqa: S608
    f", {NOTHING_CARRIED}",
    f"SELECT *, 0 AS place FROM ({SENT_LINES}) AS sent UNION ALL",  # noqa: S608
)
"""Of one whose intent may not be written yet, which is done with it, from the row as it was before."""
MAY_BE_FIRST = frozenset({OrderState.QUEUED, OrderState.SENDING})
"""States in which nothing but the order itself may have been written."""
ADOPT = """
WITH fence AS (
    SELECT account_id, epoch FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), adopted AS (
    INSERT INTO orders (
        number, account_id,
        exchange, tradingsymbol, side, quantity, order_type, product, price, trigger_price,
        validity, variety, market_protection, strategy,
        state, broker_order_id, filled_quantity, average_price, message, updated_at, sent_at, answered_at,
        modifications, letter, tag, idempotency_key, created_at, terms
    )
    OVERRIDING SYSTEM VALUE
    SELECT
        coalesce($37::bigint, nextval(pg_get_serial_sequence('orders', 'number'))), account_id,
        $3::text, $4::text, $5::text, $6::bigint, $7::text, $8::text, $9::numeric, $10::numeric,
        $11::text, $12::text, $13::numeric, $14::bigint,
        $15::text, $16::text, $17::bigint, $18::numeric, $19::text, $20::timestamptz, $21::timestamptz,
        $22::timestamptz, $23::integer, $24::text, $25::text, $26::text, $27::timestamptz, $36::text
    FROM fence
    RETURNING number, account_id
), noted AS (
    INSERT INTO order_events (
        number, account_id, trigger, from_state, to_state, applied, at, detail, wall_at, facts, epoch
    )
    SELECT
        adopted.number, adopted.account_id, $28::text, $29::text, $30::text, $31::boolean, $32::timestamptz,
        $33::text, $34::timestamptz, $35::text, $2
    FROM adopted
)
SELECT number FROM adopted
"""
# The text put together below is all ours, nothing of it comes from outside.
READ_BY_KEY = f"SELECT {RECORD_COLUMNS} FROM orders WHERE account_id = $1 AND idempotency_key = $2"  # noqa: S608
READ_BY_NUMBER = f"SELECT {RECORD_COLUMNS} FROM orders WHERE number = $1"  # noqa: S608
# The condition is spelled as the partial index has it.
READ_WORKING = f"""
SELECT {RECORD_COLUMNS}
FROM orders
WHERE account_id = $1 AND state NOT IN ('COMPLETE', 'REJECTED', 'CANCELLED', 'NOT_SENT')
ORDER BY created_at, number
"""  # noqa: S608
READ_SINCE = f"""
SELECT {RECORD_COLUMNS}
FROM orders
WHERE account_id = $1 AND (created_at >= $2 OR updated_at >= $2)
ORDER BY created_at, number
"""  # noqa: S608
# The condition is spelled as the partial index has it.
READ_LETTERS = f"""
SELECT {RECORD_COLUMNS} FROM orders WHERE account_id = $1 AND letter = 'open' ORDER BY number DESC LIMIT $2
"""  # noqa: S608
# A request has arrived when it was answered, or given up: its line of history is written afterwards.
READ_PLACEMENTS = """
SELECT (
    SELECT max(ended.wall_at) FROM order_events AS ended
    WHERE ended.number = sent.number AND ended.trigger IN ('ANSWERED', 'REFUSED', 'LOST', 'UNSENT')
) AS arrived
FROM order_events AS sent
WHERE sent.account_id = $1 AND sent.trigger = 'SEND' AND sent.applied AND sent.wall_at >= $2
"""


class PostgresOrderJournal:
    """Implements ``OrderJournal``.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._accounts = KnownAccounts()

    async def record_intents(
        self,
        intents: Sequence[OrderIntent],
        *,
        epoch: int,
        numbers: Sequence[OrderNumber] = (),
        leaving: Collection[IntentId] = (),
    ) -> tuple[OrderRecord, ...]:
        """Write intents of one account as QUEUED orders, all or none, under reserved numbers or new ones; those that
        are ``leaving`` as SENDING, with the line of history that says so.

        Raises:
            StorageConflict: a tag, an idempotency key or a number is already there; nothing was written.
            ValueError: there are numbers, and not one for each.
            WriterLost: ``epoch`` is not the newest.
            InvalidInput: the account is not known.
            UnknownStrategy: a strategy is not known.
        """
        if not intents:
            return ()
        account = one_account(intent.account for intent in intents)
        reserved = one_for_each(intents, numbers)
        given = [
            (
                intent.intent_id,
                intent.tag,
                intent.idempotency_key,
                aware(intent.created_at),
                *request_columns(intent.request),
                *intent_columns(intent),
                terms_of(intent.request),
                number,
                intent.intent_id in leaving,
            )
            for intent, number in zip(intents, reserved, strict=True)
        ]
        with refusals_in_words():
            async with self._database.acquire_kept() as session:
                await self._accounts.require(session, account)
                if len(given) == 1:
                    rows = await session.fetch(RECORD_ONE_INTENT, account, epoch, *given[0])
                else:
                    columns = (list(column) for column in zip(*given, strict=True))
                    rows = await session.fetch(RECORD_INTENTS, account, epoch, *columns)
        if not rows:
            refuse_writer(account)
        made = {row["intent_id"]: OrderNumber(row["number"]) for row in rows}
        return tuple(written_record(intent, made[intent.intent_id], leaving) for intent in intents)

    async def reserve_numbers(self, account: AccountId, count: int, *, epoch: int) -> tuple[OrderNumber, ...]:
        """Take numbers that no other order has or will get, newer than any of the account's orders, ascending.

        Raises:
            WriterLost: ``epoch`` is not the newest.
        """
        async with self._database.acquire() as session:
            return await reserve_numbers(session, account, count, epoch=epoch)

    async def give_back_numbers(self, account: AccountId, numbers: Sequence[OrderNumber], *, epoch: int) -> None:
        """Leave reserved numbers to whoever reserves next.

        Raises:
            WriterLost: ``epoch`` is not the newest.
        """
        async with self._database.acquire() as session:
            await give_back_numbers(session, account, numbers, epoch=epoch)

    async def record_change(self, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int) -> None:
        """Replace the order's standing by ``record`` and append ``events``: both or neither.

        Raises:
            UnknownOrder: the account has no order with this number.
            StorageConflict: another order has this broker order id.
            WriterLost: ``epoch`` is not the newest.
        """
        refuse_strange_events(record, events)
        noted = [event_columns(event) for event in events]
        may_be_first = not events or events[0].from_state in MAY_BE_FIRST
        with refusals_in_words():
            async with self._database.acquire_kept() as session:
                row = await session.fetchrow(
                    RECORD_FIRST_CHANGE if may_be_first else RECORD_CHANGE,
                    record.account,
                    epoch,
                    record.number,
                    *request_columns(record.request),
                    *standing_columns(record),
                    *([list(column) for column in zip(*noted, strict=True)] or [[]] * EVENT_COLUMNS_WRITTEN),
                    terms_of(record.request),
                )
        if row is None or not row["is_writer"]:
            refuse_writer(record.account)
        if not row["is_known"]:
            raise UnknownOrder(f"Account {record.account} has no order o{record.number}.", field="order")

    async def merge(
        self, intent: OrderIntent | None, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int
    ) -> None:
        """Write an order as it stands under its number, its intent and those lines of its history that are not there
        yet, all or none. Doing it again changes nothing.

        Raises:
            StorageConflict: its number, tag, key or broker id is another order's.
            WriterLost: ``epoch`` is not the newest.
            InvalidInput, UnknownStrategy: the account, its strategy is not known.
        """
        refuse_strange_events(record, events)
        with refusals_in_words():
            async with self._database.transaction() as session:
                await self._accounts.require(session, record.account)
                await require_newest_epoch(session, record.account, epoch)
                await merge_order(session, intent, record, events, epoch)

    async def adopt(self, record: OrderRecord, event: OrderEvent, *, epoch: int) -> OrderRecord:
        """Take in an order that was placed elsewhere, give it a number unless it brings one that was reserved, and note
        ``event``.

        Raises:
            StorageConflict: this broker order id, or the number, is known already.
            WriterLost: ``epoch`` is not the newest.
            InvalidInput: the account is not known.
        """
        refuse_unadoptable(record)
        with refusals_in_words():
            async with self._database.acquire() as session:
                await self._accounts.require(session, record.account)
                number = await session.fetchval(
                    ADOPT,
                    record.account,
                    epoch,
                    *request_columns(record.request),
                    *standing_columns(record),
                    record.tag,
                    record.idempotency_key,
                    aware(record.created_at),
                    *event_columns(event),
                    terms_of(record.request),
                    record.number or None,
                )
        if number is None:
            refuse_writer(record.account)
        return msgspec.structs.replace(record, number=OrderNumber(number), message=storable(record.message))

    async def by_idempotency_key(self, account: AccountId, key: str) -> OrderRecord | None:
        """The order a key made, at any time."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_BY_KEY, account, key)
        return None if row is None else record_from_row(row)

    async def by_number(self, number: OrderNumber) -> OrderRecord | None:
        """One order."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_BY_NUMBER, number)
        return None if row is None else record_from_row(row)

    async def working(self, account: AccountId) -> tuple[OrderRecord, ...]:
        """Orders in a state that is not terminal, and those presumed absent, oldest first."""
        async with self._database.acquire() as session:
            return tuple(record_from_row(row) for row in await session.fetch(READ_WORKING, account))

    async def since(self, account: AccountId, moment: datetime) -> tuple[OrderRecord, ...]:
        """Orders created or changed at or after ``moment``, oldest first."""
        async with self._database.acquire() as session:
            return tuple(record_from_row(row) for row in await session.fetch(READ_SINCE, account, aware(moment)))

    async def history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """All events of one order, in order of their sequence."""
        async with self._database.acquire() as session:
            return tuple(event_from_row(row) for row in await session.fetch(READ_HISTORY, number))

    async def intent(self, number: OrderNumber) -> OrderIntent | None:
        """What one order was made from; ``None`` for an order from outside."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_INTENT, number)
        return None if row is None else intent_from_row(row)

    async def dead_letters(self, account: AccountId, limit: int) -> tuple[OrderRecord, ...]:
        """The newest open ones, at most ``limit``."""
        async with self._database.acquire() as session:
            return tuple(record_from_row(row) for row in await session.fetch(READ_LETTERS, account, limit))

    async def placements(self, account: AccountId, since: datetime) -> tuple[datetime | None, ...]:
        """When each placement had arrived, by this machine's clock; ``None`` where nobody wrote it."""
        async with self._database.acquire() as session:
            return tuple(row["arrived"] for row in await session.fetch(READ_PLACEMENTS, account, aware(since)))


def queued_record(intent: OrderIntent, number: OrderNumber) -> OrderRecord:
    """How an order stands when its intent has just been written."""
    return OrderRecord(
        number=number,
        intent_id=intent.intent_id,
        account=intent.account,
        tag=intent.tag,
        request=intent.request,
        state=OrderState.QUEUED,
        idempotency_key=intent.idempotency_key,
        created_at=intent.created_at,
        updated_at=intent.created_at,
    )


def written_record(intent: OrderIntent, number: OrderNumber, leaving: Collection[IntentId]) -> OrderRecord:
    """The same, or, when it is leaving, as it stands after its line of SEND."""
    record = queued_record(intent, number)
    if intent.intent_id not in leaving:
        return record
    return msgspec.structs.replace(record, state=OrderState.SENDING, sent_at=intent.created_at)


def one_for_each(intents: Sequence[OrderIntent], numbers: Sequence[OrderNumber]) -> list[OrderNumber | None]:
    """The reserved number of each intent; ``None`` for all when there are none.

    Raises:
        ValueError: there are some, and not one for each.
    """
    if numbers and len(numbers) != len(intents):
        raise ValueError(f"{len(intents)} intents cannot have {len(numbers)} numbers")
    return list(numbers) if numbers else [None] * len(intents)


def refuse_strange_events(record: OrderRecord, events: Sequence[OrderEvent]) -> None:
    """Check that events are of the order that they are written with.

    Raises:
        ValueError: one is of another order or account.
    """
    for event in events:
        if event.number != record.number or event.account != record.account:
            raise ValueError(f"an event of o{event.number} ({event.account}) cannot be written with o{record.number}")


def refuse_unadoptable(record: OrderRecord) -> None:
    """Check that an order comes from outside.

    Raises:
        ValueError: it has an intent of ours, or no id of the broker's.
    """
    if record.intent_id is not None or record.broker_order_id is None:
        raise ValueError("an adopted order has a broker order id and no intent of ours")
