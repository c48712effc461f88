"""The seams of the engine to time and the broker, as Protocols. Implementations are given by constructor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from engine.core.accounts import Profile
from engine.core.bars import BarInterval, HistoricalBars
from engine.core.commands import OrderChange
from engine.core.funds_margin import BasketMargin
from engine.core.identifiers import (
    BrokerOrderId,
    InstrumentKey,
    OrderTag,
)
from engine.core.instructions import Conversion
from engine.core.instruments import Instrument
from engine.core.orders import BrokerOrder, OrderRequest, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.standing_triggers import Gtt, GttRequest
from engine.core.vocabulary import Exchange, Variety


class Clock(Protocol):
    """Time as the engine knows it. Durations are monotonic; sessions, candles and records use market time."""

    def market_now(self) -> datetime:
        """Aware UTC of the venue: the wall clock when live, the venue's own clock in practice and replay."""
        ...

    def wall_now(self) -> datetime:
        """Aware UTC of this machine."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of this machine's time."""
        ...


LastLook = Callable[[], None]
"""Called by a road directly before the first byte of a request, and again before the part without which the broker
cannot act on it; raises ``Withheld`` when nothing may leave any more. What is in the socket already cannot be called
back. Cheap: it is part of the path of every order."""


class OrderRoad(Protocol):
    """The broker's order endpoints. Only the executor holds one.

    Every method raises ``BrokerRejected``, ``BrokerUnavailable``, ``OutcomeUnknown``, ``SessionExpired`` or
    ``RateLimited``; none is ever retried inside.
    """

    async def place_order(
        self, request: OrderRequest, tag: OrderTag, *, last_look: LastLook | None = None
    ) -> BrokerOrderId:
        """Send a new order once.

        Raises:
            Withheld: ``last_look`` said no; nothing was sent.
        """
        ...

    async def modify_order(
        self,
        order_id: BrokerOrderId,
        variety: Variety,
        request: OrderRequest,
        change: OrderChange,
        *,
        last_look: LastLook | None = None,
    ) -> BrokerOrderId:
        """Ask for a change of a resting order; ``request`` is the order as it stands.

        Raises:
            Withheld: ``last_look`` said no; nothing was sent.
        """
        ...

    async def cancel_order(self, order_id: BrokerOrderId, variety: Variety) -> BrokerOrderId:
        """Ask for a cancellation."""
        ...

    async def place_gtt(self, request: GttRequest, last_price: Decimal, *, last_look: LastLook | None = None) -> int:
        """Leave a trigger at the broker, once; its id. ``last_price`` of the instrument decides from which side it is
        reached.
        """
        ...

    async def modify_gtt(
        self, trigger_id: int, request: GttRequest, last_price: Decimal, *, last_look: LastLook | None = None
    ) -> int:
        """Ask once that a trigger says something else."""
        ...

    async def delete_gtt(self, trigger_id: int) -> int:
        """Ask once that a trigger goes."""
        ...

    async def convert_position(self, conversion: Conversion) -> None:
        """Ask once that quantity changes its product."""
        ...


class BrokerReads(Protocol):
    """The broker's reading endpoints; idempotent, may be retried. Raise the same errors as the order road."""

    async def profile(self) -> Profile:
        """Who is logged in."""
        ...

    async def orders(self) -> tuple[BrokerOrder, ...]:
        """The whole order book of the day."""
        ...

    async def trades(self) -> tuple[Trade, ...]:
        """All fills of the day."""
        ...

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Net positions."""
        ...

    async def funds(self) -> Funds:
        """Money and margins."""
        ...

    async def order_margins(self, requests: Sequence[OrderRequest]) -> tuple[Decimal, ...]:
        """What each order would block if it were sent alone, rupees; nothing is sent."""
        ...

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        """What orders would block together, beside the account's positions or without them; nothing is sent."""
        ...

    async def gtts(self) -> tuple[Gtt, ...]:
        """Triggers that stand, and those that ended in the last days."""
        ...

    async def instruments(self, exchange: Exchange | None = None) -> tuple[Instrument, ...]:
        """The day's dump, of one exchange or all."""
        ...

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        """Snapshots; unknown or expired instruments are missing."""
        ...

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        """Candles that begin in [start, end] (aware), oldest first, at most what one request of the broker gives.

        Expired contracts have none: their token is gone.

        Raises:
            InvalidInput: the span is longer than one request may be; the sentence says how long.
        """
        ...
