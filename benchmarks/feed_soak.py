"""A whole feed at full load on one core: nothing lost, and no growth of lag or memory for as long as it runs.

9,000 options in full mode over three connections, each three times a second: 27,000 packets/s. The exchange is a
process of its own on another core; the measured process is pinned to one, the thread that writes the tape included,
and holds the program's own feed, board, judge of quotes, candles, recorder and money (100 strategies of ten legs on the
100 ms grid of market time), beside who reads a chain of 200 rows 20 times a second.

That nothing is lost is proved, not sampled: at the end the board must hold the very words that were last sent, the tape
must hold every frame of every connection by count and checksum, and every whole minute must have a candle of every
instrument. *Lag* is how late a timer of 5 ms fires; *delay* is from the exchange's making of a frame to its packets
on the board, so it holds whatever waits in sockets. Where the system tells, *waited* is the part of the time in which
the loop's thread was ready and had no core, because others had it: what is slow then is the machine. The official
client's parser is timed on frames of the same run.

Run: ``python -m benchmarks.feed_soak [--seconds 600] [--instruments 9000] [--rate 3] [--frames 30]``.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import os
import sys
import tempfile
import time
import timeit
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.fan_out import Worker, running
from benchmarks.feed_soak_desk import SoakDesk
from benchmarks.feed_soak_market import Load
from benchmarks.feed_soak_result import BYTES_PER_MIB, Peer, Soak, Spread, Window, head, row, said
from benchmarks.feed_soak_ticker import Sent, market_process
from engine.brokers.kite.codec import Words, decode_frame
from engine.brokers.kite.packets import TOKEN
from engine.core.vocabulary import QuoteState
from engine.market.quotes_board import QuotesBoard
from engine.tape.reader import TapeReader
from engine.tape.records import RecordKind

MARKET_START = datetime(2026, 11, 19, 9, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
"""A Thursday on which derivatives trade; six hours of load fit into its session."""
WINDOW_S = 30.0
WINDOWS_MIN = 4
LOOK_S = 1.0
PATIENCE_S = 60.0
POLL_S = 0.05
MINUTE_S = 60
REFERENCE_TURNS = 2_000_000
REFERENCE_ROUNDS = 5
SAMPLE_FRAMES = 30
SAMPLE_AFTER_NS = 2_000_000_000
"""The first frames of a tape are of a feed that is still being subscribed to."""
NS_PER_S = 1_000_000_000
SCHEDSTAT = Path("/proc/thread-self/schedstat")
STATM = Path("/proc/self/statm")
MALLOC_FIELDS = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


def spread(microseconds: Sequence[int]) -> Spread:
    """Percentiles in milliseconds."""
    values = np.asarray(microseconds, np.float64) / 1e3
    if not len(values):
        return Spread(0.0, 0.0, 0.0)
    return Spread(float(np.percentile(values, 50)), float(np.percentile(values, 99)), float(values.max()))


def reference_ms() -> float:
    """Milliseconds of a loop of plain Python, best of a few."""
    times = []
    for _ in range(REFERENCE_ROUNDS):
        began = time.perf_counter()
        total = 0
        for number in range(REFERENCE_TURNS):
            total += number & 7
        times.append((time.perf_counter() - began) * 1e3)
    return min(times)


def resident_bytes() -> int:
    """Memory of this process now; 0 where the system does not tell."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of the GNU C library."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLOC_FIELDS)


def heap_bytes() -> Callable[[], int] | None:
    """Gives what the C library has given out and not got back, over all its arenas; ``None`` where it does not tell."""
    try:
        look = ctypes.CDLL(None).mallinfo2
    except (OSError, TypeError, AttributeError):
        return None
    look.restype = _MallocInfo

    def now() -> int:
        info = look()
        return int(info.uordblks + info.hblkhd)

    return now


def waited_ns() -> int | None:
    """How long this thread has been ready without a core, so far."""
    return int(SCHEDSTAT.read_text(encoding="ascii").split()[1]) if SCHEDSTAT.exists() else None


def cores() -> tuple[int | None, int | None]:
    """One for the desk and one for the exchange; ``None`` where they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


class Observer:
    """Makes windows of a running desk."""

    def __init__(self, desk: SoakDesk, market: Worker) -> None:
        self._desk = desk
        self._market = market
        self._heap_bytes = heap_bytes()

    async def ask(self, word: str) -> Any:  # noqa: ANN401 - each word has its own answer
        """Ask the exchange."""
        return await asyncio.to_thread(self._market.ask, word)

    async def market(self) -> tuple[int, float, float]:
        """Packets sent, seconds late, seconds of CPU."""
        answer: tuple[int, float, float] = await self.ask("read")
        return answer

    async def window(self, seconds: float) -> Window:
        """Look on for a while."""
        desk, began = self._desk, time.monotonic()
        desk.meters.take()
        (sent, _, market_cpu), received = await self.market(), desk.feed.packets
        cpu, loop_cpu, waited = time.process_time(), time.thread_time(), waited_ns()
        resident, heap, objects = [], [], []
        while (left := began + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(LOOK_S, left))
            resident.append(resident_bytes() / BYTES_PER_MIB)
            if self._heap_bytes is not None:
                heap.append(self._heap_bytes() / BYTES_PER_MIB)
            objects.append(sys.getallocatedblocks())
        sent_now, late_s, market_cpu_now = await self.market()
        received_now, elapsed, meters = desk.feed.packets, time.monotonic() - began, desk.meters.take()
        waited_now = waited_ns()
        return Window(
            seconds=elapsed,
            sent=sent_now - sent,
            received=received_now - received,
            in_flight=max(0, sent_now - received_now),
            lag=spread(meters.lag_us),
            delay=spread(meters.delay_us),
            cpu_percent=(time.process_time() - cpu) / elapsed * 100,
            loop_cpu_percent=(time.thread_time() - loop_cpu) / elapsed * 100,
            waited_percent=None
            if waited is None or waited_now is None
            else (waited_now - waited) / NS_PER_S / elapsed * 100,
            heap_mib=float(np.median(heap)) if heap else None,
            resident_mib=float(np.median(resident)),
            objects=int(np.median(objects)),
            recorder_waiting_max=meters.tape_waiting_max,
            candles_waiting_max=meters.candles_waiting_max,
            chain_reads=meters.chain_reads,
            not_live=sum(count for state, count in meters.states.items() if state is not QuoteState.LIVE),
            market_late_ms=late_s * 1e3,
            market_cpu_percent=(market_cpu_now - market_cpu) / elapsed * 100,
            trouble=tuple(desk.trouble()),
        )

    async def all_live(self) -> None:
        """Wait until every instrument has been received."""
        desk = self._desk
        async with asyncio.timeout(PATIENCE_S):
            while len(desk.board.tokens) < len(desk.listed) or not desk.board.received_ns.all():  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)

    async def rested(self) -> tuple[list[Sent], Words]:
        """End the load and wait until all that was sent has arrived; returns what was sent, and the last words."""
        await self.ask("rest")
        async with asyncio.timeout(PATIENCE_S):
            before = -1
            while not (before == (sent := (await self.market())[0]) == self._desk.feed.packets):
                before = sent
                await asyncio.sleep(LOOK_S)
        answer: tuple[list[Sent], Words] = await self.ask("all")
        return answer


def frames_on(tape: Path) -> tuple[dict[int, Sent], str]:
    """What a tape holds of each connection, and its damage."""
    found: dict[int, Sent] = {}
    reader = TapeReader(tape)
    for record in reader.records():
        if record.kind is not RecordKind.FRAME:
            continue
        before = found.get(record.connection, Sent(0, 0, 0))
        packets = int.from_bytes(record.payload[:2], "big")
        checksum = zlib.crc32(record.payload, before.checksum)
        found[record.connection] = Sent(before.frames + 1, before.packets + packets, checksum)
    return found, reader.damage


def sample_of(tape: Path) -> Iterator[bytes]:
    """Some frames of a tape, none with an instrument of another."""
    seen: set[int] = set()
    reader = TapeReader(tape)
    for record in reader.records(reader.start_ns + SAMPLE_AFTER_NS):
        if record.kind is RecordKind.FRAME:
            tokens = set(decode_frame(record.payload).words[:, TOKEN].tolist())
            if tokens & seen or not tokens:
                return
            seen |= tokens
            yield record.payload


def compared(frames: Sequence[bytes]) -> Peer:
    """Time both on the same frames, in turns."""
    from kiteconnect import KiteTicker  # noqa: PLC0415 - large, and only now needed: it is no part of what is measured

    official = KiteTicker("key", "token")
    board = QuotesBoard(limit=1 << 16)
    decoded = [decode_frame(frame) for frame in frames]
    for one in decoded:
        board.add(one.words[:, TOKEN].tolist())
    packets = sum(map(len, decoded))

    def theirs() -> None:
        for frame in frames:
            official._parse_binary(frame)

    def own() -> None:
        for frame in frames:
            board.apply(decode_frame(frame), received_ns=1, market_ns=int(MARKET_START.timestamp()) * NS_PER_S)

    best = [min(timeit.repeat(work, number=1, repeat=REFERENCE_ROUNDS)) for work in (theirs, own)]
    return Peer(best[0] / packets * 1e6, best[1] / packets * 1e6)


def candles_missing(desk: SoakDesk, first_s: int, last_s: int) -> tuple[int, int]:
    """Whole minutes of the load, and candles of whole minutes that they lack."""
    minutes = range(-(-first_s // MINUTE_S) * MINUTE_S, last_s // MINUTE_S * MINUTE_S, MINUTE_S)
    return len(minutes), sum(len(desk.listed) - desk.bars_kept.whole[minute] for minute in minutes)


async def soaked(seconds: float, load: Load, folder: Path, market: Worker, address: str) -> Soak:
    """Put the load on a desk, look on, take everything down, count."""
    reference = reference_ms()
    desk = SoakDesk(load, address, folder)
    observer = Observer(desk, market)
    windows: list[Window] = []
    async with desk.running():
        desk.meters.take()
        await asyncio.sleep(LOOK_S)
        idle = spread(desk.meters.take().lag_us)
        await observer.ask("go")
        await observer.all_live()
        first_s = int(desk.clock.market_now().timestamp()) + 1
        gc.collect()
        end, length = time.monotonic() + seconds, min(WINDOW_S, seconds / WINDOWS_MIN)
        print(head(), flush=True)
        while end - time.monotonic() > length / 2:
            windows.append(await observer.window(length))
            print(row(len(windows), windows[-1]), flush=True)
        last_s = int(desk.clock.market_now().timestamp())
        sent, words = await observer.rested()
        slots = desk.board.slots_of(item.token for item in desk.listed)
        differs = int((desk.board.words[slots] != words).any(axis=1).sum())
        received = desk.feed.packets
        trouble = desk.trouble()
    recorder = desk.recorder.view()
    print("reading the tape back …", flush=True)
    on_tape, damage = frames_on(Path(recorder.path))
    whole, missing = candles_missing(desk, first_s, last_s)
    return Soak(
        instruments=load.instruments,
        rate=load.rate,
        reference_ms=reference,
        idle_lag=idle,
        windows=tuple(windows),
        sent=sum(one.packets for one in sent),
        received=received,
        on_tape=sum(one.packets for one in on_tape.values()),
        tape_is_identical=sorted(map(msgspec.structs.astuple, sent))
        == sorted(map(msgspec.structs.astuple, on_tape.values())),
        tape_damage=damage,
        tape_bytes=recorder.bytes,
        board_differs=differs,
        whole_minutes=whole,
        candles_missing=missing,
        money_samples=desk.money_kept.samples,
        trouble=tuple(trouble),
        peer=compared([frame for frame, _ in zip(sample_of(Path(recorder.path)), range(SAMPLE_FRAMES), strict=False)]),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when nothing was lost and nothing grew."""
    line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    line.add_argument("--seconds", type=float, default=600.0)
    line.add_argument("--instruments", type=int, default=9_000)
    line.add_argument("--rate", type=float, default=3.0, help="updates of every instrument in a second")
    line.add_argument("--frames", type=float, default=30.0, help="frames on each connection in a second")
    line.add_argument("--json", type=Path, help="write the result here too")
    line.add_argument("--folder", type=Path, help="of the tape, which is deleted; default: a temporary one")
    options = line.parse_args(arguments)
    desk_core, market_core = cores()
    if desk_core is not None:
        os.sched_setaffinity(0, {desk_core})
    load = Load(
        instruments=options.instruments,
        rate=options.rate,
        frames_per_s=options.frames,
        market_start=MARKET_START.timestamp(),
        monotonic_start=time.monotonic(),
    )
    frames = load.connections * load.rate * load.frames_in_round
    where = "whatever core there is" if desk_core is None else "one core"
    print(f"{load.instruments:,} instruments in full mode over {load.connections} connections, desk on {where}")
    print(f"{load.packets_per_s:,.0f} packets/s in {frames:,.0f} frames", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="ws-bench-", dir=options.folder) as name,
        running(market_process, load, market_core) as market,
    ):
        address = market.pipe.recv()
        soak = asyncio.run(soaked(options.seconds, load, Path(name), market, address))
    print(said(soak))
    if options.json is not None:
        options.json.write_bytes(msgspec.json.encode(soak))
    return 0 if soak.is_sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
