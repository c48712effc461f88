"""The exchange's own account of what happens there, followed as it happens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from tests.chaos.evidence import at
from tests.chaos.exchange import Exchange

KEPT = 4000
WAIT_S = 5.0
AGAIN_S = 0.1
ACCEPTED = "accepted"
"""The exchange has made the order that a placement asks for."""

Event = dict[str, Any]


class Watch:
    """Follows the events; an exchange that was killed begins to count anew.

    Args:
        exchange: The exchange.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self.accepted_at: dict[str, float] = {}
        """Account and order id → epoch second, by this machine's clock, at which the exchange accepted the order."""
        self._waiters: list[tuple[Callable[[Event], bool], asyncio.Future[Event]]] = []

    async def run(self) -> None:
        """Follow for ever."""
        after = 0
        while True:
            try:
                page = await self._exchange.events(after, WAIT_S)
            except (OSError, ValueError):
                await asyncio.sleep(AGAIN_S)
                continue
            last = int(page["last"])
            if last < after:  # another process than the one that counted so far
                after = 0
                continue
            after = last
            for event in page["events"]:
                self._take(event)

    def of_tag(self, tag: str, what: str) -> Event | None:
        """The newest kept event of an order."""
        return next((event for event in reversed(self._kept) if (event["tag"], event["what"]) == (tag, what)), None)

    def expect(self, wanted: Callable[[Event], bool]) -> asyncio.Future[Event]:
        """The first event from now on that is wanted."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._waiters.append((wanted, future))
        return future

    def _take(self, event: Event) -> None:
        event = {"account": "", "tag": "", "order_id": "", "detail": "", **event}
        self._kept.append(event)
        if event["what"] == ACCEPTED:
            self.accepted_at.setdefault(at(event, event["order_id"]), float(event["at"]))
        for wanted, future in self._waiters:
            if not future.done() and wanted(event):
                future.set_result(event)
        self._waiters = [waiter for waiter in self._waiters if not waiter[1].done()]
