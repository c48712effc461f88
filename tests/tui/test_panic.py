"""The panic key: over everything, at once, harmless; and a second press that no held key can make."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import pytest

from engine.core.commands import HoldRisk, KillSwitch, PlaceOrder, ReleaseHold
from engine.core.identifiers import StrategyNumber
from engine.core.locks import LockKind, LockView
from engine.core.vocabulary import Mode
from tests.kit.fake_book import ACCOUNT
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.tui.harness import Desk, before_picture
from workstation.app import WorkstationApp
from workstation.dialogs.panic import PanicDialog
from workstation.presenters.settings import TerminalSettings

KEYS = ("ctrl+x", "ctrl+backslash")


def kinds(desk: Desk) -> list[type]:
    """What the engine was asked."""
    return [type(command) for command in desk.sent]


@pytest.mark.parametrize("key", KEYS)
async def test_the_first_press_holds_at_once(key: str) -> None:
    """One key: the hold is out, entries are cancelled, the mode is READ, the panel is there; no position is touched."""
    async with Desk().running() as desk:
        await desk.press(key)
        assert kinds(desk) == [HoldRisk]
        assert isinstance(desk.dialog, PanicDialog)
        assert desk.engine.mode is Mode.READ
        assert "No position has been touched" in desk.dialog_text
        assert "HELD" in desk.text("status")


async def test_it_works_over_a_review() -> None:
    """A review stands open: the key belongs to panic, nothing is sent, and the review is still there below."""
    async with Desk().running() as desk:
        await desk.press("s", "enter")
        assert desk.reviews == 1
        await desk.press("ctrl+x")
        assert kinds(desk) == [HoldRisk]
        assert isinstance(desk.dialog, PanicDialog)
        assert desk.reviews == 1


async def test_it_works_while_typing_and_over_the_palette() -> None:
    """In the command bar, and over the palette, where every other key is text."""
    async with Desk().running() as desk:
        await desk.press("colon")
        await desk.type("buy 2L")
        await desk.press("ctrl+x")
        assert kinds(desk) == [HoldRisk]
        await desk.press("escape")
        assert kinds(desk) == [HoldRisk, ReleaseHold]
        await desk.press("escape", "ctrl+g")
        await desk.press("ctrl+x")
        assert kinds(desk) == [HoldRisk, ReleaseHold, HoldRisk]


async def test_it_works_on_a_frozen_picture_and_on_other_screens() -> None:
    """A frozen picture, and a screen that lies over the Desk."""
    async with Desk().running() as desk:
        await desk.press("space", "ctrl+x", "escape", "f4", "ctrl+x")
        assert kinds(desk) == [HoldRisk, ReleaseHold, HoldRisk]


async def test_a_held_key_never_flattens() -> None:
    """The key repeats every 100 ms for more than a second: one hold and nothing else."""
    async with Desk().running() as desk:
        for _ in range(12):
            await desk.burst("ctrl+x")
            desk.clock.advance(0.1)
        assert kinds(desk) == [HoldRisk]


async def test_two_presses_in_one_read_flatten_nothing() -> None:
    """Bytes that arrive together were one press."""
    async with Desk().running() as desk:
        await desk.burst("ctrl+x", "ctrl+x", "X", "1")
        assert kinds(desk) == [HoldRisk]


async def test_the_second_press_flattens_everything() -> None:
    """400 ms after the last panic byte, and painted: everything, on the hold that stays."""
    async with Desk().running() as desk:
        await desk.press("ctrl+x")
        desk.clock.advance(0.39)
        await desk.press("ctrl+x")
        assert kinds(desk) == [HoldRisk]
        desk.clock.advance(0.41)
        await desk.press("ctrl+x")
        assert desk.sent[1:] == [KillSwitch()]
        await desk.press("escape")
        assert kinds(desk) == [HoldRisk, KillSwitch], "the hold stays while something is flattened"


@pytest.mark.parametrize(("key", "command"), [("X", KillSwitch()), ("K", KillSwitch(lock=True))])
async def test_x_flattens_and_k_locks_too(key: str, command: KillSwitch) -> None:
    """Too early they are nothing; later they are what they say."""
    async with Desk().running() as desk:
        await desk.press("ctrl+x")
        await desk.press(key)
        assert kinds(desk) == [HoldRisk]
        desk.clock.advance(0.5)
        await desk.press(key)
        assert desk.sent[1:] == [command]


async def test_a_number_flattens_one_strategy() -> None:
    """The strategies that hold something stand there with their legs and worst money; a number takes one."""
    async with Desk().running() as desk:
        await desk.press("ctrl+x")
        desk.clock.advance(0.5)
        number = next(value.strategy.number for value in desk.engine.desk().strategies if value.open_legs)
        assert f"flatten #{number}" in desk.dialog_text
        assert "at worst" in desk.dialog_text
        await desk.press(*str(number))
        if len(desk.sent) == 1:
            await desk.press("enter")
        assert desk.sent[1:] == [KillSwitch(strategy=StrategyNumber(number))]


async def test_enter_and_y_mean_nothing() -> None:
    """Neither sends, neither releases."""
    async with Desk().running() as desk:
        await desk.press("ctrl+x")
        desk.clock.advance(1.0)
        await desk.press("enter", "y")
        assert kinds(desk) == [HoldRisk]
        assert isinstance(desk.dialog, PanicDialog)


async def test_a_full_list_of_commands_does_not_keep_the_hold_waiting() -> None:
    """Sixty-four commands without an answer: the hold has a way of its own."""
    async with Desk().running() as desk:
        desk.engine.silent = asyncio.Event()
        for _ in range(70):
            desk.app.submissions.submit(HoldRisk(), lambda _: None)
        await desk.settle()
        before = len(desk.sent)
        await desk.press("ctrl+x")
        assert len(desk.sent) == before + 1
        desk.engine.silent.set()
        await desk.settle()


def with_process(desk: Desk, code: int, words: str) -> WorkstationApp:
    """The same terminal with a kill command that prints its arguments and ends so."""
    script = f"import sys; print({words!r}, *sys.argv[1:], file=sys.stderr); sys.exit({code})"
    return WorkstationApp(desk.engine, TerminalSettings(), desk.clock, kill_command=(sys.executable, "-c", script))


async def test_a_silent_engine_is_not_waited_for() -> None:
    """No answer for two seconds: the process of `workstation kill` is started, without flattening, and it is said."""
    desk = Desk()
    desk.app = with_process(desk, 0, "latched:")
    async with desk.running():
        desk.engine.silent = asyncio.Event()
        await desk.press("ctrl+x")
        desk.clock.advance(1.9)
        await desk.settle()
        assert "does not answer" not in desk.dialog_text
        desk.clock.advance(0.2)
        await desk.settle()
        assert "`workstation kill`" in desk.dialog_text
        panel = desk.dialog
        assert isinstance(panel, PanicDialog)
        async with asyncio.timeout(10):
            while panel.session.code is None:
                await desk.settle(1)
        assert panel.session.said == ["latched: --no-flatten"]
        assert "verified by the broker's books" in desk.dialog_text
        desk.clock.advance(1.0)
        await desk.press("X")
        async with asyncio.timeout(10):
            while panel.session.said != ["latched:"]:
                await desk.settle(1)
        desk.engine.silent.set()
        await desk.settle()


async def test_elsewhere_it_says_what_to_type() -> None:
    """The engine is on another machine: no process can be started here."""
    async with Desk().running() as desk:
        desk.engine.silent = asyncio.Event()
        await desk.press("ctrl+x")
        desk.clock.advance(2.5)
        await desk.settle()
        assert "type `workstation kill` on its machine" in " ".join(desk.dialog_text.split())
        desk.engine.silent.set()
        await desk.settle()


@pytest.mark.parametrize(
    ("kind", "word"), [(LockKind.KILL, "KILLED"), (LockKind.DAILY_LOSS, "LOCKED"), (LockKind.HOLD, "HELD")]
)
async def test_the_status_line_says_what_is_on(kind: LockKind, word: str) -> None:
    """Right after the mode, at every width."""
    for width in (80, 120):
        desk = Desk()
        desk.engine.locks = (LockView(account=ACCOUNT, kind=kind, since=desk.clock.wall_now()),)
        async with desk.running(width, 24):
            assert word in desk.lines("status")[0]


async def test_nothing_is_ordered_by_the_panel() -> None:
    """Whatever is typed into it, no order comes of it."""
    async with Desk().running() as desk:
        await desk.press("ctrl+x")
        desk.clock.advance(1.0)
        await desk.press("b", "s", "B", "S", "enter", "y", "c", "C")
        assert not [command for command in desk.sent if isinstance(command, PlaceOrder)]


# -- pictures ----------------------------------------------------------------------------------------------------------


def killed(engine: FakeEngineClient) -> None:
    """A kill switch is on, and a lock of the day."""
    since = engine.clock.wall_now()
    engine.mode = Mode.READ
    engine.locks = (
        LockView(account=ACCOUNT, kind=LockKind.KILL, since=since, words="`workstation kill`, flattens", seat="shell"),
        LockView(account=ACCOUNT, kind=LockKind.DAILY_LOSS, since=since, words="day net -75,120, limit -75,000"),
    )


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(("keys", "state"), [(("ctrl+x",), None), ((), killed)], ids=["panel", "locked"])
def test_picture(
    snap_compare: Callable[..., bool],
    size: tuple[int, int],
    keys: tuple[str, ...],
    state: Callable[[FakeEngineClient], None] | None,
) -> None:
    """The panel as the first press leaves it; the Desk of a locked account."""
    desk = Desk(engine=FakeEngineClient(FixedClock()))
    if state is not None:
        state(desk.engine)
    app: Any | PurePath = desk.app
    assert snap_compare(app, terminal_size=size, run_before=before_picture(desk, *keys))
