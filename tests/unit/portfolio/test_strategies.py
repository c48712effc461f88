"""Creating, archiving and moving between strategies."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine.core.commands import MoveQuantity
from engine.core.errors import InvalidInput, Refused, StorageError, UnknownStrategy
from engine.core.identifiers import StrategyNumber
from engine.core.ledger import LedgerSource
from engine.core.strategies import StrategyState
from engine.core.vocabulary import Mark, Product
from tests.unit.portfolio.fakes import UNAVAILABLE, Desk, fill, key

ONE, TWO = StrategyNumber(1), StrategyNumber(2)


def move(quantity: int | None = None, *, source: int = 1, leg: int = 1, goal: int = 2) -> MoveQuantity:
    """A transfer from 1.1 to 2 unless said otherwise."""
    return MoveQuantity(strategy=StrategyNumber(source), leg=leg, to_strategy=StrategyNumber(goal), quantity=quantity)


async def two_strategies() -> Desk:
    """The default strategy with 195 units @100 in leg 1, and an empty fly-0920."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(1, 130, "98"), fill(2, 65, "104")])
    return desk


async def test_a_new_strategy_is_there_after_a_restart() -> None:
    """It has its own number and holds nothing."""
    desk = await Desk().started()
    strategy = await desk.service.create("fly-0920")
    again = await Desk(desk.database).started()
    assert again.service.book.strategy(strategy.number) == strategy
    assert strategy.number == TWO


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fly", "no hyphen"),
        ("", "cannot be"),
        ("-fly", "cannot be"),
        ("fly-", "cannot be"),
        ("fly--x", "cannot be"),
        ("fly 0-1", "cannot be"),
        ("fly-0.1", "cannot be"),
        ("#3-x", "cannot be"),
        ("फ्लाई-१", "cannot be"),
        ("x-" + "y" * 40, "at most 40"),
        ("FLY-0920", "already"),
    ],
)
async def test_names_that_cannot_be_had(name: str, words: str) -> None:
    """Each refusal names the rule, and nothing is written."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    writes = desk.database.writes
    with pytest.raises(InvalidInput, match=words) as refusal:
        await desk.service.create(name)
    assert refusal.value.field == "name"
    assert desk.database.writes == writes


async def test_an_archived_name_is_free_again() -> None:
    """Names are unique among active strategies; numbers for good."""
    desk = await Desk().started()
    first = await desk.service.create("fly-0920")
    await desk.service.archive(first.number)
    second = await desk.service.create("fly-0920")
    assert second.number != first.number


async def test_archiving_hides_and_keeps() -> None:
    """The strategy leaves the list of active ones and can still be looked at."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.archive(TWO)
    assert [strategy.number for strategy in desk.service.book.strategies()] == [ONE]
    assert desk.service.book.strategy(TWO).state is StrategyState.ARCHIVED
    again = await Desk(desk.database).started()
    assert again.service.book.strategy(TWO).state is StrategyState.ARCHIVED


async def test_archiving_never_closes_a_position() -> None:
    """With quantity left it is refused, and the legs are named."""
    desk = await two_strategies()
    await desk.service.move(move(65))
    with pytest.raises(Refused, match=r"holds 2\.1 \+65 NFO:.*never closes"):
        await desk.service.archive(TWO)
    assert desk.service.book.strategy(TWO).state is StrategyState.ACTIVE


async def test_the_default_strategy_stays() -> None:
    """It holds what no other claims and cannot be archived; nor can an archived one be archived again."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    with pytest.raises(Refused, match="default"):
        await desk.service.archive(ONE)
    await desk.service.archive(TWO)
    with pytest.raises(Refused, match="archived already"):
        await desk.service.archive(TWO)
    with pytest.raises(UnknownStrategy):
        await desk.service.archive(StrategyNumber(9))


async def test_a_strategy_with_waiting_fills_is_not_archived() -> None:
    """What is about to arrive counts."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    desk.database.poison = {"1"}
    await desk.service.on_trades([fill(1, 65, "100", strategy=2)])
    with pytest.raises(Refused, match="wait for the database"):
        await desk.service.archive(TWO)


async def test_a_move_hands_quantity_over_at_the_average_price() -> None:
    """130 of 195 @100 go to strategy 2: nothing is realised, the account's net and money stay."""
    desk = await two_strategies()
    desk.marks.put(1, "110")
    before = desk.service.total()
    given, taken = await desk.service.move(move(130))
    assert (given.signed_quantity, taken.signed_quantity) == (-130, 130)
    assert given.price == taken.price == Decimal(100)
    assert given.reference == taken.reference
    assert {given.source, taken.source} == {LedgerSource.TRANSFER}
    source, goal = desk.service.book.leg(ONE, 1), desk.service.book.leg(TWO, 1)
    assert source is not None
    assert goal is not None
    assert (source.holding.signed_quantity, source.holding.realised) == (65, Decimal(0))
    assert (goal.holding.signed_quantity, goal.holding.average_price) == (130, Decimal(100))
    assert sum(desk.service.book.net().values()) == 195
    assert desk.service.total() == before


async def test_a_short_leg_is_moved_with_its_sign() -> None:
    """−65 leaves as +65 and arrives as −65; without a quantity all of it goes."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(1, -65, "150")])
    given, taken = await desk.service.move(move())
    assert (given.signed_quantity, taken.signed_quantity) == (65, -65)
    assert desk.service.book.open_legs(ONE) == ()


async def test_a_move_with_an_endless_average_keeps_the_money() -> None:
    """Average 4/3: strategy 1 is flat with nothing realised beyond dust, and the total does not move a paisa."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(1, 1, "1"), fill(2, 1, "1"), fill(3, 1, "2")])
    desk.marks.put(1, "2")
    await desk.service.move(move())
    total = desk.service.total().profit[Mark.LAST]
    assert abs(total - 2) < Decimal("1e-20")


async def test_moved_quantity_joins_a_leg_that_is_there() -> None:
    """Two moves make one leg with one number."""
    desk = await two_strategies()
    await desk.service.move(move(65))
    await desk.service.move(move(65))
    (leg,) = desk.service.book.open_legs(TWO)
    assert (leg.number, leg.holding.signed_quantity) == (1, 130)


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        (move(0), InvalidInput, "0 units"),
        (move(-65), InvalidInput, "-65 units"),
        (move(196), InvalidInput, r"196 units cannot be moved: leg 1\.1 holds \+195"),
        (move(leg=7), InvalidInput, "no leg 7"),
        (move(goal=1), Refused, "already"),
        (move(goal=9), UnknownStrategy, "no strategy 9"),
        (move(source=9), UnknownStrategy, "no strategy 9"),
    ],
)
async def test_moves_that_cannot_be_made(command: MoveQuantity, error: type[Exception], words: str) -> None:
    """Each refusal says why, and nothing is written."""
    desk = await two_strategies()
    entries = len(desk.database.entries)
    with pytest.raises(error, match=words):
        await desk.service.move(command)
    assert len(desk.database.entries) == entries


async def test_nothing_is_moved_from_a_flat_leg_or_into_an_archived_strategy() -> None:
    """A closed leg has nothing to give; an archived strategy takes nothing."""
    desk = await two_strategies()
    await desk.service.on_trades([fill(3, -195, "100")])
    with pytest.raises(Refused, match="flat"):
        await desk.service.move(move())
    await desk.service.archive(TWO)
    with pytest.raises(Refused, match="archived"):
        await desk.service.move(move(65))


async def test_a_move_the_database_did_not_take_moves_nothing() -> None:
    """Memory stays as it was."""
    desk = await two_strategies()
    desk.database.fail_with = UNAVAILABLE
    with pytest.raises(StorageError):
        await desk.service.move(move(65))
    desk.database.fail_with = None
    assert desk.service.book.net_quantity(key(1), Product.NRML) == 195
    assert desk.service.book.open_legs(TWO) == ()


async def test_a_move_whose_answer_was_lost_is_caught_up_with() -> None:
    """The ledger has it: the next write finds memory equal to the ledger, and the move is not made twice."""
    desk = await two_strategies()
    desk.database.lose_answer = True
    with pytest.raises(StorageError):
        await desk.service.move(move(65))
    await desk.service.on_trades([fill(3, 65, "100", token=2)])
    assert [leg.holding.signed_quantity for leg in desk.service.book.open_legs(TWO)] == [65]
    again = await Desk(desk.database).started()
    assert again.service.book.standings(ONE) == desk.service.book.standings(ONE)
    assert again.service.book.standings(TWO) == desk.service.book.standings(TWO)


async def test_a_move_that_was_cancelled_after_it_was_written_is_caught_up_with() -> None:
    """The key press that cancelled the task cannot split memory from the ledger."""
    desk = await two_strategies()
    task = asyncio.create_task(desk.service.move(move(65)))
    for _ in range(2):
        await asyncio.sleep(0)
    assert len(desk.database.entries) == 4
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await desk.service.on_trades([fill(3, 65, "100", token=2)])
    assert [leg.holding.signed_quantity for leg in desk.service.book.open_legs(TWO)] == [65]
    assert desk.service.book.net_quantity(key(1), Product.NRML) == 195
