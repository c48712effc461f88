"""The exchange's contract note against worked examples."""

from __future__ import annotations

from datetime import date

import pytest

from engine.practice.charges import Charges
from engine.practice.contracts import Contract

OCTOBER = date(2026, 10, 5)


def contract(exchange: str, kind: str, name: str) -> Contract:
    """Return a contract as far as charges depend on it."""
    return Contract(1, 1, f"{name}X", name, date(2026, 11, 24), 24_000_00, 5, 65, kind, f"{exchange}-OPT", exchange)


@pytest.mark.parametrize(
    ("what", "side", "quantity", "price", "total"),
    [
        (("NFO", "CE", "NIFTY"), "SELL", 65, 120.0, 38.58),
        (("NFO", "CE", "NIFTY"), "BUY", 65, 120.0, 27.11),
        (("BFO", "PE", "SENSEX"), "SELL", 20, 200.0, 31.16),
        (("BFO", "PE", "SENSEX"), "BUY", 20, 200.0, 25.28),
        (("NFO", "FUT", "NIFTY"), "SELL", 65, 24_500.0, 856.11),
        (("NFO", "FUT", "NIFTY"), "BUY", 65, 24_500.0, 91.71),
    ],
)
def test_worked_examples(what: tuple[str, str, str], side: str, quantity: int, price: float, total: float) -> None:
    """Six orders of October 2026 cost what an independent calculator says, to a paisa of rounding per part."""
    note = Charges.load().note(contract(*what), side, quantity, price, OCTOBER)
    assert note.total == pytest.approx(total, abs=0.015)
    wire = note.to_wire()
    parts = ("transaction_tax", "exchange_turnover_charge", "sebi_turnover_charge", "brokerage", "stamp_duty")
    assert sum(wire[part] for part in parts) + wire["gst"]["total"] == pytest.approx(wire["total"])


@pytest.mark.parametrize(
    ("day", "rate"),
    [(date(2024, 9, 30), 0.000625), (date(2024, 10, 1), 0.001), (date(2026, 3, 31), 0.001), (date(2026, 4, 1), 0.0015)],
)
def test_the_sellers_tax_is_dated(day: date, rate: float) -> None:
    """The tax on sold options is that of the day."""
    note = Charges.load().note(contract("NFO", "CE", "NIFTY"), "SELL", 65, 100.0, day)
    assert note.transaction_tax == pytest.approx(rate * 6_500.0)


def test_brokerage_of_a_small_future_is_a_share() -> None:
    """Below the flat amount a future's brokerage is its share of the value; an option's is always flat."""
    charges = Charges.load()
    assert charges.note(contract("NFO", "FUT", "NIFTY"), "BUY", 1, 1_000.0, OCTOBER).brokerage == pytest.approx(0.3)
    assert charges.note(contract("NFO", "CE", "NIFTY"), "BUY", 65, 0.05, OCTOBER).brokerage == 20.0
    assert charges.note(contract("NFO", "CE", "NIFTY"), "BUY", 65, 0.0, OCTOBER).total == 0.0


def test_rounding_is_to_the_decimals_asked_for() -> None:
    """Amounts keep the noise of floating point, or are rounded."""
    note = Charges.load().note(contract("NFO", "CE", "NIFTY"), "SELL", 65, 120.0, OCTOBER)
    assert note.to_wire(2)["exchange_turnover_charge"] == 2.77
    assert note.to_wire()["exchange_turnover_charge"] == pytest.approx(2.77134)
