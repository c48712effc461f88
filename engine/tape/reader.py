"""Reads a tape: a whole one, a damaged one, or one that is still being written.

Opening reads the headers of the blocks alone; records are unpacked one block at a time. Damage never raises: what is
whole is given, the rest is left out and said in ``TapeReader.damage``.

Invariant: every record given was written just so, and market time never goes back from one to the next.
"""

from __future__ import annotations

import gzip
import os
import weakref
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from engine.core.errors import InvalidInput
from engine.tape.blocks import DamagedBlock, unpack_block
from engine.tape.layout import HEADER_FILE, INSTRUMENTS_FILE, segment_files, segment_name
from engine.tape.locks import hold_for_reading, is_being_written
from engine.tape.records import FORMAT, TapeHeader, TapeRecord
from engine.tape.segments import BlockPlace, SegmentScan

DAMAGE_KEPT: Final = 20
"""Places of damage that are named; further ones are counted."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NS_PER_US: Final = 1_000


def to_ns(moment: datetime) -> int:
    """Nanoseconds since the epoch of an aware moment."""
    return (moment - EPOCH) // timedelta(microseconds=1) * _NS_PER_US


def to_moment(ns: int) -> datetime:
    """Aware UTC of nanoseconds since the epoch, to the microsecond below."""
    return EPOCH + timedelta(microseconds=ns // _NS_PER_US)


class TapeReader:
    """One tape, held so that nobody deletes it until ``close`` (or the end of this object).

    Args:
        path: The tape's folder, or any file in it.

    Attributes:
        path: The folder.
        header: What the tape says of itself. Of a tape whose header is damaged: what the segments tell.

    Raises:
        InvalidInput: there is no tape at this place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.parent if path.is_file() else path
        self._scans: dict[int, SegmentScan] = {}
        self._blocks: list[BlockPlace] = []
        self._lasts: list[int] = []
        self._header_damage = ""
        self._found: dict[str, None] = {}
        self._is_live = False
        self._is_foreign = False
        self._records = 0
        try:
            has_segments = bool(segment_files(self.path))
        except OSError as error:
            raise InvalidInput(f"There is no tape at {path}: {error.strerror}.") from None
        header_path = self.path / HEADER_FILE
        if not has_segments and not header_path.is_file():
            raise InvalidInput(f"There is no tape at {path}: a tape is a folder with {HEADER_FILE} and *.tape files.")
        held = hold_for_reading(header_path)
        self._let_go = weakref.finalize(self, _close, held)
        header = self._read_header(header_path)
        self.refresh()
        self.header = header or _made_up_header(self._blocks[0].header.first_ns if self._blocks else 0)

    # -- what it is ------------------------------------------------------------------------------------------------

    @property
    def start_ns(self) -> int:
        """Market time of the first record, else of the header: ns since the epoch, UTC."""
        return self._blocks[0].header.first_ns if self._blocks else to_ns(self.header.market_start)

    @property
    def end_ns(self) -> int:
        """Market time of the last record known: ns since the epoch, UTC. Grows while the tape is being written."""
        return self._lasts[-1] if self._lasts else self.start_ns

    @property
    def records_total(self) -> int:
        """Records in the blocks known; those of a block whose payload is damaged are counted too."""
        return self._records

    @property
    def segments(self) -> int:
        """Segment files known."""
        return len(self._scans)

    @property
    def is_being_written(self) -> bool:
        """Whether a recorder was at it at the last look."""
        return self._is_live

    @property
    def is_closed(self) -> bool:
        """Whether the last segment was closed in good order; true of a tape without any."""
        return not self._scans or self._scans[max(self._scans)].ended

    @property
    def next_segment(self) -> int:
        """The number a further segment would have."""
        return max(self._scans, default=0) + 1

    @property
    def damage(self) -> str:
        """What cannot be read, in sentences; empty while nothing is known to be damaged.

        What the headers tell is known at once; a payload is looked at when it is read, or all of them by ``check``.
        """
        sentences = [self._header_damage] if self._header_damage else []
        last = max(self._scans, default=0)
        for number in range(1, last + 1):
            name = segment_name(number)
            scan = self._scans.get(number)
            if scan is None:
                sentences.append(f"{name} is missing.")
                continue
            sentences += [f"{name}: {words}." for words in scan.damage]
            if not scan.ended and not (self._is_live and number == last) and scan.is_readable:
                torn = f" and its last {scan.unread} bytes are torn" if scan.unread else ""
                sentences.append(f"{name} was not closed{torn}: what came in its last second may be missing.")
        sentences += self._found
        more = len(sentences) - DAMAGE_KEPT
        return " ".join(sentences[:DAMAGE_KEPT]) + (f" And {more} more." if more > 0 else "")

    # -- what is on it ---------------------------------------------------------------------------------------------

    def instruments_csv(self) -> bytes:
        """The instruments of the day in the broker's dump format, unpacked; empty (and said) when damaged."""
        try:
            dump = gzip.decompress((self.path / INSTRUMENTS_FILE).read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            self._found[f"{INSTRUMENTS_FILE} cannot be read ({error})."] = None
            return b""
        if not dump:
            self._found[f"{INSTRUMENTS_FILE} is empty."] = None
        return dump

    def records(self, from_ns: int | None = None, *, follow: Callable[[], bool] | None = None) -> Iterator[TapeRecord]:
        """Records in their order, one block in memory at a time.

        Args:
            from_ns: Only those at or after this market time (ns since the epoch); earlier blocks are not read.
            follow: Asked whenever there is no more: it waits a moment and says whether to look again. Without it the
                end is where the tape ends, also while it is being written.
        """
        at = 0 if from_ns is None else bisect_left(self._lasts, from_ns)
        with _Segments(self.path) as segments:
            while True:
                while at < len(self._blocks):
                    for record in self._unpacked(segments, self._blocks[at]):
                        if from_ns is None or record.market_ns >= from_ns:
                            yield record
                    at += 1
                if self._has_grown():
                    continue
                if follow is None or not follow():
                    return
                self.refresh()

    def check(self) -> str:
        """Read the checksum of every payload; returns ``damage``."""
        with _Segments(self.path) as segments:
            for place in self._blocks:
                try:
                    stored = segments.read(place)
                except OSError as error:
                    self._found[f"{segment_name(place.segment)} cannot be read ({error.strerror})."] = None
                    continue
                if zlib.crc32(stored) != place.header.payload_crc:
                    self._say_damaged(place, "its checksum is wrong")
        return self.damage

    def refresh(self) -> None:
        """Look for what has come since the last look."""
        # Asked first: a writer that ends after this has closed its segment before we look into it, or counts as live.
        self._is_live = is_being_written(self.path)
        if self._is_foreign:
            return
        try:
            files = segment_files(self.path)
        except OSError as error:
            self._found[f"The folder cannot be read ({error.strerror})."] = None
            return
        for number, path in files:
            scan = self._scans.setdefault(number, SegmentScan(number))
            if scan.ended:
                continue
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                self._found[f"{path.name} cannot be opened ({error.strerror})."] = None
                continue
            try:
                scan.advance(descriptor)
            except OSError as error:
                self._found[f"{path.name} cannot be read ({error.strerror})."] = None
            finally:
                os.close(descriptor)
            self._index(scan)

    def close(self) -> None:
        """Let go of the tape; it may be deleted then."""
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _read_header(self, path: Path) -> TapeHeader | None:
        try:
            header = msgspec.json.decode(path.read_bytes(), type=TapeHeader)
        except (OSError, msgspec.DecodeError) as error:
            self._header_damage = f"{HEADER_FILE} cannot be read ({error})."
            return None
        if header.market_start.tzinfo is None or header.wall_start.tzinfo is None:
            self._header_damage = f"{HEADER_FILE} has times without a zone."
            return None
        if header.format != FORMAT:
            self._header_damage = f"The tape is in format {header.format}, and this version reads {FORMAT}."
            self._is_foreign = True
        return header

    def _index(self, scan: SegmentScan) -> None:
        """Take over the blocks of a scan that keep market time going forward."""
        for place in scan.blocks:
            first, last = place.header.first_ns, place.header.last_ns
            if first > last or (self._lasts and first < self._lasts[-1]):
                self._say_damaged(place, "its times go back")
                continue
            self._blocks.append(place)
            self._lasts.append(last)
            self._records += place.header.records
        scan.blocks.clear()

    def _has_grown(self) -> bool:
        if not self._is_live:
            return False
        known = len(self._blocks)
        self.refresh()
        return len(self._blocks) > known

    def _unpacked(self, segments: _Segments, place: BlockPlace) -> list[TapeRecord]:
        try:
            return unpack_block(place.header, segments.read(place))
        except DamagedBlock as error:
            self._say_damaged(place, str(error))
        except OSError as error:
            self._found[f"{segment_name(place.segment)} cannot be read ({error.strerror})."] = None
        return []

    def _say_damaged(self, place: BlockPlace, words: str) -> None:
        header = place.header
        lost = f"{header.records} records from {to_moment(header.first_ns):%H:%M:%S} UTC are left out"
        self._found[f"{segment_name(place.segment)}, block {header.sequence}: {words}; {lost}."] = None


class _Segments:
    """Reads payloads; keeps the segment open that was read last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._descriptor = -1

    def read(self, place: BlockPlace) -> bytes:
        """The stored bytes of a block, fewer when the file has become shorter.

        Raises:
            OSError: the file cannot be read.
        """
        if place.segment != self._number:
            self._close()
            path = self._folder / segment_name(place.segment)
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._number = place.segment
        return os.pread(self._descriptor, place.header.stored, place.offset)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._number:
            os.close(self._descriptor)
            self._number = 0


def _close(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _made_up_header(first_ns: int) -> TapeHeader:
    start = to_moment(first_ns)
    return TapeHeader(format=FORMAT, venue="", note="", account="", market_start=start, wall_start=start, program="")
