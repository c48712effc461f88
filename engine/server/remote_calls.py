"""The half of ``RemoteClient`` that asks: each method of ``EngineClient`` that waits, as one request of its name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from engine.core.analysis import (
    AttributionView,
    PayoffView,
    ScenarioView,
    SeriesView,
    SmileView,
    VolatilityView,
)
from engine.core.bars import BarInterval, BarsView
from engine.core.commands import Command, Interpretation, Preview, Receipt
from engine.core.errors import EngineGone
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
from engine.core.reconciling import Mismatch
from engine.core.replay import ReplayAction, ReplayView
from engine.core.rulebook import RulesView
from engine.core.standing_triggers import Gtt
from engine.core.strategies import M2mCandle, StrategyValue
from engine.core.views import ChainKey, DoctorView, UnderlyingView
from engine.server import wire
from engine.server.link import Link
from engine.server.methods import WireMethod, wire_methods


class RemoteCalls:
    """Requests over a link; what comes back is read by the annotations of ``EngineClient``."""

    _link: Link

    def __init__(self) -> None:
        """The link is its heir's to make."""
        self._methods: dict[str, WireMethod] = wire_methods()

    async def _typed(self, method: str, **parameters: Any) -> Any:  # noqa: ANN401 - typed by the method's annotation
        raw = await self._link.call(method, **parameters)
        try:
            return wire.decode_as(raw, self._methods[method].result)
        except msgspec.DecodeError as error:
            raise EngineGone(
                f"The engine's answer to {method} cannot be read ({error}); what was asked may have been done."
            ) from error

    async def underlyings(self) -> tuple[UnderlyingView, ...]:
        """See ``EngineClient``."""
        return await self._typed("underlyings")

    async def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """See ``EngineClient``."""
        return await self._typed("expiries", underlying=underlying)

    async def search(self, text: str, limit: int = 20) -> tuple[Instrument, ...]:
        """See ``EngineClient``."""
        return await self._typed("search", text=text, limit=limit)

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """See ``EngineClient``."""
        return await self._typed("interpret", text=text, account=account)

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        """See ``EngineClient``."""
        return await self._typed("preview", command=command, seat=seat)

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """See ``EngineClient``."""
        return await self._typed("submit", command=command, seat=seat)

    async def orders(self) -> tuple[OrderRecord, ...]:
        """See ``EngineClient``."""
        return await self._typed("orders")

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """See ``EngineClient``."""
        return await self._typed("order_history", number=number)

    async def why(self, number: OrderNumber) -> OrderWhy:
        """See ``EngineClient``."""
        return await self._typed("why", number=number)

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """See ``EngineClient``."""
        return await self._typed("dead_letters")

    async def execution_health(self) -> tuple[ExecutionHealth, ...]:
        """See ``EngineClient``."""
        return await self._typed("execution_health")

    async def mismatches(self) -> tuple[Mismatch, ...]:
        """See ``EngineClient``."""
        return await self._typed("mismatches")

    async def handover(self) -> tuple[Handover, ...]:
        """See ``EngineClient``."""
        return await self._typed("handover")

    async def plans(self) -> tuple[PlanView, ...]:
        """See ``EngineClient``."""
        return await self._typed("plans")

    async def trades(self) -> tuple[Trade, ...]:
        """See ``EngineClient``."""
        return await self._typed("trades")

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        """See ``EngineClient``."""
        return await self._typed("positions", account=account)

    async def strategies(self) -> tuple[StrategyValue, ...]:
        """See ``EngineClient``."""
        return await self._typed("strategies")

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """See ``EngineClient``."""
        return await self._typed("candles", strategy=strategy, start=start, end=end)

    async def funds(self, account: AccountId | None = None) -> Funds:
        """See ``EngineClient``."""
        return await self._typed("funds", account=account)

    async def gtts(self) -> tuple[Gtt, ...]:
        """See ``EngineClient``."""
        return await self._typed("gtts")

    async def basket_margin(self, legs: Sequence[OrderRequest], account: AccountId | None = None) -> MarginAnswer:
        """See ``EngineClient``."""
        return await self._typed("basket_margin", legs=legs, account=account)

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        """See ``EngineClient``."""
        return await self._typed("events", after=after)

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        """See ``EngineClient``."""
        return await self._typed(
            "payoff", strategy=strategy, days_ahead=days_ahead, volatility_shift=volatility_shift, points=points
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
        return await self._typed("scenario", strategy=strategy, days_ahead=days_ahead, moves=moves, shifts=shifts)

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        """See ``EngineClient``."""
        return await self._typed("attribution", strategy=strategy)

    async def smile(self, key: ChainKey) -> SmileView:
        """See ``EngineClient``."""
        return await self._typed("smile", key=key)

    async def volatility(self, underlying: str) -> VolatilityView:
        """See ``EngineClient``."""
        return await self._typed("volatility", underlying=underlying)

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
        return await self._typed("series", key=key, start=start, end=end, strike=strike, indicators=indicators)

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
        return await self._typed(
            "bars", instrument=instrument, interval=interval, start=start, end=end, indicators=indicators
        )

    async def rules(self, on: date | None = None) -> RulesView:
        """See ``EngineClient``."""
        return await self._typed("rules", on=on)

    async def operations(self) -> OperationsView:
        """See ``EngineClient``."""
        return await self._typed("operations")

    async def record(self, on: bool) -> OperationsView:
        """See ``EngineClient``."""
        return await self._typed("record", on=on)

    async def replay(self, action: ReplayAction | None = None) -> ReplayView:
        """See ``EngineClient``."""
        return await self._typed("replay", action=action)

    async def renew_session(self, account: str = "") -> OperationsView:
        """See ``EngineClient``."""
        return await self._typed("renew_session", account=account)

    async def doctor(self) -> DoctorView:
        """See ``EngineClient``."""
        return await self._typed("doctor")
