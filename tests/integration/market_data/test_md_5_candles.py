"""MD-5 and CHAIN-3: candles of ticks agree with the exchange's own, holes are filled, and chains keep their minutes.

One engine in a process of its own watches a chain for some minutes and is killed; market time goes on without anybody;
another engine starts on the same records.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
import pytest_asyncio

from engine.bars_settings import BarsSettings
from engine.core.analysis import SeriesView
from engine.core.bars import BarInterval, BarSource, BarsView
from engine.core.identifiers import InstrumentKey
from engine.core.views import ChainKey
from engine.settings import SeriesSettings
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, Headless, new_console
from tests.integration.market_data.engines import attached_to
from tests.integration.market_data.tapes import PRICE_BARS, rows_of
from tests.kit.desk_host import BROKER_POLL_S, Exchange, attached, eventually, live_chain, until
from workstation.assembly import Host
from workstation.formatting import india

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEED = 20.0
MINUTES, HOLE = 3, 6
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
MINUTE_S = 60
LINGER_S = 5.0
"""The exchange has to outlive one engine until the other is there."""
INDEX, INDEX_TOKEN = InstrumentKey.parse("NSE:NIFTY 50"), 256265
EDGE = 0.2
"""Part of a minute's volume that may lie in its neighbour: a frame comes every ten seconds, each edge is one frame late
at most, and what the way took."""
SYMBOL, START, SOURCE = 1, 2, 9
"""Places in a row of candles."""


@dataclass
class Story:
    """What the killed engine had seen, and the one after it."""

    console: Console
    option: InstrumentKey
    token: int
    chain: ChainKey
    strike: float
    begin: datetime
    killed: datetime
    ticks: dict[InstrumentKey, BarsView]
    of_expiry: SeriesView
    of_strike: SeriesView
    host: Host | None = None

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Some minutes before the first engine until some after it."""
        return self.begin - 5 * MINUTE, self.killed + HOLE * MINUTE

    @property
    def hole(self) -> set[int]:
        """Starts of the minutes of which nobody saw the end, epoch seconds."""
        first = int(self.killed.timestamp()) // MINUTE_S * MINUTE_S
        return set(range(first, first + HOLE * MINUTE_S, MINUTE_S))

    @property
    def exchange(self) -> Exchange:
        """The exchange's own routes."""
        assert self.host is not None
        return Exchange(self.host.exchange.root)

    async def settled(self, key: InstrumentKey) -> BarsView:
        """All minutes of an instrument, once nothing is missing."""
        assert self.host is not None
        client = self.host.client

        async def look() -> BarsView | None:
            view = await client.bars(key, BarInterval.MINUTE, *self.span)
            return None if view.gaps else view

        return await eventually(look, f"candles of {key} without gaps", poll_s=0.2)


async def watch_and_die(console: Console, engine: Headless) -> Story:
    """Watch for some minutes, note what is there, and kill the engine."""
    async with attached_to(engine) as client:
        chain = await live_chain(client)
        assert chain.header.atm_strike is not None
        row = int(np.argmin(np.abs(chain.strikes - chain.header.atm_strike)))
        token, strike = int(chain.calls.token[row]), float(chain.strikes[row])
        (option,) = [item.key for item in await client.search(f"nifty {strike:.0f} ce w0") if item.token == token]
        begin = client.desk().status.session.market_time
        over = begin.replace(second=10, microsecond=0) + (MINUTES + 1) * MINUTE
        await until(lambda: client.desk().status.session.market_time > over, f"{MINUTES} whole minutes")
        await Exchange(engine.ready["exchange_root"]).speed(0)
        killed = client.desk().status.session.market_time
        span = (begin - 5 * MINUTE, killed)
        ticks = {key: await client.bars(key, BarInterval.MINUTE, *span) for key in (INDEX, option)}
        of_expiry = await client.series(chain.key, *span)
        of_strike = await client.series(chain.key, *span, strike=strike)
        await asyncio.to_thread(engine.end, signal.SIGKILL)
    return Story(console, option, token, chain.key, strike, begin, killed, ticks, of_expiry, of_strike)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(postgres_server: EmbeddedPostgres) -> AsyncIterator[Story]:
    """Everything that happens before the tests look; the second engine runs while they do."""
    with new_console(postgres_server, "md 5", speed=SPEED, linger_s=LINGER_S) as console:
        desk, series = console.desk, SeriesSettings(save_s=0.2)
        desk.changed(engine={"venue_poll_s": 0.2, "series": series, "bars": BarsSettings(history=False, save_s=0.2)})
        console.write_configuration()
        engine = await asyncio.to_thread(console.headless)
        told = await watch_and_die(console, engine)
        exchange = Exchange(engine.ready["exchange_root"])
        await exchange.ask("POST", "/practice/clock", {"advance_seconds": HOLE * MINUTE_S})
        await exchange.speed(SPEED)
        desk.changed(engine={"bars": BarsSettings(look_s=0.2, patience_s=2.0, settle_s=2.0, save_s=0.2)})
        async with desk.opened(with_door=True) as told.host:
            assert told.host is not None
            await told.host.client.watch([told.token])
            yield told


@pytest.mark.parametrize("kind", ["index", "option"])
async def test_md_5_candles_of_ticks_agree_with_the_exchange(story: Story, kind: str) -> None:
    """Prices are such as traded in the minute; volume is whole but for what the edges of the minute take and give."""
    key, token = (INDEX, INDEX_TOKEN) if kind == "index" else (story.option, story.token)
    ticks = story.ticks[key]
    begin, end = (f"{india(moment):%Y-%m-%d %H:%M:%S}" for moment in story.span)
    path = f"/instruments/historical/{token}/minute?{urlencode({'from': begin, 'to': end})}"

    async def asked() -> dict[str, Any] | None:
        try:
            return dict(await story.exchange.ask("GET", path))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            return None  # the engine fills its gaps at the same time, and the limit is shared

    answer = await eventually(asked, "an answer of the exchange's history", poll_s=BROKER_POLL_S)
    own = {int(datetime.fromisoformat(row[0]).timestamp()): row[1:] for row in answer["candles"]}
    finished = ticks.start + MINUTE_S <= story.killed.timestamp()
    watched = np.flatnonzero((ticks.source == BarSource.TICKS) & finished).tolist()
    assert len(watched) >= MINUTES
    for place in watched:
        start = int(ticks.start[place])
        opened, high, low, close, volume = own[start][:5]
        before = own[start - MINUTE_S]
        assert min(low, before[3]) <= ticks.low[place] <= ticks.high[place] <= max(high, before[3])
        assert abs(ticks.open[place] - opened) <= high - low
        assert abs(ticks.close[place] - close) <= high - low
        if kind == "option":
            assert abs(ticks.volume[place] - volume) <= EDGE * volume
        else:
            assert np.isnan(ticks.volume[place]), "an index has no volume"


@pytest.mark.parametrize("kind", ["index", "option"])
async def test_md_5_a_hole_is_filled_from_history(story: Story, kind: str) -> None:
    """Minutes in which no engine ran are the broker's, also of the option; what was watched stays as it was."""
    key = INDEX if kind == "index" else story.option
    view = await story.settled(key)
    source = dict(zip(view.start.tolist(), view.source.tolist(), strict=True))
    assert {source[start] for start in story.hole} == {BarSource.HISTORY}
    assert np.diff(view.start).tolist() == [MINUTE_S] * (view.start.size - 1), "one candle each minute"
    seen = story.ticks[key]
    for place in np.flatnonzero(seen.source == BarSource.TICKS).tolist():
        again = int(np.searchsorted(view.start, seen.start[place]))
        if view.source[again] == BarSource.TICKS:
            assert [view.open[again], view.close[again]] == [seen.open[place], seen.close[place]]


async def test_md_5_the_hole_is_filled_without_being_asked_for(story: Story) -> None:
    """What is watched is stored: the database has the hole's minutes of index and option."""

    async def stored() -> bool:
        rows = await rows_of(story.console.desk, PRICE_BARS)
        of_history = {(row[SYMBOL], int(row[START].timestamp())) for row in rows if row[SOURCE] == BarSource.HISTORY}
        return all((key.tradingsymbol, start) in of_history for key in (INDEX, story.option) for start in story.hole)

    assert await eventually(stored, "the hole in the database", poll_s=0.2)


async def test_md_5_longer_candles_are_their_minutes(story: Story) -> None:
    """Five minutes: first open, highest, lowest, last close, sum of volumes; over the door the same as in process."""
    minutes = await story.settled(story.option)
    assert story.host is not None
    async with attached(story.host) as remote:
        fives = await remote.bars(story.option, BarInterval.MINUTES_5, *story.span)
    begins = minutes.start // 300 * 300  # the session begins at a multiple of five minutes
    compared = 0
    for place, start in enumerate(fives.start.tolist()):
        own = np.flatnonzero(begins == start)
        if own.size < 5 or start < minutes.start[0]:
            continue
        compared += 1
        assert fives.open[place] == minutes.open[own[0]]
        assert fives.high[place] == minutes.high[own].max()
        assert fives.low[place] == minutes.low[own].min()
        assert fives.close[place] == minutes.close[own[-1]]
        assert fives.volume[place] == minutes.volume[own].sum()
    assert compared >= 1


async def test_chain_3_an_expiry_and_its_strikes_have_a_series_of_minutes(story: Story) -> None:
    """Each watched minute is there, for the expiry and for a strike, and survives the kill; nobody invents the hole."""
    assert story.host is not None
    for seen, strike in ((story.of_expiry, None), (story.of_strike, story.strike)):
        assert seen.minute.size >= MINUTES
        assert np.diff(seen.minute).tolist() == [MINUTE_S] * (seen.minute.size - 1)
        again = await story.host.client.series(story.chain, *story.span, strike=strike)
        assert again.minute.tolist() == seen.minute.tolist()
        name = "straddle" if strike is None else "call_price"
        assert again.columns[name].tolist() == seen.columns[name].tolist()
        assert np.isfinite(again.columns[name]).all()
    assert not story.hole - {int(story.of_expiry.minute[-1])} & set(story.of_expiry.minute.tolist())
    straddle = story.of_expiry.columns["straddle"]
    assert (np.abs(np.diff(straddle)) / straddle[:-1] < 0.1).all(), "minutes of one market"
