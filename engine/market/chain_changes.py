"""What changed in a chain: rows since a sequence, open interest since the day's first reading.

Invariant: a row counts as changed when a column differs at the precision it is shown with; ages, which always move,
never count.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.core.views import ChainColumns, Floats, Integers

_EXACT: Final = (
    "token",
    "bid",
    "ask",
    "last",
    "volume",
    "open_interest",
    "open_interest_change",
    "iv_reason",
    "iv_input",
    "state",
    "position",
    "working",
    "build_up",
)
_STEPS_PER_UNIT: Final = {
    "implied_volatility": 1e4,
    "delta": 1e3,
    "gamma": 1e6,
    "theta": 1e2,
    "vega": 1e2,
    "theoretical": 20.0,
    "mispricing": 10.0,
    "spread_percent": 10.0,
    "liquidity": 1.0,
    "intrinsic": 10.0,
    "extrinsic": 10.0,
}
"""Computed columns move with the clock in digits nobody sees; a change is one step of these."""

_PERCENT: Final = 100.0
_GIVEN: Final = -1
"""Sequence of a reading that was given from outside: older than any packet."""


class RowChanges:
    """Remembers, row by row, the sequence of the last change.

    Args:
        rows: number of strikes.
    """

    def __init__(self, rows: int) -> None:
        shape = (2, len(_EXACT) + len(_STEPS_PER_UNIT), rows)
        self._shown: Floats = np.full(shape, np.nan)
        self._next: Floats = np.empty(shape)
        self._row_sequence: Integers = np.zeros(rows, np.int64)
        self._marked = False

    def changed_rows(self, calls: ChainColumns, puts: ChainColumns) -> npt.NDArray[np.bool_]:
        """Which rows differ from the ones kept; keeps these in their place."""
        for side, columns in zip(self._next, (calls, puts), strict=True):
            place = 0
            for name in _EXACT:
                side[place] = getattr(columns, name)
                place += 1
            for name, steps in _STEPS_PER_UNIT.items():
                np.rint(getattr(columns, name) * steps, out=side[place])
                place += 1
        both_unknown = np.isnan(self._next) & np.isnan(self._shown)
        changed: npt.NDArray[np.bool_] = ((self._next != self._shown) & ~both_unknown).any(axis=(0, 1))
        self._shown, self._next = self._next, self._shown
        return changed

    def mark(self, rows: npt.NDArray[np.bool_], sequence: int) -> None:
        """Note that ``rows`` changed with ``sequence``."""
        if not self._marked:
            self._marked = True
            rows = np.ones_like(rows)
        self._row_sequence[rows] = sequence

    def since(self, sequence: int, newest: int) -> npt.NDArray[np.intp]:
        """Rows changed after ``sequence``; all of them for one that was never given out here."""
        # Every row carries at least the first sequence of this chain: an older one gives them all by itself.
        if sequence > newest:
            return np.arange(self._row_sequence.size)
        return np.flatnonzero(self._row_sequence > sequence)


class OpenInterestBaseline:
    """The first open interest seen of each instrument on a trading day; shared by all chains of an engine.

    Bounded by the instruments of a day: a new day begins empty, except for what is given for it.
    """

    def __init__(self) -> None:
        self._day: date | None = None
        self._first: dict[int, tuple[float, int]] = {}

    def start_day(self, day: date) -> bool:
        """Begin a day; true when it is another one than before and all was forgotten."""
        if day == self._day:
            return False
        if self._day is not None:
            self._first.clear()
        self._day = day
        return True

    def give(self, day: date, open_interest: Mapping[int, float]) -> None:
        """Take readings made before this engine ran on ``day``, units by token; they win over later ones."""
        self.start_day(day)
        self._first.update((token, (value, _GIVEN)) for token, value in open_interest.items() if value >= 0)

    def first(self, token: int, value: float, sequence: int) -> tuple[float, int]:
        """The first reading and its board sequence: the one kept, or this one when it is the first."""
        return self._first.setdefault(token, (value, sequence))


class OpenInterestChange:
    """The change of a chain's open interest against the day's first readings.

    Args:
        tokens: of the contracts; 0 where there is none.
        baseline: shared first readings.
    """

    def __init__(self, tokens: Integers, baseline: OpenInterestBaseline) -> None:
        self._tokens = tokens
        self._baseline = baseline
        self._first: Floats = np.full(tokens.size, np.nan)
        self._sequence: Integers = np.zeros(tokens.size, np.int64)
        self._day: date | None = None

    def percent(self, day: date, open_interest: Floats, sequences: Integers) -> Floats:
        """Percent against the first reading of ``day``.

        Args:
            day: trading date.
            open_interest: units, NaN where unknown, one element per token.
            sequences: board sequence of each contract's last packet.

        Returns:
            NaN until a packet after the first reading has come, and where the first reading was 0.
        """
        self._baseline.start_day(day)
        if day != self._day:
            self._day = day
            self._first[:] = np.nan
        unread = np.isnan(self._first) & ~np.isnan(open_interest) & (self._tokens != 0)
        if unread.any():
            for place in np.flatnonzero(unread).tolist():
                self._first[place], self._sequence[place] = self._baseline.first(
                    int(self._tokens[place]), float(open_interest[place]), int(sequences[place])
                )
        known = (sequences > self._sequence) & (self._first > 0)
        change = np.full(open_interest.size, np.nan)
        np.divide(open_interest - self._first, self._first, out=change, where=known)
        change *= _PERCENT
        return change
