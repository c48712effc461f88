"""A desk for executor tests: manual time, a journal that can fail, facts that a test sets, and a broker in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Self

import msgspec

from engine.core.accounts import Account
from engine.core.commands import CancelOrders, ModifyOrder, OrderChange, PlaceOrder, Receipt
from engine.core.errors import StorageError, StorageTimeout, StorageUnavailable
from engine.core.funds_margin import FundsSeen, MarginSeen
from engine.core.identifiers import AccountId, InstrumentKey, IntentId, OrderNumber, StrategyNumber
from engine.core.instructions import Instruction, InstructionEvent, InstructionNumber
from engine.core.instruments import Instrument
from engine.core.ledger import trade_reference
from engine.core.orders import OrderEvent, OrderIntent, OrderRecord, OrderRequest, OrderState, Trade
from engine.core.ports import Clock
from engine.core.positions import Funds
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import InstrumentKind, Mode, Product, QuoteState, Severity, Side, Venue
from engine.execution.executor import OrderExecutor
from engine.execution.facts import HeldPosition, PriceRange, SessionState
from engine.execution.latch import LatchFolder
from engine.execution.locks_book import LockBook
from engine.execution.notices import Notice
from engine.execution.reconciliation import Compare
from engine.execution.settings import ExecutionSettings
from engine.execution.spool import Spool
from engine.execution.spool_file import SpoolFile
from storage.memory import MemoryRepositories, MemoryStore
from tests.kit.fake_broker import FakeBroker, option

ACCOUNT = AccountId("AB1234")
OPENING = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
"""A Monday, 09:30 IST."""
SETTLE_TURNS = 60


class ManualClock:
    """Time that moves when told: sleepers wake one after the other, each at its own moment."""

    def __init__(self, now: datetime = OPENING) -> None:
        self._start = now
        self.elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    def market_now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed)

    def wall_now(self) -> datetime:
        return self.market_now()

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.elapsed + seconds, next(self._count), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time, stopping at every moment somebody waits for."""
        target = self.elapsed + seconds
        await settle()
        while True:
            self._sleepers = sorted(sleeper for sleeper in self._sleepers if not sleeper[2].done())
            if not self._sleepers or self._sleepers[0][0] > target:
                break
            due, _, future = self._sleepers.pop(0)
            self.elapsed = max(self.elapsed, due)
            future.set_result(None)
            await settle()
        self.elapsed = target
        await settle()


async def at_once(work: Callable[[], None]) -> None:
    """The disk answers within the turn."""
    work()


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)


class FaultyJournal:
    """The memory journal with failures on demand; what it says it has written, it has."""

    def __init__(self, repositories: MemoryRepositories) -> None:
        self._journal = repositories.journal
        self.down: StorageError | None = None
        """Every call fails with it."""
        self.changes_down: StorageError | None = None
        """Changes of orders fail with it; new orders are written."""
        self.intents_down: StorageError | None = None
        """New orders fail with it, and are not written."""
        self.lie_once = False
        """The next write is made and reported as timed out."""
        self.gate: asyncio.Event | None = None
        """Writes wait here after they were made."""
        self.stall: asyncio.Event | None = None
        """The database has stopped: calls wait here before they do anything."""
        self.merge_failures = 0
        """So many merges are not made, and reported as failed."""
        self.writes = 0
        self.commits: list[tuple[OrderState, ...]] = []
        """The states of the orders of each write of new or changed ones."""
        self.merges: list[OrderNumber] = []

    async def record_intents(
        self,
        intents: Sequence[OrderIntent],
        *,
        epoch: int,
        numbers: Sequence[OrderNumber] = (),
        leaving: Collection[IntentId] = (),
    ) -> tuple[OrderRecord, ...]:
        await self._stalled()
        self._check()
        if self.intents_down is not None:
            raise self.intents_down
        records = await self._journal.record_intents(intents, epoch=epoch, numbers=numbers, leaving=leaving)
        self.commits.append(tuple(record.state for record in records))
        await self._written()
        return records

    async def reserve_numbers(self, account: AccountId, count: int, *, epoch: int) -> tuple[OrderNumber, ...]:
        await self._stalled()
        self._check()
        return await self._journal.reserve_numbers(account, count, epoch=epoch)

    async def give_back_numbers(self, account: AccountId, numbers: Sequence[OrderNumber], *, epoch: int) -> None:
        await self._stalled()
        self._check()
        await self._journal.give_back_numbers(account, numbers, epoch=epoch)

    async def merge(
        self, intent: OrderIntent | None, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int
    ) -> None:
        await self._stalled()
        self._check()
        if self.merge_failures:
            self.merge_failures -= 1
            raise StorageUnavailable("the database is gone again")
        if intent is None and self.changes_down is not None:
            raise self.changes_down
        await self._journal.merge(intent, record, events, epoch=epoch)
        self.merges.append(record.number)
        await self._written()

    async def record_change(self, record: OrderRecord, events: Sequence[OrderEvent], *, epoch: int) -> None:
        await self._stalled()
        self._check()
        if self.changes_down is not None:
            raise self.changes_down
        await self._journal.record_change(record, events, epoch=epoch)
        self.commits.append((record.state,))
        await self._written()

    async def adopt(self, record: OrderRecord, event: OrderEvent, *, epoch: int) -> OrderRecord:
        await self._stalled()
        self._check()
        adopted = await self._journal.adopt(record, event, epoch=epoch)
        await self._written()
        return adopted

    async def by_idempotency_key(self, account: AccountId, key: str) -> OrderRecord | None:
        await self._stalled()
        self._check()
        return await self._journal.by_idempotency_key(account, key)

    async def by_number(self, number: OrderNumber) -> OrderRecord | None:
        await self._stalled()
        self._check()
        return await self._journal.by_number(number)

    async def working(self, account: AccountId) -> tuple[OrderRecord, ...]:
        self._check()
        return await self._journal.working(account)

    async def since(self, account: AccountId, moment: datetime) -> tuple[OrderRecord, ...]:
        self._check()
        return await self._journal.since(account, moment)

    async def history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        return await self._journal.history(number)

    async def intent(self, number: OrderNumber) -> OrderIntent | None:
        self._check()
        return await self._journal.intent(number)

    async def dead_letters(self, account: AccountId, limit: int) -> tuple[OrderRecord, ...]:
        self._check()
        return await self._journal.dead_letters(account, limit)

    async def placements(self, account: AccountId, since: datetime) -> tuple[datetime | None, ...]:
        self._check()
        return await self._journal.placements(account, since)

    def fail(self) -> None:
        self.down = StorageUnavailable("the database is gone")

    def fail_changes(self) -> None:
        self.changes_down = StorageUnavailable("the database is gone")

    def stop(self) -> None:
        """Whoever asks waits; what was asked is done when it goes on."""
        self.stall = asyncio.Event()

    def heal(self) -> None:
        self.down = self.changes_down = None
        if self.stall is not None:
            self.stall.set()
            self.stall = None

    async def _stalled(self) -> None:
        if self.stall is not None:
            await self.stall.wait()

    def _check(self) -> None:
        if self.down is not None:
            raise self.down

    async def _written(self) -> None:
        self.writes += 1
        if self.lie_once:
            self.lie_once = False
            raise StorageTimeout("the database did not answer in time")
        if self.gate is not None:
            await self.gate.wait()


class FaultyInstructions:
    """The memory record of triggers and conversions, with failures on demand."""

    def __init__(self, repositories: MemoryRepositories) -> None:
        self._journal = repositories.instructions
        self.down: StorageError | None = None
        """Every write fails with it."""
        self.lie_once = False
        """The next new one is written and reported as timed out."""
        self.stall: asyncio.Event | None = None
        """The database has stopped: writes wait here before they do anything."""

    async def record(self, instruction: Instruction, *, epoch: int) -> Instruction:
        await self._stalled()
        self._check()
        made = await self._journal.record(instruction, epoch=epoch)
        if self.lie_once:
            self.lie_once = False
            raise StorageTimeout("the database did not answer in time")
        return made

    async def change(self, instruction: Instruction, event: InstructionEvent, *, epoch: int) -> None:
        await self._stalled()
        self._check()
        await self._journal.change(instruction, event, epoch=epoch)

    async def _stalled(self) -> None:
        if self.stall is not None:
            await self.stall.wait()

    async def by_idempotency_key(self, account: AccountId, key: str) -> Instruction | None:
        return await self._journal.by_idempotency_key(account, key)

    async def since(self, account: AccountId, moment: datetime) -> tuple[Instruction, ...]:
        return await self._journal.since(account, moment)

    async def history(self, number: InstructionNumber) -> tuple[InstructionEvent, ...]:
        return await self._journal.history(number)

    def _check(self) -> None:
        if self.down is not None:
            raise self.down


class Facts:
    """What a test says of the market."""

    def __init__(self) -> None:
        self.instruments = {row.key: row for row in (option(), option(24_100), option(24_000, InstrumentKind.PUT))}
        self.current_mode = Mode.HOT
        self.state = QuoteState.LIVE
        self.held: dict[InstrumentKey, int] | None = {}
        self.is_open = True
        self.halt = ""
        self.product = Product.NRML
        self.band: PriceRange | None = None
        self.banned: set[str] = set()
        self.money: FundsSeen | None = FundsSeen(
            funds=Funds(net=Decimal(10**7), cash=Decimal(10**7), used=Decimal(0)), age_s=0.0
        )
        self.margins: dict[OrderRequest, MarginSeen] = {}

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        return self.instruments.get(key)

    def quote(self, instrument: Instrument) -> Quote | None:
        return live_quote(instrument.token, self.state)

    def freeze_quantity(self, instrument: Instrument) -> int | None:
        del instrument
        return 1800

    def positions(self) -> tuple[HeldPosition, ...] | None:
        if self.held is None:
            return None
        return tuple(
            HeldPosition(instrument=self.instruments[key], product=self.product, signed_quantity=quantity)
            for key, quantity in self.held.items()
            if quantity
        )

    def session(self, instrument: Instrument) -> SessionState:
        del instrument
        return SessionState(is_open=self.is_open, words="open" if self.is_open else "closed", halt=self.halt)

    def mode(self, seat: str) -> Mode:
        del seat
        return self.current_mode

    def price_range(self, instrument: Instrument, quote: Quote | None) -> PriceRange | None:
        del instrument, quote
        return self.band

    def is_banned(self, instrument: Instrument) -> bool | None:
        return instrument.name in self.banned

    def funds(self) -> FundsSeen | None:
        return self.money

    def margin(self, request: OrderRequest) -> MarginSeen | None:
        return self.margins.get(request, MarginSeen(needed=Decimal(0), raises=False, age_s=0.0))


class Ear:
    """Keeps what the executor says."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.changes: list[tuple[OrderRecord, tuple[OrderEvent, ...]]] = []

    def on_order(self, record: OrderRecord, events: tuple[OrderEvent, ...]) -> None:
        self.changes.append((record, events))

    def on_notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def heard(self, words: str, severity: Severity | None = None) -> list[Notice]:
        """Notices that contain ``words``."""
        return [notice for notice in self.notices if words in notice.text and severity in {None, notice.severity}]


class FillBook:
    """Books fills, each once, unless told to fail or to keep them for later."""

    def __init__(self) -> None:
        self.calls: list[tuple[Trade, ...]] = []
        self.error: StorageError | None = None
        self.keeps = False
        self._kept: set[str] = set()

    async def on_trades(self, trades: tuple[Trade, ...]) -> None:
        if self.error is not None:
            raise self.error
        self.calls.append(trades)
        if self.keeps:
            self._kept |= {trade_reference(trade) for trade in trades}

    def is_booked(self, reference: str) -> bool:
        return reference not in self._kept and reference in {trade_reference(trade) for trade in self.trades}

    def book_kept(self) -> None:
        """Book what was kept, without being asked."""
        self._kept.clear()

    @property
    def trades(self) -> list[Trade]:
        return [trade for call in self.calls for trade in call]


class RandomBytes:
    """A source that never repeats itself and can be made to."""

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self.repeat: bytes | None = None

    def __call__(self, length: int) -> bytes:
        if self.repeat is not None:
            return self.repeat[:length].ljust(length, b"\0")
        return next(self._count).to_bytes(length, "big")


class Desk:
    """One account at one broker; engines come and go, the journal's store and the broker stay."""

    def __init__(
        self,
        settings: ExecutionSettings | None = None,
        *,
        checks: tuple[Compare, ...] = (),
        spool: Path | None = None,
        latches: LatchFolder | None = None,
    ) -> None:
        self.settings = ExecutionSettings() if settings is None else settings
        self.clock = ManualClock()
        self.broker = FakeBroker(ACCOUNT, _as_clock(self.clock))
        self.store = MemoryStore()
        self.facts = Facts()
        self.random = RandomBytes()
        self.ear = Ear()
        self.fills = FillBook()
        self.checks = checks
        self.latches = latches
        self.locks: LockBook | None = None
        self.spool = spool
        """Where exits and cancellations are kept while the journal is away; ``None``: they are not."""
        self.spool_file: SpoolFile | None = None
        self.strategy = StrategyNumber(0)
        self.uncertainty_s = 0.0
        """How far the broker's clock may be from what the engine takes it for."""
        self.journal = FaultyJournal(MemoryRepositories(self.store))
        self.instructions = FaultyInstructions(MemoryRepositories(self.store))
        self.converted: list[Instruction] = []
        """Conversions that the ledger was told of, each as often as it was."""
        self._run: asyncio.Task[None] | None = None
        self._before: set[asyncio.Task[object]] = set()
        self.executor: OrderExecutor

    async def __aenter__(self) -> Self:
        repositories = MemoryRepositories(self.store)
        await repositories.accounts.save(
            Account(account_id=ACCOUNT, name="Test", venue=Venue.PRACTICE, created_at=OPENING)
        )
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.broker.heal()
        self.journal.heal()
        if self.journal.gate is not None:
            self.journal.gate.set()
        await self.close()

    async def open(self, *, settle_second: bool = True) -> None:
        """Start an engine on the store; its first second, which is not used for sending, passes."""
        self._before = set(asyncio.all_tasks())
        repositories = MemoryRepositories(self.store)
        self.store.writers.clear()
        epoch = await repositories.writer_lock.acquire(ACCOUNT)
        assert epoch is not None
        strategies = await repositories.strategies.all(ACCOUNT)
        if not strategies:
            made = await repositories.strategies.create(ACCOUNT, "main", is_default=True, at=OPENING, epoch=epoch)
            self.strategy = made.number
        self.journal = FaultyJournal(repositories)
        self.instructions = FaultyInstructions(repositories)
        self.spool_file = (
            None if self.spool is None else SpoolFile(self.spool, ACCOUNT, bytes_max=self.settings.spool.bytes_max)
        )
        if self.latches is not None:
            self.locks = LockBook(ACCOUNT, self.latches, self.clock)
        self.executor = OrderExecutor(
            ACCOUNT,
            road=self.broker,
            reads=self.broker,
            journal=self.journal,
            facts=self.facts,
            clock=self.clock,
            random_bytes=self.random,
            settings=self.settings,
            listener=self.ear,
            fills=self.fills,
            epoch=epoch,
            allocated=lambda request: (self.facts.held or {}).get(request.instrument, 0),
            checks=self.checks,
            upkeep=repositories.upkeep,
            server_uncertainty_s=lambda: self.uncertainty_s,
            spool=None if self.spool_file is None else Spool(self.spool_file, offload=at_once),
            writer_lock=repositories.writer_lock,
            locks=self.locks,
            instructions=self.instructions,
            on_converted=self._book_conversion,
        )
        await self.executor.start()
        self._run = asyncio.ensure_future(self.executor.run())
        await settle()
        if settle_second:
            await self.clock.advance(1.2)

    async def _book_conversion(self, instruction: Instruction) -> None:
        self.converted.append(instruction)

    async def close(self) -> None:
        """Stop the engine in an orderly way."""
        run, self._run = self._run, None
        if run is None:
            return
        stopping = asyncio.ensure_future(self.executor.stop())
        await self.clock.advance(self.settings.stop_timeout_s + 1)
        await stopping
        await asyncio.gather(run, return_exceptions=True)

    async def crash(self) -> None:
        """Kill the engine: every task of it ends where it stands, nothing is tidied up."""
        self._run = None
        tasks = set(asyncio.all_tasks()) - self._before - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.spool_file is not None:
            self.spool_file.close()  # as the kernel does

    async def cancel_run(self) -> None:
        """The service ends, the executor stays."""
        run, self._run = self._run, None
        assert run is not None
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    def run_again(self) -> None:
        """A supervisor starts the service again."""
        self._run = asyncio.ensure_future(self.executor.run())

    async def restart(self) -> None:
        """Kill the engine and start another one on the same store."""
        await self.crash()
        await self.open()

    async def failure(self) -> BaseException | None:
        """What ``run`` ended with."""
        run, self._run = self._run, None
        assert run is not None
        (result,) = await asyncio.gather(run, return_exceptions=True)
        return result

    async def place(
        self, request: OrderRequest | None = None, *, key: str | None = None, settle_after: bool = True
    ) -> Receipt:
        """Place an order and let it run as far as it can at this moment."""
        command = PlaceOrder(request=buy() if request is None else request, idempotency_key=key)
        receipt = await self.executor.place(command)
        if settle_after:
            await settle()
        return receipt

    async def resting(self, request: OrderRequest | None = None) -> OrderNumber:
        """Place an order and wait until the book has it."""
        receipt = await self.place(request)
        assert receipt.accepted, receipt.message
        await self.clock.advance(2)
        return receipt.orders[0].number

    async def modify(self, number: OrderNumber, **fields: object) -> Receipt:
        """Modify an order."""
        change = msgspec.convert(fields, OrderChange)
        receipt = await self.executor.modify(ModifyOrder(number=number, change=change))
        await settle()
        return receipt

    async def cancel(self, *numbers: OrderNumber) -> Receipt:
        """Cancel orders."""
        receipt = await self.executor.cancel(CancelOrders(numbers=numbers, everything=not numbers))
        await settle()
        return receipt

    def order(self, number: OrderNumber | int) -> OrderRecord:
        """How an order stands."""
        record = self.executor.order(OrderNumber(number))
        assert record is not None
        return record

    def state(self, number: OrderNumber | int) -> OrderState:
        """The state of an order."""
        return self.order(number).state

    def journalled(self, number: OrderNumber | int) -> OrderRecord:
        """How the journal has an order."""
        return self.store.orders[OrderNumber(number)]

    def history(self, number: OrderNumber | int) -> list[OrderEvent]:
        """The lines of history of an order."""
        return [event for event in self.store.events if event.number == number]


def buy(quantity: int = 65, price: str | None = "105", **fields: object) -> OrderRequest:
    """A limit buy of the test contract."""
    request = OrderRequest(
        instrument=option().key, side=Side.BUY, quantity=quantity, price=None if price is None else Decimal(price)
    )
    return msgspec.structs.replace(request, **fields)


def sell(quantity: int = 65, price: str | None = "105", **fields: object) -> OrderRequest:
    """A limit sell of the test contract."""
    return buy(quantity, price, side=Side.SELL, **fields)


def live_quote(token: int, state: QuoteState = QuoteState.LIVE) -> Quote:
    """Bid 104.95, ask 105.05."""
    return Quote(
        token=token,
        state=state,
        last=Decimal("105.00"),
        bids=(DepthLevel(Decimal("104.95"), 650, 3),),
        asks=(DepthLevel(Decimal("105.05"), 650, 3),),
        age_s=0.2,
    )


def _as_clock(clock: ManualClock) -> Clock:
    return clock
