"""Records the feed: takes what arrives on the event loop, and leaves the disk to a thread of its own.

Invariant: the feed never waits for the disk. What cannot be kept is left out, counted, marked on the tape and said.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Final

import msgspec

from engine.core.errors import Refused
from engine.core.instruments import Instrument
from engine.core.operations import QueueView, RecorderView
from engine.core.ports import Clock
from engine.tape.pump import BACKSTEP_NS, PumpStatus, TapePump
from engine.tape.reader import to_ns
from engine.tape.records import FORMAT, RECORDER, RecordKind, TapeHeader, TapeRecord
from engine.tape.settings import RecorderSettings
from engine.tape.waiting import NewTape, WaitingRecords

logger = logging.getLogger(__name__)

NAME: Final = "recorder"
POLICY: Final = "the newest are left out of the tape, which marks the gap; the feed never waits"
BEGUN: Final = b"Recording began."
STOPPED: Final = b"Recording was stopped."
_DAY_CHECK_S: Final = 1.0
_NS_PER_S: Final = 1_000_000_000
_BYTES_PER_MB: Final = 1 << 20


class TapeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine says of what is recorded."""

    venue: str
    account: str
    day: date
    """Of the instruments; with another day another tape begins."""
    note: str = ""


class Recorder:
    """Tapes of one venue's feed. All methods belong to the event loop.

    Args:
        folder: The venue's folder of tapes, inside the folder of all tapes.
        describe: What is recorded now.
        instruments: The instruments of the day; what it gives must never change afterwards (a tuple).
        clock: Market time begins the tape; durations are monotonic.
        zone: Days of the market are days of this zone.
        program: Name and version of this program.
        settings: Paces and limits.
        declare: Says in words what does not run as it should; an empty sentence takes it back.
    """

    def __init__(
        self,
        folder: Path,
        *,
        describe: Callable[[], TapeFacts],
        instruments: Callable[[], Sequence[Instrument]],
        clock: Clock,
        zone: tzinfo,
        program: str,
        settings: RecorderSettings,
        declare: Callable[[str, str], None],
    ) -> None:
        self._folder = folder
        self._describe = describe
        self._instruments = instruments
        self._clock = clock
        self._zone = zone
        self._program = program
        self._settings = settings
        self._declare = declare
        self._waiting = WaitingRecords(settings.queue_mb * _BYTES_PER_MB)
        self._pump: TapePump | None = None
        self._thread: threading.Thread | None = None
        self._changed = asyncio.Event()
        self._switching = asyncio.Lock()
        self._is_taking = False
        self._day: date | None = None
        self._since: datetime | None = None
        self._newest_ns = 0
        self._received_ns = 0
        self._received_at = 0.0
        self._message = ""

    # -- the tap ---------------------------------------------------------------------------------------------------

    def on_record(self, kind: RecordKind, connection: int, market_ns: int, received_ns: int, payload: bytes) -> None:
        """Take what arrived; costs a microsecond or two and never waits.

        Args:
            kind: What it is.
            connection: Number of the feed's connection.
            market_ns: Market time, ns since the epoch.
            received_ns: This machine's time of receipt, ns since the epoch, from a clock that never jumps.
            payload: The frame's bytes, the text in UTF-8, or the reason of a loss.
        """
        if not self._is_taking:
            return
        if market_ns > self._newest_ns:
            self._newest_ns = market_ns
        elif market_ns < self._newest_ns - BACKSTEP_NS:
            self._begin_tape(market_ns)
        self._received_ns = received_ns
        self._received_at = self._clock.monotonic()
        self._waiting.offer(TapeRecord(kind, connection, market_ns, received_ns, payload))

    # -- on and off ------------------------------------------------------------------------------------------------

    @property
    def is_recording(self) -> bool:
        """Whether what arrives goes onto a tape."""
        return self._is_taking

    async def switch(self, on: bool) -> RecorderView:
        """Begin or end recording, and wait until the tape is there or closed; again is no error.

        The newest tape of the same market and day is continued, with the gap marked on it.

        Raises:
            Refused: it could not be begun; the sentence says why.
        """
        async with self._switching:
            if on and not self._is_taking:
                await self._start()
            elif not on:
                await self._finish()
        return self.view()

    async def run(self) -> None:
        """Look after the tapes until cancelled; then the tape is closed in good order."""
        try:
            if self._settings.at_start:
                with contextlib.suppress(Refused):  # it is declared
                    await self.switch(on=True)
            while True:
                await self._clock.sleep(_DAY_CHECK_S)
                if self._is_taking and self._describe().day != self._day:
                    self._begin_tape(to_ns(self._clock.market_now()))
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End recording in good order; again is no error."""
        await self.switch(on=False)

    # -- what it shows ---------------------------------------------------------------------------------------------

    def view(self) -> RecorderView:
        """The tape as the engine room shows it."""
        status = self._status
        dropped = self._waiting.dropped
        message = self._message
        if not message and dropped:
            message = f"{dropped} frames were left out because the disk did not keep up."
        return RecorderView(
            recording=self._is_taking,
            path=str(status.path) if status.path is not None else "",
            segments=status.segments,
            bytes=status.bytes,
            frames=status.records,
            since=self._since,
            lag_s=self._lag_s(status),
            dropped=dropped,
            message=message,
        )

    def queue(self) -> QueueView:
        """What waits for the disk."""
        waiting = self._waiting
        return QueueView(
            name=NAME,
            waiting=waiting.bytes,
            limit=waiting.limit_bytes,
            dropped=waiting.dropped,
            policy=POLICY,
            message=f"{len(waiting)} records; waiting and limit are bytes",
        )

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _status(self) -> PumpStatus:
        return self._pump.status if self._pump is not None else PumpStatus()

    def _lag_s(self, status: PumpStatus) -> float:
        """Age of the oldest record that is not safe on the disk."""
        received = (status.unsafe_since_ns, self._waiting.oldest_ns)
        oldest = min((ns for ns in received if ns is not None), default=None)
        if oldest is None or not self._is_taking:
            return 0.0
        return max(0.0, (self._received_now_ns() - oldest) / _NS_PER_S)

    def _received_now_ns(self) -> int:
        """Now, by the clock that stamps what arrives: the wall's may be set, and then differs from it."""
        return self._received_ns + int((self._clock.monotonic() - self._received_at) * _NS_PER_S)

    async def _start(self) -> None:
        await self._let_end()
        loop = asyncio.get_running_loop()
        self._received_ns = to_ns(self._clock.wall_now())
        self._received_at = self._clock.monotonic()
        self._waiting = WaitingRecords(self._waiting.limit_bytes)
        pump = self._pump = TapePump(
            self._waiting,
            self._folder,
            clock=self._clock,
            zone=self._zone,
            settings=self._settings,
            on_change=lambda: _tell(loop, self._pump_changed),
        )
        self._since = self._clock.market_now()
        self._message = ""
        self._begin_tape(to_ns(self._since))
        # A thread of its own, not one of the pool's: a disk that hangs must not take a worker from the database.
        self._thread = threading.Thread(target=pump.run, name=NAME, daemon=True)
        self._is_taking = True
        self._thread.start()
        while pump.status.path is None and not pump.status.has_ended:
            self._changed.clear()
            await self._changed.wait()
        if pump.status.has_ended:
            self._pump_changed()  # the thread may have been quicker than its word to the loop
            raise Refused(pump.status.failure or "Recording ended at once.")
        self._declare(NAME, "")

    async def _finish(self) -> None:
        if self._is_taking:
            self._is_taking = False
            self._mark(RecordKind.DOWN, STOPPED, to_ns(self._clock.market_now()))
        await self._let_end()

    async def _let_end(self) -> None:
        """Let the thread write what waits, and wait for its end."""
        pump, thread = self._pump, self._thread
        if pump is None or thread is None:
            return
        pump.stop()
        while not pump.status.has_ended:
            self._changed.clear()
            await self._changed.wait()
        thread.join()
        self._thread = None

    def _begin_tape(self, market_ns: int) -> None:
        """Put a further tape, or a further sitting of today's, before what comes next."""
        facts = self._describe()
        self._day = facts.day
        self._newest_ns = market_ns
        now = self._clock.market_now()
        header = TapeHeader(
            format=FORMAT,
            venue=facts.venue,
            note=facts.note,
            account=facts.account,
            market_start=now,
            wall_start=self._clock.wall_now(),
            program=self._program,
        )
        name = f"{now.astimezone(self._zone):%Y-%m-%d-%H%M%S}"
        self._waiting.put(NewTape(name, header, self._instruments()))
        self._mark(RecordKind.UP, BEGUN, market_ns)
        if self._pump is not None:
            self._pump.hurry()

    def _mark(self, kind: RecordKind, words: bytes, market_ns: int) -> None:
        self._waiting.put(TapeRecord(kind, RECORDER, market_ns, self._received_now_ns(), words))

    def _pump_changed(self) -> None:
        failure = self._status.failure
        if failure and self._is_taking:
            self._is_taking = False
            self._message = failure
            self._waiting.release(self._waiting.take())  # nobody will write it
            self._declare(NAME, failure)
        self._changed.set()


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Call on the loop; one that has ended needs no telling."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(what)
