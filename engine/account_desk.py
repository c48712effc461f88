"""Everything of one account in an engine: its login, its writer lock, its orders, its ledger, its money.

Accounts share the market's figures, the database and the list of events, and nothing else: what breaks one leaves the
others working. Nothing is sent for an account before the broker has said that the login is its own.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import msgspec

from engine.account_locks import AccountLocks
from engine.account_makers import make_executor, make_portfolio
from engine.account_plans import AccountPlans, ReadSentence, WatchPlans
from engine.account_upkeep import AccountUpkeep
from engine.analysis.strategy_analysis import StrategyAnalysis
from engine.board_marks import BoardMarks
from engine.chain_desk import ChainDesk
from engine.core.accounts import Account, Profile
from engine.core.commands import ExitPositions, Receipt, Violation
from engine.core.errors import BrokerError, InvariantBroken, StorageError, WorkstationError
from engine.core.events import EventKind
from engine.core.funds_margin import FundsSeen
from engine.core.instructions import Instruction
from engine.core.orders import OrderEvent, OrderRecord, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.vocabulary import Mode
from engine.event_log import AccountEvents, EventLog
from engine.execution.executor import OrderExecutor
from engine.execution.locks_book import LockBook
from engine.execution.notices import Notice
from engine.execution.spool_file import is_spool_in_use, spool_path
from engine.margin_cache import MarginCache
from engine.market_day import MarketDay
from engine.order_facts import EngineFacts
from engine.parts import AccountParts, EngineParts
from engine.portfolio.book import PortfolioBook
from engine.portfolio.service import PortfolioService
from engine.supervision import Services, Supervisor

logger = logging.getLogger(__name__)

NO_EXECUTOR = Violation(check="writer", message="This engine can only look: another one is the writer of the account.")
WRITER, LOGIN, FUNDS, PORTFOLIO = "writer", "login", "funds", "portfolio"


class AccountDesk:
    """One account at work: ``open`` it; at the end ``finish`` it, then ``close`` it.

    Args:
        own: What belongs to the account.
        parts: What the engine is made of.
        day: The exchange's day.
        chains: The chains that are watched or held.
        events: The engine's list.
        mode: How the keys of a seat may send, now.
        on_order: Told of each change of an order.
        on_holdings: Told when what is held may be another.
        make_analysis: Makes the pictures of the account's strategies.
        disarm: Brings the mode to READ; the seat that asked.
        lock_books: The locks of all accounts of the engine.
        read_sentence: What a sentence means for an account now.
        watch_plans: Told which instruments' quotes an account's plans need.
    """

    def __init__(
        self,
        own: AccountParts,
        parts: EngineParts,
        *,
        day: MarketDay,
        chains: ChainDesk,
        events: EventLog,
        mode: Callable[[str], Mode],
        on_order: Callable[[OrderRecord], None],
        on_holdings: Callable[[], None],
        make_analysis: Callable[[Callable[[], PortfolioService | None]], StrategyAnalysis],
        disarm: Callable[[str], None],
        lock_books: Callable[[], Sequence[LockBook]],
        read_sentence: ReadSentence,
        watch_plans: WatchPlans,
    ) -> None:
        self.account = own.account
        self.parts = own
        self.profile = Profile(account_id=own.account, name=own.name)
        """What the broker says of it; until it has, what the settings say."""
        self.executor: OrderExecutor | None = None
        self.portfolio: PortfolioService | None = None
        self.funds: Funds | None = None
        self.positions: tuple[BrokerPosition, ...] | None = None
        self.writer = False
        """This engine holds the account's writer lock."""
        self.margins = MarginCache(
            own.reads, parts.clock, lambda: 0 if self.executor is None else self.executor.revision
        )
        """What the broker's calculator has said of orders."""
        self._funds_read_at = 0.0
        self.facts = EngineFacts(day, self.book, mode, funds=self._funds_seen, margin=self.margins.seen)
        self.strategies = make_analysis(lambda: self.portfolio)
        self._engine = parts
        self._day = day
        self._chains = chains
        self._clock = parts.clock
        self._is_alone = len(parts.accounts) == 1
        self._events = AccountEvents(events, own.account, is_named=not self._is_alone)
        self._on_order = on_order
        self._on_holdings = on_holdings
        self.upkeep = AccountUpkeep(
            own.account,
            read=self._positions_now,
            portfolio=lambda: self.portfolio,
            facts=self.facts,
            day=day,
            clock=parts.clock,
            settings=parts.execution,
            journal=parts.repositories.journal,
            repository=parts.repositories.upkeep,
            notify=self.on_notice,
            is_flattening=lambda: self.locks.book.other_flattens,
        )
        """Reconciliation, housekeeping and the handover."""
        self.locks = AccountLocks(
            own.account,
            parts,
            day=day,
            portfolio=lambda: self.portfolio,
            notify=self.on_notice,
            disarm=disarm,
            siblings=lock_books,
        )
        self.plans = AccountPlans(
            own.account,
            parts,
            day=day,
            facts=self.facts,
            portfolio=lambda: self.portfolio,
            reads=own.reads,
            available=lambda: None if self.funds is None else self.funds.net,
            notify=self.on_notice,
            read_sentence=read_sentence,
            watch=watch_plans,
        )
        """Large orders, baskets, exits, and what waits."""
        self._is_ours = False
        """The broker has said that the login is this account's."""
        self._is_ending = False
        self._epoch = 0
        self._spool = None if parts.spools is None else spool_path(parts.spools, own.account)
        self.supervisor = Supervisor(parts.clock, self._events, pauses_s=parts.settings.restart_pauses_s)
        self._services = Services(self.supervisor, stop_timeout_s=parts.settings.stop_timeout_s)

    # -- life ------------------------------------------------------------------------------------------------------

    def greet(self, answer: Profile | BaseException) -> None:
        """Take what the broker answered when it was asked whose login this is; say what is wrong with it."""
        if isinstance(answer, Profile) and answer.account_id == self.account:
            self.profile, self._is_ours = answer, True
            self.supervisor.declare(LOGIN, "")
            return
        if isinstance(answer, Profile):
            words = f"The login stored for {self.account} is that of {answer.account_id}"
        else:
            words = f"The broker did not say whose login that of {self.account} is: {str(answer).rstrip('.')}"
        self.supervisor.declare(LOGIN, f"{words}. Nothing is sent for it.")

    async def open(self) -> None:
        """Become the writer if nobody else is, load ledger and orders, and go to work.

        Raises:
            StorageError: the database does not answer.
        """
        await self._take_over()
        self._services.start("funds", self._follow_funds)
        if self.portfolio is not None:
            self._services.start(PORTFOLIO, self.portfolio.run)
        self._services.start("attribution", self.strategies.run)
        if not self._engine.read_only:
            self._services.start("upkeep", self._upkeep)

    async def finish(self) -> None:
        """Wait for the answers that are out, and write what is owed."""
        self._is_ending = True
        await self.plans.stop()
        if self.executor is not None:
            await self.executor.stop()
        if self.portfolio is not None and self.writer:
            try:
                await self.portfolio.stop()
            except StorageError as error:
                logger.error("the portfolio of %s could not be written at the end: %s", self.account, error)  # noqa: TRY400 - expected

    async def close(self) -> None:
        """End the services and give the writer lock back."""
        await self.margins.close()
        await self._services.stop()
        await self._release()

    # -- pictures ----------------------------------------------------------------------------------------------------

    def orders(self) -> tuple[OrderRecord, ...]:
        """Orders in memory, oldest first."""
        return self.executor.orders() if self.executor is not None else ()

    def book(self) -> PortfolioBook | None:
        """The ledger's book; ``None`` while there is none."""
        return self.portfolio.book if self.portfolio is not None else None

    @property
    def degraded(self) -> tuple[str, ...]:
        """What does not run as it should, one sentence each; the account is named when there are others."""
        own = list(self.supervisor.degraded)
        if self.executor is not None:
            view = self.executor.snapshot()
            own += view.degraded
            own += [f"Mismatch: {sentence}." for sentence in view.mismatches]
        if self.portfolio is not None and self.portfolio.degraded:
            own.append(self.portfolio.degraded)
        if self.locks.blind:
            own.append(self.locks.blind)
        return tuple(self.named(text) for text in own)

    def named(self, text: str) -> str:
        """Words about this account: they name it when there are others."""
        return text if self._is_alone or self.account in text else f"{self.account}: {text}"

    async def read_positions(self) -> tuple[BrokerPosition, ...]:
        """The broker's net positions, asked now.

        Raises:
            BrokerError: they cannot be read.
        """
        with self._named_errors():
            positions = await self.parts.reads.positions()
        return tuple(msgspec.structs.replace(position, account=self.account) for position in positions)

    async def read_funds(self) -> Funds:
        """Money at the broker, asked now.

        Raises:
            BrokerError: it cannot be read.
        """
        with self._named_errors():
            funds = await self.parts.reads.funds()
        return msgspec.structs.replace(funds, account=self.account)

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        """What the broker says of this account names it, when there are others."""
        try:
            yield
        except BrokerError as error:
            error.args = (self.named(str(error)), *error.args[1:])
            raise

    def refusal(self) -> Violation:
        """Why nothing can be sent for it; asked while there is no executor."""
        if self._is_alone:
            return NO_EXECUTOR
        words = f"This engine can only look at {self.account}: another one is the writer of it."
        if self.writer or self._engine.read_only:
            words = f"Nothing is sent for {self.account} by this engine now."
        return Violation(check="writer", message=words)

    # -- listeners of the executor -----------------------------------------------------------------------------------

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        """An order stands differently; what a person should read of it comes as a notice."""
        self._on_order(record)
        self.plans.on_order(record, events)
        self.upkeep.on_change()

    def on_notice(self, notice: Notice) -> None:
        """The executor has something to say."""
        self._events.add(notice.kind, notice.text, severity=notice.severity, subject=notice.subject, seat=notice.seat)

    async def on_trades(self, trades: tuple[Trade, ...]) -> None:
        """Fills from the executor: the ledger books each once."""
        if self.portfolio is not None:
            await self.portfolio.on_trades(trades)
            self._on_holdings()
            self.upkeep.on_change()

    def is_booked(self, reference: str) -> bool:
        """Whether a fill is in the holdings of this moment; without a ledger nothing waits for one."""
        return self.portfolio is None or self.portfolio.is_booked(reference)

    # -- what happens to it --------------------------------------------------------------------------------------------

    def on_order_update(self, hint: object) -> None:
        """Its socket says that something happened to an order."""
        if self.executor is not None:
            self.executor.on_order_update(hint)

    def on_reconnect(self) -> None:
        """Order updates of it may be missing."""
        if self.executor is not None:
            self.executor.on_reconnect()

    def on_time(self, moment: datetime) -> None:
        """Market time goes on to a moment, and nothing that arrives from then on has been applied yet."""
        if self.portfolio is not None:
            self.portfolio.sample_to(moment)

    def restart(self, moment: datetime) -> None:
        """A tape begins again at a moment of market time."""
        if self.portfolio is not None:
            self.portfolio.restart(moment)
        self.strategies.restart()

    # -- parts -------------------------------------------------------------------------------------------------------

    async def _take_over(self) -> None:
        """Become the writer if nobody else is; load portfolio and orders either way."""
        repositories, epoch = self._engine.repositories, None
        if not self._engine.read_only:
            # First, because becoming the writer ends another one, and that one may be without the database just now.
            if self._spool is None or not is_spool_in_use(self._spool):
                epoch = await repositories.writer_lock.acquire(self.account)
            if epoch is None:
                self.supervisor.declare(
                    WRITER, f"Another engine is the writer of {self.account}: this one can only look."
                )
        self.writer, self._epoch = epoch is not None, epoch or 0
        try:
            if self.writer:
                self.supervisor.declare(WRITER, "")
                await repositories.accounts.save(self._row())
            await self._start_portfolio()
            if self.writer and self._is_ours:
                await self._start_executor()
        except WorkstationError:
            # Half a writer would keep others out and send nothing itself.
            await self._release()
            raise

    async def _start_executor(self) -> None:
        if self.portfolio is None:
            return
        executor = make_executor(
            self.parts,
            self._engine,
            facts=self.facts,
            upkeep=self.upkeep,
            locks=self.locks,
            listener=self,
            on_converted=self._book_conversion,
            epoch=self._epoch,
        )
        self.upkeep.meet(executor)
        await executor.start()
        try:
            if not self._is_ending:
                await self._begin(executor, self.portfolio)
        finally:
            if self.executor is not executor:
                await executor.stop()  # nobody else would let go of its spool

    async def _begin(self, executor: OrderExecutor, portfolio: PortfolioService) -> None:
        await self.upkeep.begin(executor, epoch=self._epoch)
        await self.locks.open(portfolio)
        kill_desk = self.locks.attach(executor, self._flatten)
        await kill_desk.look()
        plan_desk = await self.plans.begin(executor, epoch=self._epoch)
        self.executor = executor
        self._services.start("executor", executor.run)
        self._services.start("plans", plan_desk.run)
        self._services.start("locks", kill_desk.run)
        self._services.start("housekeeping", self.upkeep.run)

    async def _book_conversion(self, instruction: Instruction) -> None:
        """The broker holds quantity in another product: the ledger follows."""
        if self.portfolio is None or instruction.conversion is None:
            return
        await self.portfolio.convert(
            instruction.conversion, at=instruction.updated_at, reference=f"conversion:{instruction.number}"
        )
        self._on_holdings()

    def _funds_seen(self) -> FundsSeen | None:
        if self.funds is None:
            return None
        return FundsSeen(funds=self.funds, age_s=self._clock.monotonic() - self._funds_read_at)

    async def _flatten(self, command: ExitPositions, seat: str) -> Receipt:
        return await self.plans.do(command, seat=seat, by="kill switch")

    async def _start_portfolio(self) -> None:
        portfolio = make_portfolio(
            self.parts,
            self._engine,
            day=self._day,
            marks=BoardMarks(self._day, self._chains),
            events=self._events,
            facts=self.facts,
            epoch=self._epoch,
        )
        portfolio.listen(self.strategies.on_entries)
        try:
            await portfolio.start()
        except StorageError:
            if self.writer:
                raise
            return  # a reader of an empty database: there is nothing to show and nothing may be written
        self.portfolio = portfolio
        self._on_holdings()

    async def _upkeep(self) -> None:
        """Try again what did not come about at the start."""
        while True:
            await self._clock.sleep(self._engine.settings.upkeep_s)
            if self.executor is not None or self._is_ending:
                continue
            try:
                if not self.writer:
                    await self._retry_writer()
                elif self._is_ours:
                    await self._start_executor()
            except InvariantBroken:
                raise
            except WorkstationError as error:
                logger.warning("%s could not go to work: %s", self.account, error)

    async def _retry_writer(self) -> None:
        await self._take_over()
        if self.writer and self.portfolio is not None:
            self._services.start(PORTFOLIO, self.portfolio.run)
            self._events.add(EventKind.SYSTEM, "This engine is the writer now.", subject=WRITER)

    async def _release(self) -> None:
        if not self.writer:
            return
        self.writer = False
        try:
            await self._engine.repositories.writer_lock.release(self.account)
        except StorageError as error:
            logger.warning("the writer lock of %s could not be given back: %s", self.account, error)

    async def _positions_now(self) -> tuple[BrokerPosition, ...]:
        self.positions = await self.read_positions()
        return self.positions

    async def _follow_funds(self) -> None:
        """Read the money now and then; before that, once more whose login this is, while it is not known."""
        while True:
            await self._look_at_broker()
            await self._clock.sleep(self._engine.settings.funds_poll_s)

    async def _look_at_broker(self) -> None:
        if not self._is_ours:
            answer: Profile | BrokerError
            try:
                answer = await self.parts.reads.profile()
            except BrokerError as error:
                answer = error
            self.greet(answer)
            if not self._is_ours:
                return
        try:
            self.funds = await self.read_funds()
            self._funds_read_at = self._clock.monotonic()
        except BrokerError as error:
            self.supervisor.declare(FUNDS, f"Funds could not be read: {error}")
        else:
            self.supervisor.declare(FUNDS, "")

    def _row(self) -> Account:
        return Account(
            account_id=self.account,
            name=self.profile.name,
            venue=self._engine.source.venue,
            created_at=self._clock.market_now(),
        )
