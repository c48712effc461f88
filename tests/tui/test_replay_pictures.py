"""Pictures of a replay, one for each state that matters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pytest

from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_engine_room import TAPE_END
from tests.tui.harness import Desk, before_picture
from tests.tui.test_replay_screen import at, replay
from workstation.presenters.settings import TerminalSettings

PLAYING = replay(state="playing", speed=10.0)
SEEKING = replay(state="seeking", speed=10.0, target=at(13, 5))
ENDED = replay(state="ended", speed=60.0, now=TAPE_END, damage="segment 4 is torn after 15:39:58")


def elsewhere(engine: FakeEngineClient) -> None:
    """No replay."""


@pytest.fixture
def picture(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Compare one screen with its accepted picture."""

    def compare(
        size: tuple[int, int],
        state: Callable[[FakeEngineClient], None],
        keys: tuple[str, ...] = ("g", "r"),
        settings: TerminalSettings | None = None,
    ) -> bool:
        desk = Desk(settings)
        state(desk.engine)
        app: Any | PurePath = desk.app
        return snap_compare(app, terminal_size=size, run_before=before_picture(desk, *keys))

    return compare


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_playing(picture: Callable[..., bool], size: tuple[int, int]) -> None:
    """At every size it is made for."""
    assert picture(size, PLAYING)


@pytest.mark.parametrize(
    "state", [replay(), SEEKING, ENDED, elsewhere], ids=["paused", "seeking", "ended", "no_replay"]
)
def test_picture_in_state(picture: Callable[..., bool], state: Callable[[FakeEngineClient], None]) -> None:
    """Each state says in words what it is."""
    assert picture((80, 24), state)


def test_picture_of_the_desk(picture: Callable[..., bool]) -> None:
    """The Desk on a tape: the venue's word, state and speed, dotted rules, keys of the tape."""
    assert picture((120, 36), PLAYING, ())


def test_picture_of_typing_a_time(picture: Callable[..., bool]) -> None:
    """The prompt, and why the last attempt was wrong."""
    assert picture((80, 24), PLAYING, ("g", "r", "1", "3", "colon", "9", "9", "enter"))


def test_picture_without_colour(picture: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR and plain signs: state, place and goal are still told."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert picture((80, 24), SEEKING, ("g", "r"), TerminalSettings(glyphs="ascii"))
