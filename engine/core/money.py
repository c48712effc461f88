"""Decimal money and prices. Nothing here rounds unless its name says so."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from engine.core.errors import InvalidInput

ZERO = Decimal(0)
PAISA = Decimal("0.01")


def parse_decimal(text: str, *, field: str) -> Decimal:
    """Read a finite decimal number; commas between digits are allowed.

    Raises:
        InvalidInput: not a number, or NaN or infinity.
    """
    try:
        value = Decimal(text.replace(",", ""))
    except InvalidOperation:
        raise InvalidInput(f'"{text}" is not a number.', field=field) from None
    if not value.is_finite():
        raise InvalidInput(f'"{text}" is not a finite number.', field=field)
    return value


def decimal_from_float(value: float, tick: Decimal = PAISA) -> Decimal:
    """Turn a float of the wire (29151.225000000002) into the multiple of ``tick`` it stands for.

    Raises:
        InvalidInput: NaN or infinity.
    """
    decimal = Decimal(repr(value))
    if not decimal.is_finite():
        raise InvalidInput(f"{value!r} is not a finite number.")
    return (decimal / tick).quantize(Decimal(1), rounding=ROUND_HALF_UP) * tick


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether ``value`` is a whole number of ``step``s; exact."""
    return value % step == 0


def nearest_ticks(value: Decimal, tick: Decimal) -> tuple[Decimal, Decimal]:
    """The multiples of ``tick`` at or below and at or above ``value``; equal when it is one itself."""
    steps = value // tick
    below = steps * tick
    if below > value:  # Decimal's // truncates towards zero: negative prices need one step down
        below -= tick
    above = below if below == value else below + tick
    return below, above


def round_to_paisa(value: Decimal) -> Decimal:
    """Half up to two places, as a contract note does."""
    return value.quantize(PAISA, rounding=ROUND_HALF_UP)
