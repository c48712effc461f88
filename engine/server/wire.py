"""Values on the wire: JSON by msgspec. Amounts are strings, times carry their zone, arrays are lists.

In an array ``null`` stands for NaN and the words ``inf`` and ``-inf`` for the infinities, which JSON lacks.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

T = TypeVar("T")

INFINITY = "inf"
MINUS_INFINITY = "-inf"
_Numbers = list[float | Literal["inf", "-inf"] | None]


def _plain_float(value: float) -> float | str | None:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return None
    return INFINITY if value > 0 else MINUS_INFINITY


def plain_values(array: npt.NDArray[Any]) -> list[Any]:
    """The elements of an array as JSON can say them."""
    plain: list[Any] = array.tolist()
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return [_plain_float(item) for item in plain]
    return plain


def _encode_special(value: Any) -> Any:  # noqa: ANN401 - the hook's contract is any value to a plain one
    if isinstance(value, np.ndarray):
        if value.ndim != 1:
            raise TypeError(f"an array of {value.ndim} dimensions cannot be sent, only of one")
        return plain_values(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _decode_special(kind: Any, value: Any) -> Any:  # noqa: ANN401 - the hook's contract
    if getattr(kind, "__origin__", None) is not np.ndarray:
        raise TypeError(f"a {kind!r} cannot be received")
    array = column(value, kind.__args__[1].__args__[0])
    array.flags.writeable = False
    return array


def column(values: Any, dtype: type[np.generic]) -> npt.NDArray[Any]:  # noqa: ANN401 - JSON of any kind
    """An array of ``dtype`` from a list of JSON numbers, ``null`` and the words for infinity.

    Raises:
        msgspec.ValidationError: it is something else.
        ValueError: a number does not fit.
    """
    if issubclass(dtype, np.floating):
        numbers = msgspec.convert(values, _Numbers)
        return np.array([math.nan if item is None else float(item) for item in numbers], dtype=dtype)
    try:
        return np.array(msgspec.convert(values, list[int]), dtype=dtype)
    except OverflowError as error:
        raise ValueError(f"a number does not fit into {dtype.__name__}") from error


def encode(value: object) -> bytes:
    """JSON bytes of any value of the engine's API.

    Raises:
        TypeError: something in it has no form on the wire.
    """
    return msgspec.json.encode(value, enc_hook=_encode_special)


def decode(data: bytes | str | msgspec.Raw, kind: type[T]) -> T:
    """Read JSON as ``kind``, strictly.

    Raises:
        msgspec.ValidationError: the sentence names the field and what was expected.
        msgspec.DecodeError: not JSON.
    """
    return msgspec.json.decode(data, type=kind, dec_hook=_decode_special)


def decode_as(data: bytes | str | msgspec.Raw, annotation: Any) -> Any:  # noqa: ANN401 - unions are no types
    """Read JSON as any annotation, unions and generic aliases too; errors as ``decode``."""
    return msgspec.json.decode(data, type=annotation, dec_hook=_decode_special)
