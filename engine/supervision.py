"""Keeps the engine's services running: restarts one that failed, with a growing pause, and says so on screen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from engine.core.errors import InvariantBroken
from engine.core.events import EventKind
from engine.core.ports import Clock
from engine.core.vocabulary import Severity
from engine.event_log import EventWriter

logger = logging.getLogger(__name__)

HEALTHY_PAUSES = 10
"""A service that ran this many of its pauses is healthy: its next failure counts as the first."""


class Supervisor:
    """Runs named services until cancelled."""

    def __init__(self, clock: Clock, events: EventWriter, *, pauses_s: Sequence[float]) -> None:
        """``pauses_s`` are the waits before each restart in a row; the last one repeats.

        Raises:
            ValueError: there are none.
        """
        if not pauses_s:
            raise ValueError("a supervisor needs at least one pause")
        self._clock = clock
        self._events = events
        self._pauses_s = tuple(pauses_s)
        self._degraded: dict[str, str] = {}

    @property
    def degraded(self) -> tuple[str, ...]:
        """One sentence per service that is not running as it should."""
        return tuple(self._degraded.values())

    def declare(self, name: str, sentence: str) -> None:
        """Mark something as degraded in words; an empty sentence clears it."""
        if sentence:
            if self._degraded.get(name) != sentence:
                self._events.add(EventKind.SYSTEM, sentence, severity=Severity.ATTENTION, subject=name)
            self._degraded[name] = sentence
        elif self._degraded.pop(name, None) is not None:
            self._events.add(EventKind.SYSTEM, f"{name} runs again.", subject=name)

    async def run(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Run ``service`` for ever; a service that returns is done.

        A service counts as running again when it has run for ``HEALTHY_PAUSES`` times the last pause without failing.

        Raises:
            InvariantBroken: going on could cost money; the engine comes down.
        """
        failures = 0
        while True:
            started = self._clock.monotonic()
            recovering = asyncio.create_task(self._recover(name, failures)) if failures else None
            try:
                await service()
            except InvariantBroken:
                raise
            except Exception as error:
                # Whatever broke in one service, the others and above all the exits must go on; the screen says so.
                if (broken := _broken_invariant(error)) is not None:
                    raise broken from error
                logger.exception("the service %s failed", name)
                if self._clock.monotonic() - started >= HEALTHY_PAUSES * self._pause(failures):
                    failures = 0
                failures += 1
                pause = self._pause(failures)
                words = f"{name} failed ({type(error).__name__}: {error})"
                self.declare(name, f"{words}; it starts again after {pause:g} s.")
            else:
                self.declare(name, "")
                return
            finally:
                if recovering is not None:
                    recovering.cancel()
                    await asyncio.gather(recovering, return_exceptions=True)
            await self._clock.sleep(pause)

    async def _recover(self, name: str, failures: int) -> None:
        await self._clock.sleep(HEALTHY_PAUSES * self._pause(failures))
        self.declare(name, "")

    def _pause(self, failures: int) -> float:
        """The wait after so many failures in a row."""
        return self._pauses_s[min(max(failures, 1), len(self._pauses_s)) - 1]


class Services:
    """What runs until it is told to end, each part supervised by itself.

    Args:
        supervisor: Starts again what failed.
        stop_timeout_s: How long ``stop`` waits.
    """

    def __init__(self, supervisor: Supervisor, *, stop_timeout_s: float) -> None:
        self._supervisor = supervisor
        self._stop_timeout_s = stop_timeout_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        """Run a service in place of the one of this name; one whose invariant is broken stays down and is declared."""
        if (former := self._running.get(name)) is not None:
            former.cancel()
        task = asyncio.create_task(self._supervised(name, service), name=name)
        self._running[name] = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End all of them; one that does not end in time is logged."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._stop_timeout_s)
            for task in late:
                logger.error("the service %s did not stop", task.get_name())

    async def _supervised(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._supervisor.run(name, service)
        except InvariantBroken as error:
            self._supervisor.declare(name, f"{name} has stopped for good: {error}.")


def _broken_invariant(error: BaseException) -> InvariantBroken | None:
    """The broken invariant among the errors of a service's tasks, however deep."""
    if isinstance(error, InvariantBroken):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if (found := _broken_invariant(inner)) is not None:
                return found
    return None
