"""The ticker of a market that frames drive: frames go on as they came, cut to what each connection subscribed.

A frame whose every packet is wanted at its full width is passed on byte for byte, any other is put together from the
wanted packets in their order. Invariant: what one connection is sent is a function of the frames and of its
subscriptions alone. Queues are bounded; what happens at the bound is the hub's policy: a recording waits for the
slowest socket, a live feed forgets what a slow socket missed and sends it the newest packets afterwards.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

from engine.practice.accounts import key_of
from engine.practice.frame_packets import PacketBoard, PacketRun, cut_frame, wanted_bytes
from engine.practice.noise import IntArray
from engine.practice.packets import MODES, QUOTE, count_prefix
from engine.practice.settings import ServiceSettings
from engine.practice.wire_faults import ticker_socket

_log = logging.getLogger(__name__)
_HEARTBEAT = b"\x00"
_CLOSE_SECONDS = 0.3
_SMALLEST_DATA = 2
"""A frame shorter than this is a heartbeat."""
_WIDTHS_STEP = 1024
_TEXTS_SHARE = 2
"""Texts may fill a queue to so many times what data may."""


class FrameConnection:
    """One ticker socket.

    Args:
        socket: The accepted WebSocket.
        api_key: Key it was opened with.
        hub: Where it belongs.
        abort: Cuts the transport of a client that does not read.
    """

    def __init__(
        self, socket: web.WebSocketResponse, api_key: str, *, hub: FrameHub, abort: Callable[[], None]
    ) -> None:
        self.api_key = api_key
        self._socket = socket
        self._hub = hub
        self._abort = abort
        self._modes: dict[int, str] = {}
        self._widths: IntArray = np.zeros(_WIDTHS_STEP, dtype=np.int64)
        self._queue: deque[str | bytes] = deque()
        self._bytes = 0
        self._is_behind = False
        self._wake = asyncio.Event()
        self._last_sent = 0.0
        self.is_closing = False

    @property
    def queued(self) -> int:
        """Bytes that wait for the socket."""
        return self._bytes

    async def run(self) -> None:
        """Serve the connection until either side ends it."""
        writer = asyncio.create_task(self._write(), name="practice-frame-writer")
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._receive(message.data)
        finally:
            self.is_closing = True
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            self._hub.loosened()

    def tell(self, text: str) -> None:
        """Queue a text frame; texts are never dropped, a socket that lets too many pile up is cut."""
        if self._bytes > _TEXTS_SHARE * self._hub.settings.frame_queue_bytes:
            self._give_up("it let too many messages pile up")
            self._abort()
        elif not self.is_closing:
            self._put(text)

    def frame(self, frame: bytes, runs: list[PacketRun], slots: list[IntArray]) -> None:
        """Queue what this connection wants of a frame."""
        if len(frame) >= _SMALLEST_DATA and not self._modes:
            return
        if self._is_behind or self.is_closing:
            return
        wanted = self._wanted(frame, runs, slots)
        if not wanted:
            return
        if self._hub.conflates and self._bytes > self._hub.settings.frame_queue_bytes:
            self._fall_behind()
        else:
            self._put(wanted)

    def wake(self) -> None:
        """Let the writer look again."""
        self._wake.set()

    async def close(self) -> None:
        """Close the socket from this side."""
        await self._socket.close(code=WSCloseCode.GOING_AWAY)

    def wants(self) -> set[int]:
        """Return the instruments it is subscribed to."""
        return set(self._modes)

    def _wanted(self, frame: bytes, runs: list[PacketRun], slots: list[IntArray]) -> bytes:
        widths = [self._widths_of(places) for places in slots]
        if all((width >= run.length).all() for run, width in zip(runs, widths, strict=True)):
            return frame
        parts: list[bytes] = []
        for run, width in zip(runs, widths, strict=True):
            chosen = np.flatnonzero(width)
            parts.extend(cut_frame(run, chosen, width[chosen]))
        return count_prefix(len(parts)) + b"".join(parts) if parts else b""

    def _widths_of(self, slots: IntArray) -> IntArray:
        """Return how long a packet of each slot may be for this connection; 0 for what it does not want."""
        self._widen(slots)
        return np.where(slots >= 0, self._widths[slots], 0)

    def _put(self, item: str | bytes) -> None:
        self._queue.append(item)
        self._bytes += len(item)
        self._wake.set()

    def _fall_behind(self) -> None:
        """Forget the data that waits; the newest packets follow when the rest is sent."""
        self._is_behind = True
        self._queue = deque(item for item in self._queue if isinstance(item, str))
        self._bytes = sum(len(item) for item in self._queue)
        self._wake.set()

    def _receive(self, text: str) -> None:
        try:
            message = msgspec.json.decode(text)
            action, value = message["a"], message["v"]
            if action == "subscribe":
                self._subscribe([int(token) for token in value])
            elif action == "unsubscribe":
                self._unsubscribe([int(token) for token in value])
            elif action == "mode" and value[0] in MODES:
                self._set_mode(value[0], [int(token) for token in value[1]])
            else:
                self._refuse(f"unknown request {text[:80]}")
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, IndexError, OverflowError):
            self._refuse(f"unreadable request {text[:80]}")

    def _subscribe(self, tokens: list[int]) -> None:
        fresh = [token for token in dict.fromkeys(tokens) if token not in self._modes]
        room = self._hub.tokens_limit - len(self._modes) if self._hub.tokens_limit else len(fresh)
        taken, refused = fresh[:room], len(fresh) - room
        self._want(taken, QUOTE)
        if refused > 0:
            self._refuse(
                f"{refused} instruments were not subscribed: a connection takes at most {self._hub.tokens_limit}"
            )

    def _unsubscribe(self, tokens: list[int]) -> None:
        known = [token for token in tokens if self._modes.pop(token, None) is not None]
        slots = self._hub.board.slots(known)
        self._widen(slots)
        self._widths[slots] = 0
        self._hub.changed()

    def _set_mode(self, mode: str, tokens: list[int]) -> None:
        self._want([token for token in tokens if self._modes.get(token, mode) != mode], mode)

    def _want(self, tokens: list[int], mode: str) -> None:
        """Take instruments in a mode, and send the newest that is known of them."""
        if not tokens:
            return
        board = self._hub.board
        slots = board.slots(tokens)
        self._widen(slots)
        self._widths[slots] = [wanted_bytes(token, mode) for token in tokens]
        self._modes.update(dict.fromkeys(tokens, mode))
        newest = board.newest(slots, self._widths[slots]) if self._hub.tells_newest() else b""
        if newest:
            self._put(newest)
        self._hub.changed()

    def _widen(self, slots: IntArray) -> None:
        most = int(slots.max(initial=0))
        if most >= self._widths.size:
            more = np.zeros(most + _WIDTHS_STEP, dtype=np.int64)
            more[: self._widths.size] = self._widths
            self._widths = more

    def _refuse(self, words: str) -> None:
        self.tell(json.dumps({"type": "error", "data": words}))

    async def _write(self) -> None:
        clock = asyncio.get_running_loop().time
        pace = self._hub.settings.heartbeat_seconds
        self._last_sent = clock()
        while not self.is_closing:
            try:
                async with asyncio.timeout(pace):
                    await self._wake.wait()
            except TimeoutError:
                if not self._hub.silent and self._hub.beats(self) and clock() - self._last_sent >= pace:
                    await self._send(_HEARTBEAT)
            self._wake.clear()
            while self._queue and not self._hub.silent and not self.is_closing:
                item = self._queue.popleft()
                self._bytes -= len(item)
                await self._send(item)
                self._hub.loosened()
            if self._is_behind and not self._queue:
                self._catch_up()

    def _catch_up(self) -> None:
        self._is_behind = False
        tokens = list(self._modes)
        slots = self._hub.board.slots(tokens)
        newest = self._hub.board.newest(slots, self._widths[slots])
        if newest:
            self._put(newest)

    async def _send(self, item: str | bytes) -> None:
        try:
            async with asyncio.timeout(self._hub.settings.stalled_socket_seconds):
                if isinstance(item, str):
                    await self._socket.send_str(item)
                else:
                    await self._socket.send_bytes(item)
        except TimeoutError:
            await self._close_stalled(f"it took no data for {self._hub.settings.stalled_socket_seconds:g} s")
        except ConnectionResetError:
            self.is_closing = True
        self._last_sent = asyncio.get_running_loop().time()

    async def _close_stalled(self, reason: str) -> None:
        """Close a socket that does not read; the reason may not reach it, so it is kept and logged as well."""
        self._give_up(reason)
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason.encode())
        except (TimeoutError, ConnectionResetError):
            _log.debug("the stalled socket took no close frame either")
        finally:
            self._abort()

    def _give_up(self, reason: str) -> None:
        if not self.is_closing:
            _log.warning("a ticker socket of %s is cut: %s", self.api_key, reason)
            self._hub.cut_sockets.append(reason)
        self.is_closing = True
        self._queue.clear()
        self._bytes = 0
        self._wake.set()
        self._hub.loosened()


class FrameHub:
    """All ticker connections of a market that frames drive.

    Args:
        settings: Limits and pace.
        board: The newest packets.
        conflates: What a slow socket means: True forgets what it missed, False leaves it to the player to wait.
        tokens_limit: Most instruments of one connection; 0 for any number.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        board: PacketBoard,
        *,
        conflates: bool,
        tokens_limit: int,
    ) -> None:
        self.settings = settings
        self.board = board
        self.conflates = conflates
        self.tokens_limit = tokens_limit
        self.greeting: Callable[[], str] = str
        """Gives a text that a new connection is sent first, or an empty one."""
        self.beats: Callable[[FrameConnection], bool] = lambda _: True
        """Whether a connection is sent heartbeats when nothing else is."""
        self.tells_newest: Callable[[], bool] = lambda: True
        """Whether a new subscription is answered with the newest packets: not while they are old."""
        self.changed: Callable[[], None] = lambda: None
        """Called when somebody subscribed or left."""
        self.silent = False
        self.cut_sockets: deque[str] = deque(maxlen=settings.cut_sockets_kept)
        """Why sockets were cut lately."""
        self._connections: set[FrameConnection] = set()
        self._looser = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many sockets are open."""
        return len(self._connections)

    def wanted(self) -> set[int]:
        """Return the instruments that anybody is subscribed to."""
        return set().union(*(connection.wants() for connection in self._connections))

    def has_room(self, api_key: str) -> bool:
        """Tell whether a key may open another connection."""
        own = sum(connection.api_key == api_key for connection in self._connections)
        return own < self.settings.max_connections_per_key

    async def serve(self, request: web.Request, api_key: str) -> web.WebSocketResponse:
        """Accept a ticker connection and serve it until it ends."""
        socket = ticker_socket(request, _CLOSE_SECONDS)
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone before its ticker connection was accepted")
        connection = FrameConnection(socket, api_key, hub=self, abort=transport.abort)
        greeting = self.greeting()
        if greeting:
            connection.tell(greeting)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            self.changed()
        return socket

    def tell(self, text: str) -> None:
        """Send a text to every connection."""
        for connection in list(self._connections):
            connection.tell(text)

    def frame(self, frame: bytes, runs: list[PacketRun], slots: list[IntArray]) -> None:
        """Send a frame to every connection that wants something of it."""
        for connection in list(self._connections):
            connection.frame(frame, runs, slots)

    def order_update(self, data: dict[str, Any]) -> None:
        """Send an order update to every connection of the account."""
        text = msgspec.json.encode({"type": "order", "data": data}).decode()
        api_key = key_of(str(data["user_id"]))
        for connection in list(self._connections):
            if connection.api_key == api_key:
                connection.tell(text)

    async def room(self) -> None:
        """Wait until no socket has more waiting than it may; a stalled one is cut and does not hold up the others."""
        while any(connection.queued > self.settings.frame_queue_bytes for connection in self._connections):
            self._looser.clear()
            await self._looser.wait()

    def loosened(self) -> None:
        """Note that a queue has become shorter."""
        self._looser.set()

    def speak(self) -> None:
        """End a silence that a fault imposed."""
        self.silent = False
        for connection in self._connections:
            connection.wake()

    async def close_all(self) -> None:
        """Close every socket from this side."""
        await asyncio.gather(*(connection.close() for connection in list(self._connections)), return_exceptions=True)
