"""What the marks of one expiry remember from one call to the next: scratch memory, and the last volatilities.

A live chain is marked several times a second while its volatilities hardly move. Starting from the last ones halves the
work; the solver does not believe them, it only starts there, so a wrong or old memory costs time and nothing else.

Invariant: a memory holds one expiry's worth of numbers, and forgets them when it is asked about other strikes.
"""

from __future__ import annotations

import numpy as np

from engine.analytics.arrays import FloatArray
from engine.analytics.implied_volatility import BlackTerms
from engine.analytics.option_marks import OptionMarks, marks_of_terms
from engine.analytics.workspace import Workspace


class ChainMemory:
    """The memory of one expiry. Belongs to one caller; not for two threads at once."""

    def __init__(self) -> None:
        self._workspace = Workspace()
        self._strikes: FloatArray | None = None
        self._strike_column: FloatArray = np.empty(0)
        self._sign: FloatArray = np.empty(0)
        self._last: FloatArray | None = None

    def mark(self, price: FloatArray, forward: float, strikes: FloatArray, years: float, rate: float) -> OptionMarks:
        """Mark both sides of an expiry.

        Args:
            price: index points, calls in row 0 and puts in row 1, shape ``(2, n)``; NaN or 0 means "no price".
            forward: of the expiry, index points.
            strikes: index points, shape ``(n,)``.
            years: ACT/365 to the expiry instant.
            rate: continuously compounded.

        Returns:
            Marks of shape ``(2, n)``, in arrays of their own.
        """
        if self._strikes is None or not np.array_equal(self._strikes, strikes):
            self._begin(strikes)
        terms = BlackTerms(
            price.reshape(-1), np.array(forward), self._strike_column, np.array(years), np.array(rate), self._sign
        )
        marks = marks_of_terms(terms, self._last, self._workspace, price.shape)
        self._remember(marks.volatility.reshape(-1))
        return marks

    def _begin(self, strikes: FloatArray) -> None:
        self._strikes = strikes.copy()
        self._strike_column = np.concatenate((strikes, strikes))
        self._sign = np.repeat((1.0, -1.0), strikes.size)
        self._last = None

    def _remember(self, volatility: FloatArray) -> None:
        if self._last is None:
            self._last = volatility.copy()
        else:
            # An option that has no volatility for a moment starts from the one it had.
            np.copyto(self._last, volatility, where=np.isfinite(volatility))
