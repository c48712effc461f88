"""The writer's thread: takes what waits, writes it in blocks, forces it to the disk, and keeps the disk from filling.

Invariant: it never lets an error out. Whatever the disk does, the thread ends in good order with a sentence, and the
feed hears of it only as a change of status.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import Final

import msgspec

from engine.core.errors import Refused, WorkstationError
from engine.core.ports import Clock
from engine.tape.catalogue import newest_to_continue, retire
from engine.tape.instruments_csv import instruments_csv
from engine.tape.reader import TapeReader, to_moment, to_ns
from engine.tape.records import FORMAT, TapeHeader, TapeRecord
from engine.tape.settings import RecorderSettings
from engine.tape.waiting import NewTape, Waiting, WaitingRecords
from engine.tape.writer import TapeWriter

logger = logging.getLogger(__name__)

BACKSTEP_NS: Final = 2_000_000_000
"""Market time that goes back by more is another market: it gets a tape of its own."""
_BYTES_PER_MB: Final = 1 << 20
_BYTES_PER_GB: Final = 1 << 30


class PumpStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where the thread stands; replaced as a whole, so that any thread may read it."""

    path: Path | None = None
    """Folder of the tape that is being written, or was last."""
    segments: int = 0
    bytes: int = 0
    records: int = 0
    unsafe_since_ns: int | None = None
    """When the oldest record was received that was taken and is not forced to the disk."""
    failure: str = ""
    """Why it ended by itself."""
    has_ended: bool = False


class TapePump:
    """One sitting of the recorder.

    Args:
        waiting: Where records come from; a ``NewTape`` comes first.
        folder: The venue's folder of tapes; retention looks after the folder above it.
        clock: This machine's time.
        zone: Days of the market are days of this zone.
        settings: Paces and limits.
        on_change: Told, on this thread, whenever a tape was opened and when the thread has ended.
    """

    def __init__(
        self,
        waiting: WaitingRecords,
        folder: Path,
        *,
        clock: Clock,
        zone: tzinfo,
        settings: RecorderSettings,
        on_change: Callable[[], None],
    ) -> None:
        self.status = PumpStatus()
        self._waiting = waiting
        self._folder = folder
        self._clock = clock
        self._zone = zone
        self._settings = settings
        self._on_change = on_change
        self._writer: TapeWriter | None = None
        self._segments = 0
        self._unsafe_since_ns: int | None = None
        self._synced_at = clock.monotonic()
        self._wake = threading.Event()
        self._is_stopping = False

    def stop(self) -> None:
        """Write what waits, then end; from any thread."""
        self._is_stopping = True
        self._wake.set()

    def hurry(self) -> None:
        """Look at once at what waits; from any thread."""
        self._wake.set()

    def run(self) -> None:
        """Write until ``stop``, or until the disk takes no more."""
        failure = ""
        try:
            self._run()
        except (OSError, WorkstationError) as error:
            failure = _sentence(error)
            logger.warning("recording ended: %s", failure)
        except Exception as error:
            # A fault of ours may end the tape and nothing else; who looks at the desk is told.
            failure = f"Recording failed ({type(error).__name__}: {error})."
            logger.exception("recording failed")
        if failure and self._writer is not None:
            with contextlib.suppress(OSError):  # the first failure is the one to tell
                self._writer.close()
        self.status = msgspec.structs.replace(self._picture(), failure=failure, has_ended=True, unsafe_since_ns=None)
        self._on_change()

    def _run(self) -> None:
        while True:
            is_last = self._is_stopping  # read before taking: what came before the stop is written
            begun = self._clock.monotonic()
            self._turn()
            if is_last:
                if self._writer is not None:
                    self._writer.close()
                return
            left = begun + self._settings.flush_s - self._clock.monotonic()
            if self._wake.wait(max(left, 0.0)):
                self._wake.clear()

    def _turn(self) -> None:
        items = self._waiting.take()
        try:
            self._write(items)
        finally:
            self._waiting.release(items)
        writer = self._writer
        if writer is None:
            return
        writer.flush()
        now = self._clock.monotonic()
        if self._unsafe_since_ns is not None and now - self._synced_at >= self._settings.sync_s:
            writer.sync()
            self._synced_at = now
            self._unsafe_since_ns = None
        if writer.segments != self._segments:
            self._segments = writer.segments
            self._make_room(writer)
        self._check_room()
        self.status = self._picture()

    def _write(self, items: Sequence[Waiting]) -> None:
        batch: list[TapeRecord] = []
        for item in items:
            if isinstance(item, TapeRecord):
                batch.append(item)
                continue
            self._write_batch(batch)
            batch = []
            self._open(item)
        self._write_batch(batch)

    def _write_batch(self, batch: Sequence[TapeRecord]) -> None:
        if not batch:
            return
        if self._writer is None:
            raise Refused("There is no tape to write to.")
        if self._unsafe_since_ns is None:
            self._unsafe_since_ns = batch[0].received_ns
        self._writer.write(batch)

    def _open(self, wanted: NewTape) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._check_room()
        dump = instruments_csv(wanted.instruments)

        def fits(tape: TapeReader) -> bool:
            return self._continues(tape, wanted.header) and tape.instruments_csv() == dump

        path = newest_to_continue(self._folder, fits)
        if path is None:
            self._writer = TapeWriter.create(self._folder, wanted.name, wanted.header, dump, self._settings)
        else:
            self._writer = TapeWriter.resume(path, self._settings, wall_ns=to_ns(self._clock.wall_now()))
        logger.info("recording to %s", self._writer.path)
        self._segments = self._writer.segments
        self._make_room(self._writer)
        self.status = self._picture()
        self._on_change()

    def _continues(self, tape: TapeReader, header: TapeHeader) -> bool:
        """Whether a tape is of this very market, and ends before this sitting begins."""
        old = tape.header
        same = (old.format, old.venue, old.account, old.note) == (FORMAT, header.venue, header.account, header.note)
        day = to_moment(tape.start_ns).astimezone(self._zone).date()
        begins = header.market_start
        return (
            same
            and not tape.is_being_written
            and day == begins.astimezone(self._zone).date()
            and tape.end_ns <= to_ns(begins) + BACKSTEP_NS
        )

    def _make_room(self, writer: TapeWriter) -> None:
        taken = retire(self._folder.parent, self._settings, now=self._clock.wall_now(), keep=writer.path)
        if taken > self._settings.keep_gb * _BYTES_PER_GB:
            raise Refused(
                f"The tapes fill the {self._settings.keep_gb} GB they may take and none can be deleted; recording has "
                "stopped. Allow more with engine.recorder.keep_gb, or delete what is not needed."
            )

    def _check_room(self) -> None:
        free = os.statvfs(self._folder)
        free_mb = free.f_bavail * free.f_frsize // _BYTES_PER_MB
        if free_mb < self._settings.disk_free_min_mb:
            raise Refused(
                f"The disk of {self._folder} has {free_mb} MB free, and recording stops below "
                f"{self._settings.disk_free_min_mb} MB (engine.recorder.disk_free_min_mb). Make room, and begin again."
            )

    def _picture(self) -> PumpStatus:
        writer = self._writer
        if writer is None:
            return self.status
        return PumpStatus(
            path=writer.path,
            segments=writer.segments,
            bytes=writer.bytes,
            records=writer.records,
            unsafe_since_ns=self._unsafe_since_ns,
        )


def _sentence(error: OSError | WorkstationError) -> str:
    if isinstance(error, WorkstationError):
        return str(error)
    where = f" ({error.filename})" if error.filename else ""
    return f"The disk took no more of the tape: {error.strerror or error}{where}. Make room, and begin again."
