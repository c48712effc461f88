"""What is kept of looking after an account: differences from the broker's books, and whose orders are left alone."""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.errors import UnknownStrategy
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from storage.boundary import aware, aware_or_none, one_account, storable
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.session import Row
from storage.writer_epoch import require_newest_epoch

SAVE = """
INSERT INTO mismatches (
    account_id, mismatch_id, kind, subject, words, ours, theirs, difference, state, first_seen, last_seen,
    explained_by, explanation, explained_at
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT ON CONSTRAINT mismatches_pkey DO UPDATE SET
    kind = excluded.kind, subject = excluded.subject, words = excluded.words, ours = excluded.ours,
    theirs = excluded.theirs, difference = excluded.difference, state = excluded.state,
    first_seen = excluded.first_seen, last_seen = excluded.last_seen, explained_by = excluded.explained_by,
    explanation = excluded.explanation, explained_at = excluded.explained_at
"""
READ = """
SELECT account_id, mismatch_id, kind, subject, words, ours, theirs, difference, state, first_seen, last_seen,
    explained_by, explanation, explained_at
FROM mismatches
WHERE account_id = $1 AND state <> 'gone'
ORDER BY first_seen, mismatch_id
"""
OWNS = "SELECT 1 FROM strategies WHERE number = $1 AND account_id = $2"
LEAVE = "INSERT INTO untidied_strategies (strategy, account_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
TIDY = "DELETE FROM untidied_strategies WHERE strategy = $1 AND account_id = $2"
READ_UNTIDIED = "SELECT strategy FROM untidied_strategies WHERE account_id = $1 ORDER BY strategy"


class PostgresUpkeep:
    """Implements ``UpkeepRepository``.

    Args:
        database: Where it is kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save_mismatches(self, mismatches: Sequence[Mismatch], *, epoch: int) -> None:
        """Insert, or replace what is kept under the same ids; of one account, all or none.

        Raises:
            WriterLost: ``epoch`` is not the newest.
        """
        if not mismatches:
            return
        account = one_account(item.account for item in mismatches)
        rows = [_columns(item) for item in mismatches]
        with refusals_in_words():
            async with self._database.transaction() as session:
                await require_newest_epoch(session, account, epoch)
                for row in rows:
                    await session.execute(SAVE, *row)

    async def mismatches(self, account: AccountId) -> tuple[Mismatch, ...]:
        """Those that are not gone, oldest first."""
        async with self._database.acquire() as session:
            return tuple(_mismatch(row) for row in await session.fetch(READ, account))

    async def set_tidied(self, account: AccountId, strategy: StrategyNumber, tidied: bool, *, epoch: int) -> None:
        """Whether housekeeping may touch the orders of a strategy; it may unless this was said.

        Raises:
            WriterLost: ``epoch`` is not the newest.
            UnknownStrategy: the account has no such strategy.
        """
        async with self._database.transaction() as session:
            await require_newest_epoch(session, account, epoch)
            if await session.fetchval(OWNS, strategy, account) is None:
                raise no_strategy(account, strategy)
            await session.execute(TIDY if tidied else LEAVE, strategy, account)

    async def untidied(self, account: AccountId) -> tuple[StrategyNumber, ...]:
        """Strategies whose orders housekeeping leaves alone, by number."""
        async with self._database.acquire() as session:
            return tuple(StrategyNumber(row["strategy"]) for row in await session.fetch(READ_UNTIDIED, account))


def no_strategy(account: AccountId, strategy: StrategyNumber) -> UnknownStrategy:
    """The error for a strategy that the account does not have."""
    return UnknownStrategy(f"Account {account} has no strategy #{strategy}.", field="strategy")


def _columns(item: Mismatch) -> tuple[object, ...]:
    return (
        item.account,
        item.mismatch_id,
        item.kind,
        storable(item.subject),
        storable(item.words),
        storable(item.ours),
        storable(item.theirs),
        storable(item.difference),
        item.state,
        aware(item.first_seen),
        aware(item.last_seen),
        storable(item.explained_by),
        storable(item.explanation),
        aware_or_none(item.explained_at),
    )


def _mismatch(row: Row) -> Mismatch:
    return Mismatch(
        mismatch_id=row["mismatch_id"],
        account=AccountId(row["account_id"]),
        kind=MismatchKind(row["kind"]),
        subject=row["subject"],
        words=row["words"],
        ours=row["ours"],
        theirs=row["theirs"],
        difference=row["difference"],
        state=MismatchState(row["state"]),
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        explained_by=row["explained_by"],
        explanation=row["explanation"],
        explained_at=row["explained_at"],
    )
