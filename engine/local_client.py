"""``EngineClient`` in process: the engine's own parts behind the one door."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, datetime

from engine.account_commands import AccountCommands
from engine.account_desk import AccountDesk
from engine.account_desks import by_number, gathered
from engine.account_receipts import refused
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
    CancelPlan,
    CloseDeadLetter,
    Command,
    ConvertPosition,
    CreateStrategy,
    DeleteGtt,
    ExitPositions,
    ExplainMismatch,
    HoldRisk,
    Interpretation,
    KillSwitch,
    MakePlan,
    ModifyGtt,
    ModifyOrder,
    MoveQuantity,
    PlaceBasket,
    PlaceGtt,
    PlaceOrder,
    Preview,
    Receipt,
    Reconcile,
    ReleaseHold,
    ReplayDeadLetter,
    ResolveUnknown,
    SetHousekeeping,
    SetMode,
    SteerPlan,
    TouchSeat,
    Unlock,
    Violation,
)
from engine.core.errors import InvalidInput, UnknownInstrument, UnknownOrder
from engine.core.events import EngineEvent
from engine.core.execution import DeadLetter, ExecutionHealth, OrderWhy
from engine.core.funds_margin import MarginAnswer
from engine.core.handover import Handover
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.operations import OperationsView
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, Trade
from engine.core.plans import PlanView
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.reconciling import Mismatch
from engine.core.replay import ReplayAction, ReplayView
from engine.core.rulebook import RulesView
from engine.core.standing_triggers import Gtt, GttRequest
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
from engine.core.vocabulary import OrderType, QuoteState
from engine.desk_view import DeskBuilder
from engine.doctor import examine
from engine.engine import Engine
from engine.execution.letters import open_dead_letters
from engine.execution.why import explain
from engine.instruction_commands import InstructionCommands
from engine.lock_commands import LockCommands
from engine.plan_commands import PlanCommands, kept_plans
from engine.previews import preview_of
from engine.upkeep_commands import UpkeepCommands

TERMINAL = "terminal"
"""The seat of whoever sits at the engine's own process."""
HEARD_ORDERS = PlaceOrder | PlaceBasket | ModifyOrder | ReplayDeadLetter | PlaceGtt | ModifyGtt
"""Commands whose refusals in a row end HOT."""


class LocalClient:
    """A started engine, seen and commanded from the same process."""

    def __init__(self, engine: Engine, *, seat: str = TERMINAL) -> None:
        """``engine`` has been started and is stopped by whoever started it; ``seat`` is meant where none is named."""
        self._engine = engine
        self._seat = seat
        self._desk = DeskBuilder(engine, seat)
        self._commands = AccountCommands(engine.desks)
        self._upkeep = UpkeepCommands(engine.desks)
        self._locks = LockCommands(engine.desks)
        self._instructions = InstructionCommands(engine.desks, engine.clock)
        self._plans = PlanCommands(engine.desks)
        self._lookups = engine.lookups

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

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """See ``EngineClient``. Market data that it needs and nobody watches is subscribed and waited for."""
        if account is not None:
            self._engine.desks.named(account)
        return await self._engine.sentences.read(text, account)

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        """See ``EngineClient``."""
        seat = seat or self._seat
        await self._heard_of(command)
        if isinstance(command, PlaceOrder):
            await self._margin_of(command)
        if isinstance(command, PlaceBasket | ExitPositions | MakePlan | CancelPlan | SteerPlan):
            return await self._plans.preview(command, seat)
        return preview_of(self._engine, command, seat)

    async def _heard_of(self, command: Command) -> None:
        """Orders are judged by a quote: have one before the checks look."""
        requests: tuple[OrderRequest | GttRequest, ...] = ()
        if isinstance(command, PlaceOrder):  # the first: it is the one that waits for this
            requests = (command.request,)
        elif isinstance(command, PlaceBasket):
            requests = command.legs
        elif isinstance(command, PlaceGtt | ModifyGtt):
            requests = (command.request,)
        rows = [self._engine.day.instrument(request.instrument) for request in requests]
        tokens = [row.token for row in rows if row is not None]
        if tokens:
            await self._lookups.quotes(tokens)

    async def _margin_of(self, command: PlaceOrder) -> None:
        """Ask the broker what an entry needs; what only reduces waits for nobody.

        Only for who looks first: asking for each of many orders would use up the broker's limit on reads.
        """
        try:
            desk = self._engine.desks.of_request(command.account, command.request.strategy)
        except InvalidInput:
            return  # whoever places it says so
        if desk.executor is not None and desk.executor.check(command.request)[2]:
            await desk.margins.know(command.request)

    async def orders(self) -> tuple[OrderRecord, ...]:
        """See ``EngineClient``."""
        found = [record for desk in self._engine.desks for record in await self._orders_of(desk)]
        return by_number(found)

    async def _orders_of(self, desk: AccountDesk) -> tuple[OrderRecord, ...]:
        """Of one account: those of its executor, or those of the journal where this engine only looks."""
        if desk.executor is not None:
            return desk.executor.orders()
        journal = self._engine.parts.repositories.journal
        found = {record.number: record for record in await journal.working(desk.account)}
        for record in await journal.since(desk.account, self._day_start()):
            found[record.number] = record
        return tuple(found.values())

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """See ``EngineClient``."""
        journal = self._engine.parts.repositories.journal
        if await journal.by_number(number) is None:
            raise UnknownOrder(f"There is no o{number}.")
        return await journal.history(number)

    async def why(self, number: OrderNumber) -> OrderWhy:
        """See ``EngineClient``."""
        journal, desk = self._engine.parts.repositories.journal, self._engine.desks.of_order(number)
        record = desk.executor.order(number) if desk is not None and desk.executor is not None else None
        record = record or await journal.by_number(number)
        if record is None:
            raise UnknownOrder(f"There is no o{number}.")
        return explain(record, await journal.intent(number), await journal.history(number))

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """See ``EngineClient``."""
        parts = self._engine.parts
        journal, most = parts.repositories.journal, parts.execution.dead_letters_max
        found = [
            letter for desk in self._engine.desks for letter in await open_dead_letters(journal, desk.account, most)
        ]
        return tuple(sorted(found, key=lambda letter: letter.died_at, reverse=True))

    async def execution_health(self) -> tuple[ExecutionHealth, ...]:
        """See ``EngineClient``."""
        return tuple(desk.executor.health() for desk in self._engine.desks if desk.executor is not None)

    async def mismatches(self) -> tuple[Mismatch, ...]:
        """See ``EngineClient``."""
        return await self._upkeep.mismatches()

    async def handover(self) -> tuple[Handover, ...]:
        """See ``EngineClient``."""
        return await self._upkeep.handover()

    async def plans(self) -> tuple[PlanView, ...]:
        """See ``EngineClient``."""
        found: list[PlanView] = []
        for desk in self._engine.desks:
            if desk.plans.desk is not None:
                found += desk.plans.desk.views()
            else:
                found += await kept_plans(self._engine.parts.repositories.plans, desk.account, self._day_start())
        return tuple(sorted(found, key=lambda view: view.record.number))

    async def trades(self) -> tuple[Trade, ...]:
        """See ``EngineClient``."""
        ledger, start = self._engine.parts.repositories.ledger, self._day_start()
        if len(self._engine.desks) == 1:
            return await ledger.trades(self._engine.account, start)
        found = [trade for desk in self._engine.desks for trade in await ledger.trades(desk.account, start)]
        return tuple(sorted(found, key=lambda trade: trade.filled_at))

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        """See ``EngineClient``."""
        read = await gathered(desk.read_positions() for desk in self._engine.desks.chosen(account))
        return tuple(position for positions in read for position in positions)

    async def strategies(self) -> tuple[StrategyValue, ...]:
        """See ``EngineClient``."""
        return self._engine.desks.values()

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """See ``EngineClient``."""
        portfolio = self._of_strategy(strategy).portfolio
        return () if portfolio is None else await portfolio.candles(strategy, start, end)

    async def funds(self, account: AccountId | None = None) -> Funds:
        """See ``EngineClient``."""
        return await self._engine.desks.named(account).read_funds()

    async def gtts(self) -> tuple[Gtt, ...]:
        """See ``EngineClient``."""
        return await self._instructions.gtts()

    async def basket_margin(self, legs: Sequence[OrderRequest], account: AccountId | None = None) -> MarginAnswer:
        """See ``EngineClient``."""
        return await self._instructions.basket_margin(legs, account)

    def _of_strategy(self, number: StrategyNumber) -> AccountDesk:
        """Whose strategy it is; of one that is nobody's the first account says so."""
        return self._engine.desks.of_strategy(number) or self._engine.desks.default

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        """See ``EngineClient``."""
        return self._engine.events.after(after)

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        """See ``EngineClient``."""
        return await self._of_strategy(strategy).strategies.payoff(
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
        return await self._of_strategy(strategy).strategies.scenario(
            strategy, days_ahead=days_ahead, moves=moves, shifts=shifts
        )

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        """See ``EngineClient``."""
        return await self._of_strategy(strategy).strategies.attribution(strategy)

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
        return self._engine.data.operations(self._engine.degraded, self._engine.journals)

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
        if after is None and any(desk.executor is None for desk in self._engine.desks):
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
        seat, arming = seat or self._seat, self._engine.arming
        if isinstance(command, PlaceOrder) and command.stroke and (refusal := self._stroke_refusal(command, seat)):
            return refused(refusal)
        receipt = await self._do(command, seat)
        if isinstance(command, HEARD_ORDERS):
            if receipt.accepted:
                arming.taken_in(seat, (record.number for record in receipt.orders))
            else:
                arming.refused(seat)
        return receipt

    async def _do(self, command: Command, seat: str) -> Receipt:
        engine = self._engine
        match command:
            case SetMode():
                refusal = engine.arming.arm(seat, command.mode, command.lots)
                if refusal:
                    return refused(Violation(check="mode", message=refusal))
                return Receipt(accepted=True, message=f"The mode is {command.mode}.")
            case TouchSeat(leaves=leaves):
                (engine.arming.leave if leaves else engine.arming.touch)(seat)
                return Receipt(accepted=True, message="")
            case AcknowledgeEvent():
                engine.events.acknowledge(command.sequence, command.accounts)
                return Receipt(accepted=True, message="Acknowledged.")
            case (
                PlaceOrder()
                | ModifyOrder()
                | CancelOrders()
                | ResolveUnknown()
                | ReplayDeadLetter()
                | CloseDeadLetter()
            ):
                await self._heard_of(command)
                return await self._commands.order(command, seat)
            case CreateStrategy() | ArchiveStrategy() | MoveQuantity():
                return await self._commands.strategy(command)
            case Reconcile() | ExplainMismatch() | SetHousekeeping():
                return await self._upkeep.do(command, seat)
            case PlaceGtt() | ModifyGtt() | DeleteGtt() | ConvertPosition():
                await self._heard_of(command)
                return await self._instructions.do(command, seat)
            case PlaceBasket() | ExitPositions() | MakePlan() | CancelPlan() | SteerPlan():
                await self._heard_of(command)
                return await self._plans.do(command, seat)
            case HoldRisk() | ReleaseHold() | KillSwitch() | Unlock():
                return await self._locks.lock(command, seat)

    def _stroke_refusal(self, command: PlaceOrder, seat: str) -> Violation | None:
        """Why an order that nobody reviewed may not go; what it is else is judged like any other."""
        request = command.request
        instrument = self._engine.day.instrument(request.instrument)
        if request.order_type is not OrderType.LIMIT or request.price is None or command.manner is not None:
            words = "A stroke is a plain limit order; this one goes by way of a review. Nothing was sent."
        elif instrument is None:
            return None  # the checks say so
        else:
            words = self._engine.arming.stroke_refusal(seat, -(-request.quantity // instrument.lot_size))
        return Violation(check="mode", message=words) if words else None

    async def close(self) -> None:
        """Leave; the engine is stopped by whoever started it."""

    def _day_start(self) -> datetime:
        zone = self._engine.day.calendar.zone
        local = self._engine.clock.market_now().astimezone(zone)
        return local.replace(hour=0, minute=0, second=0, microsecond=0)
