"""Pictures of the engine room, one for each state that matters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

import pytest

from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_engine_room import amiss
from tests.tui.harness import Desk, before_picture
from tests.tui.test_engine_room import everything_amiss
from tests.tui.test_snapshots import live, reader
from workstation.presenters.settings import TerminalSettings


def no_room(engine: FakeEngineClient) -> None:
    """More is wanted than can be carried."""
    engine.set_room(refused=amiss(engine.clock.market_now()).refused, subscribed=9_000)


def stale_connection(engine: FakeEngineClient) -> None:
    """One connection is silent."""
    room = engine.room
    engine.set_room(
        connections=(room.connections[0], amiss(engine.clock.market_now()).connections[1], room.connections[2])
    )


def recording(engine: FakeEngineClient) -> None:
    """A tape is written, and the disk is too slow."""
    wrong = amiss(datetime(2027, 1, 14, 5, 32, 41, tzinfo=UTC))
    engine.set_room(recorder=wrong.recorder, queues=wrong.queues)


def login_needed(engine: FakeEngineClient) -> None:
    """One account's session has ended."""
    engine.set_room(accounts=amiss(engine.clock.market_now()).accounts)


def no_answer(engine: FakeEngineClient) -> None:
    """The engine room cannot be read."""
    engine.room_failing = "the engine does not answer"


@pytest.fixture
def picture(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Compare one screen with its accepted picture."""

    def compare(
        size: tuple[int, int],
        keys: tuple[str, ...] = ("g", "n"),
        state: Callable[[FakeEngineClient], None] = live,
        settings: TerminalSettings | None = None,
    ) -> bool:
        desk = Desk(settings)
        state(desk.engine)
        app: Any | PurePath = desk.app
        return snap_compare(app, terminal_size=size, run_before=before_picture(desk, *keys))

    return compare


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", [live, everything_amiss], ids=lambda state: state.__name__)
def test_picture(
    picture: Callable[..., bool], size: tuple[int, int], state: Callable[[FakeEngineClient], None]
) -> None:
    """At every size it is made for: nothing amiss, and one thing of each kind."""
    assert picture(size, state=state)


@pytest.mark.parametrize(
    "state", [stale_connection, no_room, recording, login_needed, no_answer, reader], ids=lambda state: state.__name__
)
def test_picture_in_state(picture: Callable[..., bool], state: Callable[[FakeEngineClient], None]) -> None:
    """Each state says in words what it is."""
    assert picture((120, 36), state=state)


@pytest.mark.parametrize("part", ["2", "3", "6", "7"])
def test_picture_of_a_part_at_80(picture: Callable[..., bool], part: str) -> None:
    """One part alone on a small screen."""
    assert picture((80, 24), ("g", "n", "w", part), everything_amiss)


def test_picture_without_colour(picture: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: everything that is wrong is still said, in words and marks."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert picture((120, 36), state=everything_amiss)


def test_picture_on_a_plain_light_terminal(picture: Callable[..., bool]) -> None:
    """Plain signs, on the light theme."""
    assert picture((120, 36), ("g", "n"), everything_amiss, TerminalSettings(glyphs="ascii", theme="desk-light"))
