"""The exchange's own contract note: what one executed order costs, by its own dated rates.

It shares neither code nor data with the desk's charges on purpose: what both had wrong would never show. Amounts are
rupees, rates fractions of traded value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from typing import Any

from engine.practice.contracts import Contract
from engine.practice.wire import BUY

_PACKAGE = "engine.practice"
_FILE = "data/charges.toml"
_TAX_KIND = "stt"


@dataclass(frozen=True, slots=True)
class Note:
    """The charges of one order in rupees."""

    brokerage: float = 0.0
    transaction_tax: float = 0.0
    exchange: float = 0.0
    regulator: float = 0.0
    stamp: float = 0.0
    services_tax: float = 0.0

    @property
    def total(self) -> float:
        """All of them."""
        fees = self.brokerage + self.exchange + self.regulator
        return fees + self.transaction_tax + self.stamp + self.services_tax

    def to_wire(self, decimals: int | None = None) -> dict[str, Any]:
        """Return the ``charges`` object of contract notes and margins.

        Args:
            decimals: How far amounts are rounded; None leaves the noise of floating point.
        """

        def shown(amount: float) -> float:
            return amount if decimals is None else round(amount, decimals)

        return {
            "transaction_tax": shown(self.transaction_tax),
            "transaction_tax_type": _TAX_KIND if self.total else "",
            "exchange_turnover_charge": shown(self.exchange),
            "sebi_turnover_charge": shown(self.regulator),
            "brokerage": shown(self.brokerage),
            "stamp_duty": shown(self.stamp),
            "gst": {"igst": shown(self.services_tax), "cgst": 0, "sgst": 0, "total": shown(self.services_tax)},
            "total": shown(self.total),
        }


class Charges:
    """Dated rates of options and futures."""

    def __init__(self, rates: Mapping[str, Any]) -> None:
        self._rates = rates

    @classmethod
    def load(cls) -> Charges:
        """Read the shipped rates."""
        return cls(tomllib.loads((files(_PACKAGE) / _FILE).read_text(encoding="utf-8")))

    def note(self, contract: Contract, side: str, quantity: int, price: float, day: date) -> Note:
        """Return the charges of one executed order.

        Args:
            contract: What was traded: an option or a future.
            side: ``BUY`` or ``SELL``.
            quantity: Units.
            price: Average price in rupees.
            day: When it was traded.
        """
        turnover = quantity * price
        if turnover <= 0.0:
            return Note()
        kind = "option" if contract.is_option else "future"
        brokerage_row = self._row("brokerage", day)
        brokerage = (
            brokerage_row["option_order"]
            if contract.is_option
            else min(brokerage_row["future_rate"] * turnover, brokerage_row["future_most"])
        )
        exchange = self._exchange_row(contract, day)[kind] * turnover
        regulator = self._row("regulator", day)["rate"] * turnover
        bought = side == BUY
        return Note(
            brokerage=brokerage,
            transaction_tax=0.0 if bought else self._row("transaction_tax", day)[f"{kind}_sell"] * turnover,
            exchange=exchange,
            regulator=regulator,
            stamp=self._row("stamp", day)[f"{kind}_buy"] * turnover if bought else 0.0,
            services_tax=self._row("services_tax", day)["rate"] * (brokerage + exchange + regulator),
        )

    def _row(self, name: str, day: date) -> Mapping[str, Any]:
        return _in_force(self._rates[name], day)

    def _exchange_row(self, contract: Contract, day: date) -> Mapping[str, Any]:
        rows = [row for row in self._rates["exchange"] if row["exchange"] == contract.exchange]
        own = [row for row in rows if contract.name in row.get("names", ())]
        return _in_force(own or [row for row in rows if "names" not in row], day)


def _in_force(rows: Sequence[Mapping[str, Any]], day: date) -> Mapping[str, Any]:
    """Return the last row that began by a day, else the first there is."""
    known = sorted(rows, key=lambda row: row["from"])
    begun = [row for row in known if row["from"] <= day]
    return begun[-1] if begun else known[0]
