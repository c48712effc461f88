"""A real board, fed with packets made here: rupees in, the broker's bytes out."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime

from engine.brokers.kite.codec import decode_frame
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth, Staleness

NSE_FO, BSE_FO, INDICES = 2, 5, 9
NS = 1_000_000_000
START_S = 1_000.0
"""Monotonic time at which a feed begins."""
SILENCE_S = 5.0
DEPTH = 5
Level = tuple[float, int]


def paise(rupees: float) -> int:
    """The wire integer of a price."""
    return round(rupees * 100)


class Feed:
    """One connection and the board it fills; time moves only when told."""

    def __init__(self, tokens: Sequence[int], market: datetime) -> None:
        self.board = QuotesBoard(limit=5_000)
        self.board.add(tokens)
        self.health = FeedHealth()
        self.states = Staleness(self.health, silence_limit_s=SILENCE_S)
        self.states.set_open_segments((NSE_FO, BSE_FO, INDICES))
        self.monotonic = START_S
        self.market = market.astimezone(UTC)
        self.health.connected(0, self.now_ns)
        self._traded: dict[int, int] = {}

    @property
    def now_ns(self) -> int:
        """Monotonic nanoseconds."""
        return round(self.monotonic * NS)

    def pass_time(self, seconds: float, *, heartbeat: bool = True) -> None:
        """Let both clocks run; with a heartbeat the connection is not silent."""
        self.monotonic += seconds
        self.market = datetime.fromtimestamp(self.market.timestamp() + seconds, UTC)
        if heartbeat:
            self.health.heard(0, self.now_ns)

    def full(
        self,
        token: int,
        *,
        bids: Sequence[Level] = (),
        asks: Sequence[Level] = (),
        last: float = 0.0,
        volume: int | None = None,
        open_interest: int = 0,
        traded_ago_s: float | None = 0.0,
        close: float = 0.0,
    ) -> None:
        """One full packet; levels are (rupees, units), best first; ``close`` is the previous day's.

        Without a ``volume`` it is what it was: an exchange's never shrinks within a day.
        """
        volume = self._traded.get(token, 0) if volume is None else volume
        self._traded[token] = volume
        now = round(self.market.timestamp())
        trade_time = 0 if traded_ago_s is None else round(now - traded_ago_s)
        figures = [token, paise(last), 0, 0, volume, 0, 0, 0, 0, 0, paise(close), trade_time, open_interest, 0, 0, now]
        body = struct.pack(">16I", *figures)
        for levels in (bids, asks):
            padded = [*levels, *[(0.0, 0)] * (DEPTH - len(levels))]
            body += b"".join(struct.pack(">IIHH", units, paise(price), 1, 0) for price, units in padded)
        self.apply(body)

    def index(self, token: int, last: float) -> None:
        """One index packet: last, high, low, open, close, change, time."""
        price = paise(last)
        self.apply(struct.pack(">8I", token, price, price, price, price, price, 0, round(self.market.timestamp())))

    def price_only(self, token: int, last: float) -> None:
        """One packet that carries the last price alone."""
        self.apply(struct.pack(">2I", token, paise(last)))

    def apply(self, *bodies: bytes) -> None:
        """One frame with these packets."""
        self.health.heard(0, self.now_ns)
        frame = struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)
        self.board.apply(
            decode_frame(frame),
            received_ns=self.now_ns,
            market_ns=round(self.market.timestamp() * NS),
            path=self.health.path(0),
        )
