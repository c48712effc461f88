"""The listener between a ticker and the board: lives of the path, bad frames, what is handed on."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime, timedelta

import numpy as np

from engine.brokers.feed import FeedListener
from engine.core.errors import SessionExpired
from engine.core.vocabulary import QuoteState
from engine.market.board_feed import BAD_FRAME_BYTES_KEPT, BAD_FRAMES_KEPT, BoardFeed
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth, Staleness

CALL = 3_840_002
MARKET_NOW = datetime(2026, 11, 19, 6, 0, 0, 250_001, tzinfo=UTC)
SECOND = 1_000_000_000


class FixedClock:
    """A clock that stands."""

    def market_now(self) -> datetime:
        return MARKET_NOW

    def wall_now(self) -> datetime:
        return MARKET_NOW + timedelta(days=1)

    def monotonic(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def ltp(token: int, last: int) -> bytes:
    """A frame of one last price."""
    return struct.pack(">HHII", 1, 8, token, last)


class Rig:
    """A feed on a board, and what it handed on."""

    def __init__(self) -> None:
        self.board = QuotesBoard(limit=5)
        self.board.add([CALL])
        self.health = FeedHealth()
        self.said: list[object] = []
        self.feed = BoardFeed(
            self.board,
            self.health,
            FixedClock(),
            on_text=self.said.append,
            on_state=self.said.append,
            on_session_expired=self.said.append,
        )
        self.listener: FeedListener = self.feed
        self.states = Staleness(self.health, silence_limit_s=5.0)
        self.states.set_open_segments([2])

    def state(self, now_ns: int) -> QuoteState:
        """State of the call."""
        return self.states.state(self.board, 0, now_ns)


def test_a_frame_reaches_the_board_with_both_times() -> None:
    """Market time of receipt is the venue's, age is ours."""
    rig = Rig()
    rig.listener.connected(SECOND)
    rig.listener.heard(2 * SECOND)
    rig.listener.frame(ltp(CALL, 12_350), 2 * SECOND)
    quote = rig.board.quote(CALL, now_ns=5 * SECOND, states=rig.states)
    assert quote is not None
    assert (quote.received_time, quote.age_s, quote.state) == (MARKET_NOW, 3.0, QuoteState.LIVE)
    assert (rig.feed.frames, rig.feed.packets, rig.feed.bad_frames) == (1, 1, 0)


def test_a_reconnection_makes_quotes_suspect_until_they_come_again() -> None:
    """Each connection is a new life of the path."""
    rig = Rig()
    rig.listener.connected(SECOND)
    rig.listener.frame(ltp(CALL, 1), SECOND)
    assert rig.state(SECOND) is QuoteState.LIVE
    rig.listener.disconnected("the connection broke")
    assert rig.state(SECOND) is QuoteState.STALE
    rig.listener.connected(2 * SECOND)
    assert rig.state(2 * SECOND) is QuoteState.STALE
    rig.listener.frame(ltp(CALL, 1), 2 * SECOND)
    assert rig.state(2 * SECOND) is QuoteState.LIVE
    assert rig.said == [
        "Market data connected.",
        "Market data lost: the connection broke",
        "Market data connected.",
    ]


def test_bad_frames_are_counted_kept_and_used_where_they_are_whole() -> None:
    """A damaged frame writes its whole packets; the last of them are kept, cut to a bounded size."""
    rig = Rig()
    rig.listener.connected(SECOND)
    damaged = b"\x00\x02" + ltp(CALL, 777)[2:] + b"\x00\xb8" + bytes(100)
    rig.listener.frame(damaged, SECOND)
    assert rig.board.last(np.array([0], np.intp)).tolist() == [7.77]
    for number in range(40):
        rig.listener.frame(struct.pack(">H", number + 1) + bytes(10_000), SECOND)
    assert rig.feed.bad_frames == 41
    assert len(rig.feed.last_bad_frames) == BAD_FRAMES_KEPT
    newest = rig.feed.last_bad_frames[-1]
    assert len(newest.payload) == BAD_FRAME_BYTES_KEPT
    assert newest.damage


def test_texts_and_an_ended_session_are_handed_on() -> None:
    """The feed itself decides nothing about them."""
    rig = Rig()
    error = SessionExpired("log in again")
    rig.listener.text('{"type":"message"}')
    rig.listener.session_expired(error)
    assert rig.said == ['{"type":"message"}', error]


def test_nobody_has_to_listen() -> None:
    """Without callbacks everything still works."""
    feed = BoardFeed(QuotesBoard(limit=1), FeedHealth(), FixedClock())
    feed.connected(1)
    feed.text("x")
    feed.session_expired(SessionExpired("log in again"))
    feed.disconnected("bye")
    assert feed.frames == 0
