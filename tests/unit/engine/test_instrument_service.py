"""The day's instruments: today's from the database, else the broker's, else the last ones with their age."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest

from engine.calendar.rules import read_rules
from engine.core.accounts import Profile
from engine.core.bars import BarInterval, HistoricalBars
from engine.core.errors import BrokerUnavailable, SetupError, StorageUnavailable
from engine.core.funds_margin import BasketMargin
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import BrokerOrder, OrderRequest, Trade
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.standing_triggers import Gtt
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.instrument_service import InstrumentService, SegmentDump

TODAY, YESTERDAY = date(2026, 11, 19), date(2026, 11, 18)
MADE_AT = time(8, 30)
EARLY = datetime(2026, 11, 19, 1, 30, tzinfo=UTC)
"""07:00 in India."""
LATER = datetime(2026, 11, 19, 3, 0, tzinfo=UTC)
"""08:30 in India."""
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

    async def order_margins(self, requests: Sequence[OrderRequest]) -> tuple[Decimal, ...]:
        """Nobody asks."""
        raise AssertionError(requests)

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        """Nobody asks."""
        raise AssertionError(requests, consider_positions)

    async def gtts(self) -> tuple[Gtt, ...]:
        """Nobody asks."""
        raise AssertionError

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        """Nobody asks."""
        raise AssertionError(keys)

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        """Nobody asks."""
        raise AssertionError(token, interval, start, end)


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


@pytest.fixture
def morning(broker: Broker, shelf: Shelf) -> InstrumentService:
    """A service that knows when the broker makes its dump."""
    return InstrumentService(
        broker, shelf, read_rules(), exchanges=EXCHANGES, made_at=MADE_AT, zone=ZoneInfo("Asia/Kolkata")
    )


async def test_a_dump_fetched_before_its_hour_is_of_the_day_before(
    morning: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """At seven the broker still gives yesterday's dump: it is kept as yesterday's, and said to be."""
    loaded = await morning.load(TODAY, read_only=False, now=EARLY)
    assert (loaded.day, loaded.from_broker) == (YESTERDAY, True)
    assert loaded.note == "NFO is of 18 Nov; BFO is of 18 Nov"
    assert {day for day, _ in shelf.kept.values()} == {YESTERDAY}
    again = await morning.load(TODAY, read_only=False, now=EARLY + timedelta(minutes=30))
    assert (broker.asked, again.day) == (1, YESTERDAY)


async def test_it_is_asked_for_again_once_it_is_made(morning: InstrumentService, broker: Broker, shelf: Shelf) -> None:
    """From half past eight a newer one is due, and taken as today's; then nothing is due any more."""
    loaded = await morning.load(TODAY, read_only=False, now=EARLY)
    assert not morning.is_due(loaded, TODAY, LATER - timedelta(seconds=1))
    assert morning.is_due(loaded, TODAY, LATER)
    fresh = await morning.load(TODAY, read_only=False, now=LATER)
    assert (broker.asked, fresh.day, fresh.note) == (2, TODAY, "")
    assert shelf.kept[Exchange.NFO][0] == TODAY
    assert not morning.is_due(fresh, TODAY, LATER + timedelta(hours=1))
    assert morning.is_due(fresh, TODAY + timedelta(days=1), LATER + timedelta(days=1))
    assert not morning.is_due(fresh, TODAY + timedelta(days=1), EARLY + timedelta(days=1))


async def test_a_failed_attempt_is_repeated_after_a_while_only(
    morning: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """With the broker down yesterday's serves, and the next attempt is due five minutes later."""
    for exchange in EXCHANGES:
        shelf.kept[exchange] = (YESTERDAY, (option(exchange),))
    broker.error = BrokerUnavailable("connection refused")
    loaded = await morning.load(TODAY, read_only=False, now=LATER)
    assert loaded.day == YESTERDAY
    assert not morning.is_due(loaded, TODAY, LATER + timedelta(minutes=4))
    assert morning.is_due(loaded, TODAY, LATER + timedelta(minutes=5))
    broker.error = None
    assert (await morning.load(TODAY, read_only=False, now=LATER + timedelta(minutes=5))).day == TODAY


async def test_a_dump_of_a_later_day_is_not_taken_for_an_earlier_one(
    service: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """A venue whose clock begins earlier does not trade tomorrow's contracts."""
    tomorrow = TODAY + timedelta(days=1)
    for exchange in EXCHANGES:
        shelf.kept[exchange] = (tomorrow, (option(exchange, 30_000),))
    loaded = await service.load(TODAY, read_only=False)
    assert (broker.asked, loaded.day) == (1, TODAY)


async def test_a_dump_that_has_shrunk_is_not_taken_silently(
    service: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """Less than half of yesterday's rows of a segment: yesterday's serves on, the other is fresh, and it is said."""
    many = tuple(option(Exchange.NFO, 20_000 + 50 * number) for number in range(5))
    shelf.kept[Exchange.NFO] = (YESTERDAY, many)
    broker.listed = (*many[:2], option(Exchange.BFO))
    loaded = await service.load(TODAY, read_only=False)
    assert loaded.rows == 6
    assert loaded.note == "NFO has 2 rows now and had 5 on 18 Nov: not taken; NFO is of 18 Nov"
    assert shelf.kept[Exchange.NFO] == (YESTERDAY, many)
    assert loaded.segments == (
        SegmentDump(exchange=Exchange.NFO, day=YESTERDAY, rows=5),
        SegmentDump(exchange=Exchange.BFO, day=TODAY, rows=1),
    )


async def test_half_of_the_rows_is_enough_and_a_person_may_insist(
    service: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """Three of six rows are taken without a word; fewer when a person asks for it, with a word."""
    many = tuple(option(Exchange.NFO, 20_000 + 50 * number) for number in range(6))
    shelf.kept[Exchange.NFO] = (YESTERDAY, many)
    broker.listed = (*many[:3], option(Exchange.BFO))
    assert (await service.load(TODAY, read_only=False)).note == ""
    broker.listed = (many[0], option(Exchange.BFO))
    asked = await service.load(TODAY, read_only=False, refresh=True)
    assert asked.note == "NFO has 1 rows now and had 3 on 19 Nov: taken as asked"
    assert len(shelf.kept[Exchange.NFO][1]) == 1


async def test_a_reused_token_is_the_new_contract_after_the_roll(
    service: InstrumentService, broker: Broker, shelf: Shelf
) -> None:
    """Yesterday's owner of a token is gone with yesterday's dump; where the segment failed, nobody answers to it."""
    old = msgspec.structs.replace(option(Exchange.NFO, 23_000), expiry=YESTERDAY)
    new = msgspec.structs.replace(option(Exchange.NFO, 26_000), token=old.token)
    shelf.kept[Exchange.NFO] = (YESTERDAY, (old,))
    broker.listed = (new, option(Exchange.BFO))
    fresh = await service.load(TODAY, read_only=True)
    assert fresh.index.by_token(old.token) == new
    broker.listed = (option(Exchange.BFO),)
    kept = await service.load(TODAY, read_only=True)
    assert kept.index.get(old.token) is None
    assert "NFO is of 18 Nov" in kept.note


def test_an_hour_needs_a_zone(broker: Broker, shelf: Shelf) -> None:
    """A wall-clock time without a zone is a mistake of whoever builds the service."""
    with pytest.raises(ValueError, match="zone"):
        InstrumentService(broker, shelf, read_rules(), exchanges=EXCHANGES, made_at=MADE_AT)


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
