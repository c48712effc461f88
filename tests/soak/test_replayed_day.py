"""A trading day from 09:15 to 15:40, played at sixty times through the desk, twice: the same candles each time."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.client import EngineClient
from engine.core.bars import BarSource
from engine.core.replay import ReplayAction, ReplayView
from storage.embedded import EmbeddedPostgres
from tests.integration.market_data.tapes import (
    FASTEST,
    MONEY_CANDLES,
    PRICE_BARS,
    Rows,
    narrow_chain,
    replaying,
    rows_of,
    sought,
)
from tests.kit.database import postgres_server
from tests.kit.desk_host import Option, filled
from tests.kit.practice_tapes import RecordedMarket
from workstation.app import WorkstationApp
from workstation.presenters.settings import TerminalSettings
from workstation.screen_clock import ScreenClock

__all__ = ["postgres_server"]

OPEN = "2026-11-19T09:15:00+05:30"
MINUTES = 385
STRIKES = 12
LONGEST_S = 900.0
LOOK_S = 1.0
START, SOURCE = 2, 9
SOURCES = {BarSource.TICKS}


async def until_at(client: EngineClient, moment: datetime) -> ReplayView:
    """Wait until the tape has come to a moment, or to its end."""
    deadline = time.monotonic() + LONGEST_S
    while True:
        view = await client.replay()
        if view.now >= moment or view.state == "ended":
            return view
        assert time.monotonic() < deadline, f"the tape stands at {view.now}, {view.state}"
        await asyncio.sleep(LOOK_S)


async def the_day(client: EngineClient, *, wandering: bool) -> None:
    """Buy a call half a minute after the open, then play the day."""
    begin = await client.replay()
    await sought(client, begin.start + timedelta(seconds=30))
    option = Option(await narrow_chain(client), "ce")
    await filled(client, f"buy 1L {option.words} @ {option.ask}")
    await client.replay(ReplayAction(play=True, speed=FASTEST))
    if wandering:
        await until_at(client, begin.start + timedelta(minutes=40))
        await client.replay(ReplayAction(play=False))
        await sought(client, begin.start + timedelta(minutes=150))
        await sought(client, begin.start + timedelta(minutes=20))
        await client.replay(ReplayAction(play=True, speed=10.0))
        await until_at(client, begin.start + timedelta(minutes=22))
        await client.replay(ReplayAction(speed=FASTEST))
    assert (await until_at(client, begin.end)).state == "ended"


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_day_played_twice_is_the_same_day(postgres_server: EmbeddedPostgres, tmp_path: Path) -> None:
    """Straight through with the desk open, and paused, sought forward and back: rows of prices and money agree."""
    market = RecordedMarket(start=OPEN, strikes=STRIKES)
    tape = market.write(tmp_path, market.records(MINUTES * 60), name="a whole day")
    kept: list[tuple[Rows, Rows]] = []
    for wandering in (False, True):
        async with replaying(postgres_server, tape) as (desk, host):
            app = WorkstationApp(host.client, TerminalSettings(), ScreenClock(host.client))
            async with app.run_test(size=(120, 36)):
                await the_day(host.client, wandering=wandering)
            await host.engine.stop()
            kept.append((await rows_of(desk, PRICE_BARS), await rows_of(desk, MONEY_CANDLES)))
    (prices, money), again = kept
    assert (prices, money) == again
    minutes = {row[START] for row in prices}
    assert len(minutes) == MINUTES - 1, "the tape ends before its last minute is over"
    assert len(money) in {MINUTES - 1, MINUTES}
    assert {row[SOURCE] for row in prices} == SOURCES
