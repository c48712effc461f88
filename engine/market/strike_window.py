"""Which strikes of an expiry are kept subscribed while the market moves: so many each side of a centre that follows the
money, and only when the money has left the middle of the window.

Pure. Invariants: as long as the money is known, the window covers it with at least ``strikes_each_side -
recentre_after`` strikes each side (fewer only where the exchange lists no more); after the window has moved, the money
has to move more than ``recentre_after`` strikes before it moves again, so a price that swings less never moves it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec


class WindowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Chains that are kept and recorded although nobody looks at them."""

    underlyings: tuple[str, ...] = ()
    """Names as the exchange lists them, or their aliases; empty keeps none."""
    expiries: int = 2
    """So many of the nearest expiries of each."""
    strikes_each_side: int = 20
    recentre_after: int = 5
    """The window moves when the money is more strikes than this away from its centre; less than
    ``strikes_each_side``."""
    look_s: float = 1.0
    """How often it is seen where the money is, seconds of this machine."""


class StrikeWindow(NamedTuple):
    """A window over the strikes of one expiry."""

    centre: Decimal
    strikes: tuple[Decimal, ...]
    """Ascending."""


def nearest(strikes: Sequence[Decimal], price: float) -> int:
    """Index of the strike nearest a price; of two that are equally near, the lower one.

    Args:
        strikes: Ascending, at least one.
        price: In the unit of the strikes; finite.
    """
    wanted = Decimal(repr(float(price)))
    above = bisect_left(strikes, wanted)
    if above == 0:
        return 0
    if above == len(strikes):
        return above - 1
    return above if strikes[above] - wanted < wanted - strikes[above - 1] else above - 1


def moved(
    window: StrikeWindow | None, strikes: Sequence[Decimal], price: float, settings: WindowSettings
) -> StrikeWindow:
    """The window after the money was seen at ``price``: the same object while it need not move.

    Args:
        window: As it stands; ``None`` before the first.
        strikes: All that are listed, ascending, at least one.
        price: Where the money is (forward or spot), in the unit of the strikes; finite.
        settings: Width and inner band.
    """
    money = nearest(strikes, price)
    centre = money
    if window is not None:
        before = bisect_left(strikes, window.centre)
        listed = before < len(strikes) and strikes[before] == window.centre
        if listed and abs(money - before) <= settings.recentre_after:
            centre = before
    side = settings.strikes_each_side
    chosen = StrikeWindow(strikes[centre], tuple(strikes[max(0, centre - side) : centre + side + 1]))
    return window if window == chosen else chosen
