"""What the fake engine is: its market, its book, its status, and what a test can make happen to them."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from engine.core.commands import (
    Command,
)
from engine.core.errors import UnknownInstrument, UnknownOrder
from engine.core.events import EngineEvent, EventKind
from engine.core.identifiers import BrokerOrderId, IntentId, OrderNumber, OrderTag, StrategyNumber
from engine.core.instruments import Instrument
from engine.core.locks import LockView
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.positions import Holding
from engine.core.strategies import Leg, Strategy
from engine.core.views import (
    ChainKey,
    DeskView,
    FeedView,
    SessionView,
)
from engine.core.vocabulary import InstrumentKind, Mode, Product, QuoteState, Severity, Venue
from engine.order_log import Bell
from tests.kit.fake_book import ACCOUNT, fill_book
from tests.kit.fake_market import FixedClock, make_chains, make_instruments


class FakeEngineState:
    """Attributes are the state; ``touch`` publishes a change."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.chains = make_chains()
        self.instruments = make_instruments(self.chains)
        self.watched: dict[ChainKey, int] = {}
        self.loading = False
        """While true there is no underlying, no chain and no strategy: the engine has just started."""
        self.failing = ""
        """While set, pictures raise with this sentence."""
        self.venue = Venue.LIVE
        self.venue_note = ""
        self.mode = Mode.CONFIRM
        self.hot_lots: int | None = None
        self.hot_left_s = 900
        self.writer = True
        self.session = SessionView(
            state="open",
            extended=False,
            market_time=clock.market_now(),
            speed=1.0,
            next_event="spot freezes",
            next_event_at=clock.market_now() + timedelta(hours=4, minutes=12, seconds=19),
        )
        self.feed = FeedView(
            state=QuoteState.LIVE, age_s=0.2, connections=1, subscribed=236, packets=90_000, bad_frames=0, reconnects=0
        )
        self.degraded: tuple[str, ...] = ()
        self.margin_utilisation: Decimal | None = Decimal("0.61")
        self.age_s = 0.2
        self.strategy_list: list[Strategy] = []
        self.legs: dict[int, list[Leg]] = {}
        self.order_list: list[OrderRecord] = []
        self.event_list: list[EngineEvent] = []
        self.acknowledged = 0
        self.locks: tuple[LockView, ...] = ()
        self.silent: asyncio.Event | None = None
        """While it is there and not set, commands are not answered."""
        self.submitted: list[Command] = []
        self.seats: list[str] = []
        self.previewed = 0
        self.closed = False
        self._keys: dict[str, OrderRecord] = {}
        self._revision = 1
        self.bell = Bell()
        self._desk: DeskView | None = None
        fill_book(self)

    # --- what a test makes happen ------------------------------------------------------------------------------

    def touch(self) -> None:
        """Publish a new picture of the Desk."""
        self._revision += 1
        self._desk = None
        self.bell.ring()

    def set_feed(self, **changes: Any) -> None:
        """Change the feed, for example ``state=QuoteState.STALE, age_s=7.2``."""
        self.feed = msgspec.structs.replace(self.feed, **changes)
        self.touch()

    def set_quote_state(self, state: QuoteState) -> None:
        """Every quote takes this state."""
        for chain in self.chains.values():
            chain.state = state
            chain.sequence += 1
            chain.row_sequence[:] = chain.sequence
        self.touch()

    def shift(self, key: ChainKey, row: int, rupees: float) -> None:
        """Move the prices of one strike."""
        chain = self.chains[key]
        chain.shifts[row] = chain.shifts.get(row, 0.0) + rupees
        chain.sequence += 1
        chain.row_sequence[row] = chain.sequence
        self.touch()

    def close_market(self) -> None:
        """The session is over."""
        self.session = msgspec.structs.replace(
            self.session,
            state="closed",
            next_event="opens",
            next_event_at=self.clock.market_now() + timedelta(hours=22),
        )
        self.set_quote_state(QuoteState.CLOSED)
        self.set_feed(state=QuoteState.CLOSED, age_s=64.0)

    def fill(self, number: int, price: Decimal) -> None:
        """The exchange fills an order whole."""
        order = self._order(OrderNumber(number))
        self._replace(order, state=OrderState.COMPLETE, filled_quantity=order.request.quantity, average_price=price)
        strategy = int(order.request.strategy or 1)
        token = self._token(order.request)
        legs = self.legs[strategy]
        signed = order.request.side.sign * order.request.quantity
        for place, leg in enumerate(legs):
            if leg.token == token:
                legs[place] = msgspec.structs.replace(leg, holding=leg.holding.after_fill(signed, price))
                break
        else:
            legs.append(self.leg(strategy, len(legs) + 1, token, signed, price))
        self.add_event(EventKind.TRADE, f"o{number} filled at {price}", subject=f"o{number}")

    def lose(self, number: int) -> None:
        """No answer came for an order."""
        self._replace(self._order(OrderNumber(number)), state=OrderState.UNKNOWN)
        self.add_event(
            EventKind.ORDER,
            f"o{number} no answer in 2.0s, looking it up",
            severity=Severity.ATTENTION,
            subject=f"o{number}",
        )

    def add_event(
        self,
        kind: EventKind,
        text: str,
        *,
        severity: Severity = Severity.INFO,
        subject: str = "",
        at: datetime | None = None,
    ) -> None:
        """Something happened."""
        self.event_list.append(
            EngineEvent(
                sequence=len(self.event_list) + 1,
                at=at or self.clock.market_now(),
                kind=kind,
                severity=severity,
                text=text,
                subject=subject,
            )
        )
        self.touch()

    def add_order(self, request: OrderRequest, state: OrderState, **changes: Any) -> OrderRecord:
        """An order that is already there."""
        number = OrderNumber(len(self.order_list) + 1)
        now = self.clock.market_now()
        values: dict[str, Any] = {
            "number": number,
            "intent_id": IntentId(f"{number:032x}"),
            "account": ACCOUNT,
            "tag": OrderTag(f"WSTAG{number:04d}"),
            "request": request,
            "state": state,
            "broker_order_id": BrokerOrderId(f"2701140000{number:05d}"),
            "created_at": now,
            "updated_at": now,
        }
        record = OrderRecord(**{**values, **changes})
        self.order_list.append(record)
        self.touch()
        return record

    def option(self, underlying: str, place: int, strike: float, kind: InstrumentKind) -> Instrument:
        """An option by the place of its expiry."""
        key = [key for key in self.chains if key.underlying == underlying][place]
        chain = self.chains[key]
        row = int(abs(chain.strikes - strike).argmin())
        return self.instruments[chain.token(row, kind)]

    # --- inside --------------------------------------------------------------------------------

    def _order(self, number: OrderNumber) -> OrderRecord:
        for order in self.order_list:
            if order.number == number:
                return order
        raise UnknownOrder(f"There is no order o{number}.")

    def _replace(self, order: OrderRecord, **changes: Any) -> None:
        place = self.order_list.index(order)
        self.order_list[place] = msgspec.structs.replace(order, updated_at=self.clock.market_now(), **changes)
        self.touch()

    def _token(self, request: OrderRequest) -> int:
        for token, instrument in self.instruments.items():
            if instrument.key == request.instrument:
                return token
        raise UnknownInstrument(f"There is no {request.instrument}.")

    def _place_of(self, token: int) -> tuple[ChainKey, int, InstrumentKind] | None:
        for key, chain in self.chains.items():
            place = token - chain.first_token
            if 0 <= place < 2 * len(chain.strikes):
                return key, place // 2, InstrumentKind.PUT if place % 2 else InstrumentKind.CALL
        return None

    def _find(self, name: str, expiry: Any, strike: Decimal, kind: InstrumentKind) -> Instrument | None:
        for item in self.instruments.values():
            if (item.name, item.expiry, item.strike, item.kind) == (name, expiry, strike, kind):
                return item
        return None

    def _positions(self) -> dict[int, int]:
        held: dict[int, int] = {}
        for leg in (leg for legs in self.legs.values() for leg in legs):
            held[leg.token] = held.get(leg.token, 0) + leg.holding.signed_quantity
        return held

    def leg(self, strategy: int, number: int, token: int, signed: int, price: Decimal) -> Leg:
        return Leg(
            strategy=StrategyNumber(strategy),
            number=number,
            instrument=self.instruments[token].key,
            token=token,
            product=Product.NRML,
            holding=Holding().after_fill(signed, price),
        )
