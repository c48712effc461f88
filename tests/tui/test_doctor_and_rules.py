"""Doctor and rules as screens: what they ask and when, what they show first, and their pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from pathlib import PurePath
from typing import Any

import pytest

from engine.core.views import Check
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_engine_room import CONTRADICTIONS
from tests.tui.harness import Desk, before_picture
from tests.tui.test_snapshots import live, reader
from workstation.presenters.settings import TerminalSettings
from workstation.screens.desk import DeskScreen
from workstation.screens.doctor import DoctorScreen
from workstation.screens.rules import RulesScreen
from workstation.widgets.panes import LinePane

BLOCKED = Check(
    name="order address",
    outcome="block",
    message=(
        "203.0.113.7 is not the registered primary address, orders would be refused; register it at the broker, or "
        "start the engine where it is registered"
    ),
)
NOTED = Check(name="guards", outcome="note", message="2 day guards of #2 ended at yesterday's close")


def page(desk: Desk) -> str:
    """What stands on the page of the screen on top."""
    screen = desk.app.screen
    pane = screen.query_one("#doctor-page, #rules-list", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


def words(desk: Desk) -> str:
    """The page with single blanks."""
    return " ".join(page(desk).split())


def standing(desk: Desk, name: str) -> str:
    """A standing line of the screen on top."""
    pane = desk.app.screen.query_one(f"#{name}", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


def sick(engine: FakeEngineClient) -> None:
    """One check blocks, one notes."""
    engine.checks = (*engine.checks, NOTED, BLOCKED)


def contradicted(engine: FakeEngineClient) -> None:
    """The dump says otherwise, and something is not known."""
    engine.contradictions = CONTRADICTIONS
    engine.unknown_rules = ("No holiday list of 2028 is known.",)


# --- doctor --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("g", "h"), ("f9",), ("g", "n", "g", "h")])
async def test_the_doctor_opens_and_leads_back(keys: tuple[str, ...]) -> None:
    """Keys g h and F9; Esc is the Desk again."""
    async with Desk().running() as desk:
        await desk.press(*keys)
        assert isinstance(desk.app.screen, DoctorScreen)
        await desk.press("escape")
        assert desk.app.screen.id == "desk"


async def test_every_check_is_shown_with_its_outcome_as_a_word() -> None:
    """Blocking ones first; messages whole, over several lines; the counts in the title."""
    desk = Desk()
    sick(desk.engine)
    async with desk.running(80, 24) as desk:
        await desk.press("g", "h")
        text = words(desk)
        assert "3 pass 1 note 1 block" in text
        assert text.index("block order address") < text.index("note guards") < text.index("ok login")
        for check in desk.engine.checks:
            assert f"{check.outcome} {check.name} {check.message}" in text


async def test_it_asks_when_told_and_never_by_itself() -> None:
    """Once when opened, once for each r; time alone asks nothing; while it runs a second r waits."""
    async with Desk().running() as desk:
        await desk.press("g", "h")
        desk.clock.advance(3_600.0)
        await desk.settle()
        assert desk.engine.doctor_calls == 1
        sick(desk.engine)
        await desk.press("r")
        assert desk.engine.doctor_calls == 2
        assert "1 block" in words(desk)
        gate, plain = asyncio.Event(), desk.engine.doctor

        async def slow() -> Any:
            await gate.wait()
            return await plain()

        desk.engine.doctor = slow  # type: ignore[method-assign]
        await desk.press("r")
        assert "running" in words(desk)
        assert "1 block" in words(desk), "the last answer stays"
        await desk.press("r")
        assert "The checks are running." in standing(desk, "ghost")
        gate.set()
        await desk.settle()
        assert "running" not in words(desk)
        assert desk.engine.doctor_calls == 3


async def test_a_doctor_that_fails_says_why() -> None:
    """The sentence instead of checks; r tries again; an answer that fails later keeps the last one."""
    async with Desk().running() as desk:
        desk.engine.doctor_failing = "the engine does not answer"
        await desk.press("g", "h")
        assert "the engine does not answer" in words(desk)
        desk.engine.doctor_failing = ""
        await desk.press("r")
        assert "3 pass 0 note 0 block" in words(desk)
        assert "does not answer" not in words(desk)
        desk.engine.doctor_failing = "the engine does not answer"
        await desk.press("r")
        assert "the engine does not answer" in words(desk)
        assert "3 pass 0 note 0 block" in words(desk)


async def test_an_unknown_outcome_is_never_taken_for_a_pass() -> None:
    """A word that nobody knows counts as a block."""
    desk = Desk()
    desk.engine.checks = (Check(name="new", outcome="maybe", message="what is this"),)
    async with desk.running() as desk:
        await desk.press("g", "h")
        assert "0 pass 0 note 1 block" in words(desk)
        assert "maybe new what is this" in words(desk)


async def test_many_checks_can_be_scrolled() -> None:
    """What is below is counted; j goes there and not beyond, g g back."""
    desk = Desk()
    desk.engine.checks = tuple(Check(name=f"check {n}", outcome="ok", message="fine") for n in range(40))
    async with desk.running(80, 24) as desk:
        await desk.press("g", "h")
        assert "more lines: j" in words(desk)
        await desk.press("9", "9", "j")
        assert "check 39" in words(desk)
        assert "more lines" not in words(desk)
        await desk.press("k")
        assert "check 38" not in words(desk)
        assert "more lines" in words(desk)
        await desk.press("g", "g")
        assert "check 0 " in words(desk)


# --- rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("g", "u"), ("f10",), ("g", "n", "r")])
async def test_the_rules_open_and_lead_back(keys: tuple[str, ...]) -> None:
    """Keys g u and F10, and r in the engine room; Esc is the Desk again."""
    async with Desk().running() as desk:
        await desk.press(*keys)
        assert isinstance(desk.app.screen, RulesScreen)
        await desk.press("escape")
        assert desk.app.screen.id == "desk"


async def test_rules_is_a_sentence() -> None:
    """The word ``rules`` in the command bar opens them."""
    async with Desk().running() as desk:
        await desk.press("colon")
        await desk.type("rules")
        await desk.press("enter")
        assert isinstance(desk.app.screen, RulesScreen)


async def test_contradictions_come_first_then_what_is_unknown() -> None:
    """Then the facts, each as the engine gives it."""
    desk = Desk()
    contradicted(desk.engine)
    async with desk.running(200, 60) as desk:
        await desk.press("g", "u")
        lines = [line.strip() for line in page(desk).splitlines()]
        assert "1 against the dump" in lines[0]
        assert "1 unknown" in lines[0]
        assert lines[2].startswith("! lot         BANKNIFTY")
        assert lines[3].startswith("? unknown     No holiday list of 2028")
        text, view = words(desk), await desk.engine.rules()
        for row in view.rows:
            since = "—" if row.since is None else row.since.isoformat()
            assert f"{row.topic} {row.subject} {row.value} {since} {row.certainty.value} {row.source}" in text


async def test_a_filter_follows_the_typing() -> None:
    """Every word anywhere in the row, in any case; Enter keeps it, Esc drops it first, then leaves."""
    async with Desk().running() as desk:
        await desk.press("g", "u", "slash")
        await desk.type("nse 65")
        assert "1 of 4" in words(desk)
        assert "lot NIFTY" in words(desk)
        assert "charges" not in words(desk)
        await desk.press("enter")
        assert "/nse 65" in words(desk)
        await desk.press("slash", "escape")
        assert "/nse 65" in words(desk), "what was not taken changes nothing"
        await desk.press("escape")
        assert "4 rows" in words(desk)
        await desk.press("slash")
        await desk.type("nonsense")
        assert "no row has these words" in words(desk)
        await desk.press("escape", "escape")
        assert isinstance(desk.app.screen, DeskScreen)


async def test_a_row_opens_in_full() -> None:
    """Enter shows everything there is to say of the row under the cursor, its source and certainty too."""
    async with Desk().running(80, 24) as desk:
        await desk.press("g", "u", "j", "enter")
        text = " ".join(desk.dialog_text.split())
        assert "09:15 to 15:40; closing auction of the cash market 15:15 to 15:35" in text
        assert "NSE/FAOP/74112" in text
        assert "high, checked 2026-11-01" in text


async def test_another_day_is_asked_for() -> None:
    """Brackets go by days, a count by as many, = to today; what was not in force then is not shown."""
    async with Desk().running() as desk:
        await desk.press("g", "u")
        assert "in force on Thu 14 Jan 2027" in words(desk)
        await desk.press("4", "0", "left_square_bracket")
        assert desk.engine.rules_asked[-1] == date(2026, 12, 5)
        assert "in force on Sat 05 Dec 2026" in words(desk)
        assert "session" not in words(desk)
        await desk.press("2", "right_square_bracket")
        assert desk.engine.rules_asked[-1] == date(2026, 12, 7)
        assert "session" in words(desk)
        await desk.press("equals_sign")
        assert "in force on Thu 14 Jan 2027" in words(desk)
        for _ in range(3):
            await desk.press("9", "9", "9", "9", "right_square_bracket")
        assert "in force on" in words(desk)


async def test_rules_are_asked_for_seldom_and_only_while_seen() -> None:
    """Once in half a minute."""
    async with Desk().running() as desk:
        await desk.press("g", "u")
        desk.clock.advance(20.0)
        await desk.settle()
        assert len(desk.engine.rules_asked) == 1
        desk.clock.advance(11.0)
        await desk.settle()
        assert len(desk.engine.rules_asked) == 2
        await desk.press("escape")
        desk.clock.advance(60.0)
        await desk.settle()
        assert len(desk.engine.rules_asked) == 2


# --- pictures ------------------------------------------------------------------------------------------------------


@pytest.fixture
def picture(snap_compare: Callable[..., bool]) -> Callable[..., bool]:
    """Compare one screen with its accepted picture."""

    def compare(
        size: tuple[int, int],
        keys: tuple[str, ...],
        state: Callable[[FakeEngineClient], None],
        settings: TerminalSettings | None = None,
    ) -> bool:
        desk = Desk(settings)
        state(desk.engine)
        app: Any | PurePath = desk.app
        return snap_compare(app, terminal_size=size, run_before=before_picture(desk, *keys))

    return compare


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("state", [live, sick, reader], ids=lambda state: state.__name__)
def test_picture_of_the_doctor(
    picture: Callable[..., bool], size: tuple[int, int], state: Callable[[FakeEngineClient], None]
) -> None:
    """Well, and with a check that blocks."""
    assert picture(size, ("g", "h"), state)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_picture_of_the_rules(picture: Callable[..., bool], size: tuple[int, int]) -> None:
    """With a contradiction and something that is not known."""
    assert picture(size, ("g", "u"), contradicted)


def test_picture_of_a_filter(picture: Callable[..., bool]) -> None:
    """While it is typed."""
    assert picture((80, 24), ("g", "u", "slash", "l", "o", "t"), contradicted)


def test_picture_without_colour(picture: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR: outcomes are words."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert picture((80, 24), ("g", "h"), sick)
