"""Playing a tape: the same sequence however it is played, and a place on it that survives a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.practice.settings import ExchangeSettings
from engine.practice.tape_timeline import instants
from engine.practice.tape_venue import open_tape
from engine.practice.venue import StartError
from engine.practice.wire import KiteError
from engine.tape.reader import TapeReader, to_moment
from engine.tape.records import RecordKind, TapeRecord
from tests.kit.practice_tapes import SECOND_NS, RecordedMarket
from tests.kit.tape_desk import FASTEST, Desk, expected, playing

SECONDS = 40
GAP = (10, 15)


@pytest.fixture(scope="module")
def recorded() -> RecordedMarket:
    """The market that was recorded."""
    return RecordedMarket(strikes=12)


@pytest.fixture(scope="module")
def tape(recorded: RecordedMarket, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty seconds of it, with an outage of five."""
    return recorded.write(tmp_path_factory.mktemp("tapes"), recorded.records(SECONDS, gap=GAP))


def test_the_timeline_has_every_frame_and_every_second(tape: Path, recorded: RecordedMarket) -> None:
    """Also through the outage, during which only the seconds go on; never a time twice, never backwards."""
    reader = TapeReader(tape)
    times = [instant.market_ns for instant in instants(reader)]
    frames = [frame for instant in instants(reader) for frame in instant.frames]
    assert times == sorted(set(times))
    assert frames == [row.payload for row in reader.records() if row.kind is RecordKind.FRAME]
    start = recorded.start_ns
    assert {start + second * SECOND_NS for second in range(SECONDS)} <= set(times)
    quiet = [time for time in times if start + GAP[0] * SECOND_NS <= time < start + GAP[1] * SECOND_NS]
    assert quiet == [start + second * SECOND_NS for second in range(*GAP)]
    reader.close()


def test_what_is_no_frame_is_not_played(recorded: RecordedMarket, tmp_path: Path) -> None:
    """Order updates of the recording account would be taken for this replay's own."""
    start = recorded.start_ns
    private = b'{"type":"order","data":{"order_id":"1"}}'
    rows = [
        TapeRecord(RecordKind.FRAME, 0, start + 1, 0, recorded.frame(0)),
        TapeRecord(RecordKind.TEXT, 0, start + SECOND_NS, 0, private),
        TapeRecord(RecordKind.FRAME, 0, start + SECOND_NS + 1, 0, recorded.frame(1)),
    ]
    reader = TapeReader(recorded.write(tmp_path, rows))
    played = list(instants(reader))
    assert [instant.market_ns for instant in played] == [start + 1, start + SECOND_NS, start + SECOND_NS + 1]
    assert all(private not in instant.frames for instant in played)
    reader.close()


async def test_it_starts_paused_and_sends_nothing(tape: Path, tmp_path: Path) -> None:
    """A subscription made before the first frame gets nothing either."""
    async with playing(tmp_path, tape) as desk:
        for _ in range(50):
            await asyncio.sleep(0)
        view = desk.player.view()
        assert (view.state, view.frames, view.now) == ("paused", 0, view.start)
        assert desk.ear.heard == []
        assert not desk.exchange.market.frames.universe.row_of


async def straight(desk: Desk) -> None:
    """Play from beginning to end."""
    desk.act(play=True)


async def in_one_jump(desk: Desk) -> None:
    """As fast as it goes."""
    desk.act(seek=SECONDS - 0.5)


async def in_pieces(desk: Desk) -> None:
    """Steps within an instant, jumps into the outage and out of it, pauses, speeds."""
    desk.act(step_frames=1)
    await desk.stands()
    desk.act(step_frames=4)
    await desk.stands()
    await desk.sought(12.25)
    desk.act(play=True, speed=30.0)
    frames = desk.player.view().frames
    await desk.until(lambda: desk.player.view().frames > frames, "the tape to play")
    desk.act(play=False)
    await desk.sought(31.0)
    desk.act(step_frames=3)
    await desk.stands()
    desk.act(play=True, speed=FASTEST)


@pytest.mark.parametrize("way", [straight, in_one_jump, in_pieces])
async def test_the_sequence_is_the_tapes_own_however_it_is_played(
    way: Callable[[Desk], Any], tape: Path, tmp_path: Path
) -> None:
    """Clock by clock and byte by byte."""
    async with playing(tmp_path, tape) as desk:
        await way(desk)
        await desk.until(lambda: desk.state == "ended", "the end")
        assert desk.ear.heard == expected(tape)
        view = desk.player.view()
        assert (view.now, view.frames) == (view.end, sum(kind == "frame" for kind, _ in desk.ear.heard))


async def test_single_steps_play_single_frames(tape: Path, tmp_path: Path) -> None:
    """The two frames of an instant share one clock."""
    async with playing(tmp_path, tape) as desk:
        for number in (1, 2, 3):
            desk.act(step_frames=1)
            await desk.stands()
            assert [kind for kind, _ in desk.ear.heard].count("frame") == number
        assert [kind for kind, _ in desk.ear.heard] == ["time", "frame", "frame", "time", "frame"]


async def test_it_plays_at_its_speed(tape: Path, tmp_path: Path) -> None:
    """Forty seconds at sixty times take two thirds of one, and not less."""
    async with playing(tmp_path, tape) as desk:
        clock = asyncio.get_running_loop().time
        began = clock()
        desk.act(play=True)
        await desk.until(lambda: desk.state == "ended", "the end")
        assert clock() - began >= (SECONDS - 1) / FASTEST


async def test_back_is_the_tape_again_from_its_beginning(tape: Path, tmp_path: Path) -> None:
    """Said by a restart, and then the same sequence; the newest packets of the end are forgotten."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(30.0)
        before = len(desk.ear.heard)
        await desk.sought(5.0)
        view = desk.player.view()
        assert view.now == view.start + timedelta(seconds=5)
        again = desk.ear.heard[before:]
        assert again[0] == ("restart", desk.venue.reader.start_ns)
        assert again[1:] == expected(tape)[: len(again) - 1]
        assert desk.exchange.floor.quotes.moment == desk.exchange.floor.now()


async def test_market_time_is_the_tapes(tape: Path, tmp_path: Path) -> None:
    """Of orders, of the status, and it stands still while the tape is paused."""
    async with playing(tmp_path, tape) as desk:
        await desk.sought(20.0)
        assert desk.exchange.floor.now() == desk.venue.reader.start_ns / SECOND_NS + 20.0
        assert desk.exchange.floor.clock.speed == 0.0
        desk.act(play=True)
        assert desk.exchange.floor.clock.speed == FASTEST
        with pytest.raises(KiteError, match="/practice/playback"):
            desk.exchange.advance(1.0)
        with pytest.raises(KiteError, match="/practice/playback"):
            desk.exchange.set_speed(1.0)


async def test_a_kill_within_an_instant_loses_none_of_its_frames(tape: Path, tmp_path: Path) -> None:
    """Single steps stop between the two frames of an instant."""
    async with playing(tmp_path, tape) as desk:
        desk.act(step_frames=3)
        await desk.stands()
        heard = len(desk.ear.heard)
    async with playing(tmp_path, tape) as desk:
        await desk.stands()
        desk.act(step_frames=1)
        await desk.until(lambda: bool(desk.ear.heard), "the other frame")
        assert desk.ear.heard == expected(tape)[heard : heard + 1]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"speed": 0.1}, "between 0.25 and 60"),
        ({"speed": 61.0}, "between 0.25 and 60"),
        ({"seek": -1.0}, "is not on the tape"),
        ({"seek": 3600.0}, "is not on the tape"),
        ({"step_frames": 0}, "at least 1"),
    ],
)
async def test_what_cannot_be_is_refused_whole(asked: dict[str, Any], words: str, tape: Path, tmp_path: Path) -> None:
    """With the allowed values in words, and nothing else of the request is done."""
    async with playing(tmp_path, tape) as desk:
        before = desk.player.view()
        with pytest.raises(KiteError, match=words):
            desk.act(**({"play": True} | asked))
        assert desk.player.view() == before


def test_a_folder_that_is_no_tape_and_a_speed_that_is_none(tape: Path, tmp_path: Path) -> None:
    """Refused at the start, in words."""
    settings = ExchangeSettings(state=tmp_path)
    with pytest.raises(StartError, match="no tape"):
        open_tape(settings, tmp_path / "nowhere")
    with pytest.raises(StartError, match=r"between 0\.25 and 60"):
        open_tape(replace(settings, speed=0.0), tape)


def test_the_book_of_another_tape_is_not_used(tape: Path, recorded: RecordedMarket, tmp_path: Path) -> None:
    """A replay is its tape."""
    other = recorded.write(tmp_path / "other", recorded.records(2), "other")
    settings = ExchangeSettings(state=tmp_path / "state")
    settings.state.mkdir()
    open_tape(settings, tape).close()
    with pytest.raises(RuntimeError, match="book of another venue"):
        open_tape(settings, other)


def test_a_tape_is_named_by_any_of_its_files(tape: Path, tmp_path: Path) -> None:
    """And begins where its first record lies."""
    venue = open_tape(ExchangeSettings(state=tmp_path), next(tape.glob("*.tape")))
    view = venue.player.view()
    assert view.start == to_moment(venue.reader.start_ns)
    assert view.tape == "NIFTY tape"
    venue.close()
