"""Price candles of one engine: made of what the feed brings, kept, filled from the broker's history, and read.

Register with the feed: every frame's packets come through the board's hook, and ``on_time`` is told the market time of
each frame before it is applied, so that a minute is closed by what came before its end alone. Only the writer of the
account stores; an engine that only looks makes candles for its own eyes.

In a replay (``reads=None``) nothing is asked of a broker, and market time is the tape's: the same frames give the same
rows, bit for bit, at every speed; ``restart`` lets a tape that goes back begin again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from engine.bar_days import BarDays
from engine.bar_views import BarsQuestion, bars_view
from engine.bars_settings import BarsSettings
from engine.core.bars import BarInterval, BarsView, MinuteBars
from engine.core.errors import StorageError, UnknownInstrument
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.operations import GapView, QueueView
from engine.core.ports import Clock
from engine.core.repositories import BarRepository
from engine.core.views import Integers
from engine.core.vocabulary import InstrumentKind
from engine.history_filler import HistoryFiller, HistoryReads
from engine.market.bar_backlog import BarBacklog
from engine.market.bar_batches import chosen, merged, read_only
from engine.market.bar_gaps import MINUTE_S, expected_minutes, missing_minutes
from engine.market.bar_sessions import SessionHours
from engine.market.minute_bars import MinuteBarMaker
from engine.market.minute_columns import Flags
from engine.market.quotes_board import Applied, QuotesBoard

logger = logging.getLogger(__name__)

NAME: Final = "candles"
POLICY: Final = "the oldest are dropped"
NO_GAPS: Final = GapView(instruments=0, minutes=0, filled=0, waiting=0, eta_s=None)
_NS_PER_S: Final = 1_000_000_000
_NS_PER_US: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class BarsService:
    """The candles of one engine.

    Args:
        board: whose packets they are made of; the service registers with it at once.
        repository: where they are kept.
        reads: the broker's history; ``None`` asks nobody (a replay).
        clock: market time; pauses are of this machine.
        days: sessions.
        instrument_of: the instrument of a token today, or ``None``.
        find: the instrument of a name today, or ``None``.
        wanted: tokens whose gaps are filled, with their priority, now.
        may_write: whether this engine is the writer, now.
        declare: says in words what does not run as it should; an empty sentence takes it back.
        suspect: which of the board's paths cannot be trusted now; see ``MinuteBarMaker``.
        settings: paces and bounds.
    """

    def __init__(
        self,
        board: QuotesBoard,
        repository: BarRepository,
        *,
        reads: HistoryReads | None,
        clock: Clock,
        days: BarDays,
        instrument_of: Callable[[int], Instrument | None],
        find: Callable[[InstrumentKey], Instrument | None],
        wanted: Callable[[], Mapping[int, int]],
        may_write: Callable[[], bool],
        declare: Callable[[str, str], None],
        suspect: Callable[[Integers], Flags] | None,
        settings: BarsSettings,
    ) -> None:
        self._repository = repository
        self._clock = clock
        self._days = days
        self._instrument_of = instrument_of
        self._find = find
        self._wanted = wanted
        self._may_write = may_write
        self._declare = declare
        self._settings = settings
        self._maker = MinuteBarMaker(board, hours=days.hours, key_of=self._key_of, suspect=suspect)
        self._backlog = BarBacklog(repository, batch_max=settings.batch_max, waiting_max=settings.waiting_max)
        self._filler: HistoryFiller | None = None
        if reads is not None and settings.history:
            self._filler = HistoryFiller(
                reads,
                known=self._known_of_many,
                keep=self._backlog.add,
                clock=clock,
                days=days,
                instrument_of=instrument_of,
                sound_since=self._maker.sound_since,
                settings=settings,
            )
        self._cleaned: int | None = None
        self._told_dropped = 0
        board.add_hook(self._on_applied)

    # -- what comes in -------------------------------------------------------------------------------------------------

    def on_time(self, market_ns: int) -> None:
        """End the minute that is over by ``market_ns``, before what was received then is applied."""
        self._maker.close_until(market_ns)
        self._drain()

    def _on_applied(self, applied: Applied) -> None:
        self._maker.apply(applied)
        self._drain()

    def _drain(self) -> None:
        finished = self._maker.take()
        if finished is not None:
            self._backlog.add(finished)

    def _key_of(self, token: int) -> InstrumentKey | None:
        instrument = self._instrument_of(token)
        return None if instrument is None else instrument.key

    # -- life ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Close, write, fill and clean up until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._close_always(), name=f"{NAME}: closing")
            group.create_task(self._save_always(), name=f"{NAME}: writing")
            group.create_task(self._clean_daily(), name=f"{NAME}: cleaning")
            if self._filler is not None:
                group.create_task(self._filler.run(self._wanted, self._may_write), name=f"{NAME}: filling")

    async def stop(self) -> None:
        """Write what has ended. The minute that runs is not written: what was seen of it is no minute.

        Raises:
            StorageError: it could not be written and is lost.
        """
        self.on_time(self._market_ns())
        if self._may_write():
            await self._backlog.save()

    def restart(self, moment: datetime) -> Coroutine[None, None, int]:
        """Forget every candle of ``moment`` (aware, market time) and later: the tape begins again there.

        What is in memory is forgotten when this is called, so the very next frame begins anew; what is stored is
        deleted by the coroutine it returns, or, should that fail, before the next write.

        Raises:
            StorageError: (by the coroutine) the database did not delete them yet.
        """
        self._maker.restart()
        self._backlog.clear(moment if self._may_write() else None)
        return self._backlog.save()

    def session_renewed(self) -> None:
        """The broker's session is a new one: history is asked for again."""
        if self._filler is not None:
            self._filler.resume()

    # -- views ---------------------------------------------------------------------------------------------------------

    def gaps(self) -> GapView:
        """What is missing, and what is done about it."""
        return NO_GAPS if self._filler is None else self._filler.view()

    def queue(self) -> QueueView:
        """Candles on their way to the database."""
        maker = self._maker
        words = []
        if maker.backwards:
            words.append(f"{maker.backwards} volume counters ran backwards")
        if maker.nameless:
            words.append(f"{maker.nameless} candles of tokens that today's dump does not list")
        return QueueView(
            name=NAME,
            waiting=self._backlog.waiting,
            limit=self._backlog.limit,
            dropped=self._backlog.dropped,
            policy=POLICY,
            message="; ".join(words),
        )

    async def bars(
        self,
        instrument: Instrument | InstrumentKey,
        interval: BarInterval,
        start: datetime,
        end: datetime,
        indicators: Sequence[str] = (),
    ) -> BarsView:
        """Candles that begin in [start, end), the running one included, oldest first.

        What is missing is asked of the broker, and waited for a little.

        Raises:
            UnknownInstrument: no instrument of today, and nothing is stored under this name.
            InvalidInput: a time without a zone, an empty or too long span, or an indicator that is not understood.
            StorageError: the database cannot be read.
        """
        settings = self._settings
        question = BarsQuestion.asked(interval, start, end, indicators, settings=settings)
        key = instrument.key if isinstance(instrument, Instrument) else instrument
        listed = self._find(key)
        sessions = self._days.between(question.first, question.end)
        begins = min([question.first, *(hours.day_start_s for hours in sessions[:1])])
        ends = max([question.end, *(hours.close_s for hours in sessions[-1:])])
        bars = await self._known(key, begins, ends)
        note = ""
        if listed is None:
            if not len(bars.place) and not await self._repository.last([key]):
                raise UnknownInstrument(
                    f"No instrument is called {key} today, and no candles are stored under this name.",
                    field="instrument",
                )
            missing = _holes(bars, sessions)
            note = f"{key} is not listed today: what is not stored cannot be asked for."
        else:
            missing = self._missing(listed, bars, sessions)
            if len(missing):
                note = await self._ask(listed, missing)
                bars = await self._known(key, begins, ends)
                missing = self._missing(listed, bars, sessions)
        return bars_view(
            key,
            question,
            bars,
            running=None if listed is None else self._maker.running(listed.token),
            missing=missing,
            sessions=sessions,
            now=int(self._clock.market_now().timestamp()),
            is_index=listed is not None and listed.kind is InstrumentKind.INDEX,
            note=note if len(missing) else "",
        )

    # -- reading -------------------------------------------------------------------------------------------------------

    async def _ask(self, instrument: Instrument, missing: Integers) -> str:
        """Ask the broker for what is missing; returns why it is not there, in case it is not."""
        filler = self._filler
        if filler is None:
            return "Nobody is asked for what is missing here."
        why = filler.why_nothing(instrument.key)
        if why:
            return f"{why[0].upper()}{why[1:]}."
        longest = timedelta(days=self._settings.span_days_max) // timedelta(seconds=1)
        recent = missing[missing > missing[-1] - longest]
        if await filler.ask(instrument, recent, wait_s=self._settings.history_wait_s):
            return ""
        return "The broker's history has not answered yet; ask again."

    def _missing(self, instrument: Instrument, bars: MinuteBars, sessions: Sequence[SessionHours]) -> Integers:
        if self._filler is not None:
            return self._filler.missing(instrument, bars, sessions)
        now = int(self._clock.market_now().timestamp())
        sound_ns = self._maker.sound_since(instrument.token)
        sound_from = None if sound_ns is None else -(-sound_ns // _NS_PER_S)
        is_index = instrument.kind is InstrumentKind.INDEX
        expected = [expected_minutes(hours, now, is_index=is_index) for hours in sessions]
        parts = [missing_minutes(minutes, bars.start, bars.source, sound_from=sound_from) for minutes in expected]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    async def _known(self, key: InstrumentKey, start: int, end: int) -> MinuteBars:
        """Candles of an instrument that begin in [start, end), stored or not."""
        return await self._known_of_many([key], _moment(start), _moment(end))

    async def _known_of_many(self, keys: Sequence[InstrumentKey], start: datetime, end: datetime) -> MinuteBars:
        unsaved = self._backlog.of(keys)  # before the database is asked: a batch may be written meanwhile
        stored = await self._repository.between(keys, start, end)
        bars = merged([stored, unsaved, self._backlog.of(keys)])
        inside = (bars.start >= start.timestamp()) & (bars.start < end.timestamp())
        return bars if inside.all() else chosen(bars, inside)

    # -- services ------------------------------------------------------------------------------------------------------

    def _market_ns(self) -> int:
        return (self._clock.market_now() - _EPOCH) // _MICROSECOND * _NS_PER_US

    async def _close_always(self) -> None:
        while True:
            self.on_time(self._market_ns())
            await self._clock.sleep(self._settings.tick_s)

    async def _save_always(self) -> None:
        while True:
            await self._clock.sleep(self._settings.save_s)
            if not (self._backlog.waiting and self._may_write()):
                continue
            try:
                await self._backlog.save()
            except StorageError as error:
                logger.warning("candles could not be written, %d wait: %s", self._backlog.waiting, error)
                lost = ", and the oldest are lost" if self._backlog.dropped > self._told_dropped else ""
                self._declare(NAME, f"Candles wait for the database{lost}: {error}")
            else:
                self._told_dropped = self._backlog.dropped
                self._declare(NAME, "")

    async def _clean_daily(self) -> None:
        while True:
            now = self._clock.market_now()
            today = self._days.day_of(int(now.timestamp()))
            if today != self._cleaned and self._may_write():
                try:
                    deleted = await self._repository.delete_before(now - timedelta(days=self._settings.keep_days))
                except StorageError as error:
                    logger.warning("old candles could not be deleted, tried again: %s", error)
                else:
                    self._cleaned = today
                    logger.info("%d old candles deleted", deleted)
            await self._clock.sleep(self._settings.retention_check_s)


def _holes(bars: MinuteBars, sessions: Sequence[SessionHours]) -> Integers:
    """Missing minutes of an instrument that is not listed: between its first candle and its last."""
    if not len(bars.start):
        return np.zeros(0, np.int64)
    parts = [
        missing_minutes(
            expected_minutes(hours, int(bars.start[-1]) + MINUTE_S, is_index=False), bars.start, bars.source
        )
        for hours in sessions
    ]
    missing = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return read_only(missing[missing > bars.start[0]])


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)
