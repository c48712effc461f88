"""``workstation replay``: its words, the moment a person names, and what the engine is asked."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.errors import InvalidInput
from engine.core.replay import ReplayAction, ReplayView
from workstation.cli.main import _parser, _with_state
from workstation.cli.replay import begin, read_moment
from workstation.cli.running import _settle_place, _settle_tape, _with_market, market_words
from workstation.settings import Configuration

START = datetime(2026, 11, 20, 3, 45, tzinfo=UTC)
VIEW = ReplayView(
    tape="NIFTY",
    start=START,
    end=datetime(2026, 11, 20, 10, 10, tzinfo=UTC),
    now=START,
    speed=1.0,
    state="paused",
)


class Engine:
    """An engine with a tape, that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ReplayAction] = []

    async def replay(self, action: ReplayAction | None = None) -> ReplayView:
        """Where the tape stands."""
        if action is not None:
            self.asked.append(action)
        return VIEW


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("11:00", datetime(2026, 11, 20, 5, 30, tzinfo=UTC)),
        ("11:00:30", datetime(2026, 11, 20, 5, 30, 30, tzinfo=UTC)),
        ("2026-11-20T11:00:00", datetime(2026, 11, 20, 5, 30, tzinfo=UTC)),
        ("2026-11-20T05:30:00+00:00", datetime(2026, 11, 20, 5, 30, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_as_a_person_writes_it(text: str, moment: datetime) -> None:
    """A time of day is Indian time of the tape's day."""
    assert read_moment(text, VIEW) == moment


@pytest.mark.parametrize(
    ("text", "words"),
    [("soon", "is no time"), ("08:00", "is not on the tape"), ("2026-11-19T11:00", "09:15:00 to 15:40")],
)
def test_a_moment_that_is_none_is_refused(text: str, words: str) -> None:
    """With what is allowed."""
    with pytest.raises(InvalidInput, match=words):
        read_moment(text, VIEW)


async def test_the_engine_is_asked_once_for_everything() -> None:
    """Speed, moment and play in one action; nothing when nothing was said."""
    engine = Engine()
    await begin(engine, None, speed=None, play=False)  # type: ignore[arg-type]
    assert engine.asked == []
    await begin(engine, "11:00", speed=30.0, play=True)  # type: ignore[arg-type]
    assert engine.asked == [ReplayAction(play=True, speed=30.0, seek=datetime(2026, 11, 20, 5, 30, tzinfo=UTC))]
    await begin(engine, None, speed=None, play=True)  # type: ignore[arg-type]
    assert engine.asked[1:] == [ReplayAction(play=True)]


def read(*words: str) -> argparse.Namespace:
    """A command line as the program takes it."""
    options = _parser().parse_args(words)
    _settle_tape(options)
    return options


def test_a_tape_on_the_command_line_is_a_replay(tmp_path: Path) -> None:
    """By the command, or by the market option before any other command; another process is told the same."""
    for words in (["replay", str(tmp_path)], ["--tape", str(tmp_path), "orders"], ["--tape", str(tmp_path), "replay"]):
        options = read(*words)
        venue = _with_market(Configuration(), options).venue
        assert (venue.kind, venue.tape) == ("replay", str(tmp_path))
        assert market_words(options) == ["--tape", str(tmp_path)]


def test_an_exchange_that_runs_alone_has_a_folder_for_each_market() -> None:
    """The books of a tape, of paper trading and of a made-up market never meet."""
    folders = [_with_state(words, Path("/data"))[1] for words in ([], ["--tape", "a"], ["--tape", "b"], ["--relay"])]
    assert len(set(folders)) == 4
    assert _with_state(["--tape", "a"], Path("/data"))[1] == folders[1]


def test_paper_is_a_market_of_its_own(tmp_path: Path) -> None:
    """And no other one beside it."""
    options = read("--paper", "orders")
    assert _with_market(Configuration(), options).venue.kind == "paper"
    assert market_words(options) == ["--paper"]
    with pytest.raises(InvalidInput, match="different markets"):
        _with_market(Configuration(), read("--paper", "--tape", str(tmp_path)))


def test_an_engine_elsewhere_has_its_own_tape(tmp_path: Path) -> None:
    """Its speed may be asked for, its market not."""
    there = ["--connect", "ws://127.0.0.1:1", "replay"]
    _settle_place(read(*there, "--speed", "2"))
    with pytest.raises(InvalidInput, match="own market"):
        _settle_place(read(*there, str(tmp_path)))
