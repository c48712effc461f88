"""The connections to the engine that runs now, and which refusals pass by themselves."""

from __future__ import annotations

import asyncio

from tests.chaos.door import Door

RETRY_S = 0.3
RETRIES_MAX = 400
LATER_CHECKS = frozenset(
    {
        *("book", "breaker", "engine", "journal", "queue", "quote", "writer", "login", "session", "spread", "margin"),
        *("plans", "positions", "unknown"),
    }
)
"""Refusals that pass: the same command is given again."""


class Seats:
    """The connections to the engine that runs now, and whether there is one.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.doors: list[Door] = []
        self.open = asyncio.Event()

    async def door(self, place: int = 0) -> Door | None:
        """One of them, as soon as an engine runs; ``None`` when it has gone in the same moment."""
        await self.open.wait()
        return self.doors[place % len(self.doors)] if self.doors else None
