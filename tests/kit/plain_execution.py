"""The executor's pictures of the small engines: why an order happened, dead letters, budgets and breakers."""

from __future__ import annotations

from engine.core.errors import UnknownOrder
from engine.core.execution import BreakerView, DeadLetter, ExecutionHealth, LatencyView, OrderTimings, OrderWhy
from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderEvent, OrderRecord
from engine.core.views import DeskView


class PlainExecution:
    """Answers from the orders that its heir keeps; ``letters`` is what a test says of those that died."""

    letters: tuple[DeadLetter, ...] = ()

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

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """See ``EngineClient``."""
        return self.letters

    async def execution_health(self) -> ExecutionHealth | None:
        """See ``EngineClient``: an executor that has never had anything to do."""
        status = self.desk().status
        return ExecutionHealth(
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
                for name in ("orders", "book")
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
