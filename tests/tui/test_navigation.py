"""Getting about: rows, pages, the mouse, dialogs of text, the palette, themes."""

from __future__ import annotations

import pytest
from textual import events
from textual.command import CommandPalette

from engine.core.errors import UnknownInstrument
from engine.core.views import ChainKey
from engine.core.vocabulary import QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.tui.harness import Desk
from workstation.presenters.settings import TerminalSettings
from workstation.screens.desk import DeskScreen
from workstation.themes import THEME_NAMES
from workstation.widgets.chain_grid import ChainGrid


def cursor_line(desk: Desk) -> str:
    """The line of the chain with the cursor."""
    return next(line for line in desk.lines("chain")[1:] if "<" in line or ">" in line)


async def test_rows_and_pages_of_the_chain() -> None:
    """J and k by one, a count repeats, half pages, top and bottom, never beyond the ends."""
    async with Desk().running() as desk:
        await desk.press("j", "5", "j")
        assert "24,700" in cursor_line(desk)
        await desk.press("ctrl+u")
        assert "24,350" in cursor_line(desk)
        await desk.press("g", "g", "k")
        assert "23,400" in cursor_line(desk)
        for _ in range(12):
            await desk.press("ctrl+d")
        assert "25,400" in cursor_line(desk)
        await desk.press("z")
        assert "24,400" in cursor_line(desk)


async def test_own_rows() -> None:
    """O goes round the strikes with something of our own, on the side where it is."""
    async with Desk().running() as desk:
        await desk.press("o")
        assert "24,700" in cursor_line(desk)
        await desk.press("o")
        assert "24,950" in cursor_line(desk)
        await desk.press("o")
        assert "23,800" in cursor_line(desk)
        assert ">" in cursor_line(desk)


async def test_the_mouse_chooses_contracts_and_rows() -> None:
    """A click on a strike's side moves the cursor there; the wheel moves it; a click in a list chooses the row."""
    async with Desk().running() as desk:
        assert desk.pilot is not None
        grid = desk.pane("chain")
        assert isinstance(grid, ChainGrid)
        await desk.pilot.click("#chain", offset=(70, 3))
        await desk.settle()
        assert ">" in desk.lines("chain")[3]
        await desk.pilot.click("#chain", offset=(10, 5))
        await desk.settle()
        assert "<" in desk.lines("chain")[5]
        grid.post_message(events.MouseScrollDown(grid, 10, 5, 0, 1, 0, shift=False, meta=False, ctrl=False))
        await desk.settle()
        assert "<" in desk.lines("chain")[6]
        await desk.pilot.click("#orders", offset=(10, 3))
        await desk.settle()
        assert desk.focus == "orders"
        await desk.press("enter")
        assert "REJECTED" in desk.dialog_text
        assert "margin is short by 12,400" in desk.dialog_text


async def test_events_open_in_full() -> None:
    """Enter on an event shows its whole text."""
    async with Desk().running() as desk:
        await desk.press("w", "6", "j", "enter")
        assert "phone bought 1L 24,700 CE, now in #1" in desk.dialog_text
        await desk.press("escape", "end", "enter")
        assert "slip -0.15" in desk.dialog_text


async def test_long_texts_scroll() -> None:
    """The help is longer than the screen: j shows what is below."""
    async with Desk().running(80, 24) as desk:
        await desk.press("f1")
        first = desk.dialog_text
        await desk.press(*("j" * 30))
        assert desk.dialog_text != first
        assert "Draft a purchase at the cursor" in desk.dialog_text


async def test_the_palette_opens_over_everything() -> None:
    """Ctrl-G finds actions by name; Esc leaves without doing anything."""
    async with Desk().running() as desk:
        await desk.press("ctrl+g")
        shown = [type(desk.app.screen)]
        await desk.press("escape")
        shown.append(type(desk.app.screen))
        assert shown == [CommandPalette, DeskScreen]
        assert desk.sent == []


async def test_every_theme_can_be_taken() -> None:
    """F3 goes round; each paints."""
    async with Desk().running() as desk:
        seen = set()
        for _ in THEME_NAMES:
            await desk.press("f3")
            seen.add(desk.app.theme)
            assert "24,400" in desk.text("chain")
        assert seen == set(THEME_NAMES)


@pytest.mark.parametrize("theme", ["textual-light", "nord", "ansi-dark", "no-such-theme"])
async def test_foreign_themes_work(theme: str) -> None:
    """A theme that knows nothing of ours still shows the Desk; an unknown one is replaced by the default."""
    async with Desk(TerminalSettings(theme=theme)).running() as desk:
        assert "24,400" in desk.text("chain")
        assert desk.app.theme in {theme, "desk-dark"}


async def test_going_where_there_is_no_room() -> None:
    """At 80 columns there is no ticket and no events pane: it is said, and focus stays useful."""
    async with Desk().running(80, 24) as desk:
        await desk.press("w", "2")
        assert "no room for the ticket pane" in desk.text("ghost")
        assert desk.focus == "chain"
        await desk.press("w", "9")
        assert "means nothing here" in desk.text("ghost")
        await desk.press("w", "5")
        assert desk.focus == "orders"


async def test_a_narrow_screen_shows_the_draft_on_the_message_line() -> None:
    """Without a ticket pane the draft stands above the bar, with its keys."""
    async with Desk().running(80, 24) as desk:
        await desk.press("1", "0", "s")
        line = desk.text("ghost")
        assert "SELL 10L NIFTY 19JAN 24400CE @ 162.00 touch" in line
        assert "Enter review" in line
        await desk.press("escape")
        assert "SELL" not in desk.text("ghost")


async def test_keys_before_the_first_chain() -> None:
    """Every chain key while there is nothing to act on: words or silence, never an error."""
    desk = Desk()
    desk.engine.loading = True
    async with desk.running():
        await desk.press("b", "s", "enter", "z", "o", "i", "plus", "minus", "equals_sign", "p", "h", "l", "j", "k")
        await desk.press("left_square_bracket", "right_curly_bracket", "ctrl+d", "G", "u", "M", "space")
        assert desk.sent == []
        assert desk.reviews == 0


async def test_units_change_in_a_frozen_picture() -> None:
    """Frozen prices still follow the switches of this terminal, and flashes fade."""
    async with Desk().running() as desk:
        await desk.press("space", "u")
        assert "-650" in desk.text("chain")


class LosingEngine(FakeEngineClient):
    """An engine whose chain goes away while it is being changed."""

    async def watch_chain(self, key: ChainKey) -> None:
        if self.watched:
            raise UnknownInstrument("That expiry has just ended.")
        await super().watch_chain(key)


async def test_a_chain_that_cannot_be_had_keeps_the_old_one() -> None:
    """The refusal is said; the chain in view stays and stays alive."""
    desk = Desk(engine=LosingEngine(FixedClock()))
    async with desk.running():
        await desk.press("right_square_bracket")
        assert "That expiry has just ended." in desk.text("ghost")
        assert "w0 19 JAN" in desk.text("head")
        desk.engine.set_quote_state(QuoteState.STALE)
        await desk.settle()
        assert "~" in desk.text("chain")
