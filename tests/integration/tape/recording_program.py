"""An engine's feed and recorder in a process of their own, to be killed, with a plain log of all it took.

The log is written before the tap is told, unbuffered: what it has after a kill is what arrived.

    python -m tests.integration.tape.recording_program feed FOLDER LOG WEBSOCKET TOKEN…
    python -m tests.integration.tape.recording_program flood FOLDER LOG
    python -m tests.integration.tape.recording_program limit FOLDER LOG BYTES
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import struct
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from engine.brokers.feed import FeedMode
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import KiteTicker
from engine.clocks import SystemClock
from engine.market.board_feed import BoardFeed, MarketTime
from engine.market.quotes_board import QuotesBoard
from engine.market.recorder import Recorder, TapeFacts
from engine.market.staleness import FeedHealth
from engine.tape.records import RecordKind, TapeRecord
from engine.tape.settings import RecorderSettings
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY
from tests.kit.tapes import NIFTY, frame, seeded

ENTRY = struct.Struct("<BHqqI")
CONNECTIONS = 3
FLOOD_PACKETS = 100
FLOOD_PAUSE_S = 0.004
FLOOD_FRAMES = 64


class Log:
    """What arrived, in a plain file."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, record: TapeRecord) -> None:
        """Append an entry in one write."""
        kind, connection, market_ns, received_ns, payload = record
        os.write(self._descriptor, ENTRY.pack(kind, connection, market_ns, received_ns, len(payload)) + payload)


def read_log(path: Path) -> Iterator[TapeRecord]:
    """The whole entries of a log."""
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while at + ENTRY.size <= len(data):
        kind, connection, market_ns, received_ns, size = ENTRY.unpack_from(data, at)
        at += ENTRY.size + size
        if at > len(data):
            return
        yield TapeRecord(RecordKind(kind), connection, market_ns, received_ns, data[at - size : at])


def make_recorder(folder: Path) -> Recorder:
    """A recorder with the program's own paces, but for the disk of a small test machine."""
    return Recorder(
        folder,
        describe=lambda: TapeFacts(venue="test", account="", day=datetime.now(UTC).date()),
        instruments=lambda: (NIFTY,),
        clock=SystemClock(),
        zone=UTC,
        program="tests",
        settings=RecorderSettings(disk_free_min_mb=0),
        declare=lambda *_: None,
    )


async def record_feed(folder: Path, log: Log, websocket: str, tokens: list[int]) -> None:
    """Several connections to an exchange, through tickers, listeners and the board, until killed."""
    clock = SystemClock()
    recorder = make_recorder(folder)
    await recorder.switch(on=True)
    board, health, times = QuotesBoard(limit=len(tokens)), FeedHealth(CONNECTIONS), MarketTime(clock)
    board.add(tokens)
    taken = 0

    def on_record(kind: RecordKind, connection: int, market_ns: int, received_ns: int, payload: bytes) -> None:
        nonlocal taken
        log.add(TapeRecord(kind, connection, market_ns, received_ns, payload))
        recorder.on_record(kind, connection, market_ns, received_ns, payload)
        taken += 1
        if taken == 2 * CONNECTIONS:
            say_ready()

    async with asyncio.TaskGroup() as group:
        for connection in range(CONNECTIONS):
            ticker = KiteTicker(
                websocket,
                KiteCredentials(API_KEY, ACCESS_TOKEN),
                desired=lambda: dict.fromkeys(tokens, FeedMode.FULL),
                listener=BoardFeed(board, health, times, connection=connection, on_record=on_record),
                is_open=lambda: True,
                random=seeded(connection),
            )
            group.create_task(ticker.run())


async def record_flood(folder: Path, log: Log) -> None:
    """Frames of many packets as fast as a busy feed brings them, until killed."""
    recorder = make_recorder(folder)
    await recorder.switch(on=True)
    randomness = seeded(1)
    payloads = [frame(randomness, FLOOD_PACKETS) for _ in range(FLOOD_FRAMES)]
    number = 0
    while True:
        now = time.time_ns()
        record = TapeRecord(RecordKind.FRAME, 0, now, now, payloads[number % FLOOD_FRAMES])
        log.add(record)
        recorder.on_record(*record)
        number += 1
        if number == FLOOD_FRAMES:
            say_ready()
        await asyncio.sleep(FLOOD_PAUSE_S)


async def record_to_limit(folder: Path, log: Log, limit: int) -> None:
    """Record on a disk that takes only files of so many bytes; says what became of it and of the tap."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    recorder = make_recorder(folder)
    await recorder.switch(on=True)
    randomness = seeded(2)
    longest_s = 0.0
    offered = 0
    deadline = time.monotonic() + 30
    while recorder.is_recording and time.monotonic() < deadline:
        now = time.time_ns()
        record = TapeRecord(RecordKind.TEXT, 0, now, now, randomness.randbytes(20_000))
        begun = time.perf_counter()
        recorder.on_record(*record)
        longest_s = max(longest_s, time.perf_counter() - begun)
        offered += 1
        await asyncio.sleep(FLOOD_PAUSE_S)
    view = recorder.view()
    for _ in range(1000):
        recorder.on_record(*record)
    waiting = recorder.queue().waiting
    await recorder.stop()
    said = {
        "recording": view.recording,
        "message": view.message,
        "longest_s": longest_s,
        "offered": offered,
        "waiting": waiting,
    }
    sys.stdout.write(json.dumps(said) + "\n")


def say_ready() -> None:
    """Tell the test that frames flow."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main(words: list[str]) -> None:
    """Do what the words say."""
    what, folder, log = words[0], Path(words[1]), Log(Path(words[2]))
    match what:
        case "feed":
            asyncio.run(record_feed(folder, log, words[3], [int(word) for word in words[4:]]))
        case "flood":
            asyncio.run(record_flood(folder, log))
        case _:
            asyncio.run(record_to_limit(folder, log, int(words[3])))


if __name__ == "__main__":
    main(sys.argv[1:])
