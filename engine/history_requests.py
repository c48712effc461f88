"""The list of requests of the broker's history: by priority, one per instrument, bounded.

Overload policy: the request of the least priority (of equal ones the newest) is left out and counted.
"""

from __future__ import annotations

import asyncio

from engine.core.instruments import Instrument


class HistoryRequest:
    """Minutes of one instrument that are wanted.

    Args:
        instrument: whose.
        priority: greater ones first.
        first: start of the first minute, epoch seconds.
        last: start of the last minute.
        minutes: how many of them are missing.
    """

    def __init__(self, instrument: Instrument, priority: int, first: int, last: int, minutes: int) -> None:
        self.instrument = instrument
        self.priority = priority
        self.first = first
        self.last = last
        self.minutes = minutes
        self.attempts = 0
        self.answered = False
        self.done = asyncio.Event()
        """Set when it was answered, refused, given up or left out."""
        self.joined: list[HistoryRequest] = []
        """Requests that this one stands for."""

    def widen(self, other: HistoryRequest) -> None:
        """Ask for the other one's minutes too."""
        self.priority = max(self.priority, other.priority)
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        self.minutes = max(self.minutes, other.minutes)

    def end(self) -> None:
        """Tell those who wait, of what it stands for too."""
        for other in self.joined:
            other.answered = self.answered
            other.end()
        self.done.set()


class RequestList:
    """Requests that wait.

    Args:
        waiting_max: most of them.
    """

    def __init__(self, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._waiting: dict[int, HistoryRequest] = {}
        self._running: dict[int, HistoryRequest] = {}
        self._changed = asyncio.Event()
        self.left_out = 0
        """Requests that found no room, since the list was last empty."""

    @property
    def waiting(self) -> int:
        """Requests that have no answer yet."""
        return len(self._waiting) + len(self._running)

    @property
    def minutes(self) -> int:
        """Missing minutes of all of them."""
        requests = (*self._waiting.values(), *self._running.values())
        return sum(request.minutes for request in requests)

    def add(self, request: HistoryRequest) -> HistoryRequest | None:
        """Put a request on the list; returns the one that will answer it, or ``None`` when there is no room.

        One that waits already is widened; one that is out already and asks for all of it answers it too.
        """
        token = request.instrument.token
        running = self._running.get(token)
        if running is not None and running.first <= request.first and request.last <= running.last:
            return running
        waiting = self._waiting.get(token)
        if waiting is not None:
            waiting.widen(request)
            return waiting
        if len(self._waiting) >= self._waiting_max:
            self.left_out += 1
            least = min(self._waiting.values(), key=lambda other: other.priority)
            if least.priority >= request.priority:
                return None
            last_of_least = [other for other in self._waiting.values() if other.priority == least.priority][-1]
            del self._waiting[last_of_least.instrument.token]
            last_of_least.end()
        self._waiting[token] = request
        self._changed.set()
        return request

    def take(self) -> HistoryRequest | None:
        """The request of the greatest priority, of equal ones the oldest, whose instrument is not being asked for."""
        free = [request for token, request in self._waiting.items() if token not in self._running]
        if not free:
            return None
        chosen = max(free, key=lambda request: request.priority)
        token = chosen.instrument.token
        self._running[token] = self._waiting.pop(token)
        return chosen

    def give_back(self, request: HistoryRequest) -> None:
        """It was not answered: it waits again."""
        token = request.instrument.token
        self._running.pop(token, None)
        waiting = self._waiting.get(token)
        if waiting is None:
            self._waiting[token] = request
        else:
            waiting.widen(request)
            waiting.attempts = max(waiting.attempts, request.attempts)
            waiting.joined.append(request)
        self._changed.set()

    def finish(self, request: HistoryRequest) -> None:
        """It was answered, refused or given up."""
        self._running.pop(request.instrument.token, None)
        request.end()
        self._changed.set()
        if not self.waiting:
            self.left_out = 0

    def wake(self) -> None:
        """Let those who wait look again."""
        self._changed.set()

    async def wait(self) -> None:
        """Return when something has changed."""
        self._changed.clear()
        await self._changed.wait()
