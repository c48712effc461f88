"""The two servers of ``fan_out``, each in a process of its own: our web door, and the peer.

The peer does what one would write first upon ``websockets``: whenever something changes it encodes, for each client,
one message with what this client follows, and sends it with ``broadcast``. It reads the changed quotes once for all
clients, encodes with the same fast encoder in one call, and knows without looking what has changed; it has no limits
and no back pressure.
"""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import logging
import os
import resource
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
from websockets.asyncio.server import ServerConnection, broadcast, serve

from benchmarks.fan_out_market import TOKENS, Market, MarketEngine
from engine.core.quotes import Quote
from engine.server import protocol
from engine.server.access import Scope
from engine.server.audit import Audit
from engine.server.metrics import Departure, Door, ServerMetrics
from engine.server.readiness import Readiness
from engine.server.served import EngineIdentity, ServedEngine
from engine.server.tokens import TokenBook
from engine.server.topics import QUOTES
from engine.server.web_door import WebDoor
from engine.server.web_settings import ServerSettings

OURS, PEER = "ours", "peer"
VENUE = "benchmark"
CONNECTIONS_MAX = 128
AUDIT_BYTES = 10_000_000
TOKEN_LIFETIME = timedelta(hours=1)
KIB_PER_MIB = 1024
PROFILE_SECONDS = 8.0


class Address(msgspec.Struct, frozen=True):
    """How to attach."""

    url: str
    token: str
    """Empty where none is asked for."""


class Reading(msgspec.Struct, frozen=True):
    """What a server's process says of itself."""

    cpu_s: float
    """Used so far, user and system."""
    at_s: float
    """Monotonic, seconds."""
    resident_mib: float
    slow_closed: int
    """Clients closed because they took nothing."""


class PeerUpdate(msgspec.Struct, frozen=True):
    """What our door says too."""

    topic: str
    sequence: int
    base: int
    gone: tuple[str, ...]
    parts: dict[str, Quote | None]


class PeerMessage(msgspec.Struct, frozen=True):
    """A notification."""

    jsonrpc: str
    method: str
    params: PeerUpdate


class FollowParameters(msgspec.Struct, frozen=True):
    """The only call the peer knows."""

    topic: str
    tokens: tuple[int, ...]


class PeerServer:
    """Encodes for each client."""

    def __init__(self, market: Market) -> None:
        """Listen to ``market``."""
        self._market = market
        self._encoder = msgspec.json.Encoder()
        self._sequence = 0
        self._clients: dict[ServerConnection, frozenset[int]] = {}
        market.listeners.append(self.changed)

    async def serve(self, connection: ServerConnection) -> None:
        """One client: a call to follow, and its answer; then it is sent what changes."""
        identifier, request = protocol.read_request(await connection.recv())
        tokens = msgspec.json.decode(request.params, type=FollowParameters).tokens
        quotes = {str(token): self._market.quote(token) for token in tokens}
        snapshot = PeerUpdate(QUOTES.name, self._sequence, 0, (), quotes)
        await connection.send(protocol.answer(identifier, self._encoder.encode(snapshot)), text=True)
        self._clients[connection] = frozenset(tokens)
        try:
            await connection.wait_closed()
        finally:
            del self._clients[connection]

    def changed(self, tokens: Sequence[int]) -> None:
        """Send everybody what has changed."""
        if not self._clients:
            return
        base, self._sequence = self._sequence, self._sequence + 1
        quotes = [(token, str(token), self._market.quote(token)) for token in tokens]
        for connection, followed in self._clients.items():
            parts = {name: quote for token, name, quote in quotes if token in followed}
            update = PeerUpdate(QUOTES.name, self._sequence, base, (), parts)
            message = self._encoder.encode(PeerMessage(protocol.VERSION, "topic", update))
            broadcast([connection], message, text=True)


@contextlib.asynccontextmanager
async def opened_peer(market: Market) -> AsyncIterator[Address]:
    """The peer, listening."""
    peer = PeerServer(market)
    async with serve(peer.serve, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        yield Address(f"ws://127.0.0.1:{port}", "")


@contextlib.asynccontextmanager
async def opened_door(market: Market, meters: ServerMetrics, folder: Path) -> AsyncIterator[Address]:
    """Our web door with its default settings but for the number of clients, listening."""

    def now() -> datetime:
        return datetime.now(UTC)

    async def ping() -> None:
        """There is no database here."""

    engine = MarketEngine(market)
    audit = Audit(folder / "audit.log", now=now, bytes_max=AUDIT_BYTES, files_kept=1)
    tokens = TokenBook(folder / "tokens", audience=VENUE, now=now, random_bytes=os.urandom)
    served = ServedEngine(
        engine,
        identity=EngineIdentity("engine-of-a-benchmark", VENUE),
        monotonic=time.monotonic,
        meters=meters,
        audit=audit,
    )
    door = WebDoor(
        served,
        ServerSettings(port=0, connections_max=CONNECTIONS_MAX),
        tokens=tokens,
        readiness=Readiness(engine, read_only=True, ping=ping, monotonic=time.monotonic),
        now=now,
    )
    with contextlib.closing(audit):
        await door.open()
        try:
            token, _ = tokens.create(
                name="clients", scopes=frozenset({Scope.READ}), accounts=None, lifetime=TOKEN_LIFETIME
            )
            yield Address(door.url, token)
        finally:
            await door.close()


def resident_mib() -> float:
    """Memory of this process now."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / KIB_PER_MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def reading(meters: ServerMetrics) -> Reading:
    """How this process stands."""
    slow = meters.registry.get_sample_value(
        "workstation_disconnections_total", {"door": Door.WEB.value, "reason": Departure.SLOW.value}
    )
    return Reading(time.process_time(), time.monotonic(), resident_mib(), int(slow or 0))


def quote_us(market: Market) -> float:
    """Microseconds to read one quote of the board, averaged over all."""
    market.give_out(from_board=True)
    began = time.perf_counter()
    for token in TOKENS:
        market.quote(token)
    return (time.perf_counter() - began) / len(TOKENS) * 1e6


async def obey(pipe: Connection, market: Market, meters: ServerMetrics) -> None:
    """Do what the benchmark says until it says ``stop``."""
    loop = asyncio.get_running_loop()
    moving: asyncio.Task[None] | None = None
    while True:
        word, argument = await loop.run_in_executor(None, pipe.recv)
        match word:
            case "prepare":
                market.give_out(from_board=argument.from_board)
                pipe.send(None)
            case "move":
                moving = asyncio.create_task(market.move(argument), name="the market")
                pipe.send(None)
            case "rest":
                if moving is not None:
                    moving.cancel()
                    await asyncio.gather(moving, return_exceptions=True)
                pipe.send(None)
            case "read":
                pipe.send(reading(meters))
            case "quote":
                pipe.send(quote_us(market))
            case "profile":
                profile = cProfile.Profile()
                profile.enable()
                await asyncio.sleep(PROFILE_SECONDS)
                profile.disable()
                profile.dump_stats(argument)
                pipe.send(None)
            case "stop":
                return


async def serve_until_told(pipe: Connection, side: str, folder: Path) -> None:
    """Open a server, tell its address, obey."""
    market, meters = Market(), ServerMetrics()
    opened = opened_door(market, meters, folder) if side == OURS else opened_peer(market)
    async with opened as address:
        pipe.send(address)
        await obey(pipe, market, meters)


def server_process(pipe: Connection, side: str) -> None:
    """The whole of a server's process."""
    logging.basicConfig(level=logging.ERROR)  # that a slow client is closed is counted, and said in the table
    with tempfile.TemporaryDirectory(prefix="ws-bench-") as name:
        asyncio.run(serve_until_told(pipe, side, Path(name)))
