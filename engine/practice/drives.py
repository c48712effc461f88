"""What brings the market of a process forward: made up from a seed, played from a tape, or relayed from a feed.

Each drive owns its exchange, its book and its ticker, and runs until it is cancelled.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from aiohttp import web

from engine.practice import http_playback
from engine.practice.book import Book
from engine.practice.exchange import Exchange
from engine.practice.packets import PacketTable
from engine.practice.relay import open_relay
from engine.practice.settings import ExchangeSettings
from engine.practice.stream import StreamHub
from engine.practice.tape_venue import TapeVenue, open_tape
from engine.practice.ticker_hub import TickerHub
from engine.practice.venue import open_exchange


class Drive(Protocol):
    """One running market."""

    @property
    def exchange(self) -> Exchange:
        """The exchange."""
        ...

    @property
    def hub(self) -> TickerHub:
        """Its ticker."""
        ...

    def install(self, app: web.Application) -> None:
        """Add what this market serves beside the usual routes."""
        ...

    def status(self) -> dict[str, Any]:
        """What it adds to ``GET /practice/status``."""
        ...

    async def run(self) -> None:
        """Bring the market forward until cancelled."""
        ...

    async def close(self) -> None:
        """Let go of files and connections; the book is durable when this returns."""
        ...


class MadeUpDrive:
    """The market that follows from a seed, a dump or a snapshot.

    Args:
        settings: What the process was started with.
    """

    def __init__(self, settings: ExchangeSettings) -> None:
        updates: list[dict[str, Any]] = []
        self._service = settings.service
        self.exchange: Exchange
        self._book: Book
        self.exchange, self._book = open_exchange(settings, updates.append)
        packets = PacketTable(self.exchange.floor.day.universe, self.exchange.index_tokens)
        packets.update(self.exchange.floor.quotes)
        self.hub = StreamHub(settings.service, packets)
        self.exchange.changes.redirect(self.hub.order_update)

    def install(self, app: web.Application) -> None:
        """Nothing: the usual routes are made for it."""
        del app

    def status(self) -> dict[str, Any]:
        """Nothing beside the usual."""
        return {}

    async def run(self) -> None:
        """Step and send; close at the end of a session and open the next after a pause."""
        loop = asyncio.get_running_loop()
        exchange, hub, pace = self.exchange, self.hub, self._service.step_seconds
        due = loop.time()
        while True:
            exchange.step()
            if exchange.session_is_over:
                exchange.close_session()
                hub.packets.update(exchange.floor.quotes)
                hub.publish()
                await asyncio.sleep(self._service.closed_pause_seconds)
                exchange.open_next_session()
                hub.packets = PacketTable(exchange.floor.day.universe, exchange.index_tokens)
                due = loop.time()
            hub.packets.update(exchange.floor.quotes)
            hub.publish()
            due = max(due + pace, loop.time())
            await asyncio.sleep(due - loop.time())

    async def close(self) -> None:
        """Write the clock and close the book."""
        self.exchange.write_clock()
        self._book.close()


class TapeDrive:
    """The market that a tape holds.

    Args:
        venue: The tape and what plays it.
    """

    def __init__(self, venue: TapeVenue) -> None:
        self._venue = venue

    @property
    def exchange(self) -> Exchange:
        """The exchange that fills orders against the tape."""
        return self._venue.exchange

    @property
    def hub(self) -> TickerHub:
        """The ticker that passes the tape's frames on."""
        return self._venue.hub

    def install(self, app: web.Application) -> None:
        """Serve ``/practice/playback``."""
        app[http_playback.PLAYER] = self._venue.player
        http_playback.add_routes(app.router)

    def status(self) -> dict[str, Any]:
        """Where the tape stands, in short."""
        view = self._venue.player.view()
        return {
            "playback": view.state,
            "cut_sockets": list(self._venue.hub.cut_sockets),
            "unreadable": self._venue.exchange.market.board.unreadable,
        }

    async def run(self) -> None:
        """Play."""
        await self._venue.player.run()

    async def close(self) -> None:
        """Write the clock and close the files."""
        self._venue.exchange.write_clock()
        self._venue.close()


async def open_drive(settings: ExchangeSettings) -> Drive:
    """Open the market that the settings ask for.

    Raises:
        BookError: The state folder's book is of another venue, or unreadable.
        ValueError: Something named in the settings cannot be used; the message says what is allowed.
    """
    if settings.tape is not None:
        return TapeDrive(open_tape(settings, settings.tape))
    if settings.relay_root:
        return await open_relay(settings)
    return MadeUpDrive(settings)
