"""Reads the binary frames of a real feed, and keeps the newest packet of every instrument.

Written anew from the protocol's description: the desk's own decoder is never used here, because a mistake in both
would cancel out. Invariant: the board holds what the newest packet of an instrument says and nothing else; a packet of
a shorter mode leaves the day's figures it does not mention and takes away the order book, which is no longer known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.practice.noise import IntArray
from engine.practice.packets import INDEX_LENGTHS, TRADABLE_LENGTHS, count_prefix

_COUNT_BYTES, _HEAD_BYTES = 2, 2
_TOKEN_BYTES = 4
INDEX_SEGMENT = 9
"""The last byte of an index's token."""
_SEGMENT_MASK = 0xFF
_LEVELS = 10
_BOOK_BEGIN = 64
_FIRST_CAPACITY = 1024
_NEW_SLOT = -1

ByteRows = NDArray[np.uint8]

_LEVEL = np.dtype([("quantity", ">u4"), ("price", ">u4"), ("orders", ">u2"), ("pad", ">u2")])
TRADABLE = np.dtype(
    [
        *((name, ">u4") for name in ("token", "last", "last_quantity", "average", "volume")),
        *((name, ">u4") for name in ("total_buy", "total_sell", "open", "high", "low", "close")),
        *((name, ">u4") for name in ("last_time", "open_interest", "open_interest_high", "open_interest_low")),
        ("stamp", ">u4"),
        ("depth", _LEVEL, (_LEVELS,)),
    ]
)
INDEX = np.dtype(
    [
        *((name, ">u4") for name in ("token", "last", "high", "low", "open", "close")),
        ("change", ">i4"),
        ("stamp", ">u4"),
    ]
)
PACKET_BYTES = TRADABLE.itemsize


class PacketRun(NamedTuple):
    """Packets of one length that follow each other in a frame."""

    length: int
    rows: ByteRows
    """One row per packet: its two bytes of length, then its content."""


def read_runs(frame: bytes) -> tuple[list[PacketRun], bool]:
    """Return a frame's packets in runs of equal length, and whether all that it promises is there.

    What a damaged frame still holds whole is returned.
    """
    if len(frame) < _COUNT_BYTES:
        return [], True
    left, offset = int.from_bytes(frame[:_COUNT_BYTES], "big"), _COUNT_BYTES
    runs: list[PacketRun] = []
    while left:
        stride = int.from_bytes(frame[offset : offset + _HEAD_BYTES], "big") + _HEAD_BYTES
        most = min(left, (len(frame) - offset) // stride)
        if len(frame) - offset < _HEAD_BYTES or not most:
            return runs, False
        view = np.frombuffer(frame, np.uint8, most * stride, offset).reshape(most, stride)
        # Each packet that has the same head makes the place of the next head sure; the first other one ends the run.
        same = (view[:, 0] == view[0, 0]) & (view[:, 1] == view[0, 1])
        count = most if same.all() else int(same.argmin())
        runs.append(PacketRun(stride - _HEAD_BYTES, view[:count]))
        left -= count
        offset += count * stride
    return runs, True


def wanted_bytes(token: int, mode: str) -> int:
    """Return how long a packet of an instrument is in a mode."""
    is_index = token & _SEGMENT_MASK == INDEX_SEGMENT
    return (INDEX_LENGTHS if is_index else TRADABLE_LENGTHS)[mode]


class PacketBoard:
    """The newest packet of every instrument, by slot; a slot belongs to a token for good."""

    def __init__(self) -> None:
        self._raw: ByteRows = np.zeros((_FIRST_CAPACITY, PACKET_BYTES), dtype=np.uint8)
        self._tokens: IntArray = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._lengths: IntArray = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._is_index = np.zeros(_FIRST_CAPACITY, dtype=np.bool_)
        self._slot_of: dict[int, int] = {}
        self._sorted: IntArray = np.zeros(0, dtype=np.int64)
        self._sorted_slots: IntArray = np.zeros(0, dtype=np.int64)
        self._is_changed = np.zeros(_FIRST_CAPACITY, dtype=np.bool_)
        self.unreadable = 0
        """Frames that did not hold what they promised, and packets of a length nobody knows."""

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def tokens(self) -> IntArray:
        """Token of each slot."""
        return self._tokens[: len(self)]

    def slots(self, tokens: Iterable[int]) -> IntArray:
        """Return the slots of instruments, making those that are new."""
        return self._find(np.fromiter(tokens, dtype=np.int64))

    def apply(self, runs: Iterable[PacketRun]) -> list[IntArray]:
        """Keep a frame's packets as the newest of their instruments; return the slots of each run."""
        found = []
        for run in runs:
            if run.length < _TOKEN_BYTES:
                self.unreadable += 1
                found.append(np.full(len(run.rows), _NEW_SLOT, dtype=np.int64))
                continue
            head = run.rows[:, _HEAD_BYTES : _HEAD_BYTES + _TOKEN_BYTES]
            slots = self._find(np.ascontiguousarray(head).view(">u4").ravel().astype(np.int64))
            self._keep(run, slots)
            found.append(slots)
        return found

    def forget(self) -> None:
        """Drop every packet; the slots stay with their tokens."""
        self._raw[:] = 0
        self._lengths[:] = 0
        self._is_changed[:] = False

    def take_changed(self) -> IntArray:
        """Return the slots that have a newer packet than at the last call, each once."""
        changed = np.flatnonzero(self._is_changed)
        self._is_changed[changed] = False
        return changed

    def lengths(self, slots: IntArray) -> IntArray:
        """Return how long the newest packets are; 0 where there is none."""
        return self._lengths[slots]

    def is_index(self, slots: IntArray) -> NDArray[np.bool_]:
        """Tell which slots are indices."""
        return self._is_index[slots]

    def tradable_rows(self, slots: IntArray) -> NDArray[np.void]:
        """Return the newest packets of tradable instruments as records."""
        return self._raw[slots].view(TRADABLE).ravel()

    def index_rows(self, slots: IntArray) -> NDArray[np.void]:
        """Return the newest packets of indices as records."""
        return np.ascontiguousarray(self._raw[slots, : INDEX.itemsize]).view(INDEX).ravel()

    def newest(self, slots: IntArray, widths: IntArray) -> bytes:
        """Return one frame with the newest packets of some slots, none longer than wanted; empty when there is none."""
        parts = []
        for slot, width in zip(slots.tolist(), widths.tolist(), strict=True):
            length = min(int(self._lengths[slot]), width)
            if length:
                parts.append(length.to_bytes(_HEAD_BYTES, "big") + self._raw[slot, :length].tobytes())
        return count_prefix(len(parts)) + b"".join(parts) if parts else b""

    def _keep(self, run: PacketRun, slots: IntArray) -> None:
        is_index = self._is_index[slots]
        for kind, allowed, size in ((True, INDEX_LENGTHS, INDEX.itemsize), (False, TRADABLE_LENGTHS, PACKET_BYTES)):
            mine = is_index == kind
            if not mine.any():
                continue
            if run.length not in allowed.values():
                self.unreadable += int(mine.sum())
                continue
            chosen = slots[mine]
            self._raw[chosen, : run.length] = run.rows[mine, _HEAD_BYTES:]
            if run.length < size and not kind:
                self._raw[chosen, _BOOK_BEGIN:] = 0
            self._lengths[chosen] = run.length
            self._is_changed[chosen] = True

    def _find(self, tokens: IntArray) -> IntArray:
        if self._sorted.size:
            places = np.minimum(np.searchsorted(self._sorted, tokens), self._sorted.size - 1)
            if (self._sorted[places] == tokens).all():
                return self._sorted_slots[places]
        for token in tokens.tolist():
            if token not in self._slot_of:
                self._add(token)
        self._sorted = np.sort(self.tokens)
        self._sorted_slots = np.argsort(self.tokens, kind="stable")
        return self._sorted_slots[np.searchsorted(self._sorted, tokens)]

    def _add(self, token: int) -> None:
        slot = len(self._slot_of)
        if slot == len(self._tokens):
            self._raw = np.concatenate([self._raw, np.zeros_like(self._raw)])
            self._tokens = np.concatenate([self._tokens, np.zeros_like(self._tokens)])
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
            self._is_index = np.concatenate([self._is_index, np.zeros_like(self._is_index)])
            self._is_changed = np.concatenate([self._is_changed, np.zeros_like(self._is_changed)])
        self._slot_of[token] = slot
        self._tokens[slot] = token
        self._is_index[slot] = token & _SEGMENT_MASK == INDEX_SEGMENT


def cut_frame(run: PacketRun, chosen: IntArray, widths: IntArray) -> list[bytes]:
    """Return some packets of a run in their order, each cut to the width that is wanted of it.

    Args:
        run: Packets of one length.
        chosen: Their places in the run.
        widths: The longest wanted content of each chosen one (bytes).
    """
    parts = []
    for place, width in zip(chosen.tolist(), widths.tolist(), strict=True):
        length = min(run.length, width)
        parts.append(
            length.to_bytes(_HEAD_BYTES, "big") + run.rows[place, _HEAD_BYTES : _HEAD_BYTES + length].tobytes()
        )
    return parts
