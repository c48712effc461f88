"""Array types and the one way kernels read their inputs.

Invariant: a kernel never changes an array it was given, and never raises because of a *value* in it; only shapes that
do not fit together raise (numpy's own ``ValueError``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
"""float64 values; NaN means "no value"."""

BoolArray = NDArray[np.bool_]
CodeArray = NDArray[np.uint8]
"""Members of a small ``IntEnum``, one byte each."""

DAYS_PER_YEAR: Final = 365.0
"""Calendar days of a year in the ACT/365 convention used everywhere in this package."""

PER_PERCENTAGE_POINT: Final = 0.01
"""Vega and rho are quoted per percentage point of volatility and of rate."""


def constant(value: float) -> FloatArray:
    """Return a read-only number without dimensions; numpy combines it with an array faster than a Python float."""
    number = np.array(value, dtype=np.float64)
    number.flags.writeable = False
    return number


def as_floats(values: ArrayLike) -> FloatArray:
    """Read anything array-like as float64 with at least one dimension, without copying when possible."""
    return np.atleast_1d(np.asarray(values, dtype=np.float64))


def as_flags(values: ArrayLike) -> BoolArray:
    """Read anything array-like as booleans with at least one dimension, without copying when possible."""
    return np.atleast_1d(np.asarray(values, dtype=np.bool_))


def as_column(values: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Spread values over a result's shape and flatten them to one dimension; may be a view of the input."""
    array = np.asarray(values, dtype=np.float64)
    size = math.prod(shape)
    if array.ndim == 0:
        return np.full(size, array)
    if array.shape != shape:
        array = np.broadcast_to(array, shape)
    return array.reshape(size)


def shape_together(arrays: Iterable[NDArray[Any]]) -> tuple[int, ...]:
    """Return the shape arrays broadcast to; quick when those with dimensions have one shape.

    Raises:
        ValueError: they do not broadcast together.
    """
    shapes = {array.shape for array in arrays}
    shapes.discard(())
    if len(shapes) < 2:
        return shapes.pop() if shapes else ()
    return np.broadcast_shapes(*shapes)


def column_or_term(array: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Flatten an array spread over a result's shape; one without dimensions stays, it combines with every column."""
    if array.ndim == 0 or (array.shape == shape and len(shape) == 1):
        return array
    return as_column(array, shape)


def part_of(term: FloatArray, block: slice) -> FloatArray:
    """Return a block of a column; a term without dimensions is the same for every block."""
    return term if term.ndim == 0 else term[block]


def common_shape(*inputs: ArrayLike) -> tuple[int, ...]:
    """Return the shape of a result: ``()`` when every input is a scalar.

    Raises:
        ValueError: the inputs do not broadcast together.
    """
    return shape_together([np.asarray(values) for values in inputs])
