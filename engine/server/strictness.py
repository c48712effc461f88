"""What a decoder lets pass and money must not: unknown fields, amounts as floats, NaN, giants, times without a zone.

A misspelt ``idempotency_key`` that is silently dropped would make a second order; so every key of what was sent is
compared with the fields of what was understood.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from engine.core.errors import InvalidInput
from engine.server.protocol import INTEGER_MAX

DECIMAL_DIGITS_MAX = 28
"""Significant digits of an amount; also the digits the arithmetic keeps."""
DECIMAL_EXPONENT_MAX = 18
"""Amounts lie within 10^±18."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Largest texts and lists of one call."""

    text_max: int
    items_max: int


def check_strictly(plain: Any, value: Any, bounds: Bounds, path: str = "") -> None:  # noqa: ANN401 - JSON and its twin
    """Compare what was sent (``plain`` JSON) with what it was read as (``value``).

    Raises:
        InvalidInput: ``field`` is the path of what is wrong; the sentence says what is allowed.
    """
    if isinstance(value, msgspec.Struct) and isinstance(plain, dict):
        _check_struct(plain, value, bounds, path)
    elif isinstance(value, tuple | list) and isinstance(plain, list):
        if len(value) > bounds.items_max:
            raise _wrong(path, f"{len(value)} items; {bounds.items_max} at most.")
        for place, (sent, item) in enumerate(zip(plain, value, strict=True)):
            check_strictly(sent, item, bounds, f"{path}[{place}]")
    elif isinstance(value, dict) and isinstance(plain, dict):
        if len(value) > bounds.items_max:
            raise _wrong(path, f"{len(value)} items; {bounds.items_max} at most.")
        for (key, sent), item in zip(plain.items(), value.values(), strict=True):
            check_strictly(sent, item, bounds, _join(path, key))
    elif isinstance(value, str):
        if len(value) > bounds.text_max:
            raise _wrong(path, f"{len(value)} characters; {bounds.text_max} at most.")
    elif isinstance(value, Decimal):
        _check_amount(plain, value, path)
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            raise _wrong(path, f"whole numbers lie between -{INTEGER_MAX} and {INTEGER_MAX}.")
    elif isinstance(value, datetime) and value.tzinfo is None:
        raise _wrong(path, 'a time needs its zone, such as "2026-12-29T09:15:00+05:30" or a Z at the end.')


def _check_struct(plain: dict[str, Any], value: msgspec.Struct, bounds: Bounds, path: str) -> None:
    known = {field.encode_name: field.name for field in msgspec.structs.fields(value)}
    tag = value.__struct_config__.tag_field
    for key, sent in plain.items():
        if key == tag:
            continue
        if key not in known:
            names = ", ".join(sorted(known)) or "none"
            raise _wrong(_join(path, key[: bounds.text_max]), f"there is no such field; there are {names}.")
        check_strictly(sent, getattr(value, known[key]), bounds, _join(path, key))


def _check_amount(plain: Any, value: Decimal, path: str) -> None:  # noqa: ANN401 - JSON of any kind
    if not isinstance(plain, str):
        raise _wrong(path, 'an amount is a text such as "105.05", so that no digit is lost on the way.')
    if not value.is_finite():
        raise _wrong(path, f'"{plain}" is not a finite number.')
    digits = len(value.as_tuple().digits)
    if digits > DECIMAL_DIGITS_MAX or abs(value.adjusted()) > DECIMAL_EXPONENT_MAX:
        raise _wrong(
            path, f"amounts have at most {DECIMAL_DIGITS_MAX} digits and lie within 10^±{DECIMAL_EXPONENT_MAX}."
        )


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _wrong(path: str, words: str) -> InvalidInput:
    return InvalidInput(f"{path}: {words}", field=path)
