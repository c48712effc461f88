"""``EngineClient`` in process: the engine's own parts behind the one door."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, datetime

from engine.core.analysis import (
    AttributionView,
    PayoffView,
    ScenarioView,
    SeriesView,
    SmileView,
    VolatilityView,
)
from engine.core.bars import BarInterval, BarsView
from engine.core.commands import (
    AcknowledgeEvent,
    ArchiveStrategy,
    CancelOrders,
    CloseDeadLetter,
    Command,
    CreateStrategy,
    Interpretation,
    ModifyOrder,
    MoveQuantity,
    PlaceOrder,
    Preview,
    Receipt,
    ReplayDeadLetter,
    ResolveUnknown,
    SetMode,
    Violation,
)
from engine.core.errors import StorageError, UnknownInstrument, UnknownOrder, WorkstationError
from engine.core.events import EngineEvent
from engine.core.execution import DeadLetter, ExecutionHealth, OrderWhy
from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.operations import OperationsView
from engine.core.orders import OrderEvent, OrderRecord, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.replay import ReplayAction, ReplayView
from engine.core.rulebook import RulesView
from engine.core.strategies import M2mCandle, StrategyValue
from engine.core.views import (
    ChainKey,
    ChainView,
    DeskView,
    DoctorView,
    EventChanges,
    Integers,
    OrderChanges,
    UnderlyingView,
)
from engine.core.vocabulary import QuoteState
from engine.desk_view import DeskBuilder
from engine.doctor import examine
from engine.engine import Engine
from engine.execution.letters import open_dead_letters
from engine.execution.why import explain
from engine.language.parser import interpret
from engine.lookups import Lookups
from engine.portfolio.service import PortfolioService
from engine.previews import NO_EXECUTOR, preview_of
from engine.sentence_resolver import EngineResolver


class LocalClient:
    """A started engine, seen and commanded from the same process."""

    def __init__(self, engine: Engine) -> None:
        """``engine`` has been started and is stopped by whoever started it."""
        self._engine = engine
        self._desk = DeskBuilder(engine)
        self._resolver = EngineResolver(
            engine.day,
            defaults=engine.parts.defaults,
            book=lambda: engine.portfolio.book if engine.portfolio is not None else None,
            orders=engine.orders,
            at_the_money=engine.chains.at_the_money,
        )
        self._lookups = Lookups(
            engine.day, engine.chains, engine.subscriptions, engine.feed, engine.parts.settings, clock=engine.clock
        )

    # -- pictures --------------------------------------------------------------------------------------------------

    def desk(self) -> DeskView:
        """See ``EngineClient``."""
        return self._desk.view()

    def chain(self, key: ChainKey, since: int = 0) -> ChainView | None:
        """See ``EngineClient``."""
        return self._engine.chains.view(key, since)

    def quote(self, token: int) -> Quote | None:
        """See ``EngineClient``."""
        quote = self._engine.day.quote(token)
        return None if quote is None or quote.state is QuoteState.UNKNOWN else quote

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """See ``EngineClient``."""
        return self._engine.day.quote_marks(tokens)

    # -- interest --------------------------------------------------------------------------------------------------

    async def watch_chain(self, key: ChainKey) -> None:
        """See ``EngineClient``."""
        self._engine.chains.watch(key)

    async def unwatch_chain(self, key: ChainKey) -> None:
        """See ``EngineClient``."""
        self._engine.chains.unwatch(key)

    async def watch(self, tokens: Sequence[int]) -> None:
        """See ``EngineClient``."""
        unknown = [token for token in tokens if self._engine.day.index.get(token) is None]
        if unknown:
            raise UnknownInstrument(f"No instrument of today has the token {unknown[0]}.", field="tokens")
        await self._engine.watch(tuple(tokens))

    async def unwatch(self, tokens: Sequence[int]) -> None:
        """See ``EngineClient``."""
        await self._engine.unwatch(tuple(tokens))

    # -- reading ---------------------------------------------------------------------------------------------------

    async def underlyings(self) -> tuple[UnderlyingView, ...]:
        """See ``EngineClient``."""
        return tuple(self._engine.day.index.underlyings())

    async def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """See ``EngineClient``."""
        index = self._engine.day.index
        return index.expiries(index.resolve_underlying(underlying))

    async def search(self, text: str, limit: int = 20) -> tuple[Instrument, ...]:
        """See ``EngineClient``."""
        return self._engine.day.index.search(text, limit)

    async def interpret(self, text: str) -> Interpretation:
        """See ``EngineClient``. Market data that it needs and nobody watches is subscribed and waited for."""
        self._resolver.missing_tokens.clear()
        self._resolver.missing_chains.clear()
        found = interpret(text, self._resolver)
        if self._resolver.missing_chains:
            await self._lookups.chains(tuple(self._resolver.missing_chains))
            found = interpret(text, self._resolver)
        if self._resolver.missing_tokens:
            await self._lookups.quotes(tuple(self._resolver.missing_tokens))
            found = interpret(text, self._resolver)
        return found

    async def preview(self, command: Command) -> Preview:
        """See ``EngineClient``."""
        await self._heard_of(command)
        return preview_of(self._engine, command)

    async def _heard_of(self, command: Command) -> None:
        """Orders are judged by a quote: have one before the checks look."""
        if isinstance(command, PlaceOrder):
            instrument = self._engine.facts.instrument(command.request.instrument)
            if instrument is not None:
                await self._lookups.quotes((instrument.token,))

    async def orders(self) -> tuple[OrderRecord, ...]:
        """See ``EngineClient``."""
        if self._engine.executor is not None:
            return self._engine.executor.orders()
        journal = self._engine.parts.repositories.journal
        found = {record.number: record for record in await journal.working(self._engine.account)}
        for record in await journal.since(self._engine.account, self._day_start()):
            found[record.number] = record
        return tuple(found[number] for number in sorted(found))

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """See ``EngineClient``."""
        journal = self._engine.parts.repositories.journal
        if await journal.by_number(number) is None:
            raise UnknownOrder(f"There is no o{number}.")
        return await journal.history(number)

    async def why(self, number: OrderNumber) -> OrderWhy:
        """See ``EngineClient``."""
        journal, executor = self._engine.parts.repositories.journal, self._engine.executor
        record = None if executor is None else executor.order(number)
        record = record or await journal.by_number(number)
        if record is None:
            raise UnknownOrder(f"There is no o{number}.")
        return explain(record, await journal.intent(number), await journal.history(number))

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """See ``EngineClient``."""
        parts = self._engine.parts
        return await open_dead_letters(
            parts.repositories.journal, self._engine.account, parts.execution.dead_letters_max
        )

    async def execution_health(self) -> ExecutionHealth | None:
        """See ``EngineClient``."""
        return None if self._engine.executor is None else self._engine.executor.health()

    async def trades(self) -> tuple[Trade, ...]:
        """See ``EngineClient``."""
        return await self._engine.parts.repositories.ledger.trades(self._engine.account, self._day_start())

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """See ``EngineClient``."""
        return await self._engine.parts.reads.positions()

    async def strategies(self) -> tuple[StrategyValue, ...]:
        """See ``EngineClient``."""
        return self._engine.portfolio.values() if self._engine.portfolio is not None else ()

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """See ``EngineClient``."""
        if self._engine.portfolio is None:
            return ()
        return await self._engine.portfolio.candles(strategy, start, end)

    async def funds(self) -> Funds:
        """See ``EngineClient``."""
        return await self._engine.parts.reads.funds()

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        """See ``EngineClient``."""
        return self._engine.events.after(after)

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        """See ``EngineClient``."""
        return await self._engine.analysis.strategies.payoff(
            strategy, days_ahead=days_ahead, volatility_shift=volatility_shift, points=points
        )

    async def scenario(
        self,
        strategy: StrategyNumber,
        *,
        days_ahead: float = 0.0,
        moves: Sequence[float] = (),
        shifts: Sequence[float] = (),
    ) -> ScenarioView:
        """See ``EngineClient``."""
        return await self._engine.analysis.strategies.scenario(
            strategy, days_ahead=days_ahead, moves=moves, shifts=shifts
        )

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        """See ``EngineClient``."""
        return await self._engine.analysis.strategies.attribution(strategy)

    async def smile(self, key: ChainKey) -> SmileView:
        """See ``EngineClient``."""
        return await self._engine.analysis.market.smile(key)

    async def volatility(self, underlying: str) -> VolatilityView:
        """See ``EngineClient``."""
        return await self._engine.analysis.market.volatility(underlying)

    async def series(
        self,
        key: ChainKey,
        start: datetime,
        end: datetime,
        *,
        strike: float | None = None,
        indicators: Sequence[str] = (),
    ) -> SeriesView:
        """See ``EngineClient``."""
        return await self._engine.analysis.market.series(key, start, end, strike=strike, indicators=indicators)

    async def bars(
        self,
        instrument: InstrumentKey,
        interval: BarInterval,
        start: datetime,
        end: datetime,
        *,
        indicators: Sequence[str] = (),
    ) -> BarsView:
        """See ``EngineClient``."""
        return await self._engine.data.bars.bars(instrument, interval, start, end, indicators)

    async def rules(self, on: date | None = None) -> RulesView:
        """See ``EngineClient``."""
        engine, parts = self._engine, self._engine.parts
        await parts.rule_book.refresh(parts.repositories.rules)
        day, now = on or engine.day.today(), engine.clock.market_now()
        # The first look at a new dump reads all its rows.
        return await asyncio.to_thread(parts.rule_book.view, day, now=now, index=engine.day.index)

    async def operations(self) -> OperationsView:
        """See ``EngineClient``."""
        return self._engine.data.operations(self._engine.degraded)

    async def record(self, on: bool) -> OperationsView:
        """See ``EngineClient``."""
        await self._engine.data.record(on)
        return await self.operations()

    async def replay(self, action: ReplayAction | None = None) -> ReplayView:
        """See ``EngineClient``."""
        return await self._engine.data.replay(action)

    async def renew_session(self, account: str = "") -> OperationsView:
        """See ``EngineClient``."""
        self._engine.data.renew(account)
        return await self.operations()

    async def next_orders(self, after: int | None = None) -> OrderChanges:
        """See ``EngineClient``."""
        if after is None and self._engine.executor is None:
            return OrderChanges(sequence=self._engine.order_log.sequence, base=0, orders=await self.orders())
        return await self._engine.order_log.next(after, self._engine.orders)

    async def next_events(self, after: int | None = None) -> EventChanges:
        """See ``EngineClient``."""
        return await self._engine.events.next(after)

    async def doctor(self) -> DoctorView:
        """See ``EngineClient``."""
        return await examine(self._engine)

    # -- acting ----------------------------------------------------------------------------------------------------

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """See ``EngineClient``."""
        engine = self._engine
        match command:
            case SetMode():
                engine.set_mode(command.mode, seat=seat)
                return Receipt(accepted=True, message=f"The mode is {command.mode}.")
            case AcknowledgeEvent():
                engine.events.acknowledge(command.sequence)
                return Receipt(accepted=True, message="Acknowledged.")
            case (
                PlaceOrder()
                | ModifyOrder()
                | CancelOrders()
                | ResolveUnknown()
                | ReplayDeadLetter()
                | CloseDeadLetter()
            ):
                return await self._submit_order(command, seat)
            case CreateStrategy() | ArchiveStrategy() | MoveQuantity():
                if engine.portfolio is None or not engine.writer:
                    return _refused(NO_EXECUTOR)
                try:
                    return await self._submit_strategy(engine.portfolio, command)
                except WorkstationError as error:
                    kind = "database" if isinstance(error, StorageError) else "strategy"
                    return _refused(Violation(check=kind, message=str(error)))

    async def _submit_order(
        self,
        command: PlaceOrder | ModifyOrder | CancelOrders | ResolveUnknown | ReplayDeadLetter | CloseDeadLetter,
        seat: str,
    ) -> Receipt:
        executor = self._engine.executor
        if executor is None:
            return _refused(NO_EXECUTOR)
        match command:
            case PlaceOrder():
                await self._heard_of(command)
                return await executor.place(command, seat=seat)
            case ModifyOrder():
                return await executor.modify(command, seat=seat)
            case CancelOrders():
                return await executor.cancel(command, seat=seat)
            case ResolveUnknown():
                return await executor.resolve(command.number)
            case ReplayDeadLetter():
                return await executor.replay(command, seat=seat)
            case CloseDeadLetter():
                return await executor.close_letters(command, seat=seat)

    async def _submit_strategy(
        self, portfolio: PortfolioService, command: CreateStrategy | ArchiveStrategy | MoveQuantity
    ) -> Receipt:
        match command:
            case CreateStrategy():
                strategy = await portfolio.create(command.name)
                message = f"Strategy #{strategy.number} {strategy.name} is open."
                return Receipt(accepted=True, message=message, strategy=strategy.number)
            case ArchiveStrategy():
                strategy = await portfolio.archive(command.number)
                message = f"Strategy #{strategy.number} {strategy.name} is archived; no position was touched."
                return Receipt(accepted=True, message=message, strategy=strategy.number)
            case MoveQuantity():
                entries = await portfolio.move(command)
                target = next(entry for entry in entries if entry.strategy == command.to_strategy)
                message = f"Moved {abs(target.signed_quantity)} units to {target.strategy}.{target.leg}."
                return Receipt(accepted=True, message=message, strategy=command.to_strategy)

    async def close(self) -> None:
        """Leave; the engine is stopped by whoever started it."""

    def _day_start(self) -> datetime:
        zone = self._engine.day.calendar.zone
        local = self._engine.clock.market_now().astimezone(zone)
        return local.replace(hour=0, minute=0, second=0, microsecond=0)


def _refused(violation: Violation) -> Receipt:
    return Receipt(accepted=False, message=violation.message, violations=(violation,))
