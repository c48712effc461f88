"""The ticker: subscriptions and modes per connection, conflated binary frames, order updates, heartbeats.

A connection's frame is built when it can be sent, from the newest packets: a slow client skips states, never queues
them. Order updates are never dropped; a socket that cannot take them is closed. At most one task writes to a
socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

from engine.practice.accounts import key_of
from engine.practice.noise import IntArray
from engine.practice.packets import MODES, QUOTE, PacketTable, count_prefix
from engine.practice.settings import ServiceSettings
from engine.practice.wire_faults import ticker_socket

_log = logging.getLogger(__name__)
_HEARTBEAT = b"\x00"
_NEVER = -1
_CLOSE_SECONDS = 0.3
"""How long a client may take to answer a close; the exchange must end quickly."""


class Connection:
    """One ticker socket.

    Args:
        socket: The accepted WebSocket.
        api_key: Key it was opened with.
        settings: Limits and pace.
        hub: Where packets come from.
        abort: Cuts the transport of a client that does not read.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        api_key: str,
        *,
        settings: ServiceSettings,
        hub: StreamHub,
        abort: Callable[[], None],
    ) -> None:
        self.api_key = api_key
        self._socket = socket
        self._settings = settings
        self._hub = hub
        self._abort = abort
        self._modes: dict[int, str] = {}
        self._texts: deque[str] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._selection: dict[str, tuple[IntArray, IntArray]] = {}
        self._fresh: set[int] = set()
        self._stale = True
        self._table: PacketTable | None = None
        self._last_sent = 0.0

    @property
    def subscribed(self) -> int:
        """How many instruments it is subscribed to."""
        return len(self._modes)

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        writer = asyncio.create_task(self._write(), name="practice-ticker-writer")
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def wake(self) -> None:
        """Tell the writer that there is something new."""
        self._wake.set()

    def tell(self, text: str) -> None:
        """Queue a text frame; a socket that lets too many pile up is closed."""
        if len(self._texts) >= self._settings.text_queue_limit:
            _log.warning("a ticker client does not read its order updates; its socket is cut")
            self._closing = True
            self._abort()
        else:
            self._texts.append(text)
        self._wake.set()

    async def close(self) -> None:
        """Close the socket from this side."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    def _receive(self, text: str) -> None:
        try:
            message = msgspec.json.decode(text)
            action, value = message["a"], message["v"]
            if action == "subscribe":
                self._subscribe([int(token) for token in value])
            elif action == "unsubscribe":
                for token in value:
                    self._modes.pop(int(token), None)
            elif action == "mode" and value[0] in MODES:
                self._set_mode(value[0], [int(token) for token in value[1]])
            else:
                self._refuse(f"unknown request {text[:80]}")
                return
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, IndexError):
            self._refuse(f"unreadable request {text[:80]}")
            return
        self._stale = True
        self._wake.set()

    def _subscribe(self, tokens: list[int]) -> None:
        limit = self._settings.max_tokens_per_connection
        refused = 0
        for token in tokens:
            if token in self._modes:
                continue
            if len(self._modes) >= limit:
                refused += 1
            else:
                self._modes[token] = QUOTE
                self._fresh.add(token)
        if refused:
            self._refuse(f"{refused} instruments were not subscribed: a connection takes at most {limit}")

    def _set_mode(self, mode: str, tokens: list[int]) -> None:
        for token in tokens:
            if token in self._modes and self._modes[token] != mode:
                self._modes[token] = mode
                self._fresh.add(token)

    def _refuse(self, words: str) -> None:
        self.tell(json.dumps({"type": "error", "data": words}))

    async def _write(self) -> None:
        clock = asyncio.get_running_loop().time
        self._last_sent = clock()
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._settings.heartbeat_seconds)
            self._wake.clear()
            if self._hub.silent:
                continue
            while self._texts and not self._closing:
                await self._socket.send_str(self._texts.popleft())
                self._last_sent = clock()
            frame = self._frame()
            if frame:
                await self._socket.send_bytes(frame)
                self._last_sent = clock()
            elif clock() - self._last_sent >= self._settings.heartbeat_seconds:
                await self._socket.send_bytes(_HEARTBEAT)
                self._last_sent = clock()

    def _frame(self) -> bytes:
        """Return one frame with the newest packet of everything that changed since it was last sent; empty if nothing
        did.
        """
        table = self._hub.packets
        if self._stale or self._table is not table:
            self._select(table)
        parts: list[bytes] = []
        count = 0
        for mode, (rows, sent) in self._selection.items():
            versions = table.versions[mode][rows]
            news = versions != sent
            if news.any():
                chosen = rows[news]
                sent[news] = versions[news]
                parts.extend(table.frame(chosen, mode))
                count += int(chosen.size)
        return count_prefix(count) + b"".join(parts) if count else b""

    def _select(self, table: PacketTable) -> None:
        """Index the subscription by mode, remembering what was sent of instruments that were already in it."""
        remembered: dict[tuple[int, str], int] = {}
        if self._table is table:
            for mode, (rows, sent) in self._selection.items():
                remembered.update(
                    ((row, mode), version) for row, version in zip(rows.tolist(), sent.tolist(), strict=True)
                )
        by_mode: dict[str, list[int]] = {mode: [] for mode in MODES}
        fresh_rows = {table.row_of[token] for token in self._fresh if token in table.row_of}
        for token, mode in self._modes.items():
            row = table.row_of.get(token)
            if row is not None:
                by_mode[mode].append(row)
        self._selection = {}
        for mode, chosen in by_mode.items():
            if chosen:
                before = [_NEVER if row in fresh_rows else remembered.get((row, mode), _NEVER) for row in chosen]
                self._selection[mode] = (np.array(chosen, dtype=np.int64), np.array(before, dtype=np.int64))
        self._fresh.clear()
        self._stale = False
        self._table = table


class StreamHub:
    """All ticker connections of the exchange.

    Args:
        settings: Limits and pace.
        packets: Packets of the first day.
    """

    def __init__(self, settings: ServiceSettings, packets: PacketTable) -> None:
        self._settings = settings
        self._connections: set[Connection] = set()
        self.packets = packets
        self.silent = False

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._connections)

    def has_room(self, api_key: str) -> bool:
        """Tell whether a key may open another connection."""
        own = sum(connection.api_key == api_key for connection in self._connections)
        return own < self._settings.max_connections_per_key

    async def serve(self, request: web.Request, api_key: str) -> web.WebSocketResponse:
        """Accept a ticker connection and serve it until it ends."""
        socket = ticker_socket(request, _CLOSE_SECONDS)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone before its ticker connection was accepted")
        connection = Connection(socket, api_key, settings=self._settings, hub=self, abort=transport.abort)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
        return socket

    def speak(self) -> None:
        """End a silence that a fault imposed."""
        self.silent = False
        self.publish()

    def publish(self) -> None:
        """Tell every connection that the packets are new."""
        for connection in self._connections:
            connection.wake()

    def order_update(self, data: dict[str, Any]) -> None:
        """Send an order update to every connection of the account."""
        text = msgspec.json.encode({"type": "order", "data": data}).decode()
        api_key = key_of(str(data["user_id"]))
        for connection in self._connections:
            if connection.api_key == api_key:
                connection.tell(text)

    async def close_all(self) -> None:
        """Close every socket from this side."""
        await asyncio.gather(*(connection.close() for connection in list(self._connections)), return_exceptions=True)
