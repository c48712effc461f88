"""The life of the Desk: starting, failing engines, leaving, the palette, keymaps, plain terminals."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from textual.app import App

from engine.core.commands import Command, Interpretation, Receipt
from engine.core.errors import EngineGone
from engine.core.identifiers import AccountId
from engine.core.vocabulary import QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.tui.harness import Desk
from workstation.app import ActionProvider
from workstation.presenters.settings import TerminalSettings


async def test_the_first_chain_comes_when_the_engine_is_ready() -> None:
    """While loading, the reasons are listed; as soon as there is an underlying its chain opens by itself."""
    desk = Desk()
    desk.engine.loading = True
    desk.engine.degraded = ("instruments: reading the dump of NFO",)
    async with desk.running():
        text = desk.text("chain")
        assert "The first chain is on its way." in text
        assert "reading the dump of NFO" in text
        desk.engine.loading = False
        desk.engine.touch()
        desk.clock.advance(1.1)
        await desk.settle()
        assert "24,400" in desk.text("chain")


async def test_an_engine_that_fails_is_said_and_survived() -> None:
    """Pictures raise: the last one stays, the reason is shown, and the Desk goes on when they come again."""
    async with Desk().running() as desk:
        desk.engine.failing = "the engine does not answer"
        await desk.settle()
        assert "the engine does not answer" in desk.text("ghost")
        assert "24,400" in desk.text("chain")
        desk.engine.failing = ""
        await desk.settle()
        assert "does not answer" not in desk.text("ghost")


async def test_broker_words_cannot_move_the_cursor_of_the_terminal() -> None:
    """Escape sequences and line breaks in a message are blanks on the screen."""
    desk = Desk()
    order = desk.engine.order_list[3]
    desk.engine._replace(order, message="\x1b[2Jgone\r\nnext")
    async with desk.running(200, 60):
        text = desk.text("orders")
        assert "\x1b" not in text
        assert "[2Jgone  next" in text


async def test_quit_says_who_keeps_watching() -> None:
    """Q names working and unknown orders; Enter stays, y leaves."""
    desk = Desk()
    desk.engine.lose(2)
    async with desk.running():
        await desk.press("q")
        assert "1 working order stays at the broker" in desk.dialog_text
        assert "1 order is UNKNOWN" in desk.dialog_text
        desk.clock.advance(1.0)
        await desk.press("enter")
        assert desk.dialog is None
        assert desk.app.is_running
        await desk.press("q")
        desk.clock.advance(1.0)
        await desk.press("y")
        assert desk.app.return_code == 0
        assert desk.app._exit


class DeafEngine(FakeEngineClient):
    """Understands no sentence, as when the link to it is lost."""

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        raise EngineGone("the link is lost")


async def test_quit_is_understood_without_an_engine() -> None:
    """Whoever wants to leave is asked as ever."""
    async with Desk(engine=DeafEngine(FixedClock())).running() as desk:
        await desk.press(":", *"quit", "enter")
        assert "This terminal ends" in desk.dialog_text


async def test_without_an_engine_a_sentence_says_why_it_cannot_be_read() -> None:
    """The reason stands under the bar, and the text stays."""
    async with Desk(engine=DeafEngine(FixedClock())).running() as desk:
        await desk.press(":", *"buy", "enter")
        assert "the link is lost" in desk.text("ghost")


async def test_ctrl_c_only_says_how_to_quit() -> None:
    """Ctrl-C interrupts nothing; Ctrl-Q belongs to the terminal."""
    async with Desk().running() as desk:
        await desk.press("ctrl+c")
        assert "q or :quit leaves" in desk.text("ghost")
        await desk.press("ctrl+q")
        assert not desk.app._exit


class SlowEngine(FakeEngineClient):
    """Commands take until they are let through."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(clock)
        self.gate = asyncio.Event()
        self.finished = 0

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        await self.gate.wait()
        self.finished += 1
        return await super().submit(command, seat=seat)


async def test_leaving_waits_for_the_receipt_of_an_order() -> None:
    """The terminal ends while an order is being handed over: the handover is finished, not cancelled."""
    engine = SlowEngine(FixedClock())
    desk = Desk(engine=engine)
    async with desk.running():
        await desk.press("s", "enter")
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        assert desk.app.submissions.in_flight == 1
        desk.app.exit()
        asyncio.get_running_loop().call_soon(engine.gate.set)
    assert engine.finished == 1
    assert len(engine.order_list) == 5


async def test_the_palette_offers_what_the_registry_knows() -> None:
    """Search finds an action by its sentence and runs it."""
    async with Desk().running() as desk:
        provider = ActionProvider(desk.app.screen)
        hits = [hit async for hit in provider.search("freeze")]
        assert hits
        best = max(hits, key=lambda hit: hit.score)
        await best.command()
        await desk.settle()
        assert "FROZEN" in desk.text("status")
        discovered = [hit async for hit in provider.discover()]
        assert len(discovered) > 20


async def test_a_keymap_moves_a_key_everywhere() -> None:
    """With another key for buying, the key line, the help and the key itself agree."""
    desk = Desk(TerminalSettings(keymap={"chain.buy": "f"}))
    async with desk.running():
        assert "f buy" in desk.text("keys")
        await desk.press("b")
        assert "under the cursor" in desk.text("ticket")
        await desk.press("f")
        assert "BUY 1L" in desk.text("ticket")


async def test_ascii_without_colour() -> None:
    """With ascii glyphs and NO_COLOR nothing on the screen needs another character set or a colour."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NO_COLOR", "1")
    try:
        desk = Desk(TerminalSettings(glyphs="ascii"))
    finally:
        patch.undo()
    assert desk.app.no_color
    desk.engine.set_quote_state(QuoteState.STALE)
    async with desk.running():
        names = (
            "status",
            "strip",
            "head",
            "chain",
            "ticket",
            "depth",
            "strategies",
            "orders",
            "events",
            "ghost",
            "keys",
        )
        for name in names:
            assert desk.text(name).isascii(), name
        assert "~" in desk.text("chain")
        assert "+27,232" in desk.text("status")
        await desk.press("s", "enter")
        assert desk.dialog_text.isascii()


def test_the_app_has_only_our_bindings() -> None:
    """The library's own quit key is gone."""
    keys = {key for key, _ in Desk().app._bindings}
    assert "ctrl+q" not in keys
    assert {key for key, _ in App()._bindings} & {"ctrl+q"}


async def test_the_order_of_decimal_money_is_kept() -> None:
    """A fill moves the strategy's row and the position on the chain in the next frame."""
    async with Desk().running() as desk:
        desk.engine.fill(3, Decimal("88.10"))
        await desk.settle()
        line = next(line for line in desk.lines("chain") if "24,300" in line)
        assert "+2" in line
        assert "*" not in line
        assert "o3 filled at 88.10" in desk.text("events")
