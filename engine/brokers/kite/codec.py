"""Kite's binary frames to columns of words, purely.

A frame is a count, then for each packet its length and its body, all big-endian. ``decode_frame`` gives the packets
as the rows of one array of native unsigned words in the common layout of ``packets``; nothing is looked up, nothing
kept.

Invariants: every row had exactly the length of its kind, lay wholly inside the frame, and is of a kind that its
token's segment has; whatever else the frame held is counted in its ``damage``, never guessed and never fatal. Words
that a kind does not carry are 0. Quantities, volume and open interest are unsigned. Rows are in the order of the frame.

What the words say is not judged here: prices outside the day's range and odd times happen in honest packets.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.brokers.kite.frame_layout import COUNT_BYTES, LENGTH_BYTES, Kinds, frame_layout
from engine.brokers.kite.packets import (
    BODY_BYTES,
    EXCHANGE_TIME,
    FITS,
    INDEX_TIME_WORD,
    INDEX_WORDS,
    SEGMENT_INDICES,
    SEGMENT_MASK,
    SEGMENTS,
    TOKEN,
    WORDS,
    PacketKind,
)

Words: TypeAlias = npt.NDArray[np.uint32]

_WIRE = np.dtype(">u4")
_NATIVE = np.dtype(np.uint32)
_BODY_MAX = np.dtype("V184")
_WORD_BYTES = 4
_HEAD_BYTES = COUNT_BYTES + LENGTH_BYTES
_FULL_BYTES = _BODY_MAX.itemsize
_FULL_STRIDE = _FULL_BYTES + LENGTH_BYTES
_FULL_STRIDES = (_FULL_STRIDE, _WORD_BYTES)
_SEGMENT_OFFSET = 3
"""Of a body, the byte that is the segment of its token."""
_SEGMENT_BYTE = _HEAD_BYTES + _SEGMENT_OFFSET
_ONE_FULL_HEAD = bytes((0, 1, 0, _FULL_BYTES))
_ONE_FULL_SIZE = COUNT_BYTES + _FULL_STRIDE
_COUNT_MAX = 1 << 16
_FEW = 4
"""Up to this many packets a loop over them is cheaper than the fixed cost of whole-array operations."""

_BLOCK = 512
"""Packets brought to columns at a time."""


def _constant_kinds() -> Kinds:
    kinds = np.full(_COUNT_MAX, PacketKind.FULL, np.intp)
    kinds.flags.writeable = False
    return kinds


def _wire_masks() -> npt.NDArray[np.void]:
    """For each kind the words that its body has, in the order of the wire."""
    masks = np.zeros((len(PacketKind), WORDS), np.uint32)
    for length, kind in BODY_BYTES.items():
        masks[kind, : length // _WORD_BYTES] = 0xFFFFFFFF
    return masks.view(_BODY_MAX).reshape(-1)


_INDEX_BLOCK_WORDS = EXCHANGE_TIME + 1
"""An index packet in the common layout has nothing behind its time."""
_INDEX_BLOCK = np.dtype((np.void, _INDEX_BLOCK_WORDS * _WORD_BYTES))


def _index_sources() -> npt.NDArray[np.intp]:
    """For each common word of an index packet, which word of the wire it is; the last one, masked to 0, for none."""
    sources = np.full(_INDEX_BLOCK_WORDS, _INDEX_BLOCK_WORDS - 1, np.intp)
    sources[list(INDEX_WORDS)] = range(len(INDEX_WORDS))
    sources[EXCHANGE_TIME] = INDEX_TIME_WORD
    return sources


_ALL_FULL: Final = _constant_kinds()
_MASKS: Final = _wire_masks()
_INDEX_SOURCES: Final = _index_sources()
_INDEX_FEW: Final = {
    PacketKind.INDEX_QUOTE: (np.arange(len(INDEX_WORDS)), np.array(INDEX_WORDS)),
    PacketKind.INDEX_FULL: (
        np.array([*range(len(INDEX_WORDS)), INDEX_TIME_WORD]),
        np.array([*INDEX_WORDS, EXCHANGE_TIME]),
    ),
}
"""Which words of the wire go to which common words."""
_IS_INDEX: Final = np.isin(np.arange(len(PacketKind)), (PacketKind.INDEX_QUOTE, PacketKind.INDEX_FULL))
_FITS: Final = FITS.reshape(-1)


class Frame:
    """One decoded frame.

    Attributes:
        words: Shape (packets, 46), native unsigned 32-bit, common layout.
        kinds: ``PacketKind`` of each row.
        is_full: Every row is a full packet.
        unknown: Packets of a length no kind has; skipped.
        missing: Packets that were announced and are not, or not wholly, there.
        excess: Bytes behind the last announced packet.
        implausible: Packets of a kind that their token's segment does not have (an index with a book, an option with
            an index's prices in an index's order): one of the two is wrong, so neither is believed.
    """

    __slots__ = ("excess", "implausible", "is_full", "kinds", "missing", "unknown", "words")

    def __init__(  # noqa: PLR0917 - made once per frame on the hottest path, where names cost
        self,
        words: Words,
        kinds: Kinds,
        is_full: bool,
        unknown: int = 0,
        missing: int = 0,
        excess: int = 0,
        implausible: int = 0,
    ) -> None:
        self.words = words
        self.kinds = kinds
        self.is_full = is_full
        self.unknown = unknown
        self.missing = missing
        self.excess = excess
        self.implausible = implausible

    def __len__(self) -> int:
        """Packets that decoded."""
        return len(self.words)

    @property
    def damage(self) -> str:
        """What was wrong with the frame, one sentence; empty for a whole frame."""
        if not (self.unknown or self.missing or self.excess or self.implausible):
            return ""
        return (
            f"{self.unknown} packets of unknown length, {self.missing} missing or cut short, "
            f"{self.implausible} of a kind their segment does not have, {self.excess} bytes too many; "
            f"{len(self)} packets are whole"
        )


def _nothing() -> Frame:
    return Frame(np.zeros((0, WORDS), np.uint32), _ALL_FULL[:0], is_full=True)


def decode_frame(frame: bytes) -> Frame:
    """Decode a binary message of the ticker; a heartbeat (one byte) and an empty frame give no rows.

    Never raises for any bytes: see ``Frame.damage``.
    """
    size = len(frame)
    if size == _ONE_FULL_SIZE and frame[:_HEAD_BYTES] == _ONE_FULL_HEAD and frame[_SEGMENT_BYTE] != SEGMENT_INDICES:
        one: Words = np.ndarray((1, WORDS), _WIRE, frame, _HEAD_BYTES)
        return Frame(one.astype(_NATIVE), _ALL_FULL[:1], True)
    if size < COUNT_BYTES:
        return _nothing()
    count = frame[0] << 8 | frame[1]
    # Nearly every frame of a desk: full packets only. Both bytes of each length are compared, so that no packet of
    # another kind can hide in a frame of the right size.
    if (
        size == COUNT_BYTES + _FULL_STRIDE * count
        and frame[3::_FULL_STRIDE].count(_FULL_BYTES) == count
        and frame[2::_FULL_STRIDE].count(0) == count
        and SEGMENT_INDICES not in frame[_SEGMENT_BYTE::_FULL_STRIDE]
    ):
        if not count:
            return _nothing()
        wire: Words = np.ndarray((count, WORDS), _WIRE, frame, _HEAD_BYTES, _FULL_STRIDES)
        return Frame(wire.astype(_NATIVE), _ALL_FULL[:count], True)
    if count <= _FEW:
        few = _decode_few(frame, count)
        if few is not None:
            return few
    return _decode_mixed(frame, count)


def _decode_few(frame: bytes, count: int) -> Frame | None:
    """Decode a small frame packet by packet; ``None`` when something is wrong with it."""
    words = np.zeros((count, WORDS), _NATIVE)
    kinds = np.zeros(count, np.intp)
    size, offset = len(frame), COUNT_BYTES
    for index in range(count):
        body = offset + LENGTH_BYTES
        if body > size:
            return None
        length = frame[offset] << 8 | frame[offset + 1]
        kind = BODY_BYTES.get(length)
        offset = body + length
        if kind is None or offset > size:
            return None
        is_index = frame[body + _SEGMENT_OFFSET] == SEGMENT_INDICES
        packet = np.frombuffer(frame, _WIRE, length // _WORD_BYTES, body)
        kinds[index] = kind
        if kind is PacketKind.INDEX_FULL or kind is PacketKind.INDEX_QUOTE:
            if not is_index:
                return None
            sources, places = _INDEX_FEW[kind]
            words[index, places] = packet[sources]
        elif is_index and kind is not PacketKind.LTP:
            return None
        else:
            words[index, : len(packet)] = packet
    return Frame(words, kinds, False) if offset == size else None


def _decode_mixed(frame: bytes, count: int) -> Frame:
    """Copy as many bytes as the longest body has from each body's place, and blank what is not its own."""
    places, kinds, unknown, missing, excess = frame_layout(frame, count)
    packets = len(places)
    words: Words = np.empty((packets, WORDS), _NATIVE)
    # In blocks that stay in the processor's cache, so that a large frame does not take large buffers from the system.
    for first in range(0, packets, _BLOCK):
        block = slice(first, first + _BLOCK)
        starts = places[block]
        begin, end = int(starts[0]), int(starts[-1]) + _FULL_BYTES
        part = frame[begin:end].ljust(end - begin, b"\x00")
        # Every byte seen as the start of a body: taking items copies whole bodies, one memcpy each.
        bodies: npt.NDArray[np.void] = np.ndarray((end - begin - _FULL_BYTES + 1,), _BODY_MAX, part, 0, (1,))
        native = bodies[starts - begin].view(_WIRE).astype(_NATIVE)
        masks = _MASKS.take(kinds[block]).view(_NATIVE)
        np.bitwise_and(native, masks, out=words[block].reshape(-1))
    indices = _IS_INDEX.take(kinds).nonzero()[0]
    if len(indices):
        blocks: npt.NDArray[np.void] = np.ndarray((packets,), _INDEX_BLOCK, words, 0, words.strides[:1])
        wire = blocks[indices].view(_NATIVE).reshape(len(indices), _INDEX_BLOCK_WORDS)
        blocks[indices] = wire.take(_INDEX_SOURCES, axis=1).view(_INDEX_BLOCK).reshape(-1)
    fits = _FITS.take(kinds * SEGMENTS + (words[:, TOKEN] & SEGMENT_MASK))
    implausible = fits.tobytes().count(0)
    if implausible:
        words, kinds = words[fits], kinds[fits]
    return Frame(words, kinds, False, unknown, missing, excess, implausible)
