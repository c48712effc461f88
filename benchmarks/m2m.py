"""Money of 1,000 strategies × 10 legs on three marks: the fast path against the exact one, and one candle sample.

Run: ``python -m benchmarks.m2m``. Prints the median and the 99th percentile of each pass and whether the fast pass
keeps its budget.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np

from engine.core.events import EventKind
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, StrategyNumber, TradeId
from engine.core.ledger import LedgerEntry
from engine.core.orders import Trade
from engine.core.strategies import M2mCandle, Strategy
from engine.core.views import Floats, Integers
from engine.core.vocabulary import Exchange, Product, Severity, Side
from engine.portfolio.columns import evaluate_book
from engine.portfolio.marks import LegMarks, MarkColumns
from engine.portfolio.service import PortfolioService
from engine.portfolio.settings import PortfolioSettings

STRATEGIES = 1_000
LEGS = 10
INSTRUMENTS = 3_000
PASSES = 300
EXACT_PASSES = 5
BUDGET_MS = 5.0
SEED = 20261124
ACCOUNT = AccountId("AB1234")
START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


class Columns:
    """Prices of every instrument as columns, addressed by token."""

    def __init__(self, random: np.random.Generator) -> None:
        """Draw prices on the tick."""
        self._random = random
        self.last: Floats = np.round(random.uniform(1, 500, INSTRUMENTS) / 0.05) * 0.05
        self.trusted = np.ones(INSTRUMENTS, dtype=np.bool_)

    def move(self) -> None:
        """Every price moves by up to three ticks."""
        self.last = np.maximum(0.05, self.last + self._random.integers(-3, 4, INSTRUMENTS) * 0.05)

    def columns(self, tokens: Integers, signed_quantities: Integers) -> MarkColumns:
        """Gather by token."""
        last = self.last[tokens]
        return MarkColumns(
            last=last, mid=last + 0.025, exit=last - 0.05 * np.sign(signed_quantities), trusted=self.trusted[tokens]
        )

    def marks(self, held: Sequence[tuple[int, int]]) -> Sequence[LegMarks]:
        """Exact, one by one."""
        return [self._marks(token, units) for token, units in held]

    def _marks(self, token: int, units: int) -> LegMarks:
        last = Decimal(round(float(self.last[token]) * 20)) / 20
        step = Decimal("0.05") if units > 0 else Decimal("-0.05")
        return LegMarks(last=last, mid=last + Decimal("0.025"), exit=last - step, previous_close=last)


class Store:
    """Strategies, ledger and candles that keep what they are given."""

    def __init__(self) -> None:
        """Begin with the default strategy."""
        self.known: list[Strategy] = []
        self.written: list[LedgerEntry] = []

    async def create(self, account: AccountId, name: str, *, is_default: bool, at: datetime, epoch: int) -> Strategy:
        """Number and keep it."""
        del epoch
        strategy = Strategy(
            number=StrategyNumber(len(self.known) + 1), account=account, name=name, is_default=is_default, created_at=at
        )
        self.known.append(strategy)
        return strategy

    async def archive(self, number: StrategyNumber, *, epoch: int) -> Strategy:
        """Not part of the measurement."""
        raise NotImplementedError(f"{number} {epoch}")

    async def all(self, account: AccountId) -> tuple[Strategy, ...]:
        """Every strategy."""
        return tuple(strategy for strategy in self.known if strategy.account == account)

    async def book(
        self, fills: Sequence[tuple[Trade, LedgerEntry]], *, epoch: int
    ) -> tuple[tuple[Trade, LedgerEntry], ...]:
        """Number and keep the entries."""
        del epoch
        new = []
        for trade, entry in fills:
            self.written.append(msgspec.structs.replace(entry, sequence=len(self.written) + 1))
            new.append((trade, self.written[-1]))
        return tuple(new)

    async def transfer(self, entries: Sequence[LedgerEntry], *, epoch: int) -> tuple[LedgerEntry, ...]:
        """Not part of the measurement."""
        raise NotImplementedError(f"{len(entries)} {epoch}")

    async def entries(self, account: AccountId) -> tuple[LedgerEntry, ...]:
        """Every entry."""
        return tuple(entry for entry in self.written if entry.account == account)

    async def trades(self, account: AccountId, since: datetime | None = None) -> tuple[Trade, ...]:
        """Not part of the measurement."""
        raise NotImplementedError(f"{account} {since}")

    async def save(self, candles: Sequence[M2mCandle]) -> None:
        """Take them."""
        del candles

    async def between(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """Nothing is stored."""
        del strategy, start, end
        return ()

    async def delete_from(self, moment: datetime) -> int:
        """Nothing is stored."""
        del moment
        return 0


class SteppingClock:
    """Market time moved by hand."""

    def __init__(self) -> None:
        """Begin in the session."""
        self.now = START

    def market_now(self) -> datetime:
        """Aware UTC."""
        return self.now

    def wall_now(self) -> datetime:
        """Aware UTC."""
        return self.now

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def ignore(kind: EventKind, text: str, *, severity: Severity = Severity.INFO, subject: str = "") -> object:
    """Events are not part of the measurement."""
    return kind, text, severity, subject


async def filled_service(marks: Columns, clock: SteppingClock, random: np.random.Generator) -> PortfolioService:
    """1,000 strategies of ten open legs each."""
    store = Store()
    service = PortfolioService(
        ACCOUNT,
        ledger=store,
        strategies=store,
        candles=store,
        clock=clock,
        marks=marks,
        on_event=ignore,
        settings=PortfolioSettings(waiting_fills_max=STRATEGIES * LEGS),
        epoch=1,
        new_reference=lambda: "unused",
        is_session_open=lambda _: True,
    )
    await service.start()
    trades: list[Trade] = []
    for number in range(2, STRATEGIES + 2):
        await service.create(f"book-{number}")
        for token in random.choice(INSTRUMENTS, LEGS, replace=False).tolist():
            trade = len(trades) + 1
            trades.append(
                Trade(
                    account=ACCOUNT,
                    instrument=InstrumentKey(Exchange.NFO, f"BENCH{token}"),
                    token=token,
                    broker_order_id=BrokerOrderId(str(trade)),
                    trade_id=TradeId(str(trade)),
                    side=Side.BUY if random.random() < 0.5 else Side.SELL,
                    product=Product.NRML,
                    quantity=65 * int(random.integers(1, 20)),
                    price=Decimal(int(random.integers(20, 10_000))) / 20,
                    filled_at=START,
                    strategy=StrategyNumber(number),
                )
            )
    await service.on_trades(trades)
    return service


def measure(work: Callable[[], object], passes: int, before: Callable[[], object]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds; ``before`` is not counted."""
    times = []
    for _ in range(passes):
        before()
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times)), float(np.percentile(times, 99))


def main() -> int:
    """Measure and print; 0 when the fast pass keeps its budget."""
    random = np.random.default_rng(SEED)
    marks, clock = Columns(random), SteppingClock()
    service = asyncio.run(filled_service(marks, clock, random))
    legs, _ = service.fast_values()
    gc.collect()

    def next_grid_point() -> None:
        marks.move()
        clock.now += timedelta(milliseconds=100)

    fast = measure(lambda: evaluate_book(legs, marks), PASSES, marks.move)
    sample = measure(service.sample, PASSES, next_grid_point)
    exact = measure(service.values, EXACT_PASSES, marks.move)
    print(f"{len(legs.token):,} legs of {len(legs.numbers):,} strategies on three marks, milliseconds (median, p99)")
    print(f"fast pass          {fast[0]:8.2f} {fast[1]:8.2f}   budget {BUDGET_MS:.0f}")
    print(f"candle sample      {sample[0]:8.2f} {sample[1]:8.2f}   exact Decimal on last, every 100 ms")
    print(f"exact Decimal view {exact[0]:8.2f} {exact[1]:8.2f}   made only for what is shown")
    print(f"fast against exact: {exact[0] / fast[0]:.0f} times faster")
    kept = fast[0] <= BUDGET_MS
    print("budget kept" if kept else "budget MISSED")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
