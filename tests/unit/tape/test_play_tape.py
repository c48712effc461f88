"""A tape played into the engine's listeners gives the board that the live frames gave, bit for bit."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from engine.clocks import QuoteClock, StreamClock
from engine.market.board_feed import BoardFeed, MarketTime
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import FeedHealth
from engine.tape.reader import TapeReader
from engine.tape.records import RECORDER, RecordKind, TapeRecord
from tests.kit.tape_player import TapePlayer
from tests.kit.tapes import SECOND_NS, START, START_NS, make_tape, seeded

TOKENS = tuple(256 * number + 2 for number in range(1, 40))
CONNECTIONS = 2


class Engine:
    """The data path of an engine on a clock that is told."""

    def __init__(self) -> None:
        self.clock = StreamClock(START)
        self.board = QuotesBoard(limit=len(TOKENS))
        self.board.add(TOKENS)
        self.health = FeedHealth(CONNECTIONS)
        self.taken: list[TapeRecord] = []
        self.texts: list[str] = []
        self.times: list[int] = []
        times = MarketTime(self.clock, QuoteClock(self.clock).now_ns)
        self.feeds = {
            number: BoardFeed(
                self.board,
                self.health,
                times,
                connection=number,
                on_text=self.texts.append,
                on_time=self.times.append,
                on_record=lambda *record: self.taken.append(TapeRecord(*record)),
            )
            for number in range(CONNECTIONS)
        }


def market(engine: Engine, seed: int, frames: int) -> None:
    """Frames of both connections with bursts, texts, and a connection that is lost and comes again."""
    randomness = seeded(seed)
    for feed in engine.feeds.values():
        feed.connected(0)
    for number in range(frames):
        engine.clock.tell(START_NS + number // 3 * SECOND_NS // 4)
        feed = engine.feeds[number % 3 % CONNECTIONS]
        bodies = [
            struct.pack(">I", randomness.choice(TOKENS)) + randomness.randbytes(180)
            for _ in range(randomness.randint(1, 9))
        ]
        frame = struct.pack(">H", len(bodies)) + b"".join(struct.pack(">H", len(body)) + body for body in bodies)
        feed.frame(frame, number)
        if number % 20 == 7:
            feed.text(f'{{"type":"order","number":{number}}}')
        if number == frames // 2:
            feed.disconnected("silence")
            feed.connected(number)


def test_a_played_tape_is_the_live_board(tmp_path: Path) -> None:
    """Words, kinds, market times, ages, paths and sequences of every slot are equal, and so are texts and moments."""
    live, replay = Engine(), Engine()
    market(live, 4, 300)
    path = make_tape(tmp_path, live.taken, each=17)
    with TapeReader(path) as tape:
        assert TapePlayer(replay.feeds, replay.clock).play(tape) == 300
        assert tape.damage == ""
    for column in ("words", "kinds", "market_ns", "received_ns", "sequences", "paths", "tokens"):
        assert np.array_equal(getattr(live.board, column), getattr(replay.board, column)), column
    assert (replay.texts, replay.times) == (live.texts, live.times)
    assert [one._replace(received_ns=0) for one in replay.taken] == [one._replace(received_ns=0) for one in live.taken]


def test_in_a_gap_every_connection_counts_as_lost(tmp_path: Path) -> None:
    """Between the recorder's DOWN and the next frame nothing on the board can pass for fresh."""
    frame = struct.pack(">HHI", 1, 8, TOKENS[0]) + struct.pack(">I", 5)
    records = [
        TapeRecord(RecordKind.FRAME, 1, START_NS, 1, frame),
        TapeRecord(RecordKind.DOWN, RECORDER, START_NS + 1_000, 2, b"stopped"),
        TapeRecord(RecordKind.UP, RECORDER, START_NS + 2_000, 3, b"began"),
        TapeRecord(RecordKind.FRAME, 1, START_NS + 3_000, 4, frame),
    ]
    engine = Engine()
    states = []
    with TapeReader(make_tape(tmp_path, records)) as tape:
        player = TapePlayer(engine.feeds, engine.clock)
        player.play(tape, after=lambda _: states.append(engine.health.is_up(1)))
    assert states == [True, False, False, True]
