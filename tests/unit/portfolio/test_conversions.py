"""The ledger follows a change of product: at the average price, once, and no money moves."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.core.errors import StorageUnavailable
from engine.core.identifiers import StrategyNumber
from engine.core.instructions import Conversion
from engine.core.ledger import LedgerSource
from engine.core.vocabulary import Product, Side
from tests.unit.portfolio.fakes import UNAVAILABLE, Desk, fill, key
from tests.unit.portfolio.test_strategies import ONE, TWO, move, two_strategies


def wanted(quantity: int, side: Side = Side.BUY) -> Conversion:
    """Of the contract of the samples, NRML to MIS."""
    return Conversion(
        instrument=key(1), side=side, quantity=quantity, from_product=Product.NRML, to_product=Product.MIS
    )


def units(desk: Desk, strategy: StrategyNumber) -> dict[Product, int]:
    """What a strategy holds of it, by product."""
    legs = desk.service.book.open_legs(strategy)
    return {leg.product: leg.holding.signed_quantity for leg in legs if leg.instrument == key(1)}


async def convert(desk: Desk, quantity: int, reference: str = "c1", side: Side = Side.BUY) -> int:
    """Convert and say how many entries were written."""
    entries = await desk.service.convert(wanted(quantity, side), at=fill(9, 1, "1").filled_at, reference=reference)
    assert {entry.source for entry in entries} <= {LedgerSource.CONVERSION}
    return len(entries)


async def test_part_of_a_leg_changes_its_product() -> None:
    """65 of 195 @100: nothing is realised, the account's money stays, the new leg has its own number."""
    desk = await two_strategies()
    desk.marks.put(1, "110")
    before = desk.service.total()
    assert await convert(desk, 65) == 2
    assert units(desk, ONE) == {Product.NRML: 130, Product.MIS: 65}
    new = next(leg for leg in desk.service.book.open_legs(ONE) if leg.product is Product.MIS)
    assert (new.number, new.holding.average_price, new.holding.realised) == (2, Decimal(100), Decimal(0))
    assert desk.service.total() == before
    again = await Desk(desk.database).started()
    assert units(again, ONE) == {Product.NRML: 130, Product.MIS: 65}


async def test_the_same_conversion_is_booked_once() -> None:
    """However often it is told, after a restart too."""
    desk = await two_strategies()
    assert await convert(desk, 65) == 2
    assert await convert(desk, 65) == 0
    again = await Desk(desk.database).started()
    assert await convert(again, 65) == 0
    assert units(again, ONE) == {Product.NRML: 130, Product.MIS: 65}


async def test_several_strategies_give_in_their_order() -> None:
    """The first gives what it has, the next the rest; what nobody has is said."""
    desk = await two_strategies()
    await desk.service.move(move(130))
    assert await convert(desk, 130) == 4
    assert units(desk, ONE) == {Product.MIS: 65}
    assert units(desk, TWO) == {Product.NRML: 65, Product.MIS: 65}
    assert await convert(desk, 130, "c2") == 2
    assert units(desk, TWO) == {Product.MIS: 130}
    assert any("65 units of it are in no strategy" in text for _, _, text in desk.events.said)


async def test_shorts_are_converted_as_shorts() -> None:
    """Signs are kept; a long is not taken for a short."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, -130, "98")])
    assert await convert(desk, 65, side=Side.BUY) == 0
    assert await convert(desk, 65, "c2", side=Side.SELL) == 2
    assert units(desk, ONE) == {Product.NRML: -65, Product.MIS: -65}


async def test_a_database_that_is_away_moves_nothing() -> None:
    """It is raised, and nothing stands differently."""
    desk = await two_strategies()
    desk.database.fail_with = UNAVAILABLE
    with pytest.raises(StorageUnavailable):
        await convert(desk, 65)
    desk.database.fail_with = None
    assert units(desk, ONE) == {Product.NRML: 195}
