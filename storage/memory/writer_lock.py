"""The writer lock in memory."""

from __future__ import annotations

from engine.core.identifiers import AccountId
from storage.memory.store import MemoryStore
from storage.writer_epoch import refuse_writer


class MemoryWriterLock:
    """Implements ``WriterLock``; each object is one engine.

    Args:
        store: Whose accounts are locked.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def acquire(self, account: AccountId) -> int | None:
        """Become the writer; the new epoch, or ``None`` when another engine is. Held already: the same epoch."""
        self._store.require_running()
        holder = self._store.writers.get(account)
        if holder is self:
            return self._store.epochs[account]
        if holder is not None:
            return None
        self._store.writers[account] = self
        self._store.epochs[account] = self._store.epochs.get(account, 0) + 1
        return self._store.epochs[account]

    async def keep(self, account: AccountId, epoch: int) -> bool:
        """Go on being the writer under ``epoch``, taking the lock again when it is free.

        Raises:
            WriterLost: another engine has become the writer.
        """
        self._store.require_running()
        if self._store.epochs.get(account) != epoch:
            await self.release(account)
            refuse_writer(account)
        return self._store.writers.setdefault(account, self) is self

    async def is_held(self, account: AccountId) -> bool:
        """Whether this engine is the writer."""
        return self._store.writers.get(account) is self

    async def release(self, account: AccountId) -> None:
        """Stop being the writer; does nothing for an account that is not held."""
        if self._store.writers.get(account) is self:
            del self._store.writers[account]

    async def close(self) -> None:
        """Stop being the writer of everything."""
        for account in [account for account, holder in self._store.writers.items() if holder is self]:
            await self.release(account)
