"""The engine room: what the market data comes through, and what is wrong with it.

It reads once a second at most, only while it is looked at, and off the frame. Two keys ask the engine for something:
to begin or end a tape, and to take a new login; neither has to do with orders.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import ClassVar

import msgspec
from textual.binding import BindingType
from textual.widget import Widget

from engine.core.errors import WorkstationError
from engine.core.operations import OperationsView
from workstation.actions import Place
from workstation.frames import Frame
from workstation.presenters.lines import EMPTY, Line, wrapped
from workstation.presenters.operations_page import PARTS, EngineChoice, engine_page, why_sentences
from workstation.presenters.operations_sections import LOG_IN, LOGIN_NEEDED
from workstation.presenters.seen import Seen
from workstation.screens.context import DeskContext
from workstation.screens.place import PlaceScreen
from workstation.screens.places import ENGINE
from workstation.screens.reading import Reading
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane

REFRESH_S = 1.0
REDRAW_S = 0.5
"""Ages are drawn anew so often; keys and answers at once."""
TEXT_WIDTH = 76


class EngineRoomScreen(PlaceScreen):
    """Looks at the engine's market data."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.ENGINE)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """Look at everything; there is nothing to choose by ``subject``."""
        del subject
        super().__init__(context, id=ENGINE, own_places=(Place.ENGINE,))
        self._page = LinePane(id="engine-page")
        self._choice = EngineChoice()
        self._drawn: Seen[OperationsView] | None = None
        self._basis: tuple[object, ...] = ()
        self._drawn_at = -REDRAW_S
        self._asking = False
        self._operations: Reading[str, OperationsView] = Reading(
            "operations", self._ask, self._in_background, context.clock, every_s=REFRESH_S
        )

    def body(self) -> Iterable[Widget]:
        """One pane: the page says itself where everything stands."""
        yield self._page

    def words_of_prefix(self) -> dict[str, str]:
        """The parts of this screen."""
        return {"w": "part: " + "  ".join(f"{number} {name.lower()}" for number, name in PARTS.items())}

    def second_key(self, prefix: str, key: str) -> bool:
        """Parts by digit; everything else as on every screen."""
        if prefix == "w" and key.isdecimal() and int(key) in PARTS:
            self._choose(part=int(key), first=0)
            return True
        return super().second_key(prefix, key)

    def forget(self) -> None:
        """Look anew."""
        self._drawn = None
        self._basis = ()

    def paint(self, frame: Frame) -> None:
        """Ask for what is old, draw what is known. A frozen picture keeps what it showed."""
        if self._shared.state.frozen_since is None or self._drawn is None:
            self._operations.want("")
            self._drawn = self._operations.seen("")
        seen, now = self._drawn, frame.monotonic
        basis = (seen.value, seen.trouble, self._choice, self._page.size, self.app.theme, self._shared.simulated)
        if basis == self._basis and now - self._drawn_at < REDRAW_S:
            return
        self._basis, self._drawn_at = basis, now
        context = self._shared
        lines = engine_page(
            seen, self._choice, self.size.width, self._page.size.height, context.glyphs, simulated=context.simulated
        )
        self._page.show(lines)

    # --- keys ------------------------------------------------------------------------------------------------------

    def action_zoom(self) -> None:
        """The chosen part alone, or all of them again."""
        self._choose(zoomed=not self._choice.zoomed)

    def action_scroll(self, step: int) -> None:
        """Scroll the chosen part."""
        self._choose(first=max(0, self._choice.first + step * self._shared.state.take_count()))

    def action_top(self) -> None:
        """The first line of the chosen part."""
        self._choose(first=0)

    def action_next_pane(self) -> None:
        """The part after the chosen one."""
        self._choose(part=self._choice.part % len(PARTS) + 1, first=0)

    def action_previous_pane(self) -> None:
        """The part before the chosen one."""
        self._choose(part=(self._choice.part - 2) % len(PARTS) + 1, first=0)

    def action_record(self) -> None:
        """Begin a tape, or end the one that is written."""
        view = self._operations.seen("").value
        if view is None:
            self._shared.notify("The engine has not answered yet.", "attention")
            return
        on = view.recorder is None or not view.recorder.recording
        self._change(partial(self._shared.engine.record, on), _tape_words)

    def action_renew(self) -> None:
        """Take the logins that were stored for the accounts that need one."""
        view = self._operations.seen("").value
        waiting = [item.account for item in view.accounts if item.state == LOGIN_NEEDED] if view is not None else []
        if not waiting:
            self._shared.notify("No account needs a login.")
            return
        self._change(partial(self._renew, waiting), _login_words)

    def action_why(self) -> None:
        """In full, what is not as it should be."""
        lines: list[Line] = []
        for sentence in why_sentences(self._operations.seen(""), self._shared.glyphs):
            lines += [*(((part, ""),) for part in wrapped(sentence, TEXT_WIDTH)), EMPTY]
        self.show_text("Why", lines[:-1])

    # --- inside ----------------------------------------------------------------------------------------------------

    def _choose(self, **changes: object) -> None:
        self._choice = msgspec.structs.replace(self._choice, **changes)

    async def _ask(self, question: str) -> OperationsView:
        del question
        return await self._shared.engine.operations()

    async def _renew(self, accounts: Sequence[str]) -> OperationsView:
        """The last picture, after every account; the first refusal ends it."""
        view: OperationsView | None = None
        for account in accounts:
            view = await self._shared.engine.renew_session(account)
        return view if view is not None else await self._shared.engine.operations()

    def _change(self, ask: Callable[[], Awaitable[OperationsView]], words: Callable[[OperationsView], str]) -> None:
        """Ask for a change once at a time; a repeated key waits for the answer to the first."""
        if self._asking:
            self._shared.notify("The engine has been asked; it answers in a moment.")
            return
        self._asking = True
        # Not this screen's own work: leaving it must not leave a change half asked for.
        self._shared.run(partial(self._settle, ask, words), "engine", False)

    async def _settle(
        self, ask: Callable[[], Awaitable[OperationsView]], words: Callable[[OperationsView], str]
    ) -> None:
        try:
            view = await ask()
        except WorkstationError as error:
            self._shared.notify(str(error), "attention")
        else:
            self._operations.take("", view)
            self._shared.notify(words(view))
        finally:
            self._asking = False

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)


def _tape_words(view: OperationsView) -> str:
    if view.recorder is None or not view.recorder.recording:
        return "The tape has ended; it stays on disk."
    return f"Recording to {view.recorder.path}."


def _login_words(view: OperationsView) -> str:
    waiting = [item.account for item in view.accounts if item.state == LOGIN_NEEDED]
    return LOG_IN.format(account=waiting[0]) if waiting else "The new login is in force."
