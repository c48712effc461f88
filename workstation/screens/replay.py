"""The replay screen: the tape, where it stands, and a line to type a time into.

Its keys are those of every screen of a replay; here no pane has another use for them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import ClassVar

from textual.binding import BindingType
from textual.widget import Widget

from engine.core.commands import MoveTape
from engine.core.errors import WorkstationError
from engine.core.replay import ReplayView
from workstation.actions import Place
from workstation.frames import Frame
from workstation.presenters.replay_page import ReplayPicture, replay_page
from workstation.presenters.seen import Seen
from workstation.screens.context import DeskContext
from workstation.screens.places import REPLAY
from workstation.screens.prompting import PromptingScreen
from workstation.screens.reading import Reading
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane

REFRESH_S = 0.5
"""The tape is asked where it stands so often while somebody looks; a minute of market may pass in a second."""


class ReplayScreen(PromptingScreen):
    """Looks at the tape."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.REPLAY)

    def __init__(self, context: DeskContext, subject: str) -> None:
        """Look at the tape there is; there is nothing to choose by ``subject``."""
        del subject
        super().__init__(context, id=REPLAY, own_places=(Place.REPLAY,))
        self._page = LinePane(id="replay-page")
        self._basis: tuple[object, ...] = ()
        self._reading: Reading[str, ReplayView] = Reading(
            "replay", self._ask, self._in_background, context.clock, every_s=REFRESH_S
        )

    def body(self) -> Iterable[Widget]:
        """One pane."""
        yield self._page

    def forget(self) -> None:
        """Draw anew."""
        self._basis = ()

    def paint(self, frame: Frame) -> None:
        """Ask where the tape stands; draw the newest that is known, whoever heard it."""
        del frame
        context = self._shared
        desk = context.picture.live_desk
        if context.is_replay:
            self._reading.want("")
        seen = self._reading.seen("")
        tape = Seen(context.tape.view, seen.age_s, seen.trouble, seen.stale_after_s)
        picture = ReplayPicture(
            venue=desk.status.venue.value.upper() if desk is not None else "",
            is_replay=context.is_replay,
            tape=tape,
            orders=desk.orders if desk is not None else (),
            events=desk.events if desk is not None else (),
            unread=desk.status.unread_events if desk is not None else 0,
        )
        old = int(tape.age_s or 0.0) if tape.is_stale else 0
        basis = (
            picture.venue,
            tape.value,
            tape.trouble,
            old,
            picture.orders,
            picture.events,
            picture.unread,
            self._page.size,
            self.app.theme,
        )
        if basis == self._basis:
            return
        self._basis = basis
        lines = replay_page(
            picture, self.size.width, self._page.size.height, context.glyphs, simulated=context.simulated
        )
        self._page.show(lines)

    # --- keys ------------------------------------------------------------------------------------------------------

    def take_key(self, key: str, character: str | None) -> bool:
        """A colon after digits goes on with a time: ``13:05`` needs no other key before it."""
        count = self._shared.state.count
        if key == "colon" and count and not self.is_asking and self._shared.is_replay:
            self.ask_for("seek", f"{count}:")
            return True
        return super().take_key(key, character)

    def action_open_bar(self) -> None:
        """The Desk's command bar; a count before the colon is the beginning of a time."""
        count = self._shared.state.count
        if count and self._shared.is_replay:
            self.ask_for("seek", f"{count}:")
            return
        super().action_open_bar()

    def action_seek(self) -> None:
        """Type where to."""
        if self._shared.is_replay:
            self.ask_for("seek", "")
        else:
            self._shared.tape.seek_by(0.0)

    def take_text(self, text: str) -> bool:
        """Seek; what was not understood stays to be mended."""
        if not text:
            return True
        self._shared.run(partial(self._seek, text), "seek", True)
        return False

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _ask(self, question: str) -> ReplayView:
        del question
        view = await self._shared.engine.replay()
        self._shared.tape.heard(view)
        return view

    async def _seek(self, text: str) -> None:
        """Have the grammar read it, so that it means here what it means in the command bar."""
        try:
            meaning = await self._shared.engine.interpret(f"seek {text}")
        except WorkstationError as error:
            self._shared.notify(str(error), "attention")
            return
        if meaning.error is not None:
            self._shared.notify(meaning.error.message, "attention")
            return
        if isinstance(meaning.wish, MoveTape):
            self._shared.tape.do(meaning.wish)
        if self.is_asking and self.is_attached:
            self._close()

    def _in_background(self, work: Callable[[], Coroutine[object, object, None]], group: str, replaces: bool) -> None:
        self.run_worker(work, group=group, exclusive=replaces)
