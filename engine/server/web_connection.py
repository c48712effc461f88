"""A connection at the web door: what was decided about it, where it comes from, and why it ended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from websockets.asyncio.server import ServerConnection

from engine.server import protocol
from engine.server.access import Grant
from engine.server.metrics import Departure

CLOSE_TOO_BIG: Final = 1009
CLOSE_PROTOCOL_ERRORS: Final = frozenset({1002, 1003, 1007})
SILENT_REASON: Final = "keepalive ping timeout"
"""The reason the WebSocket library gives when pings stay unanswered."""
DEPARTURES: Final[Mapping[int, Departure]] = {
    CLOSE_TOO_BIG: Departure.TOO_BIG,
    protocol.CLOSE_TRY_LATER: Departure.SLOW,
    protocol.CLOSE_INTERNAL: Departure.FAILED,
    protocol.CLOSE_GOING_AWAY: Departure.ENDING,
}


class WebConnection(ServerConnection):
    """A connection that knows what was decided about it before it was accepted."""

    grant: Grant | None = None
    on_lost: Callable[[WebConnection], None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The library's own bookkeeping, then ours: however it ended, its place is free."""
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost(self)


class QuietLogger(logging.LoggerAdapter[logging.Logger]):
    """Passes on warnings and errors alone.

    With DEBUG the library writes down headers, and with them tokens; with INFO strangers could fill the log.
    """

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the standard library's name
        """Whether such a record is wanted."""
        return level > logging.INFO and super().isEnabledFor(level)


def address_of(connection: ServerConnection) -> str:
    """Where a client comes from; empty when it has gone already."""
    remote: Any = connection.remote_address
    return str(remote[0]) if remote else ""


def departure_of(connection: ServerConnection) -> Departure:
    """Why a client is gone, by what we told it; whatever it did by itself is leaving."""
    sent = connection.protocol.close_sent
    if sent is None or connection.protocol.close_rcvd_then_sent:
        return Departure.LEFT
    if sent.reason == SILENT_REASON:
        return Departure.SILENT
    if sent.code in CLOSE_PROTOCOL_ERRORS:
        return Departure.PROTOCOL
    return DEPARTURES.get(sent.code, Departure.LEFT)
