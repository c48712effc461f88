"""Fills the gaps of price candles from the broker's history, within the broker's pace.

What is watched is looked at once its first whole minute has ended (so one request fetches the day so far and the minute
in which the watching began), again after each break of its path, on each new day, and from time to time while it has no
path. Indices and futures are filled over some earlier sessions too; an expired contract has no history. Requests wait
in a list by priority; one instrument has one request at most, from its first missing minute to its last.

What is stored is never asked again, so a start after a kill goes on where the last one ended. An instrument for which
the broker has nothing is left alone for the day. A request that fails goes back to the list, and the list rests for a
while; an ended session stops it until ``resume``. Overload policy: beyond ``requests_waiting_max`` the request of the
least priority is left out and counted; it is looked for again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from engine.bar_days import BarDays
from engine.bars_settings import BarsSettings
from engine.brokers.kite.packets import price_decimals
from engine.core.bars import BarInterval, BarSource, HistoricalBars, MinuteBars, PriceBar
from engine.core.errors import BrokerError, BrokerRejected, InvalidInput, RateLimited, SessionExpired, StorageError
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.operations import GapView
from engine.core.ports import Clock
from engine.core.views import Integers
from engine.core.vocabulary import InstrumentKind
from engine.history_requests import HistoryRequest, RequestList
from engine.market.bar_batches import no_bars, of_instrument, read_only
from engine.market.bar_gaps import MINUTE_S, Spans, expected_minutes, joined_spans, missing_minutes
from engine.market.bar_sessions import SessionHours

logger = logging.getLogger(__name__)

NAME: Final = "candle history"
ASKED_PRIORITY: Final = 1_000
"""Of a request somebody waits for: before everything that is only kept."""
SPANS_KEPT_MAX: Final = 16
SCAN_INSTRUMENTS: Final = 50
"""Instruments whose candles are read at once: a few milliseconds, then others get their turn."""
MANY_BARS: Final = 2_000
"""More than so many candles of an answer are put into columns by a worker thread."""
_NS_PER_S: Final = 1_000_000_000
_UNKNOWN: Final = -1
_WITHOUT_INTEREST: Final = frozenset({InstrumentKind.INDEX, InstrumentKind.EQUITY})

ReadBars: TypeAlias = "Callable[[Sequence[InstrumentKey], datetime, datetime], Awaitable[MinuteBars]]"
"""What is known already, stored or not, of instruments in [start, end)."""


class HistoryReads(Protocol):
    """The part of ``engine.core.ports.BrokerReads`` that is needed here."""

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        """Finished candles that begin in [start, end], oldest first; raises the errors of every read."""
        ...


class _Looked(NamedTuple):
    """When an instrument was looked at, and in which state."""

    day: int
    sound_ns: int | None
    at: float


class HistoryFiller:
    """One engine's requests of the broker's history.

    Args:
        reads: the broker.
        known: candles that are there.
        keep: takes what the broker gave.
        clock: market time ends minutes; pauses are of this machine.
        days: sessions.
        instrument_of: the instrument of a token today.
        sound_since: market time in nanoseconds since which a token's path has been sound; ``None`` when it is not.
        settings: paces and bounds.
    """

    def __init__(
        self,
        reads: HistoryReads,
        *,
        known: ReadBars,
        keep: Callable[[MinuteBars], None],
        clock: Clock,
        days: BarDays,
        instrument_of: Callable[[int], Instrument | None],
        sound_since: Callable[[int], int | None],
        settings: BarsSettings,
    ) -> None:
        self._reads = reads
        self._known = known
        self._keep = keep
        self._clock = clock
        self._days = days
        self._instrument_of = instrument_of
        self._sound_since = sound_since
        self._settings = settings
        self._requests = RequestList(settings.requests_waiting_max)
        self._day = _UNKNOWN
        self._looked: dict[int, _Looked] = {}
        self._first_seen: dict[int, float] = {}
        self._unsound_since: dict[int, float] = {}
        self._not_before: dict[int, float] = {}
        self._answered: dict[InstrumentKey, Spans] = {}
        self._nothing: dict[InstrumentKey, str] = {}
        self._halted = ""
        self._trouble = ""
        self._rest_until = 0.0
        self._filled = 0

    # -- what is missing -----------------------------------------------------------------------------------------------

    def missing(self, instrument: Instrument, bars: MinuteBars, sessions: Iterable[SessionHours]) -> Integers:
        """Starts of the minutes of some sessions that are missing, epoch seconds, ascending.

        Args:
            instrument: of today's dump.
            bars: all of its candles in those sessions.
            sessions: oldest first.
        """
        until = int(self._clock.market_now().timestamp()) - round(self._settings.settle_s)
        is_index = instrument.kind is InstrumentKind.INDEX
        sound_ns = self._sound_since(instrument.token)
        sound_from = None if sound_ns is None else -(-sound_ns // _NS_PER_S)
        parts = [
            missing_minutes(
                expected_minutes(hours, until, is_index=is_index),
                bars.start,
                bars.source,
                sound_from=sound_from,
                answered=self._answered.get(instrument.key, ()),
            )
            for hours in sessions
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def why_nothing(self, key: InstrumentKey) -> str:
        """Why the broker is not asked for an instrument now; empty when it is."""
        self._begin_day()
        return self._nothing.get(key, "") or self._halted

    async def ask(self, instrument: Instrument, missing: Integers, *, wait_s: float) -> bool:
        """Ask for missing minutes before everything else; returns whether the answer came within ``wait_s``."""
        if not len(missing) or self.why_nothing(instrument.key):
            return not len(missing)
        request = self._requests.add(_request(instrument, ASKED_PRIORITY, missing))
        if request is None:
            return False
        try:
            async with asyncio.timeout(wait_s):
                await request.done.wait()
        except TimeoutError:
            return False
        return request.answered

    # -- the work ------------------------------------------------------------------------------------------------------

    async def run(self, wanted: Callable[[], Mapping[int, int]], may_fill: Callable[[], bool]) -> None:
        """Look for gaps and fill them until cancelled.

        Args:
            wanted: tokens that are kept, with their priority, now.
            may_fill: whether this engine keeps candles, now; one that only looks asks for what is looked at alone.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_always(wanted, may_fill), name=f"{NAME}: looking")
            for number in range(self._settings.requests_at_once):
                group.create_task(self._work_always(), name=f"{NAME}: asking {number}")

    def resume(self) -> None:
        """A new session is there: go on."""
        self._halted = self._trouble = ""
        self._rest_until = 0.0
        self._requests.wake()

    def view(self) -> GapView:
        """What is missing, and what is done about it."""
        waiting = self._requests.waiting
        left_out = self._requests.left_out
        words = [self._halted or self._trouble]
        if left_out:
            words.append(f"{left_out} requests did not fit into the list and are looked for again")
        return GapView(
            instruments=waiting,
            minutes=self._requests.minutes,
            filled=self._filled,
            waiting=waiting,
            eta_s=None if self._halted else waiting / self._settings.requests_per_s,
            message="; ".join(filter(None, words)),
        )

    async def look(self, wanted: Mapping[int, int]) -> int:
        """Look at what has become due among ``wanted``; returns how many requests were added."""
        self._begin_day()
        now = self._clock.monotonic()
        due: list[tuple[Instrument, int]] = []
        for token, priority in wanted.items():
            instrument = self._instrument_of(token)
            if instrument is not None and self._is_due(token, now) and not self._nothing.get(instrument.key):
                due.append((instrument, priority))
        added = 0
        for is_long in (True, False):
            group = [item for item in due if (item[0].kind not in _OPTIONS) is is_long]
            for first in range(0, len(group), SCAN_INSTRUMENTS):
                added += await self._look_at(group[first : first + SCAN_INSTRUMENTS], is_long=is_long)
        for kept in (self._first_seen, self._unsound_since, self._not_before, self._looked):
            for token in kept.keys() - wanted.keys():
                del kept[token]
        return added

    # -- looking -------------------------------------------------------------------------------------------------------

    async def _look_always(self, wanted: Callable[[], Mapping[int, int]], may_fill: Callable[[], bool]) -> None:
        while True:
            if may_fill():
                try:
                    await self.look(wanted())
                except StorageError as error:
                    logger.warning("stored candles could not be read, gaps are looked for again: %s", error)
            await self._clock.sleep(self._settings.look_s)

    def _begin_day(self) -> None:
        day = self._days.day_of(int(self._clock.market_now().timestamp()))
        if day != self._day:
            self._day = day
            self._nothing.clear()
            self._answered.clear()

    def _is_due(self, token: int, now: float) -> bool:
        """Whether an instrument's candles should be looked at now."""
        settings = self._settings
        seen = self._first_seen.setdefault(token, now)
        if now < self._not_before.get(token, now):
            return False
        sound_ns = self._sound_since(token)
        looked = self._looked.get(token)
        is_new = looked is None or looked.day != self._day
        if sound_ns is not None:
            self._unsound_since.pop(token, None)
            # The minute in which the path became sound is known to be missing only when it has ended.
            whole_s = (sound_ns // _NS_PER_S // MINUTE_S + 1) * MINUTE_S + settings.settle_s
            is_settled = self._clock.market_now().timestamp() >= whole_s
            return is_settled and (is_new or looked is None or looked.sound_ns != sound_ns)
        unsound_since = self._unsound_since.setdefault(token, now)
        if is_new or looked is None:
            return now - seen >= settings.patience_s
        # A path that broke is usually back within seconds, and then one request fetches all of the break.
        return now - max(looked.at, unsound_since) >= settings.look_again_s

    async def _look_at(self, group: Sequence[tuple[Instrument, int]], *, is_long: bool) -> int:
        """Find what is missing of some instruments and put it on the list."""
        now_s = int(self._clock.market_now().timestamp())
        sessions = self._days.newest(self._settings.history_days if is_long else 0, now_s)
        at = self._clock.monotonic()
        looks = {item.token: _Looked(self._day, self._sound_since(item.token), at) for item, _ in group}
        added = 0
        if sessions:
            start, end = _moment(sessions[0].day_start_s), _moment(now_s)
            bars = await self._known([item.key for item, _ in group], start, end)
            for instrument, priority in group:
                missing = self.missing(instrument, of_instrument(bars, instrument.key), sessions)
                if not len(missing):
                    continue
                if self._requests.add(_request(instrument, priority, missing)) is None:
                    del looks[instrument.token]
                else:
                    added += 1
        self._looked |= looks
        return added

    # -- asking --------------------------------------------------------------------------------------------------------

    async def _work_always(self) -> None:
        while True:
            pause = self._rest_until - self._clock.monotonic()
            if pause > 0:
                await self._clock.sleep(pause)
                continue
            request = None if self._halted else self._requests.take()
            if request is None:
                await self._requests.wait()
                continue
            try:
                await self._serve(request)
            except asyncio.CancelledError:
                self._requests.give_back(request)
                raise

    async def _serve(self, request: HistoryRequest) -> None:
        settings = self._settings
        try:
            found = await self._reads.history(
                request.instrument.token, BarInterval.MINUTE, _moment(request.first), _moment(request.last)
            )
        except SessionExpired as error:
            self._halted = f"the broker's history needs a login: {error}"
            self._requests.give_back(request)
        except RateLimited as error:
            self._rest(request, error.retry_after_s or settings.rest_s, error)
        except (BrokerRejected, InvalidInput) as error:
            self._nothing[request.instrument.key] = f"the broker has no history of it today: {error}"
            logger.info("no history of %s today: %s", request.instrument.key, error)
            self._requests.finish(request)
        except BrokerError as error:
            request.attempts += 1
            if request.attempts >= settings.attempts_max:
                logger.warning("history of %s is given up for now: %s", request.instrument.key, error)
                self._trouble = f"the broker's history does not answer: {error}"
                self._looked.pop(request.instrument.token, None)
                self._not_before[request.instrument.token] = self._clock.monotonic() + settings.look_again_s
                self._requests.finish(request)
            else:
                self._rest(request, settings.rest_s * 2.0 ** (request.attempts - 1), error)
        else:
            self._trouble = ""
            await self._take(request, found.bars)
            request.answered = True
            self._requests.finish(request)

    def _rest(self, request: HistoryRequest, seconds: float, error: BrokerError) -> None:
        self._trouble = f"the broker's history rests: {error}"
        self._rest_until = max(self._rest_until, self._clock.monotonic() + seconds)
        self._requests.give_back(request)

    async def _take(self, request: HistoryRequest, bars: Sequence[PriceBar]) -> None:
        instrument = request.instrument
        sessions = self._days.between(request.first, request.last + MINUTE_S)
        if len(bars) > MANY_BARS:
            batch = await asyncio.to_thread(minute_bars, instrument, bars, sessions)
        else:
            batch = minute_bars(instrument, bars, sessions)
        if len(batch.place):
            self._keep(batch)
            self._filled += len(batch.place)
        spans = self._answered.get(instrument.key, ())
        span = (request.first, request.last + MINUTE_S)
        self._answered[instrument.key] = joined_spans(spans, span, most=SPANS_KEPT_MAX)


_OPTIONS: Final = frozenset(kind for kind in InstrumentKind if kind.is_option)


def minute_bars(instrument: Instrument, bars: Sequence[PriceBar], sessions: Sequence[SessionHours]) -> MinuteBars:
    """The broker's minutes as columns; those outside the sessions are left out.

    An index has neither volume nor open interest, though the broker writes 0; nor has a share open interest.
    """
    decimals = price_decimals(instrument.token)
    if not bars or not sessions:
        return no_bars()
    rows = np.array(
        [
            (
                int(bar.start.timestamp()),
                *(int(price.scaleb(decimals)) for price in (bar.open, bar.high, bar.low, bar.close)),
                _UNKNOWN if bar.volume is None else bar.volume,
                _UNKNOWN if bar.open_interest is None else bar.open_interest,
            )
            for bar in bars
        ],
        np.int64,
    )
    opens = np.array([hours.open_s // MINUTE_S * MINUTE_S for hours in sessions])
    closes = np.array([hours.close_s for hours in sessions])
    session = np.searchsorted(opens, rows[:, 0], side="right") - 1
    rows = rows[(session >= 0) & (rows[:, 0] < closes[session])]
    columns = [read_only(column.copy()) for column in rows.T]
    nothing = read_only(np.full(len(rows), _UNKNOWN))
    volume = nothing if instrument.kind is InstrumentKind.INDEX else columns[5]
    interest = nothing if instrument.kind in _WITHOUT_INTEREST else columns[6]
    return MinuteBars(
        instruments=(instrument.key,),
        place=read_only(np.zeros(len(rows), np.int64)),
        start=columns[0],
        open=columns[1],
        high=columns[2],
        low=columns[3],
        close=columns[4],
        volume=volume,
        open_interest=interest,
        source=read_only(np.full(len(rows), BarSource.HISTORY, np.uint8)),
        decimals=read_only(np.array([decimals], np.uint8)),
    )


def _request(instrument: Instrument, priority: int, missing: Integers) -> HistoryRequest:
    return HistoryRequest(instrument, priority, int(missing[0]), int(missing[-1]), len(missing))


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
