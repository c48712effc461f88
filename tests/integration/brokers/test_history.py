"""Historical candles over real sockets: what is sent, its pace, its errors, and the practice exchange's own candles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from engine.brokers.kite.rest import KiteReads
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.transport import KiteTransport
from engine.clocks import VenueClock
from engine.core.bars import BarInterval, BarSource, PriceBar
from engine.core.errors import BrokerError, BrokerRejected, BrokerUnavailable, InvalidInput, RateLimited, SessionExpired
from engine.core.identifiers import AccountId
from engine.core.instruments import Instrument
from engine.core.ports import BrokerReads
from engine.core.vocabulary import Exchange, InstrumentKind
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess
from tests.kit.scripted_kite import ScriptedKite, Step, raw_answer, refusal, success

NOW = datetime(2026, 11, 19, 6, 0, tzinfo=UTC)
START = datetime(2026, 11, 19, 3, 45, tzinfo=UTC)
ROW = ["2026-11-19T09:15:00+0530", 105.05, 107.1, 104.95, 106, 6500, 1_250_000]
TOKEN = (100 << 8) + 2
CURRENCY = (100 << 8) + 3
NIFTY = 256_265


class SteppingClock:
    """Waiting moves it, and is written down."""

    def __init__(self) -> None:
        self.begun = 100.0

    def market_now(self) -> datetime:
        return NOW

    def wall_now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return self.begun

    async def sleep(self, seconds: float) -> None:
        self.begun += seconds
        await asyncio.sleep(0)


class Bench:
    """Reads of a scripted broker."""

    def __init__(self, kite: ScriptedKite) -> None:
        self.kite = kite
        self.clock = SteppingClock()
        self.transport = KiteTransport(kite.root, KiteCredentials("key", "token"))
        self.reads: BrokerReads = KiteReads(
            self.transport,
            account=AccountId("AB1234"),
            clock=self.clock,
            random=Random(3),  # noqa: S311 - jitter
        )

    async def ask(self, token: int = TOKEN) -> tuple[PriceBar, ...]:
        """Candles of a token."""
        found = await self.reads.history(token, BarInterval.MINUTE, START, START + timedelta(minutes=5))
        return found.bars


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """A scripted broker and reads of it."""
    async with ScriptedKite() as kite:
        bench = Bench(kite)
        yield bench
        await bench.transport.aclose()


async def test_a_request_is_what_the_official_client_sends(bench: Bench) -> None:
    """Path and every parameter equal the official client's, which names the interval a second time."""
    from kiteconnect import KiteConnect

    bench.kite.script(success({"candles": []}))
    official = KiteConnect("key", "token", root=bench.kite.root)

    def theirs() -> None:
        official.historical_data(TOKEN, "2026-11-19 09:15:00", "2026-11-19 09:20:00", "minute", oi=True)
        official.reqsession.close()

    await asyncio.to_thread(theirs)
    await bench.ask()
    wanted, ours = bench.kite.received
    assert (ours.method, ours.path) == (wanted.method, wanted.path)
    assert sorted([*ours.query, ("interval", "minute")]) == sorted(wanted.query)


async def test_candles_have_the_tokens_decimal_places(bench: Bench) -> None:
    """Four-place and seven-place currencies keep theirs."""
    bench.kite.script(success({"candles": [ROW]}))
    assert (await bench.ask())[0].open == Decimal("105.05")
    assert (await bench.ask(CURRENCY))[0].open.as_tuple().exponent == -7


async def test_three_requests_begin_in_a_window(bench: Bench) -> None:
    """Ten requests at once take more than three windows; other reads have their own."""
    bench.kite.script(success({"candles": []}))
    await asyncio.gather(*(bench.ask() for _ in range(10)))
    assert bench.clock.begun == pytest.approx(103.3)


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (refusal(403, "TokenException", "Incorrect `access_token`."), SessionExpired),
        (refusal(429, "NetworkException", "Too many requests"), RateLimited),
        (refusal(400, "InputException", "invalid token"), BrokerRejected),
        (raw_answer("<html>", 502), BrokerUnavailable),
        (success({"rows": []}), BrokerUnavailable),
    ],
)
async def test_refusals_are_those_of_every_read(bench: Bench, step: Step, error: type[BrokerError]) -> None:
    """Sorted by what may be done next."""
    bench.kite.script(step)
    with pytest.raises(BrokerError) as caught:
        await bench.ask()
    assert type(caught.value) is error


async def test_a_longer_span_is_not_sent(bench: Bench) -> None:
    """The caller's mistake costs no request."""
    with pytest.raises(InvalidInput, match="60 days"):
        await bench.reads.history(TOKEN, BarInterval.MINUTE, START - timedelta(days=61), START)
    assert bench.kite.received == []


async def test_rows_that_are_no_candles_are_told(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The others are used."""
    bench.kite.script(success({"candles": [ROW, ["nonsense"]]}))
    assert len(await bench.ask()) == 1
    assert "1 rows were not understood" in caplog.text


async def test_the_practice_exchange_tells_its_past(tmp_path: Path) -> None:
    """Index and at-the-money option: finished minutes of the session, and the hour is the sum of its minutes."""
    async with PracticeProcess(tmp_path / "exchange", speed=0.0) as exchange:
        now = datetime.fromisoformat((await asyncio.to_thread(exchange.status))["market_time"])
        clock = VenueClock(now, speed=0.0, run_on_s=1.0)
        transport = KiteTransport(exchange.root, KiteCredentials(API_KEY, ACCESS_TOKEN))
        reads = KiteReads(transport, account=AccountId("PR0001"), clock=clock, random=Random(1))  # noqa: S311
        try:
            index = await reads.history(NIFTY, BarInterval.MINUTE, now - timedelta(days=1), now)
            assert index.bars
            assert all(bar.start + timedelta(minutes=1) <= now for bar in index.bars)
            future = _nearest_future(await reads.instruments(Exchange.NFO))
            minutes = (await reads.history(future.token, BarInterval.MINUTE, now - timedelta(days=1), now)).bars
            hours = (await reads.history(future.token, BarInterval.MINUTES_60, now - timedelta(days=1), now)).bars
        finally:
            await transport.aclose()
    assert {bar.source for bar in minutes} == {BarSource.HISTORY}
    assert all(bar.volume and bar.open_interest for bar in minutes)
    assert hours
    for hour in hours:
        inside = [bar for bar in minutes if hour.start <= bar.start < hour.start + timedelta(hours=1)]
        assert hour.volume == sum(bar.volume or 0 for bar in inside)
        assert (hour.open, hour.close) == (inside[0].open, inside[-1].close)
        assert (hour.high, hour.low) == (max(bar.high for bar in inside), min(bar.low for bar in inside))


def _nearest_future(rows: tuple[Instrument, ...]) -> Instrument:
    futures = [row for row in rows if row.kind is InstrumentKind.FUTURE and row.name == "NIFTY" and row.expiry]
    return min(futures, key=lambda row: str(row.expiry))
