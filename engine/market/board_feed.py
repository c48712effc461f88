"""One connection's bytes to the board: the listener between a ticker and the columns.

Invariant: nothing that arrives is fatal. A frame that does not decode as a whole is counted and kept, its whole packets
are used; the lossless branch (``QuotesBoard.add_hook``) sees every packet that is written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from engine.brokers.kite.codec import decode_frame
from engine.core.errors import SessionExpired
from engine.core.ports import Clock
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NS_PER_US = 1_000
BAD_FRAMES_KEPT = 16
BAD_FRAME_BYTES_KEPT = 4096


class BadFrame(NamedTuple):
    """A frame that did not decode as a whole."""

    received_ns: int
    damage: str
    payload: bytes
    """Its first ``BAD_FRAME_BYTES_KEPT`` bytes."""


def _ignore(_: object) -> None:
    """Nobody asked."""


class BoardFeed:
    """Listens to one connection (``engine.brokers.feed.FeedListener``) and writes the board.

    Args:
        board: Where packets go.
        health: Where the connection's life and silence are kept.
        clock: Market time of receipt.
        connection: Number of the connection in ``health``.
        on_text: Told every text frame.
        on_state: Told a sentence whenever the connection comes or goes.
        on_session_expired: Told when the broker refuses the session.
    """

    def __init__(
        self,
        board: QuotesBoard,
        health: FeedHealth,
        clock: Clock,
        *,
        connection: int = 0,
        on_text: Callable[[str], None] = _ignore,
        on_state: Callable[[str], None] = _ignore,
        on_session_expired: Callable[[SessionExpired], None] = _ignore,
    ) -> None:
        self._board = board
        self._health = health
        self._clock = clock
        self._connection = connection
        self._on_text = on_text
        self._on_state = on_state
        self._on_session_expired = on_session_expired
        self._path = health.path(connection)
        self.frames = 0
        self.packets = 0
        self.bad_frames = 0
        self.last_bad_frames: deque[BadFrame] = deque(maxlen=BAD_FRAMES_KEPT)

    def connected(self, at_ns: int) -> None:
        """Begin a new life of the path: what the earlier one brought is suspect until it comes again."""
        self._health.connected(self._connection, at_ns)
        self._path = self._health.path(self._connection)
        self._on_state("Market data connected.")

    def disconnected(self, reason: str) -> None:
        """Make everything this connection brought suspect."""
        self._health.disconnected(self._connection)
        self._on_state(f"Market data lost: {reason}")

    def heard(self, at_ns: int) -> None:
        """Note that the path is alive."""
        self._health.heard(self._connection, at_ns)

    def frame(self, payload: bytes, received_ns: int) -> None:
        """Decode and write."""
        frame = decode_frame(payload)
        market_ns = (self._clock.market_now() - _EPOCH) // _MICROSECOND * _NS_PER_US
        self._board.apply(frame, received_ns=received_ns, market_ns=market_ns, path=self._path)
        self.frames += 1
        self.packets += len(frame)
        damage = frame.damage
        if damage:
            self.bad_frames += 1
            self.last_bad_frames.append(BadFrame(received_ns, damage, payload[:BAD_FRAME_BYTES_KEPT]))

    def text(self, payload: str) -> None:
        """Hand a text frame on."""
        self._on_text(payload)

    def session_expired(self, error: SessionExpired) -> None:
        """Hand on that a new login is needed."""
        self._on_session_expired(error)
