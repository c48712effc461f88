"""Scratch memory that kernels reuse between calls, so that the steady state of a live chain allocates only its answer.

Kernels work on blocks of at most ``BLOCK`` elements: large enough that the cost of a numpy call vanishes, small enough
that all rows of a block stay in the processor's second-level cache. The memory of a workspace is therefore bounded by
``ROWS * BLOCK`` numbers however many options are marked.

Invariant: nothing that was returned to a caller lies in a workspace. A workspace belongs to one caller at a time; it is
not for two threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from engine.analytics.arrays import FloatArray

BLOCK: Final = 4096
"""Most elements a kernel treats at once."""

ROWS: Final = 30
"""How many rows the neediest kernel uses."""


class Workspace:
    """Rows of float64 of one length, remade only when the length changes."""

    def __init__(self) -> None:
        self._size: int | None = None
        self._table: FloatArray = np.empty((ROWS, 0))
        self._rows: tuple[FloatArray, ...] = ()
        self._spare: Workspace | None = None

    def rows(self, size: int) -> tuple[FloatArray, ...]:
        """Return ``ROWS`` rows of ``size`` elements, with what the last use left in them."""
        if size != self._size:
            self._remake(size)
        return self._rows

    def table(self, size: int) -> FloatArray:
        """Return the same memory as one contiguous array, shape ``(ROWS, size)``, for operations on several rows."""
        if size != self._size:
            self._remake(size)
        return self._table

    @property
    def spare(self) -> Workspace:
        """A second workspace, for the part of a block that needs more work while the block's own rows are in use."""
        if self._spare is None:
            self._spare = Workspace()
        return self._spare

    def _remake(self, size: int) -> None:
        if not 0 <= size <= BLOCK:
            raise ValueError(f"a block has {size} elements, but at most {BLOCK} are allowed: split it with blocks()")
        self._table = np.empty((ROWS, size))
        self._rows = tuple(self._table)
        self._size = size


def blocks(size: int) -> Iterator[slice]:
    """Cut ``size`` elements into slices of nearly equal length, none longer than ``BLOCK``."""
    if size <= 0:
        return
    length = -(-size // -(-size // BLOCK))
    for start in range(0, size, length):
        yield slice(start, min(start + length, size))
