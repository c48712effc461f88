"""One desk's engine: starts the services, joins them, keeps them running, and stops them in order.

Nothing here decides about prices, orders or money; the parts do. Crash-only: a start after a kill is a start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from engine.analysis.desk_analysis import DeskAnalysis
from engine.board_marks import BoardMarks
from engine.brokers.kite.feed_messages import ClockEvent, ClockWord, FeedTextKind, parse_text
from engine.chain_desk import ChainDesk
from engine.core.accounts import Account, Profile
from engine.core.errors import BrokerError, InvariantBroken, StorageError, WorkstationError
from engine.core.events import EventKind
from engine.core.orders import OrderEvent, OrderRecord, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.vocabulary import Exchange, Mode, Severity, Venue
from engine.data_desk import DataDesk
from engine.event_log import EventLog
from engine.execution.executor import OrderExecutor
from engine.execution.notices import Notice
from engine.instrument_service import InstrumentService
from engine.interests import Interests
from engine.market.feed_pool import FeedPool
from engine.market.subscriptions import Subscriptions
from engine.market_day import MarketDay
from engine.order_facts import EngineFacts
from engine.order_log import OrderLog
from engine.parts import EngineParts
from engine.portfolio.book import PortfolioBook
from engine.portfolio.charges_book import ChargesBook
from engine.portfolio.service import PortfolioService
from engine.strike_windows import StrikeWindows
from engine.supervision import Supervisor

logger = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NS_PER_US = 1_000
EXCHANGES = (Exchange.NFO, Exchange.BFO, Exchange.NSE, Exchange.BSE)
REFERENCE_BYTES = 12


class Engine:
    """Make it, ``start`` it, look at and command it through ``LocalClient``, ``stop`` it."""

    def __init__(self, parts: EngineParts) -> None:
        """Nothing happens before ``start``."""
        self.parts = parts
        settings = parts.settings
        self.clock = parts.clock
        self.events = EventLog(parts.clock, kept_max=settings.events_kept_max)
        self.order_log = OrderLog(kept_max=settings.order_changes_kept_max)
        self.supervisor = Supervisor(parts.clock, self.events, pauses_s=settings.restart_pauses_s)
        self.subscriptions = Subscriptions(capacity=min(FeedPool(parts.feed_keys).capacity, settings.board_slots_max))
        self.data = DataDesk(
            parts,
            subscriptions=self.subscriptions,
            events=self.events,
            supervisor=self.supervisor,
            day=lambda: self.day,
            account=lambda: self.account,
            on_text=self._on_text,
            on_reconnect=self._on_reconnect,
            on_time=self._on_time,
            may_write=lambda: self.writer,
        )
        self.feed = self.data.feed
        self._has_daily_dump = parts.source.venue in {Venue.LIVE, Venue.PAPER}
        self._instruments = InstrumentService(
            parts.reads,
            parts.repositories.instruments,
            parts.rules,
            exchanges=EXCHANGES,
            made_at=settings.instruments_made_at if self._has_daily_dump else None,
            zone=parts.calendar.zone,
        )
        self.mode = parts.start_mode
        self.executor: OrderExecutor | None = None
        self.portfolio: PortfolioService | None = None
        self.funds: Funds | None = None
        self.positions: tuple[BrokerPosition, ...] | None = None
        self.writer = False
        self._services: set[asyncio.Task[None]] = set()

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the venue, the account and the instruments, connect the feed, load the journal and the ledger.

        Raises:
            WorkstationError: something without which there is nothing to show (instruments, account, database).
        """
        parts = self.parts
        await parts.rule_book.refresh(parts.repositories.rules)
        now = parts.clock.market_now()
        today = parts.calendar.day_of(now)
        self.profile, loaded = await asyncio.gather(
            parts.reads.profile(), self._instruments.load(today, read_only=parts.read_only, now=now)
        )
        self.account = self.profile.account_id
        self.day = MarketDay(
            loaded,
            board=self.data.board,
            states=self.data.states,
            calendar=parts.calendar,
            rules=parts.rules,
            clock=parts.quote_clock,
            reading=parts.first_reading,
        )
        self._day_date = today
        self.chains = ChainDesk(self.day, self.subscriptions, parts.chain, on_wishes=self.feed.sync)
        self.facts = EngineFacts(self.day, self._book, lambda: self.mode)
        self.analysis = DeskAnalysis(
            parts,
            self.day,
            self.chains,
            self.facts,
            portfolio=lambda: self.portfolio,
            may_write=lambda: self.writer,
            declare=self.supervisor.declare,
        )
        self.interests = Interests(
            self.subscriptions,
            self.feed,
            self.chains,
            self.facts,
            book=self._book,
            orders=self.orders,
            strip=parts.strip,
        )
        self.interests.want_strip()
        if parts.stream_clock is not None:
            self.interests.want_tape(instrument.token for instrument in self.day.index.instruments)
        windows = StrikeWindows(self.day, self.chains, parts.settings.window)
        for name, service in self.data.services():
            self._serve(name, service)
        self._serve("strike windows", windows.run)
        self.supervisor.declare("instruments", loaded.note)
        await self._take_over()
        self._serve("venue", self._follow_venue)
        self._serve("funds", self._follow_funds)
        self._serve("upkeep", self._upkeep)
        if self.portfolio is not None:
            self._serve("portfolio", self.portfolio.run)
        self._serve("attribution", self.analysis.strategies.run)
        self._serve("chain history", self.analysis.series.run)

    async def stop(self) -> None:
        """Stop in order: answers that are out are waited for, what is owed is written, then the rest ends."""
        if self.executor is not None:
            await self.executor.stop()
        if self.portfolio is not None and self.writer:
            try:
                await self.portfolio.stop()
            except StorageError as error:
                logger.error("the portfolio could not be written at the end: %s", error)  # noqa: TRY400 - expected
        if self.writer:
            try:
                await self.analysis.series.stop()
            except StorageError as error:
                logger.error("%d chain minutes could not be written: %s", self.analysis.series.waiting, error)  # noqa: TRY400
        try:
            await self.data.stop()
        except StorageError as error:
            logger.error("price candles could not be written: %s", error)  # noqa: TRY400 - expected
        self.feed.stopping()
        for task in self._services:
            task.cancel()
        if self._services:
            _, late = await asyncio.wait(self._services, timeout=self.parts.settings.stop_timeout_s)
            for task in late:
                logger.error("the service %s did not stop", task.get_name())
        if self.writer:
            self.writer = False
            try:
                await self.parts.repositories.writer_lock.release(self.account)
            except StorageError as error:
                logger.warning("the writer lock could not be given back: %s", error)

    # -- pictures for the client -----------------------------------------------------------------------------------

    def orders(self) -> tuple[OrderRecord, ...]:
        """Orders in memory, oldest first."""
        return self.executor.orders() if self.executor is not None else ()

    @property
    def degraded(self) -> tuple[str, ...]:
        """What does not run as it should, one sentence each."""
        own = list(self.supervisor.degraded)
        if self.executor is not None:
            view = self.executor.snapshot()
            own += view.degraded
            own += [f"Mismatch: {sentence}." for sentence in view.mismatches]
        if self.portfolio is not None and self.portfolio.degraded:
            own.append(self.portfolio.degraded)
        return tuple(own)

    async def watch(self, tokens: tuple[int, ...]) -> None:
        """Count one watch of each instrument and subscribe."""
        self.interests.watch(tokens)

    async def unwatch(self, tokens: tuple[int, ...]) -> None:
        """Give up one watch of each."""
        self.interests.unwatch(tokens)

    # -- listeners of the executor -----------------------------------------------------------------------------------

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        """An order stands differently; what a person should read of it comes as a notice."""
        self.order_log.add(record)
        self.interests.own_changed()

    def on_notice(self, notice: Notice) -> None:
        """The executor has something to say."""
        self.events.add(notice.kind, notice.text, severity=notice.severity, subject=notice.subject, seat=notice.seat)

    # -- services --------------------------------------------------------------------------------------------------

    def _serve(self, name: str, service: Callable[[], Awaitable[None]]) -> None:
        async def supervised() -> None:
            try:
                await self.supervisor.run(name, service)
            except InvariantBroken as error:
                self.supervisor.declare(name, f"{name} has stopped for good: {error}.")

        task = asyncio.create_task(supervised(), name=name)
        self._services.add(task)
        task.add_done_callback(self._services.discard)

    async def _take_over(self) -> None:
        """Become the writer if nobody else is; load portfolio and orders either way."""
        parts = self.parts
        epoch = None
        if not parts.read_only:
            epoch = await parts.repositories.writer_lock.acquire(self.account)
            if epoch is None:
                self.supervisor.declare(
                    "writer", f"Another engine is the writer of {self.account}: this one can only look."
                )
        self.writer = epoch is not None
        if epoch is not None:
            self.supervisor.declare("writer", "")
            await parts.repositories.accounts.save(self._account_row(self.profile))
        await self._start_portfolio(epoch or 0)
        if epoch is not None and self.portfolio is not None:
            executor = OrderExecutor(
                self.account,
                road=parts.road,
                reads=parts.reads,
                journal=parts.repositories.journal,
                facts=self.facts,
                clock=self.clock,
                random_bytes=parts.random_bytes,
                settings=parts.execution,
                listener=self,
                fills=self,
                epoch=epoch,
                ledger_check=self._check_ledger,
                server_offset_s=parts.server_offset_s,
                server_uncertainty_s=parts.server_uncertainty_s,
            )
            await executor.start()
            self.executor = executor
            self._serve("executor", executor.run)

    async def _start_portfolio(self, epoch: int) -> None:
        parts = self.parts
        portfolio = PortfolioService(
            self.account,
            ledger=parts.repositories.ledger,
            strategies=parts.repositories.strategies,
            candles=parts.repositories.candles,
            clock=self.clock,
            marks=BoardMarks(self.day, self.chains),
            on_event=self.events.add,
            settings=parts.portfolio,
            epoch=epoch,
            new_reference=lambda: parts.random_bytes(REFERENCE_BYTES).hex(),
            is_session_open=self.day.is_open_at,
            charges=ChargesBook(
                parts.charge_rates, zone=parts.portfolio.zone, order_quantity_max=self.facts.order_quantity_max
            ),
        )
        portfolio.listen(self.analysis.strategies.on_entries)
        try:
            await portfolio.start()
        except StorageError:
            if self.writer:
                raise
            return  # a reader of an empty database: there is nothing to show and nothing may be written
        self.portfolio = portfolio
        self.interests.hold()

    async def on_trades(self, trades: tuple[Trade, ...]) -> None:
        """Fills from the executor: the ledger books each once."""
        if self.portfolio is not None:
            await self.portfolio.on_trades(trades)
            self.interests.hold()

    async def _check_ledger(self, _trades: tuple[Trade, ...]) -> tuple[str, ...]:
        if self.portfolio is None:
            return ()
        try:
            self.positions = await self.parts.reads.positions()
        except BrokerError as error:
            logger.warning("positions could not be compared: %s", error)
            return ()
        return tuple(mismatch.sentence.rstrip(".") for mismatch in self.portfolio.compare(self.positions))

    async def _follow_venue(self) -> None:
        settings = self.parts.settings
        while True:
            try:
                reading = await self.parts.source.read()
            except BrokerError as error:
                self.supervisor.declare("venue", f"The venue does not answer: {error}")
            else:
                self.supervisor.declare("venue", "")
                self.parts.on_reading(reading)
                was_open = self.day.is_open()
                self.day.read_venue(reading)
                if was_open != self.day.is_open():
                    word = "open" if self.day.is_open() else "closed"
                    self.events.add(EventKind.SESSION, f"The session is {word}.", subject="session")
            await self.clock.sleep(settings.venue_poll_s)

    async def _follow_funds(self) -> None:
        while True:
            try:
                self.funds = await self.parts.reads.funds()
            except BrokerError as error:
                self.supervisor.declare("funds", f"Funds could not be read: {error}")
            else:
                self.supervisor.declare("funds", "")
            await self.clock.sleep(self.parts.settings.funds_poll_s)

    async def _upkeep(self) -> None:
        while True:
            await self.clock.sleep(self.parts.settings.upkeep_s)
            self.day.refresh_sessions()
            self.interests.share_own()
            today = self.day.today()
            is_due = self._has_daily_dump and self._instruments.is_due(
                self.day.loaded, today, self.day.clock.market_now()
            )
            if is_due or (today != self._day_date and self.day.is_open()):
                await self._roll()
            if not self.writer and not self.parts.read_only and self.executor is None:
                await self._retry_writer()

    async def _retry_writer(self) -> None:
        try:
            await self._take_over()
        except WorkstationError as error:
            logger.warning("could not become the writer: %s", error)
        else:
            if self.writer and self.portfolio is not None:
                self._serve("portfolio", self.portfolio.run)
                self.events.add(EventKind.SYSTEM, "This engine is the writer now.", subject="writer")

    async def _roll(self) -> None:
        """A new exchange day: new instruments, chains rebuilt, the strip subscribed again."""
        today = self.day.today()
        parts, is_new = self.parts, self.day.today() != self._day_date
        await parts.rule_book.refresh(parts.repositories.rules)
        loaded = await self._instruments.load(
            today, read_only=parts.read_only or not self.writer, now=self.clock.market_now()
        )
        self.day.roll(loaded)
        self._day_date = today
        self.chains.roll()
        self.interests.want_strip()
        self.interests.hold()
        self.supervisor.declare("instruments", loaded.note)
        what = f"A new day: {today:%a %d %b}" if is_new else f"New instruments of {loaded.day:%a %d %b}"
        self.events.add(EventKind.SESSION, f"{what}, {loaded.rows} instruments.")

    def _book(self) -> PortfolioBook | None:
        return self.portfolio.book if self.portfolio is not None else None

    def _on_text(self, payload: str) -> None:
        """What may be about an order is a hint to read the book, never trusted itself; the rest goes to the events."""
        heard = parse_text(payload, self.clock.market_now())
        if heard.kind is FeedTextKind.ERROR:
            text = f"The feed says: {heard.words}"
            self.events.add(EventKind.FEED, text, severity=Severity.ATTENTION, subject="feed")
        elif heard.kind is FeedTextKind.MESSAGE:
            self.events.add(EventKind.FEED, f"The broker says: {heard.words}", subject="feed")
        elif heard.clock is not None:
            self._on_clock(heard.clock)
        elif heard.kind is not FeedTextKind.UNREADABLE and self.executor is not None:
            self.executor.on_order_update(heard.order)

    def _on_clock(self, word: ClockWord) -> None:
        """The tape says what time it is; nobody else may: elsewhere market time is not the feed's to say."""
        clock = self.parts.stream_clock
        if clock is None:
            return
        if word.event is ClockEvent.RESTART:
            clock.restart(word.ns)
            moment = clock.market_now()
            self.feed.restart()
            if self.portfolio is not None:
                self.portfolio.restart(moment)
            self.analysis.series.restart(moment)
            self.analysis.strategies.restart()
            self.data.restart(moment)
            self.events.add(EventKind.SESSION, "The tape begins again.", subject="replay")
            return
        self._on_time(word.ns)
        clock.tell(word.ns)
        if word.event is ClockEvent.LOST:
            self.feed.lost_on_tape()
        elif word.event is ClockEvent.BACK:
            self.feed.back_on_tape()

    def _on_time(self, market_ns: int) -> None:
        """Market time goes on to a moment, and nothing that arrives from then on has been applied yet."""
        if self.portfolio is not None:
            self.portfolio.sample_to(EPOCH + timedelta(microseconds=market_ns // NS_PER_US))
        self.data.on_time(market_ns)

    def _on_reconnect(self) -> None:
        if self.executor is not None:
            self.executor.on_reconnect()

    def _account_row(self, profile: Profile) -> Account:
        return Account(
            account_id=profile.account_id,
            name=profile.name,
            venue=self.parts.source.venue,
            created_at=self.clock.market_now(),
        )

    def set_mode(self, mode: Mode, *, seat: str) -> None:
        """Arm or disarm."""
        if mode is not self.mode:
            self.mode = mode
            self.events.add(EventKind.SYSTEM, f"The mode is {mode}.", subject="mode", seat=seat)
