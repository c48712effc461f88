"""What every store of strategies and of their minute candles must do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from engine.core.errors import InvalidInput, StorageConflict, UnknownStrategy, WriterLost
from engine.core.identifiers import StrategyNumber
from engine.core.repositories import Repositories
from engine.core.strategies import M2mCandle, Strategy, StrategyState
from storage.errors import RowRefused
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT, MINUTE, MORNING, OTHER_ACCOUNT, account, candle

DAY = (MINUTE - timedelta(hours=1), MINUTE + timedelta(hours=7))


async def made(store: Repositories, epoch: int, name: str = "condor", *, is_default: bool = False) -> Strategy:
    """A strategy of the sample account."""
    return await store.strategies.create(ACCOUNT, name, is_default=is_default, at=MORNING, epoch=epoch)


async def test_a_strategy_is_read_back_as_made(store: Repositories, epoch: int) -> None:
    """What ``create`` returned is what is listed, by number."""
    first = await made(store, epoch, "main", is_default=True)
    second = await made(store, epoch, "iron condor ₹")
    assert first.number < second.number
    assert await store.strategies.all(ACCOUNT) == (first, second)
    assert (first.is_default, second.is_default) == (True, False)
    assert second.created_at == MORNING


async def test_an_active_name_is_used_once(store: Repositories, epoch: int) -> None:
    """Two active strategies of one account cannot have one name; an archived one gives its name free."""
    first = await made(store, epoch)
    with pytest.raises(StorageConflict, match="name"):
        await made(store, epoch)
    await store.strategies.archive(first.number, epoch=epoch)
    second = await made(store, epoch)
    assert second.number > first.number


async def test_one_default_strategy_per_account(store: Repositories, epoch: int) -> None:
    """There is one bag for what nobody claims."""
    await made(store, epoch, "main", is_default=True)
    with pytest.raises(StorageConflict, match="default"):
        await made(store, epoch, "other", is_default=True)


async def test_archiving_marks_and_keeps(store: Repositories, epoch: int) -> None:
    """An archived strategy is still listed, and archiving it again changes nothing."""
    strategy = await made(store, epoch)
    archived = await store.strategies.archive(strategy.number, epoch=epoch)
    assert archived == msgspec.structs.replace(strategy, state=StrategyState.ARCHIVED)
    assert await store.strategies.archive(strategy.number, epoch=epoch) == archived
    assert await store.strategies.all(ACCOUNT) == (archived,)


async def test_archiving_an_unknown_strategy_names_it(store: Repositories, epoch: int) -> None:
    """The number is in the sentence."""
    with pytest.raises(UnknownStrategy, match="#77"):
        await store.strategies.archive(StrategyNumber(77), epoch=epoch)


async def test_an_old_writer_makes_and_archives_nothing(engines: TwoEngines) -> None:
    """The fence stands before strategies too."""
    strategy = await made(engines.first, engines.epoch)
    await engines.first.writer_lock.release(ACCOUNT)
    await engines.second.writer_lock.acquire(ACCOUNT)
    with pytest.raises(WriterLost):
        await made(engines.first, engines.epoch, "late")
    with pytest.raises(WriterLost):
        await engines.first.strategies.archive(strategy.number, epoch=engines.epoch)
    assert await engines.second.strategies.all(ACCOUNT) == (strategy,)


async def test_strategies_are_listed_by_account(engines: TwoEngines) -> None:
    """One account's are not another's; names do not meet across accounts."""
    await engines.first.accounts.save(account(OTHER_ACCOUNT))
    other_epoch = await engines.first.writer_lock.acquire(OTHER_ACCOUNT)
    assert other_epoch is not None
    mine = await made(engines.first, engines.epoch)
    theirs = await engines.first.strategies.create(
        OTHER_ACCOUNT, mine.name, is_default=False, at=MORNING, epoch=other_epoch
    )
    assert await engines.first.strategies.all(ACCOUNT) == (mine,)
    assert await engines.first.strategies.all(OTHER_ACCOUNT) == (theirs,)


async def test_a_strategy_needs_a_known_account_and_a_name(engines: TwoEngines) -> None:
    """Neither a nameless strategy nor one of nobody is kept."""
    with pytest.raises(RowRefused):
        await made(engines.first, engines.epoch, "")
    other_epoch = await engines.first.writer_lock.acquire(OTHER_ACCOUNT)
    assert other_epoch is not None
    with pytest.raises(InvalidInput, match="account"):
        await engines.first.strategies.create(OTHER_ACCOUNT, "x", is_default=False, at=MORNING, epoch=other_epoch)


async def test_candles_come_back_in_order_and_gaps_stay_gaps(store: Repositories, epoch: int) -> None:
    """Minutes that were never written are missing, not filled."""
    number = (await made(store, epoch)).number
    late, early = candle(number, 7, "-10.5 20 -30.25 5"), candle(number, 2, "0 0 0 0", samples=1)
    await store.candles.save([late, early])
    assert await store.candles.between(number, *DAY) == (early, late)


async def test_between_takes_the_start_and_leaves_the_end(store: Repositories, epoch: int) -> None:
    """A range that ends where the next one starts loses and doubles nothing."""
    number = (await made(store, epoch)).number
    candles = [candle(number, minute, "1 2 0 1") for minute in range(4)]
    await store.candles.save(candles)
    found = await store.candles.between(number, candles[1].minute, candles[3].minute)
    assert found == tuple(candles[1:3])


async def test_saving_again_merges(store: Repositories, epoch: int) -> None:
    """Open is kept, high and low widen, close is the newest, samples add up."""
    number = (await made(store, epoch)).number
    await store.candles.save([candle(number, 0, "10 15 5 12", samples=3)])
    await store.candles.save([candle(number, 0, "11 14 -2.5 -1.25", samples=4)])
    await store.candles.save([candle(number, 0, "0 99.75 0 1", samples=1)])
    assert await store.candles.between(number, *DAY) == (candle(number, 0, "10 99.75 -2.5 1", samples=8),)


async def test_one_minute_twice_in_a_batch_merges(store: Repositories, epoch: int) -> None:
    """A batch that was retried or crossed a flush is merged as if saved one after the other."""
    number = (await made(store, epoch)).number
    await store.candles.save([candle(number, 0, "1 5 1 4", samples=2), candle(number, 0, "4 4 -3 0", samples=5)])
    assert await store.candles.between(number, *DAY) == (candle(number, 0, "1 5 -3 0", samples=7),)


async def test_candles_of_strategies_stay_apart(store: Repositories, epoch: int) -> None:
    """The same minute of two strategies is two candles."""
    one, two = (await made(store, epoch, "a")).number, (await made(store, epoch, "b")).number
    await store.candles.save([candle(two, 0, "2 2 2 2"), candle(one, 0, "1 1 1 1")])
    assert await store.candles.between(one, *DAY) == (candle(one, 0, "1 1 1 1"),)


async def test_no_candles_are_no_work(store: Repositories) -> None:
    """An empty flush is allowed."""
    await store.candles.save([])
    assert await store.candles.between(StrategyNumber(1), *DAY) == ()


async def test_a_candle_of_an_unknown_strategy_keeps_nothing_of_its_batch(store: Repositories, epoch: int) -> None:
    """All or none."""
    number = (await made(store, epoch)).number
    with pytest.raises(UnknownStrategy):
        await store.candles.save([candle(number, 0, "1 1 1 1"), candle(StrategyNumber(number + 50), 0, "1 1 1 1")])
    assert await store.candles.between(number, *DAY) == ()


@pytest.mark.parametrize(
    "broken",
    [
        candle(StrategyNumber(1), 0, "5 4 1 2"),
        candle(StrategyNumber(1), 0, "2 4 3 3"),
        candle(StrategyNumber(1), 0, "1 1 1 1", samples=0),
        candle(StrategyNumber(1), 0, "NaN NaN NaN NaN"),
        msgspec.structs.replace(
            candle(StrategyNumber(1), 0, "1 1 1 1"), minute=datetime(2026, 11, 20, 3, 45, 1, tzinfo=UTC)
        ),
    ],
    ids=["open above high", "open below low", "no samples", "NaN", "not a whole minute"],
)
async def test_a_candle_that_contradicts_itself_is_refused(store: Repositories, epoch: int, broken: M2mCandle) -> None:
    """What cannot be a candle is not kept as one."""
    number = (await made(store, epoch)).number
    with pytest.raises(RowRefused):
        await store.candles.save([msgspec.structs.replace(broken, strategy=number)])
    assert await store.candles.between(number, *DAY) == ()


async def test_a_replay_that_goes_back_deletes_what_came_after(store: Repositories, epoch: int) -> None:
    """Minutes at and after the moment go, of every strategy; earlier ones stay."""
    one = (await made(store, epoch, "first-one")).number
    two = (await made(store, epoch, "second-one")).number
    kept = candle(one, 0, "1 1 1 1")
    await store.candles.save([kept, candle(one, 1, "2 2 2 2"), candle(two, 1, "3 3 3 3"), candle(two, 2, "4 4 4 4")])
    assert await store.candles.delete_from(candle(one, 1, "1 1 1 1").minute) == 3
    assert await store.candles.between(one, *DAY) == (kept,)
    assert await store.candles.between(two, *DAY) == ()
