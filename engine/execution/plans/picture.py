"""Takes the picture that an algorithm looks at: orders, positions and market of one moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from engine.core.commands import CancelOrders, CloseDeadLetter, ModifyOrder, PlaceOrder, Receipt
from engine.core.decisions import Reason
from engine.core.identifiers import InstrumentKey, OrderNumber
from engine.core.instruments import Instrument
from engine.core.orders import OrderRecord, Trade
from engine.core.ports import Clock
from engine.core.vocabulary import Product
from engine.execution.facts import HeldPosition, MarketFacts
from engine.execution.lanes import Lane
from engine.execution.plans.algorithm import PlanPicture, no_fills
from engine.execution.plans.running import QuoteMark, RunningPlan

Allocated = Callable[[int, InstrumentKey, Product], int | None]
"""A strategy's signed units of a contract and product by the ledger; ``None`` while it is not known."""
PriceBand = Callable[[Instrument], tuple[Decimal, Decimal] | None]
"""Lowest and highest price that the exchange takes now."""
Fills = Callable[[OrderRecord], tuple[Trade, ...]]
"""The broker's trades of an order."""


class PlanOrders(Protocol):
    """What plans need of the executor of their account."""

    async def place(
        self, command: PlaceOrder, *, seat: str = "", reason: Reason = ..., lane: Lane | None = None
    ) -> Receipt:
        """Journal one order and queue it; a known key makes none."""
        ...

    async def modify(
        self, command: ModifyOrder, *, seat: str = "", reason: Reason = ..., lane: Lane = Lane.MODIFY
    ) -> Receipt:
        """Change a resting order."""
        ...

    async def cancel(self, command: CancelOrders, *, seat: str = "", reason: Reason = ...) -> Receipt:
        """Cancel orders."""
        ...

    async def close_letters(self, command: CloseDeadLetter, *, seat: str = "") -> Receipt:
        """Want nothing more of orders that were given up."""
        ...

    def orders(self) -> tuple[OrderRecord, ...]:
        """All orders in memory."""
        ...

    def working(self) -> tuple[OrderRecord, ...]:
        """Orders that may still trade."""
        ...

    def positions(self) -> tuple[HeldPosition, ...] | None:
        """Net positions with every fill known to anyone."""
        ...

    def unbooked(self) -> tuple[tuple[OrderRecord, int], ...]:
        """Fills that the ledger does not have yet: an order and its signed units."""
        ...

    @property
    def is_reconciled(self) -> bool:
        """Whether the broker's book has been read and merged since the start."""
        ...


class PictureMaker:
    """Takes pictures for the plans of one account.

    Args:
        facts: Market and mode.
        orders: The executor.
        clock: Market time.
        allocated: What strategies hold by the ledger.
        default_strategy: Where fills of orders without a strategy belong; ``None`` while it is not known.
        price_band: The exchange's band.
        fills: The broker's trades of an order, as last read.
    """

    def __init__(
        self,
        *,
        facts: MarketFacts,
        orders: PlanOrders,
        clock: Clock,
        allocated: Allocated,
        default_strategy: Callable[[], int | None],
        price_band: PriceBand,
        fills: Fills = no_fills,
    ) -> None:
        self._facts = facts
        self._orders = orders
        self._clock = clock
        self._allocated = allocated
        self._default_strategy = default_strategy
        self._price_band = price_band
        self._fills = fills

    def take(self, plan: RunningPlan) -> PlanPicture:
        """The picture of one plan now."""
        return PlanPicture(
            plan=plan.record,
            now=self._clock.market_now(),
            orders=dict(plan.orders),
            refusals=dict(plan.refusals),
            instrument=self._facts.instrument,
            quote=self._facts.quote,
            freeze_quantity=self._facts.freeze_quantity,
            net=self._net,
            allocation=self._allocation,
            working=self._working,
            price_band=self._price_band,
            is_open=lambda instrument: self._facts.session(instrument).is_open,
            fills=self._fills,
            order=lambda number: next((order for order in self._orders.orders() if order.number == number), None),
            turns=tuple(plan.turns),
        )

    def marks(self, keys: tuple[InstrumentKey, ...]) -> Mapping[InstrumentKey, QuoteMark]:
        """The quotes of some instruments, as far as a change of them matters."""
        found = {}
        for key in keys:
            instrument = self._facts.instrument(key)
            quote = None if instrument is None else self._facts.quote(instrument)
            if quote is not None:
                found[key] = (quote.state, quote.bid, quote.ask, quote.last)
        return found

    def _net(self, key: InstrumentKey, product: Product) -> int | None:
        positions = self._orders.positions()
        if positions is None:
            return None
        return sum(held.signed_quantity for held in positions if held.instrument.key == key and held.product is product)

    def _allocation(self, strategy: int, key: InstrumentKey, product: Product) -> int | None:
        booked = self._allocated(strategy, key, product)
        if booked is None:
            return None
        default = self._default_strategy()
        return booked + sum(
            units
            for order, units in self._orders.unbooked()
            if (order.request.strategy or default) == strategy
            and order.request.instrument == key
            and order.request.product is product
        )

    def _working(self, key: InstrumentKey) -> tuple[OrderRecord, ...]:
        return tuple(order for order in self._orders.working() if order.request.instrument == key)


def numbers_of(orders: Mapping[str, OrderRecord]) -> tuple[OrderNumber, ...]:
    """The numbers of orders, oldest first."""
    return tuple(sorted(order.number for order in orders.values()))
