"""What is kept of looking after an account, in memory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.reconciling import Mismatch, MismatchState
from storage.boundary import aware, aware_or_none, one_account, storable
from storage.memory.store import MemoryStore, require
from storage.upkeep import no_strategy

TEXTS = ("subject", "words", "ours", "theirs", "difference", "explained_by", "explanation")


class MemoryUpkeep:
    """Implements ``UpkeepRepository``.

    Args:
        store: Where it is kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def save_mismatches(self, mismatches: Sequence[Mismatch], *, epoch: int) -> None:
        """Insert, or replace what is kept under the same ids; of one account, all or none."""
        if not mismatches:
            return
        account = one_account(item.account for item in mismatches)
        self._store.require_writer(account, epoch)
        self._store.require_account(account)
        kept = [_kept(item) for item in mismatches]
        for item in kept:
            self._store.mismatches[account, item.mismatch_id] = item

    async def mismatches(self, account: AccountId) -> tuple[Mismatch, ...]:
        """Those that are not gone, oldest first."""
        self._store.require_running()
        found = [
            item
            for (owner, _), item in self._store.mismatches.items()
            if owner == account and item.state is not MismatchState.GONE
        ]
        return tuple(sorted(found, key=lambda item: (item.first_seen, item.mismatch_id)))

    async def set_tidied(self, account: AccountId, strategy: StrategyNumber, tidied: bool, *, epoch: int) -> None:
        """Whether housekeeping may touch the orders of a strategy; it may unless this was said."""
        self._store.require_writer(account, epoch)
        known = self._store.strategies.get(strategy)
        if known is None or known.account != account:
            raise no_strategy(account, strategy)
        if tidied:
            self._store.untidied.discard(strategy)
        else:
            self._store.untidied.add(strategy)

    async def untidied(self, account: AccountId) -> tuple[StrategyNumber, ...]:
        """Strategies whose orders housekeeping leaves alone, by number."""
        self._store.require_running()
        return tuple(
            number for number in sorted(self._store.untidied) if self._store.strategies[number].account == account
        )


def _kept(item: Mismatch) -> Mismatch:
    """An item as it is read back."""
    aware(item.first_seen)
    aware(item.last_seen)
    aware_or_none(item.explained_at)
    require(item.mismatch_id != "", "mismatches_id_check")
    return msgspec.structs.replace(item, **{name: storable(getattr(item, name)) for name in TEXTS})
