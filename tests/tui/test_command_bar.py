"""The command bar: text is never eaten, nothing runs without Enter, nothing is sent without a review."""

from __future__ import annotations

from decimal import Decimal

from textual import events

from engine.core.commands import PlaceOrder, SetMode
from engine.core.vocabulary import Mode
from tests.tui.harness import Desk
from workstation.presenters.settings import TerminalSettings
from workstation.widgets.command_bar import CommandBar

GOOD = "buy 2L nifty 24400 ce w0 @ 150"
WRONG = "buy 2L nifty 24000 ce w7 @ 105"


def bar(desk: Desk) -> CommandBar:
    """The input itself."""
    found = desk.pane("bar")
    assert isinstance(found, CommandBar)
    return found


async def write(desk: Desk, text: str) -> None:
    """Open the bar and type."""
    await desk.press("colon")
    await desk.type(text)


async def test_an_error_is_said_and_its_place_is_shown() -> None:
    """The caret stands under the wrong word; Enter does nothing; the text stays."""
    async with Desk().running() as desk:
        await write(desk, WRONG)
        assert "NIFTY has no w7. Listed: w0" in desk.text("ghost")
        caret = desk.lines("keys")[0]
        start = 2 + WRONG.index("w7")
        assert caret[start : start + 2] == "^^"
        assert caret.count("^") == 2
        await desk.press("enter", "enter")
        assert desk.reviews == 0
        assert bar(desk).value == WRONG


async def test_a_whole_sentence_opens_the_review_and_only_y_sends() -> None:
    """Enter opens the review, Esc keeps the text; after y the bar is empty and the order is the sentence's."""
    async with Desk().running() as desk:
        await write(desk, GOOD)
        await desk.press("enter")
        assert desk.reviews == 1
        await desk.press("escape")
        assert bar(desk).value == GOOD
        assert desk.sent == []
        await desk.press("enter")
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, PlaceOrder)
        assert command.request.price == Decimal(150)
        assert command.idempotency_key is not None
        assert bar(desk).value == ""


async def test_a_typed_price_is_never_changed() -> None:
    """The market moves under a sentence with a price: it is asked again, and the typed price goes."""
    async with Desk().running() as desk:
        await write(desk, GOOD)
        await desk.press("enter")
        desk.clock.advance(1.0)
        await desk.settle()
        row = desk.engine.chains[desk.key].strikes.tolist().index(24_400.0)
        desk.engine.shift(desk.key, row, 3.0)
        await desk.press("y")
        assert desk.sent == []
        assert "against you" in desk.dialog_text
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, PlaceOrder)
        assert command.request.price == Decimal(150)


async def test_the_ghost_shows_the_consequence() -> None:
    """After a rest the ghost line carries the engine's sentence; while typing it does not ask for prices."""
    async with Desk().running() as desk:
        await write(desk, GOOD)
        assert desk.engine.previewed == 0
        assert "being priced" in desk.text("ghost")
        desk.clock.advance(0.2)
        await desk.settle()
        assert "Buys 130 NIFTY27JAN1924400CE and pays 19,500.00." in desk.text("ghost")
        assert desk.engine.previewed == 1


async def test_wishes_of_the_screen_are_done_at_once() -> None:
    """show, mark and go act without a review and leave the bar empty."""
    async with Desk().running() as desk:
        await write(desk, "show banknifty m1")
        await desk.press("enter")
        await desk.settle()
        assert desk.key.underlying == "BANKNIFTY"
        assert desk.key.expiry.month == 2
        assert bar(desk).value == ""
        await desk.type("mark exit")
        await desk.press("enter")
        assert "Day exit" in desk.text("status")
        await desk.type("go events")
        await desk.press("enter")
        assert desk.focus == "events"
        assert desk.sent == []


async def test_arming_by_sentence_needs_no_review() -> None:
    """Arm confirm and disarm were typed in full; they send no order."""
    async with Desk().running() as desk:
        await write(desk, "disarm")
        await desk.press("enter")
        assert desk.sent == [SetMode(mode=Mode.READ)]
        assert desk.reviews == 0


async def test_history_and_kept_text() -> None:
    """Esc keeps the text, Up brings sentences back, Down returns to what was being typed."""
    async with Desk(TerminalSettings(history_size=2)).running() as desk:
        await desk.press("colon")
        for sentence in ("mark mid", "mark exit", "mark last"):
            await desk.type(sentence)
            await desk.press("enter")
        await desk.type("buy 2")
        await desk.press("escape")
        assert desk.focus == "chain"
        assert bar(desk).value == "buy 2"
        await desk.press("colon", "up")
        assert bar(desk).value == "mark last"
        await desk.press("up", "up", "up")
        assert bar(desk).value == "mark exit", "only two sentences are remembered"
        await desk.press("down", "down")
        assert bar(desk).value == "buy 2"


async def test_tab_takes_a_word_that_fits() -> None:
    """Tab replaces the wrong word by the first choice, again by the next; the rest of the sentence stays."""
    async with Desk().running() as desk:
        await write(desk, "bvy 2L nifty 24000 ce w0 @ 105")
        await desk.press("tab")
        assert bar(desk).value == "buy 2L nifty 24000 ce w0 @ 105"
        assert desk.focus == "bar"
        await desk.press("ctrl+u")
        await desk.type("buy 2L nifty 24000 ce")
        await desk.press("tab")
        assert bar(desk).value == "buy 2L nifty 24000 ce w0"
        await desk.press("tab")
        assert bar(desk).value == "buy 2L nifty 24000 ce w1"


async def test_paste_fills_and_never_runs() -> None:
    """Pasted lines: the first one stands in the bar, nothing was done."""
    async with Desk().running() as desk:
        await desk.press("colon")
        bar(desk).post_message(events.Paste(f"{GOOD}\nbuy 9L nifty 24400 ce w0 @ 150\n"))
        await desk.settle()
        assert bar(desk).value == GOOD
        assert desk.reviews == 0
        assert desk.sent == []


async def test_text_typed_ahead_of_the_bar_belongs_to_the_bar() -> None:
    """The colon and a sentence in one read: no letter is lost, and none acts on the chain."""
    async with Desk().running() as desk:
        await desk.burst("colon", *"buy", "space", *"2L")
        assert bar(desk).value == "buy 2L"
        assert "under the cursor" in desk.text("ticket")


async def test_two_enters_in_the_bar_open_one_review() -> None:
    """Two Enters in one read on a whole sentence: the second belongs to the dialog."""
    async with Desk().running() as desk:
        await write(desk, GOOD)
        await desk.burst("enter", "enter", "enter")
        assert desk.reviews <= 1
        assert desk.sent == []


async def test_an_unfinished_sentence_says_what_is_missing() -> None:
    """Missing words are named without blame, and offered."""
    async with Desk().running() as desk:
        await write(desk, "buy")
        assert "Needs a quantity." in desk.text("ghost")
        assert "Tab  1L  2L  5L" in desk.text("ghost")
        assert "^" not in desk.text("keys")
