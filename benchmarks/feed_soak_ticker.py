"""A loopback exchange that speaks Kite's ticker protocol under a steady load: what ``feed_soak`` connects to.

Whoever subscribes is sent every one of its instruments so many times a second, in the mode that it asked for, in frames
spread evenly over the second. All that is sent to each connection is counted and summed up, so that the other end can
prove that nothing is missing.

Invariant: the pace is that of a fixed timetable. Who is late, because its reader does not take what is sent, sends
what has fallen due as soon as it can; nothing is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import zlib
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection

import msgspec
import numpy as np
import numpy.typing as npt
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from benchmarks.feed_soak_market import KINDS, SEED, Load, Market, frame_of, numbers_of
from engine.brokers.feed import FeedMode

MODES = {"ltp": FeedMode.LTP, "quote": FeedMode.QUOTE, "full": FeedMode.FULL}
HEARTBEAT = b"\x00"
HEARTBEAT_S = 1.0
MESSAGE_BYTES_MAX = 1 << 20
CLOSE_S = 1.0


class Sent(msgspec.Struct, frozen=True):
    """What went into one connection."""

    frames: int
    packets: int
    checksum: int
    """CRC-32 of all its frames, one after the other."""


class Subscriber:
    """One connection: what it asked for, and what it was sent."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.modes: dict[int, FeedMode] = {}
        self.woken = asyncio.Event()
        """Set when there may be something to send, where there was not."""
        self.rounds = self.frames = self.packets = self.checksum = 0
        self.late_s = 0.0
        """The furthest it was behind the timetable since that was last asked."""

    def hear(self, message: str | bytes) -> None:
        """Take a word of the client."""
        word = json.loads(message)
        match word["a"]:
            case "subscribe":
                self.modes |= dict.fromkeys(word["v"], FeedMode.QUOTE)
            case "unsubscribe":
                for token in word["v"]:
                    self.modes.pop(token, None)
            case "mode":
                mode, tokens = word["v"]
                self.modes |= dict.fromkeys(tokens, MODES[mode])
        self.woken.set()

    async def send(self, frame: bytes, packets: int) -> None:
        """Send a frame and count it."""
        await self.connection.send(frame)
        self.frames += 1
        self.packets += packets
        self.checksum = zlib.crc32(frame, self.checksum)

    @property
    def sent(self) -> Sent:
        """All of it so far."""
        return Sent(self.frames, self.packets, self.checksum)


class SoakTicker:
    """The server."""

    def __init__(self, load: Load) -> None:
        """Nothing is sent before the load is let go."""
        self._load = load
        self._random = np.random.default_rng(SEED + 1)
        self._is_going = False
        self._rounds: int | None = None
        self.market = Market(load)
        self.subscribers: list[Subscriber] = []

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Listen; gives the address."""
        server = serve(
            self._serve,
            "127.0.0.1",
            0,
            compression=None,
            ping_interval=None,
            max_size=MESSAGE_BYTES_MAX,
            close_timeout=CLOSE_S,
        )
        async with server as listening:
            port = next(iter(listening.sockets)).getsockname()[1]
            yield f"ws://127.0.0.1:{port}"

    def go(self, rounds: int | None = None) -> None:
        """Let the load begin, or go on, until it is told to rest.

        Args:
            rounds: At most until each connection has had so many rounds in all; in a round every instrument comes once.
        """
        self._is_going, self._rounds = True, rounds
        for subscriber in self.subscribers:
            subscriber.woken.set()

    def rest(self) -> None:
        """End it: frames under way are sent whole."""
        self._is_going = False

    @property
    def packets(self) -> int:
        """Sent so far."""
        return sum(subscriber.packets for subscriber in self.subscribers)

    def late_s(self) -> float:
        """The furthest that a connection was behind the timetable since this was last asked."""
        latest = max((subscriber.late_s for subscriber in self.subscribers), default=0.0)
        for subscriber in self.subscribers:
            subscriber.late_s = 0.0
        return latest

    async def _serve(self, connection: ServerConnection) -> None:
        subscriber = Subscriber(connection)
        self.subscribers.append(subscriber)
        helpers = [asyncio.create_task(work(subscriber)) for work in (self._flow, self._beat)]
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in connection:
                    subscriber.hear(message)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _beat(self, subscriber: Subscriber) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await asyncio.sleep(HEARTBEAT_S)
                await subscriber.connection.send(HEARTBEAT)

    def _may_send(self, subscriber: Subscriber) -> bool:
        has_rounds = self._rounds is None or subscriber.rounds < self._rounds
        return self._is_going and has_rounds and bool(subscriber.modes)

    async def _flow(self, subscriber: Subscriber) -> None:
        load, due = self._load, 0.0
        interval = 1.0 / (load.rate * load.frames_in_round)
        with contextlib.suppress(ConnectionClosed):
            while True:
                if not self._may_send(subscriber):
                    subscriber.woken.clear()
                    await subscriber.woken.wait()
                    due = time.monotonic()
                    continue
                order = self._random.permutation(list(subscriber.modes))
                for part in np.array_split(order, load.frames_in_round):
                    if not self._is_going:
                        break
                    await self._frame(subscriber, part)
                    due += interval
                    wait = due - time.monotonic() if load.paced else 0.0
                    subscriber.late_s = max(subscriber.late_s, -wait)
                    await asyncio.sleep(max(0.0, wait))
                else:
                    subscriber.rounds += 1

    async def _frame(self, subscriber: Subscriber, tokens: npt.NDArray[np.int64]) -> None:
        """Send what has happened in some instruments, those in full mode first."""
        modes = [subscriber.modes.get(token) for token in tokens.tolist()]
        parts = []
        for mode in sorted(FeedMode, reverse=True):
            chosen = tokens[[one is mode for one in modes]]
            if len(chosen):
                parts.append((KINDS[mode], self.market.move(numbers_of(chosen))))
        packets = sum(len(words) for _, words in parts)
        if packets:
            await subscriber.send(frame_of(parts), packets)


async def _obey(pipe: Connection, load: Load) -> None:
    """Do what the benchmark says until it says ``stop``."""
    loop = asyncio.get_running_loop()
    ticker = SoakTicker(load)
    async with ticker.open() as address:
        pipe.send(address)
        while True:
            try:
                word, _ = await loop.run_in_executor(None, pipe.recv)
            except EOFError:
                return  # the benchmark is no more
            match word:
                case "go":
                    ticker.go()
                    pipe.send(None)
                case "read":
                    pipe.send((ticker.packets, ticker.late_s(), time.process_time()))
                case "rest":
                    ticker.rest()
                    pipe.send(None)
                case "all":
                    pipe.send(([subscriber.sent for subscriber in ticker.subscribers], ticker.market.words))
                case "stop":
                    return


def market_process(pipe: Connection, load: Load, core: int | None) -> None:
    """The whole of the exchange's process, on a core of its own where there is one."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    asyncio.run(_obey(pipe, load))
