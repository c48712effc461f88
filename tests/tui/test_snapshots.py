"""Pictures of the Desk, one for each state that matters. The clock stands still and the market is made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import msgspec
import pytest

from engine.core.vocabulary import Mode, QuoteState, Venue
from tests.kit.fake_engine import FakeEngineClient
from tests.tui.harness import Desk, before_picture
from workstation.presenters.settings import TerminalSettings

SnapCompare = Callable[..., bool]
SIZES = [(80, 24), (120, 36), (160, 45), (200, 60)]


def live(engine: FakeEngineClient) -> None:
    """Nothing special."""


def loading(engine: FakeEngineClient) -> None:
    """The engine has just started."""
    engine.loading = True
    engine.degraded = ("instruments: reading the dump of NFO",)
    engine.set_feed(state=QuoteState.UNKNOWN, age_s=None, connections=0, message="waiting for the first contract")


def empty(engine: FakeEngineClient) -> None:
    """Nothing is held and no price is known."""
    engine.strategy_list.clear()
    engine.legs.clear()
    engine.order_list.clear()
    engine.event_list.clear()
    engine.set_quote_state(QuoteState.UNKNOWN)


def stale(engine: FakeEngineClient) -> None:
    """The path of the prices is suspect."""
    engine.age_s = 7.2
    engine.degraded = ("feed: connection 1 is silent and is being replaced",)
    engine.set_quote_state(QuoteState.STALE)
    engine.set_feed(state=QuoteState.STALE, age_s=7.2)


def disconnected(engine: FakeEngineClient) -> None:
    """There is no connection."""
    stale(engine)
    engine.degraded = ("feed: no connection, trying again in 4s",)
    engine.set_feed(state=QuoteState.STALE, age_s=31.0, connections=0)


def closed(engine: FakeEngineClient) -> None:
    """The session is over."""
    engine.age_s = 64.0
    engine.close_market()


def unknown_order(engine: FakeEngineClient) -> None:
    """An order got no answer."""
    engine.lose(2)
    engine.clock.advance(2.1)


def reader(engine: FakeEngineClient) -> None:
    """Another engine writes; the venue is simulated."""
    engine.writer = False
    engine.mode = Mode.READ
    engine.venue = Venue.PRACTICE
    engine.venue_note = "seed 7 from 14 Jan"
    engine.session = msgspec.structs.replace(engine.session, extended=True, speed=2.0)


STATES = [loading, empty, stale, disconnected, closed, unknown_order, reader]


@pytest.fixture
def picture(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Compare one Desk with its accepted picture."""

    def compare(
        size: tuple[int, int],
        state: Callable[[FakeEngineClient], None] = live,
        keys: tuple[str, ...] = (),
        settings: TerminalSettings | None = None,
    ) -> bool:
        desk = Desk(settings)
        state(desk.engine)
        app: Any | PurePath = desk.app
        return snap_compare(app, terminal_size=size, run_before=before_picture(desk, *keys))

    return compare


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_live_desk(picture: SnapCompare, size: tuple[int, int]) -> None:
    """The Desk with a living market, at every size it is made for."""
    assert picture(size)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
@pytest.mark.parametrize("size", SIZES[:2], ids=lambda size: f"{size[0]}x{size[1]}")
def test_desk_in_state(picture: SnapCompare, size: tuple[int, int], state: Callable[[FakeEngineClient], None]) -> None:
    """Each state says in words what it is, at both common sizes."""
    assert picture(size, state)


def test_wide_unknown_order(picture: SnapCompare) -> None:
    """A wide screen with an order of unknown outcome and an unfolded strategy."""
    assert picture((160, 45), unknown_order, ("w", "4", "j", "j", "l"))


def test_reader_at_full_width(picture: SnapCompare) -> None:
    """The richest size on a simulated venue: dotted rules, the venue's word first, VIEW instead of a mode."""
    assert picture((200, 60), reader)


def test_too_small(picture: SnapCompare) -> None:
    """Below the least size: day P&L, open strategies, and why there is no more."""
    assert picture((40, 10))


def test_help(picture: SnapCompare) -> None:
    """Every key, from the registry."""
    assert picture((80, 24), live, ("question_mark",))


def test_draft_in_the_ticket(picture: SnapCompare) -> None:
    """Ten lots drafted: the ticket shows what Enter would open."""
    assert picture((120, 36), live, ("1", "0", "s"))


def test_review(picture: SnapCompare) -> None:
    """A review that may be sent."""
    assert picture((80, 24), live, ("1", "0", "s", "enter"))


def test_review_with_violations(picture: SnapCompare) -> None:
    """Every refusal at once, and no Send."""
    assert picture((120, 36), reader, ("9", "9", "b", "enter"))


def test_command_bar_error(picture: SnapCompare) -> None:
    """A wrong sentence: what is wrong, what would fit, and where."""
    keys = ("colon", *(" space " if sign == " " else sign for sign in "buy"), "space", "2", "L", "space", *"nifty")
    rest = ("space", *"24000", "space", *"ce", "space", *"w7")
    assert picture((120, 36), live, (*keys, *rest))


def test_light_theme(picture: SnapCompare) -> None:
    """The light theme with a frozen picture."""
    assert picture((120, 36), live, ("space",), TerminalSettings(theme="desk-light"))


def test_quit_dialog(picture: SnapCompare) -> None:
    """Leaving says what goes on."""
    assert picture((80, 24), unknown_order, ("q",))
