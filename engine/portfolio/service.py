"""Strategies of one account, alive: books fills exactly once, values them, and records their money minute by minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal

import numpy as np

from engine.charges.strategy_costs import Costs
from engine.core.commands import MoveQuantity
from engine.core.errors import StorageError, WriterLost
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.instructions import Conversion
from engine.core.ledger import LedgerEntry
from engine.core.money import ZERO
from engine.core.orders import Trade
from engine.core.ports import Clock
from engine.core.positions import BrokerPosition
from engine.core.repositories import CandleRepository, LedgerRepository, StrategyRepository
from engine.core.strategies import Leg, M2mCandle, Strategy, StrategyValue
from engine.core.vocabulary import Mark
from engine.portfolio.book import PortfolioBook
from engine.portfolio.bookkeeper import Bookkeeper, EntriesListener, EventSink
from engine.portfolio.candles import M2mCandleMaker
from engine.portfolio.charges_book import ChargesBook
from engine.portfolio.columns import FastValues, LegColumns, build_columns, evaluate_book, exact_last
from engine.portfolio.comparison import Mismatch, compare_positions
from engine.portfolio.day_bounds import DayBounds, day_bounds
from engine.portfolio.marks import Marks
from engine.portfolio.settings import PortfolioSettings
from engine.portfolio.transfers import Transfer, transfer_of, transfer_price
from engine.portfolio.valuation import (
    MoneyView,
    ValuedLeg,
    net_of,
    sum_money,
    value_legs,
    value_strategy,
    with_charges,
)

logger = logging.getLogger(__name__)

NO_RATES = Costs(unknown=("Charges are not counted: no rates were given.",))


class PortfolioService:
    """The portfolio of one account. ``start`` it, feed it fills, run ``run`` in a supervised task, ``stop`` it."""

    def __init__(
        self,
        account: AccountId,
        *,
        ledger: LedgerRepository,
        strategies: StrategyRepository,
        candles: CandleRepository,
        clock: Clock,
        marks: Marks,
        on_event: EventSink,
        settings: PortfolioSettings,
        epoch: int,
        new_reference: Callable[[], str],
        is_session_open: Callable[[datetime], bool],
        charges: ChargesBook | None = None,
    ) -> None:
        """Join the parts.

        ``new_reference`` makes ids of transfers; ``is_session_open`` answers for a moment of market time. Without
        ``charges`` net money is not known.
        """
        self._clock = clock
        self._marks = marks
        self._settings = settings
        self._is_session_open = is_session_open
        self._zone = settings.zone
        self._charges = charges
        self._keeper = Bookkeeper(
            account,
            ledger=ledger,
            strategies=strategies,
            clock=clock,
            on_event=on_event,
            settings=settings,
            epoch=epoch,
            new_reference=new_reference,
            charges=charges,
        )
        self._maker = M2mCandleMaker(
            candles,
            grid=settings.grid,
            batch_max=settings.candle_batch_max,
            waiting_max=settings.waiting_candles_max,
        )
        self._columns: LegColumns | None = None
        self._candle_trouble = ""
        self._changed_at: datetime | None = None
        self._keeper.listen(lambda _: self._maker.keep())

    @property
    def book(self) -> PortfolioBook:
        """Strategies, legs and holdings; read only for others."""
        return self._keeper.book

    @property
    def degraded(self) -> str:
        """What does not run as it should, in words; empty when all is well."""
        parts = []
        if self._keeper.waiting:
            parts.append(
                f"fills that wait for the database and are not in the figures yet: {self._keeper.waiting} "
                f"({self._keeper.trouble})"
            )
        if self._candle_trouble:
            parts.append(f"strategy candles that wait for the database: {self._maker.waiting} ({self._candle_trouble})")
        if self._maker.dropped:
            parts.append(f"strategy candles lost: {self._maker.dropped}")
        return "; ".join(parts)

    def listen(self, listener: EntriesListener) -> None:
        """Tell ``listener`` of every ledger entry from now on, just after the book has taken it in."""
        self._keeper.listen(listener)

    async def start(self) -> None:
        """Load strategies (making the default one if there is none) and replay the ledger.

        Raises:
            StorageError: the database does not answer, or the ledger contradicts itself.
        """
        await self._keeper.load()
        self._columns = None
        legs = [leg for one in self.book.strategies(archived=True) for leg in self.book.standings(one.number)]
        self._changed_at = max((leg.last_entry_at for leg in legs if leg.last_entry_at is not None), default=None)

    async def on_trades(self, trades: Sequence[Trade]) -> tuple[LedgerEntry, ...]:
        """Book fills, each exactly once however often it is offered; returns the entries that are new.

        While the database does not answer they wait and are tried again by ``run`` and by the next call.

        Raises:
            WriterLost: another engine is the writer now; the fills wait.
            StorageUnavailable: too many fills wait already; those beyond the bound were not taken. Offer them again.
        """
        return await self._keeper.on_trades(trades)

    def is_booked(self, reference: str) -> bool:
        """Whether a fill (``trade_reference``) is in the book of this moment."""
        return self._keeper.is_booked(reference)

    async def create(self, name: str) -> Strategy:
        """Open a strategy.

        Raises:
            InvalidInput: the name cannot be had.
            StorageError: the database did not take it.
        """
        return await self._keeper.create(name)

    async def archive(self, number: StrategyNumber) -> Strategy:
        """Hide a strategy that holds nothing. Archiving never closes a position.

        Raises:
            UnknownStrategy: there is none with this number.
            Refused: it is the default one, archived already, holds quantity, or fills for it wait to be booked.
            StorageError: the database did not take it.
        """
        return await self._keeper.archive(number)

    async def move(self, command: MoveQuantity) -> tuple[LedgerEntry, ...]:
        """Hand quantity of a leg to another strategy, at its average price or at a mark; the broker's net stays.

        Raises:
            UnknownStrategy: one of the strategies does not exist.
            InvalidInput: no such leg, a quantity that is not there, or a mark that legs do not change hands at.
            Refused: a strategy is archived, both are the same, the leg is flat, or its mark cannot be had now.
            StorageError: the database did not take it.
        """
        return await self._keeper.move(command, self._price_of(command))

    def moved(self, command: MoveQuantity) -> Transfer:
        """What a move would do now; nothing is written.

        Raises:
            UnknownStrategy, InvalidInput, Refused: as ``move``.
        """
        leg, quantity = self._keeper.check_move(command)
        return transfer_of(leg, quantity, self._price_of(command)(leg))

    def _price_of(self, command: MoveQuantity) -> Callable[[Leg], Decimal]:
        return lambda leg: transfer_price(leg, command.mark, self._marks)

    async def convert(self, wanted: Conversion, *, at: datetime, reference: str) -> tuple[LedgerEntry, ...]:
        """Let the ledger follow a change of product at the broker, once for each ``reference``.

        Raises:
            StorageError: the database did not take it; nothing moved.
        """
        return await self._keeper.convert(wanted, at=at, reference=reference)

    # Money

    def values(self) -> tuple[StrategyValue, ...]:
        """Active strategies with all their legs, valued now, exact, gross and net."""
        strategies = self.book.strategies()
        legs: dict[StrategyNumber, list[ValuedLeg]] = {strategy.number: [] for strategy in strategies}
        for leg in self._valued(legs):
            legs[leg.value.leg.strategy].append(leg)
        today = self._keeper.today()
        return tuple(self._charged(value_strategy(one, legs[one.number]), today) for one in strategies)

    def value(self, number: StrategyNumber) -> StrategyValue:
        """One strategy valued now; archived ones too.

        Raises:
            UnknownStrategy: there is none with this number.
        """
        return self._charged(self._gross(number), self._keeper.today())

    def _gross(self, number: StrategyNumber) -> StrategyValue:
        return value_strategy(self.book.strategy(number), self._valued((number,)))

    def _charged(self, value: StrategyValue, today: date) -> StrategyValue:
        if self._charges is None:
            return with_charges(value, NO_RATES, NO_RATES)
        leaving = self._charges.leaving(((leg.leg, leg.marks[Mark.EXIT]) for leg in value.legs), today)
        return with_charges(value, self._charges.paid(value.strategy.number), leaving)

    def charges_paid(self, number: StrategyNumber) -> Costs:
        """What a strategy's fills have paid so far."""
        return self._charges.paid(number) if self._charges is not None else NO_RATES

    def _valued(self, numbers: Iterable[StrategyNumber]) -> list[ValuedLeg]:
        return value_legs([standing for number in numbers for standing in self.book.standings(number)], self._marks)

    def total(self) -> MoneyView:
        """The account's money on each mark since entry, archived strategies included, gross."""
        return sum_money((leg.value.leg, leg.value.profit) for leg in self._all_valued())

    @property
    def day_profit(self) -> MoneyView:
        """The account's money on each mark since the exchange's day began: from the previous close, gross."""
        self.book.start_day(self._keeper.today())
        return sum_money((leg.value.leg, leg.day_profit) for leg in self._all_valued())

    def day_bounds(self) -> DayBounds:
        """What the account's day is worth if everything is left now, net, between bounds where a price is missing."""
        today = self._keeper.today()
        self.book.start_day(today)
        standings = [leg for one in self.book.strategies(archived=True) for leg in self.book.standings(one.number)]
        valued = value_legs(standings, self._marks)
        leaving = ((leg.value.leg, leg.marks.exit) for leg in valued if leg.marks.exit is not None)
        costs = [NO_RATES]
        if self._charges is not None:
            costs = [self._charges.paid_on(today), self._charges.leaving(leaving, today)]
        return day_bounds(
            zip(standings, (leg.marks for leg in valued), strict=True),
            charges=sum((cost.charges.total for cost in costs), ZERO),
            unknown_charges=tuple(text for cost in costs for text in cost.unknown),
        )

    def net_of_day(self, gross: MoneyView) -> dict[Mark, Decimal | None]:
        """The day's money less what the day's fills have paid; ``None`` while a charge is not known."""
        return net_of(gross, self._charges.paid_on(self._keeper.today()) if self._charges is not None else NO_RATES)

    def _all_valued(self) -> list[ValuedLeg]:
        return self._valued([strategy.number for strategy in self.book.strategies(archived=True)])

    def fast_values(self) -> tuple[LegColumns, FastValues]:
        """Every active strategy on the three marks in columns."""
        if self._columns is None or self._columns.revision != self.book.revision:
            self._columns = build_columns(self.book)
        return self._columns, evaluate_book(self._columns, self._marks)

    def compare(self, positions: Sequence[BrokerPosition]) -> tuple[Mismatch, ...]:
        """Differences between the broker's net and the ledger's; empty when they agree."""
        return compare_positions(self.book.net(), positions)

    # Candles

    def sample(self) -> bool:
        """Take one valuation of each strategy at each grid point that market time has reached; see ``sample_to``."""
        return self.sample_to(self._clock.market_now())

    def sample_to(self, moment: datetime) -> bool:
        """Take one valuation of each strategy at each grid point up to ``moment`` that has none.

        Called before a frame received at ``moment`` is applied, and by a timer: what is valued at a grid point saw just
        the frames before it, so the same frames give the same candles however they are spread over real time. Beyond a
        few points behind, only the newest is taken: what nobody watched stays a gap. A strategy takes part while it has
        an open leg, or once it has traded on this exchange day; it is left out while any open leg has no trusted last
        price.
        """
        taken = False
        for point in self._maker.due(moment, self._settings.grid_catch_up_max):
            taken = self._sample_at(point) or taken
        return taken

    def _sample_at(self, now: datetime) -> bool:
        if not self._is_session_open(now):
            return False
        self.book.start_day(now.astimezone(self._zone).date())
        legs, values = self.fast_values()
        exact = exact_last(legs, values.last_sum)
        known = values.trusted & (values.missing[Mark.LAST] == 0)
        takes_part: list[tuple[StrategyNumber, Decimal]] = []
        for place in np.flatnonzero(known).tolist():
            number = legs.numbers[place]
            if legs.open_count[place] or self._traded_today(number):
                money = exact[place]
                takes_part.append((number, self._gross(number).profit[Mark.LAST] if money is None else money))
        return self._maker.sample(now, takes_part)

    def _traded_today(self, number: StrategyNumber) -> bool:
        return any(
            standing.last_entry_at is not None and standing.last_entry_at.astimezone(self._zone).date() == self.book.day
            for standing in self.book.standings(number)
        )

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """Minute candles of [start, end), the running minute included, oldest first.

        Raises:
            UnknownStrategy: there is none with this number.
            StorageError: the database does not answer.
        """
        self.book.strategy(strategy)
        return await self._maker.between(strategy, start, end)

    def running_candle(self, strategy: StrategyNumber) -> M2mCandle | None:
        """The newest candle as sampled by this engine; ``None`` before the first sample."""
        return self._maker.running(strategy)

    def restart(self, moment: datetime) -> None:
        """Forget the candles of ``moment`` (aware, market time) and later: a replay begins again there.

        Those from before the newest fill or transfer stay: what was held then is not held when they come again.
        """
        self._maker.restart(moment, changed_at=self._changed_at)

    async def save_candles(self) -> None:
        """Save what is unsaved; a database that does not answer is said and tried again later."""
        try:
            await self._maker.save()
        except StorageError as error:
            logger.warning("%d strategy candles wait for the database: %s", self._maker.waiting, error)
            self._candle_trouble = str(error)
        else:
            self._candle_trouble = ""

    # Life

    async def run(self) -> None:
        """Sample, save and retry until cancelled.

        Raises:
            ExceptionGroup: one of them ended; with ``WriterLost`` inside when another engine is the writer now.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run_samples(), name="portfolio samples")
            group.create_task(self._run_saves(), name="portfolio candle saves")
            group.create_task(self._keeper.run(), name="portfolio fill retries")

    async def _run_samples(self) -> None:
        while True:
            self.sample()
            await self._clock.sleep(self._settings.sample_wait_s)

    async def _run_saves(self) -> None:
        while True:
            await self._clock.sleep(self._settings.candle_save_interval_s)
            await self.save_candles()

    async def stop(self) -> None:
        """Save the running minute and try the waiting fills a last time; what fails is said, not raised."""
        await self.save_candles()
        try:
            await self._keeper.book_waiting()
        except WriterLost as error:
            logger.warning("%d fills were left for the new writer: %s", self._keeper.waiting, error)
