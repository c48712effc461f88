"""Strategies: made, archived, listed. What they hold is in the ledger."""

from __future__ import annotations

from datetime import datetime

from engine.core.errors import UnknownStrategy
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.strategies import Strategy, StrategyState
from storage.boundary import aware
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.session import Row
from storage.writer_epoch import refuse_writer, require_newest_epoch

# No row comes back when the epoch is not the newest.
CREATE = """
WITH fence AS (
    SELECT account_id FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
)
INSERT INTO strategies (account_id, name, is_default, state, created_at)
SELECT account_id, $3::text, $4::boolean, $5::text, $6::timestamptz FROM fence
RETURNING number, account_id, name, is_default, state, created_at
"""
READ_ACCOUNT = "SELECT account_id FROM strategies WHERE number = $1"
ARCHIVE = """
UPDATE strategies SET state = 'archived' WHERE number = $1
RETURNING number, account_id, name, is_default, state, created_at
"""
READ_ALL = """
SELECT number, account_id, name, is_default, state, created_at
FROM strategies
WHERE account_id = $1
ORDER BY number
"""


class PostgresStrategies:
    """Implements ``StrategyRepository``.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, account: AccountId, name: str, *, is_default: bool, at: datetime, epoch: int) -> Strategy:
        """Write a strategy and give it a number.

        Raises:
            StorageConflict: an active strategy of the account has this name, or there is a default one already.
            InvalidInput: the account is not known.
            WriterLost: ``epoch`` is not the newest.
        """
        with refusals_in_words():
            async with self._database.acquire() as session:
                row = await session.fetchrow(CREATE, account, epoch, name, is_default, StrategyState.ACTIVE, aware(at))
        if row is None:
            refuse_writer(account)
        return _strategy(row)

    async def archive(self, number: StrategyNumber, *, epoch: int) -> Strategy:
        """Mark as archived; one that is archived stays so.

        Raises:
            UnknownStrategy: there is none with this number.
            WriterLost: ``epoch`` is not the newest of its account.
        """
        async with self._database.transaction() as session:
            account = await session.fetchval(READ_ACCOUNT, number)
            if account is None:
                raise UnknownStrategy(f"There is no strategy #{number}.", field="strategy")
            await require_newest_epoch(session, AccountId(account), epoch)
            row = await session.fetchrow(ARCHIVE, number)
        if row is None:  # strategies are never deleted
            raise UnknownStrategy(f"There is no strategy #{number}.", field="strategy")
        return _strategy(row)

    async def all(self, account: AccountId) -> tuple[Strategy, ...]:
        """Active and archived, by number."""
        async with self._database.acquire() as session:
            return tuple(_strategy(row) for row in await session.fetch(READ_ALL, account))


def _strategy(row: Row) -> Strategy:
    return Strategy(
        number=StrategyNumber(row["number"]),
        account=AccountId(row["account_id"]),
        name=row["name"],
        is_default=row["is_default"],
        state=StrategyState(row["state"]),
        created_at=row["created_at"],
    )
