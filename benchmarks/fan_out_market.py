"""A market whose quotes all move, and an engine that shows it: what both servers of ``fan_out`` read.

Quotes are given out in one of two ways. Made beforehand, with only the stamp anew, reading one costs nothing worth
naming, and what is measured is fan-out. From the program's own board and judge of quotes, reading one costs what it
costs in a running engine. Every quote has five levels of depth on each side.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from engine.brokers.kite.codec import decode_frame
from engine.brokers.kite.packets import (
    ASKS,
    BIDS,
    EXCHANGE_TIME,
    LEVEL_WORDS,
    LEVELS,
    ORDERS_SHIFT,
    PRICE_WORDS,
    TOKEN,
    WORDS,
)
from engine.core.errors import UnknownInstrument
from engine.core.quotes import Quote
from engine.core.views import Integers
from engine.core.vocabulary import QuoteState
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth, Staleness
from tests.kit.plain_engine import PlainEngine

INSTRUMENTS = 200
SEGMENT = 2
"""Low byte of a token: derivatives of NSE."""
TOKENS = tuple((50_000 + number << 8) + SEGMENT for number in range(INSTRUMENTS))
FRAMES = 5
"""Different words that are cycled through: no quote is ever like the one before."""
PACKET_BYTES = WORDS * 4
SILENCE_LIMIT_S = 30.0
SEED = 20261119

Listener = Callable[[Sequence[int]], None]
"""Told the tokens whose quotes have just changed."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a server."""

    name: str
    clients: int
    frames_hz: float = 3.0
    """How often something changes."""
    in_frame: int = INSTRUMENTS
    """So many instruments change at once; the next ones in the next frame, until it is the turn of the first again."""
    own_sets: bool = False
    """Every client follows a random half of the instruments instead of all."""
    from_board: bool = False
    """Quotes are read from the program's board instead of made beforehand."""
    has_frozen: bool = False
    """One more client is attached, follows everything and never reads."""

    @property
    def shape(self) -> tuple[float, int, bool]:
        """What the market does; loads of one shape cost the same without clients."""
        return self.frames_hz, self.in_frame, self.from_board

    def tokens(self, client: int) -> tuple[int, ...]:
        """What a client follows."""
        if not self.own_sets:
            return TOKENS
        random = np.random.default_rng((SEED, client))
        return tuple(random.choice(np.asarray(TOKENS), INSTRUMENTS // 2, replace=False).tolist())


class Market:
    """Moves the board, and tells who listens."""

    def __init__(self) -> None:
        """Everything has been heard of once."""
        self.board = QuotesBoard(limit=INSTRUMENTS)
        self.board.add(TOKENS)
        self._health = FeedHealth()
        self._health.connected(0, time.monotonic_ns())
        self.states = Staleness(self._health, silence_limit_s=SILENCE_LIMIT_S)
        self.states.set_open_segments([SEGMENT])
        self.listeners: list[Listener] = []
        self._random = np.random.default_rng(SEED)
        self._packets = [self._made_packets() for _ in range(FRAMES)]
        self._turn = 0
        self._changes: Counter[int] = Counter()
        self._made: list[dict[int, Quote | None]] = []
        self._newest: dict[int, Quote | None] | None = None
        for _ in range(FRAMES):
            self._apply(self._packets[self._turn % FRAMES], range(INSTRUMENTS))
            self._made.append({token: self.quote(token) for token in TOKENS})
            self._turn += 1

    def quote(self, token: int) -> Quote | None:
        """As the engine reads it."""
        if self._newest is not None:
            return self._newest.get(token)
        return self.board.quote(token, now_ns=time.monotonic_ns(), states=self.states)

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """As the engine makes them."""
        if self._newest is not None:
            return np.array([self._changes[token] for token in tokens], dtype=np.int64)
        return self.states.marks(self.board, self.board.slots_of(tokens), time.monotonic_ns())

    def give_out(self, *, from_board: bool) -> None:
        """Say how quotes are read from now on."""
        self._newest = None if from_board else dict(self._made[0])

    def change(self, places: Sequence[int]) -> None:
        """Something is heard of some instruments; whoever listens is told."""
        turn = self._turn % FRAMES
        self._turn += 1
        tokens = [TOKENS[place] for place in places]
        if self._newest is None:
            self._apply(self._packets[turn], places)
        else:
            made, now = self._made[turn], datetime.now(UTC)
            for token in tokens:
                quote = made[token]
                assert quote is not None
                self._newest[token] = msgspec.structs.replace(quote, received_time=now)
                self._changes[token] += 1
        for listener in self.listeners:
            listener(tokens)

    def _apply(self, packets: Sequence[bytes], places: Sequence[int]) -> None:
        """A frame arrives."""
        payload = struct.pack(">H", len(places)) + b"".join(packets[place] for place in places)
        now_ns = time.monotonic_ns()
        self._health.heard(0, now_ns)
        self.board.apply(decode_frame(payload), received_ns=now_ns, market_ns=time.time_ns(), path=self._health.path(0))

    async def move(self, load: Load) -> None:
        """Change what the load says, on the beat, until cancelled."""
        loop = asyncio.get_running_loop()
        due, first = loop.time(), 0
        while True:
            self.change([place % INSTRUMENTS for place in range(first, first + load.in_frame)])
            first += load.in_frame
            due += 1.0 / load.frames_hz
            await asyncio.sleep(max(0.0, due - loop.time()))

    def _made_packets(self) -> list[bytes]:
        """One packet of each instrument, uncrossed, with plausible sizes: the length of the JSON depends on them."""
        random = self._random
        words = random.integers(65, 5_000_000, (INSTRUMENTS, WORDS), dtype=np.uint32)
        middle = random.integers(5_000, 50_000, INSTRUMENTS, dtype=np.uint32)
        words[:, list(PRICE_WORDS)] = middle[:, None]
        words[:, EXCHANGE_TIME] = int(time.time())
        for level in range(LEVELS):
            for first, sign in ((BIDS, -1), (ASKS, 1)):
                word = first + level * LEVEL_WORDS
                words[:, word] = 65 * random.integers(1, 500, INSTRUMENTS)
                words[:, word + 1] = middle.astype(np.int64) + sign * 5 * (level + 1)
                words[:, word + 2] = random.integers(1, 60, INSTRUMENTS) << ORDERS_SHIFT
        words[:, TOKEN] = TOKENS
        return [struct.pack(">H", PACKET_BYTES) + row.astype(">u4").tobytes() for row in words]


class MarketEngine(PlainEngine):
    """A small whole engine whose quotes are those of the market."""

    def __init__(self, market: Market) -> None:
        """Show ``market``."""
        super().__init__()
        self._market = market

    def quote(self, token: int) -> Quote | None:
        """See ``EngineClient``."""
        quote = self._market.quote(token)
        return None if quote is None or quote.state is QuoteState.UNKNOWN else quote

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """See ``EngineClient``."""
        return self._market.quote_marks(tokens)

    async def watch(self, tokens: Sequence[int]) -> None:
        """See ``EngineClient``."""
        unknown = set(tokens) - set(TOKENS)
        if unknown:
            raise UnknownInstrument(f"No instrument has token {min(unknown)} today.", field="tokens")
        self.token_watches.update(tokens)
