"""A book that lags: what reads of orders and trades are shown while a fault makes them stale.

A client that has just placed an order and reads the book may not find it. Invariant: what is shown is a state that
the book was in, or the book less the orders of a tag; nothing is ever made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_FOR_EVER = float("inf")

Row = dict[str, Any]


class BookLag:
    """Decides what a read of the book is shown.

    Args:
        clock: A monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._frozen: dict[str, tuple[float, Mapping[str, Sequence[Row]]]] = {}
        self._hidden: list[tuple[str, str, float]] = []

    def freeze(self, account: str, rows: Mapping[str, Sequence[Row]], seconds: float) -> None:
        """Show an account's book as these rows (by kind: orders, trades) for some time; 0 is until it is cleared."""
        self._frozen[account] = (self._until(seconds), rows)

    def hide(self, account: str, tag: str, seconds: float) -> None:
        """Leave out the orders whose tag begins so; no account means all of them."""
        self._hidden.append((account, tag, self._until(seconds)))

    def clear(self) -> None:
        """Show the book as it is again."""
        self._frozen.clear()
        self._hidden.clear()

    def shown(self, account: str, kind: str, rows: Sequence[Row], tag_of: Callable[[Row], str]) -> list[Row]:
        """Return what a read is shown instead of the present rows."""
        until, frozen = self._frozen.get(account, (0.0, {}))
        chosen = frozen[kind] if until > self._clock() else rows
        return [row for row in chosen if not self.hides(account, tag_of(row))]

    def hides(self, account: str, tag: str) -> bool:
        """Tell whether an order of this tag is missing from reads now."""
        now = self._clock()
        self._hidden = [row for row in self._hidden if row[2] > now]
        return any(owner in {"", account} and tag.startswith(prefix) for owner, prefix, _ in self._hidden)

    def _until(self, seconds: float) -> float:
        return self._clock() + seconds if seconds else _FOR_EVER
