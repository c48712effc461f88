"""A broker in memory: it implements the order road and the reading endpoints and keeps the truth about its orders.

Faults are armed one by one and used up in order; gates hold a request at a named point until the test opens them.
``accepted`` and ``posts`` are what duplicates are counted by.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from engine.core.accounts import Profile
from engine.core.bars import BarInterval, HistoricalBars
from engine.core.commands import OrderChange
from engine.core.errors import (
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    OutcomeUnknown,
    RateLimited,
    SessionExpired,
)
from engine.core.funds_margin import BasketMargin
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, OrderTag, TradeId
from engine.core.instructions import Conversion
from engine.core.instruments import Instrument
from engine.core.orders import BrokerOrder, OrderRequest, OrderTrigger, Trade
from engine.core.ports import Clock, LastLook
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.standing_triggers import Gtt, GttRequest, GttStatus
from engine.core.vocabulary import Exchange, InstrumentKind, OrderType, Product, Variety

LOT = 65
TOKEN = 256_001
TRIGGERS = {
    "COMPLETE": OrderTrigger.BOOK_COMPLETE,
    "REJECTED": OrderTrigger.BOOK_REJECTED,
    "CANCELLED": OrderTrigger.BOOK_CANCELLED,
    "OPEN": OrderTrigger.BOOK_OPEN,
    "TRIGGER PENDING": OrderTrigger.BOOK_TRIGGER_PENDING,
}
FINAL = frozenset({"COMPLETE", "REJECTED", "CANCELLED"})


class Call(StrEnum):
    """What can be asked of the broker."""

    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    ORDERS = "orders"
    TRADES = "trades"
    PLACE_GTT = "place gtt"
    MODIFY_GTT = "modify gtt"
    DELETE_GTT = "delete gtt"
    CONVERT = "convert"
    GTTS = "gtts"
    POSITIONS = "positions"


class Fault(StrEnum):
    """What can go wrong with one request."""

    LOSE_ANSWER = "lose answer"
    """Done, and the answer does not arrive."""
    LOSE_REQUEST = "lose request"
    """Not done, and nobody can know."""
    HOLD = "hold"
    """No answer; done when the test releases it."""
    REFUSE = "refuse"
    UNAVAILABLE = "unavailable"
    TOO_FAST = "too fast"
    NO_SESSION = "no session"
    BROKEN_ROAD = "broken road"
    """Done, and the road fails with an error it does not declare."""


class RestingOrder:
    """One order as the broker has it."""

    def __init__(self, order_id: BrokerOrderId, request: OrderRequest, tag: OrderTag | None, clock: Clock) -> None:
        self.order_id = order_id
        self.request = request
        self.tag = tag
        self.status = "TRIGGER PENDING" if request.order_type in {OrderType.SL, OrderType.SL_M} else "OPEN"
        self.quantity = request.quantity
        self.price = request.price
        self.trigger_price = request.trigger_price
        self.filled = 0
        self.paid = Decimal(0)
        self.message = ""
        self.part = ""
        """Of which larger order the broker made it."""
        self.placed_at = clock.market_now()

    def row(self) -> BrokerOrder:
        """As the book shows it."""
        return BrokerOrder(
            broker_order_id=self.order_id,
            instrument=self.request.instrument,
            token=TOKEN,
            side=self.request.side,
            order_type=OrderType.LIMIT if self.request.order_type is OrderType.MARKET else self.request.order_type,
            product=self.request.product,
            variety=self.request.variety,
            validity=self.request.validity,
            status=self.status,
            trigger=TRIGGERS.get(self.status, OrderTrigger.BOOK_INTERIM),
            quantity=self.quantity,
            filled_quantity=self.filled,
            price=self.price,
            trigger_price=self.trigger_price,
            average_price=self.paid / self.filled if self.filled else None,
            tag=self.tag,
            message=self.message,
            placed_at=self.placed_at,
            part=self.part,
        )


class FakeBroker:
    """The exchange's and the broker's side in one.

    Args:
        account: Whose orders.
        clock: When orders are placed and filled.
    """

    def __init__(self, account: AccountId, clock: Clock) -> None:
        self.account = account
        self._clock = clock
        self.orders_by_id: dict[BrokerOrderId, RestingOrder] = {}
        self.fills: list[Trade] = []
        self.posts: Counter[OrderTag] = Counter()
        """Placements that reached the broker and were not turned away for speed, by tag."""
        self.accepted: Counter[OrderTag] = Counter()
        """Orders made, by tag."""
        self.sequence: list[tuple[Call, str]] = []
        """Every request on the order road in the order of arrival: what, and tag or order id."""
        self.reads = 0
        self.books: deque[tuple[BrokerOrder, ...]] = deque()
        """Books to show instead of the present one, first in first out: late, repeated or shortened ones."""
        self.fills_hidden = False
        """The trades endpoint lags behind the book."""
        self.triggers: dict[int, Gtt] = {}
        self.converted: list[Conversion] = []
        """Conversions that were made."""
        self.held: dict[tuple[InstrumentKey, Product], int] = {}
        """Signed units before the day's fills."""
        self.margins: BasketMargin | None = None
        """What the calculator of baskets says; ``None``: the premium of each."""
        self.too_fast_words = "Too many requests"
        self._faults: dict[Call, deque[Fault]] = defaultdict(deque)
        self._down: dict[Call, BrokerError] = {}
        self._held: list[tuple[OrderRequest, OrderTag]] = []
        self._gates: dict[tuple[Call, str], asyncio.Event] = {}
        self._waiting: Counter[tuple[Call, str]] = Counter()
        self._numbers = 0

    # ---- what a test arranges

    def arm(self, call: Call, *faults: Fault) -> None:
        """The next requests of this kind meet these faults, one each."""
        self._faults[call].extend(faults)

    def heal(self) -> None:
        """No more faults; gates open; held requests stay held."""
        self._faults.clear()
        self._down.clear()
        self.books.clear()
        self.fills_hidden = False
        for gate in self._gates.values():
            gate.set()
        self._gates.clear()

    def break_reads(self, error: BrokerError, *calls: Call) -> None:
        """Reads fail until ``heal``."""
        for call in calls or (Call.ORDERS, Call.TRADES):
            self._down[call] = error

    def close_gate(self, call: Call, point: str = "before") -> None:
        """Requests of this kind wait ``before`` or ``after`` they are done."""
        self._gates.setdefault((call, point), asyncio.Event())

    def open_gate(self, call: Call, point: str = "before") -> None:
        """Let them go on."""
        gate = self._gates.pop((call, point), None)
        if gate is not None:
            gate.set()

    def waiting_at(self, call: Call, point: str = "before") -> int:
        """How many requests wait at a gate."""
        return self._waiting[call, point]

    def release_held(self) -> list[BrokerOrderId]:
        """Accept the requests that were held."""
        held, self._held = self._held, []
        return [self._accept(request, tag).order_id for request, tag in held]

    def place_outside(self, request: OrderRequest, tag: OrderTag | None = None) -> RestingOrder:
        """Somebody places an order on the phone."""
        return self._accept(request, tag)

    def fill(self, order_id: BrokerOrderId, quantity: int | None = None, price: Decimal | None = None) -> None:
        """Fill an order, all of the rest unless told."""
        order = self.orders_by_id[order_id]
        if order.status in FINAL:
            return
        units = min(order.quantity - order.filled, quantity or order.quantity)
        at = price or order.price or Decimal(100)
        order.filled += units
        order.paid += at * units
        order.status = "COMPLETE" if order.filled >= order.quantity else "OPEN"
        self.fills.append(
            Trade(
                account=self.account,
                instrument=order.request.instrument,
                token=TOKEN,
                broker_order_id=order_id,
                trade_id=TradeId(str(len(self.fills) + 1)),
                side=order.request.side,
                product=order.request.product,
                quantity=units,
                price=at,
                filled_at=self._clock.market_now(),
            )
        )

    def set_status(self, order_id: BrokerOrderId, status: str, message: str = "") -> None:
        """Let an order stand differently."""
        self.orders_by_id[order_id].status = status
        self.orders_by_id[order_id].message = message

    def of_tag(self, tag: OrderTag | None) -> RestingOrder:
        """The order with this tag."""
        return next(order for order in self.orders_by_id.values() if tag is not None and order.tag == tag)

    def has_tag(self, tag: OrderTag | None) -> bool:
        """Whether an order with this tag was made."""
        return any(order.tag == tag for order in self.orders_by_id.values())

    def book(self) -> tuple[BrokerOrder, ...]:
        """The book as it is now."""
        return tuple(order.row() for order in self.orders_by_id.values())

    # ---- the order road

    async def place_order(
        self, request: OrderRequest, tag: OrderTag, *, last_look: LastLook | None = None
    ) -> BrokerOrderId:
        """Take a new order, or fail as armed."""
        if last_look is not None:
            last_look()
        fault = await self._arrive(Call.PLACE, tag)
        if fault is Fault.HOLD:
            self._held.append((request, tag))
        if fault in {Fault.HOLD, Fault.LOSE_REQUEST}:
            raise OutcomeUnknown("the answer did not come in time")
        order = self._accept(request, tag)
        await self._leave(Call.PLACE, fault)
        return order.order_id

    async def modify_order(
        self,
        order_id: BrokerOrderId,
        variety: Variety,
        request: OrderRequest,
        change: OrderChange,
        *,
        last_look: LastLook | None = None,
    ) -> BrokerOrderId:
        """Change a resting order, or fail as armed."""
        del variety, request
        if last_look is not None:
            last_look()
        fault = await self._arrive(Call.MODIFY, order_id)
        if fault in {Fault.HOLD, Fault.LOSE_REQUEST}:
            raise OutcomeUnknown("the answer did not come in time")
        order = self._resting(order_id)
        self.change_outside(order_id, change)
        await self._leave(Call.MODIFY, fault)
        return order.order_id

    async def cancel_order(self, order_id: BrokerOrderId, variety: Variety) -> BrokerOrderId:
        """Cancel a resting order, or fail as armed."""
        del variety
        fault = await self._arrive(Call.CANCEL, order_id)
        if fault in {Fault.HOLD, Fault.LOSE_REQUEST}:
            raise OutcomeUnknown("the answer did not come in time")
        order = self._resting(order_id)
        order.status = "CANCELLED"
        await self._leave(Call.CANCEL, fault)
        return order.order_id

    async def place_gtt(self, request: GttRequest, last_price: Decimal, *, last_look: LastLook | None = None) -> int:
        """Keep a trigger, or fail as armed."""
        if last_look is not None:
            last_look()
        fault = await self._arrive(Call.PLACE_GTT, request.instrument.tradingsymbol)
        if fault in {Fault.HOLD, Fault.LOSE_REQUEST}:
            raise OutcomeUnknown("the answer did not come in time")
        trigger_id = self.leave_trigger(request, last_price)
        await self._leave(Call.PLACE_GTT, fault)
        return trigger_id

    def leave_trigger(self, request: GttRequest, last_price: Decimal = Decimal(105)) -> int:
        """A trigger stands from now on, whoever left it."""
        trigger_id = 100_001 + len(self.triggers)
        # The broker tells whole seconds.
        now = self._clock.market_now().replace(microsecond=0)
        self.triggers[trigger_id] = Gtt(
            trigger_id=trigger_id,
            account=self.account,
            request=request,
            status=GttStatus.ACTIVE,
            created_at=now,
            updated_at=now,
            last_price=last_price,
        )
        return trigger_id

    async def modify_gtt(
        self, trigger_id: int, request: GttRequest, last_price: Decimal, *, last_look: LastLook | None = None
    ) -> int:
        """Change a trigger, or fail as armed."""
        if last_look is not None:
            last_look()
        fault = await self._arrive(Call.MODIFY_GTT, str(trigger_id))
        if fault in {Fault.HOLD, Fault.LOSE_REQUEST}:
            raise OutcomeUnknown("the answer did not come in time")
        self._change_trigger(trigger_id, request=request, last_price=last_price)
        await self._leave(Call.MODIFY_GTT, fault)
        return trigger_id

    async def delete_gtt(self, trigger_id: int) -> int:
        """Take a trigger away, or fail as armed."""
        fault = await self._arrive(Call.DELETE_GTT, str(trigger_id))
        if fault in {Fault.HOLD, Fault.LOSE_REQUEST}:
            raise OutcomeUnknown("the answer did not come in time")
        self._change_trigger(trigger_id, status=GttStatus.DELETED)
        await self._leave(Call.DELETE_GTT, fault)
        return trigger_id

    async def convert_position(self, conversion: Conversion) -> None:
        """Move quantity between products, or fail as armed."""
        fault = await self._arrive(Call.CONVERT, conversion.instrument.tradingsymbol)
        if fault in {Fault.HOLD, Fault.LOSE_REQUEST}:
            raise OutcomeUnknown("the answer did not come in time")
        self.converted.append(conversion)
        await self._leave(Call.CONVERT, fault)

    def _change_trigger(self, trigger_id: int, **fields: object) -> None:
        trigger = self.triggers.get(trigger_id)
        if trigger is None or trigger.status is not GttStatus.ACTIVE:
            raise BrokerRejected("Trigger is not active.", code=400, kind="InputException")
        self.triggers[trigger_id] = msgspec.structs.replace(trigger, **fields)

    def change_outside(self, order_id: BrokerOrderId, change: OrderChange) -> None:
        """Change fields of an order, as a modification by anybody does."""
        order = self.orders_by_id[order_id]
        order.quantity = order.quantity if change.quantity is None else change.quantity
        order.price = order.price if change.price is None else change.price
        order.trigger_price = order.trigger_price if change.trigger_price is None else change.trigger_price

    # ---- the reading endpoints

    async def profile(self) -> Profile:
        """Who is logged in."""
        return Profile(account_id=self.account, name="Test")

    async def orders(self) -> tuple[BrokerOrder, ...]:
        """The book, or an arranged one."""
        await self._pass(Call.ORDERS, "before")
        self.reads += 1
        self._fail_read(Call.ORDERS)
        book = self.books.popleft() if self.books else self.book()
        await self._pass(Call.ORDERS, "after")
        return book

    async def trades(self) -> tuple[Trade, ...]:
        """All fills."""
        await self._pass(Call.TRADES, "before")
        self._fail_read(Call.TRADES)
        return () if self.fills_hidden else tuple(self.fills)

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """What was held, the day's fills and what was converted."""
        await self._pass(Call.POSITIONS, "before")
        self._fail_read(Call.POSITIONS)
        net = Counter(self.held)
        for fill in self.fills:
            net[fill.instrument, fill.product] += fill.signed_quantity
        for done in self.converted:
            signed = done.side.sign * done.quantity
            net[done.instrument, done.from_product] -= signed
            net[done.instrument, done.to_product] += signed
        return tuple(
            BrokerPosition(
                instrument=key,
                token=TOKEN,
                product=product,
                signed_quantity=quantity,
                average_price=Decimal(100),
                overnight_quantity=self.held.get((key, product), 0),
                multiplier=Decimal(1),
                value=Decimal(0),
            )
            for (key, product), quantity in net.items()
        )

    async def gtts(self) -> tuple[Gtt, ...]:
        """All triggers."""
        await self._pass(Call.GTTS, "before")
        self._fail_read(Call.GTTS)
        return tuple(self.triggers.values())

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        """What was arranged, or the premium of each."""
        del consider_positions
        if self.margins is not None:
            return self.margins
        each = await self.order_margins(requests)
        return BasketMargin(initial=sum(each, Decimal(0)), final=sum(each, Decimal(0)), orders=each)

    async def funds(self) -> Funds:
        """Enough."""
        return Funds(net=Decimal(1_000_000), cash=Decimal(1_000_000), used=Decimal(0))

    async def instruments(self, exchange: Exchange | None = None) -> tuple[Instrument, ...]:
        """The one contract of the tests."""
        contract = option()
        return (contract,) if exchange in {None, contract.exchange} else ()

    async def order_margins(self, requests: Sequence[OrderRequest]) -> tuple[Decimal, ...]:
        """The premium of each."""
        return tuple((request.price or Decimal(0)) * request.quantity for request in requests)

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        """Nothing ever traded."""
        del token, start, end
        return HistoricalBars(interval=interval, bars=())

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        """None."""
        del keys
        return {}

    # ---- inside

    def _accept(self, request: OrderRequest, tag: OrderTag | None) -> RestingOrder:
        self._numbers += 1
        order = RestingOrder(BrokerOrderId(f"2611{self._numbers:015d}"), request, tag, self._clock)
        self.orders_by_id[order.order_id] = order
        if tag is not None:
            self.accepted[tag] += 1
        return order

    def _resting(self, order_id: BrokerOrderId) -> RestingOrder:
        order = self.orders_by_id[order_id]
        if order.status in FINAL:
            raise BrokerRejected(f"Order cannot be changed as it is {order.status}.", code=400, kind="OrderException")
        return order

    async def _arrive(self, call: Call, subject: str) -> Fault | None:
        fault = self._faults[call].popleft() if self._faults[call] else None
        if fault is Fault.UNAVAILABLE:
            raise BrokerUnavailable("no connection could be made")
        if fault is Fault.NO_SESSION:
            raise SessionExpired("Incorrect `api_key` or `access_token`.", code=403, kind="TokenException")
        await self._pass(call, "before")
        self.sequence.append((call, subject))
        if fault is Fault.TOO_FAST:
            raise RateLimited(self.too_fast_words, retry_after_s=1.0)
        if call is Call.PLACE:
            self.posts[OrderTag(subject)] += 1
        if fault is Fault.REFUSE:
            raise BrokerRejected("Insufficient funds.", code=400, kind="MarginException")
        return fault

    async def _leave(self, call: Call, fault: Fault | None) -> None:
        await self._pass(call, "after")
        if fault is Fault.LOSE_ANSWER:
            raise OutcomeUnknown("the connection was dropped")
        if fault is Fault.BROKEN_ROAD:
            raise ZeroDivisionError("a mistake in the road")

    async def _pass(self, call: Call, point: str) -> None:
        gate = self._gates.get((call, point))
        if gate is not None:
            self._waiting[call, point] += 1
            try:
                await gate.wait()
            finally:
                self._waiting[call, point] -= 1

    def _fail_read(self, call: Call) -> None:
        if call in self._down:
            raise self._down[call]


def option(
    strike: int = 24_000,
    kind: InstrumentKind = InstrumentKind.CALL,
    *,
    expiry: date = date(2026, 12, 1),
    tick: str = "0.05",
) -> Instrument:
    """A NIFTY option with lot 65."""
    return Instrument(
        token=TOKEN + strike,
        exchange_token=strike,
        tradingsymbol=f"NIFTY26D01{strike}{kind}",
        exchange=Exchange.NFO,
        name="NIFTY",
        kind=kind,
        segment="NFO-OPT",
        expiry=expiry,
        strike=Decimal(strike),
        tick_size=Decimal(tick),
        lot_size=LOT,
    )
