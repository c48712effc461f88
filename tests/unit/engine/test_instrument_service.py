"""The day's instruments: today's from the database, else the broker's, else the last ones with their age."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import pytest

from engine.calendar.rules import read_rules
from engine.core.accounts import Profile
from engine.core.errors import BrokerUnavailable, SetupError, StorageUnavailable
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import BrokerOrder, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.instrument_service import InstrumentService

TODAY, YESTERDAY = date(2026, 11, 19), date(2026, 11, 18)
EXCHANGES = (Exchange.NFO, Exchange.BFO)


def option(exchange: Exchange, strike: int = 24_000) -> Instrument:
    """One option."""
    name = "NIFTY" if exchange is Exchange.NFO else "SENSEX"
    return Instrument(
        token=strike * 256 + (2 if exchange is Exchange.NFO else 3),
        exchange_token=strike,
        tradingsymbol=f"{name}26NOV{strike}CE",
        exchange=exchange,
        name=name,
        kind=InstrumentKind.CALL,
        segment=f"{exchange}-OPT",
        expiry=date(2026, 11, 26),
        strike=Decimal(strike),
        lot_size=65,
    )


class Broker:
    """Reading endpoints of which only the dump is asked here."""

    def __init__(self, *instruments: Instrument) -> None:
        self.listed = instruments
        self.error: BrokerUnavailable | None = None
        self.asked = 0

    async def instruments(self, exchange: Exchange | None = None) -> tuple[Instrument, ...]:
        """The dump."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        return tuple(row for row in self.listed if exchange in {None, row.exchange})

    async def profile(self) -> Profile:
        """Nobody asks."""
        raise AssertionError

    async def orders(self) -> tuple[BrokerOrder, ...]:
        """Nobody asks."""
        raise AssertionError

    async def trades(self) -> tuple[Trade, ...]:
        """Nobody asks."""
        raise AssertionError

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Nobody asks."""
        raise AssertionError

    async def funds(self) -> Funds:
        """Nobody asks."""
        raise AssertionError

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        """Nobody asks."""
        raise AssertionError(keys)


class Shelf:
    """Stored dumps by exchange."""

    def __init__(self) -> None:
        self.kept: dict[Exchange, tuple[date, tuple[Instrument, ...]]] = {}
        self.down = False

    async def replace(self, exchange: Exchange, day: date, instruments: Sequence[Instrument]) -> int:
        """Keep."""
        if self.down:
            raise StorageUnavailable("no database")
        self.kept[exchange] = (day, tuple(instruments))
        return len(instruments)

    async def load(self, exchange: Exchange) -> tuple[date, tuple[Instrument, ...]] | None:
        """Give back."""
        if self.down:
            raise StorageUnavailable("no database")
        return self.kept.get(exchange)


@pytest.fixture
def broker() -> Broker:
    """Lists one option of each exchange."""
    return Broker(option(Exchange.NFO), option(Exchange.BFO))


@pytest.fixture
def shelf() -> Shelf:
    """Empty."""
    return Shelf()


@pytest.fixture
def service(broker: Broker, shelf: Shelf) -> InstrumentService:
    """The service under test."""
    return InstrumentService(broker, shelf, read_rules(), exchanges=EXCHANGES)


async def test_a_first_start_asks_the_broker_once_and_stores(
    service: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """Both exchanges come from one dump."""
    loaded = await service.load(TODAY, read_only=False)
    assert (loaded.rows, loaded.day, loaded.from_broker, loaded.note) == (2, TODAY, True, "")
    assert broker.asked == 1
    assert {exchange: day for exchange, (day, _) in shelf.kept.items()} == dict.fromkeys(EXCHANGES, TODAY)


async def test_a_later_start_of_the_day_asks_nobody(service: InstrumentService, broker: Broker) -> None:
    """The dump is made once a day."""
    await service.load(TODAY, read_only=False)
    loaded = await service.load(TODAY, read_only=False)
    assert (loaded.rows, loaded.from_broker) == (2, False)
    assert broker.asked == 1


async def test_another_day_asks_again(service: InstrumentService, broker: Broker, shelf: Shelf) -> None:
    """Yesterday's dump is replaced."""
    shelf.kept[Exchange.NFO] = (YESTERDAY, (option(Exchange.NFO, 23_000),))
    loaded = await service.load(TODAY, read_only=False)
    assert loaded.day == TODAY
    assert broker.asked == 1
    assert shelf.kept[Exchange.NFO][1][0].strike == Decimal(24_000)


async def test_without_the_broker_the_last_dump_serves_and_its_age_is_told(
    service: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """What is not of today is named, and it does not claim to come from the broker."""
    for exchange in EXCHANGES:
        shelf.kept[exchange] = (YESTERDAY, (option(exchange),))
    broker.error = BrokerUnavailable("connection refused")
    loaded = await service.load(TODAY, read_only=False)
    assert (loaded.rows, loaded.day, loaded.from_broker) == (2, YESTERDAY, False)
    assert "connection refused" in loaded.note
    assert "NFO is of 18 Nov" in loaded.note
    assert shelf.kept[Exchange.NFO][0] == YESTERDAY


async def test_one_segment_that_fails_keeps_its_last_dump(
    service: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """The other one is fresh."""
    shelf.kept[Exchange.BFO] = (YESTERDAY, (option(Exchange.BFO),))
    broker.listed = (option(Exchange.NFO),)
    loaded = await service.load(TODAY, read_only=False)
    assert (loaded.rows, loaded.day, loaded.from_broker) == (2, YESTERDAY, True)
    assert loaded.note == "BFO is of 18 Nov"


async def test_a_refresh_that_fails_keeps_todays_dump_without_calling_it_old(
    service: InstrumentService, broker: Broker
) -> None:
    """Only the failure is told."""
    await service.load(TODAY, read_only=False)
    broker.error = BrokerUnavailable("connection refused")
    loaded = await service.load(TODAY, read_only=False, refresh=True)
    assert loaded.rows == 2
    assert "is of" not in loaded.note
    assert broker.asked == 2


async def test_an_empty_stored_dump_is_none(service: InstrumentService, broker: Broker, shelf: Shelf) -> None:
    """Nothing stored under today's date must not keep the desk without instruments all day."""
    shelf.kept[Exchange.NFO] = (TODAY, ())
    assert (await service.load(TODAY, read_only=False)).rows == 2
    assert broker.asked == 1


async def test_an_exchange_the_broker_does_not_list_is_no_fault(service: InstrumentService, broker: Broker) -> None:
    """A market without that segment is whole without it."""
    broker.listed = (option(Exchange.NFO),)
    loaded = await service.load(TODAY, read_only=False)
    assert (loaded.rows, loaded.note) == (1, "")


async def test_a_reader_stores_nothing(service: InstrumentService, shelf: Shelf) -> None:
    """An engine that only looks leaves the database alone."""
    await service.load(TODAY, read_only=True)
    assert not shelf.kept


async def test_without_a_database_the_broker_serves(service: InstrumentService, shelf: Shelf) -> None:
    """What could not be stored is told."""
    shelf.down = True
    loaded = await service.load(TODAY, read_only=False)
    assert loaded.rows == 2
    assert "could not be stored" in loaded.note


async def test_without_either_it_cannot_start(service: InstrumentService, broker: Broker) -> None:
    """The sentence tells why."""
    broker.error = BrokerUnavailable("connection refused")
    with pytest.raises(SetupError, match="connection refused"):
        await service.load(TODAY, read_only=False)
