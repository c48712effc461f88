"""A small whole engine behind ``EngineClient``: it keeps state, counts watches, and does what a test tells its market.

It fills every limit order at once at its price and rests every other one. Nothing in it is a mock: what one method
changes the others show.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np

from engine.core.commands import (
    AcknowledgeEvent,
    CancelOrders,
    Command,
    CreateStrategy,
    Interpretation,
    PlaceOrder,
    Preview,
    Receipt,
    SentenceError,
    SetMode,
    TouchSeat,
    Violation,
)
from engine.core.errors import UnknownInstrument, UnknownOrder
from engine.core.events import EngineEvent, EventKind
from engine.core.identifiers import (
    AccountId,
    BrokerOrderId,
    InstrumentKey,
    IntentId,
    OrderNumber,
    StrategyNumber,
    TradeId,
    order_tag,
)
from engine.core.instruments import ExpiryLabel, Instrument, label_expiries
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, OrderState, OrderTrigger, Trade
from engine.core.positions import BrokerPosition, Funds, Holding
from engine.core.quotes import DepthLevel, Quote
from engine.core.strategies import Leg, LegValue, M2mCandle, Strategy, StrategyValue
from engine.core.views import (
    ChainColumns,
    ChainKey,
    ChainView,
    Check,
    DeskView,
    DoctorView,
    EventChanges,
    Integers,
    OrderChanges,
    StripItem,
    UnderlyingView,
)
from engine.core.vocabulary import (
    Exchange,
    InstrumentKind,
    Mark,
    Mode,
    OrderType,
    Product,
    QuoteState,
    Severity,
    Side,
)
from engine.order_log import Bell, OrderLog
from tests.kit.plain_analysis import PlainAnalysis
from tests.kit.plain_execution import PlainExecution
from tests.kit.plain_market_data import PlainMarketData
from tests.kit.plain_pictures import (
    ACCOUNT,
    EXPIRIES,
    LOT_SIZE,
    MARKET_TIME,
    STRIKES,
    UNDERLYING,
    chain_columns,
    chain_header,
    make_instruments,
    status_view,
)

__all__ = ["ACCOUNT", "EXPIRIES", "LOT_SIZE", "MARKET_TIME", "STRIKES", "UNDERLYING", "PlainEngine"]

ORDER_CHANGES_KEPT = 16


class PlainEngine(PlainAnalysis, PlainMarketData, PlainExecution):
    """Implements ``EngineClient``; the methods after ``close`` are the test's own."""

    def __init__(self) -> None:
        super().__init__()
        self.instruments = make_instruments()
        self.bar_instruments = tuple(row.key for row in self.instruments)
        self.chain_watches: Counter[ChainKey] = Counter()
        self.token_watches: Counter[int] = Counter()
        self.submitted: list[tuple[Command, str]] = []
        """Commands with their seats, when they were begun."""
        self.finished: list[Command] = []
        self.failures: dict[str, Exception] = {}
        """Method name to what it raises."""
        self.submit_gate = asyncio.Event()
        """Closed by a test that wants commands to hang in the middle."""
        self.submit_gate.set()
        self.submit_reached = asyncio.Event()
        self.mode = Mode.CONFIRM
        self.closed = False
        self.ages = 0.2
        """Seconds since any packet of any instrument."""
        self.positions_known = True
        self._by_token = {row.token: row for row in self.instruments}
        self._by_key = {row.key: row for row in self.instruments}
        self._prices = {row.token: (100.0, 101.0, 100.5) for row in self.instruments}
        self._hidden: set[ChainKey] = set()
        self._quote_changes: Counter[int] = Counter()
        self._row_sequence: Counter[tuple[ChainKey, int]] = Counter()
        self._sequence = 1
        self._revision = 1
        self._desk: DeskView | None = None
        self._orders: list[OrderRecord] = []
        self._history: list[OrderEvent] = []
        self._trades: list[Trade] = []
        self._events: list[EngineEvent] = []
        self._event_bell = Bell()
        self._order_log = OrderLog(kept_max=ORDER_CHANGES_KEPT)
        self._acknowledged = 0
        self._strategies = [
            Strategy(number=StrategyNumber(1), account=ACCOUNT, name="main", is_default=True, created_at=MARKET_TIME)
        ]

    # -- EngineClient: pictures ----------------------------------------------------------------------------------

    def desk(self) -> DeskView:
        """See ``EngineClient``."""
        self._fail("desk")
        if self._desk is None or self._desk.revision != self._revision:
            self._desk = self._made_desk()
        return self._desk

    def chain(self, key: ChainKey, since: int = 0) -> ChainView | None:
        """See ``EngineClient``."""
        self._fail("chain")
        if not self.chain_watches[key] or key in self._hidden:
            return None
        changed = [row for row in range(len(STRIKES)) if since < 1 or self._row_sequence[key, row] > since]
        return ChainView(
            key=key,
            sequence=self._sequence,
            strikes=np.array(STRIKES, dtype=np.float64),
            header=chain_header(key),
            calls=self._side(key, InstrumentKind.CALL),
            puts=self._side(key, InstrumentKind.PUT),
            changed=np.array(changed, dtype=np.intp),
        )

    def quote(self, token: int) -> Quote | None:
        """See ``EngineClient``."""
        self._fail("quote")
        if not self.token_watches[token] or token not in self._by_token:
            return None
        bid, ask, last = (Decimal(str(price)) for price in self._prices[token])
        return Quote(
            token=token,
            state=QuoteState.LIVE,
            last=last,
            bids=(DepthLevel(bid, 130, 2),),
            asks=(DepthLevel(ask, 65, 1),),
            volume=5_000_000_000,
            received_time=MARKET_TIME,
            age_s=self.ages,
        )

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """See ``EngineClient``."""
        return np.array([self._quote_changes[token] if self.token_watches[token] else -1 for token in tokens], np.int64)

    # -- EngineClient: interest ----------------------------------------------------------------------------------

    async def watch_chain(self, key: ChainKey) -> None:
        """See ``EngineClient``."""
        self._fail("watch_chain")
        await asyncio.sleep(0)
        if key.underlying != UNDERLYING or key.expiry not in EXPIRIES:
            raise UnknownInstrument(f"There is no chain of {key.underlying} {key.expiry}.", field="underlying")
        self.chain_watches[key] += 1

    async def unwatch_chain(self, key: ChainKey) -> None:
        """See ``EngineClient``."""
        self.chain_watches[key] -= 1
        self._fail("unwatch_chain")

    async def watch(self, tokens: Sequence[int]) -> None:
        """See ``EngineClient``."""
        await asyncio.sleep(0)
        unknown = [token for token in tokens if token not in self._by_token]
        if unknown:
            raise UnknownInstrument(f"No instrument has token {unknown[0]} today.", field="token")
        self.token_watches.update(tokens)

    async def unwatch(self, tokens: Sequence[int]) -> None:
        """See ``EngineClient``."""
        self.token_watches.subtract(tokens)

    # -- EngineClient: reading -----------------------------------------------------------------------------------

    async def underlyings(self) -> tuple[UnderlyingView, ...]:
        """See ``EngineClient``."""
        self._fail("underlyings")
        return (
            UnderlyingView(name=UNDERLYING, exchange=Exchange.NFO, index_token=256_265, lot_size=LOT_SIZE, expiries=2),
        )

    async def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """See ``EngineClient``."""
        if underlying.upper() not in {UNDERLYING, "NIFTY 50"}:
            raise UnknownInstrument(f'"{underlying}" has no options today. Nearest: {UNDERLYING}.', field="underlying")
        return label_expiries(EXPIRIES)

    async def search(self, text: str, limit: int = 20) -> tuple[Instrument, ...]:
        """See ``EngineClient``."""
        words = text.upper().split()
        return tuple(row for row in self.instruments if all(word in row.tradingsymbol for word in words))[:limit]

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """See ``EngineClient``. Knows ``buy SYMBOL``, which is one lot at 100."""
        verb, _, symbol = text.partition(" ")
        if verb != "buy":
            error = SentenceError(message=f'"{verb}" is not a word of this language.', place=0, length=len(verb))
            return Interpretation(text=text, error=error)
        return Interpretation(text=text, command=PlaceOrder(request=self.request(symbol)))

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        """See ``EngineClient``."""
        if not isinstance(command, PlaceOrder):
            return Preview(sentence="Nothing would change at the broker.")
        return Preview(
            sentence=f"{command.request.side} {command.request.quantity} {command.request.instrument}.",
            violations=self._violations(command.request),
            request=command.request,
            lots=Decimal(command.request.quantity) / LOT_SIZE,
        )

    async def orders(self) -> tuple[OrderRecord, ...]:
        """See ``EngineClient``."""
        return tuple(self._orders)

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """See ``EngineClient``."""
        if not any(record.number == number for record in self._orders):
            raise UnknownOrder(f"There is no o{number}.", field="number")
        return tuple(event for event in self._history if event.number == number)

    async def trades(self) -> tuple[Trade, ...]:
        """See ``EngineClient``."""
        return tuple(self._trades)

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        """See ``EngineClient``."""
        self._fail("positions")
        return self._net()

    def _net(self) -> tuple[BrokerPosition, ...]:
        net: Counter[InstrumentKey] = Counter()
        for trade in self._trades:
            net[trade.instrument] += trade.signed_quantity
        return tuple(
            BrokerPosition(
                instrument=key,
                token=self._by_key[key].token,
                product=Product.NRML,
                signed_quantity=quantity,
                average_price=Decimal("100.05"),
                overnight_quantity=0,
                multiplier=Decimal(1),
                value=Decimal("-100.05") * quantity,
            )
            for key, quantity in net.items()
        )

    async def strategies(self) -> tuple[StrategyValue, ...]:
        """See ``EngineClient``."""
        return tuple(self._value(strategy) for strategy in self._strategies)

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """See ``EngineClient``. One candle a minute of the asked range, at most five."""
        minutes = [start + timedelta(minutes=step) for step in range(5)]
        money = Decimal("1500.25")
        return tuple(
            M2mCandle(strategy=strategy, minute=minute, open=money, high=money, low=money, close=money, samples=3)
            for minute in minutes
            if minute < end
        )

    async def funds(self, account: AccountId | None = None) -> Funds:
        """See ``EngineClient``."""
        return Funds(net=Decimal("900000.10"), cash=Decimal("1000000.00"), used=Decimal("99999.90"))

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        """See ``EngineClient``."""
        return tuple(event for event in self._events if event.sequence > after)

    async def next_orders(self, after: int | None = None) -> OrderChanges:
        """See ``EngineClient``."""
        return await self._order_log.next(after, lambda: tuple(self._orders))

    async def next_events(self, after: int | None = None) -> EventChanges:
        """See ``EngineClient``."""
        while after is not None and after == len(self._events) + 1:
            await self._event_bell.heard()
        place = len(self._events) + 1
        if after is None or not 1 <= after < place:
            return EventChanges(sequence=place, base=0, events=tuple(self._events))
        return EventChanges(sequence=place, base=after, events=tuple(self._events[after - 1 :]))

    async def doctor(self) -> DoctorView:
        """See ``EngineClient``."""
        return DoctorView(at=MARKET_TIME, checks=(Check(name="clock", outcome="ok", message="0.01 s off"),))

    # -- EngineClient: acting ------------------------------------------------------------------------------------

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """See ``EngineClient``."""
        self._fail("submit")
        self.submitted.append((command, seat))
        self.submit_reached.set()
        await self.submit_gate.wait()
        receipt = self._done(command, seat)
        self.finished.append(command)
        return receipt

    async def close(self) -> None:
        """See ``EngineClient``."""
        self.closed = True

    # -- the test's own ------------------------------------------------------------------------------------------

    @property
    def keys(self) -> tuple[ChainKey, ...]:
        """Chains that exist."""
        return tuple(ChainKey(UNDERLYING, expiry) for expiry in EXPIRIES)

    @property
    def live_watches(self) -> int:
        """Watches not given up."""
        return self.chain_watches.total() + self.token_watches.total()

    def token(self, key: ChainKey, row: int, kind: InstrumentKind = InstrumentKind.CALL) -> int:
        """Token of a contract of a chain."""
        return next(
            item.token
            for item in self.instruments
            if item.expiry == key.expiry and item.strike == STRIKES[row] and item.kind is kind
        )

    def request(self, symbol: str, quantity: int = LOT_SIZE) -> OrderRequest:
        """A limit order for one lot at 100.05."""
        return OrderRequest(
            instrument=InstrumentKey(Exchange.NFO, symbol), side=Side.BUY, quantity=quantity, price=Decimal("100.05")
        )

    def set_price(self, key: ChainKey, row: int, bid: float, kind: InstrumentKind = InstrumentKind.CALL) -> None:
        """Move one contract; NaN takes its bid away."""
        _, ask, last = self._prices[token := self.token(key, row, kind)]
        self._prices[token] = (bid, ask, last)
        self._quote_changes[token] += 1
        self._sequence += 1
        self._row_sequence[key, row] = self._sequence

    def hide(self, key: ChainKey) -> None:
        """Show this chain no more, as when its last contract expired."""
        self._hidden.add(key)

    def touch_desk(self) -> None:
        """Make another picture of the desk."""
        self._revision += 1

    def add_event(self, text: str, account: AccountId | None = None) -> EngineEvent:
        """Let something happen, to an account or to everybody."""
        event = EngineEvent(
            sequence=len(self._events) + 1,
            at=MARKET_TIME,
            kind=EventKind.SYSTEM,
            severity=Severity.ATTENTION,
            text=text,
            account=account,
        )
        self._events.append(event)
        self._event_bell.ring()
        self._revision += 1
        return event

    # -- inside --------------------------------------------------------------------------------------------------

    def _fail(self, method: str) -> None:
        error = self.failures.get(method)
        if error is not None:
            raise error

    def _violations(self, request: OrderRequest) -> tuple[Violation, ...]:
        if request.instrument not in self._by_key:
            return (Violation(check="instrument", message=f"{request.instrument} is not listed today."),)
        if request.quantity % LOT_SIZE:
            return (Violation(check="lot", message=f"{request.quantity} is not a multiple of {LOT_SIZE}."),)
        return ()

    def _done(self, command: Command, seat: str) -> Receipt:
        self._revision += 1
        match command:
            case PlaceOrder():
                return self._placed(command, seat)
            case CancelOrders():
                return self._cancelled(command)
            case CreateStrategy():
                number = StrategyNumber(len(self._strategies) + 1)
                self._strategies.append(
                    Strategy(
                        number=number,
                        account=command.account or ACCOUNT,
                        name=command.name,
                        is_default=False,
                        created_at=MARKET_TIME,
                    )
                )
                return Receipt(accepted=True, message=f"Strategy #{number} is open.", strategy=number)
            case SetMode():
                self.mode = command.mode
                return Receipt(accepted=True, message=f"The mode is {command.mode}.")
            case TouchSeat():
                return Receipt(accepted=True, message="")
            case AcknowledgeEvent():
                self._acknowledged = command.sequence
                return Receipt(accepted=True, message="Acknowledged.")
            case _:
                return Receipt(
                    accepted=False,
                    message="Not here.",
                    violations=(Violation(check="command", message="This small engine does not know it."),),
                )

    def _placed(self, command: PlaceOrder, seat: str) -> Receipt:
        key = command.idempotency_key
        if key is not None:
            known = [record for record in self._orders if record.idempotency_key == key]
            if known:
                return Receipt(accepted=True, message="Known already.", orders=tuple(known), repeated=True)
        violations = self._violations(command.request)
        if violations:
            return Receipt(accepted=False, message=violations[0].message, violations=violations)
        number, account = OrderNumber(len(self._orders) + 1), command.account or ACCOUNT
        home = next(one.number for one in self._strategies if one.account == account)
        fills = command.request.order_type is OrderType.LIMIT
        record = OrderRecord(
            number=number,
            intent_id=IntentId(f"{number:032x}"),
            account=account,
            tag=order_tag(number.to_bytes(10, "big")),
            request=command.request,
            state=OrderState.COMPLETE if fills else OrderState.OPEN,
            broker_order_id=BrokerOrderId(f"2611190000{number:09d}"),
            filled_quantity=command.request.quantity if fills else 0,
            average_price=command.request.price if fills else None,
            idempotency_key=key,
            created_at=MARKET_TIME,
            updated_at=MARKET_TIME,
        )
        self._orders.append(record)
        self._order_log.add(record)
        self._history.append(
            OrderEvent(
                number=number,
                account=account,
                trigger=OrderTrigger.SEND,
                from_state=OrderState.QUEUED,
                to_state=OrderState.SENDING,
                applied=True,
                at=MARKET_TIME,
                detail=seat,
                sequence=len(self._history) + 1,
            )
        )
        if fills and command.request.price is not None and record.broker_order_id is not None:
            self._trades.append(
                Trade(
                    account=account,
                    instrument=command.request.instrument,
                    token=self._by_key[command.request.instrument].token,
                    broker_order_id=record.broker_order_id,
                    trade_id=TradeId(str(number)),
                    side=command.request.side,
                    product=command.request.product,
                    quantity=command.request.quantity,
                    price=command.request.price,
                    filled_at=MARKET_TIME,
                    strategy=home,
                )
            )
        self.add_event(f"o{number} {record.state}", account=account)
        return Receipt(accepted=True, message=f"o{number} is under way.", orders=(record,))

    def _cancelled(self, command: CancelOrders) -> Receipt:
        cancelled = []
        for place, record in enumerate(self._orders):
            if command.account not in {None, record.account}:
                continue
            if record.state.is_working and (command.everything or record.number in command.numbers):
                self._orders[place] = msgspec.structs.replace(record, state=OrderState.CANCELLED)
                cancelled.append(self._orders[place])
                self._order_log.add(self._orders[place])
        return Receipt(accepted=True, message=f"{len(cancelled)} cancelled.", orders=tuple(cancelled))

    def _value(self, strategy: Strategy) -> StrategyValue:
        leg = Leg(
            strategy=strategy.number,
            number=1,
            instrument=self.instruments[0].key,
            token=self.instruments[0].token,
            product=Product.NRML,
            holding=Holding(signed_quantity=-LOT_SIZE, average_price=Decimal("120.10")),
        )
        marks: dict[Mark, Decimal | None] = {Mark.LAST: Decimal("100.5"), Mark.MID: None, Mark.EXIT: Decimal(101)}
        profit = {mark: None if price is None else leg.holding.profit(price) for mark, price in marks.items()}
        return StrategyValue(
            strategy=strategy,
            legs=(LegValue(leg=leg, marks=marks, profit=profit, reason="no bid"),),
            profit={mark: amount or Decimal(0) for mark, amount in profit.items()},
            realised=Decimal(0),
            partial={Mark.LAST: (), Mark.MID: (f"{strategy.number}.1",), Mark.EXIT: ()},
            delta=-32.5,
        )

    def _side(self, key: ChainKey, kind: InstrumentKind) -> ChainColumns:
        return chain_columns([self.token(key, row, kind) for row in range(len(STRIKES))], self._prices, self.ages)

    def _made_desk(self) -> DeskView:
        unread = sum(1 for event in self._events if event.sequence > self._acknowledged)
        return DeskView(
            revision=self._revision,
            status=status_view(self.mode, unread),
            strip=(StripItem(label="NIFTY", last=Decimal("24011.40"), change_percent=None, state=QuoteState.LIVE),),
            strategies=tuple(self._value(strategy) for strategy in self._strategies),
            orders=tuple(reversed(self._orders)),
            events=tuple(self._events[-50:]),
            positions=self._net() if self.positions_known else None,
        )
