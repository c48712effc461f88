"""The durable record of plans: what is to be done, how far it is, and how it ended.

Every write is one statement with the fence on the writer epoch in it, so one round trip and one commit.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from engine.core.errors import StorageError
from engine.core.identifiers import AccountId
from engine.core.plans import PlanNumber, PlanRecord
from storage.boundary import aware, aware_or_none, storable
from storage.order_rows import text_of
from storage.plan_rows import PLAN_COLUMNS, plan_columns, plan_from_row
from storage.pool import Database
from storage.refusals import refusals_in_words
from storage.writer_epoch import refuse_writer

# A key that is there already gives no number, and takes none from the sequence.
RECORD = """
WITH fence AS (
    SELECT account_id FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), made AS (
    INSERT INTO plans (
        account_id, idempotency_key, spec, state, sentence, progress, seat, made_by, created_at, updated_at, finished_at
    )
    SELECT
        account_id, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::timestamptz,
        $11::timestamptz, $12::timestamptz
    FROM fence
    WHERE NOT EXISTS (
        SELECT FROM plans AS earlier WHERE earlier.account_id = fence.account_id AND earlier.idempotency_key = $3
    )
    ON CONFLICT ON CONSTRAINT plans_idempotency_key_key DO NOTHING
    RETURNING number
)
SELECT EXISTS (SELECT FROM fence) AS is_writer, (SELECT number FROM made) AS number
"""
# What a plan is (account, key, specification, words, who and when) is never rewritten.
UPDATE = """
WITH fence AS (
    SELECT account_id FROM writer_epochs WHERE account_id = $1 AND epoch = $2 FOR SHARE
), changed AS (
    UPDATE plans SET state = $4::text, progress = $5::text, updated_at = $6::timestamptz, finished_at = $7::timestamptz
    FROM fence
    WHERE plans.number = $3 AND plans.account_id = fence.account_id
    RETURNING plans.number
)
SELECT EXISTS (SELECT FROM fence) AS is_writer, EXISTS (SELECT FROM changed) AS is_known
"""
# The text put together below is all ours, nothing of it comes from outside. The conditions are spelled as the partial
# index has them.
READ_UNFINISHED = f"""
SELECT {PLAN_COLUMNS} FROM plans
WHERE account_id = $1 AND state NOT IN ('DONE', 'CANCELLED', 'FAILED', 'DROPPED')
ORDER BY number
"""  # noqa: S608
READ_SINCE = f"""
SELECT {PLAN_COLUMNS} FROM plans
WHERE account_id = $1 AND (
    created_at >= $2 OR updated_at >= $2 OR state NOT IN ('DONE', 'CANCELLED', 'FAILED', 'DROPPED')
)
ORDER BY number
"""  # noqa: S608
READ_BY_NUMBER = f"SELECT {PLAN_COLUMNS} FROM plans WHERE number = $1"  # noqa: S608
READ_BY_KEY = f"SELECT {PLAN_COLUMNS} FROM plans WHERE account_id = $1 AND idempotency_key = $2"  # noqa: S608


class PostgresPlans:
    """Implements ``PlanRepository``.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, plan: PlanRecord, *, epoch: int) -> PlanRecord:
        """Write a new plan and give it a number; a known key returns the plan it made.

        Raises:
            WriterLost: ``epoch`` is not the newest.
            InvalidInput: the account is not known.
        """
        refuse_numbered(plan)
        with refusals_in_words():
            async with self._database.acquire() as session:
                row = await session.fetchrow(RECORD, plan.account, epoch, *plan_columns(plan))
        if row is None or not row["is_writer"]:
            refuse_writer(plan.account)
        if row["number"] is not None:
            return kept_plan(plan, PlanNumber(row["number"]))
        known = await self.by_idempotency_key(plan.account, plan.idempotency_key)
        if known is None:
            raise StorageError(f"The key of a plan of {plan.account} is taken and its plan cannot be read; ask again.")
        return known

    async def update(self, plan: PlanRecord, *, epoch: int) -> None:
        """Replace the state, progress and times of a plan.

        Raises:
            WriterLost: ``epoch`` is not the newest.
            StorageError: the account has no such plan, or nothing could be written.
        """
        with refusals_in_words():
            async with self._database.acquire() as session:
                row = await session.fetchrow(
                    UPDATE,
                    plan.account,
                    epoch,
                    plan.number,
                    plan.state,
                    text_of(plan.progress),
                    aware(plan.updated_at),
                    aware_or_none(plan.finished_at),
                )
        if row is None or not row["is_writer"]:
            refuse_writer(plan.account)
        if not row["is_known"]:
            raise unknown_plan(plan)

    async def unfinished(self, account: AccountId) -> tuple[PlanRecord, ...]:
        """Plans that are not over, oldest first."""
        async with self._database.acquire() as session:
            return tuple(plan_from_row(row) for row in await session.fetch(READ_UNFINISHED, account))

    async def since(self, account: AccountId, moment: datetime) -> tuple[PlanRecord, ...]:
        """Plans made or changed at or after ``moment``, and all that are not over, oldest first."""
        async with self._database.acquire() as session:
            return tuple(plan_from_row(row) for row in await session.fetch(READ_SINCE, account, aware(moment)))

    async def by_number(self, number: PlanNumber) -> PlanRecord | None:
        """One plan."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_BY_NUMBER, number)
        return None if row is None else plan_from_row(row)

    async def by_idempotency_key(self, account: AccountId, key: str) -> PlanRecord | None:
        """The plan a key made, at any time."""
        async with self._database.acquire() as session:
            row = await session.fetchrow(READ_BY_KEY, account, key)
        return None if row is None else plan_from_row(row)


def refuse_numbered(plan: PlanRecord) -> None:
    """Check that a plan is new.

    Raises:
        ValueError: it has a number already.
    """
    if plan.number:
        raise ValueError(f"{plan.name} is recorded already; a new plan has no number")


def kept_plan(plan: PlanRecord, number: PlanNumber) -> PlanRecord:
    """A new plan as it is read back."""
    return msgspec.structs.replace(
        plan,
        number=number,
        sentence=storable(plan.sentence),
        seat=storable(plan.seat),
        by=storable(plan.by),
    )


def unknown_plan(plan: PlanRecord) -> StorageError:
    """The error for a plan that nobody recorded."""
    return StorageError(f"Account {plan.account} has no plan {plan.name}.")
