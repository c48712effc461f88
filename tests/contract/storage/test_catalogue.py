"""What every store of accounts and instruments must do."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import msgspec
import pytest

from engine.core.errors import InvalidInput, StorageConflict
from engine.core.instruments import Instrument
from engine.core.repositories import Repositories
from engine.core.vocabulary import Exchange, InstrumentKind, Venue
from storage.errors import RowRefused
from tests.contract.storage.samples import ACCOUNT, MORNING, OTHER_ACCOUNT, account, option

FRIDAY = date(2026, 11, 20)


async def test_accounts_are_listed_by_id(store: Repositories) -> None:
    """All that were saved, sorted."""
    other = account(OTHER_ACCOUNT, "Second")
    await store.accounts.save(other)
    assert await store.accounts.all() == (account(), other)


async def test_saving_an_account_again_updates_its_name_only(store: Repositories) -> None:
    """Venue and first sight are facts; the name is a person's to change."""
    renamed = msgspec.structs.replace(
        account(), name="New name", venue=Venue.LIVE, created_at=MORNING + timedelta(days=1)
    )
    await store.accounts.save(renamed)
    assert await store.accounts.all() == (msgspec.structs.replace(account(), name="New name"),)


async def test_an_account_without_id_is_refused(store: Repositories) -> None:
    """An empty id would belong to everybody."""
    with pytest.raises(RowRefused):
        await store.accounts.save(msgspec.structs.replace(account(), account_id=ACCOUNT[:0]))


async def test_a_dump_is_read_back_in_its_order(store: Repositories) -> None:
    """Row for row as the dump had it, with every field, and the day."""
    index = Instrument(
        token=4_294_967_295,
        exchange_token=1,
        tradingsymbol="NIFTY26NOVFUT",
        exchange=Exchange.NFO,
        name="NIFTY",
        kind=InstrumentKind.FUTURE,
        segment="NFO-FUT",
        expiry=None,
        strike=None,
        tick_size=Decimal("0.0025"),
        lot_size=0,
    )
    rows = (option("Z"), index, option("A", strike="24050.50"))
    assert await store.instruments.replace(Exchange.NFO, FRIDAY, rows) == 3
    assert await store.instruments.load(Exchange.NFO) == (FRIDAY, rows)


async def test_nothing_stored_is_none(store: Repositories) -> None:
    """No dump is not an empty dump."""
    assert await store.instruments.load(Exchange.BFO) is None
    await store.instruments.replace(Exchange.BFO, FRIDAY, ())
    assert await store.instruments.load(Exchange.BFO) == (FRIDAY, ())


async def test_a_new_dump_replaces_the_old_one_of_its_exchange(store: Repositories) -> None:
    """Expired rows go, other exchanges stay."""
    stock = msgspec.structs.replace(option("INFY"), exchange=Exchange.NSE, kind=InstrumentKind.EQUITY)
    await store.instruments.replace(Exchange.NSE, FRIDAY, (stock,))
    await store.instruments.replace(Exchange.NFO, FRIDAY, (option("OLD"), option("BOTH")))
    monday = FRIDAY + timedelta(days=3)
    await store.instruments.replace(Exchange.NFO, monday, (option("BOTH", token=99), option("NEW")))
    assert await store.instruments.load(Exchange.NFO) == (monday, (option("BOTH", token=99), option("NEW")))
    assert await store.instruments.load(Exchange.NSE) == (FRIDAY, (stock,))


async def test_a_broken_dump_leaves_the_old_one(store: Repositories) -> None:
    """A dump that lists an instrument twice is refused whole, and yesterday's stays in use."""
    good = (option("GOOD"),)
    await store.instruments.replace(Exchange.NFO, FRIDAY, good)
    with pytest.raises(StorageConflict, match="twice"):
        await store.instruments.replace(Exchange.NFO, FRIDAY + timedelta(days=1), (option("X"), option("X")))
    with pytest.raises(RowRefused):
        await store.instruments.replace(Exchange.NFO, FRIDAY + timedelta(days=1), (option("Y", token=-1),))
    assert await store.instruments.load(Exchange.NFO) == (FRIDAY, good)


async def test_a_dump_of_another_exchange_is_refused(store: Repositories) -> None:
    """A mixed-up dump would put options among stocks."""
    with pytest.raises(InvalidInput, match="NSE"):
        await store.instruments.replace(Exchange.NSE, FRIDAY, (option("X"),))


async def test_a_large_dump_is_kept(store: Repositories) -> None:
    """More rows than one turn of the event loop takes come back complete and in order."""
    rows = tuple(option(f"S{number:05d}", token=number) for number in range(5_000))
    await store.instruments.replace(Exchange.NFO, FRIDAY, rows)
    assert await store.instruments.load(Exchange.NFO) == (FRIDAY, rows)
