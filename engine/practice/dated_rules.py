"""Rules with a date out of the calendar's data file: freeze quantities and limit-price protection.

Only the data is shared with the desk; the reading is this package's own. The last row of a subject whose first day
is not after the day is in force, until its last day if it has one; after that nothing is known, and nothing is
refused by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.practice.contracts import Contract

_PAISE = 100
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class PriceBand:
    """How far a limit may lie from the reference price: the larger of a width in paise and a share of it."""

    width: int
    share: Decimal

    def range_of(self, reference: int) -> tuple[int, int]:
        """Return (lowest, highest) price in paise around a reference price in paise."""
        width = max(self.width, round(reference * self.share))
        return max(reference - width, 0), reference + width


class DatedRules:
    """The rules that the exchange rejects by.

    Args:
        tables: The data file's tables.
    """

    def __init__(self, tables: Mapping[str, Any]) -> None:
        self._freezes: Sequence[Mapping[str, Any]] = tables.get("freeze", ())
        self._bands: Sequence[Mapping[str, Any]] = tables.get("band", ())

    def freeze_quantity(self, underlying: str, day: date) -> int | None:
        """Return the largest quantity (units) of one order on a day, None when it is not known."""
        row = _in_force([row for row in self._freezes if row["underlying"] == underlying], day)
        return int(row["units"]) if row is not None else None

    def price_band(self, contract: Contract, day: date, *, is_index: bool) -> PriceBand | None:
        """Return the limit-price protection of a contract on a day, None when there is none."""
        kind = f"{'index' if is_index else 'stock'} {'option' if contract.is_option else 'future'}"
        meant = [row for row in self._bands if (row["exchange"], row["contracts"]) == (contract.exchange, kind)]
        own = [row for row in meant if row.get("underlying") == contract.name]
        row = _in_force(own or [row for row in meant if "underlying" not in row], day)
        if row is None:
            return None
        return PriceBand(round(Decimal(row["points"]) * _PAISE), Decimal(row["percent"]) / _PERCENT)


def _in_force(rows: Sequence[Mapping[str, Any]], day: date) -> Mapping[str, Any] | None:
    begun = [row for row in rows if row["from"] <= day]
    if not begun:
        return None
    until = begun[-1].get("until")
    return begun[-1] if until is None or day <= until else None
