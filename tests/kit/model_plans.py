"""A small exchange for algorithms of plans: orders, fills and knowledge of them, all moved by the test.

What is true at the exchange and what the desk knows of it are kept apart: an order may be filled before anybody has
heard of it. ``look`` does what the desk does: a picture, a decision, its moves. Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.identifiers import AccountId, InstrumentKey, IntentId, OrderNumber, StrategyNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.plans import PlanNumber, PlanRecord, PlanSpec, PlanState
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import Exchange, InstrumentKind, OrderType, Product, QuoteState, Side
from engine.execution.plans.algorithm import Advance, Algorithm, Change, Move, Place, PlanPicture, Withdraw

LOT = 65
TICK = Decimal("0.05")
START = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
NEAR, FAR = date(2026, 11, 24), date(2026, 12, 1)
ACCOUNT = AccountId("AB1234")


def contract(strike: int, kind: InstrumentKind, *, name: str = "NIFTY", expiry: date = NEAR) -> Instrument:
    """An option, or a future of strike 0."""
    symbol = f"{name}{expiry:%d%b}{strike}{kind}".upper()
    return Instrument(
        token=abs(hash(symbol)) % 10**6,
        exchange_token=1,
        tradingsymbol=symbol,
        exchange=Exchange.NFO,
        name=name,
        kind=kind,
        segment="NFO-OPT",
        expiry=expiry,
        strike=Decimal(strike),
        tick_size=TICK,
        lot_size=LOT,
    )


def quote_of(mid: Decimal, *, spread: Decimal = Decimal("0.20"), size: int = 6500, **fields: object) -> Quote:
    """A LIVE book with one level on each side."""
    bid, ask = mid - spread / 2, mid + spread / 2
    base = Quote(
        token=1,
        state=QuoteState.LIVE,
        last=mid,
        bids=(DepthLevel(bid, size, 1),),
        asks=(DepthLevel(ask, size, 1),),
        age_s=0.1,
    )
    return msgspec.structs.replace(base, **fields)


@dataclass
class ModelOrder:
    """One order: what the desk has heard, and what is true."""

    record: OrderRecord
    filled: int = 0
    """Units that really are filled."""
    is_alive: bool = True
    """It may really still fill."""
    value: Decimal = Decimal(0)
    is_ours: bool = True
    filled_at: list[datetime] = field(default_factory=list)

    @property
    def number(self) -> OrderNumber:
        """Its number."""
        return self.record.number

    @property
    def open(self) -> int:
        """Units that may really still fill."""
        return self.record.request.quantity - self.filled if self.is_alive else 0


class ModelExchange:
    """The exchange with one plan on it."""

    def __init__(self, contracts: tuple[Instrument, ...], algorithm: Algorithm, spec: PlanSpec) -> None:
        self.contracts = {row.key: row for row in contracts}
        self.algorithm = algorithm
        self.now = START
        self.plan = PlanRecord(
            number=PlanNumber(1),
            account=ACCOUNT,
            spec=spec,
            state=PlanState.RUNNING,
            idempotency_key="k",
            sentence="",
            created_at=START,
            updated_at=START,
        )
        self.orders: dict[str, ModelOrder] = {}
        self.others: list[ModelOrder] = []
        self.refusals: dict[str, str] = {}
        self.turns: tuple[str, ...] = ()
        self.quotes: dict[InstrumentKey, Quote] = {row.key: quote_of(Decimal(100)) for row in contracts}
        self.held: dict[tuple[InstrumentKey, Product], int] = {}
        """Signed units at the broker before the plan's own fills and besides them, and after all else."""
        self.allocated: dict[tuple[int, InstrumentKey, Product], int] = {}
        self.freeze: int | None = None
        self.band: tuple[Decimal, Decimal] | None = None
        self.is_open = True
        self.positions_known = True
        self.next_fate: Callable[[Place], OrderState] = lambda _: OrderState.OPEN
        """What becomes of an order that is placed; UNKNOWN is accepted, PRESUMED_ABSENT is not."""
        self.refuses: Callable[[Place], str] = lambda _: ""
        self.on_fill: Callable[[ModelOrder], None] = lambda _: None
        self._numbers = 0
        self.alarms: list[str] = []
        self.phoned: list[str] = []
        """What somebody else did; a test keeps it here."""

    # ---- the desk

    def picture(self) -> PlanPicture:
        """As it is now."""
        return PlanPicture(
            plan=self.plan,
            now=self.now,
            orders={key: order.record for key, order in self.orders.items()},
            refusals=dict(self.refusals),
            instrument=self.contracts.get,
            quote=lambda row: self.quotes.get(row.key),
            freeze_quantity=lambda _: self.freeze,
            net=lambda key, product: self.known_net(key, product) if self.positions_known else None,
            allocation=self._allocation,
            working=self._working,
            price_band=lambda _: self.band,
            is_open=lambda _: self.is_open,
            order=self._order,
            turns=self.turns,
        )

    def look(self) -> Advance:
        """Take a picture, decide, keep what is to be kept, and make the moves."""
        picture = self.picture()
        stops = self.plan.state is PlanState.CANCELLING
        advance = self.algorithm.stop(picture) if stops else self.algorithm.advance(picture)
        assert self.algorithm.advance(picture) == (advance if not stops else self.algorithm.advance(picture))
        if self.plan.state is PlanState.PAUSED and self.turns == ():
            return advance
        self.turns = ()
        state = PlanState.CANCELLING if stops and not advance.state.is_over else advance.state
        self.plan = msgspec.structs.replace(self.plan, state=state, progress=advance.progress)
        if advance.alarm:
            self.alarms.append(advance.alarm)
        for move in advance.moves:
            self._make(move)
        return advance

    def steer(self, turn: str) -> None:
        """What a person says."""
        self.turns = (*self.turns, turn)
        if turn == "resume":
            self.plan = msgspec.structs.replace(self.plan, state=PlanState.RUNNING)

    def restart(self) -> None:
        """The engine is killed and comes back: only what is journalled and in the broker's book is left."""
        self.refusals.clear()
        for order in self.orders.values():
            if order.record.state is not OrderState.PRESUMED_ABSENT:
                self.learn(order)

    def pass_time(self, seconds: float) -> None:
        """Market time goes on."""
        self.now += timedelta(seconds=seconds)

    # ---- the exchange

    def add_other(self, request: OrderRequest, *, state: OrderState = OrderState.OPEN) -> ModelOrder:
        """An order that is not the plan's."""
        order = ModelOrder(record=self._record(request, "other", state), is_ours=False)
        self.others.append(order)
        return order

    def fill(self, order: ModelOrder, quantity: int, *, is_known: bool = True) -> None:
        """The exchange fills some of an order, if it is alive."""
        took = min(quantity, order.open)
        if took <= 0:
            return
        request = order.record.request
        price = request.price if request.price is not None else Decimal(100)
        order.filled += took
        order.value += price * took
        order.filled_at.append(self.now)
        if order.filled == request.quantity:
            order.is_alive = False
        key = (request.instrument, request.product)
        self.held[key] = self.held.get(key, 0) + request.side.sign * took
        if request.strategy is not None:
            own = (int(request.strategy), *key)
            self.allocated[own] = self.allocated.get(own, 0) + request.side.sign * took
        self.on_fill(order)
        if is_known:
            self.learn(order)

    def trade_elsewhere(self, key: InstrumentKey, signed: int, product: Product = Product.NRML) -> None:
        """The phone buys or sells."""
        self.held[key, product] = self.held.get((key, product), 0) + signed

    def learn(self, order: ModelOrder) -> None:
        """The desk reads the book: it knows of this order what is true."""
        record = order.record
        if record.state in {OrderState.NOT_SENT, OrderState.REJECTED}:
            return
        if order.filled == record.request.quantity:
            state = OrderState.COMPLETE
        elif not order.is_alive:
            absent = record.state in {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT} and not order.filled
            state = OrderState.PRESUMED_ABSENT if absent else OrderState.CANCELLED
        else:
            is_stop = record.request.order_type in {OrderType.SL, OrderType.SL_M}
            state = OrderState.TRIGGER_PENDING if is_stop else OrderState.OPEN
        changed = state is not record.state or order.filled != record.filled_quantity
        order.record = msgspec.structs.replace(
            record,
            state=state,
            filled_quantity=order.filled,
            average_price=order.value / order.filled if order.filled else None,
            updated_at=self.now if changed else record.updated_at,
        )

    def kill_order(self, order: ModelOrder, state: OrderState = OrderState.CANCELLED, message: str = "gone") -> None:
        """It ends at the exchange, and the desk hears of it."""
        order.is_alive = False
        fields: dict[str, object] = {"state": state, "message": message, "updated_at": self.now}
        if order.filled:
            fields |= {"filled_quantity": order.filled, "average_price": order.value / order.filled}
        order.record = msgspec.structs.replace(order.record, **fields)

    def known_net(self, key: InstrumentKey, product: Product) -> int:
        """What the desk can know: fills that nobody has heard of are not in it."""
        unheard = sum(
            order.record.request.side.sign * (order.filled - order.record.filled_quantity)
            for order in (*self.orders.values(), *self.others)
            if order.record.request.instrument == key and order.record.request.product is product
        )
        return self.held.get((key, product), 0) - unheard

    def net(self, key: InstrumentKey, product: Product = Product.NRML) -> int:
        """What is true."""
        return self.held.get((key, product), 0)

    def working(self, prefix: str = "") -> list[ModelOrder]:
        """Orders of the plan that may really fill."""
        return [order for key, order in self.orders.items() if order.open and key.startswith(prefix)]

    # ---- inside

    def _order(self, number: OrderNumber) -> OrderRecord | None:
        every = (*self.orders.values(), *self.others)
        return next((order.record for order in every if order.number == number), None)

    def _allocation(self, strategy: int, key: InstrumentKey, product: Product) -> int | None:
        if not self.positions_known:
            return None
        unheard = sum(
            order.record.request.side.sign * (order.filled - order.record.filled_quantity)
            for order in self.orders.values()
            if order.record.request.instrument == key and order.record.request.strategy == strategy
        )
        return self.allocated.get((strategy, key, product), 0) - unheard

    def _working(self, key: InstrumentKey) -> tuple[OrderRecord, ...]:
        return tuple(
            order.record
            for order in (*self.orders.values(), *self.others)
            if order.record.request.instrument == key and order.record.state.is_working
        )

    def _make(self, move: Move) -> None:
        match move:
            case Place():
                self._place(move)
            case Change():
                self._change(move)
            case Withdraw():
                self._withdraw(move)

    def _place(self, move: Place) -> None:
        assert move.key not in self.orders, f"{move.key} is asked for a second time"
        said = self.refuses(move)
        if said:
            self.refusals[move.key] = said
            return
        self.refusals.pop(move.key, None)
        fate = self.next_fate(move)
        absent = fate is OrderState.PRESUMED_ABSENT
        state = OrderState.UNKNOWN if absent else fate
        order = ModelOrder(record=self._record(move.request, move.key, state))
        order.is_alive = fate not in {OrderState.PRESUMED_ABSENT, OrderState.REJECTED, OrderState.NOT_SENT}
        self.orders[move.key] = order

    def _change(self, move: Change) -> None:
        order = self._find(move.number)
        if not order.open or order.record.state not in {OrderState.OPEN, OrderState.TRIGGER_PENDING}:
            return
        request, change = order.record.request, move.change
        quantity = request.quantity if change.quantity is None else max(change.quantity, order.filled)
        price = request.price if change.price is None else change.price
        order.record = msgspec.structs.replace(
            order.record,
            request=msgspec.structs.replace(request, quantity=quantity, price=price),
            modifications=order.record.modifications + 1,
            updated_at=self.now,
        )
        if order.filled >= quantity:
            order.is_alive = False
            self.learn(order)

    def _withdraw(self, move: Withdraw) -> None:
        order = self._find(move.number)
        if order.record.state in {OrderState.UNKNOWN, OrderState.CANCELLING}:
            return  # its number is not known, or a cancellation is under way
        if order.open:
            self.kill_order(order)
        else:
            self.learn(order)

    def _find(self, number: OrderNumber) -> ModelOrder:
        return next(order for order in (*self.orders.values(), *self.others) if order.number == number)

    def _record(self, request: OrderRequest, key: str, state: OrderState) -> OrderRecord:
        self._numbers += 1
        assert request.quantity > 0
        assert request.quantity % LOT == 0
        return OrderRecord(
            number=OrderNumber(self._numbers),
            intent_id=IntentId(key),
            account=ACCOUNT,
            tag=None,
            request=request,
            state=state,
            idempotency_key=f"p1/{key}" if key != "other" else None,
            created_at=self.now,
            updated_at=self.now,
            sent_at=self.now,
            message="no" if state is OrderState.REJECTED else "",
        )


def limit(row: Instrument, side: Side, quantity: int, price: str = "100", strategy: int | None = None) -> OrderRequest:
    """A LIMIT order of so many units."""
    return OrderRequest(
        instrument=row.key,
        side=side,
        quantity=quantity,
        price=Decimal(price),
        strategy=None if strategy is None else StrategyNumber(strategy),
    )
