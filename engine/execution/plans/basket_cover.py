"""What covers what: how many sold units of a set of legs have nothing bought behind them.

A sold call is covered by a bought call, or a bought future, of the same underlying that lives at least as long; a sold
put by such a bought put; a sold future by such a bought call. Units are matched one to one and each covers once. Any
strike counts: what the spread may lose between the strikes is its margin's business, not a leg's that came on alone.
Anything not known covers nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.core.instruments import Instrument
from engine.core.vocabulary import InstrumentKind

COVERED_BY = {
    InstrumentKind.CALL: frozenset({InstrumentKind.CALL, InstrumentKind.FUTURE}),
    InstrumentKind.PUT: frozenset({InstrumentKind.PUT}),
    InstrumentKind.FUTURE: frozenset({InstrumentKind.CALL}),
}
"""Sold kind → bought kinds that bound its loss."""


class Units(msgspec.Struct, frozen=True):
    """So many units, ≥ 0, of one contract, all bought or all sold."""

    instrument: Instrument | None
    """``None``: not in today's dump; it covers nothing and nothing covers it."""
    quantity: int


def needs_cover(instrument: Instrument | None) -> bool:
    """Whether having sold it can lose without bound, or nobody knows."""
    return instrument is None or instrument.kind in COVERED_BY


def covers(bought: Instrument | None, sold: Instrument | None) -> bool:
    """Whether a unit of ``bought`` stands behind a unit of ``sold``."""
    if bought is None or sold is None or bought.expiry is None or sold.expiry is None:
        return False
    return (
        bought.name == sold.name
        and bought.kind in COVERED_BY.get(sold.kind, frozenset())
        and bought.expiry >= sold.expiry
    )


def covered(sold: Sequence[Units], bought: Sequence[Units]) -> int:
    """Most units of ``sold`` that ``bought`` can stand behind at the same time."""
    matching = _Matching(sold, bought)
    return sum(matching.serve(row, units.quantity) for row, units in enumerate(sold))


class _Matching:
    """Gives bought units to sold ones, and moves them again when that lets one more be covered."""

    def __init__(self, sold: Sequence[Units], bought: Sequence[Units]) -> None:
        self._left = [units.quantity for units in bought]
        self._given = [[0] * len(bought) for _ in sold]
        self._reach = [
            [at for at, other in enumerate(bought) if covers(other.instrument, units.instrument)] for units in sold
        ]

    def serve(self, row: int, wanted: int) -> int:
        """Cover up to ``wanted`` units of ``sold[row]``; how many could be."""
        got = 0
        while got < wanted and (more := self._give(row, wanted - got, set())):
            got += more
        return got

    def _give(self, row: int, wanted: int, tried: set[int]) -> int:
        for at in self._reach[row]:
            if at in tried:
                continue
            tried.add(at)
            if self._left[at] > 0:
                got = min(wanted, self._left[at])
                self._left[at] -= got
                self._given[row][at] += got
                return got
            for other, holdings in enumerate(self._given):
                if other == row or not holdings[at]:
                    continue
                moved = self._give(other, min(wanted, holdings[at]), tried)
                if moved:
                    holdings[at] -= moved
                    self._given[row][at] += moved
                    return moved
        return 0


def uncovered(sold: Sequence[Units], bought: Sequence[Units]) -> int:
    """Units of ``sold`` with nothing behind them; what needs no cover (a share) is left out."""
    wanting = [units for units in sold if needs_cover(units.instrument)]
    return sum(units.quantity for units in wanting) - covered(wanting, bought)


def spare(sold: Sequence[Units], bought: Sequence[Units], at: int) -> int:
    """Units of ``bought[at]`` that can go without one more unit of ``sold`` standing naked."""
    whole = covered(sold, bought)
    without = [units for index, units in enumerate(bought) if index != at]
    return max(0, bought[at].quantity - (whole - covered(sold, without)))


def addable(sold: Sequence[Units], bought: Sequence[Units], at: int, *, most: int, allowed: int) -> int:
    """Largest addition, up to ``most``, to ``sold[at]`` that leaves at most ``allowed`` units uncovered."""
    if not needs_cover(sold[at].instrument):
        return most

    def naked(more: int) -> int:
        grown = list(sold)
        grown[at] = Units(sold[at].instrument, sold[at].quantity + more)
        return uncovered(grown, bought)

    low, high = 0, most
    if naked(high) <= allowed:
        return high
    # Every further unit is covered or is not: the count never falls as units are added.
    while low < high:
        middle = (low + high + 1) // 2
        if naked(middle) <= allowed:
            low = middle
        else:
            high = middle - 1
    return low
