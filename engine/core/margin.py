"""The margin that a sequence of orders needs on its way, not only at its end. Rupees."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class MarginPath(msgspec.Struct, frozen=True, kw_only=True):
    """What is blocked after each step of a sequence."""

    order: tuple[int, ...]
    """Legs by their index, in the order of the steps."""
    after: tuple[Decimal, ...]
    """Blocked once that step is filled; as many as ``order``."""

    @property
    def peak(self) -> Decimal:
        """The most that is blocked at any step."""
        return max(self.after)

    @property
    def final(self) -> Decimal:
        """Blocked once everything is filled."""
        return self.after[-1]


class MarginPaths(msgspec.Struct, frozen=True, kw_only=True):
    """A basket's way to its margin, beside other ways."""

    chosen: MarginPath
    """In the order in which it is sent."""
    shorts_first: MarginPath | None = None
    """For comparison; never sent so. ``None`` when there is nothing to compare."""
    cheapest: MarginPath | None = None
    """The safe order with the lowest peak; ``None`` when that was not looked for or is the chosen one."""
    with_positions: bool = True
    """Beside what the account holds; otherwise alone."""
