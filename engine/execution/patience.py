"""Waits for a database so long and no longer. A call that is late goes on, and whoever asks is told that it is out.

Only time in which this process looked counts. A limit is divided into looks: the call is called late when it has not
ended after all of them, so an event loop that stood still for seconds has looked once, and what lay in the socket
meanwhile is still read. A refusal, or a connection that breaks, is an answer and is passed on at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from engine.core.errors import StorageTimeout, WorkstationError, WriterLost
from engine.core.ports import Clock

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOKS = 10
"""Into so many looks a limit is divided."""
OVERSLEPT = 2.0
"""A look that ends so many times later than it should says nothing about the other side: it was this process that
stood still. It is not counted, and at most ``LOOKS`` times: a loop that is always late still comes to an end."""


class _Call:
    """A call, and who waits for it: woken in the very step in which it ends, a turn of the loop before its task is
    known to be done.
    """

    __slots__ = ("waiter",)

    def __init__(self) -> None:
        self.waiter: asyncio.Future[None] | None = None

    async def made(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it, and wake who waits."""
        try:
            return await work
        finally:
            self.wake()

    def wake(self, _: object = None) -> None:
        """End the waiting."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)


class Patience:
    """Limits calls that may hang.

    A late call is not cut off: whether it was done would not be known any better, and once it has ended nothing of it
    can come after what is written next.

    Args:
        clock: Whose seconds.
        limit_s: How long a call is waited for, in seconds of which this process missed none; ``None`` for as long as
            it takes.
        on_lost: Told when a late call finds that another engine is the writer; ``None``: nobody need be.
    """

    def __init__(self, clock: Clock, limit_s: float | None, on_lost: Callable[[], None] | None = None) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._on_lost = on_lost
        self._late: set[asyncio.Task[Any]] = set()

    @property
    def has_late(self) -> bool:
        """Whether a call that was given up has not ended yet."""
        return bool(self._late)

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it.

        Raises:
            StorageTimeout: it has not ended within the limit; it may still be done.
        """
        if self._limit_s is None:
            return await work
        call = _Call()
        task = asyncio.ensure_future(call.made(work))
        look_s = self._limit_s / LOOKS
        looks = late = 0
        while looks < LOOKS:
            began = self._clock.monotonic()
            try:
                await self._look(call, look_s)
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                work.close()  # it may not even have begun
                raise
            if task.done():
                return task.result()
            if self._clock.monotonic() - began > look_s * OVERSLEPT and late < LOOKS:
                late += 1
            else:
                looks += 1
        self._late.add(task)
        task.add_done_callback(self._ended)
        raise StorageTimeout(f"the database did not answer within {self._limit_s:g} s")

    async def end(self) -> None:
        """Give up what is still out."""
        late = tuple(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _look(self, call: _Call, seconds: float) -> None:
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        call.waiter = asyncio.get_running_loop().create_future()
        limit.add_done_callback(call.wake)
        try:
            await call.waiter
        finally:
            limit.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, WriterLost) and self._on_lost is not None:
            self._on_lost()
        elif isinstance(error, WorkstationError):
            logger.info("a late call ended: %s", error)
        elif error is not None:
            logger.error("a late call failed", exc_info=error)
