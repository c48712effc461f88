"""Order numbers taken from the journal before they are needed, so that an order can be made while it is away.

Every order gets its number from here as long as there are any: the same one in the journal and in the spool, for good,
wherever its intent was kept first. What is left at an orderly end is given back; what a killed engine had is never
used: numbers have gaps, and mean nothing by them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from engine.core.identifiers import OrderNumber


class NumberStock:
    """Reserved numbers, the lowest first.

    Args:
        kept: How many there should be at least; 0 for none at all.
    """

    def __init__(self, kept: int) -> None:
        self.kept = kept
        self._numbers: deque[OrderNumber] = deque()

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def is_low(self) -> bool:
        """Whether more should be taken."""
        return len(self._numbers) < self.kept

    def add(self, numbers: Sequence[OrderNumber]) -> None:
        """Take in numbers that were reserved; older ones may be among them."""
        self._numbers = deque(sorted((*self._numbers, *numbers)))

    def take(self, count: int) -> tuple[OrderNumber, ...]:
        """So many of them, or none when there are too few."""
        if count > len(self._numbers):
            return ()
        return tuple(self._numbers.popleft() for _ in range(count))

    def take_all(self) -> tuple[OrderNumber, ...]:
        """All that are left: nothing more is made with them."""
        left = tuple(self._numbers)
        self._numbers.clear()
        return left

    def give_back(self, numbers: Sequence[OrderNumber]) -> None:
        """Provably nothing was written under these."""
        self._numbers.extendleft(reversed(numbers))
