"""The seams of the engine to storage, as Protocols. Implementations are given by constructor."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Protocol

from engine.core.accounts import Account
from engine.core.bars import MinuteBars
from engine.core.identifiers import (
    AccountId,
    InstrumentKey,
    IntentId,
    OrderNumber,
    StrategyNumber,
)
from engine.core.instructions import Instruction, InstructionEvent, InstructionNumber
from engine.core.instruments import Instrument
from engine.core.ledger import LedgerEntry
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, Trade
from engine.core.plans import PlanNumber, PlanRecord
from engine.core.reconciling import Mismatch
from engine.core.series import ChainMinute, ChainSeries, DailyVolatility, StrikeSeries
from engine.core.strategies import M2mCandle, Strategy
from engine.core.views import ChainKey
from engine.core.vocabulary import Exchange


class InstrumentRepository(Protocol):
    """The dump, kept by day."""

    async def replace(self, exchange: Exchange, day: date, instruments: Sequence[Instrument]) -> int:
        """Store the dump of one exchange and day in place of what was stored for that exchange; returns the rows."""
        ...

    async def load(self, exchange: Exchange) -> tuple[date, tuple[Instrument, ...]] | None:
        """The stored dump and its day; ``None`` when there is none."""
        ...


class AccountRepository(Protocol):
    """Accounts known to this database."""

    async def save(self, account: Account) -> None:
        """Insert, or update the name."""
        ...

    async def all(self) -> tuple[Account, ...]:
        """Every account, by id."""
        ...


class OrderJournal(Protocol):
    """The durable record of orders. Every write names the writer epoch.

    A write whose epoch is not the newest raises ``WriterLost``. Returning means committed: what was returned
    survives kill -9 of anything.
    """

    async def record_intents(
        self,
        intents: Sequence[OrderIntent],
        *,
        epoch: int,
        numbers: Sequence[OrderNumber] = (),
        leaving: Collection[IntentId] = (),
    ) -> tuple[OrderRecord, ...]:
        """Write intents as QUEUED orders in one transaction and give them numbers: ``numbers``, reserved before, one
        for each, or new ones when there are none.

        Those that are ``leaving`` are written as SENDING at once, with their line of SEND: the moment of both is that
        of the intent.

        Raises:
            StorageConflict: a tag, an idempotency key or a number is already there; nothing was written.
        """
        ...

    async def reserve_numbers(self, account: AccountId, count: int, *, epoch: int) -> tuple[OrderNumber, ...]:
        """Take numbers that no other order has or will get, newer than any of the account's orders, ascending; those
        that were given back come before new ones.
        """
        ...

    async def give_back_numbers(self, account: AccountId, numbers: Sequence[OrderNumber], *, epoch: int) -> None:
        """Leave reserved numbers to whoever reserves next: provably nothing was written under them, nor will be."""
        ...

    async def merge(
        self, intent: OrderIntent | None, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int
    ) -> None:
        """Write an order as it stands under its number, its intent and those lines of its history that are not there
        yet, in one transaction. Doing it again changes nothing.

        Raises:
            StorageConflict: its number, tag, key or broker id is another order's; nothing was written.
        """
        ...

    async def record_change(self, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int) -> None:
        """Replace the order's standing by ``record`` and append ``events``, in one transaction."""
        ...

    async def adopt(self, record: OrderRecord, event: OrderEvent, *, epoch: int) -> OrderRecord:
        """Take in an order that was placed elsewhere (``intent_id`` is ``None``; ``number`` is one that was reserved,
        or 0: then it is given here).

        Raises:
            StorageConflict: this broker order id is known already.
        """
        ...

    async def by_idempotency_key(self, account: AccountId, key: str) -> OrderRecord | None:
        """The order a key made, at any time."""
        ...

    async def by_number(self, number: OrderNumber) -> OrderRecord | None:
        """One order."""
        ...

    async def working(self, account: AccountId) -> tuple[OrderRecord, ...]:
        """Orders in a state that is not terminal, and those presumed absent, oldest first."""
        ...

    async def since(self, account: AccountId, moment: datetime) -> tuple[OrderRecord, ...]:
        """Orders created or changed at or after ``moment``, oldest first."""
        ...

    async def history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """All events of one order, in order of their sequence."""
        ...

    async def intent(self, number: OrderNumber) -> OrderIntent | None:
        """What one order was made from, with what decided it; ``None`` for an order from outside."""
        ...

    async def dead_letters(self, account: AccountId, limit: int) -> tuple[OrderRecord, ...]:
        """The newest orders that were given up and that nobody has closed or replayed, at most ``limit``."""
        ...

    async def placements(self, account: AccountId, since: datetime) -> tuple[datetime | None, ...]:
        """When each placement of ours, from ``since`` on, had arrived at the broker, by this machine's clock.

        ``None`` where no end of the request was written: it may only just have arrived.
        """
        ...


class PlanRepository(Protocol):
    """The durable record of plans. Writes check the writer epoch; returning means committed."""

    async def record(self, plan: PlanRecord, *, epoch: int) -> PlanRecord:
        """Write a new plan (``number`` 0) and give it a number; a known idempotency key returns the plan it made.

        Raises:
            WriterLost: the epoch is not the newest.
        """
        ...

    async def update(self, plan: PlanRecord, *, epoch: int) -> None:
        """Replace the state, progress and times of a plan.

        Raises:
            WriterLost: the epoch is not the newest.
            StorageError: there is no such plan, or nothing could be written.
        """
        ...

    async def unfinished(self, account: AccountId) -> tuple[PlanRecord, ...]:
        """Plans that are not over, oldest first."""
        ...

    async def since(self, account: AccountId, moment: datetime) -> tuple[PlanRecord, ...]:
        """Plans made or changed at or after ``moment``, and all that are not over, oldest first."""
        ...

    async def by_number(self, number: PlanNumber) -> PlanRecord | None:
        """One plan."""
        ...

    async def by_idempotency_key(self, account: AccountId, key: str) -> PlanRecord | None:
        """The plan a key made, at any time."""
        ...


class InstructionJournal(Protocol):
    """The durable record of triggers and conversions that were asked for. Writes check the writer epoch; returning
    means committed.
    """

    async def record(self, instruction: Instruction, *, epoch: int) -> Instruction:
        """Write a new one (``number`` 0) and give it a number.

        Raises:
            StorageConflict: its idempotency key is there already; nothing was written.
            WriterLost: the epoch is not the newest.
        """
        ...

    async def change(self, instruction: Instruction, event: InstructionEvent, *, epoch: int) -> None:
        """Replace its state, trigger, message and times, and append ``event``, in one transaction.

        Raises:
            WriterLost: the epoch is not the newest.
            StorageError: there is no such one, or nothing could be written.
        """
        ...

    async def by_idempotency_key(self, account: AccountId, key: str) -> Instruction | None:
        """The one a key made, at any time."""
        ...

    async def since(self, account: AccountId, moment: datetime) -> tuple[Instruction, ...]:
        """Those made or changed at or after ``moment``, all that are not over, and those of triggers that still stand
        (none of their deletions is DONE), oldest first.
        """
        ...

    async def history(self, number: InstructionNumber) -> tuple[InstructionEvent, ...]:
        """All events of one, in order of their sequence."""
        ...


class UpkeepRepository(Protocol):
    """What is kept of looking after an account: differences from the broker's books, and whose orders are left alone.

    Writes check the writer epoch; returning means committed.
    """

    async def save_mismatches(self, mismatches: Sequence[Mismatch], *, epoch: int) -> None:
        """Insert, or replace what is kept under the same ids; of one account, all or none.

        Raises:
            WriterLost: the epoch is not the newest.
        """
        ...

    async def mismatches(self, account: AccountId) -> tuple[Mismatch, ...]:
        """Those that are not gone, oldest first."""
        ...

    async def set_tidied(self, account: AccountId, strategy: StrategyNumber, tidied: bool, *, epoch: int) -> None:
        """Whether housekeeping may touch the orders of a strategy; it may unless this was said.

        Raises:
            WriterLost: the epoch is not the newest.
            UnknownStrategy: the account has no such strategy.
        """
        ...

    async def untidied(self, account: AccountId) -> tuple[StrategyNumber, ...]:
        """Strategies whose orders housekeeping leaves alone, by number."""
        ...


class LedgerRepository(Protocol):
    """Fills and the movements of quantity between strategies. Writes check the writer epoch."""

    async def book(
        self, fills: Sequence[tuple[Trade, LedgerEntry]], *, epoch: int
    ) -> tuple[tuple[Trade, LedgerEntry], ...]:
        """Write fills not yet known with their entries, in one transaction; returns the new ones only."""
        ...

    async def transfer(self, entries: Sequence[LedgerEntry], *, epoch: int) -> tuple[LedgerEntry, ...]:
        """Write the two sides of a transfer in one transaction."""
        ...

    async def entries(self, account: AccountId) -> tuple[LedgerEntry, ...]:
        """All movements, in order of their sequence."""
        ...

    async def trades(self, account: AccountId, since: datetime | None = None) -> tuple[Trade, ...]:
        """Fills (with their strategy), oldest first."""
        ...


class StrategyRepository(Protocol):
    """Strategies; legs are made by the ledger."""

    async def create(self, account: AccountId, name: str, *, is_default: bool, at: datetime, epoch: int) -> Strategy:
        """Write a strategy and give it a number.

        Raises:
            StorageConflict: an active strategy of the account has this name, or there is a default one already.
        """
        ...

    async def archive(self, number: StrategyNumber, *, epoch: int) -> Strategy:
        """Mark as archived.

        Raises:
            UnknownStrategy: there is none with this number.
        """
        ...

    async def all(self, account: AccountId) -> tuple[Strategy, ...]:
        """Active and archived, by number."""
        ...


class CandleRepository(Protocol):
    """Minute candles of strategy money."""

    async def save(self, candles: Sequence[M2mCandle]) -> None:
        """Insert or merge: open is kept, high and low widen, close is the newest, samples add up."""
        ...

    async def between(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """Candles whose minute lies in [start, end), oldest first; missing minutes are missing."""
        ...

    async def delete_from(self, moment: datetime) -> int:
        """Delete minutes that begin at or after ``moment``, of every strategy: a replay goes back. Returns how many."""
        ...


class BarRepository(Protocol):
    """Minute candles of prices, by instrument key and expiry (tokens are used again). Writing needs no epoch: the same
    minutes are the same.
    """

    async def save(self, bars: MinuteBars) -> int:
        """Insert; of a minute that is there already the one with the greater ``BarSource`` is kept, the newer of two
        equal ones. All or none; returns the rows written.

        Raises:
            StorageError: nothing of the batch was written.
        """
        ...

    async def between(self, instruments: Sequence[InstrumentKey], start: datetime, end: datetime) -> MinuteBars:
        """Minutes that begin in [start, end), by instrument and then by time; missing minutes are missing."""
        ...

    async def last(self, instruments: Sequence[InstrumentKey]) -> dict[InstrumentKey, datetime]:
        """The start of the newest minute of each instrument that has one."""
        ...

    async def delete_before(self, moment: datetime) -> int:
        """Delete minutes before ``moment``; returns the rows deleted."""
        ...

    async def delete_from(self, moment: datetime) -> int:
        """Delete minutes that begin at or after ``moment`` (a replay goes back); returns the rows deleted."""
        ...


class RuleRepository(Protocol):
    """Rule files a person loaded, as text, newest first."""

    async def save(self, name: str, text: str, loaded_at: datetime) -> None:
        """Keep a file under its name in place of an earlier one of that name."""
        ...

    async def load(self) -> tuple[tuple[str, str, datetime], ...]:
        """Name, text and moment of each, newest first."""
        ...

    async def remove(self, name: str) -> bool:
        """Forget one; whether it was there."""
        ...


class WriterLock(Protocol):
    """One writer per account: held on a connection of its own, with an epoch that every journal write names."""

    async def acquire(self, account: AccountId) -> int | None:
        """Become the writer; the new epoch, or ``None`` when another engine is."""
        ...

    async def keep(self, account: AccountId, epoch: int) -> bool:
        """Go on being the writer under ``epoch``: hold the lock, or take it again when its connection was lost.

        Returns:
            Whether the lock is held. ``False``: a connection that is not ours has it, yet nobody has become the writer;
            ask again soon.

        Raises:
            WriterLost: another engine has become the writer; this one cannot be it any more.
            StorageError: the database could not be asked.
        """
        ...

    async def release(self, account: AccountId) -> None:
        """Stop being the writer."""
        ...


class Repositories(Protocol):
    """All storage an engine needs, over one database."""

    @property
    def instruments(self) -> InstrumentRepository: ...  # noqa: D102
    @property
    def accounts(self) -> AccountRepository: ...  # noqa: D102
    @property
    def journal(self) -> OrderJournal: ...  # noqa: D102
    @property
    def instructions(self) -> InstructionJournal: ...  # noqa: D102
    @property
    def plans(self) -> PlanRepository: ...  # noqa: D102
    @property
    def upkeep(self) -> UpkeepRepository: ...  # noqa: D102
    @property
    def ledger(self) -> LedgerRepository: ...  # noqa: D102
    @property
    def strategies(self) -> StrategyRepository: ...  # noqa: D102
    @property
    def candles(self) -> CandleRepository: ...  # noqa: D102
    @property
    def chain_series(self) -> ChainSeriesRepository: ...  # noqa: D102
    @property
    def bars(self) -> BarRepository: ...  # noqa: D102
    @property
    def rules(self) -> RuleRepository: ...  # noqa: D102
    @property
    def writer_lock(self) -> WriterLock: ...  # noqa: D102


class ChainSeriesRepository(Protocol):
    """Option chains by the minute, for charts and statistics. Writing needs no epoch: the same minutes are the same."""

    async def save(self, minutes: Sequence[ChainMinute]) -> None:
        """Insert, or replace what is there of the same minutes and strikes, all or none; again changes nothing.

        Raises:
            StorageError: nothing of the batch was written.
        """
        ...

    async def between(self, key: ChainKey, start: datetime, end: datetime) -> ChainSeries:
        """An expiry's minutes that begin in [start, end), oldest first; missing minutes are missing."""
        ...

    async def strikes_between(
        self, key: ChainKey, start: datetime, end: datetime, *, strike: float | None = None
    ) -> StrikeSeries:
        """Minutes in [start, end) of one strike, or of all, by minute and then by strike."""
        ...

    async def daily_atm_volatility(self, underlying: str, days: int, *, days_to_expiry_min: int = 0) -> DailyVolatility:
        """The last ATM volatility of each of the newest ``days`` days that have one, oldest first.

        A day's volatility is that of the nearest expiry at least ``days_to_expiry_min`` days after it: an expiry's own
        last day says little about volatility.
        """
        ...

    async def delete_before(self, *, minutes: datetime, strikes: datetime) -> int:
        """Delete minutes of expiries before ``minutes`` and of strikes before ``strikes``; the days' volatility stays.

        Returns:
            Rows deleted.
        """
        ...

    async def delete_from(self, moment: datetime) -> int:
        """Delete all that was kept of minutes at or after ``moment``: a replay goes back. Returns the rows deleted."""
        ...
