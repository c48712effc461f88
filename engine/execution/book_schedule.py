"""When the broker's book is read: on hints, on schedule, and fast while something is open. One read at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engine.core.ports import Clock
from engine.execution.book_watcher import BookReading, BookWatcher
from engine.execution.breaker import CircuitBreaker
from engine.execution.fills import FillCollector
from engine.execution.reconciliation import Reconciler, Reconciliation
from engine.execution.settings import ExecutionSettings
from engine.execution.standings import Standings
from engine.execution.waiting import Wakeup


class BookSchedule:
    """Decides when.

    Args:
        watcher: Reads the book.
        fills: Reads the trades when fills have grown.
        reconciler: Compares everything.
        standings: Whether something is open.
        breaker: Of the reading endpoints; reads that a person asks for are made whatever it says.
        settings: Intervals.
        clock: Time.
        after_read: Called after every read.
    """

    def __init__(
        self,
        *,
        watcher: BookWatcher,
        fills: FillCollector,
        reconciler: Reconciler,
        standings: Standings,
        breaker: CircuitBreaker,
        settings: ExecutionSettings,
        clock: Clock,
        after_read: Callable[[], None],
    ) -> None:
        self._watcher = watcher
        self._fills = fills
        self._reconciler = reconciler
        self._standings = standings
        self._breaker = breaker
        self._settings = settings
        self._clock = clock
        self._after_read = after_read
        self._wakeup = Wakeup(clock)
        self._reconcile_due = 0.0
        self._last_read = float("-inf")

    @property
    def is_reconciled(self) -> bool:
        """Whether the book has been read and merged since the start."""
        return self._watcher.good_reads > 0

    def read_soon(self) -> None:
        """Read as soon as the spacing allows."""
        self._wakeup.set()

    def reconcile_soon(self) -> None:
        """Compare everything at the next read, which is soon."""
        self._reconcile_due = self._clock.monotonic()
        self._wakeup.set()

    async def run(self, after: Callable[[], Awaitable[None]]) -> None:
        """Read for ever; ``after`` is awaited after each read."""
        while True:
            delay = self._last_read + self._interval() - self._clock.monotonic()
            if delay > 0:
                await self._wakeup.wait(delay)
            spacing = self._last_read + self._settings.book_spacing_s - self._clock.monotonic()
            # Not for ever, as it would be while another read is being tried: that one is somebody else's.
            held = self._breaker.wait(urgent=self._has_questions())
            spacing = max(spacing, min(held, self._settings.book_working_s))
            if spacing > 0:
                await self._clock.sleep(spacing)
            # Before the read: what is heard of during it need not be in it.
            self._wakeup.clear()
            if self._clock.monotonic() >= self._reconcile_due:
                await self._reconcile()
            else:
                await self._read()
            await after()

    async def read_now(self) -> BookReading | None:
        """Read once, and the trades if fills are due; ``None`` when the book cannot be read."""
        reading = await self._read()
        self._look_again()
        return reading

    async def reconcile(self) -> Reconciliation:
        """Compare orders, fills and the ledger with the broker now."""
        result = await self._reconcile()
        self._look_again()
        return result

    def _look_again(self) -> None:
        """What somebody else's read has shown is not waited for as long as when nothing was known of it."""
        if self._has_questions():
            self._wakeup.set()

    async def _read(self) -> BookReading | None:
        reading = await self._watcher.read()
        self._after_read()
        if reading is not None and self._fills.is_due:
            await self._fills.collect(frozenset(reading.rows))
        self._last_read = self._clock.monotonic()
        return reading

    async def _reconcile(self) -> Reconciliation:
        result = await self._reconciler.reconcile()
        self._after_read()
        now = self._clock.monotonic()
        self._last_read = now
        is_done = result.complete and result.is_settled
        self._reconcile_due = now + (self._settings.reconcile_s if is_done else self._settings.book_fast_s)
        return result

    def _has_questions(self) -> bool:
        """Whether something waits for the next read: a search, a command in flight, a fill without its trade, a
        difference that one reading has shown.
        """
        return (
            self._fills.is_due
            or self._reconciler.list.has_doubts
            or not self.is_reconciled
            or any(standing.is_open_question for standing in self._standings.active())
        )

    def _interval(self) -> float:
        if self._has_questions():
            return self._settings.book_fast_s
        # An open breaker is looked after too: only an answer closes it.
        if self._standings.active() or not self._breaker.is_closed:
            return self._settings.book_working_s
        return self._settings.book_idle_s
