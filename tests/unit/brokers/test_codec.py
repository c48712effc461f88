"""The frame codec on frames that are wrong, odd or large."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.kite import packets
from engine.brokers.kite.codec import Frame, decode_frame
from engine.brokers.kite.packets import BODY_BYTES, PacketKind

TOKEN = 3_840_002
INDEX = 256_265
INDEX_LENGTHS = (28, 32)
TWICE = 2


def packet(length: int, token: int = TOKEN, fill: int = 7) -> bytes:
    """A length and a body of ``length`` bytes."""
    return struct.pack(">H", length) + (struct.pack(">I", token) + struct.pack(">I", fill) * 200)[:length]


def frame_of(*parts: bytes, count: int | None = None) -> bytes:
    """A frame of packets; ``count`` may lie."""
    return struct.pack(">H", len(parts) if count is None else count) + b"".join(parts)


def walk_plainly(payload: bytes) -> list[bytes]:
    """Bodies of known length that lie wholly inside the frame, by the plainest reading of the format."""
    if len(payload) < 2:
        return []
    bodies, offset = [], 2
    for _ in range(int.from_bytes(payload[:2])):
        if offset + 2 > len(payload):
            break
        length = int.from_bytes(payload[offset : offset + 2])
        body = payload[offset + 2 : offset + 2 + length]
        if len(body) < length:
            break
        if length in BODY_BYTES and fits(length, body):
            bodies.append(body)
        offset += 2 + length
    return bodies


def fits(length: int, body: bytes) -> bool:
    """Whether the token's segment has packets of that length."""
    return length == 8 or (length in INDEX_LENGTHS) == (body[3] == 9)


def first_words(frame: Frame) -> list[tuple[int, int]]:
    """Token and last price of each row."""
    return [(row[0], row[1]) for row in frame.words.tolist()]


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x00"])
def test_heartbeats_and_empty_frames_hold_nothing(payload: bytes) -> None:
    """A heartbeat byte and a frame of no packets are whole and empty."""
    frame = decode_frame(payload)
    assert (len(frame), frame.damage) == (0, "")


@pytest.mark.parametrize("count", [1, 3, 6, 40])
def test_a_truncated_frame_keeps_whole_packets_and_counts_the_rest(count: int) -> None:
    """Cutting a frame anywhere in its last packet loses that packet alone, and says so."""
    whole = frame_of(*(packet(184, TOKEN + 256 * index) for index in range(count)))
    for cut in (1, 50, 183, 184, 185):
        frame = decode_frame(whole[:-cut])
        assert (len(frame), frame.missing) == (count - 1, 1)
        assert frame.damage


def test_a_full_frame_size_with_another_length_inside_is_not_taken_for_full() -> None:
    """A frame of the size of full packets whose lengths say otherwise is walked, not assumed."""
    odd = frame_of(packet(180, fill=1), packet(188, fill=2), *(packet(184) for _ in range(6)))
    frame = decode_frame(odd)
    assert (len(frame), frame.unknown) == (6, 2)


def test_zeros_where_full_packets_would_have_their_lengths_deceive_nobody() -> None:
    """Packets of 182 and 186 zeros fill a frame as two full ones would, and are not taken for them."""
    frame = decode_frame(frame_of(b"\x00\xb6" + bytes(182), b"\x00\xba" + bytes(186)))
    assert (len(frame), frame.unknown) == (0, 2)


def test_the_high_byte_of_a_length_counts() -> None:
    """A packet of 0x01B8 bytes with full-looking low bytes is not taken for three full packets."""
    body = bytearray(0x01B8)
    body[185] = body[371] = 184
    payload = frame_of(b"\x01\xb8" + bytes(body), b"\x00\x38" + bytes(56), b"\x00\x38" + bytes(56))
    assert len(payload) == 2 + 3 * 186
    frame = decode_frame(payload)
    assert (len(frame), frame.unknown) == (0, 3)


def test_bytes_behind_the_last_packet_are_reported() -> None:
    """Excess bytes damage the frame's record, not its packets."""
    for size in (1, 7, 300):
        frame = decode_frame(frame_of(packet(184)) + bytes(size))
        assert (len(frame), frame.excess) == (1, size)


def test_quantities_are_unsigned() -> None:
    """A volume beyond two thousand million comes out as it is, never negative."""
    body = struct.pack(">46I", TOKEN, *([4_000_000_000] * 45))
    for copies in (1, 9):
        frame = decode_frame(frame_of(*([struct.pack(">H", 184) + body] * copies)))
        assert frame.words[0, packets.VOLUME] == 4_000_000_000


def test_rows_keep_the_order_of_the_frame() -> None:
    """Of two packets about one token, of whatever kinds, the later one is the later row."""
    payload = frame_of(packet(184, fill=1), packet(8, fill=2), packet(44, fill=3), *[packet(184, 512, 9)] * 5)
    assert first_words(decode_frame(payload))[:3] == [(TOKEN, 1), (TOKEN, 2), (TOKEN, 3)]


@given(st.binary(max_size=700))
def test_arbitrary_bytes_never_crash_and_never_invent_a_row(payload: bytes) -> None:
    """For any bytes, the rows are exactly the whole packets that the plainest reading finds."""
    frame = decode_frame(payload)
    bodies = walk_plainly(payload)
    assert [BODY_BYTES[len(body)] for body in bodies] == [PacketKind(kind) for kind in frame.kinds]
    assert first_words(frame) == [struct.unpack_from(">2I", body) for body in bodies]
    announced = int.from_bytes(payload[:2]) if len(payload) >= 2 else 0
    assert frame.unknown + frame.missing + frame.implausible + len(frame) == announced


@given(
    st.lists(st.tuples(st.sampled_from([8, 12, 28, 32, 44, 184, 185]), st.integers(0, 2**32 - 1)), max_size=30),
    st.integers(-40, 40),
    st.integers(-2, 2),
)
def test_damaged_frames_never_invent_a_row(parts: list[tuple[int, int]], cut: int, lie: int) -> None:
    """Frames cut, lengthened or with a false count give what is whole in them, and nothing else."""
    payload = frame_of(*(packet(length, token) for length, token in parts), count=max(0, len(parts) + lie))
    payload = payload[:cut] if cut < 0 else payload + bytes(cut)
    frame = decode_frame(payload)
    bodies = walk_plainly(payload)
    assert first_words(frame) == [struct.unpack_from(">2I", body) for body in bodies]
    for row, body in zip(frame.words, bodies, strict=True):
        if len(body) == 184:
            assert np.array_equal(row, np.frombuffer(body, ">u4"))


@given(st.lists(st.sampled_from([8, 28, 32, 44, 184]), min_size=1, max_size=4), st.data())
def test_small_and_large_frames_decode_alike(lengths: list[int], data: st.DataObject) -> None:
    """The paths for few and for many packets give the same rows."""
    drawn = [data.draw(st.binary(min_size=length, max_size=length)) for length in lengths]
    bodies = [body[:3] + bytes([9 if len(body) in INDEX_LENGTHS else 2]) + body[4:] for body in drawn]
    parts = [struct.pack(">H", len(body)) + body for body in bodies]
    few = decode_frame(frame_of(*parts))
    many = decode_frame(frame_of(*parts, *[packet(8)] * 10))
    assert np.array_equal(few.words, many.words[: len(parts)])
    assert np.array_equal(few.kinds, many.kinds[: len(parts)])


@pytest.mark.parametrize("crowd", [0, 40, 300])
@pytest.mark.parametrize(
    ("length", "token"), [(184, INDEX), (44, INDEX), (28, TOKEN), (32, TOKEN)], ids=["full", "quote", "28", "32"]
)
def test_a_kind_that_the_segment_does_not_have_is_believed_in_neither(length: int, token: int, crowd: int) -> None:
    """An index with a book and an option with an index's prices are counted and give no row, in frames of any size."""
    good = [packet((184, 8, 44)[place % 3], TOKEN + 256 * (place + 1)) for place in range(crowd)]
    frame = decode_frame(frame_of(*good, packet(length, token)))
    assert (len(frame), frame.implausible, frame.unknown, frame.missing) == (crowd, 1, 0, 0)
    assert token not in frame.words[:, packets.TOKEN]
    assert "of a kind their segment does not have" in frame.damage


def test_full_packets_alone_are_held_to_their_segment_too() -> None:
    """One index among nothing but full packets does not slip through the fast way."""
    frame = decode_frame(frame_of(*(packet(184, TOKEN + 256 * place) for place in range(60)), packet(184, INDEX)))
    assert (len(frame), frame.implausible) == (60, 1)


@pytest.mark.parametrize("token", [TOKEN, INDEX])
def test_a_last_price_suits_every_segment(token: int) -> None:
    """Packets of eight bytes come for indices as for all others."""
    assert first_words(decode_frame(frame_of(packet(8, token)))) == [(token, 7)]
