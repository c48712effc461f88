"""What the portfolio asks of the market: prices to value legs at. Implemented over the quotes board by the engine."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from engine.core.views import Floats, Integers
from engine.core.vocabulary import Mark


class LegMarks(msgspec.Struct, frozen=True, kw_only=True):
    """Exact marks of one leg now. ``None`` means that mark cannot be had; ``reason`` says why."""

    last: Decimal | None = None
    mid: Decimal | None = None
    exit: Decimal | None = None
    """Average price that an immediate exit of the whole leg would get, its side of the book walked for its size."""
    previous_close: Decimal | None = None
    reason: str = ""
    delta: float | None = None
    """Per unit, rupees per index point."""
    theta: float | None = None
    """Per unit, rupees per calendar day."""

    def of(self, mark: Mark) -> Decimal | None:
        """The price of one mark."""
        match mark:
            case Mark.LAST:
                return self.last
            case Mark.MID:
                return self.mid
            case Mark.EXIT:
                return self.exit


class MarkColumns(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The same for many legs at once, as float64 of shape (n,); NaN where a mark cannot be had."""

    last: Floats
    mid: Floats
    exit: Floats
    trusted: npt.NDArray[np.bool_]
    """False where the path is suspect or the session is closed: such a price is shown with its age, never recorded."""

    def of(self, mark: Mark) -> Floats:
        """The column of one mark."""
        match mark:
            case Mark.LAST:
                return self.last
            case Mark.MID:
                return self.mid
            case Mark.EXIT:
                return self.exit


class Marks(Protocol):
    """Prices of the moment. Both methods read memory only and agree with each other."""

    def marks(self, held: Sequence[tuple[int, int]]) -> Sequence[LegMarks]:
        """Exact marks of each (token, signed units ≠ 0), in their order; the units decide the exit."""
        ...

    def columns(self, tokens: Integers, signed_quantities: Integers) -> MarkColumns:
        """Marks of many legs for the fast path; the arrays have one element per leg."""
        ...
