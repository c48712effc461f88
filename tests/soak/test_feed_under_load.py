"""Two seconds of a whole feed, as fast as it is taken: nothing is lost, and nothing is kept of what has passed."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from pathlib import Path

from benchmarks.feed_soak import MARKET_START, frames_on
from benchmarks.feed_soak_desk import SoakDesk
from benchmarks.feed_soak_market import Load
from benchmarks.feed_soak_ticker import SoakTicker
from engine.brokers.feed import FeedMode
from tests.integration.feed.rig import until

INSTRUMENTS = 300
ROUNDS = 180
"""54,000 packets."""
WARM_ROUNDS = 60
BEGINNINGS = 4
"""Records of a tape before the first frame: the recorder and each of three connections have come up."""
ENGINE = str(Path(__file__).resolve().parents[2] / "engine" / "*")
BYTES_PER_PACKET_MAX = 4
"""An object for each packet would take at least 28, its words 184."""
KEPT_PART = 0.75
"""Of the frames: free lists and caches of the interpreter hold some hundreds of objects, whoever made them."""


async def test_a_feed_at_full_load_loses_nothing_and_keeps_nothing(tmp_path: Path) -> None:
    """Every packet reaches the board and the tape byte for byte, and no line of the engine keeps one object a frame."""
    load = Load(
        instruments=INSTRUMENTS,
        rate=90.0,
        frames_per_s=180.0,
        market_start=MARKET_START.timestamp(),
        monotonic_start=time.monotonic(),
        paced=False,
    )
    ticker = SoakTicker(load)

    async with ticker.open() as address:
        desk = SoakDesk(load, address, tmp_path)

        def is_subscribed() -> bool:
            modes = [mode for subscriber in ticker.subscribers for mode in subscriber.modes.values()]
            return modes == [FeedMode.FULL] * INSTRUMENTS

        def is_safe(rounds: int) -> bool:
            records = BEGINNINGS + rounds * load.connections * load.frames_in_round
            tape = desk.recorder.view()
            return desk.feed.packets == rounds * INSTRUMENTS and tape.frames == records and tape.lag_s == 0.0

        async def drained(rounds: int) -> None:
            await until(lambda: is_safe(rounds), f"the frames of {rounds} rounds are on the board and on the disk")
            await asyncio.sleep(0)  # the writer's thread has the interpreter, if it was about to return what it held
            gc.collect()  # what is left is kept by somebody

        async with desk.running():
            await until(is_subscribed, "the desk has told all that it wants")
            tracemalloc.start()
            try:
                ticker.go(WARM_ROUNDS)
                await drained(WARM_ROUNDS)
                before = tracemalloc.take_snapshot()
                ticker.go(ROUNDS)
                await drained(ROUNDS)
                after = tracemalloc.take_snapshot()
            finally:
                tracemalloc.stop()
            assert desk.board.words[desk.board.slots_of(item.token for item in desk.listed)].tolist() == (
                ticker.market.words.tolist()
            )
            assert desk.trouble() == []
            assert desk.feed_view().connections == load.connections

    sent = [subscriber.sent for subscriber in ticker.subscribers]
    on_tape, damage = frames_on(Path(desk.recorder.view().path))
    assert damage == ""
    assert sorted(one.checksum for one in on_tape.values()) == sorted(one.checksum for one in sent)
    assert sum(one.packets for one in on_tape.values()) == ROUNDS * INSTRUMENTS

    ours = [tracemalloc.Filter(inclusive=True, filename_pattern=ENGINE)]
    changes = after.filter_traces(ours).compare_to(before.filter_traces(ours), "lineno")
    packets = (ROUNDS - WARM_ROUNDS) * INSTRUMENTS
    frames = (ROUNDS - WARM_ROUNDS) * load.connections * load.frames_in_round
    assert sum(change.size_diff for change in changes) < BYTES_PER_PACKET_MAX * packets
    keeping = [str(change) for change in changes if change.count_diff > KEPT_PART * frames]
    assert keeping == []
