"""The exchange's own memory: one append-only file of framed records, replayed at start.

Invariant: what was answered as accepted is on the disk before the answer leaves. A frame is ``length, CRC-32,
JSON list of records``; what belongs together (a fill and the order it fills) is one frame and so is whole or
absent. A torn tail (the process died while writing) is cut off with a note, because nothing in it was ever
answered.
"""

from __future__ import annotations

import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engine.practice.orders import Order, Trade
from engine.practice.standing import AlertRecord, HoldingsRecord, TriggerRecord

_log = logging.getLogger(__name__)
_FRAME = struct.Struct(">II")
_LONGEST = 1 << 24
_MODE = 0o600


class BookError(RuntimeError):
    """The book cannot be used; the message says why and what to do."""


class VenueRecord(msgspec.Struct, frozen=True, tag="venue"):
    """Which venue the book belongs to, and where its market time began."""

    seed: int
    source: str
    start: float


class ClockRecord(msgspec.Struct, frozen=True, tag="clock"):
    """Market time when it was written (epoch seconds)."""

    moment: float


class OrderRecord(msgspec.Struct, frozen=True, tag="order"):
    """An order after a change of its state; the sequence of these is its history."""

    moment: float
    order: Order


class TradeRecord(msgspec.Struct, frozen=True, tag="trade"):
    """A fill."""

    trade: Trade


class ConversionRecord(msgspec.Struct, frozen=True, tag="conversion"):
    """Units of a position that change their product; ``carried`` says whether they were held overnight."""

    moment: float
    exchange: str
    symbol: str
    token: int
    side: str
    quantity: int
    carried: bool
    old_product: str
    new_product: str


class PostRecord(msgspec.Struct, frozen=True, tag="post"):
    """An order request that reached the exchange, whatever became of it."""

    count: int
    tag_text: str


class Carried(msgspec.Struct, frozen=True):
    """A position carried into a day: signed units, average in rupees, previous close in paise."""

    exchange: str
    symbol: str
    token: int
    product: str
    quantity: int
    average: float
    close: int


class DayRecord(msgspec.Struct, frozen=True, tag="day"):
    """The opening of a session: what is carried into it, and the cash it starts with (rupees)."""

    day: str
    moment: float
    opening_cash: float
    carried: tuple[Carried, ...]
    next_order: int
    next_trade: int
    posts: int
    tags: dict[str, int]


Record = (
    VenueRecord
    | ClockRecord
    | OrderRecord
    | TradeRecord
    | ConversionRecord
    | PostRecord
    | DayRecord
    | TriggerRecord
    | AlertRecord
    | HoldingsRecord
)


class Book:
    """The append-only file of one venue.

    Args:
        path: The file; created when absent, with its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._encoder = msgspec.json.Encoder()
        self.truncated = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)

    def replay(self) -> list[Record]:
        """Read every whole frame, cut off a torn tail, and return the records, oldest first."""
        content = self._path.read_bytes()
        records: list[Record] = []
        good = 0
        decoder = msgspec.json.Decoder(list[Record])
        for end, payload in _frames(content):
            try:
                records.extend(decoder.decode(payload))
            except msgspec.DecodeError as error:
                raise BookError(
                    f"{self._path}: a whole frame at byte {good} cannot be read ({error}); the file is of another "
                    "version or was edited. Move it away to start an empty book."
                ) from error
            good = end
        if good < len(content):
            if not _is_torn_tail(content[good:]):
                raise BookError(
                    f"{self._path}: what stands at byte {good} is no unfinished frame; it was damaged or is not a "
                    "book. Nothing was changed: move it away to start an empty book."
                )
            self.truncated = len(content) - good
            _log.warning("%s: %d bytes of an unfinished frame were cut off", self._path, self.truncated)
            os.ftruncate(self._file, good)
            os.fsync(self._file)
        return records

    def append(self, records: Sequence[Record], *, durable: bool) -> None:
        """Write records as one frame; with ``durable`` they are on the disk when this returns."""
        if records:
            self._write(self._file, records)
        if durable:
            os.fsync(self._file)

    def compact(self, records: Sequence[Record]) -> None:
        """Replace the whole content, atomically and durably (what older days held is no longer asked for)."""
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, _MODE)
        try:
            self._write(descriptor, records)
            os.fsync(descriptor)
            fresh.replace(self._path)
            _sync_folder(self._path.parent)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._file)
        self._file = descriptor

    def close(self) -> None:
        """Flush and close the file."""
        os.fsync(self._file)
        os.close(self._file)

    def _write(self, descriptor: int, records: Sequence[Record]) -> None:
        payload = self._encoder.encode(records)
        view = memoryview(_FRAME.pack(len(payload), zlib.crc32(payload)) + payload)
        while view:
            view = view[os.write(descriptor, view) :]


def _frames(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (end offset, payload) of each whole frame, stopping at the first that is not."""
    offset = 0
    while offset + _FRAME.size <= len(content):
        length, checksum = _FRAME.unpack_from(content, offset)
        start, end = offset + _FRAME.size, offset + _FRAME.size + length
        if length > _LONGEST or end > len(content):
            return
        payload = content[start:end]
        if zlib.crc32(payload) != checksum:
            return
        yield end, payload
        offset = end


def _is_torn_tail(rest: bytes) -> bool:
    """Whether these bytes can be what a process left that died while it wrote its last frame."""
    if len(rest) < _FRAME.size:
        return True
    length, _ = _FRAME.unpack_from(rest)
    return int(length) <= _LONGEST and len(rest) <= _FRAME.size + int(length)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
