"""Services that fail are started again, and the screen says so until they really run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from engine.core.errors import InvariantBroken
from engine.event_log import EventLog
from engine.supervision import HEALTHY_PAUSES, Services, Supervisor
from tests.unit.engine.manual_clock import ManualClock

PAUSES = (1.0, 5.0)


class Service:
    """Fails as often as it is told, then runs until it is told to fail again."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.starts = 0
        self._stopped = asyncio.Event()

    async def __call__(self) -> None:
        """One run."""
        self.starts += 1
        if self.errors:
            raise self.errors.pop(0)
        await self._stopped.wait()
        self._stopped.clear()
        raise OSError("stopped by the test")

    def fail(self) -> None:
        """Let the run under way fail."""
        self._stopped.set()


@pytest.fixture
async def clock() -> ManualClock:
    """Time of this test."""
    return ManualClock()


@pytest.fixture
async def supervisor(clock: ManualClock) -> Supervisor:
    """A supervisor with two pauses."""
    return Supervisor(clock, EventLog(clock, kept_max=100), pauses_s=PAUSES)


@contextlib.asynccontextmanager
async def running(
    supervisor: Supervisor, service: Callable[[], Awaitable[None]], clock: ManualClock
) -> AsyncIterator[asyncio.Task[None]]:
    """A supervised service that is ended with the test."""
    task = asyncio.create_task(supervisor.run("feed", service))
    await clock.settle()
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_failed_service_is_started_again_after_its_pause(supervisor: Supervisor, clock: ManualClock) -> None:
    """Not before the pause is over."""
    service = Service(OSError("no route"))
    async with running(supervisor, service, clock):
        assert service.starts == 1
        await clock.advance(0.9)
        assert service.starts == 1
        await clock.advance(0.2)
        assert service.starts == 2


async def test_failures_in_a_row_wait_longer_and_the_last_pause_repeats(
    supervisor: Supervisor, clock: ManualClock
) -> None:
    """The pauses are those given, in order."""
    service = Service(*[OSError("again")] * 4)
    async with running(supervisor, service, clock):
        for pause in (1.0, 5.0, 5.0, 5.0):
            await clock.advance(pause)
        assert service.starts == 5


async def test_the_screen_says_so_until_it_really_runs(supervisor: Supervisor, clock: ManualClock) -> None:
    """A service that was only started is not yet a service that runs."""
    async with running(supervisor, Service(OSError("no route")), clock):
        assert "feed failed (OSError: no route)" in supervisor.degraded[0]
        await clock.advance(1.0)
        assert supervisor.degraded
        await clock.advance(HEALTHY_PAUSES * 1.0)
        assert supervisor.degraded == ()


async def test_a_service_that_fails_at_once_again_never_counts_as_running(
    supervisor: Supervisor, clock: ManualClock
) -> None:
    """No «runs again» between failures."""
    async with running(supervisor, Service(*[OSError("again")] * 3), clock):
        for pause in (1.0, 5.0):
            await clock.advance(pause)
            assert supervisor.degraded


async def test_a_failure_after_a_healthy_run_is_a_first_failure(supervisor: Supervisor, clock: ManualClock) -> None:
    """It is started again after the first pause, not the longest."""
    service = Service(OSError("one"), OSError("two"))
    async with running(supervisor, service, clock):
        await clock.advance(1.0)
        await clock.advance(5.0)
        await clock.advance(HEALTHY_PAUSES * 5.0)
        service.fail()
        await clock.settle()
        starts = service.starts
        await clock.advance(1.0)
        assert service.starts == starts + 1


async def test_a_broken_invariant_is_not_survived(supervisor: Supervisor, clock: ManualClock) -> None:
    """Going on could cost money."""
    async with running(supervisor, Service(InvariantBroken("two fills")), clock) as task:
        assert isinstance(task.exception(), InvariantBroken)


async def test_a_broken_invariant_in_a_task_of_the_service_is_found(supervisor: Supervisor, clock: ManualClock) -> None:
    """A group of errors does not hide it."""
    group = ExceptionGroup("tasks", [OSError("x"), ExceptionGroup("inner", [InvariantBroken("two fills")])])
    async with running(supervisor, Service(group), clock) as task:
        assert isinstance(task.exception(), InvariantBroken)


async def test_a_service_that_returns_is_done(supervisor: Supervisor, clock: ManualClock) -> None:
    """It is not started again and is not degraded."""

    async def once() -> None:
        return

    async with running(supervisor, once, clock) as task:
        assert task.done()
        assert supervisor.degraded == ()


async def test_cancelling_ends_it_at_any_moment(supervisor: Supervisor, clock: ManualClock) -> None:
    """In a pause as in a run."""
    async with running(supervisor, Service(OSError("x")), clock) as task:
        task.cancel()
        await clock.settle()
        assert task.cancelled()


async def test_declared_sentences_are_events_once(clock: ManualClock) -> None:
    """Saying the same thing again is no news; clearing it is."""
    events = EventLog(clock, kept_max=10)
    supervisor = Supervisor(clock, events, pauses_s=PAUSES)
    for sentence in ("BFO is of 18 Nov", "BFO is of 18 Nov", "", ""):
        supervisor.declare("instruments", sentence)
    assert [event.text for event in events.after(0)] == ["BFO is of 18 Nov", "instruments runs again."]


def test_a_supervisor_without_pauses_is_refused() -> None:
    """A service would be restarted without end and without rest."""
    clock = ManualClock()
    with pytest.raises(ValueError, match="pause"):
        Supervisor(clock, EventLog(clock, kept_max=1), pauses_s=())


async def test_a_service_takes_the_place_of_the_one_of_its_name() -> None:
    """Of two with one name the later runs; one whose invariant is broken stays down alone; stopping ends them all."""
    clock = ManualClock()
    supervisor = Supervisor(clock, EventLog(clock, kept_max=10), pauses_s=PAUSES)
    services = Services(supervisor, stop_timeout_s=1.0)
    running: list[str] = []

    def service(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            running.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                running.remove(name)

        return run

    async def broken() -> None:
        raise InvariantBroken("two of one")

    services.start("money", service("first"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    services.start("money", service("second"))
    services.start("orders", service("orders"))
    services.start("broken", broken)
    for _ in range(10):
        await asyncio.sleep(0)
    assert sorted(running) == ["orders", "second"]
    assert supervisor.degraded == ("broken has stopped for good: two of one.",)
    await services.stop()
    assert running == []
