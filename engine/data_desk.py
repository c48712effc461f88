"""The market data of one engine: connections, quotes, the tape, logins, and the engine room that shows all of it.

What derives history from frames (money, candles) is called with the market time of each frame before it is applied, so
that a recorded day played again gives the same history.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from engine.bar_days import BarDays
from engine.bars_service import BarsService
from engine.core.errors import BrokerError, Refused, StorageError, UnknownInstrument
from engine.core.execution import JournalView
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.operations import OperationsView, QueueView
from engine.core.replay import ReplayAction, ReplayView
from engine.core.views import Integers
from engine.core.vocabulary import Venue
from engine.event_log import EventLog
from engine.feed_service import FeedService, connections_of
from engine.loop_lag import LoopLag
from engine.market.minute_columns import Flags
from engine.market.quotes_board import QuotesBoard
from engine.market.recorder import Recorder, TapeFacts
from engine.market.staleness import FeedHealth, Staleness
from engine.market.subscriptions import Subscriptions
from engine.market_day import MarketDay
from engine.parts import EngineParts
from engine.session_watch import SessionWatch
from engine.supervision import Supervisor

logger = logging.getLogger(__name__)

NS_PER_S = 1_000_000_000
TAPE_LOOK_S = 0.05
NO_REPLAY = "This venue plays no tape; open one with `workstation replay TAPE`."
NO_TAPE = "This engine keeps no tape: it only looks, or it plays one."


class DataDesk:
    """Makes and joins the parts; the engine runs ``services``.

    Args:
        parts: What the engine is made of.
        subscriptions: What is wanted.
        events: Where it is said.
        supervisor: Whom degraded parts are declared to.
        day: Today's market; asked for once the engine has started.
        account: Whose engine it is; asked for once the engine has started.
        on_text: Takes the feed's text frames, each with the account whose connection brought it.
        on_reconnect: Hears whose order updates may be missing.
        on_time: Told the market time of a frame before it is applied, nanoseconds since the epoch.
        may_write: Whether this engine is the writer, now.
    """

    def __init__(
        self,
        parts: EngineParts,
        *,
        subscriptions: Subscriptions,
        events: EventLog,
        supervisor: Supervisor,
        day: Callable[[], MarketDay],
        account: Callable[[], str],
        on_text: Callable[[str, str], None],
        on_reconnect: Callable[[str], None],
        on_time: Callable[[int], None],
        may_write: Callable[[], bool],
    ) -> None:
        settings = parts.settings
        self._parts = parts
        self._subscriptions = subscriptions
        self._supervisor = supervisor
        self._day = day
        self.board = QuotesBoard(limit=settings.board_slots_max)
        self.health = FeedHealth(connections_of(parts.feed_keys))
        self.states = Staleness(self.health, silence_limit_s=settings.silence_limit_s)
        self.recorder: Recorder | None = None
        if parts.tapes is not None and not parts.read_only and parts.source.venue is not Venue.REPLAY:
            self.recorder = Recorder(
                parts.tapes,
                describe=lambda: TapeFacts(
                    venue=parts.source.venue, account=account(), day=day().today(), note=parts.source.note
                ),
                instruments=lambda: day().index.instruments,
                clock=parts.clock,
                zone=parts.calendar.zone,
                program=parts.program,
                settings=settings.recorder,
                declare=supervisor.declare,
            )
        self.feed = FeedService(
            keys=parts.feed_keys,
            make_ticker=parts.make_ticker,
            board=self.board,
            health=self.health,
            subscriptions=subscriptions,
            clock=parts.clock,
            events=events,
            quote_now_ns=self.now_ns,
            on_text=on_text,
            on_reconnect=on_reconnect,
            on_time=on_time,
            on_record=self.recorder.on_record if self.recorder is not None else None,
            is_open=lambda: day().is_open(),
            silence_limit_s=settings.silence_limit_s,
            settings=settings.feed,
        )
        self.bars = BarsService(
            self.board,
            parts.repositories.bars,
            reads=parts.reads if parts.playback is None else None,
            clock=parts.clock,
            days=BarDays(parts.calendar, lambda: day().reading),
            instrument_of=self._instrument,
            find=self._find,
            wanted=lambda: {token: subscriptions.priority_of(token) for token in subscriptions.desired},
            may_write=may_write,
            declare=supervisor.declare,
            suspect=self.suspect if parts.playback is None else self._lost_on_tape,
            settings=settings.bars,
        )
        self.sessions = SessionWatch(
            parts.reads.accounts,
            stored=parts.sessions,
            renew_feed=self.feed.renew,
            clock=parts.clock,
            events=events,
            declare=supervisor.declare,
            warn_before_s=parts.session_warning_s,
            every_s=settings.session_look_s,
        )
        self._deleting: set[asyncio.Task[None]] = set()
        self.played: ReplayView | None = None
        """Where the tape stood when it was last asked; ``None`` when there is none."""
        self._lag = LoopLag(parts.clock, every_s=settings.lag_every_s, kept_s=settings.lag_kept_s)

    def now_ns(self) -> int:
        """The clock that ages of quotes are measured by, nanoseconds."""
        return int(self._parts.quote_clock.monotonic() * NS_PER_S)

    def services(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        """What runs as long as the engine does: name and service."""
        services: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("feed", self.feed.run),
            ("candles", self.bars.run),
            ("sessions", self.sessions.run),
            ("loop lag", self._lag.run),
        ]
        if self._parts.playback is not None:
            services.append(("replay", self._follow_replay))
        if self.recorder is not None:
            services.append(("recorder", self.recorder.run))
        return tuple(services)

    def on_time(self, market_ns: int) -> None:
        """Market time goes on to a moment (nanoseconds since the epoch); what arrived before has been applied."""
        self.bars.on_time(market_ns)

    def restart(self, moment: datetime) -> None:
        """A tape begins again at a moment of market time."""
        task = asyncio.create_task(self._delete(self.bars.restart(moment)), name="candles of an earlier play")
        self._deleting.add(task)
        task.add_done_callback(self._deleting.discard)

    async def _delete(self, deleting: Awaitable[object]) -> None:
        try:
            await deleting
        except StorageError as error:
            # Tried again before anything new is written.
            logger.warning("candles of an earlier play could not be deleted yet: %s", error)

    def renew(self, account: str) -> None:
        """Put a new login in force.

        Raises:
            Refused: there is none, or this venue needs none.
        """
        self.sessions.renew(account)
        self.bars.session_renewed()

    async def stop(self) -> None:
        """Write what is owed.

        Raises:
            StorageError: candles could not be written and are lost.
        """
        for task in self._deleting:
            task.cancel()
        await asyncio.gather(*self._deleting, return_exceptions=True)
        await self.bars.stop()

    async def record(self, on: bool) -> None:
        """Begin or end a tape.

        Raises:
            Refused: this engine keeps none, or it could not be begun.
        """
        if self.recorder is None:
            raise Refused(NO_TAPE)
        await self.recorder.switch(on)

    async def replay(self, action: ReplayAction | None) -> ReplayView:
        """Where the tape stands after an action, or now.

        Raises:
            Refused: this venue plays no tape, or it cannot be done.
        """
        if self._parts.playback is None:
            raise Refused(NO_REPLAY)
        if action is not None and self.played is not None and not self.played.frames:
            await self._heard()
        self.played = await self._parts.playback.act(action)
        return self.played

    async def _heard(self) -> None:
        """Wait until the tape's connection is there and has been told what is wanted: nothing of it may be missed.

        Raises:
            Refused: it does not come.
        """
        clock, settings = self._parts.clock, self._parts.settings
        deadline = clock.monotonic() + settings.first_quote_wait_s
        while not self.feed.is_told:
            if clock.monotonic() >= deadline:
                raise Refused("The tape is not connected yet; ask again in a moment.")
            await clock.sleep(TAPE_LOOK_S)

    async def _follow_replay(self) -> None:
        while True:
            try:
                await self.replay(None)
            except BrokerError as error:
                self._supervisor.declare("replay", f"The tape does not answer: {error}")
            else:
                self._supervisor.declare("replay", "")
            await self._parts.clock.sleep(self._parts.settings.replay_look_s)

    def operations(self, degraded: Sequence[str], journals: Sequence[JournalView]) -> OperationsView:
        """The engine room now."""
        day, feed = self._day(), self.feed
        return OperationsView(
            at=self._parts.clock.market_now(),
            connections=feed.connection_views(self.now_ns(), session_open=day.is_open()),
            capacity=feed.capacity,
            subscribed=len(self._subscriptions.desired),
            consumers=feed.consumers(),
            refused=feed.refused_views(self._name_of),
            out_of_order=self.board.out_of_order,
            disowned_stamps=self.board.disowned_stamps,
            states=self.states.states_count(self.board, self.now_ns()),
            queues=self._queues(),
            recorder=self.recorder.view() if self.recorder is not None else None,
            gaps=self.bars.gaps(),
            accounts=self._parts.reads.health(),
            instruments_day=day.loaded.day,
            instruments_rows=day.loaded.rows,
            instruments_note=day.loaded.note,
            loop_lag_ms=self._lag.worst_ms,
            degraded=tuple(degraded),
            journals=tuple(journals),
        )

    def _queues(self) -> tuple[QueueView, ...]:
        recorder = (self.recorder.queue(),) if self.recorder is not None else ()
        return (*recorder, self.bars.queue())

    def suspect(self, paths: Integers) -> Flags:
        """Which of some paths cannot be trusted now."""
        return self.health.suspect(paths, self.now_ns(), round(self._parts.settings.silence_limit_s * NS_PER_S))

    def _lost_on_tape(self, paths: Integers) -> Flags:
        """In a replay only what the tape says of its feed counts: how long nothing came is a matter of its speed."""
        return self.health.suspect(paths, 0, 0)

    def _instrument(self, token: int) -> Instrument | None:
        return self._day().index.get(token)

    def _find(self, key: InstrumentKey) -> Instrument | None:
        try:
            return self._day().index.by_key(key)
        except UnknownInstrument:
            return None

    def _name_of(self, token: int) -> str:
        instrument = self._day().index.get(token)
        return str(instrument.key) if instrument is not None else str(token)
