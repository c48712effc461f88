"""Binary frame to board, against the official client's parser on the same frames in the same run.

Our side does more: length check, plausibility of each packet's kind, full-token map, order by exchange stamp and
volume, stamps, sequence. Prints microseconds per frame and the ratio; never passes or fails.
Run ``python benchmarks/decoder.py``.
"""

from __future__ import annotations

import struct
import timeit
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from kiteconnect import KiteTicker

from engine.brokers.kite.codec import decode_frame
from engine.brokers.kite.packets import BODY_BYTES, EXCHANGE_TIME, SEGMENT_INDICES, VOLUME, PacketKind
from engine.market.quotes_board import QuotesBoard

INSTRUMENTS = 3000
MIXES: Mapping[str, Mapping[int, float]] = {
    "full": {184: 1.0},
    "desk": {184: 0.96, 32: 0.02, 44: 0.01, 8: 0.01},
    "mixed": {184: 0.7, 44: 0.1, 32: 0.1, 8: 0.1},
    "equal": {184: 0.25, 44: 0.25, 32: 0.25, 8: 0.25},
}
"""Share of each length: options and futures in full mode alone; with the indices and a watch list beside them; with
as many others as the prototypes had; and the hardest, where no length is more likely than another."""
COUNTS = (1, 50, 500, 3000)
REPEATS = 7
FRAMES = 5
"""Different frames that are cycled through, so that no cache of one frame flatters."""
START = 1_787_031_930
NS = 1_000_000_000
VOLUME_TRADED = 9_876_500
_INDEX_LENGTHS = (28, 32)
_INDEX_TIME_BYTES = 28
_FULL_TIME_BYTES = EXCHANGE_TIME * 4
_VOLUME_BYTES = VOLUME * 4


def frames(count: int, lengths: Mapping[int, float], seed: int) -> list[bytes]:
    """Frames of ``count`` packets about random instruments, in random order.

    Each instrument has one mode for good, as a feed has it. Stamps and volumes are the same in all frames, so that
    none is older than another however often they are cycled through.
    """
    random = np.random.default_rng(seed)
    shares = np.array(list(lengths.values()))
    modes = np.repeat(list(lengths), np.round(shares * INSTRUMENTS).astype(int)).tolist()
    made = []
    for _ in range(FRAMES):
        names = random.choice(INSTRUMENTS, count, replace=False).tolist()
        made.append(struct.pack(">H", count) + b"".join(_packet(name, modes[name], random) for name in names))
    return made


def token_of(name: int, length: int) -> int:
    """An index for index packets, an option for all others."""
    return (35_000 + 48 * name) << 8 | (SEGMENT_INDICES if length in _INDEX_LENGTHS else 2)


def _packet(name: int, length: int, random: np.random.Generator) -> bytes:
    body = bytearray(random.integers(1, 2**20, length // 4, dtype=np.uint32).astype(">u4").tobytes())
    struct.pack_into(">I", body, 0, token_of(name, length))
    kind = BODY_BYTES[length]
    if kind in {PacketKind.QUOTE, PacketKind.FULL}:
        struct.pack_into(">I", body, _VOLUME_BYTES, VOLUME_TRADED)
    if kind is PacketKind.FULL:
        struct.pack_into(">I", body, _FULL_TIME_BYTES, START)
    if kind is PacketKind.INDEX_FULL:
        struct.pack_into(">I", body, _INDEX_TIME_BYTES, START)
    return struct.pack(">H", length) + bytes(body)


def microseconds(*works: Callable[[], object]) -> list[float]:
    """Best time per frame of each work, taken in turns so that a busy moment hits all alike."""
    timers = [timeit.Timer(work) for work in works]
    calls = [timer.autorange()[0] for timer in timers]
    best = [float("inf")] * len(works)
    for _ in range(REPEATS):
        for place, timer in enumerate(timers):
            best[place] = min(best[place], timer.timeit(calls[place]) / calls[place] / FRAMES * 1e6)
    return best


def board() -> QuotesBoard:
    """A board with every instrument of ``frames``."""
    made = QuotesBoard(limit=2 * INSTRUMENTS)
    made.add(token_of(name, length) for length in (184, 32) for name in range(INSTRUMENTS))
    return made


def work_of(payloads: Sequence[bytes]) -> Callable[[], None]:
    """Frames to a board of their own."""
    target = board()

    def work() -> None:
        for payload in payloads:
            target.apply(decode_frame(payload), received_ns=1, market_ns=START * NS)

    return work


def main() -> None:
    """Print the table."""
    official = KiteTicker("key", "token")
    print(f"{'packets':>8} {'kind':>6} {'official us':>12} {'ours us':>9} {'ns/packet':>10} {'ratio':>7}")
    for kind, lengths in MIXES.items():
        for count in COUNTS:
            payloads = frames(count, lengths, count)

            def theirs(payloads: list[bytes] = payloads) -> None:
                for payload in payloads:
                    official._parse_binary(payload)

            peer, own = microseconds(theirs, work_of(payloads))
            print(f"{count:>8} {kind:>6} {peer:>12.1f} {own:>9.2f} {own / count * 1000:>10.0f} {peer / own:>6.0f}x")


if __name__ == "__main__":
    main()
