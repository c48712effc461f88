"""An engine for screens: it keeps state, answers like the real one, and moves only when a test tells it to."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np

from engine.core.commands import (
    AcknowledgeEvent,
    CancelOrders,
    Command,
    CreateStrategy,
    HoldRisk,
    Interpretation,
    KillSwitch,
    ModifyOrder,
    PlaceOrder,
    Preview,
    Receipt,
    ReleaseHold,
    ResolveUnknown,
    SetMode,
    TouchSeat,
)
from engine.core.errors import UnknownInstrument, WorkstationError
from engine.core.events import EngineEvent
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.instruments import ExpiryLabel, Instrument, label_expiries
from engine.core.locks import LockKind, LockView
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, OrderState, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.strategies import Leg, LegValue, Strategy, StrategyValue
from engine.core.views import (
    BudgetGauge,
    ChainKey,
    ChainView,
    DeskView,
    EventChanges,
    Integers,
    OrderChanges,
    StatusView,
    StripItem,
    UnderlyingView,
)
from engine.core.vocabulary import Mark, Mode, Severity
from tests.kit import fake_sentences
from tests.kit.fake_bars import FakeBars
from tests.kit.fake_book import ACCOUNT
from tests.kit.fake_checks import CHARGE, preview_order
from tests.kit.fake_engine_room import FakeEngineRoom
from tests.kit.fake_market import UNDERLYINGS, FixedClock, labels_of
from tests.kit.fake_market_analysis import FakeMarketAnalysis
from tests.kit.fake_strategy_analysis import FakeStrategyAnalysis
from tests.kit.plain_execution import PlainExecution


class FakeEngineClient(FakeStrategyAnalysis, FakeMarketAnalysis, FakeBars, FakeEngineRoom, PlainExecution):
    """Implements ``EngineClient`` over the made-up market."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        FakeEngineRoom.__init__(self)
        FakeBars.__init__(self, clock)

    # --- pictures ------------------------------------------------------------------------------------------------

    def desk(self) -> DeskView:
        if self.failing:
            raise WorkstationError(self.failing)
        if self._desk is None:
            self._desk = self._make_desk()
        return self._desk

    def chain(self, key: ChainKey, since: int = 0) -> ChainView | None:
        if self.failing:
            raise WorkstationError(self.failing)
        if self.loading or not self.watched.get(key):
            return None
        chain = self.chains[key]
        working: dict[int, int] = {}
        for order in self.order_list:
            if order.state.is_working:
                token = self._token(order.request)
                working[token] = working.get(token, 0) + 1
        return chain.view(
            since,
            now=self.clock.market_now(),
            age_s=self.age_s,
            positions=self._positions(),
            working=working,
            labels=labels_of(chain.underlying)[key.expiry],
        )

    def quote(self, token: int) -> Quote | None:
        found = self._place_of(token)
        if found is None:
            return None
        key, row, kind = found
        return self.chains[key].quote(row, kind, self.age_s)

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """It does not tell instruments apart: every picture is another one for all."""
        return np.full(len(tokens), self._revision, dtype=np.int64)

    async def next_orders(self, after: int | None = None) -> OrderChanges:
        """It keeps no changes: every answer is a snapshot."""
        while after == self._revision:
            await self.bell.heard()
        return OrderChanges(sequence=self._revision, base=0, orders=tuple(self.order_list))

    async def next_events(self, after: int | None = None) -> EventChanges:
        """As ``next_orders``."""
        while after == self._revision:
            await self.bell.heard()
        return EventChanges(sequence=self._revision, base=0, events=await self.events())

    async def watch_chain(self, key: ChainKey) -> None:
        if key not in self.chains:
            raise UnknownInstrument(f"{key.underlying} has no expiry {key.expiry}.")
        self.watched[key] = self.watched.get(key, 0) + 1

    async def unwatch_chain(self, key: ChainKey) -> None:
        self.watched[key] -= 1
        if not self.watched[key]:
            del self.watched[key]

    async def watch(self, tokens: Sequence[int]) -> None: ...

    async def unwatch(self, tokens: Sequence[int]) -> None: ...

    async def underlyings(self) -> tuple[UnderlyingView, ...]:
        if self.loading:
            return ()
        return tuple(
            UnderlyingView(
                name=u.name, exchange=u.exchange, index_token=None, lot_size=u.lot_size, expiries=len(u.expiries)
            )
            for u in UNDERLYINGS
        )

    async def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        for item in UNDERLYINGS:
            if item.name == underlying.upper():
                return label_expiries(item.expiries)
        raise UnknownInstrument(f"There is no underlying {underlying}.")

    async def search(self, text: str, limit: int = 20) -> tuple[Instrument, ...]:
        for instrument in self.instruments.values():
            if instrument.tradingsymbol == text:
                return (instrument,)
        words = text.lower().split()
        if len(words) < 4:
            return self.search_charts(text)
        interpretation = fake_sentences.interpret(f"buy 1L {text} @ 1", self._find)
        if not isinstance(interpretation.command, PlaceOrder):
            return ()
        key = interpretation.command.request.instrument
        return tuple(item for item in self.instruments.values() if item.key == key)[:limit]

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        return fake_sentences.interpret(text, self._find)

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        self.previewed += 1
        return self._preview(command)

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        self.submitted.append(command)
        self.seats.append(seat)
        if self.silent is not None:
            await self.silent.wait()
        receipt = self._carry_out(command)
        self.touch()
        return receipt

    async def orders(self) -> tuple[OrderRecord, ...]:
        return tuple(self.order_list)

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        return ()

    async def trades(self) -> tuple[Trade, ...]:
        return ()

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        return ()

    async def strategies(self) -> tuple[StrategyValue, ...]:
        return self.desk().strategies

    async def funds(self, account: AccountId | None = None) -> Funds:
        return Funds(net=Decimal(1_463_000), cash=Decimal(2_000_000), used=Decimal(2_288_000))

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        return tuple(event for event in self.event_list if event.sequence > after)

    async def close(self) -> None:
        self.closed = True

    # --- inside --------------------------------------------------------------------------------------------------

    def _make_desk(self) -> DeskView:
        values = () if self.loading else tuple(self._value(strategy) for strategy in self.strategy_list)
        orders = tuple(
            sorted(self.order_list, key=lambda o: (o.state is not OrderState.UNKNOWN, o.state.is_terminal, -o.number))
        )
        unread = [e for e in self.event_list if e.sequence > self.acknowledged and e.severity is not Severity.INFO]
        status = StatusView(
            venue=self.venue,
            venue_note=self.venue_note,
            mode=self.mode,
            hot_left_s=self.hot_left_s if self.mode is Mode.HOT else None,
            hot_lots=self.hot_lots if self.mode is Mode.HOT else None,
            account=ACCOUNT,
            account_name="main",
            writer=self.writer,
            session=self.session,
            feed=self.feed,
            budget=BudgetGauge(
                second_used=0, second_limit=9, minute_used=3, minute_limit=380, day_used=41, day_limit=4800
            ),
            day_profit={mark: sum((v.profit[mark] for v in values), Decimal(0)) for mark in Mark},
            day_profit_partial={mark: tuple(name for v in values for name in v.partial[mark]) for mark in Mark},
            margin_utilisation=self.margin_utilisation,
            unknown_orders=sum(1 for order in self.order_list if order.state is OrderState.UNKNOWN),
            unread_events=len(unread),
            replay=self.tape,
            degraded=self.degraded,
        )
        return DeskView(
            revision=self._revision,
            status=status,
            strip=() if self.loading else self._strip(),
            strategies=values,
            orders=() if self.loading else orders,
            events=tuple(self.event_list),
            locks=self.locks,
        )

    def _strip(self) -> tuple[StripItem, ...]:
        state = self.feed.state
        figures = (
            ("NIFTY", "24381.05", 0.21),
            ("JAN fut", "24521.40", None),
            ("BANKNIFTY", "57214.60", -0.08),
            ("SENSEX", "79934.15", 0.17),
            ("VIX", "12.84", -1.9),
        )
        return tuple(StripItem(label=a, last=Decimal(b), change_percent=c, state=state) for a, b, c in figures)

    def _value(self, strategy: Strategy) -> StrategyValue:
        legs = tuple(self._leg_value(leg) for leg in self.legs[int(strategy.number)])
        partial = {
            mark: tuple(f"{strategy.number}.{v.leg.number}" for v in legs if v.profit[mark] is None) for mark in Mark
        }
        profit = {mark: sum((v.profit[mark] or Decimal(0) for v in legs), Decimal(0)) for mark in Mark}
        units = [v.leg.holding.signed_quantity for v in legs]
        paid = CHARGE * len(legs)
        leaving = None if partial[Mark.EXIT] else CHARGE * sum(1 for unit in units if unit)
        return StrategyValue(
            strategy=strategy,
            legs=legs,
            profit=profit,
            realised=sum((v.leg.holding.realised for v in legs), Decimal(0)),
            partial=partial,
            delta=sum(unit * (0.11 + 0.05 * place) for place, unit in enumerate(units)),
            theta=-sum(unit * (3.7 - 1.3 * place) for place, unit in enumerate(units)),
            charges_paid=paid,
            exit_charges=leaving,
            charge_notes=() if leaving is not None else ("A leg has no exit price.",),
            net={mark: money - paid for mark, money in profit.items()},
            net_at_exit=None if leaving is None else profit[Mark.EXIT] - paid - leaving,
        )

    def _leg_value(self, leg: Leg) -> LegValue:
        quote = self.quote(leg.token)
        held = leg.holding.signed_quantity
        touch = None if quote is None else quote.bid if held > 0 else quote.ask
        marks = {Mark.LAST: quote.last if quote else None, Mark.MID: quote.mid if quote else None, Mark.EXIT: touch}
        profit = {mark: None if price is None else leg.holding.profit(price) for mark, price in marks.items()}
        missing = [mark.value for mark, price in marks.items() if price is None]
        reason = f"no {' and no '.join(missing)}" if missing else ""
        return LegValue(leg=leg, marks=marks, profit=profit, reason=reason)

    def _preview(self, command: Command) -> Preview:
        if isinstance(command, PlaceOrder):
            return self._preview_order(command.request)
        if isinstance(command, ModifyOrder):
            order = self._order(command.number)
            price = command.change.price
            changed = msgspec.structs.replace(order.request, price=price if price is not None else order.request.price)
            token = self._token(order.request)
            return Preview(
                sentence=f"Changes o{order.number} from {order.request.price} to {changed.price}.",
                request=changed,
                lot_size=self.instruments[token].lot_size,
                token=token,
                quote=self.quote(token),
            )
        if isinstance(command, CancelOrders):
            named = command.numbers or tuple(o.number for o in self.order_list if o.state.is_working)
            return Preview(sentence=f"Cancels {', '.join(f'o{number}' for number in named) or 'nothing'}.")
        return Preview(sentence=f"Does {type(command).__name__}.")

    def _preview_order(self, request: OrderRequest) -> Preview:
        token = self._token(request)
        return preview_order(
            request,
            self.instruments[token],
            self.quote(token),
            mode=self.mode,
            writer=self.writer,
            held=self._positions().get(token, 0),
        )

    def _carry_out(self, command: Command) -> Receipt:
        if isinstance(command, PlaceOrder):
            return self._place(command)
        if isinstance(command, CancelOrders):
            named = command.numbers or tuple(o.number for o in self.order_list if o.state.is_working)
            for number in named:
                self._replace(self._order(number), state=OrderState.CANCELLED)
            return Receipt(accepted=True, message=f"Cancelling {', '.join(f'o{n}' for n in named)}.")
        if isinstance(command, ModifyOrder):
            order = self._order(command.number)
            request = msgspec.structs.replace(order.request, price=command.change.price or order.request.price)
            self._replace(order, request=request, modifications=order.modifications + 1)
            return Receipt(accepted=True, message=f"o{order.number} now at {request.price}.")
        if isinstance(command, SetMode):
            if not self.writer:
                return Receipt(accepted=False, message="Another engine is the writer of AB1234.")
            self.mode, self.hot_lots = command.mode, command.lots
            return Receipt(accepted=True, message=f"Mode is {command.mode.value}.")
        if isinstance(command, TouchSeat):
            return Receipt(accepted=True, message="")
        if isinstance(command, AcknowledgeEvent):
            self.acknowledged = max(self.acknowledged, command.sequence)
            return Receipt(accepted=True, message="Read.")
        if isinstance(command, ResolveUnknown):
            self._replace(self._order(command.number), state=OrderState.OPEN)
            return Receipt(accepted=True, message=f"o{command.number} found: OPEN.")
        if isinstance(command, HoldRisk):
            return self._hold()
        if isinstance(command, ReleaseHold):
            self.locks = tuple(lock for lock in self.locks if lock.kind is not LockKind.HOLD)
            return Receipt(accepted=True, message="The hold of AB1234 is released.")
        if isinstance(command, KillSwitch):
            what = "everything" if command.strategy is None else f"#{command.strategy}"
            return Receipt(accepted=True, message=f"p1 flattens {what}.")
        if isinstance(command, CreateStrategy):
            return Receipt(accepted=True, message=f"{command.name} opened.")
        return Receipt(accepted=False, message=f"{type(command).__name__} is not done here.")

    def _hold(self) -> Receipt:
        """Entries that rest are cancelled; the mode is READ."""
        entries = [order for order in self.order_list if order.state is OrderState.OPEN]
        for order in entries:
            self._replace(order, state=OrderState.CANCELLED)
        self.mode = Mode.READ
        hold = LockView(account=ACCOUNT, kind=LockKind.HOLD, since=self.clock.wall_now(), words="held by terminal")
        self.locks = (*(lock for lock in self.locks if lock.kind is not LockKind.HOLD), hold)
        counted = f"{len(entries)} of {len(entries)} resting entries cancelled."
        return Receipt(
            accepted=True,
            message=f"AB1234 is held: new risk is blocked on every terminal. 0 unsent entries dropped, {counted}",
            orders=tuple(entries),
        )

    def _place(self, command: PlaceOrder) -> Receipt:
        known = self._keys.get(command.idempotency_key or "")
        if known is not None:
            return Receipt(
                accepted=True, message=f"o{known.number} was made by this key.", orders=(known,), repeated=True
            )
        preview = self._preview_order(command.request)
        if preview.violations:
            return Receipt(accepted=False, message="Refused.", violations=preview.violations)
        record = self.add_order(command.request, OrderState.OPEN, idempotency_key=command.idempotency_key)
        if command.idempotency_key:
            self._keys[command.idempotency_key] = record
        return Receipt(accepted=True, message=f"o{record.number} is under way.", orders=(record,))
