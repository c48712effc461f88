"""Any bytes to the decoder and on to a board, judged by the plain reader: nothing may crash, nothing may be made up.

Run ``python -m tests.fuzz.codec --seconds 60`` where ``atheris`` is installed; it is no dependency of the project. The
same target runs over a fixed corpus in the test suite.
"""

from __future__ import annotations

import argparse
import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

from engine.brokers.kite.codec import decode_frame
from engine.market.quotes_board import QuotesBoard
from tests.fuzz.plain_codec import FULL, read_frame

LENGTHS = (8, 28, 32, 44, 184)
ODD_LENGTHS = (0, 1, 4, 7, 27, 40, 183, 185, 264, 440)
SEGMENTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12)
START_S = 1_787_031_930
NS = 1_000_000_000
EDGES = (0, 1, 8, 28, 32, 44, 184, 0x0008_0000, 0x00B8_00B8, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
"""Words that look like lengths, and the ends of the range."""
FRAMES = 150
LARGEST = 1 << 20


def target(payload: bytes) -> None:
    """Decode, write and compare.

    Raises:
        AssertionError: The decoder or the board said something that the bytes do not say.
    """
    plain = read_frame(payload)
    frame = decode_frame(payload)
    assert frame.words.tolist() == plain.rows, "the rows differ"
    assert frame.kinds.tolist() == plain.kinds, "the kinds differ"
    counted = (frame.unknown, frame.missing, frame.excess, frame.implausible)
    assert counted == plain[2:], "the damage differs"
    assert bool(frame.damage) == any(counted), "damage is not said"
    assert frame.is_full == all(kind == FULL for kind in plain.kinds) or not frame.is_full, "not all are full"
    tokens = {row[0] for row in plain.rows} - {0}
    board = QuotesBoard(limit=max(1, len(tokens)))
    board.add(tokens)
    written = board.apply(frame, received_ns=1, market_ns=START_S * NS)
    assert written == sum(row[0] != 0 for row in plain.rows), "packets were lost or made up"
    last = {row[0]: row for row in plain.rows}
    for token in tokens:
        slot = board.slot_of(token)
        assert slot is not None
        assert board.words[slot].tolist() == last[token], "the board holds something else"
    assert not np.isinf(board.values(1, np.arange(len(tokens)))).any(), "a price is no number"


def frame_of(bodies: list[bytes], count: int | None = None) -> bytes:
    """A frame of bodies; ``count`` may lie."""
    return struct.pack(">H", (len(bodies) if count is None else count) & 0xFFFF) + b"".join(
        struct.pack(">H", len(body)) + body for body in bodies
    )


def packet(source: random.Random, length: int, *, segment: int | None = None) -> bytes:
    """A body of a length: a token that fits it unless told otherwise, then words that are often at some edge."""
    if segment is None:
        segment = 9 if length in {28, 32} else source.choice([each for each in SEGMENTS if each != 9 or length == 8])
    words = [source.choice(EDGES) if source.random() < 0.5 else source.getrandbits(32) for _ in range(length // 4 + 1)]
    words[0] = source.randrange(1, 1 << 24) << 8 | segment
    return struct.pack(f">{len(words)}I", *words)[:length]


def corpus(seed: int) -> Iterator[bytes]:
    """Whole frames of every size and mix, and each of them mutated; the same for one seed."""
    source = random.Random(seed)  # noqa: S311 - test data
    yield from (b"", b"\x00", b"\x00\x00", b"\x00\x01", b"\xff\xff", b"\x00\x01\x00", b"\x00\x01\x00\x08", bytes(3000))
    for number in range(FRAMES):
        count = source.choice((1, 2, 3, 4, 5, 30, 127, 128, 129, 200, 600))
        lengths = source.choice((LENGTHS, (184,), (184,) * 30 + (32,), (184, 8), (8,), (28, 32, 44)))
        bodies = [packet(source, source.choice(lengths)) for _ in range(count)]
        if number % 5 == 0:
            bodies.sort(key=len)
        whole = frame_of(bodies)
        yield whole
        yield from mutations(source, bodies, whole)


def mutations(source: random.Random, bodies: list[bytes], whole: bytes) -> Iterator[bytes]:
    """The ways in which a frame goes wrong."""
    yield whole[: source.randrange(len(whole))]
    yield whole + bytes(source.choice((1, 2, 10, 186)))
    yield frame_of(bodies, len(bodies) + source.choice((-1, 1, 300)))
    flipped = bytearray(whole)
    for _ in range(source.randint(1, 4)):
        flipped[source.randrange(len(flipped))] ^= 1 << source.randrange(8)
    yield bytes(flipped)
    strange = list(bodies)
    strange[source.randrange(len(strange))] = packet(source, source.choice(ODD_LENGTHS))
    yield frame_of(strange)
    contrary = list(bodies)
    contrary[source.randrange(len(contrary))] = (
        packet(source, source.choice((28, 32)), segment=2)
        if source.random() < 0.5
        else packet(source, source.choice((44, 184)), segment=9)
    )
    yield frame_of(contrary)
    cut = source.randrange(len(whole))
    yield whole[:cut] + whole[cut + source.randint(1, 9) :]


def _fuzz(seconds: int, folder: Path, seed: int) -> None:
    try:
        atheris = import_module("atheris")
    except ModuleNotFoundError:
        raise SystemExit("atheris is not installed; the same target runs over a corpus in tests/fuzz") from None
    for number, payload in enumerate(corpus(seed)):
        (folder / f"{number:05}").write_bytes(payload)
    words = [
        sys.argv[0],
        f"-max_total_time={seconds}",
        f"-max_len={LARGEST}",
        "-print_final_stats=1",
        f"-artifact_prefix={tempfile.gettempdir()}/",
        str(folder),
    ]
    atheris.instrument_all()
    atheris.Setup(words, target)
    atheris.Fuzz()


def main() -> None:
    """Fuzz for some seconds; ends with a traceback and the input where the target fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _fuzz(options.seconds, Path(folder), options.seed)


if __name__ == "__main__":
    main()
