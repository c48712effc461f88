"""The panic key for one terminal: the hold goes out in the very moment of the press, then the panel is opened.

What it sends and starts belongs to nobody's worker and waits behind nothing: no dialog, no full list of commands, no
engine that is silent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from textual.app import App

from engine.client import EngineClient
from engine.core.commands import Command, HoldRisk, Receipt
from workstation.dialogs.panic import PanicDialog
from workstation.screens.context import DeskContext
from workstation.screens.submissions import Submissions

logger = logging.getLogger(__name__)

NO_FLATTEN = "--no-flatten"
LINE_BYTES_MAX = 4_000


class PanicKey:
    """Holds, opens the panel, and starts the kill process when the engine is silent.

    Args:
        app: Where the panel is shown.
        shared: What the terminal looks at.
        engine: The door.
        seat: The name of this terminal.
        kill_command: The words that start ``workstation kill`` for this engine; empty where it is elsewhere.
    """

    def __init__(
        self, app: App[Any], shared: DeskContext, engine: EngineClient, *, seat: str, kill_command: Sequence[str]
    ) -> None:
        self._app = app
        self._shared = shared
        self._submissions = Submissions(engine, seat=seat)
        self._command = tuple(kill_command)
        self._tasks: set[asyncio.Task[None]] = set()

    def press(self) -> None:
        """The key, wherever the terminal is."""
        panel = self._panel()
        if panel is not None:
            panel.press_again()
            return
        shared = self._shared
        panel = PanicDialog(
            submit=self._submissions.submit,
            run_process=self._start if self._command else None,
            picture=lambda: shared.picture.live_desk,
            venue_words=shared.venue_words,
            clock=shared.clock,
            glyphs=shared.glyphs,
            simulated=shared.simulated,
        )
        hold: Command = panel.session.asked
        self._submissions.submit(hold, lambda receipt: self._held(panel, hold, receipt))
        self._app.push_screen(panel)

    async def drain(self, timeout_s: float) -> None:
        """Wait for receipts, as long as that; a kill process goes on without this terminal."""
        await self._submissions.drain(timeout_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _panel(self) -> PanicDialog | None:
        return next((screen for screen in self._app.screen_stack if isinstance(screen, PanicDialog)), None)

    def _held(self, panel: PanicDialog, command: Command, receipt: Receipt) -> None:
        panel.held(command, receipt)
        if not receipt.accepted and self._panel() is not panel and isinstance(command, HoldRisk):
            self._shared.notify(f"NOT HELD: {receipt.message}", "danger")

    def _start(self, flatten: bool) -> None:
        task = asyncio.get_running_loop().create_task(self._follow(flatten), name="workstation kill")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, flatten: bool) -> None:
        """Run the process and pass on what it says; it lives on when this terminal ends."""
        words = self._command if flatten else (*self._command, NO_FLATTEN)
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            trouble = f"It could not be started ({error.strerror}): type `workstation kill` in a shell."
            self._tell(lambda panel: panel.heard(trouble))
            return
        output = process.stderr
        while output is not None and (line := await output.readline()):
            said = line[:LINE_BYTES_MAX].decode("utf-8", errors="replace").strip()
            self._tell(lambda panel, said=said: panel.heard(said))  # type: ignore[misc]
        code = await process.wait()
        self._tell(lambda panel: panel.ended(code))

    def _tell(self, what: Callable[[PanicDialog], None]) -> None:
        panel = self._panel()
        if panel is not None:
            what(panel)
