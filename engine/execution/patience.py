"""Waits for a database so long and no longer. A call that is late goes on, and whoever asks is told that it is out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from engine.core.errors import StorageTimeout, WorkstationError, WriterLost
from engine.core.ports import Clock

logger = logging.getLogger(__name__)

T = TypeVar("T")

OVERSLEPT = 1.2
"""A limit that ends so many times later than it should says nothing about the other side."""


class Patience:
    """Limits calls that may hang.

    A late call is not cut off: whether it was done would not be known any better, and once it has ended nothing of it
    can come after what is written next.

    Args:
        clock: Whose seconds.
        limit_s: How long a call is waited for; ``None`` for as long as it takes.
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
        task = asyncio.ensure_future(work)
        began = self._clock.monotonic()
        await self._wait(task, self._limit_s)
        if not task.done() and self._clock.monotonic() - began > self._limit_s * OVERSLEPT:
            # It was this process that stood still: the answer may have come long ago and not been looked at.
            await self._wait(task, self._limit_s)
        if task.done():
            return task.result()
        self._late.add(task)
        task.add_done_callback(self._ended)
        raise StorageTimeout(f"the database did not answer within {self._limit_s:g} s")

    async def end(self) -> None:
        """Give up what is still out."""
        late = tuple(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _wait(self, task: asyncio.Task[Any], seconds: float) -> None:
        limit = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({task, limit}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise
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
