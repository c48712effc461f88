"""Order numbers: taken before they are needed, given back when they were not. No two orders ever have the same one."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.identifiers import AccountId, OrderNumber
from storage.session import Session
from storage.writer_epoch import refuse_writer

# Numbers that were given back come first, as far as they are newer than every order of the account. Two engines that
# ask at once are given different ones: a row is deleted once.
RESERVE_NUMBERS = """
WITH fence AS (
    SELECT account_id FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), spare AS (
    DELETE FROM spare_order_numbers WHERE number IN (
        SELECT kept.number FROM spare_order_numbers AS kept
        WHERE EXISTS (SELECT FROM fence)
            AND kept.number > coalesce((SELECT max(number) FROM orders WHERE account_id = $1), 0)
            AND NOT EXISTS (SELECT FROM orders WHERE orders.number = kept.number)
        ORDER BY kept.number LIMIT $3::integer
        FOR UPDATE SKIP LOCKED
    )
    RETURNING number
)
SELECT number FROM spare
UNION ALL
SELECT nextval(pg_get_serial_sequence('orders', 'number')) AS number
FROM fence, generate_series(1, $3::integer - (SELECT count(*) FROM spare)::integer)
"""
# Those that are far behind are forgotten, so that there are never many.
GIVE_BACK_NUMBERS = """
WITH fence AS (
    SELECT account_id FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), forgotten AS (
    DELETE FROM spare_order_numbers
    WHERE EXISTS (SELECT FROM fence) AND number < (SELECT max(given) FROM unnest($3::bigint[]) AS given) - $4::bigint
), spare AS (
    INSERT INTO spare_order_numbers (number)
    SELECT given FROM fence, unnest($3::bigint[]) AS given
    ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM fence)
"""
SPARE_NUMBERS_BEHIND = 4096
"""How far behind the newest one a number may lie that is kept for use."""


async def reserve_numbers(session: Session, account: AccountId, count: int, *, epoch: int) -> tuple[OrderNumber, ...]:
    """Take numbers that no order has or will get, newer than any of the account's orders, ascending.

    Raises:
        WriterLost: ``epoch`` is not the newest.
    """
    rows = await session.fetch(RESERVE_NUMBERS, account, epoch, count)
    if count and not rows:
        refuse_writer(account)
    return tuple(sorted(OrderNumber(row["number"]) for row in rows))


async def give_back_numbers(
    session: Session, account: AccountId, numbers: Sequence[OrderNumber], *, epoch: int
) -> None:
    """Leave reserved numbers to whoever reserves next.

    Raises:
        WriterLost: ``epoch`` is not the newest.
    """
    if numbers and not await session.fetchval(GIVE_BACK_NUMBERS, account, epoch, list(numbers), SPARE_NUMBERS_BEHIND):
        refuse_writer(account)
