"""The published values of the indices over one session: what a quote shows now, and what a candle saw.

The last column is the volatility index, which follows the implied volatility of the first underlying. Prices are
integers of paise, positions are seconds from the open.
"""

from __future__ import annotations

import math

import numpy as np

from engine.practice.noise import FloatArray, IntArray
from engine.practice.paths import SessionPaths
from engine.practice.smile import term_factor

_PAISE = 100.0
_VIX_YEARS = np.array([30.0 / 365.0])
_VIX_RATIO = 1.04


class IndexQuotes:
    """The indices of one session.

    Args:
        paths: Index and volatility paths.
        implied: At-the-money volatility of the first underlying's shortest expiry at multiplier 1.
        closes: Each index's level at the previous close.
        volatility_close: The first underlying's volatility multiplier at the previous close.
    """

    def __init__(self, paths: SessionPaths, implied: float, closes: FloatArray, volatility_close: float) -> None:
        self._paths = paths
        ratio = _VIX_RATIO * float(term_factor(_VIX_YEARS)[0]) * implied * _PAISE
        self._rows = np.vstack([paths.shown, paths.volatility[:1] * ratio])
        self._closes = np.append(closes, volatility_close * ratio)

    def columns(self, position: float) -> dict[str, IntArray]:
        """Return the index columns of the quotes at a position."""
        end = int(position) + 1
        now = self._paths.at(self._rows, position)
        columns = {
            "index_last": now,
            "index_open": self._rows[:, 0],
            "index_high": np.maximum(self._rows[:, :end].max(axis=1), now),
            "index_low": np.minimum(self._rows[:, :end].min(axis=1), now),
            "index_close": self._closes,
        }
        return {name: np.rint(column * _PAISE).astype(np.int64) for name, column in columns.items()}

    def span(self, column: int, begin: float, end: float) -> tuple[int, int, int, int]:
        """Return (open, high, low, close) of an index between two positions."""
        row = self._rows[column : column + 1]
        opened, closed = float(self._paths.at(row, begin)[0]), float(self._paths.at(row, end)[0])
        inner = row[0, math.ceil(begin) : math.floor(end) + 1]
        high = max(opened, closed, float(inner.max(initial=opened)))
        low = min(opened, closed, float(inner.min(initial=opened)))
        first, top, bottom, last = (round(value * _PAISE) for value in (opened, high, low, closed))
        return first, top, bottom, last
