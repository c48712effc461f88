"""Every write of the portfolio, one at a time, and the book in memory that follows them.

Every change is committed before it is applied in memory, and memory takes what the database returned. Fills that the
database did not take wait and are tried again; the ledger knows fills by identity, so trying again cannot double them.
When the outcome of a write is not known (a timeout, a cancelled task), memory catches up from the ledger before the
next write.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from engine.core.commands import MoveQuantity
from engine.core.errors import (
    InvalidInput,
    Refused,
    StorageConflict,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
    WriterLost,
)
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.instructions import Conversion
from engine.core.ledger import LedgerEntry, trade_reference
from engine.core.orders import Trade
from engine.core.ports import Clock
from engine.core.repositories import LedgerRepository, StrategyRepository
from engine.core.strategies import DEFAULT_STRATEGY_NAME, Leg, Strategy, StrategyState
from engine.core.vocabulary import Severity
from engine.portfolio.book import PortfolioBook
from engine.portfolio.charges_book import ChargesBook
from engine.portfolio.conversions import conversion_entries
from engine.portfolio.names import check_name
from engine.portfolio.settings import PortfolioSettings
from engine.portfolio.transfers import price_words
from engine.portfolio.valuation import leg_name

REFUSED_IN_A_ROW_MAX = 3
"""Fills refused one after another before the rest waits for the next attempt."""


class EventSink(Protocol):
    """Where the portfolio says what happened."""

    def __call__(self, kind: EventKind, text: str, *, severity: Severity = ..., subject: str = ...) -> object:
        """Write down that something happened; must not raise or wait."""
        ...


EntriesListener = Callable[[Sequence[LedgerEntry]], None]
"""Told of entries when memory has just taken them in, in their order; must not raise or wait."""


class Bookkeeper:
    """The one writer of an account's strategies and ledger."""

    def __init__(
        self,
        account: AccountId,
        *,
        ledger: LedgerRepository,
        strategies: StrategyRepository,
        clock: Clock,
        on_event: EventSink,
        settings: PortfolioSettings,
        epoch: int,
        new_reference: Callable[[], str],
        charges: ChargesBook | None = None,
    ) -> None:
        """``epoch`` is the writer's; ``new_reference`` makes ids of transfers; ``charges`` is told of every fill."""
        self._account = account
        self._ledger = ledger
        self._strategies = strategies
        self._clock = clock
        self._on_event = on_event
        self._settings = settings
        self._epoch = epoch
        self._new_reference = new_reference
        self._zone = settings.zone
        self._charges = charges
        self._listeners: list[EntriesListener] = []
        self._book = self._empty_book()
        self._lock = asyncio.Lock()
        self._waiting: OrderedDict[str, Trade] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._needs_work = asyncio.Event()
        self._is_behind = False
        self._storage_words = ""

    def _empty_book(self) -> PortfolioBook:
        return PortfolioBook(self._account, day=self.today(), zone=self._zone)

    def today(self) -> date:
        """The exchange's date now, by market time."""
        return self._clock.market_now().astimezone(self._zone).date()

    @property
    def book(self) -> PortfolioBook:
        """Strategies, legs and holdings; read only for others."""
        return self._book

    @property
    def waiting(self) -> int:
        """Fills that are not in the ledger, and so not in the figures, yet."""
        return len(self._waiting)

    @property
    def trouble(self) -> str:
        """What the database said when it last refused fills; empty when they are booked."""
        return self._storage_words

    def listen(self, listener: EntriesListener) -> None:
        """Tell ``listener`` of every entry from now on."""
        self._listeners.append(listener)

    def _tell(self, entries: Sequence[LedgerEntry]) -> None:
        if entries:
            for listener in self._listeners:
                listener(entries)

    async def load(self) -> None:
        """Load strategies (making the default one if there is none) and replay the ledger.

        Raises:
            StorageError: the database does not answer, or the ledger contradicts itself.
        """
        async with self._lock:
            book = self._empty_book()
            known = await self._strategies.all(self._account)
            if not any(strategy.is_default for strategy in known):
                known = (*known, await self._create_default())
            for strategy in known:
                book.put_strategy(strategy)
            self._known.clear()
            fills = await self._fills()
            for entry in await self._ledger.entries(self._account):
                book.apply(entry)
                self._remember(entry.reference)
            self._book = book
            self._count_charges(fills)
            self._is_behind = False

    async def _fills(self) -> Sequence[Trade]:
        """All fills of the account, where charges are counted."""
        return () if self._charges is None else await self._ledger.trades(self._account)

    def _count_charges(self, fills: Sequence[Trade]) -> None:
        if self._charges is not None:
            self._charges.restart(fills)

    async def _create_default(self) -> Strategy:
        try:
            return await self._strategies.create(
                self._account,
                DEFAULT_STRATEGY_NAME,
                is_default=True,
                at=self._clock.market_now(),
                epoch=self._epoch,
            )
        except StorageConflict:
            # It was made between the look and the write, for example by a start that was killed.
            for strategy in await self._strategies.all(self._account):
                if strategy.is_default:
                    return strategy
            raise

    def _remember(self, reference: str) -> None:
        self._known[reference] = None
        while len(self._known) > self._settings.known_fills_max:
            self._known.popitem(last=False)

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[None]:
        """One write at a time; one whose outcome is not known leaves memory to catch up first."""
        async with self._lock:
            if self._is_behind:
                await self._catch_up()
            try:
                yield
            except (StorageError, asyncio.CancelledError):
                self._is_behind = True
                self._needs_work.set()
                raise

    async def _catch_up(self) -> None:
        for strategy in await self._strategies.all(self._account):
            self._book.put_strategy(strategy)
        entries, fills = await self._ledger.entries(self._account), await self._fills()
        # Nothing is awaited from here on: book, waiting fills and charges change together.
        missed = [entry for entry in entries if entry.sequence > self._book.sequence]
        for entry in missed:
            self._book.apply(entry)
            self._remember(entry.reference)
            self._waiting.pop(entry.reference, None)
        self._count_charges(fills)
        self._is_behind = False
        self._tell(missed)

    # Fills

    async def on_trades(self, trades: Sequence[Trade]) -> tuple[LedgerEntry, ...]:
        """Book fills, each exactly once however often it is offered; returns the entries that are new.

        While the database does not answer they wait and are tried again by ``run`` and by the next call.

        Raises:
            WriterLost: another engine is the writer now; the fills wait.
            StorageUnavailable: too many fills wait already; those beyond the bound were not taken. Offer them again.
        """
        refused = 0
        for trade in trades:
            reference = trade_reference(trade)
            if reference in self._known or reference in self._waiting:
                continue
            if len(self._waiting) >= self._settings.waiting_fills_max:
                refused += 1
                continue
            self._waiting[reference] = trade
        booked = await self.book_waiting()
        if refused:
            raise StorageUnavailable(
                f"{len(self._waiting)} fills wait for the database already; {refused} more were not taken. "
                "They are read from the broker again once it answers."
            )
        return booked

    def is_booked(self, reference: str) -> bool:
        """Whether a fill (``trade_reference``) is in the book in memory; one that waits for the database is not."""
        return reference in self._known and reference not in self._waiting

    async def book_waiting(self) -> tuple[LedgerEntry, ...]:
        """Try to book every fill that waits; returns the entries that are new.

        Raises:
            WriterLost: another engine is the writer now; the fills wait.
        """
        if not self._waiting and not self._is_behind:
            return ()
        try:
            booked = await self._book_batch(tuple(self._waiting))
        except WriterLost:
            raise
        except (StorageUnavailable, StorageTimeout) as error:
            self._note_storage(error)
            return ()
        except (StorageError, InvalidInput) as error:
            self._note_storage(error)
            booked = await self._book_one_by_one(tuple(self._waiting))
        if self._storage_words and not self._waiting:
            self._storage_words = ""
            self._on_event(EventKind.STORAGE, "All waiting fills are booked.", subject="ledger")
        return booked

    async def _book_one_by_one(self, references: Sequence[str]) -> tuple[LedgerEntry, ...]:
        """One bad fill must not hold the others back; when one after another is refused, the fault is not theirs."""
        booked: tuple[LedgerEntry, ...] = ()
        refused_in_a_row = 0
        for reference in references:
            try:
                booked += await self._book_batch((reference,))
            except WriterLost:
                raise
            except (StorageError, InvalidInput) as error:
                self._needs_work.set()
                self._note_storage(error)
                if reference in self._waiting:
                    self._waiting.move_to_end(reference)  # the others go first next time
                refused_in_a_row += 1
                if refused_in_a_row == REFUSED_IN_A_ROW_MAX:
                    break
            else:
                refused_in_a_row = 0
        return booked

    async def _book_batch(self, references: Sequence[str]) -> tuple[LedgerEntry, ...]:
        async with self._write():
            # Looked up under the lock: another task may have booked some of them meanwhile.
            batch = [self._waiting[reference] for reference in references if reference in self._waiting]
            if not batch:
                return ()
            fills = []
            for trade in batch:
                home = self._book.home_of(trade)
                fills.append((msgspec.structs.replace(trade, strategy=home.number), self._book.entry_for(trade)))
            new = await self._ledger.book(fills, epoch=self._epoch)
            # Committed: nothing is awaited here, so memory and the list of waiting fills change together.
            for _, entry in new:
                self._book.apply(entry)
            written = {trade_reference(trade) for trade, _ in new}
            self._no_longer_wait(written)
            if self._charges is not None:
                self._charges.add(trade for trade, _ in new)
            self._tell([entry for _, entry in new])
            self._say_moved(batch)
            if len(new) < len(batch):
                # Some were in the ledger already, by a write whose answer was lost: they are in memory afterwards.
                self._is_behind = True
                await self._catch_up()
                self._no_longer_wait({trade_reference(trade) for trade in batch} - written)
        return tuple(entry for _, entry in new)

    def _no_longer_wait(self, references: Iterable[str]) -> None:
        for reference in references:
            self._waiting.pop(reference, None)
            self._remember(reference)

    def _say_moved(self, batch: Sequence[Trade]) -> None:
        for trade in batch:
            home = self._book.home_of(trade)
            if trade.strategy is not None and home.number != trade.strategy:
                self._on_event(
                    EventKind.STRATEGY,
                    f"A fill of {trade.signed_quantity:+d} {trade.instrument} was meant for strategy {trade.strategy}, "
                    f"which is not active; it is in {home.number} ({home.name}).",
                    severity=Severity.ATTENTION,
                    subject=f"#{home.number}",
                )

    def _note_storage(self, error: StorageError | InvalidInput) -> None:
        words = str(error)
        if words != self._storage_words:
            self._on_event(
                EventKind.STORAGE,
                f"The database did not take fills, {len(self._waiting)} wait: {words}",
                severity=Severity.DANGER,
                subject="ledger",
            )
        self._storage_words = words

    # Strategies

    async def create(self, name: str) -> Strategy:
        """Open a strategy.

        Raises:
            InvalidInput: the name cannot be had.
            StorageError: the database did not take it.
        """
        async with self._write():
            check_name(name, self._book.strategies(), length_max=self._settings.name_length_max)
            strategy = await self._strategies.create(
                self._account, name, is_default=False, at=self._clock.market_now(), epoch=self._epoch
            )
            self._book.put_strategy(strategy)
        self._on_event(
            EventKind.STRATEGY, f"Strategy {strategy.number} ({name}) opened.", subject=f"#{strategy.number}"
        )
        return strategy

    async def archive(self, number: StrategyNumber) -> Strategy:
        """Hide a strategy that holds nothing. Archiving never closes a position.

        Raises:
            UnknownStrategy: there is none with this number.
            Refused: it is the default one, archived already, holds quantity, or fills for it wait to be booked.
            StorageError: the database did not take it.
        """
        async with self._write():
            strategy = self._book.strategy(number)
            words = f"Strategy {number} ({strategy.name})"
            if strategy.is_default:
                raise Refused(f"{words} is the default one, which holds what no other claims; it stays.")
            if strategy.state is StrategyState.ARCHIVED:
                raise Refused(f"{words} is archived already.")
            held = self._book.open_legs(number)
            if held:
                legs = ", ".join(f"{leg_name(leg)} {_held_words(leg)}" for leg in held)
                raise Refused(f"{words} holds {legs}. Close or move it first: archiving never closes a position.")
            if any(trade.strategy == number for trade in self._waiting.values()):
                raise Refused(f"Fills of {words} wait for the database. Archive it when they are booked.")
            archived = await self._strategies.archive(number, epoch=self._epoch)
            self._book.put_strategy(archived)
        self._on_event(EventKind.STRATEGY, f"{words} archived.", subject=f"#{number}")
        return archived

    async def move(self, command: MoveQuantity, price_of: Callable[[Leg], Decimal]) -> tuple[LedgerEntry, ...]:
        """Hand quantity of a leg to another strategy at the price of now; the broker's net does not change.

        Args:
            command: What moves where.
            price_of: Rupees per unit of a leg now; what it raises ends the move before anything is written.

        Raises:
            UnknownStrategy: one of the strategies does not exist.
            InvalidInput: no such leg, or a quantity that is not there.
            Refused: a strategy is archived, both are the same, or the leg is flat.
            StorageError: the database did not take it; nothing moved.
        """
        async with self._write():
            leg, quantity = self.check_move(command)
            entries = self._book.transfer_entries(
                leg,
                command.to_strategy,
                quantity,
                price=price_of(leg),
                at=self._clock.market_now(),
                reference=self._new_reference(),
            )
            written = await self._ledger.transfer(entries, epoch=self._epoch)
            for entry in written:
                self._book.apply(entry)
            self._tell(written)
        self._on_event(
            EventKind.STRATEGY,
            f"{written[1].signed_quantity:+d} {leg.instrument} moved from {leg_name(leg)} to "
            f"{command.to_strategy}.{written[1].leg} at its {price_words(command.mark)} {written[1].price:.2f}.",
            subject=f"#{command.to_strategy}",
        )
        return written

    async def convert(self, wanted: Conversion, *, at: datetime, reference: str) -> tuple[LedgerEntry, ...]:
        """Let the ledger follow a change of product at the broker, once for each ``reference``.

        Raises:
            StorageError: the database did not take it; nothing moved.
        """
        async with self._write():
            if any(entry.reference == reference for entry in await self._ledger.entries(self._account)):
                return ()
            entries, left = conversion_entries(self._book, wanted, at=at, reference=reference)
            written = await self._ledger.transfer(entries, epoch=self._epoch) if entries else ()
            for entry in written:
                self._book.apply(entry)
            self._tell(written)
        missing = f" {left} units of it are in no strategy here." if left else ""
        self._on_event(
            EventKind.STRATEGY,
            f"{wanted.quantity - left} {wanted.instrument} went from {wanted.from_product} to {wanted.to_product}."
            f"{missing}",
            subject=wanted.instrument.tradingsymbol,
        )
        return written

    def check_move(self, command: MoveQuantity) -> tuple[Leg, int]:
        """The leg that would move and how many units of it; raises as ``move``."""
        for number in (command.strategy, command.to_strategy):
            strategy = self._book.strategy(number)
            if strategy.state is not StrategyState.ACTIVE:
                raise Refused(f"Strategy {number} ({strategy.name}) is archived.")
        if command.strategy == command.to_strategy:
            raise Refused(f"Leg {command.strategy}.{command.leg} is in strategy {command.to_strategy} already.")
        leg = self._book.leg(command.strategy, command.leg)
        if leg is None:
            raise InvalidInput(f"Strategy {command.strategy} has no leg {command.leg}.", field="leg")
        held = abs(leg.holding.signed_quantity)
        if not held:
            raise Refused(f"Leg {leg_name(leg)} {leg.instrument} is flat: there is nothing to move.")
        quantity = held if command.quantity is None else command.quantity
        if not 0 < quantity <= held:
            raise InvalidInput(
                f"{quantity} units cannot be moved: leg {leg_name(leg)} holds {_held_words(leg)}. "
                f"Write 1 to {held}, or nothing for all.",
                field="quantity",
            )
        return leg, quantity

    async def run(self) -> None:
        """Try waiting fills again, and catch up, until cancelled.

        Raises:
            WriterLost: another engine is the writer now.
        """
        while True:
            await self._needs_work.wait()
            self._needs_work.clear()
            wait = self._settings.retry_first_s
            while self._waiting or self._is_behind:
                await self._clock.sleep(wait)
                await self.book_waiting()
                wait = min(wait * 2, self._settings.retry_max_s)


def _held_words(leg: Leg) -> str:
    return f"{leg.holding.signed_quantity:+d} {leg.instrument}"
