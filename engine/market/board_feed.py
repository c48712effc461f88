"""One connection's bytes to the board: the listener between a ticker and the columns.

Before a frame is written, the engine is told the market time of its receipt (``on_time``): what it samples there sees
only what came before. Everything that arrives is offered to the tape (``on_record``) before it is used.

Invariants: nothing that arrives is fatal. A frame that does not decode as a whole is counted and kept, its whole
packets are used; the lossless branch (``QuotesBoard.add_hook``) sees every packet that is written. The market time of
what arrives never decreases, over all connections that share a ``MarketTime``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from engine.brokers.kite.codec import decode_frame
from engine.core.errors import SessionExpired
from engine.core.ports import Clock
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth
from engine.tape.records import RecordKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NS_PER_US = 1_000
_NS_PER_S = 1_000_000_000
BAD_FRAMES_KEPT = 16
BAD_FRAME_BYTES_KEPT = 4096
RATE_WINDOW_S = 5

OnRecord = Callable[[RecordKind, int, int, int, bytes], None]
"""Kind, connection, market time, time of receipt (both nanoseconds since the epoch, UTC), bytes as they came."""


class BadFrame(NamedTuple):
    """A frame that did not decode as a whole."""

    received_ns: int
    damage: str
    payload: bytes
    """Its first ``BAD_FRAME_BYTES_KEPT`` bytes."""


def _ignore(_: object) -> None:
    """Nobody asked."""


class MarketTime:
    """The stamps of what arrives, shared by the connections of a feed.

    Args:
        clock: Market time.
        quote_now_ns: The clock that ages of quotes are measured by, nanoseconds; default: the time of receipt, which is
            monotonic.
        monotonic_ns: The clock of receipt.
    """

    def __init__(
        self,
        clock: Clock,
        quote_now_ns: Callable[[], int] | None = None,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._clock = clock
        self._quote_now_ns = quote_now_ns
        self._monotonic_ns = monotonic_ns
        self._newest_ns = 0
        # One look at the wall clock: what a tape keeps must not jump when somebody sets it.
        self._epoch_ns = _since_epoch(clock.wall_now()) - monotonic_ns()

    def market_ns(self) -> int:
        """Market time now, nanoseconds since the epoch; never less than before."""
        self._newest_ns = max(self._newest_ns, _since_epoch(self._clock.market_now()))
        return self._newest_ns

    def restart(self) -> None:
        """Market time begins again, earlier."""
        self._newest_ns = 0

    def received_now_ns(self) -> int:
        """The clock of receipt, now."""
        return self._monotonic_ns()

    def quote_ns(self, received_ns: int) -> int:
        """The stamp of something received at a monotonic moment."""
        return received_ns if self._quote_now_ns is None else self._quote_now_ns()

    def record_ns(self, received_ns: int) -> int:
        """A monotonic moment as nanoseconds since the epoch."""
        return received_ns + self._epoch_ns


def _since_epoch(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * _NS_PER_US


class RateMeter:
    """How many a second, over the last whole seconds."""

    def __init__(self, window_s: int = RATE_WINDOW_S) -> None:
        """Look back over ``window_s`` seconds."""
        self._window_s = window_s
        self._counts: deque[tuple[int, int]] = deque(maxlen=window_s + 1)
        self._second = -1
        self._count = 0

    def add(self, count: int, now_ns: int) -> None:
        """Count so many more."""
        second = now_ns // _NS_PER_S
        if second != self._second:
            self._counts.append((self._second, self._count))
            self._second, self._count = second, 0
        self._count += count

    def rate(self, now_ns: int) -> float:
        """Per second, over the whole seconds before this one."""
        second = now_ns // _NS_PER_S
        seen = (*self._counts, (self._second, self._count))
        return sum(count for at, count in seen if second - self._window_s <= at < second) / self._window_s


class BoardFeed:
    """Listens to one connection (``engine.brokers.feed.FeedListener``) and writes the board.

    Args:
        board: Where packets go.
        health: Where the connection's life and silence are kept.
        clock: Market time of receipt, or the stamps that several connections share.
        connection: Number of the connection in ``health``.
        on_text: Told every text frame.
        on_state: Told a sentence whenever the connection comes or goes.
        on_session_expired: Told when the broker refuses the session.
        on_time: Told the market time of each frame, nanoseconds since the epoch, before it is written.
        on_record: Told everything that arrives, as it came, and when the connection comes and goes.
        rate_window_s: Seconds that ``packets_per_s`` looks back.
    """

    def __init__(
        self,
        board: QuotesBoard,
        health: FeedHealth,
        clock: Clock | MarketTime,
        *,
        connection: int = 0,
        on_text: Callable[[str], None] = _ignore,
        on_state: Callable[[str], None] = _ignore,
        on_session_expired: Callable[[SessionExpired], None] = _ignore,
        on_time: Callable[[int], None] = _ignore,
        on_record: OnRecord | None = None,
        rate_window_s: int = RATE_WINDOW_S,
    ) -> None:
        self._board = board
        self._health = health
        self._time = clock if isinstance(clock, MarketTime) else MarketTime(clock)
        self._connection = connection
        self._on_text = on_text
        self._on_state = on_state
        self._on_session_expired = on_session_expired
        self._on_time = on_time
        self._on_record = on_record
        self._path = health.path(connection)
        self._rate = RateMeter(rate_window_s)
        self.frames = 0
        self.packets = 0
        self.unknown_packets = 0
        """Packets of a length that no kind has, or of a kind that their segment does not have."""
        self.bad_frames = 0
        self.last_bad_frames: deque[BadFrame] = deque(maxlen=BAD_FRAMES_KEPT)
        self.last_packet_ns: int | None = None
        """When the last data packet came, by the quotes' clock; ``None`` before any."""
        self._packets_before = 0

    @property
    def has_brought(self) -> bool:
        """Whether this life of the connection has brought a data packet."""
        return self.packets > self._packets_before

    def packets_per_s(self, now_ns: int) -> float:
        """Packets a second lately; ``now_ns`` of the quotes' clock."""
        return self._rate.rate(now_ns)

    def connected(self, at_ns: int) -> None:
        """Begin a new life of the path: what the earlier one brought is suspect until it comes again."""
        self._health.connected(self._connection, self._time.quote_ns(at_ns))
        self._path = self._health.path(self._connection)
        self._packets_before = self.packets
        self._record(RecordKind.UP, at_ns, b"")
        self._on_state("Market data connected.")

    def disconnected(self, reason: str) -> None:
        """Make everything this connection brought suspect."""
        self._health.disconnected(self._connection)
        self._record(RecordKind.DOWN, self._time.received_now_ns(), reason.encode())
        self._on_state(f"Market data lost: {reason}")

    def heard(self, at_ns: int) -> None:
        """Note that the path is alive."""
        self._health.heard(self._connection, self._time.quote_ns(at_ns))

    def frame(self, payload: bytes, received_ns: int) -> None:
        """Decode and write."""
        market_ns = self._record(RecordKind.FRAME, received_ns, payload)
        quote_ns = self._time.quote_ns(received_ns)
        frame = decode_frame(payload)
        self._on_time(market_ns)
        self._board.apply(frame, received_ns=quote_ns, market_ns=market_ns, path=self._path)
        count = len(frame)
        self.frames += 1
        self.packets += count
        if count:
            self.last_packet_ns = quote_ns
            self._rate.add(count, quote_ns)
        if damage := frame.damage:
            self.unknown_packets += frame.unknown + frame.implausible
            self.bad_frames += 1
            self.last_bad_frames.append(BadFrame(received_ns, damage, payload[:BAD_FRAME_BYTES_KEPT]))

    def text(self, payload: str) -> None:
        """Hand a text frame on."""
        if self._on_record is not None:
            self._record(RecordKind.TEXT, self._time.received_now_ns(), payload.encode())
        self._on_text(payload)

    def session_expired(self, error: SessionExpired) -> None:
        """Hand on that a new login is needed."""
        self._on_session_expired(error)

    def _record(self, kind: RecordKind, received_ns: int, payload: bytes) -> int:
        """Offer something to the tape; returns the market time of its receipt."""
        market_ns = self._time.market_ns()
        if self._on_record is not None:
            self._on_record(kind, self._connection, market_ns, self._time.record_ns(received_ns), payload)
        return market_ns
