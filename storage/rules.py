"""Rule files that a person loaded, kept as text."""

from __future__ import annotations

from datetime import datetime

from storage.boundary import aware
from storage.pool import Database
from storage.refusals import refusals_in_words

NAME_LENGTH_MAX = 255

SAVE = """
INSERT INTO rule_files (name, content, loaded_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET content = excluded.content, loaded_at = excluded.loaded_at
"""
READ_ALL = "SELECT name, content, loaded_at FROM rule_files ORDER BY loaded_at DESC, name"
REMOVE = "DELETE FROM rule_files WHERE name = $1 RETURNING name"


class PostgresRules:
    """Implements ``RuleRepository``.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, name: str, text: str, loaded_at: datetime) -> None:
        """Keep a file under its name in place of an earlier one of that name.

        Raises:
            RowRefused: the name is empty or longer than ``NAME_LENGTH_MAX``.
        """
        with refusals_in_words():
            async with self._database.acquire() as session:
                await session.execute(SAVE, name, text, aware(loaded_at))

    async def load(self) -> tuple[tuple[str, str, datetime], ...]:
        """Name, text and moment of each, newest first."""
        async with self._database.acquire() as session:
            rows = await session.fetch(READ_ALL)
        return tuple((row["name"], row["content"], row["loaded_at"]) for row in rows)

    async def remove(self, name: str) -> bool:
        """Forget one; whether it was there."""
        async with self._database.acquire() as session:
            return await session.fetchval(REMOVE, name) is not None
