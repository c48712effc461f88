"""What the exchange tells a test driver: a numbered list of what happened, and gates that stop it at a moment.

Invariant: events are numbered without gaps. Bounded: the oldest are dropped, and whoever asks for more than is left
is told how many are missing. A gate opens by itself after its time, so that nothing can be stopped for ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from engine.practice.faults import Faults, Point, Then

PAUSED, RELEASED = "paused", "released"


class Event(msgspec.Struct, frozen=True):
    """One thing that happened; ``at`` is wall time in epoch seconds, ``what`` a word, the rest may be empty."""

    seq: int
    at: float
    what: str
    account: str = ""
    tag: str = ""
    order_id: str = ""
    detail: str = ""


class Events:
    """The list of events.

    Args:
        limit: How many are kept.
        clock: Wall time in epoch seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=limit)
        self._waiters: set[asyncio.Future[None]] = set()
        self._seq = 0

    def add(self, what: str, *, account: str = "", tag: str = "", order_id: str = "", detail: str = "") -> None:
        """Note that something happened, and wake whoever waits for it."""
        self._seq += 1
        self._kept.append(Event(self._seq, self._clock(), what, account, tag, order_id, detail))
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def after(self, seq: int) -> dict[str, Any]:
        """Return the events after a number, the newest number, and how many of them are no longer kept."""
        first = self._kept[0].seq if self._kept else self._seq + 1
        skip = max(seq + 1 - first, 0)
        rows = [msgspec.to_builtins(event) for event in list(self._kept)[skip:]]
        return {"events": rows, "last": self._seq, "missed": max(first - seq - 1, 0)}

    async def wait(self, seq: int, seconds: float) -> dict[str, Any]:
        """Return the events after a number as soon as there is one, or what there is after some time."""
        if self._seq <= seq and seconds > 0.0:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                async with asyncio.timeout(seconds):
                    await waiter
            except TimeoutError:
                pass
            finally:
                self._waiters.discard(waiter)
        return self.after(seq)


class _Stopped:
    def __init__(self, point: Point, tag: str, account: str, release: Callable[[], None]) -> None:
        self.point = point
        self.tag = tag
        self.account = account
        self.release = release


class Gates:
    """Stops handling where a ``pause_at`` says so, until it is released.

    Args:
        faults: Where the pauses are registered.
        events: Where stops and releases are noted.
        limit_seconds: The longest stop.
    """

    def __init__(self, faults: Faults, events: Events, limit_seconds: float) -> None:
        self._faults = faults
        self._events = events
        self._limit = limit_seconds
        self._stopped: list[_Stopped] = []

    async def stop_at(self, point: Point, tag: str, account: str, order_id: str = "") -> Then:
        """Wait while a pause holds this point, and say how to go on."""
        fault = self._faults.take_at(point, tag, account)
        if fault is None:
            return Then.GO_ON
        freed = asyncio.Event()
        self._stop(_Stopped(point, tag, account, freed.set), order_id, fault.seconds)
        await freed.wait()
        return fault.then

    def defer(self, point: Point, tag: str, account: str, order_id: str, action: Callable[[], None]) -> bool:
        """Keep an action until its pause is released; False when there is no pause, and nothing was kept."""
        if any(stop.point == point and (stop.tag, stop.account) == (tag, account) for stop in self._stopped):
            # What comes after something that is stopped stays behind it.
            self._stopped.append(_Stopped(point, tag, account, action))
            return True
        fault = self._faults.take_at(point, tag, account)
        if fault is None:
            return False
        self._stop(_Stopped(point, tag, account, action), order_id, fault.seconds)
        return True

    def release(self, tag: str = "") -> int:
        """Let everything go on whose tag begins so, in order; return how many there were."""
        free = [stop for stop in self._stopped if stop.tag.startswith(tag)]
        self._stopped = [stop for stop in self._stopped if not stop.tag.startswith(tag)]
        for stop in free:
            self._events.add(RELEASED, account=stop.account, tag=stop.tag, detail=stop.point)
            stop.release()
        return len(free)

    def _stop(self, stop: _Stopped, order_id: str, seconds: float) -> None:
        self._stopped.append(stop)
        self._events.add(PAUSED, account=stop.account, tag=stop.tag, order_id=order_id, detail=stop.point)
        seconds = min(seconds or self._limit, self._limit)
        asyncio.get_running_loop().call_later(seconds, self._expire, stop)

    def _expire(self, stop: _Stopped) -> None:
        if stop in self._stopped:
            together = [row for row in self._stopped if (row.point, row.tag) == (stop.point, stop.tag)]
            self._stopped = [row for row in self._stopped if row not in together]
            for row in together:
                self._events.add(RELEASED, account=row.account, tag=row.tag, detail=f"{row.point} (deadline)")
                row.release()
