"""The upstream's ticker as a relay hears it: a few connections that carry what is wanted, and come back by themselves.

Invariant: what a connection is subscribed to is what was wanted of it last; a token is on one connection only. Only
subscriptions are ever sent. Text frames are not passed on: they are the upstream account's own order updates.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from engine.practice.packets import FULL
from engine.practice.settings import ServiceSettings

_log = logging.getLogger(__name__)
_FORBIDDEN = 403
_CHUNK = 500
"""Instruments in one subscription message."""
_SMALLEST_DATA = 2
CONNECTING, LIVE, SILENT, REFUSED, IDLE = "connecting", "live", "silent", "refused", "idle"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What opens the upstream."""

    stream: str
    api_key: str
    token: str


class UpstreamConnection:
    """One connection to the upstream's ticker.

    Args:
        number: Its number, for people.
        http: The session it is made with.
        credentials: Where it goes.
        settings: Pace and limits.
        heard: Called with every binary frame of data.
        generator: Jitter of the waits.
    """

    def __init__(
        self,
        number: int,
        http: aiohttp.ClientSession,
        *,
        credentials: Credentials,
        settings: ServiceSettings,
        heard: Callable[[bytes], None],
        generator: random.Random,
    ) -> None:
        self.number = number
        self._http = http
        self._credentials = credentials
        self._settings = settings
        self._heard = heard
        self._random = generator
        self._wanted: set[int] = set()
        self._sent: set[int] = set()
        self._is_stale = asyncio.Event()
        self._last_byte = float("-inf")
        self._has_data = False
        self._is_open = False
        self.is_refused = False

    @property
    def tokens(self) -> set[int]:
        """What it is to carry."""
        return self._wanted

    @property
    def is_live(self) -> bool:
        """True while bytes come, data since the last connect among them."""
        now = asyncio.get_running_loop().time()
        return self._has_data and now - self._last_byte <= self._settings.upstream_silence_seconds

    @property
    def state(self) -> str:
        """In a word."""
        if self.is_refused:
            return REFUSED
        if not self._wanted:
            return IDLE
        if self.is_live:
            return LIVE
        return SILENT if self._is_open else CONNECTING

    def want(self, tokens: Iterable[int]) -> None:
        """Carry these from now on."""
        self._wanted = set(tokens)
        self._is_stale.set()

    async def run(self) -> None:
        """Keep the connection up while something is wanted, until cancelled or refused."""
        waits = self._settings.upstream_wait_seconds
        wait = waits[0]
        while not self.is_refused:
            if not self._wanted:
                self._is_stale.clear()
                await self._is_stale.wait()
                continue
            try:
                if await self._listen():
                    wait = waits[0]
            except aiohttp.WSServerHandshakeError as error:
                self.is_refused = error.status == _FORBIDDEN
                _log.warning("the upstream's ticker answers %s", error.status)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.warning("the upstream's ticker does not answer (%s)", type(error).__name__)
            finally:
                self._is_open = self._has_data = False
            await asyncio.sleep(wait * self._random.uniform(0.5, 1.0))
            wait = min(2.0 * wait, waits[1])

    async def _listen(self) -> bool:
        """Serve one connection to its end; True when data came over it."""
        own = self._credentials
        silence = self._settings.upstream_silence_seconds
        query = {"api_key": own.api_key, "access_token": own.token}
        async with self._http.ws_connect(own.stream, params=query, max_msg_size=0, autoping=True) as socket:
            self._is_open, self._sent = True, set()
            self._is_stale.set()
            speaker = asyncio.create_task(self._subscribe(socket), name=f"relay-upstream-{self.number}-subscriptions")
            loop, got_data = asyncio.get_running_loop(), False
            try:
                while True:
                    # A socket that says nothing, not even a heartbeat, is replaced: it may be half open.
                    async with asyncio.timeout(silence):
                        message = await socket.receive()
                    if message.type is aiohttp.WSMsgType.BINARY:
                        self._last_byte = loop.time()
                        if len(message.data) >= _SMALLEST_DATA:
                            got_data = self._has_data = True
                            self._heard(message.data)
                    elif message.type is aiohttp.WSMsgType.TEXT:
                        self._last_byte = loop.time()
                    else:
                        return got_data
            except TimeoutError:
                _log.warning("the upstream's ticker %d is silent; it is opened anew", self.number)
                return got_data
            finally:
                speaker.cancel()
                await asyncio.gather(speaker, return_exceptions=True)

    async def _subscribe(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Bring the subscriptions of a socket to what is wanted, whenever that changes."""
        while True:
            await self._is_stale.wait()
            self._is_stale.clear()
            added, gone = sorted(self._wanted - self._sent), sorted(self._sent - self._wanted)
            for at in range(0, len(gone), _CHUNK):
                await self._say(socket, "unsubscribe", gone[at : at + _CHUNK])
            for at in range(0, len(added), _CHUNK):
                await self._say(socket, "subscribe", added[at : at + _CHUNK])
                await self._say(socket, "mode", [FULL, added[at : at + _CHUNK]])
            self._sent = (self._sent | set(added)) - set(gone)

    async def _say(self, socket: aiohttp.ClientWebSocketResponse, action: str, value: Sequence[Any]) -> None:
        await socket.send_str(msgspec.json.encode({"a": action, "v": value}).decode())


class UpstreamFeed:
    """The connections together.

    Args:
        http: The session they are made with.
        credentials: Where they go.
        settings: Pace and limits.
        heard: Called with every binary frame of data.
        generator: Jitter of the waits.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        credentials: Credentials,
        settings: ServiceSettings,
        heard: Callable[[bytes], None],
        generator: random.Random,
    ) -> None:
        self._limit = settings.max_tokens_per_connection
        self.connections = [
            UpstreamConnection(
                number, http, credentials=credentials, settings=settings, heard=heard, generator=generator
            )
            for number in range(1, settings.max_connections_per_key + 1)
        ]
        self.left_out = 0
        """Wanted instruments for which there is no room."""

    @property
    def subscribed(self) -> set[int]:
        """What is carried."""
        return set().union(*(connection.tokens for connection in self.connections))

    @property
    def is_refused(self) -> bool:
        """True when the upstream does not take the key or the token."""
        return any(connection.is_refused for connection in self.connections)

    @property
    def is_live(self) -> bool:
        """True while every connection that carries something is live."""
        carrying = [connection for connection in self.connections if connection.tokens]
        return bool(carrying) and all(connection.is_live for connection in carrying)

    def want(self, tokens: Sequence[int]) -> None:
        """Carry these, the first ones first when there is not room for all; what is carried stays where it is."""
        ordered = list(dict.fromkeys(tokens))
        room = self._limit * len(self.connections)
        chosen, self.left_out = set(ordered[:room]), max(len(ordered) - room, 0)
        placed: list[set[int]] = [connection.tokens & chosen for connection in self.connections]
        fresh = [token for token in ordered[:room] if not any(token in tokens for tokens in placed)]
        for tokens_of in placed:
            taken, fresh = fresh[: self._limit - len(tokens_of)], fresh[self._limit - len(tokens_of) :]
            tokens_of.update(taken)
        for connection, tokens_of in zip(self.connections, placed, strict=True):
            if tokens_of != connection.tokens:
                connection.want(tokens_of)

    async def run(self) -> None:
        """Keep all connections up until cancelled."""
        async with asyncio.TaskGroup() as group:
            for connection in self.connections:
                group.create_task(connection.run(), name=f"relay-upstream-{connection.number}")
