"""Writes a tape: blocks into segments, forced to the disk on request. For one thread, apart from the event loop.

Invariant: what was written stays as it was; a writer only ever appends, and begins a new segment when it goes on with
a tape. A write that fails leaves the whole blocks before it.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from engine.core.errors import Refused
from engine.tape.blocks import RECORD_BYTES, end_block, pack_block
from engine.tape.layout import (
    HEADER_FILE,
    INSTRUMENTS_FILE,
    SegmentHeader,
    pack_segment_header,
    segment_name,
)
from engine.tape.locks import FILE_MODE, take_writer
from engine.tape.reader import TapeReader
from engine.tape.records import FORMAT, RECORDER, RecordKind, TapeHeader, TapeRecord
from engine.tape.settings import RecorderSettings

logger = logging.getLogger(__name__)

FOLDER_MODE: Final = 0o700
NO_NOTICE: Final = b"Recording ended here without notice."
UNFINISHED: Final = ".new-"
_BYTES_PER_KB: Final = 1 << 10
_BYTES_PER_MB: Final = 1 << 20
_NS_PER_MINUTE: Final = 60_000_000_000
_COPIES_MAX: Final = 1_000


class TapeWriter:
    """One tape being written; made by ``create`` or ``resume``.

    Attributes:
        path: Its folder.
        segments: Segment files, those of earlier sittings too.
        records: Records on the tape in whole blocks, those of earlier sittings too.
        bytes: Size of all its segments.
        last_ns: Market time of the last record taken; an earlier time is taken as this one.
    """

    def __init__(self, path: Path, lock: int, settings: RecorderSettings) -> None:
        """Take over a folder whose writer lock is held as ``lock``."""
        self.path = path
        self.segments = 0
        self.records = 0
        self.bytes = 0
        self.last_ns = 0
        self._lock = lock
        self._settings = settings
        self._segment_limit = settings.segment_mb * _BYTES_PER_MB
        self._segment_ns = settings.segment_minutes * _NS_PER_MINUTE
        self._block_limit = settings.block_kb * _BYTES_PER_KB
        self._pending: list[TapeRecord] = []
        self._pending_bytes = 0
        self._next_number = 1
        self._descriptor = -1
        self._size = 0
        self._sequence = 0
        self._begun_ns = 0

    @classmethod
    def create(cls, folder: Path, name: str, header: TapeHeader, dump: bytes, settings: RecorderSettings) -> Self:
        """Begin a tape in a folder of its own under ``folder``: there as a whole, or not at all.

        Args:
            folder: Where the tapes of the venue lie; made when missing.
            name: Of the new folder; a number is added when it is taken.
            header: What the tape says of itself.
            dump: The instruments, as the broker's dump has them.
            settings: Limits.

        Raises:
            OSError: the disk does not take it.
            Refused: the name is taken in every variant.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        for leftover in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = folder / f"{UNFINISHED}{name}"
        unfinished.mkdir(mode=FOLDER_MODE)
        lock = -1
        try:
            write_durably(unfinished / INSTRUMENTS_FILE, gzip.compress(dump, mtime=0))
            write_durably(unfinished / HEADER_FILE, msgspec.json.format(msgspec.json.encode(header), indent=2))
            lock = _lock(unfinished)
            sync_folder(unfinished)
            path = _move_to_free_name(unfinished, folder, name)
        except (OSError, Refused):
            if lock >= 0:
                os.close(lock)
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        sync_folder(folder)
        return cls(path, lock, settings)

    @classmethod
    def resume(cls, path: Path, settings: RecorderSettings, *, wall_ns: int) -> Self:
        """Go on with a tape in a new segment, at this machine's time ``wall_ns``.

        What its last sitting left torn stays as it is; that it ended without notice is put on the tape.

        Raises:
            OSError: the disk does not take it.
            InvalidInput: there is no tape.
            Refused: another program writes it, or it is of another format.
        """
        with TapeReader(path) as reader:
            if reader.header.format != FORMAT:
                raise Refused(f"The tape {path} is of another format and cannot be continued.")
            writer = cls(path, _lock(path), settings)
            try:
                reader.refresh()  # its writer may have ended only after the first look
                writer.bytes = tape_bytes(path)
            except OSError:
                writer._abandon()
                raise
            writer.segments = reader.segments
            writer.records = reader.records_total
            writer.last_ns = reader.end_ns
            writer._next_number = reader.next_segment
            if not reader.is_closed:
                writer.write([TapeRecord(RecordKind.DOWN, RECORDER, writer.last_ns, wall_ns, NO_NOTICE)])
        return writer

    @property
    def waiting(self) -> int:
        """Records taken that are in no block yet."""
        return len(self._pending)

    def write(self, records: Sequence[TapeRecord]) -> None:
        """Take records; full blocks are written at once, the rest waits for ``flush``.

        Raises:
            OSError: the disk does not take them; the tape is closed after the last whole block.
        """
        for record in records:
            if record.market_ns < self.last_ns:
                # Clocks are set back by fractions of a second; on the tape time stands still meanwhile.
                record = record._replace(market_ns=self.last_ns)  # noqa: PLW2901
            self.last_ns = record.market_ns
            self._pending.append(record)
            self._pending_bytes += len(record.payload) + RECORD_BYTES
            if self._pending_bytes >= self._block_limit:
                self.flush()

    def flush(self) -> None:
        """Write what waits as one block.

        Raises:
            OSError: the disk does not take it; the tape is closed after the last whole block.
        """
        if not self._pending:
            return
        try:
            first = self._pending[0].received_ns
            if self._descriptor < 0:
                self._begin_segment(first)
            elif self._size >= self._segment_limit or first - self._begun_ns >= self._segment_ns:
                self._end_segment()
                self._begin_segment(first)
            self._append(pack_block(self._pending, sequence=self._sequence, level=self._settings.compression))
        except OSError:
            self._pending.clear()
            self._abandon()
            raise
        self._sequence += 1
        self.records += len(self._pending)
        self._pending.clear()
        self._pending_bytes = 0

    def sync(self) -> None:
        """Force what was written to the disk.

        Raises:
            OSError: the disk does not take it.
        """
        if self._descriptor >= 0:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Write what waits, close the segment in good order, and let go of the tape; again is no error.

        Raises:
            OSError: the disk does not take it; the tape is closed after the last whole block.
        """
        try:
            self.flush()
            if self._descriptor >= 0:
                self._end_segment()
        except OSError:
            self._abandon()
            raise
        self._abandon()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _begin_segment(self, wall_ns: int) -> None:
        number = self._next_number
        path = self.path / segment_name(number)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        self._next_number = number + 1
        self._size = self._sequence = 0
        self._begun_ns = wall_ns
        self._append(pack_segment_header(SegmentHeader(FORMAT, number, wall_ns)))
        self.segments += 1
        sync_folder(self.path)

    def _end_segment(self) -> None:
        self._append(end_block(sequence=self._sequence, at_ns=self.last_ns))
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            with contextlib.suppress(OSError):  # the torn block is passed over by readers in any case
                os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)
        self.bytes += len(data)

    def _abandon(self) -> None:
        """Let go of everything, whatever state it is in."""
        if self._descriptor >= 0 and not self._size:
            with contextlib.suppress(OSError):  # an empty segment says nothing, and no reader minds it
                (self.path / segment_name(self._next_number - 1)).unlink()
        for descriptor in (self._descriptor, self._lock):
            if descriptor >= 0:
                with contextlib.suppress(OSError):  # a delayed write error; the blocks' checksums tell readers
                    os.close(descriptor)
        self._descriptor = self._lock = -1


def tape_bytes(path: Path) -> int:
    """Size of all files of a tape; files that go away meanwhile count nothing.

    Raises:
        OSError: the folder cannot be read.
    """
    total = 0
    for entry in os.scandir(path):
        with contextlib.suppress(FileNotFoundError):
            total += entry.stat(follow_symlinks=False).st_size
    return total


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file, readable by its owner alone, and force it to the disk.

    Raises:
        OSError: the disk does not take it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force the names in a folder to the disk.

    Raises:
        OSError: the disk does not take them.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    """Become the writer of a tape.

    Raises:
        Refused: another program is.
    """
    lock = take_writer(path)
    if lock is None:
        raise Refused(f"Another program writes the tape {path}; end it, or wait until it has ended.")
    return lock


def _move_to_free_name(unfinished: Path, folder: Path, name: str) -> Path:
    for copy in range(1, _COPIES_MAX):
        path = folder / (name if copy == 1 else f"{name}-{copy}")
        if path.exists():
            continue
        unfinished.rename(path)
        return path
    raise Refused(f"{folder} has {_COPIES_MAX} tapes named {name}; recording was not begun.")
