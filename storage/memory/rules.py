"""Rule files that a person loaded, in memory."""

from __future__ import annotations

from datetime import datetime

from storage.boundary import aware
from storage.memory.store import MemoryStore, require
from storage.rules import NAME_LENGTH_MAX


class MemoryRules:
    """Implements ``RuleRepository``.

    Args:
        store: Says whether the database is there.
        files: Where they are kept: text and moment by name.
    """

    def __init__(self, store: MemoryStore, files: dict[str, tuple[str, datetime]]) -> None:
        self._store = store
        self._files = files

    async def save(self, name: str, text: str, loaded_at: datetime) -> None:
        """Keep a file under its name in place of an earlier one of that name."""
        self._store.require_running()
        aware(loaded_at)
        require(0 < len(name) <= NAME_LENGTH_MAX, "rule_files_name_check")
        self._files[name] = (text, loaded_at)

    async def load(self) -> tuple[tuple[str, str, datetime], ...]:
        """Name, text and moment of each, newest first."""
        self._store.require_running()
        by_name = sorted((name, text, moment) for name, (text, moment) in self._files.items())
        return tuple(sorted(by_name, key=lambda file: file[2], reverse=True))

    async def remove(self, name: str) -> bool:
        """Forget one; whether it was there."""
        self._store.require_running()
        return self._files.pop(name, None) is not None
