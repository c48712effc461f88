"""Numbers as sentences need them: lakh grouping, lots, and small numbers in words."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

PAISA = Decimal("0.01")
_SMALL = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")


def grouped(number: int) -> str:
    """``1234567`` as ``12,34,567``: the last three digits, then pairs."""
    digits = str(abs(number))
    head, tail = digits[:-3], digits[-3:]
    pairs: list[str] = []
    while head:
        pairs.insert(0, head[-2:])
        head = head[:-2]
    return ("-" if number < 0 else "") + ",".join([*pairs, tail])


def grouped_decimal(value: Decimal) -> str:
    """``Decimal('1234567.50')`` as ``12,34,567.50``; the places are kept as they are."""
    sign, text = ("-", f"{-value:f}") if value < 0 else ("", f"{value:f}")
    whole, point, places = text.partition(".")
    return f"{sign}{grouped(int(whole))}{point}{places}"


def rupees(value: Decimal) -> str:
    """An amount to the paisa, for sentences."""
    return grouped_decimal(value.quantize(PAISA, ROUND_HALF_UP))


def counted_lots(count: int) -> str:
    """``2`` as ``Two lots are``, ``1`` as ``One lot is``: the beginning of a sentence."""
    word = _SMALL[count] if 0 <= count < len(_SMALL) else grouped(count)
    return f"{word} lot is" if count == 1 else f"{word} lots are"


def in_lots(quantity: int, lot_size: int) -> str:
    """``130`` with lot 65 as ``2L = 130``; exact multiples only."""
    return f"{grouped(quantity // lot_size)}L = {grouped(quantity)}"
