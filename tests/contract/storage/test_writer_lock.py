"""What every writer lock must do: one writer per account, and a new number for each."""

from __future__ import annotations

import asyncio

from engine.core.repositories import Repositories, WriterLock
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT, OTHER_ACCOUNT


async def test_a_second_engine_is_kept_out(rival_lock: WriterLock) -> None:
    """While one engine is the writer, another is told so."""
    assert await rival_lock.acquire(ACCOUNT) is None


async def test_accounts_are_locked_apart(rival_lock: WriterLock) -> None:
    """Another engine may be the writer of another account."""
    assert await rival_lock.acquire(OTHER_ACCOUNT) == 1


async def test_each_writer_has_a_higher_epoch(engines: TwoEngines) -> None:
    """Handing over and back counts up, so that what the earlier ones still send is refused."""
    epochs = [engines.epoch]
    for giving, taking in ((engines.first, engines.second), (engines.second, engines.first)):
        await giving.writer_lock.release(ACCOUNT)
        epoch = await taking.writer_lock.acquire(ACCOUNT)
        assert epoch is not None
        epochs.append(epoch)
    assert epochs == sorted(set(epochs))


async def test_asking_again_gives_the_same_epoch(store: Repositories, epoch: int) -> None:
    """A writer that asks again is still the same writer: what it has queued stays valid."""
    assert await store.writer_lock.acquire(ACCOUNT) == epoch


async def test_one_release_is_enough(engines: TwoEngines) -> None:
    """However often it was asked for, the lock is free after one release."""
    await engines.first.writer_lock.acquire(ACCOUNT)
    await engines.first.writer_lock.release(ACCOUNT)
    assert await engines.second.writer_lock.acquire(ACCOUNT) is not None


async def test_only_the_holder_can_release(engines: TwoEngines) -> None:
    """Releasing what another engine holds does nothing."""
    await engines.second.writer_lock.release(ACCOUNT)
    assert await engines.second.writer_lock.acquire(ACCOUNT) is None


async def test_of_many_at_once_one_wins(engines: TwoEngines) -> None:
    """Two engines that ask at the same moment: one becomes the writer."""
    locks = (engines.first.writer_lock, engines.second.writer_lock)
    epochs = await asyncio.gather(*(lock.acquire(OTHER_ACCOUNT) for lock in locks))
    assert sorted(epochs, key=lambda epoch: epoch is None) == [1, None]
