"""The listener between a ticker and the board: lives of the path, bad frames, what is handed on."""

from __future__ import annotations

import asyncio
import struct
from datetime import UTC, datetime, timedelta

import numpy as np

from engine.brokers.feed import FeedListener
from engine.core.errors import SessionExpired
from engine.core.vocabulary import QuoteState
from engine.market.board_feed import BAD_FRAME_BYTES_KEPT, BAD_FRAMES_KEPT, BoardFeed, MarketTime, RateMeter
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth, Staleness
from engine.tape.records import RecordKind

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


class SetClock(FixedClock):
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.market = MARKET_NOW

    def market_now(self) -> datetime:
        return self.market

    def wall_now(self) -> datetime:
        return self.market


def epoch_ns(moment: datetime) -> int:
    """Nanoseconds since the epoch, exact to the microsecond."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def test_the_engine_hears_the_time_of_a_frame_before_it_is_written() -> None:
    """What is sampled at that moment sees only earlier frames; the time never runs backwards, also over connections."""
    board, health, clock = QuotesBoard(limit=5), FeedHealth(2), SetClock()
    board.add([CALL])
    seen: list[tuple[int, float]] = []
    shared = MarketTime(clock)

    def on_time(market_ns: int) -> None:
        seen.append((market_ns, float(np.nan_to_num(board.last(np.array([0], np.intp))[0]))))

    feeds = [BoardFeed(board, health, shared, connection=number, on_time=on_time) for number in (0, 1)]
    for feed in feeds:
        feed.connected(SECOND)
    feeds[0].frame(ltp(CALL, 100), SECOND)
    clock.market -= timedelta(hours=1)
    feeds[1].frame(ltp(CALL, 200), SECOND)
    clock.market += timedelta(hours=2)
    feeds[0].frame(ltp(CALL, 300), SECOND)
    first = epoch_ns(MARKET_NOW)
    assert seen == [(first, 0.0), (first, 1.0), (first + 3_600 * SECOND, 2.0)]
    shared.restart()
    clock.market = MARKET_NOW
    feeds[0].frame(ltp(CALL, 400), SECOND)
    assert seen[-1] == (first, 3.0)
    assert board.market_ns.tolist() == [first]


def test_everything_that_arrives_is_offered_to_the_tape_as_it_came() -> None:
    """Frames (damaged ones too), texts, ups and downs, with their connection and both times; heartbeats are nothing."""
    board, clock = QuotesBoard(limit=5), SetClock()
    records: list[tuple[RecordKind, int, int, int, bytes]] = []
    texts: list[str] = []
    now_ns = 7 * SECOND
    shared = MarketTime(clock, monotonic_ns=lambda: now_ns)
    feed = BoardFeed(
        board,
        FeedHealth(3),
        shared,
        connection=2,
        on_record=lambda *record: records.append(record),
        on_text=texts.append,
    )
    wall = epoch_ns(MARKET_NOW)
    feed.connected(8 * SECOND)
    feed.heard(9 * SECOND)
    feed.frame(b"\x00\x09\x00", 9 * SECOND)
    clock.market += timedelta(seconds=3)
    now_ns = 11 * SECOND
    feed.text('{"type":"order","data":"\u20b9"}')
    feed.disconnected("the connection broke")
    assert records == [
        (RecordKind.UP, 2, wall, wall + SECOND, b""),
        (RecordKind.FRAME, 2, wall, wall + 2 * SECOND, b"\x00\x09\x00"),
        (RecordKind.TEXT, 2, wall + 3 * SECOND, wall + 4 * SECOND, '{"type":"order","data":"\u20b9"}'.encode()),
        (RecordKind.DOWN, 2, wall + 3 * SECOND, wall + 4 * SECOND, b"the connection broke"),
    ]
    assert feed.bad_frames == 1


def test_the_quotes_clock_stamps_what_a_replay_brings() -> None:
    """Ages and silence are of the tape's time: a paused replay is not stale, however long the pause."""
    board, health, clock = QuotesBoard(limit=5), FeedHealth(), SetClock()
    board.add([CALL])
    states = Staleness(health, silence_limit_s=5.0)
    states.set_open_segments([2])
    tape_ns = 1_000 * SECOND
    feed = BoardFeed(board, health, MarketTime(clock, lambda: tape_ns))
    feed.connected(1)
    feed.heard(2)
    feed.frame(ltp(CALL, 1), 2)
    quote = board.quote(CALL, now_ns=tape_ns, states=states)
    assert quote is not None
    assert (quote.state, quote.age_s) == (QuoteState.LIVE, 0.0)
    tape_ns += 2 * SECOND
    feed.heard(900 * SECOND)
    quote = board.quote(CALL, now_ns=tape_ns, states=states)
    assert quote is not None
    assert (quote.state, quote.age_s) == (QuoteState.LIVE, 2.0)
    assert feed.last_packet_ns == 1_000 * SECOND


def test_packets_per_second_are_of_the_last_whole_seconds() -> None:
    """The running second is left out, an old one is forgotten, a pause counts as none."""
    meter = RateMeter(2)
    assert meter.rate(0) == 0.0
    meter.add(10, 0)
    meter.add(20, SECOND // 2)
    assert meter.rate(SECOND // 2) == 0.0
    meter.add(40, SECOND)
    assert meter.rate(SECOND) == 15.0
    assert meter.rate(2 * SECOND) == 35.0
    assert meter.rate(3 * SECOND) == 20.0
    assert meter.rate(4 * SECOND) == 0.0


def test_packets_of_unknown_kinds_are_counted() -> None:
    """A packet of a length that no kind has is skipped and counted; it is no quote."""
    rig = Rig()
    rig.listener.connected(SECOND)
    rig.listener.frame(struct.pack(">HH", 1, 9) + bytes(9), SECOND)
    assert (rig.feed.unknown_packets, rig.feed.packets, rig.feed.bad_frames) == (1, 0, 1)
    assert rig.feed.last_packet_ns is None
