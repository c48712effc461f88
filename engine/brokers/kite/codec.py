"""Kite's binary frames to columns of words, purely.

A frame is a count, then for each packet its length and its body, all big-endian. ``decode_frame`` gives the packets
as the rows of one array of native unsigned words in the common layout of ``packets``; nothing is looked up, nothing
kept.

Invariants: every row had exactly the length of its kind and lay wholly inside the frame; whatever else the frame held
is counted in its ``damage``, never guessed and never fatal. Words that a kind does not carry are 0. Quantities,
volume and open interest are unsigned. Rows are in the order of the frame.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.packets import (
    BODY_BYTES,
    CARRIES,
    EXCHANGE_TIME,
    INDEX_TIME_WORD,
    INDEX_WORDS,
    WORDS,
    PacketKind,
)

Words: TypeAlias = npt.NDArray[np.uint32]
Kinds: TypeAlias = npt.NDArray[np.intp]

_WIRE = np.dtype(">u4")
_NATIVE = np.dtype(np.uint32)
_BODY_MAX = np.dtype("V184")
_COUNT_BYTES = 2
_LENGTH_BYTES = 2
_HEAD_BYTES = _COUNT_BYTES + _LENGTH_BYTES
_WORD_BYTES = 4
_COUNT_MAX = 1 << 16
_FULL_BYTES = _BODY_MAX.itemsize
_FULL_STRIDE = _FULL_BYTES + _LENGTH_BYTES
_FULL_STRIDES = (_FULL_STRIDE, _WORD_BYTES)
_PADDING = bytes(_FULL_BYTES)


def _constant_kinds() -> Kinds:
    kinds = np.full(_COUNT_MAX, PacketKind.FULL, np.intp)
    kinds.flags.writeable = False
    return kinds


def _kinds_by_length() -> Kinds:
    table = np.zeros(_COUNT_MAX, np.intp)
    for length, kind in BODY_BYTES.items():
        table[length] = kind
    return table


def _masks() -> npt.NDArray[np.void]:
    return np.where(CARRIES, np.uint32(0xFFFFFFFF), np.uint32(0)).astype(np.uint32).view(_BODY_MAX).reshape(-1)


def _index_sources() -> npt.NDArray[np.intp]:
    """For each common word, which word of an index packet it is; words it lacks are masked afterwards."""
    sources = np.zeros(WORDS, np.intp)
    sources[list(INDEX_WORDS)] = range(len(INDEX_WORDS))
    sources[EXCHANGE_TIME] = INDEX_TIME_WORD
    return sources


_FEW = 4
"""Up to this many packets a loop over them is cheaper than the fixed cost of whole-array operations."""
_INDEX_QUOTE_WORDS: Final = np.array(INDEX_WORDS)
_INDEX_FULL_WORDS: Final = np.array([*INDEX_WORDS, EXCHANGE_TIME])
_INDEX_FULL_SOURCES: Final = np.array([*range(len(INDEX_WORDS)), INDEX_TIME_WORD])
_ALL_FULL: Final = _constant_kinds()
_KIND_OF_LENGTH: Final = _kinds_by_length()
_MASKS: Final = _masks()
_INDEX_SOURCES: Final = _index_sources()


class Frame:
    """One decoded frame.

    Attributes:
        words: Shape (packets, 46), native unsigned 32-bit, common layout.
        kinds: ``PacketKind`` of each row.
        is_full: Every row is a full packet.
        unknown: Packets of a length no kind has; skipped.
        missing: Packets that were announced and are not, or not wholly, there.
        excess: Bytes behind the last announced packet.
    """

    __slots__ = ("excess", "is_full", "kinds", "missing", "unknown", "words")

    def __init__(
        self, words: Words, kinds: Kinds, is_full: bool, *, unknown: int = 0, missing: int = 0, excess: int = 0
    ) -> None:
        self.words = words
        self.kinds = kinds
        self.is_full = is_full
        self.unknown = unknown
        self.missing = missing
        self.excess = excess

    def __len__(self) -> int:
        """Packets that decoded."""
        return len(self.words)

    @property
    def damage(self) -> str:
        """What was wrong with the frame, one sentence; empty for a whole frame."""
        if not (self.unknown or self.missing or self.excess):
            return ""
        return (
            f"{self.unknown} packets of unknown length, {self.missing} missing or cut short, "
            f"{self.excess} bytes too many; {len(self)} packets are whole"
        )


def _nothing() -> Frame:
    return Frame(np.zeros((0, WORDS), np.uint32), _ALL_FULL[:0], is_full=True)


def decode_frame(frame: bytes) -> Frame:
    """Decode a binary message of the ticker; a heartbeat (one byte) and an empty frame give no rows.

    Never raises for any bytes: see ``Frame.damage``.
    """
    size = len(frame)
    if size < _COUNT_BYTES:
        return _nothing()
    count = frame[0] << 8 | frame[1]
    # Nearly every frame of a desk: full packets only. Both bytes of each length are compared, so that no packet of
    # another kind can hide in a frame of the right size.
    if (
        size == _COUNT_BYTES + _FULL_STRIDE * count
        and frame[3::_FULL_STRIDE].count(_FULL_BYTES) == count
        and frame[2::_FULL_STRIDE].count(0) == count
    ):
        if not count:
            return _nothing()
        wire: Words = np.ndarray((count, WORDS), _WIRE, frame, _HEAD_BYTES, _FULL_STRIDES)
        return Frame(wire.astype(_NATIVE), _ALL_FULL[:count], True)
    if count <= _FEW:
        few = _decode_few(frame, size, count)
        if few is not None:
            return few
    return _decode_mixed(frame, size, count)


def _decode_few(frame: bytes, size: int, count: int) -> Frame | None:
    """Decode a small whole frame packet by packet; ``None`` when it is not whole."""
    words = np.zeros((count, WORDS), _NATIVE)
    kinds = np.zeros(count, np.intp)
    offset = _COUNT_BYTES
    for index in range(count):
        body = offset + _LENGTH_BYTES
        if body > size:
            return None
        length = frame[offset] << 8 | frame[offset + 1]
        kind = BODY_BYTES.get(length)
        offset = body + length
        if kind is None or offset > size:
            return None
        packet = np.frombuffer(frame, _WIRE, length // _WORD_BYTES, body)
        kinds[index] = kind
        if kind is PacketKind.INDEX_FULL:
            words[index, _INDEX_FULL_WORDS] = packet[_INDEX_FULL_SOURCES]
        elif kind is PacketKind.INDEX_QUOTE:
            words[index, _INDEX_QUOTE_WORDS] = packet[: len(INDEX_WORDS)]
        else:
            words[index, : len(packet)] = packet
    return Frame(words, kinds, False) if offset == size else None


def _decode_mixed(frame: bytes, size: int, count: int) -> Frame:
    """Walk the lengths, copy as many bytes as the longest body has from each start, and blank what is not its own."""
    offsets, missing, end = _walk(frame, size, count)
    starts = np.fromiter(offsets, np.intp, len(offsets))
    raw = np.frombuffer(frame, np.uint8)
    lengths = raw[starts + 1] | raw[starts].astype(np.intp) << 8
    kinds = _KIND_OF_LENGTH[lengths]
    unknown = 0
    if not kinds.all():
        known = kinds != PacketKind.NONE
        unknown = len(kinds) - int(known.sum())
        starts, kinds = starts[known], kinds[known]
    # Every byte of the padded frame seen as the start of a body: taking items copies whole bodies, one memcpy each.
    bodies: npt.NDArray[np.void] = np.ndarray((size,), _BODY_MAX, frame + _PADDING, 0, (1,))
    words = bodies[starts + _LENGTH_BYTES].view(_WIRE).reshape(len(starts), WORDS).astype(_NATIVE)
    indices = np.flatnonzero((kinds == PacketKind.INDEX_QUOTE) | (kinds == PacketKind.INDEX_FULL))
    if len(indices):
        words[indices] = words[indices][:, _INDEX_SOURCES]
    words &= _MASKS[kinds].view(_NATIVE).reshape(len(starts), WORDS)
    return Frame(words, kinds, False, unknown=unknown, missing=missing, excess=0 if missing else size - end)


def _walk(frame: bytes, size: int, count: int) -> tuple[list[int], int, int]:
    """Find where each packet's length stands.

    Returns:
        The offsets of whole packets, how many are missing, and the offset behind the last.
    """
    offsets = [0] * count
    offset, index = _COUNT_BYTES, 0
    try:
        for index in range(count):
            offsets[index] = offset
            offset += (frame[offset] << 8 | frame[offset + 1]) + _LENGTH_BYTES
    except IndexError:
        # A length of which not even both bytes are there; the packet before it may be cut short as well.
        del offsets[index:]
    if offsets and offset > size:
        whole = [at for at in offsets if at + _LENGTH_BYTES + (frame[at] << 8 | frame[at + 1]) <= size]
        return whole, count - len(whole), size
    return offsets, count - len(offsets), offset
