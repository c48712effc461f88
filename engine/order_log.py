"""Every change of an order, as a numbered list: what followers read, each at its own pace.

Overload policy: the oldest changes leave the list when it is full; a reader that was so slow gets a snapshot.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from engine.core.orders import OrderRecord
from engine.core.views import OrderChanges


class Bell:
    """Wakes everybody who waits. Rung from the loop that they wait in."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all who wait now."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def heard(self) -> None:
        """Wait for the next ring."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


class OrderLog:
    """Changes of orders, newest last.

    Args:
        kept_max: Changes kept.
    """

    def __init__(self, *, kept_max: int) -> None:
        self._changes: deque[OrderRecord] = deque(maxlen=kept_max)
        self._sequence = 1  # the state at the start is the first entry, so that a place is never 0
        self._bell = Bell()

    @property
    def sequence(self) -> int:
        """The place after the newest change."""
        return self._sequence

    def add(self, record: OrderRecord) -> None:
        """An order stands differently."""
        self._changes.append(record)
        self._sequence += 1
        self._bell.ring()

    async def next(self, after: int | None, snapshot: Callable[[], tuple[OrderRecord, ...]]) -> OrderChanges:
        """What came after ``after``, at once when there is something; see ``EngineClient.next_orders``.

        Args:
            after: A place in this list.
            snapshot: All orders as they stand.
        """
        while after is not None and after == self._sequence:
            await self._bell.heard()
        missing = self._sequence - after if after is not None else 0
        if after is None or not 0 < missing <= len(self._changes):
            return OrderChanges(sequence=self._sequence, base=0, orders=snapshot())
        changes = tuple(self._changes)[-missing:]
        return OrderChanges(sequence=self._sequence, base=after, orders=changes)
