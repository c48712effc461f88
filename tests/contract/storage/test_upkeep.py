"""Differences from the broker's books, and the strategies left alone, over both implementations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from engine.core.errors import UnknownStrategy, WriterLost
from engine.core.identifiers import AccountId, StrategyNumber
from engine.core.reconciling import Mismatch, MismatchKind, MismatchState
from engine.core.repositories import Repositories
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)


def mismatch(name: str = "m1", **changes: object) -> Mismatch:
    """A position on which the books differ."""
    item = Mismatch(
        mismatch_id=name,
        account=ACCOUNT,
        kind=MismatchKind.POSITION,
        subject="NFO:X NRML",
        words="the broker has +130, the strategies +65",
        ours="+65",
        theirs="+130",
        difference="+65",
        state=MismatchState.OPEN,
        first_seen=NOW,
        last_seen=NOW,
    )
    return msgspec.structs.replace(item, **changes)


async def test_items_are_kept_until_they_are_gone(store: Repositories, epoch: int) -> None:
    """Saved again under its id an item takes the place of the earlier one; gone ones are not listed."""
    second = mismatch("m2", first_seen=NOW + timedelta(seconds=1), last_seen=NOW + timedelta(seconds=1))
    await store.upkeep.save_mismatches((second, mismatch()), epoch=epoch)
    assert await store.upkeep.mismatches(ACCOUNT) == (mismatch(), second)
    explained = mismatch(
        state=MismatchState.EXPLAINED,
        explained_by="seat-1",
        explanation="sold on the phone",
        explained_at=NOW + timedelta(minutes=1),
    )
    gone = msgspec.structs.replace(second, state=MismatchState.GONE)
    await store.upkeep.save_mismatches((explained, gone), epoch=epoch)
    assert await store.upkeep.mismatches(ACCOUNT) == (explained,)
    assert await store.upkeep.mismatches(AccountId("CD5678")) == ()


async def test_what_a_database_cannot_keep_is_left_out(store: Repositories, epoch: int) -> None:
    """A broker's odd words never stop the list."""
    await store.upkeep.save_mismatches((mismatch(words="odd\x00words"),), epoch=epoch)
    (item,) = await store.upkeep.mismatches(ACCOUNT)
    assert item.words == "oddwords"
    with pytest.raises(ValueError, match="time zone"):
        await store.upkeep.save_mismatches((mismatch(last_seen=NOW.replace(tzinfo=None)),), epoch=epoch)


async def test_a_writer_that_is_not_the_newest_changes_nothing(engines: TwoEngines) -> None:
    """Neither items nor strategies."""
    with pytest.raises(WriterLost):
        await engines.first.upkeep.save_mismatches((mismatch(),), epoch=engines.epoch - 1)
    with pytest.raises(WriterLost):
        await engines.first.upkeep.set_tidied(ACCOUNT, StrategyNumber(1), False, epoch=engines.epoch - 1)
    assert await engines.second.upkeep.mismatches(ACCOUNT) == ()


async def test_strategies_are_left_alone_until_it_is_said_otherwise(store: Repositories, epoch: int) -> None:
    """Again is no error; one that the account does not have is refused."""
    made = [
        await store.strategies.create(ACCOUNT, name, is_default=False, at=NOW, epoch=epoch)
        for name in ("one-a", "one-b")
    ]
    first, second = (strategy.number for strategy in made)
    for number in (second, first, first):
        await store.upkeep.set_tidied(ACCOUNT, number, False, epoch=epoch)
    assert await store.upkeep.untidied(ACCOUNT) == (first, second)
    await store.upkeep.set_tidied(ACCOUNT, first, True, epoch=epoch)
    await store.upkeep.set_tidied(ACCOUNT, first, True, epoch=epoch)
    assert await store.upkeep.untidied(ACCOUNT) == (second,)
    with pytest.raises(UnknownStrategy):
        await store.upkeep.set_tidied(ACCOUNT, StrategyNumber(999), False, epoch=epoch)
