"""The locks of one account inside an engine: what the day's figures are, and the desk that takes the kill switch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta

from engine.core.identifiers import AccountId
from engine.core.locks import LockView
from engine.core.money import ZERO
from engine.day_tally import DayTally
from engine.execution.executor import OrderExecutor
from engine.execution.kill import Flatten, KillDesk
from engine.execution.locks import DayFigures
from engine.execution.locks_book import LockBook
from engine.execution.notices import Notice
from engine.market_day import MarketDay
from engine.parts import EngineParts
from engine.portfolio.service import PortfolioService


class AccountLocks:
    """Made with the account; ``open`` it with the portfolio, ``attach`` the executor to it.

    Args:
        account: Whose.
        parts: What the engine is made of.
        day: The exchange's day.
        portfolio: The account's; ``None`` while there is none.
        notify: For what a person should read.
        disarm: Brings the mode to READ; the seat that asked.
        siblings: The lock books of all accounts of the engine.
    """

    def __init__(
        self,
        account: AccountId,
        parts: EngineParts,
        *,
        day: MarketDay,
        portfolio: Callable[[], PortfolioService | None],
        notify: Callable[[Notice], None],
        disarm: Callable[[str], None],
        siblings: Callable[[], Sequence[LockBook]],
    ) -> None:
        self.book = LockBook(account, parts.latches, parts.clock)
        self.desk: KillDesk | None = None
        """Takes the commands; ``None`` while nothing is sent for the account."""
        self._parts = parts
        self._day = day
        self._portfolio = portfolio
        self._notify = notify
        self._disarm = disarm
        self._siblings = siblings
        self._tally = DayTally(day.calendar.zone)
        limits = parts.locks
        self._counts = (limits.trades_per_day, limits.losing_exits, limits.losing_exit) != (None, None, None)
        self._weighs = (limits.daily_loss, limits.daily_profit) != (None, None)

    async def open(self, portfolio: PortfolioService) -> None:
        """Count what is in the ledger, and everything that comes into it from now on.

        Raises:
            StorageError: the ledger cannot be read.
        """
        if self._counts:
            self._tally = DayTally(self._day.calendar.zone)
            self._tally.take(await self._parts.repositories.ledger.entries(self.book.account))
            portfolio.listen(self._tally.take)

    def attach(self, executor: OrderExecutor, flatten: Flatten) -> KillDesk:
        """Make the desk of an executor."""
        self.desk = KillDesk(
            executor=executor,
            locks=self.book,
            limits=self._parts.locks,
            figures=self.figures,
            day_ends=self._day_ends,
            disarm=self._disarm,
            flatten=flatten,
            siblings=self._siblings,
            clock=self._parts.clock,
            notify=self._notify,
        )
        return self.desk

    def views(self) -> tuple[LockView, ...]:
        """Every lock that is on."""
        return self.book.views()

    @property
    def blind(self) -> str:
        """Why a money lock cannot be judged now; empty when all can."""
        return "" if self.desk is None else self.desk.blind

    def figures(self) -> DayFigures | None:
        """The day now; ``None`` when no limit is set, or while there is nothing to judge by."""
        portfolio = self._portfolio()
        if portfolio is None or not (self._counts or self._weighs):
            return None
        today = self._day.today()
        exits = self._tally.exits(today)
        figures = DayFigures(
            low=ZERO,
            high=ZERO,
            trades=self._tally.trades(today),
            losing_run=self._tally.losing_run(today),
            last_exit=exits[-1].profit if exits else None,
            last_exit_at=exits[-1].at if exits else None,
        )
        # While the session is closed nothing can be left, and no lock of money is judged.
        if not self._weighs or not self._day.is_open():
            return figures
        bounds = portfolio.day_bounds()
        return DayFigures(
            low=bounds.low,
            high=bounds.high,
            missing=bounds.missing,
            trades=figures.trades,
            losing_run=figures.losing_run,
            last_exit=figures.last_exit,
            last_exit_at=figures.last_exit_at,
        )

    def _day_ends(self) -> datetime:
        zone = self._day.calendar.zone
        return datetime.combine(self._day.today() + timedelta(days=1), time(), zone)
