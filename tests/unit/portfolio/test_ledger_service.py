"""Fills enter the ledger exactly once, whatever the database does, and memory follows what is committed."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from engine.core.errors import StorageUnavailable, WriterLost
from engine.core.identifiers import StrategyNumber
from engine.core.ledger import trade_reference
from engine.core.positions import BrokerPosition
from engine.core.strategies import DEFAULT_STRATEGY_NAME
from engine.core.vocabulary import Product
from engine.portfolio.settings import PortfolioSettings
from tests.unit.portfolio.fakes import UNAVAILABLE, Desk, FakeDatabase, fill, key, settle

DEFAULT = StrategyNumber(1)


def held(desk: Desk, strategy: int = 1, leg: int = 1) -> int:
    """Signed units of a leg."""
    found = desk.service.book.leg(StrategyNumber(strategy), leg)
    assert found is not None
    return found.holding.signed_quantity


async def test_the_default_strategy_is_made_once() -> None:
    """The first start makes it; the next one finds it."""
    desk = await Desk().started()
    assert desk.service.book.default.name == DEFAULT_STRATEGY_NAME
    again = await Desk(desk.database).started()
    assert again.service.book.default == desk.service.book.default
    assert len(desk.database.strategies) == 1


async def test_a_default_made_by_a_killed_start_is_found() -> None:
    """The write was done and its answer lost: the start fails, the next one finds the strategy."""
    desk = Desk()
    desk.database.lose_answer = True
    with pytest.raises(Exception, match="no answer"):
        await desk.service.start()
    await desk.service.start()
    assert len(desk.database.strategies) == 1


async def test_a_fill_without_strategy_goes_to_the_default() -> None:
    """It is booked there as leg 1, in the ledger and in memory."""
    desk = await Desk().started()
    (entry,) = await desk.service.on_trades([fill(1, 65, "100")])
    assert (entry.strategy, entry.leg, entry.signed_quantity, entry.price) == (1, 1, 65, Decimal(100))
    assert held(desk) == 65
    assert [trade.strategy for trade in desk.database.trades.values()] == [1]


async def test_a_fill_goes_to_the_strategy_it_names() -> None:
    """A fill into 2 does not touch the default strategy."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades([fill(1, -65, "100", strategy=2)])
    assert held(desk, strategy=2) == -65
    assert desk.service.book.standings(DEFAULT) == ()


async def test_a_fill_for_an_archived_strategy_goes_to_the_default_and_is_said() -> None:
    """It is not lost and not hidden."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.archive(StrategyNumber(2))
    await desk.service.on_trades([fill(1, 65, "100", strategy=2)])
    assert held(desk) == 65
    assert any("meant for strategy 2" in text for text in desk.events.loud)


async def test_the_same_fill_counts_once_however_often_it_is_offered() -> None:
    """Twice in one call, again later, and again after a restart."""
    desk = await Desk().started()
    trade = fill(1, 65, "100")
    assert len(await desk.service.on_trades([trade, trade])) == 1
    assert await desk.service.on_trades([trade]) == ()
    again = await Desk(desk.database).started()
    assert await again.service.on_trades([trade]) == ()
    assert held(again) == held(desk) == 65
    assert len(desk.database.entries) == 1


async def test_known_fills_do_not_trouble_the_database() -> None:
    """A poll that repeats the day's fills writes nothing."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    writes = desk.database.writes
    await desk.service.on_trades([fill(1, 65, "100")])
    assert desk.database.writes == writes


async def test_a_forgotten_identity_is_still_booked_once() -> None:
    """With a memory of one fill, an older one is asked of the ledger again and is not doubled."""
    desk = await Desk(settings=PortfolioSettings(known_fills_max=1)).started()
    await desk.service.on_trades([fill(1, 65, "100"), fill(2, 65, "101")])
    assert await desk.service.on_trades([fill(1, 65, "100")]) == ()
    assert held(desk) == 130
    assert len(desk.database.entries) == 2


async def test_the_same_trade_id_of_two_orders_is_two_fills() -> None:
    """The identity is exchange, order and trade id together."""
    desk = await Desk().started()
    first = fill(1, 65, "100")
    second = fill(2, 65, "100")
    await desk.service.on_trades([first, second])
    assert held(desk) == 130


async def test_what_is_booked_is_what_the_figures_hold() -> None:
    """A fill that waits is not booked; one that a lost write put into the ledger is, once memory has caught up."""
    desk = await Desk().started()
    first, second = fill(1, 65, "100"), fill(2, 65, "101")
    desk.database.fail_with = UNAVAILABLE
    await desk.service.on_trades([first])
    assert not desk.service.is_booked(trade_reference(first))
    desk.database.fail_with = None
    other = await Desk(database=desk.database).started()
    await other.service.on_trades([second])
    assert not desk.service.is_booked(trade_reference(second))
    await desk.service.on_trades([second])
    assert held(desk) == 130
    assert desk.service.is_booked(trade_reference(first))
    assert desk.service.is_booked(trade_reference(second))


async def test_a_database_that_is_gone_loses_and_doubles_nothing() -> None:
    """Fills wait, are said, do not show yet, and are booked when it is back."""
    desk = await Desk().started()
    desk.database.fail_with = UNAVAILABLE
    assert await desk.service.on_trades([fill(1, 65, "100")]) == ()
    assert await desk.service.on_trades([fill(1, 65, "100"), fill(2, 65, "101")]) == ()
    assert desk.service.book.standings(DEFAULT) == ()
    assert "not in the figures yet: 2" in desk.service.degraded
    assert len(desk.events.loud) == 1
    desk.database.fail_with = None
    assert len(await desk.service.on_trades([])) == 2
    assert held(desk) == 130
    assert desk.service.degraded == ""
    assert len(desk.database.entries) == 2


async def test_waiting_fills_are_tried_again_without_being_offered() -> None:
    """The running service retries with growing pauses until the database is back."""
    desk = await Desk().started()
    running = asyncio.create_task(desk.service.run())
    try:
        desk.database.fail_with = UNAVAILABLE
        await desk.service.on_trades([fill(1, 65, "100")])
        await settle()
        await desk.clock.advance(0.2)
        assert desk.database.entries == []
        desk.database.fail_with = None
        await desk.clock.advance(0.4)
        assert held(desk) == 65
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_write_whose_answer_was_lost_is_found_not_doubled() -> None:
    """The ledger took the fill, the answer timed out: memory catches up from the ledger."""
    desk = await Desk().started()
    desk.database.lose_answer = True
    await desk.service.on_trades([fill(1, 65, "100")])
    assert len(desk.database.entries) == 1
    await desk.service.on_trades([fill(2, 65, "102")])
    assert held(desk) == 130
    assert len(desk.database.entries) == 2
    assert desk.service.degraded == ""


@pytest.mark.parametrize("steps", [1, 2])
async def test_a_cancelled_write_is_caught_up_with(steps: int) -> None:
    """A task that is cancelled before or after the ledger has written leaves no hole in memory."""
    desk = await Desk().started()
    task = asyncio.create_task(desk.service.on_trades([fill(1, 65, "100")]))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await desk.service.on_trades([fill(1, 65, "100"), fill(2, -65, "101")])
    assert held(desk) == 0
    assert len(desk.database.entries) == 2


async def test_a_fill_that_somebody_else_booked_is_caught_up_with() -> None:
    """The ledger knows it and memory does not: it is applied once, not left out."""
    desk = await Desk().started()
    other = await Desk(desk.database).started()
    await other.service.on_trades([fill(1, 65, "100")])
    assert await desk.service.on_trades([fill(1, 65, "100")]) == ()
    assert held(desk) == 65
    await desk.service.on_trades([fill(2, 65, "100")])
    assert held(desk) == 130


async def test_one_bad_fill_does_not_hold_the_others_back() -> None:
    """A row that a rule of the database refuses waits alone, and loudly."""
    desk = await Desk().started()
    desk.database.poison = {"2"}
    booked = await desk.service.on_trades([fill(1, 65, "100"), fill(2, 65, "100"), fill(3, 65, "100")])
    assert len(booked) == 2
    assert held(desk) == 130
    assert "not in the figures yet: 1" in desk.service.degraded
    assert desk.events.loud


async def test_many_bad_fills_do_not_starve_the_good_ones() -> None:
    """Refused ones go to the end of the line, so that the next attempt reaches the others."""
    desk = await Desk().started()
    desk.database.poison = {str(number) for number in range(1, 5)}
    await desk.service.on_trades([fill(number, 65, "100") for number in range(1, 8)])
    for _ in range(3):
        await desk.service.on_trades([])
    assert held(desk) == 3 * 65
    desk.database.poison = set()
    await desk.service.on_trades([])
    assert held(desk) == 7 * 65
    assert len(desk.database.entries) == 7


async def test_a_bad_fill_is_tried_again_by_the_running_service() -> None:
    """Once the reason is gone it is booked without being offered again."""
    desk = await Desk().started()
    running = asyncio.create_task(desk.service.run())
    try:
        desk.database.poison = {"1"}
        await desk.service.on_trades([fill(1, 65, "100")])
        await settle()
        desk.database.poison = set()
        await desk.clock.advance(0.2)
        assert held(desk) == 65
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_lost_writer_says_so() -> None:
    """Another engine writes now: the error reaches the caller, and nothing is applied."""
    desk = await Desk().started()
    desk.database.newest_epoch += 1
    with pytest.raises(WriterLost):
        await desk.service.on_trades([fill(1, 65, "100")])
    assert desk.service.book.standings(DEFAULT) == ()
    await desk.service.stop()


async def test_waiting_fills_are_bounded() -> None:
    """Beyond the bound a fill is refused in words, and taken when offered again."""
    desk = await Desk(settings=PortfolioSettings(waiting_fills_max=2)).started()
    desk.database.fail_with = UNAVAILABLE
    trades = [fill(number, 65, "100") for number in (1, 2, 3)]
    with pytest.raises(StorageUnavailable, match="1 more were not taken"):
        await desk.service.on_trades(trades)
    desk.database.fail_with = None
    await desk.service.on_trades([])
    await desk.service.on_trades(trades)
    assert held(desk) == 195


async def test_stopping_books_what_waits() -> None:
    """The last chance before the engine ends is used."""
    desk = await Desk().started()
    desk.database.fail_with = UNAVAILABLE
    await desk.service.on_trades([fill(1, 65, "100")])
    desk.database.fail_with = None
    await desk.service.stop()
    assert len(desk.database.entries) == 1


async def test_legs_keep_their_numbers_and_never_share_them() -> None:
    """Per strategy, instrument and product; a closed leg keeps its number; a restart changes nothing."""
    desk = await Desk().started()
    await desk.service.on_trades(
        [fill(1, 65, "100"), fill(2, 65, "50", token=2), fill(3, 65, "100", product=Product.MIS)]
    )
    await desk.service.on_trades([fill(4, -65, "110"), fill(5, 65, "20", token=3), fill(6, 65, "99")])
    legs = {(leg.number, leg.instrument, leg.product) for leg in desk.service.book.open_legs(DEFAULT)}
    assert legs == {
        (1, key(1), Product.NRML),
        (2, key(2), Product.NRML),
        (3, key(1), Product.MIS),
        (4, key(3), Product.NRML),
    }
    again = await Desk(desk.database).started()
    assert again.service.book.standings(DEFAULT) == desk.service.book.standings(DEFAULT)
    await again.service.on_trades([fill(7, 65, "5", token=9)])
    assert held(again, leg=5) == 65


async def test_the_net_is_the_sum_over_strategies() -> None:
    """Opposite allocations cancel in the account's net, and products stay apart."""
    desk = await Desk().started()
    await desk.service.create("fly-0920")
    await desk.service.on_trades(
        [fill(1, 130, "100"), fill(2, -65, "100", strategy=2), fill(3, 65, "100", product=Product.MIS)]
    )
    assert desk.service.book.net() == {(key(1), Product.NRML): 65, (key(1), Product.MIS): 65}
    assert desk.service.book.net_quantity(key(1), Product.NRML) == 65


def position(token: int, quantity: int) -> BrokerPosition:
    """A net position of the broker."""
    return BrokerPosition(
        instrument=key(token),
        token=token,
        product=Product.NRML,
        signed_quantity=quantity,
        average_price=Decimal(100),
        overnight_quantity=0,
        multiplier=Decimal(1),
        value=Decimal(0),
    )


async def test_the_broker_is_compared_with_the_ledger() -> None:
    """Agreement is silent; each difference is one line with both sides, closed positions included."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100"), fill(2, -65, "50", token=2)])
    assert desk.service.compare([position(1, 65), position(2, -65), position(5, 0)]) == ()
    mismatches = desk.service.compare([position(1, 130), position(3, -65)])
    assert [(line.instrument, line.unexplained) for line in mismatches] == [
        (key(1), 65),
        (key(2), 65),
        (key(3), -65),
    ]
    assert mismatches[0].sentence == (
        "unexplained +65 NFO:NIFTY26DEC24001CE NRML: the broker has +130, the strategies together +65."
    )


async def test_a_ledger_of_another_strategy_is_refused() -> None:
    """A ledger that names a strategy the account lacks is a damaged database, said so."""
    desk = await Desk().started()
    await desk.service.on_trades([fill(1, 65, "100")])
    database = FakeDatabase()
    database.entries = list(desk.database.entries)
    database.strategies = {}
    other = Desk(database)
    database.strategies[StrategyNumber(2)] = desk.service.book.default.__class__(
        number=StrategyNumber(2),
        account=desk.service.book.default.account,
        name="main",
        is_default=True,
        created_at=desk.service.book.default.created_at,
    )
    with pytest.raises(Exception, match="strategy 1, which account AB1234 does not have"):
        await other.service.start()
