"""A token that is another contract today: nothing of yesterday's owner is left in the stored dump."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from engine.core.instruments import Instrument
from engine.core.repositories import Repositories
from engine.core.vocabulary import Exchange, InstrumentKind

YESTERDAY, TODAY = date(2026, 11, 23), date(2026, 11, 25)
OLD = Instrument(
    token=10_250_498,
    exchange_token=40_041,
    tradingsymbol="NIFTY26N2324000CE",
    exchange=Exchange.NFO,
    name="NIFTY",
    kind=InstrumentKind.CALL,
    segment="NFO-OPT",
    expiry=YESTERDAY,
    strike=Decimal(24_000),
    tick_size=Decimal("0.05"),
    lot_size=75,
)
NEW = msgspec.structs.replace(
    OLD,
    tradingsymbol="NIFTY26DEC26000PE",
    kind=InstrumentKind.PUT,
    strike=Decimal(26_000),
    expiry=date(2026, 12, 29),
    lot_size=65,
)


async def test_a_token_belongs_to_its_new_contract(store: Repositories) -> None:
    """The dump is replaced as a whole: token, strike, side, expiry and lot are all the new contract's."""
    await store.instruments.replace(Exchange.NFO, YESTERDAY, [OLD])
    await store.instruments.replace(Exchange.NFO, TODAY, [NEW])
    kept = await store.instruments.load(Exchange.NFO)
    assert kept == (TODAY, (NEW,))


async def test_the_same_token_on_two_exchanges_stays_apart(store: Repositories) -> None:
    """Replacing one exchange's dump leaves the other's row with that number alone."""
    other = msgspec.structs.replace(OLD, exchange=Exchange.BFO, name="SENSEX", segment="BFO-OPT")
    await store.instruments.replace(Exchange.BFO, YESTERDAY, [other])
    await store.instruments.replace(Exchange.NFO, TODAY, [NEW])
    assert await store.instruments.load(Exchange.BFO) == (YESTERDAY, (other,))
    assert await store.instruments.load(Exchange.NFO) == (TODAY, (NEW,))
