"""What the exchange asks of its ticker, whichever market it serves."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import web


class TickerHub(Protocol):
    """All ticker connections."""

    silent: bool
    """A fault keeps every socket quiet."""

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        ...

    def has_room(self, api_key: str) -> bool:
        """Whether a key may open another connection."""
        ...

    async def serve(self, request: web.Request, api_key: str) -> web.WebSocketResponse:
        """Accept a connection and serve it until it ends."""
        ...

    def speak(self) -> None:
        """End a silence that a fault imposed."""
        ...

    def order_update(self, data: dict[str, Any]) -> None:
        """Send an order update."""
        ...

    async def close_all(self) -> None:
        """Close every socket from this side."""
        ...
