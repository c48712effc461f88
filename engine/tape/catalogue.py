"""Which tapes there are, what is on them, and which are given up for room.

A folder of tapes holds a folder for each venue, and those hold the tapes. A tape that somebody writes or reads is never
deleted.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from engine.core.errors import InvalidInput
from engine.tape.layout import HEADER_FILE, INSTRUMENTS_FILE, segment_files
from engine.tape.locks import WRITER_LOCK, take_for_deletion
from engine.tape.reader import TapeReader, to_moment
from engine.tape.records import TapeHeader
from engine.tape.settings import RecorderSettings
from engine.tape.writer import UNFINISHED, tape_bytes

logger = logging.getLogger(__name__)

_BYTES_PER_GB: Final = 1 << 30


class TapeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One tape for a list. Times are aware UTC."""

    path: str
    venue: str
    account: str
    note: str
    start: datetime
    """Market time of the first record."""
    end: datetime
    """Market time of the last one."""
    wall_start: datetime
    duration_s: float
    """Market seconds between the two."""
    segments: int
    records: int
    bytes: int
    is_being_written: bool
    damage: str
    """What of it cannot be read, in sentences; empty when it is whole as far as was looked."""


class TapeFolder(msgspec.Struct, frozen=True, kw_only=True):
    """What retention needs to know of a tape."""

    path: Path
    changed: datetime
    """When it was last written to, this machine's time."""
    bytes: int


def find_tapes(folder: Path) -> list[Path]:
    """The tapes in a folder of tapes (or in one venue's), newest first by the time of their last write."""
    return [tape.path for tape in _sized(folder)][::-1]


def tape_summary(path: Path, *, check: bool = False) -> TapeSummary:
    """What is on a tape, from the headers of its blocks; with ``check`` every byte is read for its checksum.

    Raises:
        InvalidInput: there is no tape at this place.
    """
    with TapeReader(path) as reader:
        damage = reader.check() if check else reader.damage
        header: TapeHeader = reader.header
        return TapeSummary(
            path=str(reader.path),
            venue=header.venue,
            account=header.account,
            note=header.note,
            start=to_moment(reader.start_ns),
            end=to_moment(reader.end_ns),
            wall_start=header.wall_start,
            duration_s=(to_moment(reader.end_ns) - to_moment(reader.start_ns)).total_seconds(),
            segments=reader.segments,
            records=reader.records_total,
            bytes=tape_bytes(reader.path),
            is_being_written=reader.is_being_written,
            damage=damage,
        )


def retire(folder: Path, settings: RecorderSettings, *, now: datetime, keep: Path | None = None) -> int:
    """Delete tapes that are too old, then the oldest until the rest fits; returns the bytes that stay.

    Args:
        folder: The folder of all tapes.
        settings: ``keep_days`` and ``keep_gb``.
        now: This machine's time, aware.
        keep: A tape that stays in any case.
    """
    tapes = _sized(folder)
    total = sum(tape.bytes for tape in tapes)
    oldest = now - timedelta(days=settings.keep_days)
    limit = settings.keep_gb * _BYTES_PER_GB
    for tape in tapes:
        why = "it is old" if tape.changed < oldest else "the tapes take too much room" if total > limit else ""
        if why and tape.path != keep and _delete(tape, why):
            total -= tape.bytes
    return total


def _sized(folder: Path) -> list[TapeFolder]:
    """All tapes, the one longest not written to first."""
    found = []
    for path in (path for pattern in ("*", "*/*") for path in folder.glob(pattern)):
        if path.name.startswith(UNFINISHED) or not path.is_dir():
            continue
        try:
            segments = segment_files(path)
            header = path / HEADER_FILE
            if not segments and not (header.is_file() and (path / INSTRUMENTS_FILE).is_file()):
                continue
            newest = max(file.stat().st_mtime for file in (*(file for _, file in segments), header) if file.exists())
            size = tape_bytes(path)
        except OSError:
            continue  # it is just being deleted
        found.append(TapeFolder(path=path, changed=datetime.fromtimestamp(newest, UTC), bytes=size))
    return sorted(found, key=lambda tape: (tape.changed, tape.path))


def _delete(tape: TapeFolder, why: str) -> bool:
    held: list[int] = []
    try:
        for name in (WRITER_LOCK, HEADER_FILE):
            if not (tape.path / name).exists():
                continue
            descriptor = take_for_deletion(tape.path / name)
            if descriptor is None:
                return False
            held.append(descriptor)
        shutil.rmtree(tape.path)
    except OSError as error:
        logger.warning("the tape %s cannot be deleted: %s", tape.path, error)
        return False
    finally:
        for descriptor in held:
            os.close(descriptor)
    logger.info("deleted the tape %s (%d bytes): %s", tape.path, tape.bytes, why)
    return True


def newest_to_continue(folder: Path, fits: Callable[[TapeReader], bool]) -> Path | None:
    """The tape of a venue that was written last, when it ``fits``."""
    for path in find_tapes(folder)[:1]:
        try:
            with TapeReader(path) as reader:
                return path if fits(reader) else None
        except InvalidInput:
            return None
    return None
