"""The executor's pictures of the small engines: why an order happened, dead letters, budgets and breakers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from engine.core.errors import InvalidInput, UnknownOrder
from engine.core.execution import BreakerView, DeadLetter, ExecutionHealth, LatencyView, OrderTimings, OrderWhy
from engine.core.funds_margin import BasketMargin, MarginAnswer
from engine.core.handover import Handover
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest
from engine.core.plans import PlanView
from engine.core.reconciling import Mismatch
from engine.core.standing_triggers import Gtt
from engine.core.views import DeskView


class PlainExecution:
    """Answers from the orders that its heir keeps; ``letters`` is what a test says of those that died."""

    letters: tuple[DeadLetter, ...] = ()
    differences: tuple[Mismatch, ...] = ()
    worked: tuple[PlanView, ...] = ()
    handovers: tuple[Handover, ...] = ()
    standing: tuple[Gtt, ...] = ()

    def desk(self) -> DeskView:
        """Its heir's."""
        raise NotImplementedError

    async def orders(self) -> tuple[OrderRecord, ...]:
        """Its heir's."""
        raise NotImplementedError

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """Its heir's."""
        raise NotImplementedError

    async def why(self, number: OrderNumber) -> OrderWhy:
        """See ``EngineClient``."""
        for record in await self.orders():
            if record.number == number:
                history = await self.order_history(number)
                return OrderWhy(order=record, decision=None, timings=OrderTimings(), history=history)
        raise UnknownOrder(f"There is no o{number}.", field="number")

    async def plans(self) -> tuple[PlanView, ...]:
        """See ``EngineClient``."""
        return self.worked

    async def mismatches(self) -> tuple[Mismatch, ...]:
        """See ``EngineClient``."""
        return self.differences

    async def handover(self) -> tuple[Handover, ...]:
        """See ``EngineClient``."""
        return self.handovers

    async def gtts(self) -> tuple[Gtt, ...]:
        """See ``EngineClient``."""
        return self.standing

    async def basket_margin(self, legs: Sequence[OrderRequest], account: AccountId | None = None) -> MarginAnswer:
        """See ``EngineClient``: what is bought is paid, what is sold blocks the same."""
        del account
        if not legs:
            raise InvalidInput("Margin is asked for 1 to 50 orders, not 0.", field="legs")
        each = tuple((leg.price or Decimal(0)) * leg.quantity for leg in legs)
        margin = BasketMargin(initial=sum(each, Decimal(0)), final=sum(each, Decimal(0)), orders=each)
        return MarginAnswer(margin=margin, available=Decimal(1_000_000), at=self.desk().status.session.market_time)

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """See ``EngineClient``."""
        return self.letters

    async def execution_health(self) -> tuple[ExecutionHealth, ...]:
        """See ``EngineClient``: an executor that has never had anything to do."""
        status = self.desk().status
        health = ExecutionHealth(
            account=status.account,
            at=status.session.market_time,
            budget=status.budget,
            queue=(),
            on_wire=0,
            working=0,
            unknown=status.unknown_orders,
            rate_limited=0,
            breakers=tuple(
                BreakerView(endpoint=name, state="closed", failures=0, retry_in_s=None, opened=0, last_error="")
                for name in ("orders", "book", "triggers")
            ),
            latencies=tuple(
                LatencyView(step=step, count=0, mean_s=None, p50_s=None, p90_s=None, p99_s=None, max_s=None)
                for step in ("queue", "send", "acknowledge", "fill")
            ),
            dead_letters=len(self.letters),
            is_writer=status.writer,
            is_reconciled=True,
            mismatches=(),
            degraded=status.degraded,
        )
        return (health,)
