"""Stateful stand-ins for the portfolio's ports: a ledger, strategies and candles in memory that can fail on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np

from engine.core.errors import (
    StorageConflict,
    StorageError,
    StorageTimeout,
    StorageUnavailable,
    UnknownStrategy,
    WriterLost,
)
from engine.core.events import EventKind
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, StrategyNumber, TradeId
from engine.core.ledger import LedgerEntry
from engine.core.orders import Trade
from engine.core.strategies import M2mCandle, Strategy, StrategyState
from engine.core.views import Integers
from engine.core.vocabulary import Exchange, Product, Severity, Side
from engine.portfolio.candles import merge
from engine.portfolio.charges_book import ChargesBook
from engine.portfolio.marks import LegMarks, MarkColumns
from engine.portfolio.service import PortfolioService
from engine.portfolio.settings import PortfolioSettings

ACCOUNT = AccountId("AB1234")
OPENING = datetime(2026, 11, 24, 3, 45, tzinfo=UTC)
"""09:15 IST of a Tuesday."""
EPOCH = 7


class ManualClock:
    """Time that moves only when a test says so; ``sleep`` ends when time has been moved past it."""

    def __init__(self, now: datetime = OPENING) -> None:
        self._now = now
        self._seconds = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def market_now(self) -> datetime:
        return self._now

    def wall_now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._seconds + seconds, future))
        await future

    @property
    def sleepers(self) -> int:
        """Tasks that wait for time now."""
        return sum(1 for _, future in self._sleepers if not future.done())

    def set(self, now: datetime) -> None:
        """Jump market time only."""
        self._now = now

    async def advance(self, seconds: float) -> None:
        """Move time on and let everything run that was waiting for it."""
        self._seconds += seconds
        self._now += timedelta(seconds=seconds)
        for due, future in self._sleepers:
            if due <= self._seconds + 1e-9 and not future.done():
                future.set_result(None)
        self._sleepers = [sleeper for sleeper in self._sleepers if not sleeper[1].done()]
        await settle()


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


class FakeDatabase:
    """Strategies, ledger and candles with the rules of the ports."""

    def __init__(self) -> None:
        self.strategies: dict[StrategyNumber, Strategy] = {}
        self.trades: dict[tuple[str, str, str], Trade] = {}
        self.entries: list[LedgerEntry] = []
        self.candles: dict[tuple[StrategyNumber, datetime], M2mCandle] = {}
        self.fail_with: StorageError | None = None
        """Raised before anything is written."""
        self.lose_answer = False
        """The next write is done, and its answer lost."""
        self.poison: set[str] = set()
        """Trade ids that a rule of the database refuses."""
        self.writes = 0
        self.newest_epoch = EPOCH

    def before_write(self, epoch: int | None = None) -> None:
        if self.fail_with is not None:
            raise self.fail_with
        if epoch is not None and epoch != self.newest_epoch:
            raise WriterLost("another engine is the writer")
        self.writes += 1

    def after_write(self) -> None:
        if self.lose_answer:
            self.lose_answer = False
            raise StorageTimeout("no answer in time")


class FakeLedger:
    """The ledger port over the fake database."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    async def book(
        self, fills: Sequence[tuple[Trade, LedgerEntry]], *, epoch: int
    ) -> tuple[tuple[Trade, LedgerEntry], ...]:
        await asyncio.sleep(0)
        database = self._database
        database.before_write(epoch)
        if any(trade.trade_id in database.poison for trade, _ in fills):
            raise StorageConflict("a rule of the table refuses the row")
        new = []
        for trade, entry in fills:
            identity = (trade.instrument.exchange.value, trade.broker_order_id, trade.trade_id)
            if identity in database.trades:
                continue
            database.trades[identity] = trade
            new.append((trade, self._append(entry)))
        await asyncio.sleep(0)
        database.after_write()
        return tuple(new)

    async def transfer(self, entries: Sequence[LedgerEntry], *, epoch: int) -> tuple[LedgerEntry, ...]:
        await asyncio.sleep(0)
        self._database.before_write(epoch)
        written = tuple(self._append(entry) for entry in entries)
        await asyncio.sleep(0)
        self._database.after_write()
        return written

    async def entries(self, account: AccountId) -> tuple[LedgerEntry, ...]:
        await asyncio.sleep(0)
        if self._database.fail_with is not None:
            raise self._database.fail_with
        return tuple(entry for entry in self._database.entries if entry.account == account)

    async def trades(self, account: AccountId, since: datetime | None = None) -> tuple[Trade, ...]:
        return tuple(
            trade
            for trade in self._database.trades.values()
            if trade.account == account and (since is None or trade.filled_at >= since)
        )

    def _append(self, entry: LedgerEntry) -> LedgerEntry:
        known = {(one.strategy, one.leg, one.reference) for one in self._database.entries}
        if (entry.strategy, entry.leg, entry.reference) in known:
            raise StorageConflict("this movement is there already")
        written = msgspec.structs.replace(entry, sequence=len(self._database.entries) + 1)
        self._database.entries.append(written)
        return written


class FakeStrategies:
    """The strategies port over the fake database."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database

    async def create(self, account: AccountId, name: str, *, is_default: bool, at: datetime, epoch: int) -> Strategy:
        await asyncio.sleep(0)
        database = self._database
        database.before_write(epoch)
        for known in database.strategies.values():
            same_name = known.name == name and known.state is StrategyState.ACTIVE
            if known.account == account and (same_name or (is_default and known.is_default)):
                raise StorageConflict(f"{name} is there already")
        strategy = Strategy(
            number=StrategyNumber(len(database.strategies) + 1),
            account=account,
            name=name,
            is_default=is_default,
            created_at=at,
        )
        database.strategies[strategy.number] = strategy
        database.after_write()
        return strategy

    async def archive(self, number: StrategyNumber, *, epoch: int) -> Strategy:
        await asyncio.sleep(0)
        self._database.before_write(epoch)
        if number not in self._database.strategies:
            raise UnknownStrategy(f"there is no strategy {number}")
        archived = msgspec.structs.replace(self._database.strategies[number], state=StrategyState.ARCHIVED)
        self._database.strategies[number] = archived
        self._database.after_write()
        return archived

    async def all(self, account: AccountId) -> tuple[Strategy, ...]:
        await asyncio.sleep(0)
        if self._database.fail_with is not None:
            raise self._database.fail_with
        return tuple(
            strategy for _, strategy in sorted(self._database.strategies.items()) if strategy.account == account
        )


class FakeCandles:
    """The candles port over the fake database."""

    def __init__(self, database: FakeDatabase) -> None:
        self._database = database
        self.batches: list[int] = []

    async def save(self, candles: Sequence[M2mCandle]) -> None:
        await asyncio.sleep(0)
        self._database.before_write()
        self.batches.append(len(candles))
        for candle in candles:
            key = (candle.strategy, candle.minute)
            stored = self._database.candles.get(key)
            self._database.candles[key] = candle if stored is None else merge(stored, candle)

    async def between(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        await asyncio.sleep(0)
        return tuple(
            candle
            for (number, minute), candle in sorted(self._database.candles.items())
            if number == strategy and start <= minute < end
        )

    async def delete_from(self, moment: datetime) -> int:
        await asyncio.sleep(0)
        self._database.before_write()
        gone = [key for key in self._database.candles if key[1] >= moment]
        for key in gone:
            del self._database.candles[key]
        return len(gone)


class FakeMarks:
    """Prices by token; both roads answer from the same table."""

    def __init__(self) -> None:
        self.prices: dict[int, LegMarks] = {}
        self.suspect: set[int] = set()

    def put(self, token: int, last: str | None, *, previous_close: str | None = None, reason: str = "") -> None:
        """Last given; mid and exit the same price."""
        price = None if last is None else Decimal(last)
        self.prices[token] = LegMarks(
            last=price,
            mid=price,
            exit=price,
            previous_close=None if previous_close is None else Decimal(previous_close),
            reason=reason,
        )

    def marks(self, held: Sequence[tuple[int, int]]) -> Sequence[LegMarks]:
        assert all(units for _, units in held)
        return [self.prices.get(token, LegMarks(reason="no quote")) for token, _ in held]

    def columns(self, tokens: Integers, signed_quantities: Integers) -> MarkColumns:
        assert tokens.shape == signed_quantities.shape
        found = [self.prices.get(token, LegMarks()) for token in tokens.tolist()]

        def column(values: list[Decimal | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
            return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)

        return MarkColumns(
            last=column([marks.last for marks in found]),
            mid=column([marks.mid for marks in found]),
            exit=column([marks.exit for marks in found]),
            trusted=np.array([token not in self.suspect for token in tokens.tolist()], dtype=np.bool_),
        )


class Events:
    """Keeps what the portfolio said."""

    def __init__(self) -> None:
        self.said: list[tuple[EventKind, Severity, str]] = []

    def __call__(self, kind: EventKind, text: str, *, severity: Severity = Severity.INFO, subject: str = "") -> object:
        assert text.endswith((".", "!")) or subject
        self.said.append((kind, severity, text))
        return None

    @property
    def loud(self) -> list[str]:
        """Sentences that ask for attention."""
        return [text for _, severity, text in self.said if severity is not Severity.INFO]


class Desk:
    """A service over the fakes, with helpers to trade."""

    def __init__(
        self,
        database: FakeDatabase | None = None,
        settings: PortfolioSettings | None = None,
        charges: ChargesBook | None = None,
    ) -> None:
        self.database = database or FakeDatabase()
        self.clock = ManualClock()
        self.marks = FakeMarks()
        self.events = Events()
        self.is_open = True
        self.candles = FakeCandles(self.database)
        self._references = 0
        self.service = PortfolioService(
            ACCOUNT,
            ledger=FakeLedger(self.database),
            strategies=FakeStrategies(self.database),
            candles=self.candles,
            clock=self.clock,
            marks=self.marks,
            on_event=self.events,
            settings=settings or PortfolioSettings(),
            epoch=EPOCH,
            new_reference=self._reference,
            is_session_open=lambda _: self.is_open,
            charges=charges,
        )

    def _reference(self) -> str:
        self._references += 1
        return f"transfer-{len(self.database.entries)}-{self._references}"

    async def started(self) -> Desk:
        """Start and return itself."""
        await self.service.start()
        return self


def key(token: int) -> InstrumentKey:
    """The instrument of a token."""
    return InstrumentKey(Exchange.NFO, f"NIFTY26DEC{24000 + token}CE")


def fill(
    trade_id: int,
    signed_quantity: int,
    price: str,
    *,
    token: int = 1,
    strategy: int | None = None,
    product: Product = Product.NRML,
    at: datetime = OPENING,
) -> Trade:
    """One fill."""
    return Trade(
        account=ACCOUNT,
        instrument=key(token),
        token=token,
        broker_order_id=BrokerOrderId(f"25112400{trade_id:06d}"),
        trade_id=TradeId(str(trade_id)),
        side=Side.BUY if signed_quantity > 0 else Side.SELL,
        product=product,
        quantity=abs(signed_quantity),
        price=Decimal(price),
        filled_at=at,
        strategy=None if strategy is None else StrategyNumber(strategy),
    )


UNAVAILABLE = StorageUnavailable("the database cannot be reached")
