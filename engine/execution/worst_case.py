"""What a portfolio of options and futures of one underlying and one expiry can lose at most, exactly. Pure.

At expiry the payoff is made of straight lines between the strikes: its lowest points lie at a strike, at zero, or far
above the highest strike, where it falls for ever if more calls and futures are sold than bought (*unlimited*). The
underlying cannot fall below zero, so the other side has an end. Orders that may still trade are each taken as filled
or not, whichever is worse: at any one price each decides for itself, so nothing has to be tried out.

What has been paid for what is held is gone and counts for nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from engine.core.money import ZERO
from engine.core.vocabulary import InstrumentKind


class Exposure(NamedTuple):
    """Units of one contract."""

    kind: InstrumentKind
    """CALL, PUT or FUTURE."""
    level: Decimal
    """The strike; of a future the price from which its gain is counted."""
    signed_quantity: int
    """+ bought, − sold."""

    def value(self, price: Decimal) -> Decimal:
        """What all its units are worth at expiry with the underlying at ``price``."""
        if self.kind is InstrumentKind.FUTURE:
            each = price - self.level
        elif self.kind is InstrumentKind.CALL:
            each = max(ZERO, price - self.level)
        else:
            each = max(ZERO, self.level - price)
        return self.signed_quantity * each

    @property
    def rises(self) -> bool:
        """Whether a unit of it gains for ever as the underlying rises."""
        return self.kind is not InstrumentKind.PUT


class WorstCase(NamedTuple):
    """The most that may be lost."""

    uncovered: int
    """Units whose loss has no end as the underlying rises; 0 when the loss is bounded."""
    loss: Decimal
    """Rupees, the greatest from zero to the highest strike; of a bounded portfolio the greatest anywhere. Negative: the
    least that is gained.
    """


def worst_case(held: Sequence[Exposure], may_come: Sequence[Exposure], *, levels: Iterable[Decimal] = ()) -> WorstCase:
    """What may be lost of ``held`` together with any of ``may_come``.

    Args:
        held: What is held.
        may_come: Orders that may still trade.
        levels: Further prices that are looked at: give those of two portfolios to compare them.
    """
    points = {ZERO, *levels, *(item.level for item in held), *(item.level for item in may_come)}
    slope = -sum(item.signed_quantity for item in held if item.rises)
    slope += sum(max(0, -item.signed_quantity) for item in may_come if item.rises)
    losses = (
        -sum((item.value(point) for item in held), ZERO)
        + sum((max(ZERO, -item.value(point)) for item in may_come), ZERO)
        for point in points
    )
    return WorstCase(max(0, slope), max(losses))


def raises_worst_case(
    held: Sequence[Exposure], may_come: Sequence[Exposure], order: Exposure, *, paid: Decimal = ZERO
) -> bool:
    """Whether an order, once filled, can make the worst loss greater; ``paid`` is the premium it newly spends.

    Where the loss is unlimited before and after, it is greater if more units are uncovered, or if it is greater
    anywhere up to the highest strike.
    """
    levels = {order.level, *(item.level for item in (*held, *may_come))}
    before = worst_case(held, may_come, levels=levels)
    after = worst_case((*held, order), may_come, levels=levels)
    if after.uncovered > before.uncovered:
        return True
    if after.uncovered < before.uncovered and not after.uncovered:
        return False  # from unlimited to bounded
    if after.uncovered < before.uncovered:
        paid = ZERO  # fewer units are uncovered: what is paid for that is less than what it bounds
    # What is gained at the least is no loss: leaving it is no risk.
    return max(ZERO, after.loss) + paid > max(ZERO, before.loss)
