"""Binary frame to board, against the official client's parser on the same frames in the same run.

Our side does more: length check, full-token map, stamps, sequence. Prints microseconds per frame and the ratio; never
passes or fails. Run ``python benchmarks/decoder.py``.
"""

from __future__ import annotations

import struct
import timeit
from collections.abc import Callable, Sequence

import numpy as np
from kiteconnect import KiteTicker

from engine.brokers.kite.codec import decode_frame
from engine.market.quotes_board import QuotesBoard

INSTRUMENTS = 3000
MIXED_LENGTHS = (*(184,) * 7, 44, 32, 8)
"""Drawn from: mostly full packets with some of each other kind, as a desk with indices and watch lists gets."""
EQUAL_LENGTHS = (184, 44, 32, 8)
REPEATS = 7
FRAMES = 5
"""Different frames that are cycled through, so that no cache of one frame flatters."""


def frames(tokens: Sequence[int], count: int, lengths: Sequence[int], seed: int) -> list[bytes]:
    """Frames of ``count`` packets about random instruments, lengths drawn from ``lengths``."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(FRAMES):
        parts = [struct.pack(">H", count)]
        for token in random.choice(np.asarray(tokens), count, replace=False).tolist():
            length = int(random.choice(lengths))
            body = random.integers(1, 2**20, length // 4 - 1, dtype=np.uint32).astype(">u4").tobytes()
            parts.append(struct.pack(">HI", length, token) + body)
        made.append(b"".join(parts))
    return made


def microseconds(*works: Callable[[], object]) -> list[float]:
    """Best time per frame of each work, taken in turns so that a busy moment hits all alike."""
    timers = [timeit.Timer(work) for work in works]
    calls = [timer.autorange()[0] for timer in timers]
    best = [float("inf")] * len(works)
    for _ in range(REPEATS):
        for place, timer in enumerate(timers):
            best[place] = min(best[place], timer.timeit(calls[place]) / calls[place] / FRAMES * 1e6)
    return best


def main() -> None:
    """Print the table."""
    random = np.random.default_rng(11)
    tokens = (random.choice(np.arange(35_000, 180_000), INSTRUMENTS, replace=False) * 256 + 2).tolist()
    board = QuotesBoard(limit=INSTRUMENTS)
    board.add(tokens)
    official = KiteTicker("key", "token")
    print(f"{'packets':>8} {'kind':>6} {'official us':>12} {'ours us':>9} {'ns/packet':>10} {'ratio':>7}")
    for kind, lengths in (("full", (184,)), ("mixed", MIXED_LENGTHS), ("equal", EQUAL_LENGTHS)):
        for count in (1, 50, 500, 3000):
            payloads = frames(tokens, count, lengths, count)

            def ours(payloads: list[bytes] = payloads) -> None:
                for payload in payloads:
                    board.apply(decode_frame(payload), received_ns=1, market_ns=1)

            def theirs(payloads: list[bytes] = payloads) -> None:
                for payload in payloads:
                    official._parse_binary(payload)

            peer, own = microseconds(theirs, ours)
            print(f"{count:>8} {kind:>6} {peer:>12.1f} {own:>9.2f} {own / count * 1000:>10.0f} {peer / own:>6.0f}x")


if __name__ == "__main__":
    main()
