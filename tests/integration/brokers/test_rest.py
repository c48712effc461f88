"""REST over real sockets: every road an answer can take, what is sent, what is retried, and what never is."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

import httpx
import pytest

from engine.brokers.kite.rest import KiteOrderRoad, KiteReads, ReadSettings
from engine.brokers.kite.session import KiteCredentials, exchange_request_token
from engine.brokers.kite.transport import HttpSettings, KiteTransport
from engine.core.commands import OrderChange
from engine.core.errors import (
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    InvalidInput,
    OutcomeUnknown,
    RateLimited,
    SessionExpired,
)
from engine.core.identifiers import AccountId, BrokerOrderId, InstrumentKey, OrderTag
from engine.core.orders import OrderRequest
from engine.core.ports import BrokerReads, OrderRoad
from engine.core.vocabulary import Exchange, OrderType, Product, Side, Variety
from tests.kit.scripted_kite import (
    ScriptedKite,
    Step,
    closed_port_root,
    drop,
    half_answer,
    hang,
    json_answer,
    raw_answer,
    refusal,
    success,
)
from workstation.practice_source import PracticeVenueSource

TOKEN = "secret-token-of-the-day"
TAG = OrderTag("WSGAYTEMZUGU3DOOBZ")
KEY = InstrumentKey(Exchange.NFO, "NIFTY26DEC24000CE")
REQUEST = OrderRequest(instrument=KEY, side=Side.BUY, quantity=65, price=Decimal("105.50"))
ORDER_ID = BrokerOrderId("1914227164488687616")
IMPATIENT = HttpSettings(read_timeout_s=0.2, order_deadline_s=0.4, read_deadline_s=0.4)
FUNDS = {"equity": {"net": 1, "available": {"cash": 2}, "utilised": {"debits": 3}}}


class RecordedClock:
    """A monotonic clock that only waiting moves; waits are written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now = 100.0

    def market_now(self) -> datetime:
        return datetime(2026, 11, 19, 6, 0, tzinfo=UTC)

    def wall_now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += seconds
        await asyncio.sleep(0)


class Bench:
    """An adapter on a scripted broker."""

    def __init__(self, root: str, settings: HttpSettings | None = None) -> None:
        self.credentials = KiteCredentials("key", TOKEN)
        self.transport = KiteTransport(root, self.credentials, settings=settings)
        self.clock = RecordedClock()
        self.road: OrderRoad = KiteOrderRoad(self.transport)
        self.reads: BrokerReads = KiteReads(
            self.transport,
            account=AccountId("AB1234"),
            clock=self.clock,
            random=Random(3),  # noqa: S311 - jitter
            settings=ReadSettings(attempts=3),
        )

    def order_calls(self) -> list[Callable[[], Coroutine[Any, Any, BrokerOrderId]]]:
        """The three calls of the order road."""
        change = OrderChange(price=Decimal(104))
        return [
            lambda: self.road.place_order(REQUEST, TAG),
            lambda: self.road.modify_order(ORDER_ID, Variety.REGULAR, REQUEST, change),
            lambda: self.road.cancel_order(ORDER_ID, Variety.REGULAR),
        ]


@pytest.fixture
async def kite() -> AsyncIterator[ScriptedKite]:
    """A scripted broker."""
    async with ScriptedKite() as server:
        yield server


@pytest.fixture
async def bench(kite: ScriptedKite) -> AsyncIterator[Bench]:
    """An impatient adapter on it."""
    bench = Bench(kite.root, IMPATIENT)
    yield bench
    await bench.transport.aclose()


ORDER_ROADS: list[tuple[str, Step, type[BrokerError]]] = [
    ("dropped after the request", drop(), OutcomeUnknown),
    ("dropped within the answer", half_answer(), OutcomeUnknown),
    ("never answered", hang(), OutcomeUnknown),
    ("bad gateway page", raw_answer("<html>502 Bad Gateway</html>", 502), OutcomeUnknown),
    ("service unavailable", refusal(503, "NetworkException", "OMS down"), OutcomeUnknown),
    ("server error naming a rule", refusal(500, "OrderException", "Insufficient funds"), OutcomeUnknown),
    ("success that is no JSON", raw_answer("OK", 200, "text/plain"), OutcomeUnknown),
    ("success without an id", success({}), OutcomeUnknown),
    ("error in a success", json_answer({"status": "error", "error_type": "InputException"}), OutcomeUnknown),
    ("redirect", raw_answer("", 302), OutcomeUnknown),
    ("timed out with 400", refusal(400, "OrderException", "Order request timed out."), OutcomeUnknown),
    ("400 that names no rule", refusal(400, "GeneralException", "Something is wrong"), OutcomeUnknown),
    ("wrong gzip", json_answer({}, headers={"Content-Encoding": "gzip"}), OutcomeUnknown),
    ("named rule", refusal(400, "MarginException", "Insufficient funds."), BrokerRejected),
    ("no permission", refusal(403, "PermissionException", "Not allowed."), BrokerRejected),
    ("session over", refusal(403, "TokenException", "Incorrect `access_token`."), SessionExpired),
    ("too many", refusal(429, "NetworkException", "Too many requests"), RateLimited),
]


@pytest.mark.parametrize(
    ("step", "expected"), [road[1:] for road in ORDER_ROADS], ids=[road[0] for road in ORDER_ROADS]
)
@pytest.mark.parametrize("call", [0, 1, 2], ids=["place", "modify", "cancel"])
async def test_each_road_of_an_order_call(
    kite: ScriptedKite, bench: Bench, call: int, step: Step, expected: type[BrokerError]
) -> None:
    """Every way an answer can come, or not, is sorted by what may be done next; the call is sent exactly once."""
    kite.script(step)
    with pytest.raises(BrokerError) as caught:
        await bench.order_calls()[call]()
    assert type(caught.value) is expected
    assert len(kite.received) == 1
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("call", [0, 1, 2], ids=["place", "modify", "cancel"])
async def test_a_refused_connection_sent_nothing(call: int) -> None:
    """Where nothing listens the order provably never left."""
    bench = Bench(closed_port_root(), IMPATIENT)
    with pytest.raises(BrokerUnavailable, match="nothing was sent"):
        await bench.order_calls()[call]()
    await bench.transport.aclose()


async def test_a_connection_broken_while_idle_never_sends_an_order_twice(kite: ScriptedKite, bench: Bench) -> None:
    """After a break the next order goes over a new connection, once."""
    kite.script(drop(), success({"order_id": "7"}))
    with pytest.raises(OutcomeUnknown):
        await bench.road.place_order(REQUEST, TAG)
    assert await bench.road.place_order(REQUEST, TAG) == "7"
    assert [request.method for request in kite.received] == ["POST", "POST"]


async def test_when_all_connections_are_taken_the_order_was_not_sent(kite: ScriptedKite) -> None:
    """Waiting for a free connection in vain leaves nothing at the broker, and the words say so."""
    settings = HttpSettings(order_connections=1, pool_timeout_s=0.05, read_timeout_s=5.0, order_deadline_s=5.0)
    bench = Bench(kite.root, settings)
    kite.script(hang())
    first = asyncio.create_task(bench.order_calls()[0]())
    async with asyncio.timeout(5):
        while not kite.received:  # noqa: ASYNC110 - the server keeps no event for it
            await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailable, match="PoolTimeout"):
        await bench.road.place_order(REQUEST, TAG)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await bench.transport.aclose()
    assert len(kite.received) == 1


async def test_reads_never_take_an_orders_connection(kite: ScriptedKite) -> None:
    """With every read hanging an order still gets through."""
    bench = Bench(kite.root, HttpSettings(read_connections=1, order_connections=1))
    kite.script(hang(), success({"order_id": "7"}))
    read = asyncio.create_task(_read_funds(bench))
    async with asyncio.timeout(5):
        while not kite.received:  # noqa: ASYNC110 - the server keeps no event for it
            await asyncio.sleep(0)
        assert await bench.road.place_order(REQUEST, TAG) == "7"
    read.cancel()
    await asyncio.gather(read, return_exceptions=True)
    await bench.transport.aclose()


async def _read_funds(bench: Bench) -> None:
    await bench.reads.funds()


async def test_a_modification_of_nothing_is_not_sent(kite: ScriptedKite, bench: Bench) -> None:
    """An empty change is the caller's mistake."""
    with pytest.raises(InvalidInput, match="changes nothing"):
        await bench.road.modify_order(ORDER_ID, Variety.REGULAR, REQUEST, OrderChange())
    assert kite.received == []


async def test_a_new_token_is_used_from_the_next_request(kite: ScriptedKite, bench: Bench) -> None:
    """Renewing needs no restart."""
    kite.script(success({"order_id": "7"}))
    await bench.road.place_order(REQUEST, TAG)
    bench.credentials.renew("fresh")
    await bench.road.place_order(REQUEST, TAG)
    sent = [request.headers["Authorization"] for request in kite.received]
    assert sent == [f"token key:{TOKEN}", "token key:fresh"]


async def test_the_wire_is_what_the_official_client_sends(kite: ScriptedKite, bench: Bench) -> None:
    """Method, path, version, authorization and every field equal the official client's for place, modify and cancel."""
    from kiteconnect import KiteConnect

    kite.script(success({"order_id": ORDER_ID}))
    official = KiteConnect("key", TOKEN, root=kite.root)

    def theirs() -> None:
        common = {"variety": "regular", "exchange": "NFO", "tradingsymbol": "NIFTY26DEC24000CE"}
        sides = {"transaction_type": "BUY", "quantity": 65, "product": "NRML", "validity": "DAY", "tag": TAG}
        official.place_order(**common, **sides, order_type="LIMIT", price=105.5)
        official.place_order(**common, **sides, order_type="MARKET", market_protection=-1)
        official.place_order(**common, **sides, order_type="SL", price=106, trigger_price=105.95)
        official.modify_order("regular", ORDER_ID, quantity=130, price=104.05, trigger_price=103)
        official.cancel_order("regular", ORDER_ID)
        official.reqsession.close()

    await asyncio.to_thread(theirs)
    expected, kite.received[:] = list(kite.received), []
    await bench.road.place_order(REQUEST, TAG)
    market = OrderRequest(
        instrument=KEY, side=Side.BUY, quantity=65, order_type=OrderType.MARKET, market_protection=Decimal(-1)
    )
    await bench.road.place_order(market, TAG)
    stop = OrderRequest(
        instrument=KEY,
        side=Side.BUY,
        quantity=65,
        order_type=OrderType.SL,
        product=Product.NRML,
        price=Decimal(106),
        trigger_price=Decimal("105.95"),
    )
    await bench.road.place_order(stop, TAG)
    change = OrderChange(quantity=130, price=Decimal("104.05"), trigger_price=Decimal("103.00"))
    await bench.road.modify_order(ORDER_ID, Variety.REGULAR, stop, change)
    await bench.road.cancel_order(ORDER_ID, Variety.REGULAR)
    assert len(kite.received) == len(expected) == 5
    for ours, official_request in zip(kite.received, expected, strict=True):
        assert (ours.method, ours.path, ours.query) == (
            official_request.method,
            official_request.path,
            official_request.query,
        )
        assert ours.form == official_request.form
        for header in ("Authorization", "X-Kite-Version", "Content-Type"):
            assert ours.headers.get(header) == official_request.headers.get(header)


READ_FAILURES: list[tuple[str, Step]] = [
    ("dropped", drop()),
    ("cut short", half_answer()),
    ("hangs", hang()),
    ("gateway page", raw_answer("<html>502</html>", 502)),
    ("server error", refusal(500, "GeneralException", "oops")),
]


@pytest.mark.parametrize(
    "step", [failure[1] for failure in READ_FAILURES], ids=[failure[0] for failure in READ_FAILURES]
)
async def test_a_read_is_tried_again_when_nothing_came(kite: ScriptedKite, bench: Bench, step: Step) -> None:
    """A lost answer to a read is no unknown outcome: it is asked again, after a growing wait."""
    kite.script(step, step, success(FUNDS))
    assert (await bench.reads.funds()).net == 1
    assert len(kite.received) == 3
    first, second = bench.clock.slept
    assert 0.125 <= first <= 0.25 <= second <= 0.5


async def test_reads_give_up_after_a_few_times(kite: ScriptedKite, bench: Bench) -> None:
    """A broker that stays away is told as such, after the set number of attempts."""
    kite.script(raw_answer("down", 503))
    with pytest.raises(BrokerUnavailable):
        await bench.reads.orders()
    assert len(kite.received) == 3


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (refusal(403, "TokenException", "expired"), SessionExpired),
        (refusal(429, "NetworkException", "Too many requests"), RateLimited),
        (refusal(400, "InputException", "bad"), BrokerRejected),
        (raw_answer("not JSON", 200), BrokerUnavailable),
        (success({"rows": []}), BrokerUnavailable),
    ],
)
async def test_a_clear_answer_to_a_read_is_not_asked_again(
    kite: ScriptedKite, bench: Bench, step: Step, expected: type[BrokerError]
) -> None:
    """Refusals, limits, an ended session and nonsense come through at the first answer."""
    kite.script(step)
    with pytest.raises(BrokerError) as caught:
        await bench.reads.orders()
    assert type(caught.value) is expected
    assert len(kite.received) == 1


READS: list[Callable[[BrokerReads], Coroutine[Any, Any, object]]] = [
    lambda reads: reads.profile(),
    lambda reads: reads.orders(),
    lambda reads: reads.trades(),
    lambda reads: reads.positions(),
    lambda reads: reads.funds(),
    lambda reads: reads.instruments(),
    lambda reads: reads.quotes([KEY]),
]


@pytest.mark.parametrize("read", READS, ids=["profile", "orders", "trades", "positions", "funds", "dump", "quotes"])
async def test_a_success_that_is_not_what_was_asked_for_is_never_an_empty_answer(
    kite: ScriptedKite, bench: Bench, read: Callable[[BrokerReads], Coroutine[Any, Any, object]]
) -> None:
    """An empty page, another shape or an error in a success is the broker not answering, for every read."""
    for step in (raw_answer(b""), success("nothing"), json_answer({"status": "error", "data": []})):
        kite.script(step)
        with pytest.raises(BrokerUnavailable, match="not understood"):
            await read(bench.reads)


async def test_a_read_of_a_closed_port_is_unavailable() -> None:
    """Where nothing listens a read says so."""
    bench = Bench(closed_port_root())
    with pytest.raises(BrokerUnavailable, match="could not be reached"):
        await bench.reads.profile()
    await bench.transport.aclose()


async def test_quotes_are_asked_for_in_parts_a_second_apart(kite: ScriptedKite, bench: Bench) -> None:
    """More than five hundred are split, the parts wait for the quote limit, and the answers are joined."""

    def quotes(symbols: list[str]) -> Step:
        return success({symbol: {"instrument_token": 1, "last_price": 1.5} for symbol in symbols})

    keys = [InstrumentKey(Exchange.NFO, f"S {number}") for number in range(700)]
    kite.script(quotes([str(key) for key in keys[:500]]), quotes([str(key) for key in keys[500:-1]]))
    read = await bench.reads.quotes(keys)
    assert set(read) == set(keys[:-1])
    assert [len(request.query) for request in kite.received] == [500, 200]
    assert kite.received[0].query[0] == ("i", "NFO:S 0")
    assert bench.clock.slept == [pytest.approx(ReadSettings().window_s)]
    assert await bench.reads.quotes([]) == {}


async def test_a_zipped_dump_is_read(kite: ScriptedKite, bench: Bench) -> None:
    """The dump of one exchange comes from its own path, zipped as the broker sends it."""
    header = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    text = header + "instrument_type,segment,exchange\n408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n"

    async def zipped(_: Any) -> Any:
        from aiohttp import web

        return web.Response(
            body=gzip.compress(text.encode()), content_type="text/csv", headers={"Content-Encoding": "gzip"}
        )

    kite.script(zipped)
    (infosys,) = await bench.reads.instruments(Exchange.NSE)
    assert infosys.tradingsymbol == "INFY"
    assert kite.received[0].path == "/instruments/NSE"
    await bench.reads.instruments()
    assert kite.received[1].path == "/instruments"


async def test_rows_left_out_are_logged(kite: ScriptedKite, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has to wonder where a foreign order went."""
    kite.script(success([{"order_id": "1"}]))
    assert await bench.reads.orders() == ()
    assert "order book: 1 rows were not understood" in caplog.text


async def test_nothing_secret_is_logged(kite: ScriptedKite, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """With every logger at DEBUG no line of ours or of the libraries carries the token."""
    caplog.set_level(logging.DEBUG)
    kite.script(success({"order_id": "7"}), refusal(403, "TokenException", "expired"))
    await bench.road.place_order(REQUEST, TAG)
    with pytest.raises(SessionExpired):
        await bench.road.place_order(REQUEST, TAG)
    with pytest.raises(SessionExpired):
        await bench.reads.orders()
    assert caplog.records
    assert TOKEN not in caplog.text


async def test_the_servers_clock_is_learnt_from_its_answers(kite: ScriptedKite, bench: Bench) -> None:
    """After an answer with a date the offset is known to about a second."""
    kite.script(success({"order_id": "7"}))
    await bench.road.place_order(REQUEST, TAG)
    offset = bench.transport.server_clock.offset_s
    assert offset is not None
    assert abs(offset) < 1.5


def test_an_address_that_is_no_broker_is_refused() -> None:
    """The sentence says what an address begins with."""
    with pytest.raises(InvalidInput, match="https://"):
        KiteTransport("api.kite.trade", KiteCredentials("key", "token"))


SESSION = {"user_id": "AB1234", "user_name": "A Trader", "access_token": "fresh", "login_time": "2026-11-19 08:55:00"}


async def test_a_request_token_is_exchanged_by_the_official_client(kite: ScriptedKite) -> None:
    """Key, request token and checksum are sent, never the secret; the day's token comes back."""
    kite.script(success(SESSION))
    session = await exchange_request_token(api_key="key", api_secret="the-secret", request_token="once", root=kite.root)
    assert (session.account_id, session.name, session.access_token) == ("AB1234", "A Trader", "fresh")
    form = kite.received[0].form
    assert (form["api_key"], form["request_token"], len(form["checksum"])) == ("key", "once", 64)
    assert b"the-secret" not in kite.received[0].body


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (refusal(403, "TokenException", "Token is invalid or has expired."), SessionExpired),
        (refusal(400, "InputException", "Invalid `api_key`."), BrokerRejected),
        (refusal(500, "GeneralException", "oops"), BrokerUnavailable),
        (refusal(503, "NetworkException", "down"), BrokerUnavailable),
        (raw_answer("<html>502</html>", 502), BrokerUnavailable),
        (raw_answer("{", 200, "application/json"), BrokerUnavailable),
        (drop(), BrokerUnavailable),
        (hang(), BrokerUnavailable),
        (success({"login_time": None}), BrokerUnavailable),
    ],
)
async def test_a_failed_login_says_what_to_do(kite: ScriptedKite, step: Step, expected: type[BrokerError]) -> None:
    """A used request token needs a new login, a refusal is shown, anything else is the broker being away."""
    kite.script(step)
    with pytest.raises(BrokerError) as caught:
        await exchange_request_token(
            api_key="key", api_secret="the-secret", request_token="once", root=kite.root, timeout_s=0.5
        )
    assert type(caught.value) is expected
    assert "the-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "step",
    [
        raw_answer("nothing", 404),
        raw_answer("nothing"),
        success({"speed": 1}),
        drop(),
        success({"market_time": "2026-11-19T11:00:00", "speed": 1}),
    ],
)
async def test_what_is_no_practice_exchange_has_no_clock(kite: ScriptedKite, step: Step) -> None:
    """Anything but a zoned time and a speed is refused."""
    kite.script(step)
    with pytest.raises(BrokerUnavailable):
        async with httpx.AsyncClient(trust_env=False) as http:
            await PracticeVenueSource(kite.root, http).read()


async def test_the_venue_is_read(kite: ScriptedKite) -> None:
    """Time in UTC, speed, and whether it trades."""
    session = {"state": "extended", "extended": True, "opens": None, "closes": "2026-11-19T21:45:00+05:30"}
    status = {"market_time": "2026-11-19T11:00:00+05:30", "speed": 2, "seed": 7, "source": "snapshot"}
    kite.script(success({**status, "session": session}))
    async with httpx.AsyncClient(trust_env=False) as http:
        source = PracticeVenueSource(kite.root, http)
        reading = await source.read()
    assert reading.market_time == datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
    assert (reading.speed, reading.is_open, reading.extended) == (2.0, True, True)
    assert reading.closes_at == datetime(2026, 11, 19, 16, 15, tzinfo=UTC)
    assert source.note == "practice market, seed 7, from snapshot"
