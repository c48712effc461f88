"""Limits, credentials, faults and the clock."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from unittest.mock import patch

import pytest
from aiohttp import web

from engine.practice.accounts import API_KEY, FIXED_TOKEN, Accounts
from engine.practice.faults import FaultKind, Faults
from engine.practice.limits import Limits
from engine.practice.packets import PacketTable
from engine.practice.session_clock import MarketClock
from engine.practice.settings import ServiceSettings
from engine.practice.stream import Connection, StreamHub
from engine.practice.wire import ErrorType, KiteError
from tests.unit.practice.conftest import Venue, Wall


def test_ten_orders_in_a_calendar_second() -> None:
    """The eleventh order request of a second is refused with 429; the next second admits again."""
    wall = Wall()
    limits = Limits(ServiceSettings(), wall)
    for _ in range(10):
        limits.order(placement=True)
    with pytest.raises(KiteError) as refused:
        limits.order(placement=False)
    assert (refused.value.status, refused.value.kind, refused.value.message) == (
        429,
        ErrorType.NETWORK,
        "Too many requests",
    )
    wall.now += 1.0
    limits.order(placement=True)


def test_orders_in_a_minute_and_a_day() -> None:
    """The minute's limit slides; the day's cap counts placements only."""
    wall = Wall()
    limits = Limits(replace(ServiceSettings(), orders_per_minute=15, orders_per_day=17), wall)
    for _ in range(15):
        limits.order(placement=True)
        wall.now += 0.5
    with pytest.raises(KiteError):
        limits.order(placement=True)
    wall.now += 60.0
    limits.order(placement=True)
    wall.now += 1.0
    limits.order(placement=False)
    limits.order(placement=True)
    with pytest.raises(KiteError, match="Maximum allowed order requests exceeded"):
        limits.order(placement=True)


def test_quotes_are_limited_unless_switched_off() -> None:
    """One quote request a second by default; none are refused without read limits."""
    limits = Limits(ServiceSettings(), Wall())
    limits.quote()
    with pytest.raises(KiteError):
        limits.quote()
    free = Limits(replace(ServiceSettings(), read_limits=False), Wall())
    for _ in range(100):
        free.quote()
        free.other()


def checksum(request_token: str, secret: str = API_KEY) -> str:
    """Return the checksum of a token request."""
    return hashlib.sha256(f"{API_KEY}{request_token}{secret}".encode()).hexdigest()


def test_the_fixed_credentials_are_always_valid() -> None:
    """The practice key and token pass; anything else gives 403 TokenException."""
    accounts = Accounts(ServiceSettings(), Wall())
    assert accounts.authorise(f"token {API_KEY}:{FIXED_TOKEN}") == API_KEY
    for header in (None, "", "token practice:x", "token x:practice", "Bearer practice:practice", "token practice"):
        with pytest.raises(KiteError) as refused:
            accounts.authorise(header)
        assert (refused.value.status, refused.value.kind) == (403, ErrorType.TOKEN)


def test_a_request_token_works_once() -> None:
    """The login's token becomes an access token once; a second use, a wrong checksum or an old token is refused."""
    wall = Wall()
    accounts = Accounts(ServiceSettings(), wall)
    request = accounts.new_request_token()
    with pytest.raises(KiteError, match="checksum"):
        accounts.exchange_token(API_KEY, request, checksum(request, "wrong"))
    token = accounts.exchange_token(API_KEY, request, checksum(request))
    assert accounts.is_valid(API_KEY, token)
    with pytest.raises(KiteError, match="expired"):
        accounts.exchange_token(API_KEY, request, checksum(request))
    old = accounts.new_request_token()
    wall.now += 301.0
    with pytest.raises(KiteError, match="expired"):
        accounts.exchange_token(API_KEY, old, checksum(old))
    accounts.delete_token(API_KEY, token)
    assert not accounts.is_valid(API_KEY, token)


def test_faults_are_used_up_in_order() -> None:
    """A fault meets matching requests only, as often as it was asked for."""
    faults = Faults(3)
    faults.add(faults.read({"kind": "error_500", "method": "POST", "path": "/orders", "count": 2}))
    faults.add(faults.read({"kind": "delay", "seconds": 1.5}))
    assert faults.take("POST", "/orders/regular") is not None
    other = faults.take("GET", "/orders")
    assert other is not None
    assert other.kind == FaultKind.DELAY
    assert len(faults.listed()) == 1
    assert faults.take("POST", "/orders/regular") is not None
    assert faults.take("POST", "/orders/regular") is None


@pytest.mark.parametrize(
    "body", [{}, {"kind": "nonsense"}, {"kind": "delay", "count": 0}, {"kind": "hold", "seconds": -1}, 5]
)
def test_senseless_faults_are_refused(body: object) -> None:
    """A wrong fault is answered with what is allowed."""
    with pytest.raises(KiteError, match="Not a fault"):
        Faults(3).read(body)


def test_too_many_faults_are_refused() -> None:
    """The list of waiting faults is bounded."""
    faults = Faults(1)
    faults.add(faults.read({"kind": "delay"}))
    with pytest.raises(KiteError, match="waiting already"):
        faults.add(faults.read({"kind": "delay"}))
    faults.clear()
    assert faults.listed() == []


def test_market_time_runs_at_its_speed() -> None:
    """Market time is the start plus wall time times speed; changing speed keeps the instant."""
    wall = Wall()
    clock = MarketClock(5000.0, 10.0, wall)
    wall.now += 2.0
    assert clock.now() == pytest.approx(5020.0)
    clock.set_speed(0.0)
    wall.now += 100.0
    assert clock.now() == pytest.approx(5020.0)
    clock.advance(30.0)
    assert clock.now() == pytest.approx(5050.0)
    clock.hold(5060.0)
    wall.now += 9.0
    assert clock.now() == 5060.0
    clock.set_speed(1.0)
    clock.start_at(9000.0)
    wall.now += 1.0
    assert clock.now() == pytest.approx(9001.0)


def test_market_time_refuses_to_run_backwards() -> None:
    """Negative speeds and jumps are refused."""
    clock = MarketClock(0.0, 1.0, Wall())
    with pytest.raises(ValueError, match="negative"):
        clock.set_speed(-1.0)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1.0)


def test_a_socket_that_never_reads_its_updates_is_cut(venue: Venue) -> None:
    """Order updates are not dropped: beyond the bound the slow client's transport is cut."""
    cut: list[bool] = []
    settings = replace(ServiceSettings(), text_queue_limit=3)
    floor = venue.exchange.floor
    hub = StreamHub(settings, PacketTable(floor.day.universe, venue.exchange.index_tokens))
    connection = Connection(
        web.WebSocketResponse(), API_KEY, settings=settings, hub=hub, abort=lambda: cut.append(True)
    )
    for number in range(3):
        connection.tell(str(number))
    assert not cut
    connection.tell("one too many")
    assert cut == [True]


def test_an_unwritable_book_ends_the_process(venue: Venue) -> None:
    """When an order cannot be made durable the exchange stops instead of answering for it."""
    form = venue.form(venue.contract(), "BUY", 65, 100.0)
    full = patch.object(venue.book, "append", side_effect=OSError(28, "No space left on device"))
    with full, pytest.raises(SystemExit, match="cannot be written"):
        venue.exchange.desk.place("regular", form)
    venue.restart()
    assert not venue.exchange.ledger.orders
