"""The record of plans in memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from engine.core.identifiers import AccountId
from engine.core.plans import PlanNumber, PlanRecord
from storage.boundary import aware
from storage.memory.store import MemoryStore, require
from storage.plan_rows import plan_columns
from storage.plans import kept_plan, refuse_numbered, unknown_plan


class MemoryPlans:
    """Implements ``PlanRepository``.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def record(self, plan: PlanRecord, *, epoch: int) -> PlanRecord:
        """Write a new plan and give it a number; a known key returns the plan it made."""
        refuse_numbered(plan)
        plan_columns(plan)
        self._store.require_writer(plan.account, epoch)
        self._store.require_account(plan.account)
        require(plan.idempotency_key != "", "plans_idempotency_key_check")
        known = await self.by_idempotency_key(plan.account, plan.idempotency_key)
        if known is not None:
            return known
        kept = kept_plan(plan, PlanNumber(len(self._store.plans) + 1))
        self._store.plans[kept.number] = kept
        return kept

    async def update(self, plan: PlanRecord, *, epoch: int) -> None:
        """Replace the state, progress and times of a plan."""
        plan_columns(plan)
        self._store.require_writer(plan.account, epoch)
        kept = self._store.plans.get(plan.number)
        if kept is None or kept.account != plan.account:
            raise unknown_plan(plan)
        # What a plan is (account, key, specification, words, who and when) is never rewritten.
        self._store.plans[plan.number] = msgspec.structs.replace(
            kept,
            state=plan.state,
            progress=plan.progress,
            updated_at=plan.updated_at,
            finished_at=plan.finished_at,
        )

    async def unfinished(self, account: AccountId) -> tuple[PlanRecord, ...]:
        """Plans that are not over, oldest first."""
        return _in_order(plan for plan in self._of(account) if not plan.state.is_over)

    async def since(self, account: AccountId, moment: datetime) -> tuple[PlanRecord, ...]:
        """Plans made or changed at or after ``moment``, and all that are not over, oldest first."""
        first = aware(moment)
        return _in_order(
            plan
            for plan in self._of(account)
            if plan.created_at >= first or plan.updated_at >= first or not plan.state.is_over
        )

    async def by_number(self, number: PlanNumber) -> PlanRecord | None:
        """One plan."""
        self._store.require_running()
        return self._store.plans.get(number)

    async def by_idempotency_key(self, account: AccountId, key: str) -> PlanRecord | None:
        """The plan a key made, at any time."""
        return next((plan for plan in self._of(account) if plan.idempotency_key == key), None)

    def _of(self, account: AccountId) -> list[PlanRecord]:
        self._store.require_running()
        return [plan for plan in self._store.plans.values() if plan.account == account]


def _in_order(plans: Iterable[PlanRecord]) -> tuple[PlanRecord, ...]:
    return tuple(sorted(plans, key=lambda plan: plan.number))
