"""The pool against the practice exchange process: silence on demand, a kill and a restart, a session refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from engine.brokers.kite.rest import KiteReads
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import TickerSettings
from engine.brokers.kite.transport import KiteTransport
from engine.clocks import SystemClock
from engine.core.identifiers import AccountId
from engine.core.vocabulary import Exchange, InstrumentKind, QuoteState
from engine.market.feed_pool import FeedKey
from tests.integration.feed.rig import Rig, running, until
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess

SILENCE_S = 2.5
"""The exchange beats once a second."""
TICKER = TickerSettings(
    silence_limit_s=SILENCE_S, tell_interval_s=0.01, backoff_initial_s=0.05, backoff_max_s=0.1, close_timeout_s=0.2
)
KEY = FeedKey(account=API_KEY, connections_max=3, connection_capacity=20)
TRUSTED = {QuoteState.LIVE, QuoteState.ONE_SIDED}


async def calls_of(exchange: PracticeProcess, count: int) -> list[int]:
    """Tokens of NIFTY options of the nearest expiry, around the middle of the list."""
    transport = KiteTransport(exchange.root, KiteCredentials(API_KEY, ACCESS_TOKEN))
    try:
        reads = KiteReads(transport, account=AccountId("PR0001"), clock=SystemClock(), random=Random(1))  # noqa: S311
        listed = await reads.instruments(Exchange.NFO)
    finally:
        await transport.aclose()
    options = [item for item in listed if item.name == "NIFTY" and item.kind is not InstrumentKind.FUTURE]
    nearest = min(item.expiry for item in options if item.expiry is not None)
    strikes = sorted((item.strike or 0, item.token) for item in options if item.expiry == nearest)
    middle = len(strikes) // 2
    return [token for _, token in strikes[middle - count // 2 : middle + count - count // 2]]


async def test_silence_a_kill_and_a_restart(tmp_path: Path) -> None:
    """Fifty options over three connections go stale and come back twice: after a silence and after kill -9."""
    exchange = PracticeProcess(tmp_path / "exchange")
    await asyncio.to_thread(exchange.start)
    again = PracticeProcess(tmp_path / "exchange", arguments=("--port", str(exchange.port)))
    try:
        tokens = await calls_of(exchange, 50)
        rig = Rig(
            {API_KEY: exchange.websocket},
            [KEY],
            ticker=TICKER,
            silence_s=SILENCE_S,
            tokens={API_KEY: ACCESS_TOKEN},
        )
        async with running(rig):
            rig.wishes.want("chain", tokens)
            rig.feed.sync()
            await until(lambda: rig.states_of(tokens) <= TRUSTED, "everything is heard")
            views = rig.feed.connection_views(0, session_open=True)
            assert [view.subscribed for view in views] == [20, 20, 10]
            fault = {"kind": "silent_socket", "seconds": 3 * SILENCE_S}
            await asyncio.to_thread(exchange.request, "POST", "/practice/faults", fault)
            await until(lambda: rig.states_of(tokens) == {QuoteState.STALE}, "everything is stale")
            await until(lambda: rig.feed.view(session_open=True).reconnects >= 3, "every connection was replaced")
            await asyncio.to_thread(exchange.request, "DELETE", "/practice/faults")
            await until(lambda: rig.states_of(tokens) <= TRUSTED, "everything is heard again")
            await asyncio.to_thread(exchange.kill)
            await until(lambda: rig.states_of(tokens) == {QuoteState.STALE}, "everything is stale")
            assert rig.feed.view(session_open=True).state is QuoteState.STALE
            await asyncio.to_thread(again.start)
            await until(lambda: rig.states_of(tokens) <= TRUSTED, "everything is heard from the new process")
            assert rig.feed.view(session_open=True).state is QuoteState.LIVE
            assert rig.feed.view(session_open=True).bad_frames == 0
    finally:
        await asyncio.to_thread(exchange.stop)
        await asyncio.to_thread(again.stop)


async def test_a_session_that_the_exchange_does_not_know(tmp_path: Path) -> None:
    """A wrong token is refused at the door, said as a login that is needed, and a right one goes on without restart."""
    async with PracticeProcess(tmp_path / "exchange") as exchange:
        (token,) = await calls_of(exchange, 1)
        rig = Rig({API_KEY: exchange.websocket}, [KEY], ticker=TICKER, silence_s=SILENCE_S, tokens={API_KEY: "wrong"})
        async with running(rig):
            rig.wishes.want("chain", [token])
            rig.feed.sync()
            await until(lambda: "log in again" in rig.feed.view(session_open=True).message, "a login is asked for")
            assert rig.feed.view(session_open=True).state is QuoteState.UNKNOWN
            rig.feed.renew(API_KEY, ACCESS_TOKEN)
            await until(lambda: rig.states_of([token]) <= TRUSTED, "the option is heard")
            assert rig.feed.view(session_open=True).message == ""
