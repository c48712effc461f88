"""New orders that arrive together are written together: what comes while a commit runs shares the next one.

One at a time and in the order of arrival, so an order waits for at most the commit that runs and its own. A refusal is
of the order it is about: a batch that is refused is written one by one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from engine.core.errors import InvalidInput, StorageConflict, StorageUnavailable, WorkstationError
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderIntent, OrderRecord

BATCH_MAX = 32
"""Orders of one commit; more wait for the next one. How many may wait is bounded by the places of the queue."""


class NewOrder:
    """An order that is to be written for the first time.

    Args:
        intent: What is wanted.
        urgent: It may go by the spool when the journal is away.
        leaves: It is written as SENDING, because nothing keeps it from leaving then.
    """

    __slots__ = ("intent", "leaves", "may_be_written", "number", "urgent")

    def __init__(self, intent: OrderIntent, *, urgent: bool, leaves: bool) -> None:
        self.intent = intent
        self.urgent = urgent
        self.leaves = leaves
        self.number: OrderNumber | None = None
        """Reserved for it, and for nothing else once it may be written under it."""
        self.may_be_written = False
        """A write of it has failed, and may have been made after all."""


class _Wanted(NamedTuple):
    """An order that waits to be written, and who waits for it."""

    order: NewOrder
    written: asyncio.Future[OrderRecord | None]
    """``None`` says that it is this caller's turn to write."""


class IntentBatches:
    """Gathers and writes: whoever comes first writes for all that came in the same turn, and then lets the next write.

    Args:
        write: Writes some, all or none, and gives them back in their order.
        most: Orders of one commit.
    """

    def __init__(
        self, write: Callable[[Sequence[NewOrder]], Awaitable[Sequence[OrderRecord]]], *, most: int = BATCH_MAX
    ) -> None:
        self._write = write
        self._most = most
        self._waiting: deque[_Wanted] = deque()
        self._is_writing = False

    async def add(self, order: NewOrder) -> OrderRecord:
        """Write an order, together with whatever else waits; returning means that it is written.

        Raises:
            StorageConflict, InvalidInput: this order is refused.
            StorageError: the commit it was in has failed.
        """
        wanted = _Wanted(order, asyncio.get_running_loop().create_future())
        self._waiting.append(wanted)
        if self._is_writing:
            record = await self._followed(wanted)
            if record is not None:
                return record
        self._is_writing = True
        taken: list[_Wanted] = []
        try:
            await asyncio.sleep(0)  # what comes in this turn comes along
            taken += [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            results = await self._results([item.order for item in taken])
            for item, result in zip(taken, results, strict=True):
                if item is not wanted:
                    _answer(item, result)
        finally:
            for item in taken:
                if item is not wanted:
                    _answer(item, StorageUnavailable("a write was cut off"))
            if wanted in self._waiting:
                self._waiting.remove(wanted)  # cut off before it wrote
            self._pass_on()
        own = results[taken.index(wanted)]
        if isinstance(own, WorkstationError):
            raise own
        return own

    async def _followed(self, wanted: _Wanted) -> OrderRecord | None:
        try:
            return await wanted.written
        except asyncio.CancelledError:
            if wanted in self._waiting:
                self._waiting.remove(wanted)
                if not wanted.written.cancelled():
                    self._pass_on()  # it was its turn
            raise

    def _pass_on(self) -> None:
        while self._waiting and self._waiting[0].written.done():
            self._waiting.popleft()  # nobody waits for it any more
        self._is_writing = bool(self._waiting)
        if self._waiting:
            _answer(self._waiting[0], None)

    async def _results(self, orders: Sequence[NewOrder]) -> Sequence[OrderRecord | WorkstationError]:
        """What became of each."""
        try:
            return await self._write(orders)
        except (StorageConflict, InvalidInput) as error:
            if len(orders) == 1:
                return (error,)
        except WorkstationError as error:
            return [error] * len(orders)
        return [result for order in orders for result in await self._results((order,))]


def _answer(item: _Wanted, result: OrderRecord | WorkstationError | None) -> None:
    if item.written.done():
        return
    if isinstance(result, WorkstationError):
        item.written.set_exception(result)
    else:
        item.written.set_result(result)
