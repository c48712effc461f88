"""Array types and the one way kernels read their inputs.

Invariant: a kernel never changes an array it was given, and never raises because of a *value* in it; only shapes that
do not fit together raise (numpy's own ``ValueError``).
"""

from __future__ import annotations

import math
from typing import Final

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


def common_shape(*inputs: ArrayLike) -> tuple[int, ...]:
    """Return the shape of a result: ``()`` when every input is a scalar.

    Raises:
        ValueError: the inputs do not broadcast together.
    """
    return np.broadcast_shapes(*(np.shape(values) for values in inputs))
