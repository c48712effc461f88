"""What is kept of looking after an account, in front of a database that may hang: no caller waits for it longer than
for the order journal.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.reconciling import Mismatch
from engine.core.repositories import UpkeepRepository
from engine.execution.patience import Patience


class PatientUpkeep:
    """Implements ``UpkeepRepository``.

    Args:
        repository: The real one.
        patience: How long it is waited for.
    """

    def __init__(self, repository: UpkeepRepository, patience: Patience) -> None:
        self._repository = repository
        self._patience = patience

    async def save_mismatches(self, mismatches: Sequence[Mismatch], *, epoch: int) -> None:
        """Insert, or replace what is kept under the same ids."""
        await self._patience.ask(self._repository.save_mismatches(mismatches, epoch=epoch))

    async def mismatches(self, account: AccountId) -> tuple[Mismatch, ...]:
        """Those that are not gone, oldest first."""
        return await self._patience.ask(self._repository.mismatches(account))

    async def set_tidied(self, account: AccountId, strategy: StrategyNumber, tidied: bool, *, epoch: int) -> None:
        """Whether housekeeping may touch the orders of a strategy."""
        await self._patience.ask(self._repository.set_tidied(account, strategy, tidied, epoch=epoch))

    async def untidied(self, account: AccountId) -> tuple[StrategyNumber, ...]:
        """Strategies whose orders housekeeping leaves alone, by number."""
        return await self._patience.ask(self._repository.untidied(account))
