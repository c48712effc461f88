"""One desk's engine: starts the services, joins them, keeps them running, and stops them in order.

Nothing here decides about prices, orders or money; the parts do. What belongs to one account is in its ``AccountDesk``,
what is the same for all of them here. Crash-only: a start after a kill is a start.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

from engine.account_desk import AccountDesk
from engine.account_desks import AccountDesks, by_number
from engine.analysis.desk_analysis import DeskAnalysis
from engine.arming import Arming, short_budget
from engine.brokers.kite.feed_messages import ClockEvent, ClockWord, FeedTextKind, parse_text
from engine.chain_desk import ChainDesk
from engine.core.accounts import Profile
from engine.core.commands import Interpretation
from engine.core.errors import BrokerError, StorageError
from engine.core.events import EventKind
from engine.core.execution import JournalView
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.orders import OrderRecord
from engine.core.vocabulary import Exchange, QuoteState, Severity, Venue
from engine.data_desk import DataDesk
from engine.event_log import EventLog
from engine.halt_service import HaltService
from engine.instrument_service import InstrumentService, LoadedInstruments
from engine.interests import Interests
from engine.lookups import Lookups
from engine.market.feed_pool import FeedPool
from engine.market.subscriptions import Subscriptions
from engine.market_day import MarketDay
from engine.order_log import OrderLog
from engine.parts import EngineParts
from engine.portfolio.book import PortfolioBook
from engine.sentences import Sentences
from engine.strike_windows import StrikeWindows
from engine.supervision import Services, Supervisor

logger = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NS_PER_US = 1_000
EXCHANGES = (Exchange.NFO, Exchange.BFO, Exchange.NSE, Exchange.BSE)


class Engine:
    """Make it, ``start`` it, look at and command it through ``LocalClient``, ``stop`` it."""

    desks: AccountDesks
    """The accounts; there once the engine has begun to start."""

    def __init__(self, parts: EngineParts) -> None:
        """Nothing happens before ``start``."""
        self.parts = parts
        settings = parts.settings
        self.clock = parts.clock
        self.account = parts.accounts[0].account
        """Where none is named, this account is meant; pictures of one account are of this one."""
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
        self.arming = Arming(
            parts.arming,
            parts.clock,
            start=parts.start_mode,
            today=lambda: self.day.today(),  # noqa: PLW0108 - the day is made when the engine starts
            is_open=lambda: self.day.is_open(),  # noqa: PLW0108
            blocked=self._not_hot,
            tell=self._tell_mode,
        )
        self._accounts: tuple[AccountDesk, ...] = ()
        self._services = Services(self.supervisor, stop_timeout_s=settings.stop_timeout_s)

    # -- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read the venue, the accounts and the instruments, connect the feed, load the journals and the ledgers.

        An account that cannot be reached leaves the others working, and is tried again.

        Raises:
            WorkstationError: something without which there is nothing to show (instruments, any account, database).
        """
        parts = self.parts
        await parts.rule_book.refresh(parts.repositories.rules)
        now = parts.clock.market_now()
        today = parts.calendar.day_of(now)
        profiles, loaded = await asyncio.gather(
            self._profiles(), self._instruments.load(today, read_only=parts.read_only, now=now)
        )
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
        self.analysis = DeskAnalysis(
            parts,
            self.day,
            self.chains,
            may_write=lambda: self.writer,
            declare=self.supervisor.declare,
        )
        self._make_desks(profiles)
        self.interests = Interests(
            self.subscriptions,
            self.feed,
            self.chains,
            self.day,
            books=lambda: tuple(book for desk in self._accounts if (book := desk.book()) is not None),
            book=self.desks.default.book,
            orders=self.desks.default.orders,
            strip=parts.strip,
        )
        self.lookups = Lookups(self.day, self.chains, self.subscriptions, self.feed, parts.settings, clock=self.clock)
        self.sentences = Sentences(
            self.day,
            self.chains,
            self.lookups,
            defaults=parts.defaults,
            accounts=self.desks.accounts,
            books=self._books,
            orders=lambda account: by_number(record for desk in self.desks.chosen(account) for record in desk.orders()),
        )
        await self._begin(loaded)

    async def _begin(self, loaded: LoadedInstruments) -> None:
        """Everything is made: let it run."""
        parts, serve = self.parts, self._services.start
        self.interests.want_strip()
        if parts.stream_clock is not None:
            self.interests.want_tape(instrument.token for instrument in self.day.index.instruments)
        windows = StrikeWindows(self.day, self.chains, parts.settings.window)
        for name, service in self.data.services():
            serve(name, service)
        serve("strike windows", windows.run)
        halts = HaltService(
            self.day,
            self.clock,
            parts.settings.halts,
            suspect=self.data.suspect,
            declare=self.supervisor.declare,
        )
        serve("halts", halts.run)
        self.supervisor.declare("instruments", loaded.note)
        outcomes = await asyncio.gather(*(desk.open() for desk in self._accounts), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        serve("venue", self._follow_venue)
        serve("arming", self._watch_arming)
        serve("upkeep", self._upkeep)
        serve("chain history", self.analysis.series.run)

    async def _profiles(self) -> dict[AccountId, Profile | BrokerError]:
        """What the broker says to each login, side by side.

        Raises:
            BrokerError: it answers none of them.
        """

        async def ask(place: int) -> Profile | BrokerError:
            try:
                return await self.parts.accounts[place].reads.profile()
            except BrokerError as error:
                return error

        answers = await asyncio.gather(*(ask(place) for place in range(len(self.parts.accounts))))
        if isinstance(answers[0], BrokerError) and not any(isinstance(answer, Profile) for answer in answers):
            raise answers[0]
        return {own.account: answer for own, answer in zip(self.parts.accounts, answers, strict=True)}

    def _make_desks(self, profiles: dict[AccountId, Profile | BrokerError]) -> None:
        def watch_plans(account: AccountId, keys: tuple[InstrumentKey, ...]) -> None:
            self.interests.want_plans(account, keys)  # made after the desks

        self._accounts = tuple(
            AccountDesk(
                own,
                self.parts,
                day=self.day,
                chains=self.chains,
                events=self.events,
                mode=self.arming.mode,
                on_order=self._on_order,
                on_holdings=self._on_holdings,
                make_analysis=self.analysis.of_strategies,
                disarm=self.arming.panic,
                lock_books=lambda: tuple(desk.locks.book for desk in self._accounts),
                read_sentence=self._read_sentence,
                watch_plans=watch_plans,
            )
            for own in self.parts.accounts
        )
        self.desks = AccountDesks(self._accounts)
        for desk in self._accounts:
            desk.greet(profiles[desk.account])

    async def stop(self) -> None:
        """Stop in order: answers that are out are waited for, what is owed is written, then the rest ends."""
        outcomes = await asyncio.gather(*(desk.finish() for desk in self._accounts), return_exceptions=True)
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
        await self._services.stop()
        await asyncio.gather(*(desk.close() for desk in self._accounts))
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    # -- pictures for the client -----------------------------------------------------------------------------------

    @property
    def writer(self) -> bool:
        """This engine holds the lock of the first account: what belongs to none is written by that one's writer."""
        return bool(self._accounts) and self._accounts[0].writer

    def orders(self) -> tuple[OrderRecord, ...]:
        """Orders in memory of all accounts, oldest first."""
        return self.desks.orders()

    @property
    def degraded(self) -> tuple[str, ...]:
        """What does not run as it should, one sentence each."""
        return (*self.supervisor.degraded, *(text for desk in self._accounts for text in desk.degraded))

    @property
    def journals(self) -> tuple[JournalView, ...]:
        """Whether orders can be journalled, of the accounts that can act; at the pace of a screen."""
        found = (desk.executor.health().journal for desk in self._accounts if desk.executor is not None)
        return tuple(journal for journal in found if journal is not None)

    async def watch(self, tokens: tuple[int, ...]) -> None:
        """Count one watch of each instrument and subscribe."""
        self.interests.watch(tokens)

    async def unwatch(self, tokens: tuple[int, ...]) -> None:
        """Give up one watch of each."""
        self.interests.unwatch(tokens)

    # -- services --------------------------------------------------------------------------------------------------

    def _books(self, account: AccountId | None) -> tuple[PortfolioBook, ...]:
        return tuple(book for desk in self.desks.chosen(account) if (book := desk.book()) is not None)

    async def _read_sentence(self, text: str, account: AccountId) -> Interpretation:
        return await self.sentences.read_to_act(text, account)

    def _tell_mode(self, words: str, seat: str, severity: Severity) -> None:
        self.events.add(EventKind.SYSTEM, words, severity=severity, subject="mode", seat=seat)

    def _not_hot(self) -> str:
        """Why keys may not send at once now: old prices, or hardly any orders left."""
        feed = self.feed.view(session_open=self.day.is_open())
        if feed.state is not QuoteState.LIVE:
            return f"the feed is {feed.state.name}"
        budgets = (desk.executor.budget() for desk in self._accounts if desk.executor is not None)
        return next(filter(None, (short_budget(gauge, self.parts.arming.budget_share_min) for gauge in budgets)), "")

    async def _watch_arming(self) -> None:
        while True:
            await self.clock.sleep(self.parts.arming.look_s)
            self.arming.look()

    def _on_holdings(self) -> None:
        self.interests.hold()

    def _on_order(self, record: OrderRecord) -> None:
        self.order_log.add(record)
        self.arming.settled(record.number, record.state)
        self.interests.own_changed()

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
        self.interests.renew_plans()
        self.interests.hold()
        self.supervisor.declare("instruments", loaded.note)
        what = f"A new day: {today:%a %d %b}" if is_new else f"New instruments of {loaded.day:%a %d %b}"
        self.events.add(EventKind.SESSION, f"{what}, {loaded.rows} instruments.")

    def _on_text(self, account: str, payload: str) -> None:
        """What may be about an order is a hint to read its account's book, never trusted itself; the rest goes to the
        events.
        """
        heard = parse_text(payload, self.clock.market_now())
        if heard.kind is FeedTextKind.ERROR:
            text = f"The feed says: {heard.words}"
            self.events.add(EventKind.FEED, text, severity=Severity.ATTENTION, subject="feed")
        elif heard.kind is FeedTextKind.MESSAGE:
            self.events.add(EventKind.FEED, f"The broker says: {heard.words}", subject="feed")
        elif heard.clock is not None:
            if account == self.parts.feed_keys[0].account:
                self._on_clock(heard.clock)  # the others hear the same words, and time must pass once
        elif heard.kind is not FeedTextKind.UNREADABLE and (desk := self._desk(account)) is not None:
            desk.on_order_update(heard.order)

    def _on_clock(self, word: ClockWord) -> None:
        """The tape says what time it is; nobody else may: elsewhere market time is not the feed's to say."""
        clock = self.parts.stream_clock
        if clock is None:
            return
        if word.event is ClockEvent.RESTART:
            clock.restart(word.ns)
            moment = clock.market_now()
            self.feed.restart()
            for desk in self._accounts:
                desk.restart(moment)
            self.analysis.series.restart(moment)
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
        moment = EPOCH + timedelta(microseconds=market_ns // NS_PER_US)
        for desk in self._accounts:
            desk.on_time(moment)
        self.data.on_time(market_ns)

    def _on_reconnect(self, account: str) -> None:
        if (desk := self._desk(account)) is not None:
            desk.on_reconnect()

    def _desk(self, account: str) -> AccountDesk | None:
        """The desk of a feed's account, if orders of it are sent here and the engine has got so far."""
        return next((desk for desk in self._accounts if desk.account == account), None)
