"""The peak margin of a sequence of legs, and the cheapest safe order of them, from the broker's own calculator.

A step is safe when nothing sold stands uncovered beyond what the finished basket leaves. The broker is asked once for
each set of legs, however many sequences pass through it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from engine.core.instruments import Instrument
from engine.core.margin import MarginPath, MarginPaths
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Side
from engine.execution.plans.basket_cover import Units, covers, uncovered
from engine.execution.plans.basket_legs import naked_by_design

SEARCH_LEGS_MAX = 4
"""Up to so many legs every safe order is looked at (15 questions to the broker at most); beyond it the chosen one."""

Ask = Callable[[tuple[OrderRequest, ...]], Awaitable[Decimal]]
"""What these orders would block together once filled; asks the broker."""


class MarginWalk:
    """Margins of sequences of one basket.

    Args:
        legs: In the order chosen.
        instruments: The rows of the dump, ``None`` where one is missing.
        ask: The broker's basket margin.
        hedge_first: Whether bought legs go before sold ones.
    """

    def __init__(
        self, legs: Sequence[OrderRequest], instruments: Sequence[Instrument | None], ask: Ask, *, hedge_first: bool
    ) -> None:
        self._legs = tuple(legs)
        self._instruments = tuple(instruments)
        self._ask = ask
        self._hedge_first = hedge_first
        self._known: dict[frozenset[int], Decimal] = {}
        self._design = naked_by_design(self._legs, self._instruments)

    async def paths(self, *, with_positions: bool = True) -> MarginPaths:
        """The chosen way, the one with shorts first, and the cheapest safe one if it is another.

        Raises:
            BrokerError: the broker does not say.
        """
        sells = [at for at, leg in enumerate(self._legs) if leg.side is Side.SELL]
        buys = [at for at, leg in enumerate(self._legs) if leg.side is Side.BUY]
        chosen = await self.walk((*buys, *sells) if self._hedge_first else tuple(range(len(self._legs))))
        shorts_first = await self.walk((*sells, *buys)) if sells and buys else None
        cheapest = None
        if sells and buys and len(self._legs) <= SEARCH_LEGS_MAX:
            found = await self.cheapest()
            if found is not None and found.peak < chosen.peak:
                cheapest = found
        return MarginPaths(chosen=chosen, shorts_first=shorts_first, cheapest=cheapest, with_positions=with_positions)

    async def walk(self, order: tuple[int, ...]) -> MarginPath:
        """What is blocked after each step of an order of the legs."""
        after = [await self._margin(frozenset(order[: count + 1])) for count in range(len(order))]
        return MarginPath(order=order, after=tuple(after))

    async def cheapest(self) -> MarginPath | None:
        """The safe order with the lowest peak, of equal ones that with the least blocked on the way."""
        everything = frozenset(range(len(self._legs)))
        best: dict[frozenset[int], tuple[Decimal, Decimal, tuple[int, ...]]] = {
            frozenset(): (Decimal("-Infinity"), Decimal(0), ())
        }
        for _ in self._legs:
            grown: dict[frozenset[int], tuple[Decimal, Decimal, tuple[int, ...]]] = {}
            for done, (peak, total, order) in best.items():
                for at in sorted(everything - done):
                    step = done | {at}
                    if not self._is_safe(step):
                        continue
                    margin = await self._margin(step)
                    candidate = (max(peak, margin), total + margin, (*order, at))
                    if step not in grown or candidate < grown[step]:
                        grown[step] = candidate
            best = grown
        found = best.get(everything)
        return None if found is None else await self.walk(found[2])

    def _is_safe(self, done: frozenset[int]) -> bool:
        rows = [(at, self._legs[at], self._instruments[at]) for at in sorted(done)]
        sold = [Units(row, leg.quantity) for _, leg, row in rows if leg.side is Side.SELL]
        bought = [Units(row, leg.quantity) for _, leg, row in rows if leg.side is Side.BUY]
        hedges = {at for at, leg in enumerate(self._legs) if leg.side is Side.BUY and self._covers_something(at)}
        return uncovered(sold, bought) <= (self._design if hedges <= done else 0)

    def _covers_something(self, at: int) -> bool:
        return any(
            covers(self._instruments[at], self._instruments[other])
            for other, leg in enumerate(self._legs)
            if leg.side is Side.SELL
        )

    async def _margin(self, legs: frozenset[int]) -> Decimal:
        found = self._known.get(legs)
        if found is None:
            found = await self._ask(tuple(self._legs[at] for at in sorted(legs)))
            self._known[legs] = found
        return found
