"""A small exchange for plan algorithms: it does what they ask, and knows what is really out there.

An order here has two sides: how the desk's record shows it, and what the exchange really has. They differ while an
outcome is not known. ``at_most`` is what could be bought or sold in the worst case.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.decisions import LetterState
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, OrderTag
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.plans import Manner, OrderPlan, PlanNumber, PlanRecord, PlanState, PlanTurn
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import Product, QuoteState, Side, Validity
from engine.execution.plans.algorithm import Advance, Algorithm, Change, Place, PlanPicture, Withdraw
from engine.execution.plans.registry import PlanAlgorithms
from tests.kit.fake_broker import LOT, option

ACCOUNT = AccountId("AB1234")
OPENING = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
FREEZE = 1800
ROW = option()
TICK = ROW.tick_size


def request(lots: int = 60, *, price: str = "100", side: Side = Side.BUY, **changes: object) -> OrderRequest:
    """A limit order for so many lots."""
    made = OrderRequest(instrument=ROW.key, side=side, quantity=lots * LOT, price=Decimal(price))
    return msgspec.structs.replace(made, **changes)


class TrueOrder:
    """What the exchange has of an order."""

    def __init__(self, exists: bool) -> None:
        self.exists = exists
        """It arrived."""
        self.is_over = False
        self.filled = 0


class PlanWorld:
    """One plan at one exchange.

    Args:
        manner: How the order is worked.
        asked: The whole order.
    """

    def __init__(self, manner: Manner, asked: OrderRequest | None = None) -> None:
        self.asked = request() if asked is None else asked
        spec = OrderPlan(request=self.asked, manner=manner)
        self.record = PlanRecord(
            number=PlanNumber(7),
            account=ACCOUNT,
            spec=spec,
            state=PlanState.RUNNING,
            idempotency_key="k",
            sentence="a plan",
            created_at=OPENING,
            updated_at=OPENING,
        )
        self.algorithm: Algorithm = PlanAlgorithms({}).of(self.record)
        self.now = OPENING
        self.orders: dict[str, OrderRecord] = {}
        self.truth: dict[str, TrueOrder] = {}
        self.refusals: dict[str, str] = {}
        self.turns: list[str] = []
        self.bid, self.ask = Decimal("99.90"), Decimal("100.10")
        self.state = QuoteState.LIVE
        self.is_open = True
        self.freeze: int | None = FREEZE
        self.refuse: str = ""
        """Placements are refused with these words."""
        self.lose = False
        """The next placements arrive or do not, and nobody knows."""
        self.last: Advance | None = None
        self.alarms: list[str] = []
        self.moves: list[Place | Change | Withdraw] = []

    # ---- what the desk does

    def picture(self) -> PlanPicture:
        """As the desk takes it."""
        return PlanPicture(
            plan=self.record,
            now=self.now,
            orders=dict(self.orders),
            refusals=dict(self.refusals),
            instrument=lambda key: ROW if key == ROW.key else None,
            quote=lambda _: self.quote(),
            freeze_quantity=lambda _: self.freeze,
            net=_no_net,
            allocation=lambda *_: 0,
            working=lambda _: (),
            price_band=_no_band,
            is_open=lambda _: self.is_open,
            turns=tuple(self.turns),
        )

    def quote(self) -> Quote:
        """The market now."""
        return Quote(
            token=ROW.token,
            state=self.state,
            last=self.bid,
            bids=(DepthLevel(self.bid, 650, 1),),
            asks=(DepthLevel(self.ask, 650, 1),),
            age_s=0.1,
        )

    def look(self) -> Advance:
        """One look: decide, keep, do."""
        stops = self.record.state is PlanState.CANCELLING
        advance = self.algorithm.stop(self.picture()) if stops else self.algorithm.advance(self.picture())
        self.last = advance
        if self.record.state is PlanState.PAUSED:
            if advance.state is PlanState.DONE and not advance.moves:
                self.record = msgspec.structs.replace(self.record, state=PlanState.DONE)
            return advance
        state = PlanState.CANCELLING if stops and not advance.state.is_over else advance.state
        self.record = msgspec.structs.replace(self.record, state=state, progress=advance.progress)
        self.turns.clear()
        if advance.alarm:
            self.alarms.append(advance.alarm)
        for move in advance.moves:
            self.moves.append(move)
            self._do(move)
        return advance

    def _do(self, move: Place | Change | Withdraw) -> None:
        match move:
            case Place():
                self._place(move)
            case Change():
                key = self.key_of(move.number)
                order = self.orders[key]
                if order.state is OrderState.OPEN:
                    self.set(key, state=OrderState.MODIFYING, message=str(move.change.price))
            case Withdraw():
                key = self.key_of(move.number)
                if self.orders[key].state in {OrderState.OPEN, OrderState.MODIFYING}:
                    self.set(key, state=OrderState.CANCELLING)

    def _place(self, move: Place) -> None:
        assert move.request.quantity > 0
        assert move.request.quantity % LOT == 0
        assert self.freeze is None or move.request.quantity <= self.freeze
        if move.key in self.orders:
            return
        if self.refuse:
            self.refusals[move.key] = self.refuse
            return
        self.refusals.pop(move.key, None)
        self.orders[move.key] = OrderRecord(
            number=OrderNumber(len(self.orders) + 1),
            intent_id=None,
            account=ACCOUNT,
            tag=OrderTag(f"WS{len(self.orders)}"),
            request=move.request,
            state=OrderState.UNKNOWN if self.lose else OrderState.OPEN,
            created_at=self.now,
            updated_at=self.now,
        )
        self.truth[move.key] = TrueOrder(exists=True)

    # ---- what happens

    def key_of(self, number: OrderNumber) -> str:
        """The key of an order."""
        return next(key for key, order in self.orders.items() if order.number == number)

    def set(self, key: str, **changes: object) -> None:
        """The record shows something else."""
        self.orders[key] = msgspec.structs.replace(self.orders[key], **changes)

    def fill(self, key: str, quantity: int | None = None) -> None:
        """The exchange fills an order, and the desk hears of it."""
        true, order = self.truth[key], self.orders[key]
        if not true.exists or true.is_over:
            return
        left = order.request.quantity - true.filled
        true.filled += left if quantity is None else min(left, quantity)
        complete = true.filled == order.request.quantity
        true.is_over = complete
        state = OrderState.COMPLETE if complete else order.state
        if state in {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT}:
            state = OrderState.OPEN
        self.set(key, filled_quantity=true.filled, state=state, average_price=order.request.price)

    def end(self, key: str, state: OrderState) -> None:
        """An order ends at the exchange without another fill."""
        true = self.truth[key]
        if true.exists and not true.is_over and self.orders[key].state.is_working:
            true.is_over = True
            self.set(key, state=state, message="said the exchange")

    def answer(self, key: str, *, yes: bool = True) -> None:
        """What is on the wire is answered."""
        order, true = self.orders[key], self.truth[key]
        if order.state is OrderState.MODIFYING:
            price = Decimal(order.message) if yes else order.request.price
            self.set(
                key,
                state=OrderState.OPEN,
                request=msgspec.structs.replace(order.request, price=price),
                modifications=order.modifications + yes,
                message="",
            )
        elif order.state is OrderState.CANCELLING:
            if yes:
                true.is_over = True
            self.set(key, state=OrderState.CANCELLED if yes else OrderState.OPEN)
        elif order.state in {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT} and true.exists and not true.is_over:
            self.set(key, state=OrderState.OPEN)

    def lose_for_good(self, key: str, *, arrived: bool) -> None:
        """An unknown order is not found over the whole window; perhaps it is there all the same."""
        if self.orders[key].state is OrderState.UNKNOWN:
            self.truth[key].exists = arrived
            self.set(key, state=OrderState.PRESUMED_ABSENT)

    def never_sent(self, key: str, *, letter: LetterState) -> None:
        """An order was closed before any byte left."""
        if self.orders[key].state is OrderState.OPEN and not self.truth[key].filled:
            self.truth[key].exists = False
            self.set(key, state=OrderState.NOT_SENT, letter=letter)

    def resume(self) -> None:
        """A person lets it go on."""
        if self.record.state is PlanState.PAUSED:
            self.record = msgspec.structs.replace(self.record, state=PlanState.RUNNING)
            self.turns.append(PlanTurn.RESUME)

    def cancel(self) -> None:
        """A person ends it."""
        if not self.record.state.is_over:
            self.record = msgspec.structs.replace(self.record, state=PlanState.CANCELLING)

    def restart(self) -> None:
        """The engine dies and comes back: orders and progress stay, refusals and turns are forgotten."""
        self.refusals.clear()
        self.turns.clear()

    def wait(self, seconds: float) -> None:
        """Market time goes on."""
        self.now += timedelta(seconds=seconds)

    def run(self, looks: int = 30) -> None:
        """Look until nothing changes."""
        for _ in range(looks):
            before = (self.record, dict(self.orders))
            if self.record.state.is_over:
                return
            self.look()
            if (self.record, self.orders) == before:
                return

    def is_at(self, state: PlanState) -> bool:
        """Whether the plan stands there now."""
        return self.record.state is state

    @property
    def filled(self) -> int:
        """Units that were really filled."""
        return sum(true.filled for true in self.truth.values())

    @property
    def at_most(self) -> int:
        """Units that are filled in the worst case."""
        rest = sum(
            order.request.quantity - self.truth[key].filled
            for key, order in self.orders.items()
            if self.truth[key].exists and not self.truth[key].is_over
        )
        return self.filled + rest

    @property
    def open_keys(self) -> list[str]:
        """Orders that may still trade, by the record."""
        return [key for key, order in self.orders.items() if order.state.is_working]

    @property
    def note(self) -> str:
        """What the plan says of itself."""
        return self.record.progress.note

    @property
    def sizes(self) -> list[int]:
        """Lots of each order."""
        return [order.request.quantity // LOT for order in self.orders.values()]


def _no_net(_key: InstrumentKey, _product: Product) -> int | None:
    return 0


def _no_band(_row: Instrument) -> tuple[Decimal, Decimal] | None:
    return None


IOC = Validity.IOC
