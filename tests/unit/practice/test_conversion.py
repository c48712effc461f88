"""Positions that change their product: the money only moves, and the book remembers."""

from __future__ import annotations

from typing import Any

import pytest

from engine.practice.book import Carried, ConversionRecord
from engine.practice.contracts import Contract
from engine.practice.conversion import read_conversion
from engine.practice.orders import Trade
from engine.practice.positions import Position
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import Venue

LOT = 65


def fill(side: str, quantity: int, rupees: float) -> Trade:
    """Return a fill."""
    return Trade("1", "1", "1", "NFO", "X", 2, "NRML", side, quantity, round(rupees * 100), 0.0)


def totals(*positions: Position) -> tuple[float, ...]:
    """Return what must not change: quantity, value, premium, day's gain and profit at a last price of 100."""
    rows = [position.to_wire(100.0, day_only=False) for position in positions]
    sums = [sum(float(row[key]) for row in rows) for key in ("quantity", "value", "m2m", "pnl")]
    return (*sums, sum(position.premium_paid() for position in positions))


@pytest.mark.parametrize("carried", [130, -130])
@pytest.mark.parametrize("overnight", [True, False])
def test_a_conversion_moves_money_and_makes_none(carried: int, overnight: bool) -> None:
    """Long or short, of the day or overnight: both rows together are worth what the one was."""
    source = Position.from_carried(Carried("NFO", "X", 2, "NRML", carried, 90.0, 95_00))
    source.add(fill("BUY" if carried > 0 else "SELL", 2 * LOT, 110.0))
    target = Position("NFO", "X", 2, "MIS")
    before = totals(source, target)
    assert source.convertible(carried=overnight) == 2 * LOT
    for units in (LOT, LOT):
        source.convert(target, units, carried=overnight)
        assert totals(source, target) == pytest.approx(before)
    sign = 1 if carried > 0 else -1
    assert (source.quantity, target.quantity) == (sign * 2 * LOT, sign * 2 * LOT)
    assert target.average == pytest.approx(100.0)
    assert source.convertible(carried=overnight) == 0


def test_there_and_back(venue: Venue) -> None:
    """Converted and converted back, the position is what it was."""
    contract = venue.contract()
    venue.place(contract, "BUY", 2 * contract.lot, venue.depth(contract, "BUY")[-1][0] / 100)
    ledger = venue.exchange.ledger
    position = ledger.positions["NFO", contract.symbol, "NRML"]
    before = position.to_wire(100.0, day_only=False)
    for old, new in (("NRML", "MIS"), ("MIS", "NRML")):
        venue.exchange.changes.record(
            read_conversion(form(contract, old_product=old, new_product=new), ledger, floor(venue))
        )
    venue.exchange.changes.commit()
    assert position.to_wire(100.0, day_only=False) == pytest.approx(before)


def floor(venue: Venue) -> Any:
    """Return the floor of a venue."""
    return venue.exchange.floor


def form(contract: Contract, **changes: str) -> dict[str, str]:
    """Return the form of a conversion of one lot bought today."""
    return {
        "exchange": contract.exchange,
        "tradingsymbol": contract.symbol,
        "transaction_type": "BUY",
        "position_type": "day",
        "quantity": str(contract.lot),
        "old_product": "NRML",
        "new_product": "MIS",
    } | changes


def test_converted_units_are_squared_at_the_close_and_the_book_remembers(venue: Venue) -> None:
    """After a restart both rows stand; at the close the intraday row is squared and the other carried."""
    contract = venue.contract()
    venue.place(contract, "BUY", 2 * contract.lot, venue.depth(contract, "BUY")[-1][0] / 100)
    venue.exchange.changes.record(read_conversion(form(contract), venue.exchange.ledger, floor(venue)))
    venue.exchange.changes.commit()
    venue.restart()
    quantities = {key[2]: row.quantity for key, row in venue.exchange.ledger.positions.items()}
    assert quantities == {"NRML": contract.lot, "MIS": contract.lot}
    venue.exchange.close_session()
    assert venue.exchange.ledger.positions["NFO", contract.symbol, "MIS"].quantity == 0
    venue.exchange.open_next_session()
    ((key, carried),) = venue.exchange.ledger.positions.items()
    assert (key[2], carried.quantity) == ("NRML", contract.lot)
    record = read_conversion(form(contract, position_type="overnight"), venue.exchange.ledger, floor(venue))
    assert (record.carried, record.quantity) == (True, contract.lot)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "1"}, "lot size"),
        ({"quantity": "x"}, "quantity"),
        ({"quantity": "650"}, "Only 65 of 65"),
        ({"position_type": "overnight"}, "Only 0 of 65"),
        ({"position_type": "always"}, "position_type"),
        ({"transaction_type": "SELL"}, "opened by BUY"),
        ({"old_product": "MIS", "new_product": "NRML"}, "no open MIS position"),
        ({"new_product": "NRML"}, "the same"),
        ({"new_product": "CNC"}, "new_product"),
        ({"tradingsymbol": "NOTHING"}, "no open NRML position"),
        ({"exchange": ""}, "Missing or empty field `exchange`"),
    ],
)
def test_refusals(venue: Venue, changes: dict[str, str], words: str) -> None:
    """Each wrong field is named; nothing is recorded."""
    contract = venue.contract()
    venue.place(contract, "BUY", contract.lot, venue.depth(contract, "BUY")[-1][0] / 100)
    with pytest.raises(KiteError, match=words):
        read_conversion(form(contract, **changes), venue.exchange.ledger, floor(venue))


def test_no_conversion_while_the_market_is_closed(venue: Venue) -> None:
    """After the close the request is refused."""
    contract = venue.contract()
    venue.place(contract, "BUY", contract.lot, venue.depth(contract, "BUY")[-1][0] / 100)
    venue.exchange.close_session()
    with pytest.raises(KiteError, match="closed"):
        read_conversion(form(contract), venue.exchange.ledger, floor(venue))


def test_the_record_is_read_back_as_written(venue: Venue) -> None:
    """What the book gives back equals what was put in."""
    record = ConversionRecord(1.5, "NFO", "X", 2, "BUY", LOT, carried=True, old_product="NRML", new_product="MIS")
    venue.book.append([record], durable=True)
    assert venue.book.replay()[-1] == record
