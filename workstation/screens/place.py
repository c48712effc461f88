"""A main screen over the Desk: the same status, the same keys, its own body. Esc goes back; nothing on it sends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from workstation.actions import Place
from workstation.dialogs.base import TextDialog
from workstation.frames import Frame
from workstation.presenters.keyline import key_line
from workstation.presenters.lines import Line
from workstation.screens.context import DeskContext
from workstation.screens.everywhere import KeysEverywhere
from workstation.screens.panes import PANE_OF_LETTER
from workstation.screens.places import DESK
from workstation.screens.standing import alarm_lines, answer_line, standing_status
from workstation.widgets.bindings import bindings_of
from workstation.widgets.panes import LinePane

COMMAND_BAR = "bar"


class PlaceScreen(KeysEverywhere):
    """Subclasses give the body, draw it in ``paint``, and name the places of their own keys in ``own_places``."""

    BINDINGS: ClassVar[list[BindingType]] = bindings_of(Place.TAPE, Place.DESK)

    def __init__(self, context: DeskContext, *, id: str, own_places: tuple[Place, ...]) -> None:  # noqa: A002
        """Draw and steer by ``context``."""
        super().__init__(context, id=id)
        self._own_places = own_places
        self._ready = False
        self._status = LinePane(id="status")
        self._message = LinePane(id="ghost")
        self._keys = LinePane(id="keys")

    def body(self) -> Iterable[Widget]:
        """The widgets between status and message."""
        return ()

    def paint(self, frame: Frame) -> None:
        """Draw the body of one frame."""

    def pane_of_digit(self, digit: str) -> Widget | None:
        """The pane that ``w`` and a digit go to."""
        del digit
        return None

    def show_pane(self, pane: Widget) -> None:
        """Go to a pane."""
        self.set_focus(pane)

    def words_of_prefix(self) -> dict[str, str]:
        """What a first key waits for, where this screen has words of its own."""
        return {}

    def compose(self) -> ComposeResult:
        """The standing lines around the body."""
        yield self._status
        yield from self.body()
        yield self._message
        yield self._keys

    def on_mount(self) -> None:
        """Frames may come."""
        self._ready = True

    def take_frame(self, frame: Frame) -> None:
        """Draw one frame."""
        if not self._ready or not self.size:
            return
        self._frame = frame
        width, context = self.size.width, self._shared
        self._status.show(standing_status(context, frame, width))
        self.paint(frame)
        self._message.show([*answer_line(context, frame, width), *alarm_lines(context, frame, width)][:1])
        state = context.state
        line = key_line(
            self.shown_places(),
            context.registry,
            count=state.count,
            prefix=state.prefix,
            width=width,
            glyphs=context.glyphs,
            own_words=self.words_of_prefix(),
        )
        self._keys.show([line])

    def shown_places(self) -> tuple[Place, ...]:
        """Whose keys the key line shows."""
        tape = (Place.TAPE,) if self._shared.is_replay else ()
        return (*tape, *self._own_places, Place.DESK, Place.APP)

    def second_key(self, prefix: str, key: str) -> bool:
        """Panes by digit here; by letter another screen, or a pane of the Desk."""
        if prefix == "w" and (pane := self.pane_of_digit(key)) is not None:
            self.show_pane(pane)
        elif prefix == "g" and key == "g":
            self.action_top()
        elif prefix == "g" and key in PANE_OF_LETTER:
            self._shared.open_place(DESK, PANE_OF_LETTER[key])
        else:
            return super().second_key(prefix, key)
        return True

    def action_top(self) -> None:
        """The first row, where there are rows."""

    def action_open_bar(self) -> None:
        """Sentences are typed on the Desk."""
        self._shared.open_place(DESK, COMMAND_BAR)

    def action_back(self) -> None:
        """One level back: count, notice, then the Desk."""
        state = self._shared.state
        if state.count:
            state.count = ""
        elif state.notice is not None:
            state.notice = None
        else:
            self._shared.open_place(DESK, "")

    def show_text(self, title: str, lines: list[Line]) -> None:
        """A text to read."""
        words = f"{title} - {self._shared.venue_words}"
        self.app.push_screen(TextDialog(words, lines, glyphs=self._shared.glyphs, simulated=self._shared.simulated))
