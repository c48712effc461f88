"""The frame decoder against a plain reader of the format, on frames and on bytes that Hypothesis makes up."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from tests.fuzz.codec import LENGTHS, ODD_LENGTHS, frame_of, target

SEGMENTS = st.sampled_from((1, 2, 3, 4, 5, 6, 7, 9, 12, 0, 255))
WORDS = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from((0, 8, 184, 8 << 16, 184 << 16, 2**31, 2**32 - 1)))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body of a known or, now and then, of another length."""
    length: int = draw(st.sampled_from(LENGTHS * 4 + ODD_LENGTHS))
    token: int = draw(st.integers(0, 2**24 - 1)) << 8 | draw(SEGMENTS)
    words: list[int] = draw(st.lists(WORDS, min_size=1, max_size=6))
    rest = b"".join(word.to_bytes(4) for word in words)
    whole: bytes = token.to_bytes(4) + rest * (length // len(rest) + 1)
    return whole[:length]


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame, sometimes long, sometimes cut, lengthened or with a false count."""
    some = draw(st.lists(bodies(), min_size=1, max_size=8))
    parts = some * draw(st.sampled_from((1, 1, 1, 20, 60)))
    payload = frame_of(parts, len(parts) + draw(st.sampled_from((0, 0, 0, 0, -1, 1, 9))))
    cut = draw(st.sampled_from((0, 0, 0, 1, 2, 7, 190)))
    return payload[: len(payload) - cut] + bytes(draw(st.sampled_from((0, 0, 0, 1, 2, 188))))


@given(st.binary(max_size=900))
@example(b"\x00\x02" + b"\x00\xb8" + bytes(184) + b"\x00\xb8")
def test_any_bytes_decode_to_what_the_plain_reader_finds(payload: bytes) -> None:
    """No bytes crash the decoder; rows, kinds, damage and the board are those of the plain reading, bit by bit."""
    target(payload)


@given(frames())
def test_frames_right_and_wrong_decode_to_what_the_plain_reader_finds(payload: bytes) -> None:
    """The same for what looks like frames: every mix of kinds and segments, every way to be damaged."""
    target(payload)
