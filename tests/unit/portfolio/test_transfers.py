"""Handing a leg over at a mark: realised in one strategy, begun in the other, and the sum as it was."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.commands import MoveQuantity
from engine.core.errors import InvalidInput, Refused
from engine.core.vocabulary import Mark
from engine.portfolio.marks import LegMarks
from tests.unit.portfolio.fakes import Desk, fill
from tests.unit.portfolio.test_strategies import ONE, TWO, move, two_strategies

TOKEN = 1
MID, LAST = Decimal("108.025"), Decimal("107.5")


def at(mark: Mark | None, quantity: int | None = None) -> MoveQuantity:
    """A move of leg 1.1 to strategy 2."""
    return msgspec.structs.replace(move(quantity), mark=mark)


async def holding() -> Desk:
    """195 long at 100 in strategy 1, with three different marks."""
    desk = await two_strategies()
    desk.marks.prices[TOKEN] = LegMarks(last=LAST, mid=MID, exit=Decimal(105))
    return desk


def realised(desk: Desk) -> dict[int, Decimal]:
    """Of both strategies."""
    return {number: desk.service.value(number).realised for number in (ONE, TWO)}


@pytest.mark.parametrize(("mark", "price"), [(Mark.MID, MID), (Mark.LAST, LAST), (None, Decimal(100))])
async def test_the_giver_realises_and_the_taker_begins_at_the_price(mark: Mark | None, price: Decimal) -> None:
    """At each price that there is; the account's money on every mark is the same to the last digit."""
    desk = await holding()
    before = desk.service.total()
    expected = desk.service.moved(at(mark, 65))
    given, taken = await desk.service.move(at(mark, 65))
    assert (given.price, taken.price) == (price, price)
    assert (expected.quantity, expected.price, expected.realised) == (65, price, 65 * (price - 100))
    assert realised(desk) == {ONE: 65 * (price - 100), TWO: 0}
    leg = desk.service.book.leg(TWO, taken.leg)
    assert leg is not None
    assert leg.holding.average_price == price
    assert desk.service.total() == before
    again = await Desk(desk.database).started()
    assert again.service.book.leg(TWO, taken.leg) == leg


async def test_both_sides_of_one_contract_close_each_other_at_the_mark() -> None:
    """The hand-over that an exit offers: both legs end, each with its own gain up to the mark."""
    desk = await holding()
    await desk.service.on_trades([fill(3, -195, "112", strategy=2)])
    before = desk.service.total()
    await desk.service.move(at(Mark.MID))
    assert not desk.service.book.net()
    assert realised(desk) == {ONE: 195 * (MID - 100), TWO: 195 * (112 - MID)}
    assert desk.service.total() == before


@pytest.mark.parametrize("mark", [Mark.MID, Mark.LAST])
async def test_a_price_that_may_not_be_written_down_moves_nothing(mark: Mark) -> None:
    """Missing or suspect: refused with its reason and what can be done; no leg number is used up."""
    desk = await holding()
    desk.marks.prices[TOKEN] = LegMarks(reason="the quote is stale")
    with pytest.raises(Refused, match=f"no {mark} now .*the quote is stale.*average price"):
        await desk.service.move(at(mark))
    desk.marks.put(TOKEN, "108")
    desk.marks.suspect.add(TOKEN)
    with pytest.raises(Refused, match=f"no {mark} now"):
        await desk.service.move(at(mark))
    with pytest.raises(Refused, match=f"no {mark} now"):
        desk.service.moved(at(mark))
    assert len(desk.database.entries) == 2
    _, taken = await desk.service.move(at(None))
    assert taken.leg == 1


async def test_an_exits_price_is_not_one_that_both_could_take() -> None:
    """It is what leaving costs one side."""
    desk = await holding()
    with pytest.raises(InvalidInput, match="at mid, at last or at average"):
        await desk.service.move(at(Mark.EXIT))
