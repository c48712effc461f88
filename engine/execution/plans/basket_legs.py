"""How the legs of a basket stand: what is on, what may come on, what stands behind the sold ones.

A sold leg's units count from the moment they may fill, a bought leg's only once their fill is known. What the finished
basket leaves uncovered by design (a straddle, the second lot of a ratio) is not the leg-risk plan's to forbid; it is
allowed once everything that is to cover has been filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from engine.core.instruments import Instrument
from engine.core.money import ZERO
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.plans import BasketPlan, LegPlan
from engine.core.vocabulary import Side
from engine.execution.plans.algorithm import PlanPicture
from engine.execution.plans.basket_cover import Units, addable, covers, needs_cover, spare, uncovered
from engine.execution.plans.pieces import used_quantity
from engine.execution.plans.series import Series, series

LEG, UNDO = "leg", "undo"
"""Prefixes of the orders: ``leg2/0`` brings leg 2 on, ``undo2/0`` takes it off again."""


class BasketLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One leg as the picture shows it."""

    index: int
    request: OrderRequest
    instrument: Instrument | None
    orders: Series
    undo: Series

    @property
    def name(self) -> str:
        """``leg 3 (NIFTY26DEC24000CE)``."""
        return f"leg {self.index + 1} ({self.request.instrument.tradingsymbol})"

    @property
    def is_sold(self) -> bool:
        """Whether it is one that others cover."""
        return self.request.side is Side.SELL

    @property
    def on(self) -> int:
        """Units filled and not taken back."""
        return self.orders.filled - self.undo.filled

    @property
    def at_worst(self) -> int:
        """Units on, with everything that may still come."""
        return self.on + self.orders.may_fill

    @property
    def known_at_worst(self) -> int:
        """Units on, with orders of unknown outcome taken as filled."""
        return self.on + self.orders.doubtful

    @property
    def unsent(self) -> int:
        """Units that may be sent without any risk of sending too much."""
        used = sum(used_quantity(order) for order in self.orders.orders)
        return max(0, self.request.quantity - used + self.undo.filled)

    @property
    def is_on(self) -> bool:
        """Wholly filled, and nothing of it works."""
        return self.on >= self.request.quantity and not self.orders.working and not self.undo.working

    def units(self, quantity: int) -> Units:
        """So many of it."""
        return Units(self.instrument, quantity)


class BasketStanding:
    """All legs at one moment.

    Args:
        picture: As it is.
        spec: The basket.
    """

    def __init__(self, picture: PlanPicture, spec: BasketPlan) -> None:
        self.legs = tuple(
            BasketLeg(
                index=index,
                request=request,
                instrument=picture.instrument(request.instrument),
                orders=series(picture.orders, f"{LEG}{index}"),
                undo=series(picture.orders, f"{UNDO}{index}"),
            )
            for index, request in enumerate(spec.legs)
        )
        self.plan: LegPlan = spec.leg_plan
        self.sold = tuple(leg for leg in self.legs if leg.is_sold)
        self.bought = tuple(leg for leg in self.legs if not leg.is_sold)
        self.hedges = tuple(leg for leg in self.bought if self._is_hedge(leg))
        self.by_design = naked_by_design(spec.legs, [leg.instrument for leg in self.legs])
        """Units that stay uncovered when every leg is on."""

    def _is_hedge(self, leg: BasketLeg) -> bool:
        return any(covers(leg.instrument, other.instrument) for other in self.sold)

    @property
    def allowed_now(self) -> int:
        """Units that may stand uncovered by design now."""
        if self.plan.hedge_first and any(leg.on < leg.request.quantity for leg in self.hedges):
            return 0
        return self.by_design

    @property
    def naked(self) -> int:
        """Units that stand uncovered beyond the design, at worst: unknown sales count, unknown purchases do not."""
        sold = [leg.units(leg.known_at_worst) for leg in self.sold]
        return max(0, uncovered(sold, self._behind) - self.allowed_now)

    @property
    def exposed(self) -> int:
        """Units that would stand uncovered beyond the design if everything that works were filled now."""
        sold = [leg.units(leg.at_worst) for leg in self.sold]
        return max(0, uncovered(sold, self._behind) - self.allowed_now)

    @property
    def _behind(self) -> list[Units]:
        return [leg.units(leg.on) for leg in self.bought]

    def sendable(self, leg: BasketLeg, promised: dict[int, int]) -> int:
        """Units of a sold leg that may be sent now; ``promised`` are those of others that are just being sent."""
        if not needs_cover(leg.instrument):
            return leg.unsent
        sold = [other.units(other.at_worst + promised.get(other.index, 0)) for other in self.sold]
        allowed = self.allowed_now + self.plan.naked_quantity_max
        most = addable(sold, self._behind, self.sold.index(leg), most=leg.unsent, allowed=allowed)
        lot = 1 if leg.instrument is None else leg.instrument.lot_size
        return most // lot * lot

    def not_needed(self) -> dict[int, int]:
        """Units of each bought leg that no sold one needs, even if all that works of those were filled."""
        sold = [leg.units(leg.at_worst) for leg in self.sold if needs_cover(leg.instrument)]
        bought = self._behind
        found = {}
        for at, leg in enumerate(self.bought):
            free = min(leg.on, spare(sold, bought, at))
            found[leg.index] = free
            bought[at] = leg.units(leg.on - free)
        return found

    def too_much(self) -> dict[int, int]:
        """Units of each sold leg that have to go so that nothing stands uncovered beyond the design."""
        needed, found = self.naked, {}
        sold = {leg.index: leg.known_at_worst for leg in self.sold}
        for leg in self.sold:
            before = uncovered([other.units(sold[other.index]) for other in self.sold], self._behind)
            tried = min(max(0, leg.on), needed)
            sold[leg.index] -= tried
            after = uncovered([other.units(sold[other.index]) for other in self.sold], self._behind)
            sold[leg.index] += tried - (before - after)
            found[leg.index] = before - after
            needed -= before - after
        return found


def naked_by_design(legs: Sequence[OrderRequest], instruments: Sequence[Instrument | None]) -> int:
    """Units that a basket leaves uncovered when every leg is filled."""
    rows = list(zip(legs, instruments, strict=True))
    sold = [Units(instrument, leg.quantity) for leg, instrument in rows if leg.side is Side.SELL]
    bought = [Units(instrument, leg.quantity) for leg, instrument in rows if leg.side is Side.BUY]
    return uncovered(sold, bought)


def slippage(legs: Sequence[BasketLeg], decided: dict[int, Decimal]) -> Decimal | None:
    """Rupees against the first prices over what is filled, + is better; ``None`` before the first fill."""
    total: Decimal | None = None
    for leg in legs:
        average, price = leg.orders.average, decided.get(leg.index)
        if average is None or price is None:
            continue
        part = (price - average) * leg.request.side.sign * leg.orders.filled
        total = part if total is None else total + part
    return total


def per_unit(legs: Sequence[BasketLeg], rupees: Decimal) -> Decimal:
    """Rupees over the whole basket as rupees a unit of its largest leg."""
    units = max((leg.request.quantity for leg in legs), default=0)
    return rupees / units if units else ZERO


def ended_short(order: OrderRecord) -> bool:
    """Whether an order has come to its end without all of its fill."""
    return order.state.is_terminal and order.filled_quantity < order.request.quantity


def end_words(order: OrderRecord) -> str:
    """``o41 is rejected: margin …``."""
    if order.state is OrderState.PRESUMED_ABSENT:
        return f"o{order.number} never answered and is presumed absent; it is not sent again, and may still turn up"
    because = f": {order.message.rstrip('.')}" if order.message else ""
    return f"o{order.number} is {str(order.state).replace('_', ' ').casefold()}{because}"
