"""What every ledger must do: take each fill once, keep movements whole, and never let a leg change its meaning."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.errors import InvalidInput, StorageConflict, UnknownStrategy, WriterLost
from engine.core.identifiers import InstrumentKey, StrategyNumber
from engine.core.ledger import LedgerSource
from engine.core.repositories import Repositories
from engine.core.vocabulary import Exchange, Side
from storage.errors import RowRefused
from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.samples import (
    ACCOUNT,
    MORNING,
    OTHER_ACCOUNT,
    PUT,
    TOKEN,
    entry_of,
    side_of_transfer,
    trade,
)


async def strategy_of(store: Repositories, epoch: int, name: str = "main") -> StrategyNumber:
    """The number of a new strategy."""
    return (await store.strategies.create(ACCOUNT, name, is_default=False, at=MORNING, epoch=epoch)).number


async def test_a_fill_is_read_back_as_booked(store: Repositories, epoch: int) -> None:
    """The trade comes back with its strategy, the movement with its sequence; price and token are exact."""
    strategy = await strategy_of(store, epoch)
    fill = trade(price="123.4567")
    ((booked, entry),) = await store.ledger.book([(fill, entry_of(fill, strategy))], epoch=epoch)
    assert booked == msgspec.structs.replace(fill, strategy=strategy)
    assert entry == msgspec.structs.replace(entry_of(fill, strategy), sequence=entry.sequence)
    assert entry.sequence > 0
    assert await store.ledger.trades(ACCOUNT) == (booked,)
    assert await store.ledger.entries(ACCOUNT) == (entry,)
    assert (booked.price, booked.token) == (Decimal("123.4567"), TOKEN)


async def test_a_known_fill_is_passed_over(store: Repositories, epoch: int) -> None:
    """A poll that brings old fills with new ones books the new ones only."""
    strategy = await strategy_of(store, epoch)
    fills = [(fill, entry_of(fill, strategy)) for fill in (trade("1"), trade("2"), trade("3"))]
    await store.ledger.book(fills[:2], epoch=epoch)
    new = await store.ledger.book(fills, epoch=epoch)
    assert [fill.trade_id for fill, _ in new] == ["3"]
    assert len(await store.ledger.entries(ACCOUNT)) == 3
    assert await store.ledger.book(fills, epoch=epoch) == ()


async def test_a_fill_twice_in_a_batch_counts_once(store: Repositories, epoch: int) -> None:
    """The socket's and the poll's word of one fill may come together."""
    strategy = await strategy_of(store, epoch)
    fill = trade()
    new = await store.ledger.book([(fill, entry_of(fill, strategy))] * 2, epoch=epoch)
    assert len(new) == 1
    assert len(await store.ledger.entries(ACCOUNT)) == 1


async def test_fills_with_one_trade_id_of_two_orders_are_two(store: Repositories, epoch: int) -> None:
    """A trade id is unique only with its exchange and order."""
    strategy = await strategy_of(store, epoch)
    fills = [trade("7", order_id="1"), trade("7", order_id="2")]
    new = await store.ledger.book([(fill, entry_of(fill, strategy)) for fill in fills], epoch=epoch)
    assert len(new) == 2


async def test_the_same_fill_in_two_exchanges_is_two(store: Repositories, epoch: int) -> None:
    """The exchange is part of a fill's identity."""
    strategy = await strategy_of(store, epoch)
    here = trade("7")
    there = msgspec.structs.replace(here, instrument=InstrumentKey(Exchange.BFO, "SENSEX26NOV80000CE"))
    batch = [(here, entry_of(here, strategy, 1)), (there, entry_of(there, strategy, 2))]
    assert len(await store.ledger.book(batch, epoch=epoch)) == 2


async def test_sequences_follow_the_order_of_the_batch(store: Repositories, epoch: int) -> None:
    """What happened first is counted first, whatever its trade id."""
    strategy = await strategy_of(store, epoch)
    fills = [trade(trade_id) for trade_id in ("30", "10", "20")]
    booked = await store.ledger.book([(fill, entry_of(fill, strategy)) for fill in fills], epoch=epoch)
    assert [entry.reference.rpartition(":")[2] for _, entry in booked] == ["30", "10", "20"]
    assert tuple(entry for _, entry in booked) == await store.ledger.entries(ACCOUNT)


async def test_trades_are_listed_oldest_first_and_since(store: Repositories, epoch: int) -> None:
    """By the exchange's time, the boundary included."""
    strategy = await strategy_of(store, epoch)
    fills = [trade(str(n), at=MORNING + timedelta(seconds=n)) for n in (3, 1, 2)]
    await store.ledger.book([(fill, entry_of(fill, strategy)) for fill in fills], epoch=epoch)
    assert [fill.trade_id for fill in await store.ledger.trades(ACCOUNT)] == ["1", "2", "3"]
    recent = await store.ledger.trades(ACCOUNT, MORNING + timedelta(seconds=2))
    assert [fill.trade_id for fill in recent] == ["2", "3"]
    assert await store.ledger.trades(OTHER_ACCOUNT) == ()


async def test_a_leg_never_changes_its_meaning(store: Repositories, epoch: int) -> None:
    """Leg 1 of a strategy is one instrument and product for ever; a fill of another one is refused whole."""
    strategy = await strategy_of(store, epoch)
    first = trade("1")
    await store.ledger.book([(first, entry_of(first, strategy))], epoch=epoch)
    other = msgspec.structs.replace(trade("2"), instrument=PUT)
    with pytest.raises(RowRefused):
        await store.ledger.book([(other, entry_of(other, strategy, leg=1))], epoch=epoch)
    assert len(await store.ledger.trades(ACCOUNT)) == 1
    assert await store.ledger.book([(other, entry_of(other, strategy, leg=2))], epoch=epoch)


async def test_a_batch_of_fills_is_kept_whole_or_not_at_all(store: Repositories, epoch: int) -> None:
    """A bad movement leaves neither its own fill nor its neighbours'."""
    strategy = await strategy_of(store, epoch)
    good, bad = trade("1"), trade("2")
    missing = StrategyNumber(strategy + 50)
    with pytest.raises(UnknownStrategy):
        await store.ledger.book([(good, entry_of(good, strategy)), (bad, entry_of(bad, missing))], epoch=epoch)
    assert await store.ledger.trades(ACCOUNT) == ()
    assert await store.ledger.entries(ACCOUNT) == ()


async def test_an_entry_must_move_what_was_filled(store: Repositories, epoch: int) -> None:
    """A movement of another quantity or sign than its fill is a mistake of the caller."""
    strategy = await strategy_of(store, epoch)
    fill = trade(side=Side.SELL)
    wrong = msgspec.structs.replace(entry_of(fill, strategy), signed_quantity=fill.quantity)
    with pytest.raises(ValueError, match="does not move"):
        await store.ledger.book([(fill, wrong)], epoch=epoch)


async def test_no_fills_need_no_writer(store: Repositories) -> None:
    """An empty poll writes nothing and asks nobody."""
    assert await store.ledger.book([], epoch=999) == ()
    assert await store.ledger.transfer([], epoch=999) == ()


async def test_a_transfer_moves_both_sides(store: Repositories, epoch: int) -> None:
    """What one strategy gives the other gets, with one reference, in one transaction."""
    source, target = await strategy_of(store, epoch, "a"), await strategy_of(store, epoch, "b")
    written = await store.ledger.transfer([side_of_transfer(source, -65), side_of_transfer(target, 65)], epoch=epoch)
    assert await store.ledger.entries(ACCOUNT) == written
    assert [entry.signed_quantity for entry in written] == [-65, 65]
    assert [entry.strategy for entry in written] == [source, target]


async def test_a_lopsided_transfer_is_refused(store: Repositories, epoch: int) -> None:
    """A transfer that does not cancel would leave the broker's net."""
    source, target = await strategy_of(store, epoch, "a"), await strategy_of(store, epoch, "b")
    with pytest.raises(InvalidInput, match="cancel"):
        await store.ledger.transfer([side_of_transfer(source, -65), side_of_transfer(target, 60)], epoch=epoch)
    assert await store.ledger.entries(ACCOUNT) == ()


async def test_a_settlement_has_one_side(store: Repositories, epoch: int) -> None:
    """At expiry quantity leaves without going anywhere."""
    strategy = await strategy_of(store, epoch)
    settled = msgspec.structs.replace(side_of_transfer(strategy, -65), source=LedgerSource.SETTLEMENT)
    (written,) = await store.ledger.transfer([settled], epoch=epoch)
    assert written.source is LedgerSource.SETTLEMENT


async def test_a_transfer_happens_once(store: Repositories, epoch: int) -> None:
    """The same reference in the same leg is refused, and nothing is doubled."""
    source, target = await strategy_of(store, epoch, "a"), await strategy_of(store, epoch, "b")
    sides = [side_of_transfer(source, -65), side_of_transfer(target, 65)]
    await store.ledger.transfer(sides, epoch=epoch)
    with pytest.raises(StorageConflict, match="movement"):
        await store.ledger.transfer(sides, epoch=epoch)
    assert len(await store.ledger.entries(ACCOUNT)) == 2


async def test_an_old_writer_books_nothing(engines: TwoEngines) -> None:
    """The fence stands before the ledger too."""
    strategy = await strategy_of(engines.first, engines.epoch)
    await engines.first.writer_lock.release(ACCOUNT)
    await engines.second.writer_lock.acquire(ACCOUNT)
    fill = trade()
    with pytest.raises(WriterLost):
        await engines.first.ledger.book([(fill, entry_of(fill, strategy))], epoch=engines.epoch)
    with pytest.raises(WriterLost):
        await engines.first.ledger.transfer(
            [msgspec.structs.replace(side_of_transfer(strategy, 1), source=LedgerSource.SETTLEMENT)],
            epoch=engines.epoch,
        )
    assert await engines.second.ledger.trades(ACCOUNT) == ()
    assert await engines.second.ledger.entries(ACCOUNT) == ()
