"""Order numbers that are reserved, used and given back: nobody's twice, and no more gaps than a kill leaves."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from engine.core.errors import WriterLost
from engine.core.identifiers import AccountId, OrderNumber
from engine.core.repositories import OrderJournal, Repositories
from storage.order_numbers import SPARE_NUMBERS_BEHIND
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import ACCOUNT, OTHER_ACCOUNT, account, intent

STOCK = 8


async def test_what_was_not_used_is_taken_again_before_new_ones(store: Repositories, epoch: int) -> None:
    """Eight are reserved, two used, six given back: the next eight are those and two more."""
    journal = store.journal
    numbers = await journal.reserve_numbers(ACCOUNT, STOCK, epoch=epoch)
    await journal.record_intents([intent(1), intent(2)], epoch=epoch, numbers=numbers[:2])
    await journal.give_back_numbers(ACCOUNT, numbers[2:], epoch=epoch)
    again = await journal.reserve_numbers(ACCOUNT, STOCK, epoch=epoch)
    first = numbers[0]
    assert again == tuple(range(first + 2, first + 2 + STOCK))


async def test_giving_back_twice_gives_them_out_once(store: Repositories, epoch: int) -> None:
    """A call that was made and reported as failed may be made again."""
    numbers = await store.journal.reserve_numbers(ACCOUNT, STOCK, epoch=epoch)
    for _ in range(2):
        await store.journal.give_back_numbers(ACCOUNT, numbers, epoch=epoch)
    await store.journal.give_back_numbers(ACCOUNT, (), epoch=epoch)
    first = await store.journal.reserve_numbers(ACCOUNT, STOCK, epoch=epoch)
    second = await store.journal.reserve_numbers(ACCOUNT, STOCK, epoch=epoch)
    assert first == numbers
    assert not set(first) & set(second)


async def test_an_order_is_never_numbered_behind_an_older_one(store: Repositories, epoch: int) -> None:
    """What lies below an order of the account stays a gap; an account without orders may have it."""
    low = await store.journal.reserve_numbers(ACCOUNT, 3, epoch=epoch)
    high = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    await store.journal.record_intents([intent(1)], epoch=epoch, numbers=high)
    await store.journal.give_back_numbers(ACCOUNT, low, epoch=epoch)
    (mine,) = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    assert mine > high[0]
    other_epoch = await begin_other(store)
    assert await store.journal.reserve_numbers(OTHER_ACCOUNT, 3, epoch=other_epoch) == low


async def test_a_number_that_an_order_has_is_not_given_out(store: Repositories, epoch: int) -> None:
    """Even if somebody had given it back."""
    (taken,) = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    await store.journal.record_intents([intent(1)], epoch=epoch, numbers=[taken])
    await store.journal.give_back_numbers(ACCOUNT, [taken], epoch=epoch)
    other_epoch = await begin_other(store)
    assert taken not in await store.journal.reserve_numbers(OTHER_ACCOUNT, 5, epoch=other_epoch)


async def test_what_lies_far_behind_is_forgotten(store: Repositories, epoch: int) -> None:
    """There are never many of them."""
    (old,) = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    await store.journal.give_back_numbers(ACCOUNT, [old], epoch=epoch)
    (again,) = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    await store.journal.give_back_numbers(ACCOUNT, [again], epoch=epoch)
    many = await store.journal.reserve_numbers(ACCOUNT, SPARE_NUMBERS_BEHIND + 3, epoch=epoch)
    assert many[0] == again == old
    await store.journal.give_back_numbers(ACCOUNT, [old], epoch=epoch)
    await store.journal.give_back_numbers(ACCOUNT, [many[-1]], epoch=epoch)
    (left,) = await store.journal.reserve_numbers(ACCOUNT, 1, epoch=epoch)
    assert left == many[-1]


async def test_an_old_writer_gives_nothing_back(store: Repositories, epoch: int) -> None:
    """Whoever is the writer now may be using them."""
    numbers = await store.journal.reserve_numbers(ACCOUNT, 2, epoch=epoch)
    with pytest.raises(WriterLost):
        await store.journal.give_back_numbers(ACCOUNT, numbers, epoch=epoch + 1)
    assert not set(numbers) & set(await store.journal.reserve_numbers(ACCOUNT, 4, epoch=epoch))


@pytest.mark.parametrize("seed", range(3))
async def test_two_engines_never_have_the_same_number(engines: TwoEngines, seed: int) -> None:
    """Two accounts reserve, use and give back at the same time: each number is in one hand at a time, used once."""
    chance = random.Random(seed)  # noqa: S311 - not for secrets
    other_epoch = await begin_other(engines.second)
    hands: Counter[OrderNumber] = Counter()
    used: Counter[OrderNumber] = Counter()

    async def work(journal: OrderJournal, name: AccountId, epoch: int) -> None:
        for _ in range(15):
            numbers = await journal.reserve_numbers(name, chance.randint(1, STOCK), epoch=epoch)
            hands.update(numbers)
            assert max(hands[number] for number in numbers) == 1
            spent = chance.randint(0, len(numbers))
            used.update(numbers[:spent])
            hands.subtract(numbers[spent:])
            await journal.give_back_numbers(name, numbers[spent:], epoch=epoch)

    await asyncio.gather(
        work(engines.first.journal, ACCOUNT, engines.epoch), work(engines.second.journal, OTHER_ACCOUNT, other_epoch)
    )
    assert max(used.values(), default=1) == 1
    assert max(used) - min(used) < len(used) + 2 * STOCK


async def begin_other(store: Repositories) -> int:
    """Make the other account known, and its writer; the epoch."""
    await store.accounts.save(account(OTHER_ACCOUNT, "Other"))
    epoch = await store.writer_lock.acquire(OTHER_ACCOUNT)
    assert epoch is not None
    return epoch
