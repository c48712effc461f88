"""One Desk on the fake engine, driven without a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from textual import events
from textual.pilot import Pilot
from textual.widget import Widget

from engine.core.commands import Command
from engine.core.views import ChainKey
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from workstation.app import WorkstationApp
from workstation.dialogs.base import DeskDialog
from workstation.dialogs.review import ReviewDialog
from workstation.presenters.settings import TerminalSettings

SETTLE_TURNS = 4
LOOK_UP_TURNS = 100
LOOK_UP_S = 0.02
STILL_LOOKS = 5
"""Looks in a row at a quiet loop with the same lookups under way, after which they wait for the test itself."""
FRAMES_A_SECOND = 20
TYPED = {"enter": "\r", "space": " ", "escape": "\x1b", "colon": ":", "slash": "/"}
"""What a terminal sends for keys that have a name."""


class Desk:
    """The program under test with everything a test wants to look at."""

    def __init__(self, settings: TerminalSettings | None = None, engine: FakeEngineClient | None = None) -> None:
        self.clock = engine.clock if engine is not None else FixedClock()
        self.engine = engine if engine is not None else FakeEngineClient(self.clock)
        numbers = iter(range(1, 1000))
        self.app = WorkstationApp(
            self.engine,
            settings or TerminalSettings(),
            self.clock,
            new_key=lambda: f"key-{next(numbers)}",
        )
        self.app.animation_level = "none"
        self.pilot: Pilot[None] | None = None

    @asynccontextmanager
    async def running(self, width: int = 120, height: int = 36) -> AsyncIterator[Desk]:
        """Run it at a size until the block ends."""
        async with self.app.run_test(size=(width, height)) as pilot:
            self.pilot = pilot
            await self.settle()
            yield self

    async def settle(self, turns: int = SETTLE_TURNS) -> None:
        """Let messages arrive and draw a few frames."""
        assert self.pilot is not None
        for _ in range(turns):
            await self.pilot.pause()
            self.app.take_frame()
        # What is looked up in the background has to have arrived, or to be known to wait for good: nothing here waits
        # for a thread or for the wall clock, so what stays the same while the loop is idle waits for the test's clock
        # or gate.
        before: frozenset[int] = frozenset()
        still = 0
        for _ in range(LOOK_UP_TURNS):
            under_way = frozenset(id(worker) for worker in self.app.workers if worker.is_running)
            still = still + 1 if under_way == before else 0
            if not under_way or still >= STILL_LOOKS:
                break
            before = under_way
            await self.pilot.pause()
            await self.pilot.pause(LOOK_UP_S)
        self.app.take_frame()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, with time between them."""
        assert self.pilot is not None
        for key in keys:
            await self.pilot.press(key)
            await self.settle(2)

    async def type(self, text: str) -> None:
        """Type into what has focus."""
        names = {" ": "space", ":": "colon", "@": "at", ".": "full_stop", "-": "minus", "+": "plus"}
        assert self.pilot is not None
        await self.pilot.press(*(names.get(sign, sign) for sign in text))
        await self.settle(2)

    async def burst(self, *keys: str) -> None:
        """Keys that arrive in one read of the terminal: all are queued before the first is handled."""
        for key in keys:
            character = key if len(key) == 1 else TYPED.get(key)
            self.app.post_message(events.Key(key, character))
        await self.settle()

    async def resize(self, width: int, height: int) -> None:
        """Change the terminal's size."""
        assert self.pilot is not None
        await self.pilot.resize_terminal(width, height)
        await self.settle()

    def pane(self, name: str) -> Widget:
        """A pane of the Desk by its id, also under a dialog."""
        return self.app.screen_stack[0].query_one(f"#{name}")

    def lines(self, name: str) -> list[str]:
        """What stands in a pane."""
        pane = self.pane(name)
        return [pane.render_line(y).text for y in range(pane.size.height)]

    def text(self, name: str) -> str:
        """The pane as one text."""
        return "\n".join(self.lines(name))

    @property
    def dialog(self) -> DeskDialog[Any] | None:
        """The dialog on top, if there is one."""
        screen = self.app.screen
        return screen if isinstance(screen, DeskDialog) else None

    @property
    def dialog_text(self) -> str:
        """What the dialog says."""
        assert self.dialog is not None
        body = self.dialog.body
        return "\n".join(body.render_line(y).text.rstrip() for y in range(body.size.height))

    @property
    def reviews(self) -> int:
        """How many review dialogs are stacked."""
        return sum(1 for screen in self.app.screen_stack if isinstance(screen, ReviewDialog))

    @property
    def focus(self) -> str:
        """The id of what has focus on the Desk."""
        focused = self.app.screen_stack[0].focused
        return (focused.id or "") if focused is not None else ""

    @property
    def sent(self) -> list[Command]:
        """Commands the engine got."""
        return self.engine.submitted

    @property
    def key(self) -> ChainKey:
        """The chain in view."""
        (key,) = self.engine.watched
        return key


def before_picture(desk: Desk, *keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """For snapshot tests: let the Desk settle, press keys, settle again."""

    async def run(pilot: Pilot[None]) -> None:
        desk.pilot = pilot
        await desk.settle()
        for key in keys:
            if key == "later":
                # In steps of a frame: a jump would read as a frame that came late, for as long as that is remembered.
                for _ in range(FRAMES_A_SECOND):
                    desk.clock.advance(1.0 / FRAMES_A_SECOND)
                    desk.app.take_frame()
                await desk.settle(1)
            else:
                await desk.press(key)
        await desk.settle()

    return run
