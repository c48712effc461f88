"""Where packets stand: every fast way finds what the plain walk finds or gives up, and none works packet by packet."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Sequence
from random import Random
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from engine.brokers.kite import frame_layout as module
from engine.brokers.kite.codec import decode_frame
from engine.brokers.kite.frame_layout import FrameLayout, frame_layout

if TYPE_CHECKING:
    from _typeshed import TraceFunction

LENGTHS = (8, 28, 32, 44, 184)
TRAPS = (0, 8, 28, 32, 44, 184, 8 << 16, 184 << 16, 0x00B8_00B8)
"""Words that look like lengths."""


def body(random: Random, length: int, filler: str) -> bytes:
    """A body whose token fits its length, filled as told."""
    token = struct.pack(">I", random.randrange(1, 1 << 24) << 8 | (9 if length in {28, 32} else 2))
    rest = length - 4
    if filler == "zeros":
        return token + bytes(rest)
    if filler == "noise":
        return token + random.randbytes(rest)
    return token + struct.pack(f">{rest // 4}I", *random.choices(TRAPS, k=rest // 4))


def frame_of(lengths: Sequence[int], filler: str = "noise", seed: int = 1) -> bytes:
    """A whole frame."""
    random = Random(seed)  # noqa: S311 - test data
    parts = [struct.pack(">H", length) + body(random, length, filler) for length in lengths]
    return struct.pack(">H", len(parts)) + b"".join(parts)


def drawn(count: int, weights: Sequence[float], seed: int) -> list[int]:
    """Lengths in random order."""
    return Random(seed).choices(LENGTHS, weights, k=count)  # noqa: S311 - test data


def plain(lengths: Sequence[int]) -> tuple[list[int], list[int]]:
    """Where the bodies of a whole frame stand, and their kinds."""
    places, offset = [], 2
    for length in lengths:
        places.append(offset + 2)
        offset += 2 + length
    return places, [LENGTHS.index(length) + 1 for length in lengths]


def found(layout: FrameLayout) -> tuple[list[int], list[int]]:
    """The same of a layout."""
    return layout.bodies.tolist(), layout.kinds.tolist()


@pytest.mark.parametrize("filler", ["zeros", "noise", "traps"])
@pytest.mark.parametrize("weights", [(1, 1, 1, 1, 1), (1, 0, 2, 1, 96), (1, 0, 0, 0, 0), (9, 1, 0, 0, 0)])
@pytest.mark.parametrize("count", [1, 5, 128, 129, 500, 3000])
def test_every_place_is_found(count: int, weights: Sequence[float], filler: str) -> None:
    """Frames of every size and mix, with bodies made to mislead, have the layout they were made with."""
    lengths = drawn(count, weights, count)
    layout = frame_layout(frame_of(lengths, filler), count)
    assert found(layout) == plain(lengths)
    assert layout[2:] == (0, 0, 0)


@pytest.mark.parametrize("way", ["_by_short_walk", "_by_runs", "_by_lanes"])
@pytest.mark.parametrize("filler", ["noise", "traps"])
def test_a_fast_way_is_right_or_gives_up(way: str, filler: str) -> None:
    """Whole, cut, lengthened and altered frames: each way by itself gives the plain layout or none at all."""
    fast: Callable[[bytes, int], FrameLayout | None] = getattr(module, way)
    random = Random(17)  # noqa: S311 - test data
    answers = 0
    for number in range(60):
        lengths = drawn(random.choice((130, 300, 700)), (1, 1, 1, 1, random.choice((1, 60))), number)
        if number % 4 == 0:
            lengths.sort()
        payload = frame_of(lengths, filler, number)
        if number % 3 == 0:
            at = random.randrange(2, len(payload))
            payload = payload[:at] + random.randbytes(2) + payload[at + random.choice((1, 2, 3)) :]
        expected = module._by_walk(payload, len(lengths))
        got = fast(payload, len(lengths))
        if got is not None:
            answers += 1
            assert found(got) == found(expected)
            assert got[2:] == expected[2:]
    assert answers > 5


@pytest.mark.parametrize("odd", [0, 1, 12, 40, 185, 0x01B8])
def test_a_length_nobody_knows_in_a_large_frame_is_one_unknown_packet(odd: int) -> None:
    """Whatever its length, exactly that packet is missing from the layout."""
    lengths = drawn(700, (1, 1, 1, 1, 6), 3)
    random = Random(4)  # noqa: S311 - test data
    parts = [struct.pack(">H", length) + body(random, length, "noise") for length in lengths]
    parts[350] = struct.pack(">H", odd) + bytes(odd)
    layout = frame_layout(struct.pack(">H", 700) + b"".join(parts), 700)
    assert layout.kinds.tolist() == [kind for place, kind in enumerate(plain(lengths)[1]) if place != 350]
    assert (layout.unknown, layout.missing, layout.excess) == (1, 0, 0)


def steps_of(work: Callable[[], object]) -> int:
    """Instructions of the interpreter that some work takes, numpy's own not counted."""
    steps = 0

    def trace(frame: FrameType, event: str, arg: object) -> TraceFunction:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


@pytest.mark.parametrize("weights", [(1, 0, 1, 1, 7), (1, 0, 1, 1, 97), (1, 1, 1, 1, 1), (0, 0, 0, 0, 1)])
def test_a_large_frame_takes_less_than_two_steps_a_packet(weights: Sequence[float]) -> None:
    """No loop of the interpreter runs over the packets, whatever the frame mixes: one turn of a loop is many steps."""
    lengths = drawn(3000, weights, 5)
    payload = frame_of(lengths)
    assert steps_of(lambda: decode_frame(payload)) < 2 * len(lengths)
    assert steps_of(lambda: module._by_walk(payload, len(lengths))) > 20 * len(lengths), "the count counts"
    assert decode_frame(payload).kinds.tolist() == plain(lengths)[1]
