"""A tape, and a relayed feed, as the venue of a desk: what they say of themselves, and how the tape is moved."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from engine.clocks import SystemClock
from engine.core.errors import BrokerUnavailable, InvalidInput, Refused, SetupError
from engine.core.replay import ReplayAction, ReplayView
from engine.core.vocabulary import Venue
from tests.integration.venue.test_practice_venue import START_S, is_running
from tests.kit.local_door import until
from tests.kit.practice_process import PracticeProcess
from tests.kit.practice_tapes import RecordedMarket
from workstation.exchange_process import discard
from workstation.practice_source import PlaybackControl, PracticeVenueSource
from workstation.practice_venue import ExchangeAddress, PracticeSource, PracticeVenue, Relay


@contextlib.asynccontextmanager
async def opened(source: PracticeSource, folder: Path) -> AsyncIterator[ExchangeAddress]:
    """The exchange of a source; gone at the end."""
    venue = PracticeVenue(source, folder, SystemClock(), port=0, speed=60.0, linger_s=0.3, start_s=START_S)
    address = await venue.open()
    try:
        yield address
    finally:
        venue.close()
        await until(lambda: not is_running(address.pid), "the end of the exchange")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten recorded seconds."""
    recorded = RecordedMarket(strikes=6)
    return recorded.write(tmp_path_factory.mktemp("tapes"), recorded.records(10))


def replay_of(tape: Path) -> PracticeSource:
    """The source that plays a tape."""
    return PracticeSource(seed=7, start="auto", tape=tape)


async def test_a_tape_is_moved_and_says_where_it_stands(tape: Path, tmp_path: Path) -> None:
    """It starts paused; jumps, steps, plays to its end, and refuses in words what cannot be."""
    async with opened(replay_of(tape), tmp_path / "venue") as address, httpx.AsyncClient() as http:
        source, player = PracticeVenueSource(address.root, http), PlaybackControl(address.root, http)
        reading = await source.read()
        assert (source.venue, source.note) == (Venue.REPLAY, "tape NIFTY tape 19 Nov 2026 11:00-11:00")
        assert (reading.speed, reading.is_open) == (0.0, True)
        begin = await player.act(None)
        assert (begin.state, begin.now, begin.frames) == ("paused", begin.start, 0)
        target = begin.start + timedelta(seconds=5)
        await player.act(ReplayAction(seek=target))
        views: list[ReplayView] = []

        async def stands() -> bool:
            views.append(await player.act(None))
            return views[-1].state != "seeking"

        while not await stands():
            pass
        assert views[-1].now == target
        assert (await source.read()).market_time == target
        with pytest.raises(InvalidInput, match=r"between 0\.25 and 60"):
            await player.act(ReplayAction(speed=100.0))
        with pytest.raises(InvalidInput, match="is not on the tape"):
            await player.act(ReplayAction(seek=begin.end + timedelta(hours=1)))
        await player.act(ReplayAction(play=True, speed=60.0))
        while (await player.act(None)).state != "ended":
            pass
        with pytest.raises(Refused, match="has ended"):
            await player.act(ReplayAction(play=True))
        assert not (await source.read()).is_open


async def test_an_exchange_without_a_tape_has_no_player(tmp_path: Path) -> None:
    """It is said as an exchange that does not answer there."""
    source = PracticeSource(seed=7, start="2026-11-19T11:00:00+05:30")
    async with opened(source, tmp_path) as address, httpx.AsyncClient() as http:
        with pytest.raises(BrokerUnavailable, match="player of the tape"):
            await PlaybackControl(address.root, http).act(None)


async def test_a_relayed_feed_is_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says whose market it is; its credentials come from the environment."""
    monkeypatch.setenv("WORKSTATION_RELAY_KEY", "practice")
    monkeypatch.setenv("WORKSTATION_RELAY_TOKEN", "practice")
    async with PracticeProcess(tmp_path / "feed") as feed:
        source = PracticeSource(seed=7, start="auto", relay=Relay(feed.root, feed.websocket))
        async with opened(source, tmp_path / "paper") as address, httpx.AsyncClient() as http:
            venue = PracticeVenueSource(address.root, http)
            await venue.read()
            assert (venue.venue, venue.note) == (Venue.PAPER, f"paper, market of {feed.root}")


async def test_what_a_replay_keeps_can_be_thrown_away(tape: Path, tmp_path: Path) -> None:
    """Once its exchange has ended, and never under a running one."""
    folder = tmp_path / "venue"
    async with opened(replay_of(tape), folder):
        with pytest.raises(SetupError, match="still runs"):
            await discard(folder, SystemClock(), wait_s=0.1)
    assert await discard(folder, SystemClock(), wait_s=START_S)
    assert not await discard(folder, SystemClock(), wait_s=0.1)
