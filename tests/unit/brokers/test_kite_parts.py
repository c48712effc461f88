"""The small parts of the Kite adapter: values, forms, the server's clock, the pace of reads, credentials."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.brokers.feed import FeedChange, FeedMode
from engine.brokers.kite import values
from engine.brokers.kite.feed_messages import subscription_messages
from engine.brokers.kite.forms import modify_form, place_form
from engine.brokers.kite.pace import Pace
from engine.brokers.kite.server_clock import ServerClock
from engine.brokers.kite.session import KiteCredentials, KiteSession
from engine.core.commands import OrderChange
from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, OrderTag
from engine.core.orders import OrderRequest
from engine.core.vocabulary import Exchange, OrderType, Product, Side, Validity, Variety

KEY = InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE")


@given(st.integers(-(10**11), 10**11))
def test_every_paise_amount_survives_a_float(paise: int) -> None:
    """An amount of paise written as a float by the broker comes back as the same paise."""
    assert values.exact(Decimal(repr(paise / 100)), "x") == Decimal(paise) / 100


def test_an_endless_number_is_no_amount() -> None:
    """A number that cannot be money names its field."""
    with pytest.raises(ValueError, match="last_price"):
        values.exact(Decimal("1e400"), "last_price")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("0001-01-01 00:00:00", None),
        ("2026-11-19 09:15:00", datetime(2026, 11, 19, 3, 45, tzinfo=UTC)),
        ("2026-11-19T09:15:00+0530", datetime(2026, 11, 19, 3, 45, tzinfo=UTC)),
        ("2026-11-19T03:45:00Z", datetime(2026, 11, 19, 3, 45, tzinfo=UTC)),
        ("09:15:00", datetime(2026, 11, 19, 3, 45, tzinfo=UTC)),
        ("00:10:00", datetime(2026, 11, 18, 18, 40, tzinfo=UTC)),
    ],
)
def test_times_of_the_wire_become_aware_utc(text: str | None, expected: datetime | None) -> None:
    """Every spelling of a time that Kite uses; none of them depends on this machine's zone."""
    moment = values.moment(text, "t", date(2026, 11, 19))
    assert moment == expected
    assert moment is None or moment.tzinfo is UTC


@pytest.mark.parametrize("text", ["now", "25:00:00", "2026-13-01 00:00:00", "09:15:00 "])
def test_what_is_no_time_is_refused(text: str) -> None:
    """A time that cannot be read is an error with its field, never a guess."""
    with pytest.raises(ValueError, match="exchange_timestamp"):
        values.moment(text, "exchange_timestamp", date(2026, 11, 19))


def test_a_time_of_day_without_a_day_is_refused() -> None:
    """Nobody guesses the day."""
    with pytest.raises(ValueError, match="no time"):
        values.moment("09:15:00", "t")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("105.50", "105.5"),
        ("105", "105"),
        ("100", "100"),
        ("1E+2", "100"),
        ("0.05", "0.05"),
        ("-1", "-1"),
        ("1E-7", "0.0000001"),
    ],
)
def test_numbers_of_a_form_are_plain(value: str, text: str) -> None:
    """No exponent and no trailing zeros, and no zero of a whole number is lost."""
    assert values.plain(Decimal(value)) == text


def test_a_limit_order_sends_what_it_has() -> None:
    """Every field under Kite's name; what is unset is not sent."""
    request = OrderRequest(instrument=KEY, side=Side.BUY, quantity=65, price=Decimal("105.50"))
    assert place_form(request, OrderTag("WSTAG")) == {
        "variety": "regular",
        "exchange": "NFO",
        "tradingsymbol": "NIFTY26DEC24000CE",
        "transaction_type": "BUY",
        "quantity": "65",
        "product": "NRML",
        "order_type": "LIMIT",
        "validity": "DAY",
        "tag": "WSTAG",
        "price": "105.5",
    }


def test_a_stop_and_a_market_order_send_theirs() -> None:
    """Trigger and market protection are sent where they are set."""
    request = OrderRequest(
        instrument=KEY,
        side=Side.SELL,
        quantity=65,
        order_type=OrderType.SL_M,
        product=Product.MIS,
        trigger_price=Decimal("99.95"),
        validity=Validity.IOC,
        variety=Variety.AMO,
        market_protection=Decimal(-1),
    )
    form = place_form(request, OrderTag("T"))
    assert (form["order_type"], form["trigger_price"], form["market_protection"]) == ("SL-M", "99.95", "-1")
    assert (form["transaction_type"], form["product"], form["validity"], form["variety"]) == (
        "SELL",
        "MIS",
        "IOC",
        "amo",
    )
    assert "price" not in form


def test_a_modification_sends_only_what_changes() -> None:
    """Neither the order type nor an unchanged field is repeated."""
    form = modify_form(BrokerOrderId("15"), Variety.REGULAR, OrderChange(price=Decimal("104.00"), quantity=130))
    assert form == {"variety": "regular", "order_id": "15", "quantity": "130", "price": "104"}


@pytest.mark.parametrize("offset", [0.0, 0.4, -3.7, 120.0])
def test_the_servers_offset_is_learnt_to_a_fraction_of_a_second(offset: float) -> None:
    """From whole-second headers the offset is bounded ever more tightly, and always holds the truth."""
    clock = ServerClock(lambda: 0.0)
    for step in range(60):
        sent = 1_800_000_000 + step * 0.37
        clock.learn(formatdate(int(sent + 0.02 + offset), usegmt=True), sent, sent + 0.04)
        learnt, uncertainty = clock.offset_s, clock.uncertainty_s
        assert learnt is not None
        assert uncertainty is not None
        assert abs(learnt - offset) <= uncertainty + 1e-6
    assert clock.uncertainty_s is not None
    assert clock.uncertainty_s < 0.1


def test_a_clock_that_was_set_is_learnt_anew() -> None:
    """An answer that contradicts what was learnt wins; a header that is no date says nothing."""
    clock = ServerClock(lambda: 0.0)
    clock.learn(formatdate(1_800_000_000, usegmt=True), 1_800_000_000.0, 1_800_000_000.1)
    clock.learn(formatdate(1_800_000_100, usegmt=True), 1_800_000_001.0, 1_800_000_001.1)
    for nothing in (None, "", "soon"):
        clock.learn(nothing, 5.0, 6.0)
    assert clock.offset_s is not None
    assert 98.5 < clock.offset_s < 100.5


class ManualTime:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.mark.parametrize(("limit", "window"), [(1, 1.1), (10, 1.1)])
async def test_no_window_holds_more_turns_than_allowed(limit: int, window: float) -> None:
    """Whatever the hurry, any window has at most the limit, in the order asked, without needless waiting."""
    time = ManualTime()
    pace = Pace(limit, window_s=window, monotonic=time.monotonic, sleep=time.sleep)
    begun: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        await pace.wait()
        begun.append((number, time.now))

    await asyncio.gather(*(one(number) for number in range(25)))
    assert [number for number, _ in begun] == list(range(25))
    moments = [moment for _, moment in begun]
    for first, later in zip(moments, moments[limit:], strict=False):
        assert later - first >= window - 1e-9
    assert moments[-1] == pytest.approx(100.0 + window * (24 // limit))


def test_credentials_show_nothing() -> None:
    """Neither key nor token is in any text of the objects that hold them; the header is for the wire."""
    credentials = KiteCredentials("the-key", "the-token")
    session = KiteSession(account_id=AccountId("AB1234"), name="A", access_token="the-token")
    assert "the-token" not in f"{credentials!r} {credentials} {session!r} {session}"
    assert credentials.authorization == "token the-key:the-token"
    credentials.renew("another")
    assert credentials.authorization == "token the-key:another"


def test_empty_credentials_are_refused() -> None:
    """An empty token is no login."""
    with pytest.raises(InvalidInput, match="log in"):
        KiteCredentials("key", "")
    with pytest.raises(InvalidInput, match="log in"):
        KiteCredentials("key", "token").renew("")


def test_an_empty_change_tells_nothing() -> None:
    """No message without something to say."""
    assert list(subscription_messages(FeedChange(), chunk=500)) == []
    change = FeedChange(subscribe=(1,), modes=((FeedMode.QUOTE, (1,)),))
    assert list(subscription_messages(change, chunk=500)) == [
        '{"a":"subscribe","v":[1]}',
        '{"a":"mode","v":["quote",[1]]}',
    ]
